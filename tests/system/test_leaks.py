"""Airflow keeps no users that a task is given by reference, and others only where the author put them."""

import json
import re
import secrets
import sqlite3
import time
import uuid
from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import RunningSandbox, running_sandbox

BY_REFERENCE = {
    "text": None,
    "csv": None,
    "sql": None,
    "called": None,
    "decorated": None,
    "decorated_uri": None,
    "decorated_mapped": None,
    "not_deferred": None,
    "dry_run": None,
    "submitted": None,
    "sensor": None,
    "refused": "KoreNotErasedError",
    "echoed": "KoreRequestError",
    "truncated": "AirflowSensorTimeout",
    "timed_out": "AirflowSensorTimeout",
    "not_utf8": "KoreInputError",
    "not_json": "KoreInputError",
    "proven": None,
    "left_behind": "KoreFoundError",
    "member": "KoreInputError",
    "found": "KoreFoundError",
    "not_checkable": "KoreVerificationError",
    "exported": None,
    "miscounted": "KoreExportError",
    "recorded": None,
    "recorded_echoed": "KoreRequestError",
}
"""The error with which each task ends."""

HISTORY = ("sessions", "messages", "messages-lite")
"""The calls by which a user is searched for."""

BY_VALUE = {
    "literal": None,
    "mapped_literal": None,
    "typed": "KoreNotErasedError",
    "pulled": None,
    "mapped": None,
}

DECORATED = {"decorated": [2], "decorated_uri": [1], "decorated_mapped": [1, 1]}
"""How many batches each instance has of a task whose users a decorated function names."""

DAGS = {"kore_leaks_by_reference": BY_REFERENCE, "kore_leaks_by_value": BY_VALUE}

RETURNED = {"xcom.value", "log: Returned value was", "log: msg=SetXCom("}
KEPT = {
    "literal": {"dag_code.source_code"},
    "mapped_literal": {"dag_code.source_code", "serialized_dag.data"},
    "typed": {"dag_run.conf", "log.extra", "log: Updating task params", "log: msg=StartupDetails("},
    "pulled": RETURNED,
    "mapped": RETURNED,
}
"""Where Airflow itself keeps users given by value: where the author put them, and in these messages of its logs."""

AIRFLOWS_MESSAGES = (
    "Returned value was",  # of a Python task about itself, at INFO
    "msg=SetXCom(",  # these at DEBUG
    "Updating task params",
    "msg=StartupDetails(",
)

SHOWING_REQUEST_IDS = {
    "rendered_task_instance_fields.rendered_fields",
    "task_state_store.value",
    "trigger.kwargs",
    "xcom.value",
}

DURATION = 10.0
"""Of an erasure, in seconds. A busy Airflow may fail a task that comes back from the triggerer within 5 s."""

TRUNCATIONS = (
    {"kind": "truncated-json", "call": "erase"},
    {"kind": "truncated-json", "call": "status", "times": None},
)
"""The first attempt does not learn whether Kore.ai accepted, and the second not the outcome."""

MARK = re.compile("leak[0-9a-f]{12}", re.IGNORECASE)
LITERAL = re.compile(r'^(\w*LITERAL) = "(\w+)@', re.MULTILINE)


class Found(NamedTuple):
    """The places of each mark, the local part of one task's addresses; columns with request ids; places of sessions."""

    marks: dict[str, str]
    runs: dict[str, str]
    places: dict[str, set[str]]
    request_ids: set[str]
    folder: Path
    sandbox: RunningSandbox
    sessions: dict[str, set[str]]


def marks_in(text):
    """Find the local parts of addresses, which are in every form of them."""
    return {mark.lower() for mark in MARK.findall(text)}


def make_marks():
    source = Path(__file__).with_name("dags") / "kore_leaks.py"
    literals = {name.lower(): mark for name, mark in LITERAL.findall(source.read_text())}
    channels = [task for tasks in DAGS.values() for task in tasks]
    return {channel: literals.get(channel) or f"leak{uuid.uuid4().hex[:12]}" for channel in channels}


