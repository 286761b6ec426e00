"""Erasures through a real Airflow: scheduler, workers, triggerer and API server, all of which may die."""

import re
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from airflow_provider_kore.api.users import digest
from demo.local_airflow import LocalAirflow
from demo.local_sandbox import LocalSandbox

ON_REQUEST = "kore_erase_on_request"
MORTAL = "kore_mortal"
TASK = "erase_users"


class People:
    """Made-up people whose ids are nowhere else, in a file with one a line."""

    def __init__(self, folder, count):
        self.mark = f"mark{uuid.uuid4().hex[:10]}"
        forms = (f"{self.mark}-{{}}@example.com", f"u-{self.mark}-{{}}", f"0155{self.mark}{{}}")
        self.ids = [forms[number % 3].format(number) for number in range(count)]
        self.file = folder / f"request-{uuid.uuid4().hex[:6]}.txt"
        self.file.write_text("\n".join(self.ids) + "\n")
        self.uri = self.file.as_uri()

    def requests(self, sandbox: LocalSandbox):
        """List the erase calls about these people that Kore received, each a list of ids."""
        calls = [entry["body"]["userIds"] for entry in sandbox.log() if entry["call"] == "erase" and entry["body"]]
        return [users for users in calls if self.mark in users[0]]

    def erased(self, sandbox: LocalSandbox):
        return sorted(user["user_id"] for user in sandbox.state()["erased"] if user["user_id"] in self.ids)


@pytest.fixture
def people(tmp_path):
    made = []

    def make(count):
        made.append(People(tmp_path, count))
        return made[-1]

    make.made = made
    return make


@pytest.fixture(autouse=True)
def forget_all(sandbox):
    """Go back to the first settings, and to windows that are free."""
    yield
    sandbox.reset()


def run(airflow: LocalAirflow, people: People, dag_id=ON_REQUEST, **conf):
    conf = {"users_from": people.uri} | ({"bot_ids": ["st-1"]} if dag_id == ON_REQUEST else {}) | conf
    return airflow.trigger(dag_id, conf)


def counts(output):
    return (output["erased"], output["open"], output["not_erased"])


def last_error(airflow, dag_id, run_id, try_number):
    entries = airflow.task_log_entries(dag_id, run_id, TASK, try_number)
    return [error for entry in entries for error in entry.get("error_detail") or []][-1]


# --- the main job ---------------------------------------------------------------------------------------------------


def test_three_users_are_submitted_waited_for_in_the_triggerer_and_erased(airflow, sandbox, people):
    three = people(3)
    run_id = run(airflow, three)
    airflow.wait_for_trigger(ON_REQUEST, run_id, TASK)
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "success"
    output = airflow.xcom(ON_REQUEST, run_id, TASK)
    assert output["requests"][0]["user_count"] == 3
    assert counts(output) == (3, 0, 0)
    assert three.erased(sandbox) == sorted(three.ids)
    log = airflow.task_log(ON_REQUEST, run_id, TASK)
    assert "3 of 3 users erased, 0 open, 0 not erased." in log  # by the trigger
    assert re.search(r"Outcome of each request:.*\\nall +3 +3 +0 +0", log)


def test_250_users_are_erased_in_three_batches(airflow, sandbox, people):
    many = people(250)
    run_id = run(airflow, many)
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "success"
    output = airflow.xcom(ON_REQUEST, run_id, TASK)
    assert [request["user_count"] for request in output["requests"]] == [100, 100, 50]
    assert counts(output) == (250, 0, 0)
    assert many.erased(sandbox) == sorted(many.ids)
    assert [user for users in many.requests(sandbox) for user in users] == many.ids


