"""A sandbox and a real Airflow that talks to it, shared by all system tests of a session."""

import json
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from demo.local_airflow import LocalAirflow
from demo.local_sandbox import LocalSandbox

REPOSITORY = Path(__file__).parents[2]
DAG_FOLDERS = (REPOSITORY / "dags", REPOSITORY / "tests" / "system" / "dags")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[LocalSandbox]:
    """Kore's API, where an erasure takes two seconds."""
    with LocalSandbox("--duration", "2") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(sandbox: LocalSandbox) -> Iterator[LocalAirflow]:
    """An Airflow with the example DAGs and those of the system tests, that logs all it can."""
    fast = sandbox.connection | {"extra": {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000}}
    environment = sandbox.environment | {
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW_CONN_KORE_FAST": json.dumps(fast),
    }
    with LocalAirflow(*DAG_FOLDERS, environment=environment) as airflow:
        yield airflow


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of Airflow's logs below a test that failed with it."""
    report = yield
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and isinstance(airflow, LocalAirflow):
        report.sections.append(("Airflow", airflow.log_tails()))
    return report
