"""What a sensor waits for: each request once, of all forms that name it, and nobody of an output is forgotten."""

import json

import pytest
from erasing_users import SCOPE
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.record import BatchRecord, BatchState, RequestRecord
from airflow_provider_kore.erasure.report import ErasureReport
from airflow_provider_kore.erasure.requests import read_requests
from airflow_provider_kore.erasure.store import RecordStore
from airflow_provider_kore.exceptions import KoreInputError

FIRST, SECOND = {"request_id": "eud-1", "user_count": 2}, {"request_id": "eud-2", "user_count": 3}
TWO = [("eud-1", 2), ("eud-2", 3)]
DRY_RUN = {"requests": [], "user_count": 5, "bot_ids": ["st-1"], "all_bots": False, "dry_run": True}


def output(*requests, user_count=5, bot_ids=("st-1",), all_bots=False, **more):
    """What the operator returns."""
    scope = {"bot_ids": list(bot_ids), "all_bots": all_bots}
    return {"requests": list(requests), "user_count": user_count, **scope, **more}


@pytest.mark.parametrize(
    ("value", "user_count", "requests", "unsent_users"),
    [
        ("eud-1", None, [("eud-1", None)], 0),
        ("eud-1", 4, [("eud-1", 4)], 0),
        ({"request_id": "eud-1"}, "4", [("eud-1", 4)], 0),
        (FIRST, None, [("eud-1", 2)], 0),
        (("eud-1", "eud-2"), None, [("eud-1", None), ("eud-2", None)], 0),
        ([FIRST, SECOND, FIRST], None, TWO, 0),
        (output(FIRST, SECOND), None, TWO, 0),
        (output(FIRST, SECOND, user_count=9), None, TWO, 4),
        (output(FIRST, SECOND, user_count=4), None, TWO, 0),
        ([output(FIRST), output(SECOND, user_count=4)], None, TWO, 4),
        (output(FIRST, SECOND, unsent=2), None, TWO, 2),
        (output(FIRST, SECOND, unsent="2"), None, TWO, 2),
        (output(FIRST, SECOND, user_count=9, unsent=1), None, TWO, 4),
        ([output(FIRST, user_count=2, unsent=1), output(SECOND, unsent=2)], None, TWO, 3),
        ([output(FIRST, user_count=2), output(SECOND, unsent=4), "eud-3"], None, [*TWO, ("eud-3", None)], 4),
        (output(output(FIRST, user_count=2, unsent=1), SECOND), None, TWO, 1),
    ],
)
def test_every_form_that_names_requests_is_read(value, user_count, requests, unsent_users):
    submitted = read_requests(value, user_count)
    assert [(request.request_id, request.user_count) for request in submitted.requests] == requests
    assert submitted.unsent_users == unsent_users
    assert not submitted.dry_run


