"""One migrated database of Airflow for all tests that start a process with it."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow import __version__ as airflow_version

from demo.process_sessions import clean_environment
from tests.integration.one_process_airflow import TIMEOUT


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory):
    """Make one database for all processes of the tests; another Airflow has another one."""
    folder = tmp_path_factory.getbasetemp().parent / f"airflow-{airflow_version}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            environment = clean_environment() | {"AIRFLOW_HOME": str(folder / "home")}
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=TIMEOUT)
            (folder / "ready").touch()
    return folder / "home"


@pytest.fixture
def home(empty_home, tmp_path):
    return Path(shutil.copytree(empty_home, tmp_path / "home"))