def test_two_refused_users_fail_the_run_and_a_retry_submits_only_those_two(airflow, sandbox, people, keys):
    many = people(250)
    refused = [many.ids[7], many.ids[8]]
    sandbox.change_settings(refuse=refused)
    run_id = run(airflow, many)
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "failed"
    assert counts(airflow.xcom(ON_REQUEST, run_id, TASK)) == (248, 0, 2)
    assert [len(users) for users in many.requests(sandbox)] == [100, 100, 50, 2]
    assert many.requests(sandbox)[3] == refused
    places = ", ".join(f"{many.ids.index(user) + 1} ({digest(user, keys['digest_key'])})" for user in refused)
    for try_number in (1, 2):
        error = last_error(airflow, ON_REQUEST, run_id, try_number)
        assert error["exc_type"] == "KoreNotErasedError"
        assert "248 erased, 0 open, 2 not erased, of 250" in error["exc_value"]
        assert f"position {places} of the batch" in airflow.task_log(ON_REQUEST, run_id, TASK, try_number)
    assert {entry["task_id"]: entry["state"] for entry in airflow.task_instances(ON_REQUEST, run_id)} == {
        TASK: "failed",
        "report": "upstream_failed",
    }

    sandbox.change_settings(refuse=[])
    airflow.clear_task(ON_REQUEST, run_id, TASK)
    airflow.wait_for_task_state(ON_REQUEST, run_id, TASK, "success", timeout=120)
    assert many.requests(sandbox)[4:] == [refused]
    assert counts(airflow.xcom(ON_REQUEST, run_id, TASK)) == (250, 0, 0)
    assert many.erased(sandbox) == sorted(many.ids)


