"""A sensor succeeds, fails or is skipped by what it waited for, and resumes with nothing else."""

import json
import re
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from erasing_users import ACCOUNT, Client
from playing_kore import http

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import RequestOutcome
from airflow_provider_kore.compat import AirflowRescheduleException, AirflowSensorTimeout, AirflowSkipException
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreResumeError, KoreWaitError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.sensors.erasure import KoreErasureSensor

OPEN, DONE = ["pending", "pending"], ["success", "success"]


class TaskInstance:
    """What a sensor uses of the running task instance."""

    task_id, map_index, dag_id, run_id, try_number = "wait", -1, "dag", "run", 1

    def __init__(self, first_reschedule=None):
        self.xcoms, self.first_reschedule = {}, first_reschedule

    def xcom_push(self, key, value):
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids, key, map_indexes):
        return self.xcoms.get(key)

    def get_first_reschedule_date(self, context):
        return self.first_reschedule


@pytest.fixture
def kore(monkeypatch):
    """Let Kore.ai answer each poll with these words of the two users."""

    def play(words):
        entries = [{"userId": f"u-{number}", "status": word} for number, word in enumerate(words)]
        ids = re.compile(r"eud-\d")
        client = Client(lambda request: http(200, {"_id": ids.search(request.path)[0], "response": entries}))
        monkeypatch.setattr(KoreHook, "account", ACCOUNT)
        monkeypatch.setattr(KoreHook, "get_conn", lambda self: nullcontext(client))
        return client

    return play


def sensor(request_id=None, **arguments):
    request_id = request_id or {"request_id": "eud-1", "user_count": 2}
    arguments = {"timeout": 3600.0, "deferrable": False, "mode": "poke"} | arguments
    return KoreErasureSensor(task_id="wait", request_id=request_id, **arguments)


def context_of(**more):
    return {"ti": TaskInstance(**more), "outlet_events": {}}


def run_of(task, context, *, resumes=False):
    return task._run(context | {"task": task}, resumes=resumes)


def received(days):
    return {"received_at": datetime.now(UTC) - timedelta(days=days), "regime": "gdpr"}


@pytest.mark.parametrize(
    ("soft_fail", "deadline", "error"),
    [
        (False, None, AirflowSensorTimeout),
        (True, None, AirflowSkipException),
        (True, received(days=5), AirflowSkipException),
        (True, received(days=90), AirflowSensorTimeout),
        (False, received(days=90), AirflowSensorTimeout),
    ],
)
def test_what_is_open_in_the_end_is_skipped_only_before_a_statutory_deadline(kore, soft_fail, deadline, error):
    client = kore(OPEN)
    run = run_of(sensor(soft_fail=soft_fail, deadline=deadline), context_of(), resumes=True)
    with pytest.raises(error):
        run.resume_late()
    assert len(client.requests) == 1


def test_users_who_are_in_no_request_fail_the_task_even_if_all_others_are_erased(kore):
    kore(DONE)
    output = {
        "requests": [{"request_id": "eud-1", "user_count": 2}],
        "user_count": 3,
        "bot_ids": ["st-1"],
        "all_bots": False,
    }
    end = run_of(sensor(output | {"user_count": 2}), context_of()).start()
    assert (end["erased"], end["not_erased"], end["bot_ids"], end["requests"]) == (2, 0, ["st-1"], output["requests"])
    with pytest.raises(Exception, match="1 users are in no request") as caught:
        run_of(sensor(output, soft_fail=True), context_of()).start()
    assert caught.value.consequence is Consequence.PARTLY_DONE


@pytest.mark.parametrize(
    ("seconds_ago", "error"),
    [(None, AirflowRescheduleException), (60, AirflowRescheduleException), (3700, AirflowSensorTimeout)],
)
def test_the_timeout_of_a_rescheduled_sensor_counts_from_its_first_start(kore, seconds_ago, error):
    kore(OPEN)
    first = None if seconds_ago is None else datetime.now(UTC) - timedelta(seconds=seconds_ago)
    with pytest.raises(error):
        run_of(sensor(mode="reschedule"), context_of(first_reschedule=first)).start()


def test_when_a_sensor_that_does_not_reschedule_started_is_not_asked_for(kore):
    kore(DONE)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    assert run_of(sensor(), context_of(first_reschedule=long_ago)).start()["erased"] == 2


@pytest.fixture
def deferred(kore):
    """A sensor that has left its worker while one of its two requests was open."""
    kore(OPEN)
    context = context_of()
    with pytest.raises(TaskDeferred) as caught:
        run_of(sensor(["eud-1", "eud-2"], deferrable=True, soft_fail=True), context).start()
    trigger = caught.value.trigger
    assert [request_id for request_id, _ in trigger.requests] == ["eud-1", "eud-2"]
    assert trigger.started + 1.0 <= trigger.first_poll <= trigger.deadline == trigger.started + 3600.0
    return context


def fired(*outcomes):
    return {
        "outcomes": [
            RequestOutcome(f"eud-{number}", outcome, understood=True).to_json()
            for number, outcome in enumerate(outcomes, start=1)
        ],
        "failure": None,
    }


def test_a_sensor_resumes_with_the_event_of_its_trigger(deferred):
    run = run_of(sensor(["eud-1", "eud-2"], deferrable=True), deferred, resumes=True)
    end = run.resume(fired(ErasureOutcome(2), ErasureOutcome(3)))
    assert (end["erased"], end["open"], end["not_erased"]) == (5, 0, 0)


@pytest.mark.parametrize("argument", ["request_id", "deadline"])
def test_a_sensor_that_is_refused_does_not_say_that_nothing_was_sent(kore, argument):
    client, waiting = kore(DONE), sensor()
    setattr(waiting, argument, 7)  # as a template renders
    with pytest.raises(KoreInputError) as caught:
        run_of(waiting, context_of()).start()
    assert caught.value.consequence is Consequence.ONLY_WAITS
    assert client.requests == []


def test_a_sensor_whose_requests_have_changed_does_not_resume(deferred):
    run = run_of(sensor(["eud-1", "eud-3"], deferrable=True), deferred, resumes=True)
    with pytest.raises(KoreResumeError) as caught:
        run.resume(fired(ErasureOutcome(2), ErasureOutcome(3)))
    assert caught.value.consequence is Consequence.ONLY_WAITS


def test_what_was_settled_before_the_triggerer_failed_is_remembered_and_nothing_is_skipped(deferred):
    waiting = sensor(["eud-1", "eud-2"], deferrable=True, soft_fail=True)
    with pytest.raises(TaskDeferred):
        run_of(waiting, deferred, resumes=True).resume(fired(ErasureOutcome(2), ErasureOutcome(open=1)))
    with pytest.raises(KoreWaitError, match="broke off"):
        run_of(waiting, deferred, resumes=True).resume_without_trigger()
    assert {name: deferred["ti"].xcoms["return_value"][name] for name in ("erased", "open", "not_erased")} == {
        "erased": 2,
        "open": 1,
        "not_erased": 0,
    }