def write_sources(folder, marks):
    for channel, mark in marks.items():
        (folder / f"{channel}.txt").write_text(f"{mark}@example.com\nu-{mark}\n")
    (folder / "csv.csv").write_text(f"name,email\nSomebody,{marks['csv']}@example.com\n")
    (folder / "not_utf8.txt").write_bytes(b"%s@example.com\n%s\xff@example.com\n" % ((marks["not_utf8"].encode(),) * 2))
    (folder / "not_json.jsonl").write_text(f'"{marks["not_json"]}@example.com"\n"{marks["not_json"]}@example.com\n')
    with closing(sqlite3.connect(folder / "people.db")) as database, database:
        database.execute("CREATE TABLE people (email TEXT)")
        database.execute("INSERT INTO people VALUES (?)", (f"{marks['sql']}@example.com",))


def add_kore(airflow, stack, conn_id, receipt_key, faults=(), **settings):
    """Start a sandbox that misbehaves for nobody else, with a secret of its own, and make it a connection."""
    settings = {"duration": DURATION, "requests_per_minute": 0, "client_secret": secrets.token_hex(32)} | settings
    sandbox = stack.enter_context(running_sandbox(Settings(**settings)))
    for fault in faults:
        sandbox.fail(**fault)
    fields = {name: sandbox.connection[name] for name in ("conn_type", "host", "login", "password")}
    extra = {"requests_per_minute": 600, "digest_key": secrets.token_hex(16), "receipt_key": receipt_key}
    airflow.add_connection(conn_id, **fields, extra=json.dumps(extra))
    return sandbox


def scan_database(airflow, found):
    for table, column, text in airflow.database_values():
        place = f"{table}.{column}"
        for mark in marks_in(text):
            found.places[mark].add(place)
        if "eud-" in text:
            found.request_ids.add(place)


def scan_files(airflow, found):
    for name, text in airflow.file_texts():
        if not marks_in(text):
            continue
        if name.startswith("airflow.db"):
            for mark in marks_in(text):
                found.places[mark].add("database file")
        else:
            for line in text.splitlines():
                message = next((message for message in AIRFLOWS_MESSAGES if message in line), f"{name}: {line}")
                for mark in marks_in(line):
                    found.places[mark].add(f"log: {message}")


def scan_for_sessions(airflow, found, sandboxes):
    """Search for the sessions whose recordings were to be deleted."""
    calls = [entry for sandbox in sandboxes for entry in sandbox.log() if entry.call == "recordings"]
    found.sessions.update({entry.query.removeprefix("sessionId="): set() for entry in calls})
    texts = [(f"{table}.{column}", text) for table, column, text in airflow.database_values()]
    for place, text in [*texts, *airflow.file_texts()]:
        for session, places in found.sessions.items():
            if session in text:
                places.add(place)


@pytest.fixture(scope="module")
def found(airflow, keys, tmp_path_factory):
    """Run all tasks, and look for their users in all that Airflow keeps, meanwhile and afterwards."""
    marks = make_marks()
    folder = tmp_path_factory.mktemp("leaks")
    write_sources(folder, marks)
    with ExitStack() as stack:
        refuse = (f"*{marks['refused']}*", f"*{marks['typed']}*")
        echoes = {call: {"kind": "echo", "call": call, "times": None} for call in ("erase", *HISTORY)}

        def add(conn_id, faults=(), **settings):
            return add_kore(airflow, stack, conn_id, keys["receipt_key"], faults, **settings)

        sandbox = add("leaks_kore")
        add("leaks_kore_refusing", refuse=refuse)
        add("leaks_kore_echoing", [echoes["erase"]])
        add("leaks_kore_truncating", TRUNCATIONS)
        add("leaks_kore_slow", duration=600.0)
        add("leaks_kore_leaving", leave_behind=(f"*{marks['left_behind']}*",))
        add("leaks_kore_membered", members=(f"u-{marks['member']}",))
        add("leaks_kore_echoing_history", [echoes[call] for call in HISTORY])
        add("leaks_kore_miscounting", wrong_total=1)
        recording = add("leaks_kore_echoing_recordings", [{"kind": "echo", "call": "recordings", "times": None}])
        airflow.add_connection("leaks_people", conn_type="sqlite", host=str(folder / "people.db"))

        conf = {"folder": folder.as_uri()}
        by_reference, by_value = DAGS
        runs = {
            by_reference: airflow.trigger(by_reference, conf),
            by_value: airflow.trigger(by_value, conf | {"users": [f"{marks['typed']}@example.com"]}),
        }
        found = Found(marks, runs, defaultdict(set), set(), folder, sandbox, {})
        deadline = time.monotonic() + 240
        while not {airflow.run_state(*run) for run in runs.items()} <= {"success", "failed"}:
            assert time.monotonic() < deadline
            scan_database(airflow, found)
            time.sleep(1)
    scan_database(airflow, found)
    scan_files(airflow, found)
    scan_for_sessions(airflow, found, [sandbox, recording])
    return found


