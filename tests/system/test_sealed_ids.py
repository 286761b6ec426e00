"""User ids that are sealed by the command reach Kore.ai through Airflow's REST API, and are nowhere in Airflow."""

import json
import os
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import RunningSandbox, running_sandbox
from airflow_provider_kore.user_ids.seal_keys import ECKey, public_jwk
from airflow_provider_kore.user_ids.sealing import seal_user_ids

DAG = "kore_sealed"
EXAMPLE = Path(__file__).parents[2] / "dags" / "erase_sealed.sh"
PRIVATE = ec.derive_private_key(20261128, ec.SECP256R1())
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEY = ECKey.import_key(PEM)
TASKS = {"preview", "erase", "export", "verify", "find_text", "mapped", "decorated"}


class Found(NamedTuple):
    """The runs by what was sealed, the end of the good text, where each mark was seen, and what Kore.ai received."""

    runs: dict[str, str]
    marks: dict[str, str]
    sealed: str
    places: dict[str, set[str]]
    sandbox: RunningSandbox


def call_as_the_example_does(airflow, folder, lines):
    """Run the example call of the REST API, and return the run's id."""
    (folder / "public.json").write_text(json.dumps(public_jwk(KEY)))
    token = airflow._http.headers["Authorization"]
    (folder / "token.header").write_text(f"Authorization: {token}\n")
    command = ["sh", str(EXAMPLE), airflow.url, DAG, str(folder / "public.json"), str(folder / "token.header")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        input=lines,
        text=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PATH": path, "NO_PROXY": "*"},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)["dag_run_id"]


def scan(places, marks, texts):
    for name, text in texts:
        for mark in marks:
            if mark.lower() in text.lower():
                places.setdefault(mark, set()).add(name)


@pytest.fixture(scope="module")
def found(airflow, keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed")
    marks = {what: f"leak{secrets.token_hex(6)}" for what in ("good", "bad", "another DAG", "changed")}
    later = datetime.now(UTC) + timedelta(days=1)

    def seal(what, dag_id=DAG, more=()):
        return seal_user_ids([f"{marks[what]}@example.com", *more], KEY, dag_id, later)

    with running_sandbox(Settings(duration=6.0, requests_per_minute=0)) as sandbox:
        fields = {name: sandbox.connection[name] for name in ("conn_type", "host", "login", "password")}
        extra = {"requests_per_minute": 600, "seal_key_variable": "kore_seal", **keys}
        airflow.add_connection("sealed_kore", **fields, extra=json.dumps(extra))
        for name, value in {"kore_seal": PEM, "sealed_folder": folder.as_uri()}.items():
            airflow.call("POST", "/variables", json={"key": name, "value": value})
        airflow.wait_for_dag(DAG)
        airflow.unpause(DAG)
        pair = json.dumps({"channel_id": "slack", "channel_user_id": marks["good"]})
        runs = {
            "good": call_as_the_example_does(
                airflow, folder, f"{marks['good']}@example.com\n{pair}\nu-{marks['good']}\n"
            )
        }
        changed = seal("changed")
        for what, text in {
            "bad": seal("bad", more=[f"{marks['bad']},1"]),
            "another DAG": seal("another DAG", "kore_system"),
            "changed": changed[:-1] + ("A" if changed[-1] != "A" else "Q"),
        }.items():
            runs[what] = airflow.trigger(DAG, {"user_ids": text, "bot_ids": [f"st-{len(runs)}"]})
        (sealed,) = [run["conf"]["user_ids"][-60:] for run in airflow.runs(DAG) if run["dag_run_id"] == runs["good"]]
        places: dict[str, set[str]] = {}
        wanted = [*marks.values(), sealed]
        deadline = time.monotonic() + 300
        while not {airflow.run_state(DAG, run) for run in runs.values()} <= {"success", "failed"}:
            assert time.monotonic() < deadline
            scan(
                places,
                wanted,
                ((f"{table}.{column}", text) for table, column, text in airflow.database_values()),
            )
            time.sleep(2)
        scan(places, wanted, airflow.file_texts())
        yield Found(runs, marks, sealed, places, sandbox)


def states(airflow, run_id):
    return {instance["task_id"]: instance["state"] for instance in airflow.task_instances(DAG, run_id)}


def test_the_example_call_of_the_rest_api_erases_whom_it_sealed(airflow, found):
    run_id = found.runs["good"]
    assert states(airflow, run_id) == dict.fromkeys(TASKS, "success")
    erased = airflow.xcom(DAG, run_id, "erase")
    assert (erased["erased"], erased["verification"]["gone"]) == (3, 3)
    assert airflow.xcom(DAG, run_id, "verify")["gone"] == 3
    assert airflow.xcom(DAG, run_id, "export")["user_count"] == 3
    state = found.sandbox.state()
    assert sum(found.marks["good"] in str(user) for user in state.erased) >= 3


@pytest.mark.parametrize(
    ("what", "words"),
    [("bad", "item 2"), ("another DAG", "another DAG than kore_sealed"), ("changed", "not in the form|changed")],
)
def test_what_cannot_be_opened_erases_no_user(airflow, found, what, words):
    run_id = found.runs[what]
    assert set(states(airflow, run_id).values()) <= {"failed", "upstream_failed", "success"}
    assert [task for task, state in states(airflow, run_id).items() if state == "success"] == ["find_text"]
    entries = airflow.task_log_entries(DAG, run_id, "preview")
    (error,) = [detail for entry in entries for detail in entry.get("error_detail") or []]
    assert error["exc_type"] == "KoreInputError"
    assert any(word in error["exc_value"] for word in words.split("|"))
    assert found.marks[what] not in json.dumps([entry.body for entry in found.sandbox.log()])


def test_no_user_is_in_a_column_a_log_or_an_xcom(found):
    assert found.places.keys() == {found.sealed}


def test_the_sealed_text_is_where_a_typed_id_would_be_for_good(found):
    assert found.places[found.sealed] >= {"dag_run.conf", "log.extra", "airflow.db"}


def test_airflow_shows_that_the_user_ids_are_sealed(airflow, found):
    run_id = found.runs["good"]
    for task_id in ("preview", "erase", "export", "verify"):
        assert airflow.task_instance(DAG, run_id, task_id)["rendered_fields"]["user_ids"] == "sealed user ids"
    (conf,) = [run["conf"] for run in airflow.runs(DAG) if run["dag_run_id"] == run_id]
    assert conf["user_ids"].startswith("jwe:")


def test_no_log_shows_the_key(airflow, found):
    lines = [line for line in PEM.splitlines() if "---" not in line]
    secret = str(KEY.as_dict(private=True)["d"])
    for name, text in airflow.file_texts():
        if not name.startswith("airflow.db"):
            assert not [line for line in (*lines, secret) if line in text], name


def test_the_public_key_can_be_read_from_the_dag(airflow, found):
    schema = airflow.call("GET", f"/dags/{DAG}/details")["params"]["user_ids"]["schema"]
    assert schema["x-kore-seal"] == public_jwk(KEY)
