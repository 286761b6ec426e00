"""The Airflow that the demo and the system tests start does what they rely on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from demo.local_airflow import LocalAirflow

WAITING_DAG = """
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import dag, task


@dag(schedule=None)
def waiting():
    @task
    def before():
        return "a value to look for"

    wait = TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=10), deferrable=True)
    before() >> wait


waiting()
"""

PARENT = """
import os, signal, sys, time
from pathlib import Path
from demo.process_sessions import ProcessSessions

signal.signal(signal.SIGINT, signal.default_int_handler)  # which what runs in a shell's background ignores
folder = Path(sys.argv[1])
with ProcessSessions(folder) as sessions:
    command = ["sh", "-c", "sleep 600 & sleep 600"]
    sessions.start(command, os.environ, folder / "log")
    while len(sessions.members()) < 3:
        time.sleep(0.05)
    print(*sessions.members(), flush=True)
    time.sleep(600)
"""


@pytest.mark.airflow
def test_a_deferred_task_ends_after_its_triggerer_was_killed_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    folder.joinpath("waiting.py").write_text(WAITING_DAG)

    with LocalAirflow(folder) as airflow:
        run_id = airflow.trigger("waiting")
        airflow.wait_for_trigger("waiting", run_id, "wait")
        airflow.kill_component("triggerer")
        assert airflow.task_instance("waiting", run_id, "wait")["state"] == "deferred"
        airflow.start_component("triggerer")
        assert airflow.wait_for_run("waiting", run_id) == "success"

        assert airflow.xcom("waiting", run_id, "before") == "a value to look for"
        assert "Done. Returned value was" in airflow.task_log("waiting", run_id, "before")
        assert "a value to look for" in airflow.database_dump()
        assert run_id in airflow.all_log_text()
        process_ids, home = airflow.process_ids(), airflow.home

    assert len(process_ids) > 4
    assert not [process_id for process_id in process_ids if is_running(process_id)]
    assert not home.exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_one_that_started_it(tmp_path: Path, end: signal.Signals) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", PARENT, folder], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        process_ids = [int(word) for word in parent.stdout.readline().split()]
        assert len(process_ids) == 3
        parent.send_signal(end)

    deadline = time.monotonic() + 10
    while any(map(is_running, process_ids)) or folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process_id: int) -> bool:
    return psutil.pid_exists(process_id) and psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