@pytest.mark.parametrize(
    "form",
    [
        "leak0123456789ab@example.com",
        "LEAK0123456789AB@EXAMPLE.COM",
        "leak0123456789ab%40example.com",
        "u-leak0123456789ab",
    ],
)
def test_a_user_is_found_in_every_form(form):
    assert marks_in(f"…{form}…") == {"leak0123456789ab"}


def test_what_triggers_events_records_and_rendered_fields_hold_can_be_read(found):
    assert found.request_ids >= SHOWING_REQUEST_IDS


@pytest.mark.parametrize(("dag_id", "task_id"), [(dag_id, task_id) for dag_id in DAGS for task_id in DAGS[dag_id]])
def test_a_task_ends_as_it_is_meant_to_and_returns_nobody(airflow, found, dag_id, task_id):
    run_id, error = found.runs[dag_id], DAGS[dag_id][task_id]
    instances = [instance for instance in airflow.task_instances(dag_id, run_id) if instance["task_id"] == task_id]
    assert instances
    for instance in instances:
        of_instance = {"map_index": instance["map_index"]}
        entries = airflow.task_log_entries(dag_id, run_id, task_id, instance["try_number"], **of_instance)
        errors = [detail["exc_type"] for entry in entries for detail in entry.get("error_detail") or []]
        assert (instance["state"], errors[-1:]) == (("failed", [error]) if error else ("success", []))
        assert marks_in(json.dumps(airflow.xcoms(dag_id, run_id, task_id, **of_instance))) == set()


@pytest.mark.parametrize("task_id", BY_REFERENCE)
def test_users_by_reference_are_nowhere(found, task_id):
    assert found.places[found.marks[task_id]] == set()


def test_sessions_whose_recordings_are_deleted_are_nowhere(found):
    assert len(found.sessions) == 2 * 2 + 1  # of two users of one task, and of one user of the task that failed
    assert set().union(*found.sessions.values()) == set()


@pytest.mark.parametrize("task_id", DECORATED)
def test_whom_a_decorated_function_names_is_erased_by_a_task_that_was_deferred(airflow, found, task_id):
    dag_id, mark = "kore_leaks_by_reference", found.marks[task_id]
    erased = [user.user_id for user in found.sandbox.state().erased if mark in user.user_id]
    assert sorted(erased) == [f"{mark}@example.com", f"u-{mark}"]
    run_id, batches = found.runs[dag_id], []
    for instance in airflow.task_instances(dag_id, run_id):
        if instance["task_id"] == task_id:
            of_instance = {"map_index": instance["map_index"]}
            batches.append(len(airflow.xcom(dag_id, run_id, task_id, **of_instance)["requests"]))
            assert "Pausing task as DEFERRED" in airflow.task_log(dag_id, run_id, task_id, **of_instance)
    assert batches == DECORATED[task_id]


def test_what_kore_has_of_a_person_is_in_the_files_of_an_export_and_nowhere_else(found):
    files = [file for folder in ("exported", "receipts") for file in (found.folder / folder).iterdir()]
    holding = {file for file in files if marks_in(file.name + file.read_text())}
    assert len(holding) == 2
    assert {file.suffix for file in holding} == {".jsonl"}
    assert all(marks_in(file.read_text()) == {found.marks["exported"]} for file in holding)
    assert not any(marks_in(file.name) for file in files)
    assert {"manifest.json", "export.json"} < {file.name for file in files}
    assert len([file for file in files if file.suffix == ".jws"]) == 2


@pytest.mark.parametrize("task_id", BY_VALUE)
def test_users_by_value_are_only_where_the_author_put_them(found, task_id):
    assert found.places[found.marks[task_id]] == KEPT[task_id] | {"database file"}
