"""The code that the documentation shows runs as it stands there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from tests.integration.one_process_airflow import TIMEOUT, Airflow

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"

PROVE = """
from datetime import date, timedelta

from airflow.sdk import dag

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator


@dag(schedule=None)
def prove():
    KoreEraseUserDataOperator(
        task_id="erase",
        user_ids="file:///tmp/1234.txt",
        bot_ids=["st-1"],
        deadline={"received_at": date.today(), "regime": "gdpr"},
        verify={"people": "all", "since": timedelta(days=31)},
        receipt={"folder": "file:///tmp/receipts", "approved_by": "A. Reviewer"},
    )


prove()
"""


@pytest.fixture
def sandbox():
    with running_sandbox(Settings(duration=0.5, requests_per_minute=0, requests_per_hour=0)) as sandbox:
        yield sandbox


@pytest.fixture
def airflow(home, sandbox, tmp_path):
    """An Airflow with the examples, in which the folder of a test stands for ``/tmp``."""
    dags = tmp_path / "dags"
    dags.mkdir()
    for name in ("first_erasure.py", "erase_leavers.py"):
        (dags / name).write_text(_here((EXAMPLES / name).read_text(), tmp_path))
    (dags / "prove.py").write_text(_here(PROVE, tmp_path))
    (tmp_path / "1234.txt").write_text("u-1\nu-2\nana@example.com\n")
    return Airflow(home, dags, sandbox)


def _here(text, folder):
    return text.replace("file:///tmp", folder.as_uri())


@pytest.mark.parametrize("dag", ["first_erasure", "erase_leavers"])
def test_the_dags_of_the_guides_erase_their_users(airflow, sandbox, dag):
    run = airflow.dags_test(dag)
    assert run.code == 0, run.errors
    assert run.returned("erase", "erased", "user_count") == (3, 3)
    assert len(sandbox.state().erased) == 3


def test_the_test_that_a_guide_shows_passes(airflow, tmp_path):
    del airflow.environment["AIRFLOW_CONN_KORE_DEFAULT"]
    (tmp_path / "tests").mkdir()
    shutil.copy(EXAMPLES / "test_erase_leavers.py", tmp_path / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "-o", "pythonpath=dags", "tests"]
    outcome = subprocess.run(
        command, env=airflow.environment, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    assert "2 passed" in outcome.stdout


def test_an_auditor_verifies_a_receipt_as_the_guide_says(airflow, tmp_path):
    run = airflow.dags_test("prove")
    assert run.code == 0, run.errors
    (receipt,) = (tmp_path / "receipts").glob("*.jws")
    private, public = tmp_path / "receipts.pem", tmp_path / "receipts-public.pem"
    private.write_text(airflow.connection["extra"]["receipt_key"])

    def command(*arguments, module=("-m", "airflow_provider_kore.receipts")):
        return subprocess.run(
            [sys.executable, *module, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=True
        ).stdout

    public.write_text(command("public-key", private))
    shown = (EXAMPLES / "receipt.txt").read_text()
    verified = command("verify", receipt, "--key", public)
    assert _shape(verified) == _shape(shown), verified
    audited = command(receipt, public, module=[str(EXAMPLES / "audit.py")])
    assert audited.startswith("{'erased': 3, 'open': 0, 'not_erased': 0}")


def _shape(text):
    """Replace all that differs from run to run."""
    text = re.sub(r"eud-[\w-]+", "eud-…", text)
    text = re.sub(r"http\S+|file:\S+", "…", text)
    text = re.sub(r"\d{4}-\d\d-\d\d(T[\d:]+Z)?", "…", text)
    return re.sub(r"manual__\S+|[0-9a-f]{32,}", "…", text)
