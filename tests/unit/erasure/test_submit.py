"""Each batch that is due is sent once, recorded before and after, and an error stops what it concerns."""

import json
import logging
import math
from unittest import mock

import pytest
from erasing_users import KEY, USERS, Client, accept, ledger_of
from playing_kore import WALL_START, error, http

from airflow_provider_kore.erasure.record import BatchState
from airflow_provider_kore.erasure.submit import Submission
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreAuthenticationError,
    KoreInputError,
    KoreRequestError,
    KoreResumeError,
    KoreSourceError,
    KoreThrottledError,
)

FAR = 4_000_000_000.0


def accepted(*numbers):
    return [http(202, {"requestId": f"eud-{number}"}) for number in numbers]


def submit(
    ledger,
    batches,
    replies,
    *,
    resubmit=True,
    per_minute=1_000_000,
    max_worker_wait=1.0,
    deadline=FAR,
    **more,
):
    """Submit what is due, by a wall clock that goes with the played one."""
    replies = iter(replies)
    client = Client(lambda request: next(replies), per_minute=per_minute)
    submission = Submission(ledger, batches, KEY, deadline=deadline, resubmit_ambiguous=resubmit, **more)
    with mock.patch("time.time", client.clock.wall):
        seconds = submission.submit_due(client, max_worker_wait)
    return submission, seconds, [json.loads(request.body)["userIds"] for request in client.requests]


def states(ledger):
    return [record.state for record in ledger.records]


def test_every_batch_is_sent_once_in_order():
    ledger, batches = ledger_of()
    submission, seconds, sent = submit(ledger, batches, accepted(1, 2, 3))
    assert sent == [USERS[:2], USERS[2:4], USERS[4:]]
    assert states(ledger) == [BatchState.ACCEPTED] * 3
    assert (submission.failures, seconds) == ([], 0.0)
    assert [record.request.request_id for record in ledger.records] == ["eud-1", "eud-2", "eud-3"]


def test_an_acceptance_is_recorded_even_if_the_process_dies_before_the_client_is_done():
    ledger, batches = ledger_of(USERS[:2])
    run = Client.run

    def run_and_die(*arguments, **more):
        run(*arguments, **more)
        raise SystemExit

    with mock.patch.object(Client, "run", run_and_die), pytest.raises(SystemExit):
        submit(ledger, batches, accepted(1))
    assert states(ledger) == [BatchState.ACCEPTED]


def test_what_was_accepted_or_is_erased_is_not_sent_again_and_of_the_rest_only_those_who_are_not_erased():
    ledger, batches = ledger_of()
    ledger.write_settled(accept(ledger, 1, USERS[:2], "eud-1"), (1,))
    accept(ledger, 2, USERS[2:4], "eud-2")
    ledger.write_erased([accept(ledger, 3, USERS[4:], "eud-3")])
    _, _, sent = submit(ledger, batches, accepted(4))
    assert sent == [USERS[1:2]]


@pytest.mark.parametrize("resubmit", [True, False])
def test_an_ambiguous_batch_is_sent_again_only_if_that_is_wanted(resubmit):
    ledger, batches = ledger_of(USERS[:2])
    ledger.write_intent(ledger.records[0], USERS[:2], KEY)
    submission, _, sent = submit(ledger, batches, accepted(1), resubmit=resubmit)
    assert len(sent) == resubmit
    assert [type(failure) for failure in submission.failures] == ([] if resubmit else [KoreResumeError])


@pytest.mark.parametrize(
    ("replies", "failure", "state", "continues"),
    [
        ([error(400, "bad")], KoreRequestError, BatchState.PLANNED, True),
        ([error(401, "token")] * 2, KoreAuthenticationError, BatchState.PLANNED, False),
        ([http(202, {})], KoreAmbiguousSubmitError, BatchState.SENDING, False),
        (accepted(1), KoreAmbiguousSubmitError, BatchState.SENDING, False),
    ],
)
def test_an_error_is_recorded_and_stops_all_but_what_concerns_one_batch(replies, failure, state, continues):
    ledger, batches = ledger_of()
    submission, _, sent = submit(ledger, batches, [*accepted(1), *replies, *accepted(3)])
    assert [type(error) for error in submission.failures] == [failure]
    assert states(ledger)[1] is state
    assert len(sent) == 1 + len(replies) + continues


def test_an_ambiguous_batch_that_is_not_sent_again_is_reported_once_also_if_the_task_leaves_its_worker_between():
    ledger, batches = ledger_of()
    ledger.write_intent(ledger.records[0], USERS[:2], KEY)
    submission, _, sent = submit(ledger, batches, accepted(2, 3), resubmit=False)
    assert (len(submission.failures), sent) == (1, [USERS[2:4], USERS[4:]])
    submission, _, sent = submit(ledger, batches, [], resubmit=False, next_batch=4)
    assert (submission.failures, sent) == ([], [])


def test_after_the_last_batch_the_next_one_is_beyond_the_list():
    ledger, batches = ledger_of()
    submission, _, _ = submit(ledger, batches, accepted(1, 2, 3))
    assert submission.next_batch == 4


