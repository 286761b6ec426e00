"""What is known of a batch always adds up to its users, and is never better than what is proven."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.erasure.record import BatchRecord, BatchState, RequestRecord


@st.composite
def records(draw):
    """Records of a batch: its latest request is about all users, or about those who are left of an earlier one."""
    user_count = draw(st.integers(1, 6))
    positions = draw(st.none() | st.sets(st.integers(0, user_count - 1), min_size=1).map(sorted).map(tuple))
    sent = user_count if positions is None else len(positions)
    state = draw(st.sampled_from(BatchState))
    reported = None
    if draw(st.booleans()) or state is BatchState.SETTLED:
        erased = draw(st.integers(0, sent))
        open_ = 0 if state is BatchState.SETTLED else draw(st.integers(0, sent - erased))
        reported = (erased, open_, sent - erased - open_)
    requests = (RequestRecord("eud-1", sent, reported=reported, names_users=draw(st.booleans())),)
    is_first = state in (BatchState.PLANNED, BatchState.SENDING) and positions is None
    return BatchRecord(
        1, state, user_count, positions=positions, sent_fingerprint="x", requests=() if is_first else requests
    )


@given(records())
def test_the_outcome_of_a_batch_adds_up_to_its_users(record):
    assert record.outcome.user_count == record.user_count
    assert min(record.outcome.counts().values()) >= 0


@given(records())
def test_users_who_are_in_no_accepted_request_are_not_erased(record):
    if record.is_unsent:
        assert record.outcome == ErasureOutcome(record.user_count - record.unerased, 0, record.unerased)


@given(records())
def test_a_user_is_erased_only_if_no_request_is_left_for_the_user(record):
    outcomes = [record.outcome_of(position) for position in range(record.user_count)]
    assert outcomes.count(Outcome.ERASED) == record.user_count - record.unerased


@pytest.mark.parametrize(("names_users", "counts"), [(True, (5, 0, 1)), (False, (3, 2, 1))])
def test_an_answer_that_names_other_users_leaves_open_whom_it_calls_erased(names_users, counts):
    request = RequestRecord("eud-2", 3, reported=(2, 0, 1), names_users=names_users)
    record = BatchRecord(1, BatchState.ACCEPTED, 6, positions=(1, 3, 4), sent_fingerprint="x", requests=(request,))
    assert record.outcome == ErasureOutcome(*counts)


@pytest.mark.parametrize(
    ("reported", "outcome"), [((1, 0, 1), (4, 0, 1)), ((0, 2, 0), (3, 2, 0)), (None, (3, 2, 0)), ((2, 0, 0), (5, 0, 0))]
)
def test_of_several_requests_the_latest_counts(reported, outcome):
    earlier = RequestRecord("eud-1", 5, reported=(3, 0, 2), names_users=True, remarks=("Before.",))
    latest = RequestRecord("eud-2", 2, reported=reported, names_users=True, remarks=("Now.",))
    record = BatchRecord(1, BatchState.ACCEPTED, 5, positions=(0, 3), sent_fingerprint="x", requests=(earlier, latest))
    assert (record.request, record.name) == (latest, "eud-2")
    assert record.outcome == record.reported == ErasureOutcome(*outcome, remarks=("Now.",))


@pytest.mark.parametrize(
    ("state", "positions", "reported", "outcome"),
    [
        (BatchState.PLANNED, None, None, Outcome.NOT_ERASED),
        (BatchState.SENDING, None, None, Outcome.NOT_ERASED),
        (BatchState.SENDING, (0,), (1, 0, 1), Outcome.NOT_ERASED),
        (BatchState.ACCEPTED, None, None, Outcome.OPEN),
        (BatchState.ACCEPTED, None, (1, 1, 0), Outcome.OPEN),
        (BatchState.ACCEPTED, None, (0, 1, 1), Outcome.OPEN),
        (BatchState.ACCEPTED, None, (2, 0, 0), Outcome.OPEN),
        (BatchState.ACCEPTED, None, (1, 0, 1), Outcome.NOT_ERASED),
        (BatchState.SETTLED, None, (1, 0, 1), Outcome.NOT_ERASED),
        (BatchState.SETTLED, (0,), (1, 0, 1), Outcome.NOT_ERASED),
        (BatchState.SETTLED, (), (2, 0, 0), Outcome.ERASED),
        (BatchState.SETTLED, (1,), (1, 0, 1), Outcome.ERASED),
    ],
)
def test_of_one_user_no_more_is_said_than_is_known_of_that_user(state, positions, reported, outcome):
    requests = (
        () if reported is None and state is not BatchState.ACCEPTED else (RequestRecord("eud-1", 2, reported=reported),)
    )
    record = BatchRecord(1, state, 2, positions=positions, sent_fingerprint="x", requests=requests)
    assert record.outcome_of(0) is outcome


@pytest.mark.parametrize(
    ("state", "sent_fingerprint", "name"),
    [
        (BatchState.PLANNED, "", "batch 2, not sent"),
        (BatchState.PLANNED, "x", "batch 2, not accepted"),
        (BatchState.SENDING, "x", "batch 2, ambiguous"),
    ],
)
def test_a_batch_without_a_request_is_called_by_its_fate(state, sent_fingerprint, name):
    record = BatchRecord(2, state, 3, sent_fingerprint=sent_fingerprint)
    assert record.name == name
    assert record.was_sent is (sent_fingerprint != "")


@pytest.mark.parametrize(
    ("state", "positions", "is_due"),
    [
        (BatchState.PLANNED, None, True),
        (BatchState.SENDING, (1,), True),
        (BatchState.ACCEPTED, None, False),
        (BatchState.ACCEPTED, (0, 1), False),
        (BatchState.SETTLED, None, True),
        (BatchState.SETTLED, (0, 1), True),
        (BatchState.SETTLED, (1,), True),
        (BatchState.SETTLED, (), False),
    ],
)
def test_a_batch_is_due_unless_it_is_accepted_or_every_user_is_erased(state, positions, is_due):
    requests = (RequestRecord("eud-1", 2, reported=(1, 0, 1)),)
    record = BatchRecord(1, state, 2, positions=positions, sent_fingerprint="x", requests=requests)
    assert record.is_due is is_due
    assert record.is_ambiguous is (state is BatchState.SENDING)
