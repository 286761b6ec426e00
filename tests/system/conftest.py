"""A sandbox and a real Airflow that talks to it, shared by all system tests of a session."""

import json
import os
import re
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Browser, Page

from airflow_provider_kore.user_ids.seal_keys import ECKey, make_seal_key
from demo.browser import chromium, sign_in
from demo.local_airflow import LocalAirflow
from demo.local_sandbox import LocalSandbox
from demo.sealed_example import sealed_to

REPOSITORY = Path(__file__).parents[2]
SCREENSHOTS = REPOSITORY / "tests" / "system" / "screenshots"
DAG_FOLDERS = (REPOSITORY / "dags", REPOSITORY / "tests" / "system" / "dags")


class LineageEvents:
    """The file to which OpenLineage's events go, a line each."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.transport = {"type": "file", "log_file_path": str(file), "append": True}

    def __call__(self) -> list[dict[str, Any]]:
        """Read the events so far."""
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []


@pytest.fixture(scope="session")
def sandbox() -> Iterator[LocalSandbox]:
    """Kore's API, where an erasure takes two seconds."""
    with LocalSandbox("--duration", "2") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def lineage_events(tmp_path_factory: pytest.TempPathFactory) -> LineageEvents:
    """The events that OpenLineage has received so far, from DAGs that enable it."""
    return LineageEvents(tmp_path_factory.mktemp("lineage") / "events.jsonl")


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    """The keys of digests and receipts, as the default connection has them."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"digest_key": secrets.token_hex(16), "receipt_key": pem.decode()}


@pytest.fixture(scope="session")
def seal_keys() -> tuple[ECKey, ECKey]:
    """The keys that open sealed user ids, the newer first."""
    return make_seal_key(), make_seal_key()


@pytest.fixture(scope="session")
def sealed_dags(seal_keys: tuple[ECKey, ECKey], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example that takes sealed user ids, by the older key, and by a key that nobody has."""
    folder = tmp_path_factory.mktemp("sealed")
    source = (REPOSITORY / "dags" / "kore_erase_sealed.py").read_text().replace("file:///data", folder.as_uri())
    for name, key in (("here", seal_keys[1]), ("elsewhere", make_seal_key())):
        text = sealed_to(key, source).replace("kore_erase_sealed()", f"kore_erase_sealed_{name}()")
        (folder / f"kore_erase_sealed_{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="session")
def airflow(
    sandbox: LocalSandbox,
    lineage_events: LineageEvents,
    keys: dict[str, str],
    seal_keys: tuple[ECKey, ECKey],
    sealed_dags: Path,
) -> Iterator[LocalAirflow]:
    """An Airflow with the example DAGs and those of the system tests, that logs all it can."""
    extra = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000, **keys}
    extra["seal_key"] = "".join(key.as_pem(private=True).decode() for key in seal_keys)
    environment = {
        "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(sandbox.connection | {"extra": extra}),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        # Besides: somebody who may only read, and somebody with no role at all.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,nobody:",
        "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage_events.transport),
    }
    with LocalAirflow(*DAG_FOLDERS, sealed_dags, environment=environment) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """
    A Chromium; without one, a test that needs it fails.

    As long as it is up, Playwright keeps an event loop running in this thread, where other tests run theirs.
    """
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, airflow: LocalAirflow) -> Iterator[Page]:
    """A window in which somebody has signed in to Airflow."""
    page = sign_in(browser, airflow, height=1800)
    yield page
    page.context.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the one Airflow. Leave out what needs a browser, if and only if that is asked for."""
    for item in items:
        if "airflow" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.airflow)
    if os.environ.get("NO_BROWSER", "0") not in ("", "0"):
        for item in items:
            if "browser" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=f"NO_BROWSER leaves out {item.name}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of Airflow's logs below a test that failed with it."""
    report = yield
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and report.when != "teardown" and isinstance(airflow, LocalAirflow):
        report.sections.append(("Airflow", airflow.log_tails()))
    page = getattr(item, "funcargs", {}).get("page")
    if report.failed and isinstance(page, Page):
        picture = SCREENSHOTS / f"{re.sub(r'[^A-Za-z0-9]+', '-', item.name)}.png"
        page.screenshot(path=picture, full_page=True)
        report.sections.append(("Screenshot", str(picture)))
    return report