@pytest.mark.parametrize(
    ("value", "user_count", "problem"),
    [
        (None, None, "NoneType"),
        (7, None, "int"),
        (b"eud-1", None, "bytes"),
        (bytearray(b"eud-1"), None, "bytearray"),
        ({"user_count": 3}, None, "dict"),
        ("eud 1", None, "plain id"),
        ([], None, "no erasure request"),
        (output(), None, "no erasure request"),
        ({"request_id": "eud-1", "user_count": 0}, None, "whole number"),
        (output(FIRST, user_count=None), None, "whole number"),
        *((output(FIRST, unsent=unsent), None, "unsent") for unsent in (None, 0, -1, True, 1.0, "", "many", [1])),
        ([output(FIRST), output(SECOND, unsent={})], None, "unsent"),
        ("eud-1", 0, "whole number"),
        (FIRST, 2, "one bare request id"),
        (["eud-1", "eud-2"], 2, "one bare request id"),
        ([], 2, "one bare request id"),
        (["eud-1", FIRST], None, "listed twice"),
        ([FIRST, FIRST | {"user_count": 3}], None, "listed twice"),
        ([DRY_RUN, FIRST], None, "dry run"),
        ([FIRST, DRY_RUN], None, "dry run"),
        (output(FIRST, DRY_RUN, user_count=2), None, "dry run"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(value, user_count, problem):
    with pytest.raises(KoreInputError, match=problem):
        read_requests(value, user_count)


@pytest.mark.parametrize("value", [DRY_RUN, [DRY_RUN, DRY_RUN]])
def test_a_dry_run_leaves_nothing_to_wait_for(value):
    with pytest.raises(AirflowSkipException):
        read_requests(value)


@pytest.mark.parametrize(
    ("value", "scope"),
    [
        (output(FIRST), SCOPE),
        ([output(FIRST), output(SECOND)], SCOPE),
        (output(FIRST, bot_ids=(), all_bots=True), ErasureScope((), all_bots=True)),
        ([output(FIRST), output(SECOND, bot_ids=("st-2",))], None),
        ([output(FIRST), SECOND], None),
        (output(FIRST, all_bots=True), None),
        (output(FIRST, bot_ids=()), None),
        (output(FIRST) | {"all_bots": "no"}, None),
        (FIRST, None),
    ],
)
def test_the_bots_are_known_only_if_all_requests_are_about_the_same(value, scope):
    assert read_requests(value).scope == scope


@given(st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 60))
def test_users_who_are_in_no_request_are_not_erased_and_all_others_open(user_counts, user_count):
    requests = [
        {"request_id": f"eud-{number}", "user_count": count} for number, count in enumerate(user_counts, start=1)
    ]
    submitted = read_requests(output(*requests, user_count=user_count))
    known = sum(count or 0 for count in user_counts)
    ledger = ErasureLedger(submitted.records, SCOPE, RecordStore(None))
    accepted = [record for record in ledger.records if record.state is BatchState.ACCEPTED]
    assert [record.number for record in ledger.records] == list(range(1, len(ledger.records) + 1))
    assert [record.request.to_json() for record in accepted] == requests
    assert [record.user_count for record in accepted] == [count or 1 for count in user_counts]
    assert ledger.outcome == ErasureOutcome(
        open=sum(record.user_count for record in accepted), not_erased=max(user_count - known, 0)
    )
    assert not any(record.is_due for record in accepted)


# --- what the operator returns --------------------------------------------------------------------------------------


def with_fates(fates, size=100):
    """A ledger whose batches are not sent, submitted, submitted twice, or submitted and then refused."""
    records = []
    for number, (state, requests, positions) in enumerate(fates, start=1):
        user_counts = [size, size if positions is None else len(positions)][:requests]
        accepted = tuple(RequestRecord(f"eud-{number}-{which}", count) for which, count in enumerate(user_counts))
        records.append(BatchRecord(number, state, size, positions=positions, sent_fingerprint="x", requests=accepted))
    return ErasureLedger(records, SCOPE, RecordStore(None))


def returned_by(ledger, *, waited):
    """What the operator returns of a ledger, as an XCom."""
    report = ErasureReport(None, None, "https://platform.kore.ai", ledger, None, submits=True, started=0.0)
    return json.loads(json.dumps(report.result(ledger.outcome if waited else None)))


NOT_SENT, AMBIGUOUS = (BatchState.PLANNED, 0, None), (BatchState.SENDING, 0, None)
SUBMITTED, AGAIN = (BatchState.ACCEPTED, 1, None), (BatchState.ACCEPTED, 2, None)
AGAIN_SOME, ERASED = (BatchState.ACCEPTED, 2, (3, 7)), (BatchState.SETTLED, 1, ())
REFUSED_AGAIN, AMBIGUOUS_AGAIN = (BatchState.PLANNED, 1, (3, 7)), (BatchState.SENDING, 1, None)


@pytest.mark.parametrize(
    ("fates", "unsent"),
    [
        ([AGAIN, NOT_SENT], 100),
        ([AGAIN, AMBIGUOUS], 100),
        ([AGAIN, AGAIN_SOME, NOT_SENT], 100),
        ([AGAIN, AGAIN, NOT_SENT, AMBIGUOUS], 200),
        ([SUBMITTED, REFUSED_AGAIN], 2),
        ([AGAIN, AMBIGUOUS_AGAIN], 100),
        ([SUBMITTED, NOT_SENT], 100),
    ],
)
def test_users_who_were_submitted_twice_do_not_hide_those_who_were_never_sent(fates, unsent):
    output = returned_by(with_fates(fates), waited=True)
    assert output["unsent"] == unsent
    for value in (output, [output], [output, "eud-9"]):
        submitted = read_requests(value)
        assert submitted.unsent_users == unsent
        assert ErasureLedger(submitted.records, SCOPE, RecordStore(None)).outcome.not_erased == unsent


@given(
    st.lists(
        st.sampled_from([NOT_SENT, AMBIGUOUS, SUBMITTED, AGAIN, AGAIN_SOME, ERASED, REFUSED_AGAIN, AMBIGUOUS_AGAIN]),
        min_size=1,
        max_size=6,
    ).filter(lambda fates: any(requests for _, requests, _ in fates)),
    st.booleans(),
)
def test_a_sensor_says_erased_only_if_every_batch_is_in_an_accepted_request(fates, waited):
    ledger = with_fates(fates)
    output = returned_by(ledger, waited=waited)
    outcome = ErasureLedger(read_requests(output).records, SCOPE, RecordStore(None)).outcome
    assert (outcome.not_erased == 0) == (ledger.unsent == 0) == ("unsent" not in output)
    assert outcome.user_count >= ledger.user_count