def test_a_cleared_run_that_had_succeeded_calls_kore_no_more(airflow, sandbox, people):
    three = people(3)
    run_id = run(airflow, three)
    airflow.wait_for_run(ON_REQUEST, run_id)
    output, calls = airflow.xcom(ON_REQUEST, run_id, TASK), len(sandbox.log())
    airflow.clear_task(ON_REQUEST, run_id, TASK)
    deadline = time.monotonic() + 60
    while airflow.task_instance(ON_REQUEST, run_id, TASK)["try_number"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    airflow.wait_for_task_state(ON_REQUEST, run_id, TASK, "success")
    assert airflow.xcom(ON_REQUEST, run_id, TASK) == output
    assert len(sandbox.log()) == calls


def test_a_dry_run_sends_nothing(airflow, sandbox, people):
    three = people(3)
    run_id = run(airflow, three, dry_run=True)
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "success"
    assert airflow.xcom(ON_REQUEST, run_id, TASK)["dry_run"] is True
    assert "Nothing was sent" in airflow.task_log(ON_REQUEST, run_id, TASK)
    assert three.requests(sandbox) == []


@pytest.mark.parametrize("conf", [{"bot_ids": []}, {"all_bots": True}, {"bot_ids": [], "all_bots": True}])
def test_a_scope_that_is_not_allowed_is_refused(airflow, sandbox, people, conf):
    three = people(3)
    run_id = run(airflow, three, **conf)
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "failed"
    assert last_error(airflow, ON_REQUEST, run_id, 2)["exc_type"] == "KoreInputError"
    assert three.requests(sandbox) == []


# --- the other example DAGs -----------------------------------------------------------------------------------------


def test_the_erasure_follows_a_complete_export(airflow, sandbox, people, tmp_path):
    sandbox.change_settings(requests_per_minute=0, requests_per_hour=0)
    three = people(3)
    run_id = run(airflow, three, "kore_export_then_erase", export_to=(tmp_path / "out").as_uri(), bot_ids=["st-1"])
    assert airflow.wait_for_run("kore_export_then_erase", run_id) == "success"
    assert len(list((tmp_path / "out").glob("kd-*.jsonl"))) == 3
    assert three.erased(sandbox) == sorted(three.ids)


def test_nobody_is_erased_when_the_export_fails(airflow, sandbox, people, tmp_path):
    three = people(3)
    (tmp_path / "out").write_text("no folder")
    run_id = run(airflow, three, "kore_export_then_erase", export_to=(tmp_path / "out").as_uri(), bot_ids=["st-1"])
    assert airflow.wait_for_run("kore_export_then_erase", run_id) == "failed"
    assert airflow.task_instance("kore_export_then_erase", run_id, TASK)["state"] == "upstream_failed"
    assert three.requests(sandbox) == []


def test_the_daily_erasure_takes_the_file_of_the_day_before(airflow, sandbox, people, tmp_path):
    dag_id = "kore_erase_daily"
    conf = {"folder": (tmp_path / "requests").as_uri()}
    (tmp_path / "requests").mkdir()
    run_id = airflow.trigger(dag_id, conf)
    assert airflow.wait_for_run(dag_id, run_id) == "success"
    assert airflow.task_instance(dag_id, run_id, "submit")["state"] == "skipped"

    three = people(3)
    three.file.rename(tmp_path / "requests" / f"{datetime.now(UTC).date() - timedelta(days=1)}.txt")
    run_id = airflow.trigger(dag_id, conf)
    assert airflow.wait_for_run(dag_id, run_id) == "success"
    assert airflow.xcom(dag_id, run_id, "keep_count") == 3
    assert three.erased(sandbox) == sorted(three.ids)


def test_a_task_leaves_its_worker_while_the_budget_is_spent_and_waits_for_its_requests_in_rounds(
    airflow, sandbox, people
):
    # Airflow can fail a task that comes back from the triggerer before the scheduler knows that it left its worker.
    sandbox.add_fault(kind="latency", call="status", times=None, seconds=5)
    five = people(5)
    run_id = airflow.trigger("kore_scarce", {"users_from": five.uri})
    assert airflow.wait_for_run("kore_scarce", run_id) == "success"
    assert airflow.task_instance("kore_scarce", run_id, TASK)["try_number"] == 1
    assert five.requests(sandbox) == [[user_id] for user_id in five.ids]
    assert counts(airflow.xcom("kore_scarce", run_id, TASK)) == (5, 0, 0)
    log = airflow.task_log("kore_scarce", run_id, TASK)
    assert "the task leaves its worker, and resumes with batch 4 then" in log
    # Airflow keeps only the log of the last trigger.
    assert "3 requests are still open." in log
    assert "1 requests are still open." in log
    assert "1 of 1 users erased, 0 open, 0 not erased." in log


# --- crashes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dies", "defer", "received", "announced"),
    [
        ("before the intent", True, 1, False),
        ("before the DELETE", True, 1, True),
        ("between answer and store", True, 2, True),
        ("after the store", True, 1, False),
        ("while waiting", False, 1, False),
    ],
)
def test_a_killed_worker_loses_nobody(airflow, sandbox, people, tmp_path, dies, defer, received, announced):
    three = people(3)
    grave = tmp_path / "grave"
    run_id = run(airflow, three, MORTAL, dies=dies, defer=defer, grave=str(grave))
    assert airflow.wait_for_run(MORTAL, run_id) == "success"
    assert grave.exists()
    assert airflow.task_instance(MORTAL, run_id, TASK)["try_number"] == 2
    assert three.requests(sandbox) == [three.ids] * received
    assert set(three.erased(sandbox)) == set(three.ids)
    assert counts(airflow.xcom(MORTAL, run_id, TASK)) == (3, 0, 0)
    assert ("AMBIGUOUS" in airflow.task_log(MORTAL, run_id, TASK, 2)) is announced


def test_a_worker_that_dies_between_batches_goes_on_at_the_next(airflow, sandbox, people, tmp_path):
    many = people(250)
    run_id = run(airflow, many, MORTAL, dies="after the store", grave=str(tmp_path / "grave"))
    assert airflow.wait_for_run(MORTAL, run_id) == "success"
    assert [len(users) for users in many.requests(sandbox)] == [100, 100, 50]
    assert counts(airflow.xcom(MORTAL, run_id, TASK)) == (250, 0, 0)


