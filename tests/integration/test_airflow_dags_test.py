"""
``airflow dags test``, and so ``dag.test()``: everything in one process, each trigger in line.

Airflow up to 3.3.2 gives a task that resumes there the event of its trigger, and nothing of ``defer(kwargs=…)``.
"""

import json
import sys
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from airflow import __version__ as airflow_version
from packaging.version import Version

from airflow_provider_kore.resumption import STATE_KEY
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from demo.airflow_client import AirflowClient
from demo.local_airflow import free_port
from demo.process_sessions import ProcessSessions
from tests.integration.one_process_airflow import PASSWORD, USER, Airflow

EXAMPLES = Path(__file__).parents[2] / "dags"
DAGS = Path(__file__).with_name("dags")
BOTS = ["st-1"]
WAITS_FOR_USERS = Version(airflow_version) >= Version("3.3.dev0")


@pytest.fixture
def sandbox():
    with running_sandbox(Settings(duration=1.5, requests_per_minute=0, requests_per_hour=0)) as sandbox:
        yield sandbox


def people(name, count=3):
    return [f"{name}-{number}@example.com" for number in range(count)]


def times_erased(sandbox):
    """Count how often each user was in an erase call."""
    users = [user for entry in sandbox.log() if entry.call == "erase" for user in entry.body["userIds"]]
    return {user: users.count(user) for user in users}


def session_ids(sandbox):
    return [entry.query.removeprefix("sessionId=") for entry in sandbox.log() if entry.call == "recordings"]


def write_lists(airflow, names, count):
    lists = {name: people(name, count) for name in names}
    for name, users in lists.items():
        airflow.write(f"{name}.txt", users)
    return [user for users in lists.values() for user in users]


def no_user_in(run, users):
    return [user for user in users if user in run.log or user in json.dumps([*run.xcoms.values()])] == []


def test_every_task_ends_well_in_every_mode(home, sandbox):
    airflow = Airflow(home, DAGS, sandbox)
    erases = ["erase_deferrable", "erase_in_worker", "decorated_deferrable", "decorated_in_worker"]
    users = write_lists(airflow, [*erases, "submit", "mapped_0", "mapped_1"], 3)
    run = airflow.dags_test("kore_every_task")
    kinds, modes = ("export", "recordings", "verify"), ("deferrable", "in_worker")
    modes = {f"{kind}_{mode}" for kind in kinds for mode in modes}
    waits = {"wait_deferrable", "wait_poke", "wait_reschedule"}
    assert run.states == dict.fromkeys([*erases, *modes, *waits, "submit", "mapped0", "mapped1"], "success"), run.errors
    for task in (*erases, *waits, "mapped0", "mapped1"):
        assert run.returned(task, "erased", "open", "not_erased") == (3, 0, 0)
    for task in ("verify_deferrable", "verify_in_worker"):
        assert run.returned(task, "gone", "found", "not_checkable") == (3, 0, 0)
    for task in ("erase_deferrable", "erase_in_worker"):
        assert run.returned(task, "verification")[0]["gone"] == 3
    for mode in ("deferrable", "in_worker"):
        assert run.returned(f"export_{mode}", "user_count") == (3,)
        assert run.returned(f"recordings_{mode}", "users_done", "failed") == (3, 0)
        assert len(list((home / f"receipts_{mode}").iterdir())) >= 3
    assert times_erased(sandbox) == dict.fromkeys(users, 1)
    deferred = {task for task, key in run.xcoms if key == STATE_KEY}
    assert deferred == {"erase_deferrable", "decorated_deferrable", "wait_deferrable", "mapped0", "mapped1"}
    assert no_user_in(run, users)


