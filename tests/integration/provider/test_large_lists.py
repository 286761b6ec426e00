"""Lists of many batches: read twice, submitted one by one, waited for in rounds; against a sandbox."""

import json
import logging
import time
import uuid
from datetime import timedelta

import pytest

from airflow_provider_kore.api.users import digest
from airflow_provider_kore.erasure import run as erasure_run
from airflow_provider_kore.erasure import wait as progress
from airflow_provider_kore.erasure.ledger import BATCHES_TOGETHER
from airflow_provider_kore.erasure.store import HEADER_KEY
from airflow_provider_kore.exceptions import KoreInputError, KoreNotErasedError, KoreResumeError, KoreWaitError
from airflow_provider_kore.triggers.erasure import KoreErasureTrigger
from airflow_provider_kore.user_ids import UserIdSource
from tests.integration.provider import task_runner
from tests.integration.provider.conftest import erasures, most_calls_in
from tests.integration.provider.task_runner import FakeStore

PEOPLE = [f"person{number}@example.com" for number in range(1, 12)]


@pytest.fixture
def small_rounds(monkeypatch):
    """Let a trigger take two requests at once."""
    for module in (erasure_run,):
        monkeypatch.setattr(module, "REQUESTS_AT_ONCE", 2)
        monkeypatch.setattr(module, "POLLED_FIRST", 2)


class ChangingUserIds(UserIdSource):
    """Give other users at each reading."""

    def __init__(self, *readings):
        self.readings = list(readings)

    def __repr__(self):
        return "users that change"

    def read(self):
        reading = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        for user_id in reading:
            if isinstance(user_id, Exception):
                raise user_id
            yield user_id


class CountingStore(FakeStore):
    """Count how often the records of the first fifty batches are read."""

    readings = 0

    def get(self, key, default=None):
        self.readings += key == f"{HEADER_KEY}_batches_1"
        return super().get(key, default)


def counts(output):
    return (output["erased"], output["open"], output["not_erased"])


# --- rounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["new", None], ids=["with a store", "before Airflow 3.3"])
def test_many_requests_are_waited_for_in_rounds(erase, sandbox, small_rounds, store, caplog):
    caplog.set_level(logging.INFO)
    task = erase(PEOPLE, batch_size=2, deferrable=True, store=store)
    end = task.run()
    assert end.state == "success", end.text
    assert counts(end.output) == (11, 0, 0)
    assert [len(deferral["trigger"]["requests"]) for deferral in end.deferrals] == [2, 2, 2]
    assert len(erasures(sandbox)) == 6
    assert sorted(user.user_id for user in sandbox.state().erased) == sorted(PEOPLE)
    left = [message for message in caplog.messages if "still open" in message]
    assert left == ["4 requests are still open.", "2 requests are still open."]


def test_the_sensor_waits_for_many_requests_in_rounds(wait, submitted, small_rounds):
    output = submitted(PEOPLE, batch_size=2)
    end = wait(output, deferrable=True).run()
    assert end.state == "success", end.text
    assert end.output == output | {"erased": 11, "open": 0, "not_erased": 0}
    assert [len(deferral["trigger"]["requests"]) for deferral in end.deferrals] == [2, 2, 2]


def test_one_task_waits_for_thousands_of_requests(wait, submitted):
    output = submitted([f"person-{number}@example.com" for number in range(2_000)], batch_size=1)
    end = wait(output, deferrable=True, timeout=120).run()
    assert end.state == "success", end.text
    assert counts(end.output) == (2_000, 0, 0)
    assert [len(deferral["trigger"]["requests"]) for deferral in end.deferrals] == [500, 500, 500, 500]


def test_a_request_that_stays_open_does_not_keep_the_others_waiting(erase, sandbox, small_rounds, monkeypatch):
    """It goes to the back of the queue when its round ends."""
    monkeypatch.setattr(progress, "ROUND", timedelta(seconds=0.3))
    sandbox.configure(duration=2)

    def users():
        yield PEOPLE[0]
        sandbox.configure(duration=2 if not erasures(sandbox) else 0.1)
        yield from PEOPLE[1:5]

    end = erase(users, batch_size=1, deferrable=True).run()
    assert end.state == "success", end.text
    slow, *quick = [request["request_id"] for request in end.output["requests"]]
    rounds = [[request_id for request_id, _ in deferral["trigger"]["requests"]] for deferral in end.deferrals]
    assert rounds[0] == [slow, quick[0]]
    assert rounds[1] == quick[1:3]
    assert rounds[2] == [quick[3], slow]


