"""Sealed user ids in ``airflow dags test``, and so in ``dag.test()``."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_kore.user_ids.seal_keys import make_seal_key
from airflow_provider_kore.user_ids.sealing import seal_user_ids
from tests.integration.one_process_airflow import Airflow
from tests.integration.test_airflow_dags_test import no_user_in, people, sandbox, times_erased  # noqa: F401 # a fixture

DAG = "kore_sealed"
DAG_FILE = Path(__file__).parents[1] / "system" / "dags" / f"{DAG}.py"
TASKS = ["preview", "erase", "export", "verify", "find_text", "mapped0", "decorated"]
KEY = make_seal_key()


def dags_test(home, sandbox, text):  # noqa: F811
    dags = home / "dags"
    dags.mkdir()
    shutil.copy(DAG_FILE, dags)  # those beside it need a newer Airflow
    airflow = Airflow(home, dags, sandbox)
    environment = {
        "AIRFLOW_CONN_SEALED_KORE": airflow.environment["AIRFLOW_CONN_KORE_DEFAULT"],
        "AIRFLOW_VAR_SEALED_FOLDER": (home / "sealed").as_uri(),
    }
    connection = json.loads(environment["AIRFLOW_CONN_SEALED_KORE"])
    connection["extra"]["seal_key"] = KEY.as_pem(private=True).decode()
    environment["AIRFLOW_CONN_SEALED_KORE"] = json.dumps(connection)
    return airflow.dags_test(DAG, conf={"user_ids": text, "bot_ids": ["st-1"]}, **environment)


def test_sealed_users_are_erased_in_every_way_that_a_text_comes(home, sandbox):  # noqa: F811
    text = seal_user_ids(people("sealed"), KEY, DAG, datetime.now(UTC) + timedelta(hours=1))
    run = dags_test(home, sandbox, text)
    assert run.states == dict.fromkeys(TASKS, "success"), run.errors
    for task in ("erase", "mapped0", "decorated"):
        assert run.returned(task, "erased", "open", "not_erased") == (3, 0, 0)
    assert run.returned("export", "user_count") == (3,)
    assert times_erased(sandbox) == dict.fromkeys(people("sealed"), 3)
    assert no_user_in(run, people("sealed"))


def test_an_expired_text_erases_no_user(home, sandbox):  # noqa: F811
    text = seal_user_ids(people("sealed"), KEY, DAG, datetime.now(UTC) - timedelta(minutes=1))
    run = dags_test(home, sandbox, text)
    assert {run.states[task] for task in TASKS if task in run.states and task != "find_text"} <= {
        "failed",
        "upstream_failed",
    }
    assert "The sealed user ids have expired" in run.log
    assert times_erased(sandbox) == {}
    assert no_user_in(run, people("sealed"))
