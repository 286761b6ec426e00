"""Sealed user ids over the attempts of a task: what expires, is rotated or destroyed meanwhile strands no erasure."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreNotErasedError
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.recordings import KoreDeleteRecordingsOperator
from airflow_provider_kore.user_ids.seal_keys import make_seal_key
from airflow_provider_kore.user_ids.sealing import seal_user_ids
from tests.integration.provider import task_runner
from tests.integration.provider.conftest import erasures
from tests.integration.provider.task_runner import TaskRunner
from tests.integration.provider.test_evidence import DIGEST_KEY, PEM

PEOPLE = [f"sealed-{number}@example.com" for number in range(6)]
ONE_BY_ONE = [[person] for person in PEOPLE]
KEY, NEW_KEY = make_seal_key(), make_seal_key()
SINCE = timedelta(days=31)


def pem(*keys):
    return "".join(key.as_pem(private=True).decode() for key in keys)


def sealed(people=PEOPLE, dag_id="dag", seconds=3600.0):
    return seal_user_ids(people, KEY, dag_id, datetime.now(UTC) + timedelta(seconds=seconds))


@pytest.fixture
def keys(connection):
    """Set the keys of the connection, which has one at first."""

    def keys(*keys, **extra):
        connection(extra__seal_key=pem(*keys) or None, extra__requests_per_minute=100_000, **extra)

    keys(KEY)
    return keys


@pytest.fixture
def failing_at_third(sandbox):
    """Let Kore.ai refuse the third batch, and answer all else."""
    sandbox.fail("status", call="erase", status=403, after=2)


def start_again(task, later):
    """Clear the task of a run that has ended: Airflow then starts the run anew."""
    task.clear()
    task.dag_run.start_date = datetime.now(UTC) + later


def half_done(erase, text, **arguments):
    task = erase(text, batch_size=1, **arguments)
    end = task.run()
    assert end.error.consequence is Consequence.PARTLY_DONE, end.text
    return task


@pytest.mark.parametrize("waiting", [{}, {"deferrable": True}, {"wait_for_completion": False}, {"dry_run": True}])
def test_sealed_users_are_erased_as_others_are(erase, sandbox, keys, waiting):
    end = erase(sealed(), batch_size=4, **waiting).run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == ([] if "dry_run" in waiting else [PEOPLE[:4], PEOPLE[4:]])
    assert "sealed-" not in str((end.output, end.deferrals, end.xcoms))


def test_what_was_previewed_is_what_is_approved_whoever_seals_it(erase, sandbox, keys):
    approved = erase(sealed(), dry_run=True).run().output["plan_fingerprint"]
    assert erase(sealed(PEOPLE[:5]), approved_plan=approved).run().state == "failed"
    assert erase(PEOPLE, approved_plan=approved).run().state == "success"


def test_sealed_users_are_exported_and_verified(verify, sandbox, connection, tmp_path):
    connection(extra__seal_key=pem(KEY), extra__digest_key=DIGEST_KEY, extra__receipt_key=PEM)
    where = {"destination": tmp_path.as_uri(), "since": SINCE, "bot_ids": ["st-1"]}
    text = sealed(PEOPLE[:2])
    end = TaskRunner(lambda: KoreExportUserDataOperator(task_id="export", user_ids=text, **where)).run()
    assert end.output["user_count"] == 2, end.text
    assert verify(text).run().output["found"] == 2
    recordings = {"since": SINCE, "bot_ids": ["st-1"]}
    end = TaskRunner(lambda: KoreDeleteRecordingsOperator(task_id="recordings", user_ids=text, **recordings)).run()
    assert end.output["users_done"] == 2, end.text
    assert verify(sealed(dag_id="another")).run().error.consequence is Consequence.NOT_SENT


def test_a_text_for_another_dag_sends_nothing(erase, sandbox, keys):
    end = erase(sealed(dag_id="another")).run()
    assert isinstance(end.error, KoreInputError)
    assert end.error.consequence is Consequence.NOT_SENT
    assert not sandbox.log()


# --- it expires ------------------------------------------------------------------------------------------------------


def test_an_erasure_that_started_in_time_ends_after_the_text_has_expired(erase, sandbox, keys, failing_at_third):
    task = half_done(erase, sealed(seconds=1.0), retries=1)
    task.dag_run.start_date -= timedelta(seconds=60)
    end = task.run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [*ONE_BY_ONE[:3], *ONE_BY_ONE[2:]]


def test_a_cleared_task_completes_an_erasure_of_which_something_was_sent(erase, sandbox, keys, failing_at_third):
    task = half_done(erase, sealed())
    start_again(task, timedelta(days=1))
    end = task.run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [*ONE_BY_ONE[:3], *ONE_BY_ONE[2:]]


def test_a_cleared_task_that_has_sent_nothing_starts_no_erasure(erase, sandbox, keys):
    sandbox.fail("status", call="erase", status=403)
    task = erase(sealed())
    assert task.run().state == "failed"
    start_again(task, timedelta(days=1))
    end = task.run()
    assert "expired" in end.text
    assert end.error.consequence is Consequence.NOT_SENT
    assert "Seal the user ids anew" in end.text
    assert len(erasures(sandbox)) == 1


def test_before_airflow_3_3_a_cleared_task_says_that_it_does_not_know_what_was_sent(
    erase, sandbox, keys, failing_at_third
):
    task = half_done(erase, sealed(), store=None)
    start_again(task, timedelta(days=1))
    end = task.run()
    assert "expired" in end.text
    assert end.error.consequence is Consequence.UNCLEAR_BEFORE
    assert len(erasures(sandbox)) == 3


# --- its key is rotated or destroyed ---------------------------------------------------------------------------------


def test_a_new_key_beside_the_old_one_changes_nothing(erase, sandbox, keys, failing_at_third):
    task = half_done(erase, sealed(), retries=1)
    keys(NEW_KEY, KEY)
    end = task.run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [*ONE_BY_ONE[:3], *ONE_BY_ONE[2:]]


@pytest.mark.parametrize("left", [[NEW_KEY], []], ids=["another key", "no key"])
def test_without_the_key_nothing_more_is_sent_and_with_it_the_rest(erase, sandbox, keys, failing_at_third, left):
    task = half_done(erase, sealed(), retries=1)
    keys(*left)
    end = task.run()
    assert isinstance(end.error, KoreInputError)
    assert end.error.consequence is Consequence.SENT_BEFORE
    assert len(erasures(sandbox)) == 3
    keys(KEY)
    task.clear()
    end = task.run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [*ONE_BY_ONE[:3], *ONE_BY_ONE[2:]]


def test_a_task_that_waits_needs_no_key(erase, sandbox, keys):
    sandbox.configure(duration=1.5)
    task = erase(sealed(), deferrable=True)
    end = task.run(meanwhile=lambda xcoms: keys(NEW_KEY))
    assert end.deferrals
    assert end.state == "success", end.text
    assert end.output["erased"] == 6


def test_which_users_are_not_erased_is_not_known_without_the_key_and_is_with_it(erase, sandbox, keys):
    sandbox.configure(duration=1.5, refuse=PEOPLE[:1])
    task = erase(sealed(), deferrable=True, retries=1)
    end = task.run(meanwhile=lambda xcoms: keys(NEW_KEY))
    assert "Which users are not erased, and whether all are, is not known" in end.text
    assert end.error.consequence is Consequence.PARTLY_DONE
    keys(KEY)
    end = task.run()
    assert isinstance(end.error, KoreNotErasedError)
    assert (end.output["erased"], end.output["not_erased"]) == (5, 1)


def test_a_submission_away_from_its_worker_stops_without_the_key_and_waits_for_what_was_sent(
    erase, sandbox, scarce, connection, monkeypatch
):
    budget = {"extra__requests_per_minute": 4, "extra__requests_per_hour": 6}
    connection(extra__seal_key=pem(KEY), **budget)
    wait = task_runner._first_event

    async def first_event(*arguments):
        connection(extra__seal_key=pem(NEW_KEY), **budget)
        return await wait(*arguments)

    task = erase(sealed(), batch_size=1, deferrable=True, wait_for_completion=False)
    with monkeypatch.context() as patch:
        patch.setattr(task_runner, "_first_event", first_event)
        end = task.run()
    assert "submit" in [deferral["state"]["phase"] for deferral in end.deferrals]
    assert end.error.consequence is Consequence.PARTLY_DONE, end.text
    sent = len(erasures(sandbox))
    assert 0 < sent < 6
    connection(extra__seal_key=pem(KEY), extra__requests_per_minute=100_000, extra__requests_per_hour=100_000)
    task.clear()
    end = task.run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == ONE_BY_ONE