def test_every_task_ends_well_where_it_leaves_its_worker_since_the_budget_is_spent(home, sandbox):
    airflow = Airflow(home, DAGS, sandbox, requests_per_minute=3, requests_per_hour=5)
    users = write_lists(airflow, ["erase_deferrable", "decorated_deferrable", "mapped_0", "mapped_1"], 2)
    users += write_lists(airflow, ["submit"], 6)
    run = airflow.dags_test("kore_every_task", KORE_SPENT_BUDGET="1")
    tasks = ["erase_deferrable", "decorated_deferrable", "submit", "mapped0", "mapped1"]
    tasks += ["export_deferrable", "recordings_deferrable", "verify_deferrable", "wait_deferrable"]
    assert run.states == dict.fromkeys(tasks, "success"), run.errors
    assert run.returned("erase_deferrable", "erased", "open", "not_erased") == (2, 0, 0)
    assert run.returned("verify_deferrable", "gone") == (2,)
    assert run.returned("wait_deferrable", "erased", "open", "not_erased") == (6, 0, 0)
    assert run.xcoms["verify_deferrable", STATE_KEY]["usage"] is not None
    assert run.xcoms["submit", STATE_KEY]["phase"] == "submit"
    assert run.xcoms["erase_deferrable", STATE_KEY]["phase"] == "verify"
    assert run.xcoms["wait_deferrable", STATE_KEY]["phase"] == "wait"
    assert times_erased(sandbox) == dict.fromkeys(users, 1)
    assert no_user_in(run, users)


def test_users_who_are_not_erased_fail_the_run(home, sandbox):
    sandbox.configure(refuse=["refused@example.com"])
    airflow = Airflow(home, EXAMPLES, sandbox)
    users_from = airflow.write("users.txt", ["refused@example.com", "erased@example.com"])
    run = airflow.dags_test("kore_erase_on_request", conf={"users_from": users_from, "bot_ids": BOTS})
    assert run.states == {"erase_users": "failed", "report": "upstream_failed"}
    assert run.returned("erase_users", "erased", "not_erased") == (1, 1)


# --- the example DAGs, as they are ----------------------------------------------------------------------------------


def test_the_daily_example_ends_well(home, sandbox):
    airflow = Airflow(home, EXAMPLES, sandbox)
    today = datetime.now(UTC).date()
    for day in (today - timedelta(days=1), today):  # if midnight passes meanwhile, the day before is today
        airflow.write(f"{day}.txt", people("daily"))
    run = airflow.dags_test("kore_erase_daily", conf={"folder": home.as_uri(), "bot_ids": BOTS})
    assert run.states == dict.fromkeys(["find_requests", "submit", "wait", "keep_count"], "success"), run.errors
    assert run.xcoms["keep_count", "return_value"] == 3
    assert times_erased(sandbox) == dict.fromkeys(people("daily"), 1)


def test_the_example_on_request_ends_well(home, sandbox):
    airflow = Airflow(home, EXAMPLES, sandbox)
    conf = {"users_from": airflow.write("1234.txt", people("request")), "bot_ids": BOTS}
    run = airflow.dags_test("kore_erase_on_request", conf=conf)
    assert run.states == dict.fromkeys(["erase_users", "report"], "success"), run.errors
    assert run.returned("erase_users", "erased", "open", "not_erased") == (3, 0, 0)


def test_the_example_with_an_export_ends_well(home, sandbox):
    airflow = Airflow(home, EXAMPLES, sandbox)
    users_from = airflow.write("1234.txt", people("exported"))
    conf = {"users_from": users_from, "export_to": (home / "export").as_uri(), "bot_ids": BOTS}
    run = airflow.dags_test("kore_export_then_erase", conf=conf)
    assert run.states == dict.fromkeys(["export_users", "erase_users", "answer"], "success"), run.errors
    assert (home / "export" / "manifest.json").exists()
    assert times_erased(sandbox) == dict.fromkeys(people("exported"), 1)