@pytest.mark.parametrize("task_waits", [True, False], ids=["operator", "sensor"])
def test_at_the_deadline_every_request_of_every_round_was_looked_at(
    erase, wait, submitted, sandbox, small_rounds, monkeypatch, task_waits
):
    monkeypatch.setattr(progress, "ROUND", timedelta(seconds=0.2))
    sandbox.configure(duration=60)
    if task_waits:
        end = erase(PEOPLE, batch_size=3, deferrable=True, timeout=1.5).run()
    else:
        end = wait(submitted(PEOPLE, batch_size=3), deferrable=True, timeout=1.5).run()
    assert type(end.error).__name__ == "AirflowSensorTimeout"
    assert counts(end.output) == (0, 11, 0)
    assert all(request["request_id"] in end.text for request in end.output["requests"])
    looks = [entry.path.rsplit("/", 1)[1] for entry in sandbox.log() if entry.call == "status"]
    last_looks = looks[-4:]
    assert sorted(last_looks) == sorted(request["request_id"] for request in end.output["requests"])


def test_people_not_erased_in_an_early_round_fail_the_task_after_the_last(erase, sandbox, connection, small_rounds):
    connection(extra__digest_key="held apart")
    sandbox.configure(refuse=[PEOPLE[0], PEOPLE[9]])
    task = erase(PEOPLE, batch_size=2, deferrable=True, retries=1)
    end = task.run()
    assert isinstance(end.error, KoreNotErasedError)
    assert counts(end.output) == (9, 0, 2)
    assert end.output["not_erased_users"] == [
        {"batch": 1, "position": 1, "digest": digest(PEOPLE[0], "held apart")},
        {"batch": 5, "position": 2, "digest": digest(PEOPLE[9], "held apart")},
    ]
    assert f"batch 5 position 2 ({digest(PEOPLE[9], 'held apart')})" in end.text
    sandbox.configure(refuse=[])
    assert task.run().state == "success"
    assert erasures(sandbox)[6:] == [[PEOPLE[0]], [PEOPLE[9]]]


def test_without_a_digest_key_people_are_named_by_place(erase, sandbox):
    sandbox.configure(refuse=PEOPLE[4:5])
    end = erase(PEOPLE, batch_size=3).run()
    assert end.output["not_erased_users"] == [{"batch": 2, "position": 2}]
    assert "batch 2 position 2." in end.text
    assert not any(person in json.dumps(end.output) + end.text for person in PEOPLE)


def test_a_wait_that_breaks_off_counts_the_rounds_that_did_not_come(wait, submitted, connection, small_rounds):
    output = submitted(PEOPLE, batch_size=2)
    task = wait(output, deferrable=True)
    make = task._make_operator
    made = []

    def make_with_another_key():
        made.append(None)
        if len(made) == 2:
            connection(password="wrong")
        return make()

    task._make_operator = make_with_another_key
    end = task.run()
    assert type(end.error).__name__ == "KoreAuthenticationError"
    assert counts(end.output) == (4, 7, 0)


def test_requests_that_are_not_those_of_the_round_are_refused(erase, sandbox, small_rounds):
    task = erase(PEOPLE, batch_size=2, deferrable=True)
    make = task._make_operator

    class Forgetful(type(make())):
        def resume(self, context, event=None):
            event["outcomes"].pop()
            return super().resume(context, event)

    def forgetful():
        operator = make()
        operator.__class__ = Forgetful
        return operator

    task._make_operator = forgetful
    end = task.run()
    assert isinstance(end.error, KoreWaitError)
    assert counts(end.output) == (0, 11, 0)