def test_a_worker_that_is_killed_ten_times_loses_nobody_and_repeats_only_what_it_announces(
    airflow, sandbox, people, tmp_path
):
    sandbox.change_settings(requests_per_minute=0, requests_per_hour=0)
    many = people(10_000)
    grave = tmp_path / "grave"
    run_id = airflow.trigger("kore_often_killed", {"users_from": many.uri, "grave": str(grave)})
    assert airflow.wait_for_run("kore_often_killed", run_id) == "success"
    deaths = [line.rsplit(" ", 1) for line in grave.read_text().splitlines()]
    assert len(deaths) == 10
    assert airflow.task_instance("kore_often_killed", run_id, TASK)["try_number"] == 11

    numbers = {tuple(many.ids[start : start + 100]): str(start // 100 + 1) for start in range(0, 10_000, 100)}
    received = Counter(numbers[tuple(users)] for users in many.requests(sandbox))
    assert received.keys() == set(numbers.values())
    answer_lost = Counter(number for moment, number in deaths if moment == "before write_accepted")
    assert Counter({number: times - 1 for number, times in received.items() if times > 1}) == answer_lost

    logs = "".join(airflow.task_log("kore_often_killed", run_id, TASK, number) for number in range(1, 12))
    announced = set(re.findall(r"AMBIGUOUS: an earlier attempt sent batch (\d+) of 100", logs))
    assert announced == answer_lost.keys() | {number for moment, number in deaths if moment == "after write_intent"}
    assert set(many.erased(sandbox)) == set(many.ids)
    assert counts(airflow.xcom("kore_often_killed", run_id, TASK)) == (10_000, 0, 0)


def test_a_worker_whose_machine_dies_while_it_waits_loses_nothing(airflow, sandbox, people):
    sandbox.change_settings(duration=25)
    three = people(3)
    run_id = run(airflow, three, MORTAL, defer=False)
    while not three.requests(sandbox):
        time.sleep(0.2)
    airflow.kill_worker(MORTAL, run_id, TASK)
    assert airflow.wait_for_run(MORTAL, run_id) == "success"
    assert airflow.task_instance(MORTAL, run_id, TASK)["try_number"] == 2
    assert three.requests(sandbox) == [three.ids]
    assert counts(airflow.xcom(MORTAL, run_id, TASK)) == (3, 0, 0)


def test_a_killed_triggerer_loses_nothing(airflow, sandbox, people):
    sandbox.change_settings(duration=8)
    three = people(3)
    run_id = run(airflow, three)
    airflow.wait_for_trigger(ON_REQUEST, run_id, TASK)
    airflow.kill_component("triggerer")
    airflow.start_component("triggerer")
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "success"
    assert airflow.task_instance(ON_REQUEST, run_id, TASK)["try_number"] == 1
    assert three.requests(sandbox) == [three.ids]
    assert counts(airflow.xcom(ON_REQUEST, run_id, TASK)) == (3, 0, 0)


# --- what Airflow keeps ---------------------------------------------------------------------------------------------


def test_users_by_value_are_rendered_as_a_number(airflow, sandbox):
    run_id = airflow.trigger("kore_by_value")
    assert airflow.wait_for_run("kore_by_value", run_id) == "success"
    rendered = airflow.task_instance("kore_by_value", run_id, TASK)["rendered_fields"]
    assert rendered["user_ids"] == "3 user ids"


def test_no_user_secret_or_token_of_any_run_is_in_database_or_logs(airflow, sandbox, people):
    three = people(3)
    sandbox.change_settings(refuse=three.ids[:1])
    run_id = run(airflow, three)
    assert airflow.wait_for_run(ON_REQUEST, run_id) == "failed"
    kept = airflow.database_dump() + airflow.all_log_text()
    assert run_id in kept
    assert not re.search("mark[0-9a-f]{10}", kept)
    assert sandbox.connection["password"] not in kept
    for token in set(re.findall(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", kept)):
        assert "appId" not in jwt.decode(token, options={"verify_signature": False})