@pytest.mark.parametrize("is_deletable", [True, False])
def test_the_example_with_recordings_erases_only_whose_recordings_are_deleted(home, sandbox, is_deletable):
    sandbox.configure(bot_client_id="cs-bot", recordings_granted=is_deletable)
    airflow = Airflow(home, EXAMPLES, sandbox)
    app = {"login": "cs-bot", "password": sandbox.settings.bot_client_secret}
    recordings = {"AIRFLOW_CONN_KORE_RECORDINGS": json.dumps(sandbox.connection | app)}
    users_from = airflow.write("1234.txt", people("recorded"))
    conf = {"users_from": users_from, "export_to": (home / "export").as_uri(), "bot_ids": BOTS}
    run = airflow.dags_test("kore_erase_with_recordings", conf=conf, **recordings)
    deleted = [recordings.name for recordings in sandbox.state().deleted_recordings]
    if is_deletable:
        tasks = ["export_users", "delete_recordings", "erase_users"]
        assert run.states == dict.fromkeys(tasks, "success"), run.errors
        assert run.returned("delete_recordings", "sessions", "deleted", "failed") == (6, 6, 0)
        assert sorted(deleted) == sorted(people("recorded") * 2)
        assert times_erased(sandbox) == dict.fromkeys(people("recorded"), 1)
    else:
        assert (run.states["delete_recordings"], run.states["erase_users"]) == ("failed", "upstream_failed")
        assert (deleted, times_erased(sandbox)) == ([], {})
    assert no_user_in(run, [*people("recorded"), *session_ids(sandbox)])


@contextmanager
def approving_user(airflow, dag):
    """Approve what the task ``approve`` waits for, in an API server beside, as a user does in Airflow's UI."""
    (airflow.home / "passwords.json").write_text(json.dumps({USER: PASSWORD}))
    port = free_port()
    client = AirflowClient(f"http://127.0.0.1:{port}", USER, PASSWORD)
    over = threading.Event()

    def approve():
        answer = {"chosen_options": ["Approve"], "params_input": {}}
        while not over.wait(0.5):
            with suppress(httpx.HTTPError, RuntimeError, ValueError):  # the last: there is no run yet
                client.log_in()
                (run,) = client.runs(dag)
                path = f"/dags/{dag}/dagRuns/{quote(run['dag_run_id'])}/taskInstances/approve/-1/hitlDetails"
                client.call("PATCH", path, json=answer)
                return

    thread = threading.Thread(target=approve)
    with ProcessSessions() as sessions:
        command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
        sessions.start(command, airflow.environment, airflow.home / "api-server.log")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            client.close()


def approval_form(airflow):
    return {
        "users_from": airflow.write("1234.txt", people("approved")),
        "bot_ids": BOTS,
        "received_at": datetime.now(UTC).date().isoformat(),
        "folder": (airflow.home / "folder").as_uri(),
    }


@pytest.mark.skipif(not WAITS_FOR_USERS, reason="Airflow's ApprovalOperator fails in dags test before 3.3")
def test_the_example_with_an_approval_ends_well_once_a_user_has_approved(home, sandbox):
    airflow = Airflow(home, EXAMPLES, sandbox)
    conf = approval_form(airflow)
    with approving_user(airflow, "kore_erase_with_approval"):
        run = airflow.dags_test("kore_erase_with_approval", conf=conf)
    assert run.states == dict.fromkeys(["preview", "approve", "export", "erase"], "success"), run.errors
    assert run.returned("erase", "erased", "open", "not_erased") == (3, 0, 0)
    assert run.returned("erase", "verification")[0]["gone"] == 3
    assert times_erased(sandbox) == dict.fromkeys(people("approved"), 1)
    assert list((home / "folder" / "receipts").iterdir())


@pytest.mark.parametrize(
    ("arguments", "approve"),
    [
        pytest.param(["--mark-success-pattern", "approve"], "success", id="skipped"),
        pytest.param(
            [],
            "failed",
            id="not possible",
            marks=pytest.mark.skipif(WAITS_FOR_USERS, reason="Airflow 3.3 and newer wait for a user"),
        ),
    ],
)
def test_without_an_approval_the_example_erases_nobody(home, sandbox, arguments, approve):
    airflow = Airflow(home, EXAMPLES, sandbox)
    run = airflow.dags_test("kore_erase_with_approval", *arguments, conf=approval_form(airflow))
    assert run.states["approve"] == approve
    assert run.states["erase"] in ("failed", "upstream_failed")
    assert times_erased(sandbox) == {}