def test_what_a_trigger_is_made_of_fits_into_the_smallest_column_for_it():
    """MySQL's holds 64 kB, and what is in it is encrypted."""
    from airflow.models.trigger import Trigger

    requests = [[f"eud-{uuid.uuid4()}", 100] for _ in range(progress.REQUESTS_AT_ONCE)]
    _, arguments = KoreErasureTrigger(requests, "kore_default", time.time(), time.time(), 60.0, time.time()).serialize()
    assert len(Trigger.encrypt_kwargs(arguments)) < 65_535


def test_the_records_of_batches_of_a_hundred_fit_into_what_the_store_takes(erase, sandbox, connection):
    connection(extra__max_users=100_000, extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000)
    sandbox.configure(duration=0, refuse=["owner-*"])
    task = erase([f"{('person', 'owner')[number % 2]}-{number}" for number in range(100 * (BATCHES_TOGETHER + 1))])
    task.run()
    sizes = {key: len(value) for key, value in task.store.values.items()}
    assert len(sizes) == 3
    assert max(sizes.values()) < 65_535


# --- what a store that fails leaves to carry -------------------------------------------------------------------------


def test_a_record_that_could_not_be_stored_goes_along_to_the_triggerer_and_back(erase, sandbox, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sandbox.configure(duration=1.5)  # so that the first look, before the task defers, does not find all done
    task = erase(PEOPLE, batch_size=4, deferrable=True, retries=1)
    write = task.store.set

    def fail_once_accepted(key, value, **retention):
        if "batches" in key and value[-1]["state"] == "accepted":
            raise ConnectionError("the API server is away")
        write(key, value, **retention)

    task.store.set = fail_once_accepted
    end = task.run()
    assert end.state == "success", end.text
    assert len(end.deferrals) == 1
    assert counts(end.output) == (11, 0, 0)
    assert task.run().output["requests"] == end.output["requests"]
    assert len(erasures(sandbox)) == 3


# --- a budget that is spent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [CountingStore(), None], ids=["with a store", "before Airflow 3.3"])
def test_a_task_leaves_its_worker_while_the_budget_is_spent_and_keeps_to_it_when_it_comes_back(
    erase, sandbox, scarce, store
):
    people = PEOPLE[:7]
    task = erase(people, batch_size=1, deferrable=True, wait_for_completion=False, store=store)
    end = task.run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [[person] for person in people]
    assert len(end.output["requests"]) == 7
    assert len(end.deferrals) >= 2
    assert {deferral["state"]["phase"] for deferral in end.deferrals} == {"submit"}
    assert not any(person in json.dumps(end.deferrals) for person in people)
    assert most_calls_in(2.0, sandbox) <= 4
    assert most_calls_in(4.0, sandbox) <= 6
    assert store is None or store.readings == len(end.deferrals)


def test_a_task_that_must_not_defer_waits_for_its_turns_in_the_worker(erase, sandbox, scarce):
    end = erase(PEOPLE[:6], batch_size=1, wait_for_completion=False).run()
    assert end.state == "success", end.text
    assert end.deferrals == []
    assert len(erasures(sandbox)) == 6


def test_a_turn_that_comes_after_the_deadline_is_not_waited_for(erase, sandbox, scarce):
    end = erase(PEOPLE[:5], batch_size=1, deferrable=True, wait_for_completion=False, timeout=1).run()
    assert type(end.error).__name__ == "KoreThrottledError"
    assert end.deferrals == []
    assert len(erasures(sandbox)) == 4


def test_what_a_batch_was_refused_for_before_a_break_fails_the_task_after_it_and_is_not_repeated(
    erase, sandbox, scarce
):
    sandbox.configure(refuse=PEOPLE[:1], refusal="whole-request")
    end = erase(PEOPLE[:6], batch_size=1, deferrable=True, wait_for_completion=False).run()
    assert type(end.error).__name__ == "KoreRequestError"
    assert "Batch 1 of 6" in end.text
    assert erasures(sandbox) == [[person] for person in PEOPLE[:6]]
    assert len(end.output["requests"]) == 5


@pytest.mark.parametrize("changed", [PEOPLE[::-1], PEOPLE[:-1], [*PEOPLE[:4], ""], []])
def test_a_source_that_changes_during_the_break_ends_the_submission_but_not_the_waiting(
    erase, sandbox, scarce, changed
):
    end = erase(ChangingUserIds(PEOPLE, PEOPLE, changed), batch_size=1, deferrable=True).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert counts(end.output) == (4, 0, 7)
    assert "No batch from number 5 on was sent in this attempt." in end.text
    assert erasures(sandbox) == [[person] for person in PEOPLE[:4]]


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("error", ["Trigger failure", "Trigger timeout"])
def test_a_task_that_the_triggerer_does_not_bring_back_says_what_is_left_to_submit(
    erase, sandbox, scarce, error, waits
):
    task = erase(PEOPLE[:6], batch_size=1, deferrable=True, wait_for_completion=waits, timeout=100)
    event, task_runner._first_event = task_runner._first_event, None
    try:
        with pytest.raises(TypeError):
            task.run()
    finally:
        task_runner._first_event = event
    end = task.run_failed_trigger(error)
    assert "2 batches left to submit" in end.text
    assert "Clear the task to resume." in end.text
    assert len(end.output["requests"]) == 4
    if waits:
        assert end.output["not_erased"] == 2
    task.clear()
    assert task.run().state == "success"
    assert len(erasures(sandbox)) == 6


# --- sources that change ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second_reading",
    [
        [*PEOPLE[:4], "somebody@example.com", *PEOPLE[5:]],
        [*PEOPLE[:4], *PEOPLE[5:], "somebody@example.com"],
        PEOPLE[:4],
        [*PEOPLE[:5], ""],
        [*PEOPLE[:5], KoreInputError("The file of user ids cannot be read: line 6 is not UTF-8.", remedy="")],
    ],
    ids=["another user", "one moved", "too short", "a blank one", "unreadable"],
)
def test_a_source_that_changes_after_the_check_ends_the_submission_and_says_how_far_it_came(
    erase, sandbox, second_reading
):
    source = ChangingUserIds(PEOPLE, second_reading, PEOPLE)
    task = erase(source, batch_size=2, retries=1)
    end = task.run()
    assert erasures(sandbox) == [PEOPLE[:2], PEOPLE[2:4]]
    assert isinstance(end.error, KoreNotErasedError)
    assert counts(end.output) == (4, 0, 7)
    assert "No batch from number 3 on was sent in this attempt." in end.text
    assert "somebody" not in end.text
    again = task.run()
    assert again.state == "success", again.text
    assert [len(users) for users in erasures(sandbox)] == [2, 2, 2, 2, 2, 1]


