"""``dag.test()`` of sources that refer to other tasks: each task runs after them, and reads its own file."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox

DAGS = Path(__file__).parents[1] / "dags"
TIMEOUT = 300
NAMES = ["one", "shared_1", "shared_2", "expanded_1", "expanded_2", "partial", "mapped_1", "mapped_2"]
BY_EMAIL = {"one", "expanded_1", "expanded_2", "partial", "mapped_1", "mapped_2"}


@pytest.fixture
def airflow(tmp_path):
    """Run Python in an Airflow of one database and no component."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}?timeout=30",
        "KORE_FOLDER": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(DAGS.parents[2]), os.environ.get("PYTHONPATH", "")]),
    }

    def run(*arguments, **more):
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(
            command, env=environment | more, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert run("db", "migrate")[0] == 0
    return run


def rows(path, statement):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def test_each_task_runs_after_those_that_its_source_refers_to_and_reads_its_own_file(airflow, tmp_path):
    with running_sandbox(Settings(duration=0.1, requests_per_minute=0, requests_per_hour=0)) as sandbox:
        code, log = airflow("dags", "test", "kore_references", AIRFLOW_CONN_KORE_DEFAULT=json.dumps(sandbox.connection))
        erased = [(entry.body["userIds"], entry.body["botIds"]) for entry in sandbox.log() if entry.call == "erase"]
    states = {
        (task, index): state
        for task, index, state in rows(tmp_path / "airflow.db", "SELECT task_id, map_index, state FROM task_instance")
    }
    assert set(states.values()) == {"success"}, log[log.find("[error") :][:10_000]
    assert code == 0
    expected = [[f"{name}@example.com"] if name in BY_EMAIL else [f"491701{name}"] for name in [*NAMES, "partial"]]
    expected += [["491701keyed"], ["491701234567"], ["u-1"]]
    assert sorted(users for users, _ in erased) == sorted(expected)
    assert sorted(bots for users, bots in erased if users == ["partial@example.com"]) == [["123"], ["456"]]
    shown = dict.fromkeys(
        json.loads(fields)["user_ids"]
        for (fields,) in rows(tmp_path / "airflow.db", "SELECT rendered_fields FROM rendered_task_instance_fields")
        if "user_ids" in json.loads(fields)
    )
    assert sorted(shown) == sorted(
        [
            *(
                f"user ids in {(tmp_path / name).as_uri()}.csv, column {'email' if name in BY_EMAIL else '2024'}"
                for name in [*NAMES, "keyed"]
            ),
            "1 user ids",
        ]
    )