def test_users_of_a_batch_who_were_not_erased_are_announced(caplog):
    caplog.set_level(logging.INFO)
    ledger, batches = ledger_of()
    ledger.write_settled(accept(ledger, 1, USERS[:2], "eud-1"), (1,))
    submit(ledger, batches, accepted(4, 5, 6))
    assert "1 users of batch 1 of 3 were not erased and are submitted again." in caplog.text
    assert "of batch 2 of 3 were not erased" not in caplog.text


def test_the_fate_of_an_earlier_call_stays_unknown_if_the_next_one_is_refused():
    ledger, batches = ledger_of(USERS[:2])
    ledger.write_intent(ledger.records[0], USERS[:2], KEY)
    submission, _, _ = submit(ledger, batches, [error(400, "bad")])
    assert states(ledger) == [BatchState.SENDING]
    assert submission.failures[0].consequence is Consequence.UNKNOWN


def test_a_spent_budget_ends_the_submission_before_the_next_batch():
    ledger, batches = ledger_of()
    submission, seconds, sent = submit(ledger, batches, accepted(1, 2), per_minute=2)
    assert seconds > 1.0
    assert (submission.next_batch, len(sent)) == (3, 2)
    submission, seconds, sent = submit(ledger, batches, accepted(3), next_batch=3)
    assert (seconds, sent) == (0.0, [USERS[4:]])


def pause_after_two_batches():
    return submit(*ledger_of(), accepted(1, 2), per_minute=2)[1]


@pytest.mark.parametrize(("more", "leaves"), [(-1.0, False), (0.0, False), (1.0, True)])
def test_a_task_leaves_its_worker_only_for_a_turn_that_comes_before_the_deadline(more, leaves):
    pause = pause_after_two_batches()
    ledger, batches = ledger_of()
    deadline = WALL_START + pause + more
    _, seconds, sent = submit(ledger, batches, accepted(1, 2, 3), per_minute=2, deadline=deadline)
    assert (seconds, len(sent)) == ((pause, 2) if leaves else (0.0, 2 + (more >= 0)))


@pytest.mark.parametrize(("more", "leaves"), [(-1.0, True), (0.0, False), (1.0, False)])
def test_a_task_waits_in_its_worker_for_a_turn_that_comes_soon_enough(more, leaves):
    pause = pause_after_two_batches()
    _, seconds, sent = submit(*ledger_of(), accepted(1, 2, 3), per_minute=2, max_worker_wait=pause + more)
    assert (seconds > 0, len(sent)) == (leaves, 2 if leaves else 3)


@pytest.mark.parametrize(("more", "is_sent"), [(-1000.0, False), (-1.0, False), (1.0, True)])
def test_in_its_worker_a_task_waits_for_a_turn_until_its_deadline(more, is_sent):
    deadline = WALL_START + pause_after_two_batches() + more
    ledger, batches = ledger_of()
    submission, seconds, sent = submit(
        ledger, batches, accepted(1, 2, 3), per_minute=2, max_worker_wait=math.inf, deadline=deadline
    )
    assert (seconds, len(sent)) == (0.0, 3 if is_sent else 2)
    assert [type(failure) for failure in submission.failures] == ([] if is_sent else [KoreThrottledError])
    assert states(ledger)[2] is (BatchState.ACCEPTED if is_sent else BatchState.PLANNED)


def test_a_source_that_changes_while_it_is_submitted_stops_the_submission():
    ledger, _ = ledger_of()
    _, changed = ledger_of([*USERS[:2], "other-1", "other-2", "other-3"])
    submission, _, sent = submit(ledger, changed, accepted(1))
    assert (len(sent), states(ledger)[1:]) == (1, [BatchState.PLANNED] * 2)
    assert [(type(failure), failure.consequence) for failure in submission.failures] == [
        (KoreInputError, Consequence.PARTLY_DONE)
    ]


@pytest.mark.parametrize("kind", [KoreSourceError, KoreInputError, KoreResumeError])
def test_a_source_that_fails_in_the_midst_of_a_submission_is_still_worth_a_retry(kind):
    ledger, batches = ledger_of()
    accept(ledger, 1, USERS[:2], "eud-1")
    submission = Submission(ledger, batches, KEY, deadline=FAR, resubmit_ambiguous=True, next_batch=2)
    submission.fail(kind("It went wrong.", consequence=Consequence.NOT_SENT, remedy="Mend it."))
    (failure,) = submission.failures
    assert isinstance(failure, KoreInputError)
    assert isinstance(failure, KoreSourceError) is (kind is KoreSourceError)
    assert failure.consequence is Consequence.PARTLY_DONE


def test_a_store_that_does_not_take_the_intent_keeps_the_batch_from_being_sent():
    class Store:
        def __init__(self):
            self.values = {}

        def get(self, key, default=None):
            return self.values.get(key, default)

        def set(self, key, value, *, retention=None):
            if "batches" in key:
                raise ConnectionError
            self.values[key] = value

    ledger, batches = ledger_of(store=Store())
    with pytest.raises(ConnectionError):
        submit(ledger, batches, [])