def test_a_source_that_changes_before_the_first_batch_sends_nothing(erase, sandbox):
    end = erase(ChangingUserIds(PEOPLE, PEOPLE[::-1]), batch_size=2, wait_for_completion=False).run()
    assert isinstance(end.error, KoreInputError)
    assert "Nothing was sent" in end.text
    assert erasures(sandbox) == []


def test_a_source_that_changes_between_tries_sends_nothing(erase, sandbox):
    sandbox.configure(refuse=PEOPLE[:1])
    task = erase(ChangingUserIds(PEOPLE, PEOPLE, PEOPLE, PEOPLE[:-1]), batch_size=2, retries=1)
    task.run()
    before = len(sandbox.log())
    assert isinstance(task.run().error, KoreResumeError)
    assert len(sandbox.log()) == before


def test_nothing_is_read_again_where_nothing_is_to_be_sent(erase, sandbox):
    readings = []

    def users():
        readings.append(None)
        return PEOPLE

    task = erase(users, batch_size=2, retries=1)
    assert task.run().state == "success"
    assert len(readings) == 2
    assert task.run().state == "success"
    assert len(readings) == 3


def test_a_retry_reads_its_records_once(erase, sandbox):
    sandbox.configure(refuse=PEOPLE[:1])
    store = CountingStore()
    task = erase(PEOPLE, batch_size=2, retries=1, store=store)
    task.run()
    assert store.readings == 0
    assert task.run().state == "failed"
    assert store.readings == 1
