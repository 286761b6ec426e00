"""A task succeeds only if every user is proven erased, and says else why it does not."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.compat import AirflowSensorTimeout
from airflow_provider_kore.deadlines import Regime, StatutoryDeadline
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.record import BatchRecord, BatchState, RequestRecord
from airflow_provider_kore.erasure.store import RecordStore
from airflow_provider_kore.erasure.verdict import require_erased
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAuthenticationError,
    KoreError,
    KoreNotErasedError,
    KoreUnavailableError,
)

REFUSED_TOKEN = KoreAuthenticationError("No token.", consequence=Consequence.SENT, remedy="Mend it.")
UNREACHED = KoreUnavailableError("No network.", consequence=Consequence.NOT_SENT, remedy="Mend it.")


def ledger_of(*counts, remarks=(), states=None):
    """A ledger of requests with these counts of users: erased, open, not erased."""
    records = []
    for number, (erased, open_, not_erased) in enumerate(counts, start=1):
        reported = (erased, open_, not_erased)
        request = RequestRecord(f"eud-{number}", sum(reported), reported=reported, remarks=remarks)
        state = BatchState.ACCEPTED if open_ else BatchState.SETTLED
        records.append(BatchRecord(number, state, sum(reported), sent_fingerprint="x", requests=(request,)))
    return ErasureLedger(records, ErasureScope(("st-1",), all_bots=False), RecordStore(None))


@pytest.mark.parametrize(
    ("counts", "failures", "error_type", "words"),
    [
        ((3, 0, 0), [], None, []),
        ((3, 1, 0), [], AirflowSensorTimeout, ["3 erased, 1 open, 0 not erased, of 4"]),
        ((0, 4, 0), [], AirflowSensorTimeout, ["0 erased, 4 open"]),
        ((3, 0, 1), [], KoreNotErasedError, ["3 erased, 0 open, 1 not erased, of 4", "Words: FAILED (1)."]),
        ((3, 1, 1), [], KoreNotErasedError, ["3 erased, 1 open, 1 not erased, of 5"]),
        ((3, 0, 0), [REFUSED_TOKEN], KoreAuthenticationError, ["No token."]),
        ((3, 1, 0), [REFUSED_TOKEN, UNREACHED], KoreAuthenticationError, ["No token."]),
        ((3, 1, 1), [REFUSED_TOKEN, UNREACHED], KoreNotErasedError, ["No token.", "No network."]),
    ],
)
def test_not_erased_beats_a_failure_and_a_failure_beats_open(counts, failures, error_type, words):
    ledger = ledger_of(counts, remarks=("Words: FAILED (1).",))
    if error_type is None:
        require_erased(ledger, failures, submits=True)
        return
    with pytest.raises(error_type) as caught:
        require_erased(ledger, failures, submits=True)
    assert [word for word in words if word not in str(caught.value)] == []
    if error_type is KoreNotErasedError:
        assert caught.value.consequence is Consequence.PARTLY_DONE


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).filter(any), min_size=1),
    st.lists(st.sampled_from([REFUSED_TOKEN, UNREACHED])),
)
def test_a_task_succeeds_only_if_every_user_is_erased_and_nothing_failed(counts, failures):
    open_, not_erased = sum(count[1] for count in counts), sum(count[2] for count in counts)
    try:
        require_erased(ledger_of(*counts), failures, submits=True)
    except (KoreError, AirflowSensorTimeout):
        assert open_ or not_erased or failures
    else:
        assert (open_, not_erased, failures) == (0, 0, [])


def test_a_deadline_names_what_is_open_and_says_that_nothing_is_to_be_submitted():
    with pytest.raises(AirflowSensorTimeout) as caught:
        require_erased(ledger_of((0, 1, 0), (0, 1, 0)), [], submits=True)
    assert "Still open: eud-1, eud-2. " in str(caught.value)
    assert "nothing has to be submitted again" in str(caught.value)


@pytest.mark.parametrize(("count", "end"), [(19, "eud-19."), (20, "eud-20."), (21, "eud-20 and 1 more.")])
def test_a_deadline_names_no_more_requests_than_a_reader_can_take(count, end):
    with pytest.raises(AirflowSensorTimeout) as caught:
        require_erased(ledger_of(*[(0, 1, 0)] * count), [], submits=True)
    assert f", {end} Kore.ai continues" in str(caught.value)


def test_a_task_that_fails_names_no_more_reasons_than_a_reader_can_take():
    failures = [KoreError(f"Reason {n}.", consequence=Consequence.SENT, remedy="Mend it.") for n in range(1, 8)]
    with pytest.raises(KoreNotErasedError) as caught:
        require_erased(ledger_of((0, 0, 1)), failures, submits=True)
    assert re.findall(r"Reason \d", str(caught.value)) == [f"Reason {n}" for n in range(1, 6)]


def test_the_same_failure_is_shown_once():
    with pytest.raises(KoreNotErasedError) as caught:
        require_erased(ledger_of((0, 0, 1)), [UNREACHED] * 3, submits=True)
    assert str(caught.value).count("No network.") == 1


@pytest.mark.parametrize("submits", [True, False])
def test_a_sensor_says_how_many_users_are_in_no_request(submits):
    ledger = ledger_of((2, 0, 0))
    ledger = ErasureLedger([*ledger.records, BatchRecord(2, BatchState.PLANNED, 3)], ledger.scope, RecordStore(None))
    with pytest.raises(KoreNotErasedError) as caught:
        require_erased(ledger, [], submits=submits)
    assert ("3 users are in no request" in str(caught.value)) is not submits


def test_users_who_are_known_not_to_be_erased_are_named_first():
    with pytest.raises(KoreNotErasedError) as caught:
        require_erased(ledger_of((0, 0, 1)), [UNREACHED, REFUSED_TOKEN], [{"batch": 1, "position": 7}], submits=True)
    words = ["batch 1 position 7", "No network.", "No token."]
    assert sorted(words, key=str(caught.value).index) == words


@pytest.mark.parametrize(
    ("received_on", "words"), [(datetime(2020, 1, 1, tzinfo=UTC), "statutory deadline passed"), (None, "deadline came")]
)
def test_a_statutory_deadline_that_has_passed_is_called_so(received_on, words):
    deadline = None if received_on is None else StatutoryDeadline(received_on, Regime.GDPR)
    with pytest.raises(AirflowSensorTimeout, match=f"The {words} before"):
        require_erased(ledger_of((0, 1, 0)), [], submits=True, deadline=deadline)


@pytest.mark.parametrize(
    ("submits", "state", "remedy"),
    [
        (True, BatchState.SETTLED, "it submits only those who are not erased"),
        (True, BatchState.ACCEPTED, "polls them again and submits no user"),
        (False, BatchState.SETTLED, "submits only users who are in no accepted request"),
    ],
)
def test_the_remedy_says_what_clearing_the_task_does(submits, state, remedy):
    request = RequestRecord("eud-1", 1, reported=(0, 0, 1))
    record = BatchRecord(1, state, 1, sent_fingerprint="x", requests=(request,))
    ledger = ErasureLedger([record], ErasureScope(("st-1",), all_bots=False), RecordStore(None))
    with pytest.raises(KoreNotErasedError) as caught:
        require_erased(ledger, [], submits=submits)
    assert remedy in caught.value.remedy
