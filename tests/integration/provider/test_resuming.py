"""What a task needs to resume after a deferral, and what it does where that is lost, or where no event comes."""

from datetime import timedelta

import pytest

from airflow_provider_kore.exceptions import Consequence, KoreNotErasedError, KoreWaitError
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.resumption import STATE_KEY
from tests.integration.provider.conftest import erasures
from tests.integration.provider.task_runner import TaskRunner

PEOPLE = [f"resumed-{number}@example.com" for number in range(6)]
SINCE = timedelta(days=14)
STORES = pytest.mark.parametrize("store", ["new", None], ids=["with a store", "before Airflow 3.3"])
LOST = pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda xcoms: xcoms.pop(STATE_KEY), id="gone"),
        pytest.param(lambda xcoms: xcoms.update({STATE_KEY: "done"}), id="text"),
        pytest.param(lambda xcoms: xcoms.update({STATE_KEY: {}}), id="empty"),
        pytest.param(lambda xcoms: xcoms[STATE_KEY].update(calls={}, usage={}, progress={}), id="cut"),
        pytest.param(lambda xcoms: xcoms[STATE_KEY].update(calls=7, usage=7, progress=7), id="another form"),
        pytest.param(lambda xcoms: xcoms[STATE_KEY].pop("started"), id="without its start"),
    ],
)


def counts(end):
    return end.output["erased"], end.output["open"], end.output["not_erased"]


# --- the state is lost ------------------------------------------------------------------------------------------------


@LOST
def test_an_erasing_task_that_lost_its_state_ends_with_what_the_ledger_holds_and_submits_nobody_again(
    erase, sandbox, change
):
    sandbox.configure(duration=2)
    task = erase(PEOPLE, batch_size=2, deferrable=True, retries=1)
    end = task.run(meanwhile=change)
    assert isinstance(end.error, KoreWaitError), end.text
    assert STATE_KEY in end.text
    assert end.error.consequence is Consequence.SENT
    assert counts(end) == (0, 6, 0)
    end = task.run()
    assert end.state == "success", end.text
    assert counts(end) == (6, 0, 0)
    assert len(erasures(sandbox)) == 3


@LOST
def test_a_submission_that_lost_its_state_says_what_is_left_and_a_retry_submits_only_that(
    erase, sandbox, scarce, change
):
    task = erase(PEOPLE, batch_size=1, deferrable=True, wait_for_completion=False, retries=1)
    end = task.run(meanwhile=change)
    assert isinstance(end.error, KoreWaitError), end.text
    assert end.error.consequence is Consequence.PARTLY_DONE
    assert len(end.output["requests"]) == 4
    assert task.run().state == "success"
    assert erasures(sandbox) == [[person] for person in PEOPLE]


@LOST
def test_before_airflow_3_3_a_task_that_lost_its_state_says_that_it_does_not_know(erase, sandbox, change):
    sandbox.configure(duration=2)
    end = erase(PEOPLE, deferrable=True, store=None).run(meanwhile=change)
    assert isinstance(end.error, KoreWaitError)
    assert end.error.consequence is Consequence.UNKNOWN


@LOST
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_sensor_that_lost_its_state_fails_and_is_never_skipped(wait, submitted, sandbox, change, soft_fail):
    sandbox.configure(duration=2)
    end = wait(submitted(PEOPLE), deferrable=True, soft_fail=soft_fail).run(meanwhile=change)
    assert end.state == "failed"
    assert end.error.consequence is Consequence.ONLY_WAITS
    assert counts(end) == (0, 6, 0)


@LOST
def test_a_verification_that_lost_its_state_calls_nobody_gone(verify, submitted, sandbox, scarce, change):
    sandbox.configure(duration=0)
    submitted(PEOPLE[:2])
    end = verify(PEOPLE[:2], since=SINCE, deferrable=True).run(meanwhile=change)
    assert end.state == "failed"
    assert end.error.consequence is Consequence.NOT_VERIFIED
    assert end.output is None


@LOST
def test_an_export_that_lost_its_state_fails_and_a_retry_ends_it(sandbox, connection, scarce, tmp_path, change):
    connection(
        extra__digest_key="a key of digests", extra__requests_per_minute=8, extra__requests_per_hour=8
    )  # as many as a user takes
    arguments = {"user_ids": PEOPLE[:2], "bot_ids": ["st-1"], "destination": tmp_path.as_uri(), "since": SINCE}
    task = TaskRunner(lambda: KoreExportUserDataOperator(task_id="export", deferrable=True, **arguments), retries=1)
    end = task.run(meanwhile=change)
    assert end.state == "failed"
    assert end.error.consequence is Consequence.NOTHING_ERASED
    end = task.run()
    assert end.state == "success", end.text
    assert end.output["user_count"] == 2


# --- no event comes ---------------------------------------------------------------------------------------------------


@STORES
def test_a_wait_whose_trigger_failed_knows_what_it_submitted(erase, sandbox, store):
    sandbox.configure(duration=2)
    end = erase(PEOPLE, batch_size=2, deferrable=True, store=store).run(trigger_error="Trigger failure")
    assert isinstance(end.error, KoreWaitError)
    assert end.error.consequence is Consequence.SENT
    assert counts(end) == (0, 6, 0)
    assert len(end.output["requests"]) == 3


@STORES
def test_a_wait_whose_trigger_was_late_looks_for_the_last_time(erase, sandbox, store):
    sandbox.configure(duration=1)
    end = erase(PEOPLE, batch_size=2, deferrable=True, store=store).run(
        trigger_error="Trigger timeout", meanwhile=lambda xcoms: sandbox.configure(duration=0)
    )
    assert end.output["requests"]
    assert end.output["not_erased"] == 0
    assert end.output["erased"] + end.output["open"] == 6


@STORES
def test_what_a_batch_was_refused_for_before_the_trigger_failed_is_not_forgotten(erase, sandbox, scarce, store):
    sandbox.configure(refuse=PEOPLE[:1], refusal="whole-request")
    end = erase(PEOPLE, batch_size=1, deferrable=True, store=store).run(trigger_error="Trigger failure")
    assert isinstance(end.error, KoreNotErasedError)
    assert "batches left to submit" in end.text
    assert "Batch 1 of 6" in end.text
    assert len(end.output["requests"]) == 3


# --- what is kept -----------------------------------------------------------------------------------------------------


@STORES
def test_the_time_of_an_attempt_counts_from_its_start_over_all_deferrals(erase, sandbox, scarce, store):
    end = erase(PEOPLE, batch_size=1, deferrable=True, store=store, timeout=60).run()
    assert end.state == "success", end.text
    assert len(end.deferrals) >= 2
    assert len({deferral["state"]["started"] for deferral in end.deferrals}) == 1


def test_where_there_is_a_store_what_is_kept_beside_it_does_not_grow_with_the_users(erase, sandbox):
    sandbox.configure(duration=2)
    sizes = [
        len(str(erase([f"{count}-{n}" for n in range(count)], deferrable=True).run().deferrals[0]["state"]))
        for count in (1, 2_000)
    ]
    assert sizes[1] - sizes[0] < 200
