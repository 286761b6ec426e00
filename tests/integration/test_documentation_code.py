"""The code that the documentation shows runs as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from tests.documentation_blocks import ROOT, TEXTS, commands_to_run
from tests.integration.one_process_airflow import TIMEOUT, Airflow

EXAMPLES = ROOT / "docs/examples"
START, CI, EVIDENCE = "docs/start.md", "docs/howto/ci.md", "docs/howto/dpo.md"
OTHERS = [page for page in TEXTS if page not in (START, CI, EVIDENCE) and commands_to_run(page)]

SHELL = """
set -euo pipefail
airflow() { # the same command of the provider, for which Airflow need not start
    if [ "$1" = kore ]; then shift; python -m airflow_provider_kore "$@"; else command airflow "$@"; fi
}
curl() { command curl --silent --show-error --fail-with-body "$@"; }
request() { curl "$URL/sandbox/state" | grep -o 'eud-[0-9a-f-]*' | head -n 1; }
"""

PROVE = """
from datetime import date, timedelta

from airflow.sdk import dag

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator


@dag(schedule=None)
def prove():
    KoreEraseUserDataOperator(
        task_id="erase",
        user_ids="file:///tmp/ids.txt",
        bot_ids=["st-1"],
        deadline={"received_at": date.today(), "regime": "gdpr"},
        verify={"people": "all", "since": timedelta(days=31)},
        receipt={"folder": "file:///tmp/receipts", "approved_by": "A. Reviewer"},
    )


prove()
"""


class Workplace:
    """A folder in which commands are typed, with an Airflow whose connection leads to a sandbox."""

    def __init__(self, folder, airflow, sandbox):
        self.folder = folder
        self.airflow = airflow
        self.sandbox = sandbox
        users = [f"user-{number}@example.com" for number in range(1, 301)]
        self.write("users.txt", "".join(f"{user}\n" for user in users))
        for name in ("users.csv", "1234.csv"):
            self.write(name, "email\n" + "".join(f"{user}\n" for user in users))
        self.write("ids.txt", "u-1\nu-2\nana@example.com\n")

    def write(self, name, text):
        """Write a file, in which this folder stands for those of the guides."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(self._here(text))

    def type(self, commands):
        """Type commands into one shell, as they stand, but for what a reader must put in."""
        environment = self.airflow.environment | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder),
            "KORE_DIGEST_KEY": self.airflow.connection["extra"]["digest_key"],  # otherwise asked for at the terminal
        }
        outcome = subprocess.run(
            ["bash", "-c", SHELL + self._here("".join(commands))],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=2 * TIMEOUT,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-3000:]
        return outcome.stdout

    def _here(self, text):
        here = {
            "s3://privacy/requests": self.folder.as_uri(),
            "/tmp/": f"{self.folder}/",
            "http://127.0.0.1:8765": self.sandbox.url,
            "eud-…": "$(request)",
            "KORE_DIGEST_KEY=…": f"KORE_DIGEST_KEY='{self.airflow.connection['extra']['digest_key']}'",
        }
        return re.sub("|".join(here), lambda found: here[found[0]], text)


@pytest.fixture
def workplace(home, tmp_path):
    with running_sandbox(Settings(duration=0.5, requests_per_minute=0, requests_per_hour=0)) as sandbox:
        yield Workplace(tmp_path, Airflow(home, tmp_path / "dags", sandbox), sandbox)


@pytest.mark.parametrize("page", OTHERS)
def test_the_commands_of_a_page_run(workplace, page):
    printed = workplace.type(commands_to_run(page))
    if page == "docs/reference/commands.md":
        assert printed.split()[:2] == ["user-217@example.com"] * 2
        assert printed.split()[2].startswith("kd:")


def test_the_commands_of_the_start_erase_users(workplace):
    workplace.write("code/first_erasure.py", (EXAMPLES / "first_erasure.py").read_text())
    workplace.write("code/on_request.py", (ROOT / "dags/kore_erase_on_request.py").read_text())
    commands = commands_to_run(START)
    dags_exist = next(at for at, command in enumerate(commands) if command.startswith("printf"))
    commands.insert(dags_exist, "cp code/*.py dags\n")
    printed = workplace.type(commands)
    assert len(re.findall(r"^.*\ball +3 +3 +0 +0\b", printed, re.M)) == 2
    assert {user.user_id for user in workplace.sandbox.state().erased} == {"u-1", "u-2", "ana@example.com"}


def test_the_test_that_a_guide_shows_passes(workplace):
    del workplace.airflow.environment["AIRFLOW_CONN_KORE_DEFAULT"]
    workplace.write("dags/erase_leavers.py", (EXAMPLES / "erase_leavers.py").read_text())
    workplace.write("tests/test_erase_leavers.py", (EXAMPLES / "test_erase_leavers.py").read_text())
    assert "2 passed" in workplace.type(commands_to_run(CI))


def test_an_auditor_verifies_a_receipt_as_the_guide_says(workplace):
    make_key, *commands = commands_to_run(EVIDENCE)
    workplace.type([make_key])
    receipt_key = (workplace.folder / "receipts.pem").read_text()
    workplace.write("dags/prove.py", PROVE)
    workplace.airflow.connection["extra"]["receipt_key"] = receipt_key
    workplace.airflow.environment["AIRFLOW_CONN_KORE_DEFAULT"] = json.dumps(workplace.airflow.connection)
    run = workplace.airflow.dags_test("prove")
    assert run.code == 0, run.errors
    (receipt,) = (workplace.folder / "receipts").glob("*.jws")
    receipt.rename(receipt.with_name("eud-1.jws"))

    printed = workplace.type(commands)
    assert _shape((EXAMPLES / "receipt.txt").read_text()) in _shape(printed), printed
    shutil.copy(EXAMPLES / "audit.py", workplace.folder)
    audited = workplace.type(["python audit.py receipts/eud-1.jws receipts-public.pem\n"])
    assert audited.startswith("{'erased': 3, 'open': 0, 'not_erased': 0}")


def _shape(text):
    """Replace all that differs from run to run."""
    text = re.sub(r"eud-[\w-]+", "eud-…", text)
    text = re.sub(r"http\S+|file:\S+", "…", text)
    text = re.sub(r"\d{4}-\d\d-\d\d(T[\d:]+Z)?", "…", text)
    return re.sub(r"manual__\S+|[0-9a-f]{32,}", "…", text)
