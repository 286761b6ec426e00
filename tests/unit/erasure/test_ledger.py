"""What survives a crash: nothing accepted is sent again, nobody is forgotten, and nobody is named."""

import copy
import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.users import (
    ChannelUserId,
    fingerprint,
)
from airflow_provider_kore.api.watching import RequestOutcome
from airflow_provider_kore.erasure import ledger as ledger_module
from airflow_provider_kore.erasure.ledger import BATCHES_TOGETHER, ErasureLedger
from airflow_provider_kore.erasure.opening import open_ledger
from airflow_provider_kore.erasure.plan_identity import identify_plan
from airflow_provider_kore.erasure.record import RECORDS, BatchRecord, BatchState, RequestRecord
from airflow_provider_kore.erasure.store import HEADER_KEY, RecordStore
from airflow_provider_kore.exceptions import Consequence, KoreResumeError
from airflow_provider_kore.user_ids.batches import UserBatches

KEY = b"key"
USERS = [f"Xq7ZwK9-{number}" for number in range(6)] + [ChannelUserId("rtm", "Xq7ZwK9-channel")]
ACCOUNT = KoreAccount("https://platform.kore.ai", "cs-1", client_secret="secret")
ONE_BOT = ErasureScope(("st-1",), all_bots=False)


class Store:
    """Airflow's task state store, which can fail before or after it has written."""

    def __init__(self):
        self.values = {}
        self.failures = []
        self.reads = self.writes = 0
        self.retentions = {}

    def get(self, key, default=None):
        self.reads += 1
        return copy.deepcopy(self.values.get(key, default))

    def set(self, key, value, *, retention=None):
        self.writes += 1
        self.retentions[key] = retention
        failure = self.failures.pop(0) if self.failures else None
        if failure == "before":
            raise ConnectionError("the store is away")
        self.values[key] = json.loads(json.dumps(value))
        if failure == "after":
            raise ConnectionError("the store's answer was lost")


def seen(request_id, *counts, at=None, understood=True):
    return RequestOutcome(
        request_id,
        ErasureOutcome(*counts),
        understood=understood,
        seen_at=at,
        created_on="2026-11-24T10:00:00.000Z",
        updated_on="2026-11-24T10:00:01.000Z",
    )


@pytest.fixture(autouse=True)
def naps():
    with mock.patch("airflow_provider_kore.erasure.store.time.sleep") as sleep:
        yield sleep


@pytest.fixture
def store():
    return Store()


def plan(users=USERS, batch_size=3, *, account=ACCOUNT, scope=ONE_BOT):
    return identify_plan(account, scope, user_count=len(users), batch_size=batch_size)


def batches(users=USERS, batch_size=3):
    return [tuple(users[start : start + batch_size]) for start in range(0, len(users), batch_size)]


def opened(store, users=USERS, batch_size=3, *, key=KEY, carried=None, **more):
    planned = [BatchRecord.of(batch) for batch in UserBatches(users, batch_size, 999, key).plan()]
    kept = RecordStore(store, carried)
    ledger = open_ledger(kept, plan(users, batch_size, **more), planned, ErasureLedger.load(kept))
    ledger.note()
    return ledger


def matches(ledger, users, batch_size=3, key=KEY):
    planned = UserBatches(users, batch_size, 999, key).plan()
    return [record.fingerprint for record in ledger.records] == [batch.fingerprint for batch in planned]


def send(ledger, number, users=USERS, batch_size=3):
    record = ledger.records[number - 1]
    batch = batches(users, batch_size)[number - 1]
    return ledger.write_intent(record, record.users_to_send(batch), KEY)


def accept(ledger, number, request_id):
    return ledger.write_accepted(send(ledger, number), request_id)


def finished(record):
    """Whether all users of a batch are erased, so that it is never sent again."""
    return record.state is BatchState.SETTLED and record.unerased == 0 and not record.is_due


def states(ledger):
    return [record.state for record in ledger.records]


# --- What a retry finds -----------------------------------------------------------------------------------------


def test_a_new_ledger_has_everything_to_send(store):
    ledger = opened(store)
    assert states(ledger) == [BatchState.PLANNED] * 3
    assert [record.number for record in ledger.records] == [1, 2, 3]
    assert [record.user_count for record in ledger.records] == [3, 3, 1]
    assert all(record.is_due and not finished(record) for record in ledger.records)


def test_an_intent_without_a_request_id_is_found_as_such(store):
    send(opened(store), 2)
    again = opened(store)
    assert states(again) == [BatchState.PLANNED, BatchState.SENDING, BatchState.PLANNED]
    assert again.records[1].is_due
    assert again.records[1].requests == ()


def test_the_intent_is_stored_before_anything_can_be_sent(store):
    ledger = opened(store)
    store.failures = ["before"]
    with pytest.raises(ConnectionError):
        send(ledger, 1)
    assert opened(store).records[0].state is BatchState.PLANNED


def test_a_retry_knows_when_a_batch_was_submitted_and_completed(store):
    with mock.patch("airflow_provider_kore.erasure.ledger.time.time", return_value=1000.5):
        ledger = opened(store)
        accept(ledger, 1, "eud-1")
    ledger.note_polls({1: seen("eud-1", 1, 2, 0, at=1100)})
    assert ledger.records[0].requests[0].completed_at is None
    ledger.note_polls({1: seen("eud-1", 3, 0, 0, at=1200)})
    ledger.note_polls({1: seen("eud-1", 3, 0, 0, at=1300)})
    ledger.write_erased([ledger.records[0]])
    (request,) = opened(store).records[0].requests
    assert (request.submitted_at, request.completed_at, request.reported) == (1000, 1200, (3, 0, 0))
    assert (request.created_on, request.updated_on) == ("2026-11-24T10:00:00.000Z", "2026-11-24T10:00:01.000Z")


def test_an_answer_that_is_not_understood_completes_nothing(store):
    ledger = opened(store)
    accept(ledger, 1, "eud-1")
    ledger.note_polls({1: seen("eud-1", 0, 0, 3, understood=False)})
    assert ledger.records[0].requests[0].completed_at is None


def test_an_accepted_batch_is_not_sent_again(store):
    accept(opened(store), 1, "eud-1")
    record = opened(store).records[0]
    assert record.state is BatchState.ACCEPTED
    assert not record.is_due
    assert [request.to_json() for request in record.requests] == [{"request_id": "eud-1", "user_count": 3}]
    assert record.sent_fingerprint == fingerprint(USERS[:3], KEY)


def test_a_batch_that_was_not_accepted_is_due_again_and_not_ambiguous(store):
    ledger = opened(store)
    ledger.write_not_accepted(send(ledger, 1))
    assert states(opened(store))[0] is BatchState.PLANNED


def test_a_finished_batch_is_finished_for_good(store):
    ledger = opened(store)
    ledger.write_settled(accept(ledger, 1, "eud-1"), ())
    record = opened(store).records[0]
    assert finished(record)
    assert not record.is_due
    assert record.unerased == 0
    assert record.users_to_send(USERS[:3]) == ()


def test_after_a_partial_end_only_those_who_are_not_erased_are_due(store):
    ledger = opened(store)
    ledger.write_settled(accept(ledger, 1, "eud-1"), (0, 2))
    ledger = opened(store)
    record = ledger.records[0]
    assert record.is_due
    assert not finished(record)
    assert record.users_to_send(USERS[:3]) == (USERS[0], USERS[2])
    ledger.write_settled(accept(ledger, 1, "eud-2"), (1,))
    record = ledger.records[0]
    assert record.users_to_send(USERS[:3]) == (USERS[2],)
    assert [request.to_json() for request in record.requests] == [
        {"request_id": "eud-1", "user_count": 3},
        {"request_id": "eud-2", "user_count": 2},
    ]
    assert opened(store).records[0] == record


def test_a_retry_with_the_users_of_a_batch_in_another_order_does_not_go_on(store):
    """Else the users to repeat, who are known by position, would be others."""
    ledger = opened(store)
    ledger.write_settled(accept(ledger, 1, "eud-1"), (1,))
    mixed = [USERS[1], USERS[0], *USERS[2:]]
    with pytest.raises(KoreResumeError) as caught:
        opened(store, mixed)
    assert "batch 1" in caught.value.problem
    assert not matches(ledger, mixed, 3, KEY)


CHANGES = {
    "base_url": {"account": replace(ACCOUNT, base_url="https://bots.kore.ai")},
    "client_id": {"account": replace(ACCOUNT, client_id="cs-2")},
    "secret": {"account": replace(ACCOUNT, client_secret="other")},
    "digest_key": {"account": replace(ACCOUNT, digest_key="other")},
    "other bot": {"scope": ErasureScope(("st-2",), all_bots=False)},
    "one more bot": {"scope": ErasureScope(("st-1", "st-2"), all_bots=False)},
    "scope alone": {"scope": ErasureScope(("st-1",), all_bots=True)},
    "all bots": {"scope": ErasureScope((), all_bots=True)},
    "one user less": {"users": USERS[:-1]},
    "one user more": {"users": [*USERS, "u-1"]},
    "another user": {"users": ["u-1", *USERS[1:]]},
    "another last user": {"users": [*USERS[:-1], "u-1"]},
    "users across batches": {"users": [USERS[3], *USERS[1:3], USERS[0], *USERS[4:]]},
    "batch size": {"batch_size": 4},
    "key": {"key": b"other"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_try_that_does_something_else_is_refused_and_changes_nothing(store, change):
    ledger = opened(store)
    for number in (1, 2, 3):
        accept(ledger, number, f"eud-{number}")
    before = copy.deepcopy(store.values)
    with pytest.raises(KoreResumeError) as caught:
        opened(store, **CHANGES[change])
    assert caught.value.consequence is Consequence.SENT_BEFORE
    assert "Xq7ZwK9" not in f"{caught.value}{caught.value!r}"
    assert store.values == before


@pytest.mark.parametrize("change", ["base_url", "secret", "other bot", "all bots", "one user more", "batch size"])
def test_as_long_as_nothing_was_sent_a_try_may_do_something_else(store, change):
    ledger = opened(store)
    ledger.write_not_accepted(send(ledger, 1))
    assert set(states(opened(store, **CHANGES[change]))) == {BatchState.PLANNED}


def test_a_try_that_does_something_else_is_refused_also_if_it_is_unclear_what_was_accepted(store):
    send(opened(store), 1)
    with pytest.raises(KoreResumeError) as caught:
        opened(store, **CHANGES["other bot"])
    assert caught.value.consequence is Consequence.UNCLEAR_BEFORE


def test_a_batch_that_was_never_sent_may_hold_other_users(store):
    accept(opened(store), 1, "eud-1")
    other = [*USERS[:-1], "u-1"]
    ledger = opened(store, other)
    assert states(ledger) == [BatchState.ACCEPTED, BatchState.PLANNED, BatchState.PLANNED]
    assert matches(ledger, other, 3, KEY)


@pytest.mark.parametrize(
    "key_and_value",
    [
        (HEADER_KEY, "garbage"),
        (HEADER_KEY, []),
        (HEADER_KEY, {}),
        (f"{HEADER_KEY}_batches_1", {"number": 1}),
        (f"{HEADER_KEY}_batches_1", "garbage"),
        (f"{HEADER_KEY}_batches_1", ["accepted"]),
        (f"{HEADER_KEY}_batches_1", [{}]),
        (f"{HEADER_KEY}_batches_1", 1),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(store, key_and_value):
    accept(opened(store), 1, "eud-1")
    key, value = key_and_value
    store.values[key] = value
    with pytest.raises(KoreResumeError):
        opened(store)


@pytest.mark.parametrize(
    "broken",
    [
        {"state": "done"},
        {"requests": [{"id": "eud-1"}]},
        {"requests": None},
        {"positions": 3},
        {"number": 0},
        {"number": 4},
        {"number": BATCHES_TOGETHER + 1},
    ],
)
def test_a_record_with_a_field_that_cannot_be_read_is_refused(store, broken):
    accept(opened(store), 1, "eud-1")
    store.values[f"{HEADER_KEY}_batches_1"][0] |= broken
    with pytest.raises(KoreResumeError):
        ErasureLedger.load(RecordStore(store))


@pytest.mark.parametrize("number", [1, 3])
def test_a_record_that_is_kept_where_another_belongs_is_refused(store, monkeypatch, number):
    monkeypatch.setattr(ledger_module, "BATCHES_TOGETHER", 1)
    accept(opened(store), 2, "eud-2")
    store.values[f"{HEADER_KEY}_batches_2"][0]["number"] = number
    with pytest.raises(KoreResumeError):
        ErasureLedger.load(RecordStore(store))


@pytest.mark.parametrize("writes", [0, 1])
def test_a_crash_while_another_plan_starts_leaves_no_record_of_the_earlier_plan(store, writes):
    ledger = opened(store)
    for number in (1, 2, 3):
        ledger.write_not_accepted(send(ledger, number))
    store.failures = [None] * writes + ["before"]
    other = {"users": ["u-1", "u-2"], "batch_size": 1}
    with pytest.raises(ConnectionError):
        opened(store, **other)
    store.failures = []
    ledger = opened(store, **other)
    assert states(ledger) == states(ErasureLedger.load(RecordStore(store))) == [BatchState.PLANNED] * 2
    assert not any(record.was_sent for record in ledger.records)


def test_the_header_outlives_every_record(store):
    ledger = opened(store)
    accept(ledger, 1, "eud-1")
    assert store.retentions[HEADER_KEY] > store.retentions[f"{HEADER_KEY}_batches_1"]
    store.retentions.clear()
    opened(store)
    assert HEADER_KEY in store.retentions


def test_a_request_id_belongs_to_one_batch(store):
    ledger = opened(store)
    assert not ledger.has_request("eud-1")
    accept(ledger, 1, "eud-1")
    assert ledger.has_request("eud-1")
    assert not ledger.has_request("eud-2")


HEADER = {"user_count": 3, "batch_size": 2, "bot_ids": ["st-1"], "all_bots": False}


@pytest.mark.parametrize(
    "header",
    [
        *("garbage", [], {}),
        *({key: value for key, value in HEADER.items() if key != left_out} for left_out in HEADER),
        *(HEADER | {key: wrong} for key in HEADER for wrong in ("2", None)),
        *(HEADER | {"batch_size": wrong} for wrong in (0, -2)),
    ],
)
def test_records_without_a_header_that_can_be_read_are_not_loaded(store, header):
    store.values[HEADER_KEY] = header
    with pytest.raises(KoreResumeError):
        ErasureLedger.load(RecordStore(store))


def test_without_a_store_each_try_begins_from_nothing():
    ledger = opened(None)
    accept(ledger, 1, "eud-1")
    assert ledger.records[0].state is BatchState.ACCEPTED
    assert states(opened(None)) == [BatchState.PLANNED] * 3
    assert ErasureLedger.load(RecordStore(None)) is None


def test_records_can_be_loaded_without_the_users(store):
    assert ErasureLedger.load(RecordStore(store)) is None
    ledger = opened(store)
    ledger.write_settled(accept(ledger, 1, "eud-1"), (2,))
    accept(ledger, 3, "eud-3")
    loaded = ErasureLedger.load(RecordStore(store))
    assert loaded.records[0] == ledger.records[0]
    assert loaded.records[2] == ledger.records[2]
    assert (loaded.records[1].state, loaded.records[1].user_count) == (BatchState.PLANNED, 3)
    loaded.write_settled(loaded.records[2], ())
    assert finished(opened(store).records[2])


@given(st.integers(1, 40), st.integers(1, 12))
def test_loaded_batches_have_the_numbers_and_sizes_of_those_that_were_planned(user_count, batch_size):
    store, users = Store(), [str(number) for number in range(user_count)]
    planned = [(record.number, record.user_count) for record in opened(store, users, batch_size).records]
    loaded = ErasureLedger.load(RecordStore(store)).records
    assert [(record.number, record.user_count) for record in loaded] == planned


def test_everything_is_kept_longer_than_the_statutory_window(store):
    ledger = opened(store)
    ledger.write_settled(accept(ledger, 1, "eud-1"), ())
    assert len(store.retentions) == 2
    assert all(retention >= timedelta(days=120) for retention in store.retentions.values())


@pytest.mark.parametrize(("failures", "kept"), [(3, True), (4, False)])
def test_a_request_id_that_cannot_be_stored_is_tried_again_and_then_logged(store, naps, caplog, failures, kept):
    ledger = opened(store)
    sending = send(ledger, 1)
    store.failures = ["before"] * failures
    assert ledger.write_accepted(sending, "eud-1").state is BatchState.ACCEPTED
    assert ledger.records[0].state is BatchState.ACCEPTED
    assert naps.call_count == 3
    assert states(opened(store))[0] is (BatchState.ACCEPTED if kept else BatchState.SENDING)
    assert ("eud-1" in caplog.text) is not kept
    assert "Xq7ZwK9" not in caplog.text


def test_the_users_are_recognised_by_users_order_batches_and_key(store):
    ledger = opened(store)
    assert matches(ledger, USERS, 3, KEY)
    assert not matches(ledger, USERS, 4, KEY)
    assert not matches(ledger, USERS[:-1], 3, KEY)
    assert not matches(ledger, USERS, 3, b"other")
    assert not matches(ledger, [])


@given(
    st.builds(
        BatchRecord,
        number=st.integers(1, 99),
        state=st.sampled_from(BatchState),
        user_count=st.integers(1, 99),
        fingerprint=st.text(),
        positions=st.none() | st.lists(st.integers(0, 99)).map(tuple),
        sent_fingerprint=st.text(),
        requests=st.lists(
            st.builds(
                RequestRecord,
                st.text(),
                st.integers(1, 99),
                reported=st.none() | st.tuples(*[st.integers(0, 99)] * 3),
                remarks=st.lists(st.text()).map(tuple),
            )
        ).map(tuple),
        found=st.lists(st.integers(0, 99)).map(tuple),
    )
)
def test_a_record_survives_its_json_form(record):
    fields = RECORDS.dump_python([record], mode="json", exclude_defaults=True)
    assert RECORDS.validate_python(json.loads(json.dumps(fields))) == [record]


# --- What is computed from it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fates", "unsent", "consequence", "of_stopping"),
    [
        (("planned", "planned"), 2, Consequence.NOT_SENT, Consequence.NOT_SENT),
        (("refused", "planned"), 2, Consequence.NOT_SENT, Consequence.NOT_SENT),
        (("sending", "planned"), 2, Consequence.UNCLEAR_BEFORE, Consequence.UNKNOWN),
        (("accepted", "planned"), 1, Consequence.SENT_BEFORE, Consequence.PARTLY_DONE),
        (("accepted", "sending"), 1, Consequence.SENT_BEFORE, Consequence.PARTLY_DONE),
        (("settled", "refused"), 1, Consequence.SENT_BEFORE, Consequence.PARTLY_DONE),
        (("accepted", "settled"), 0, Consequence.SENT_BEFORE, Consequence.SENT),
    ],
)
def test_the_ledger_says_what_it_means_if_nothing_more_is_sent(store, fates, unsent, consequence, of_stopping):
    ledger = opened(store, USERS[:4], 2)
    for number, fate in enumerate(fates, start=1):
        if fate != "planned":
            record = send(ledger, number, USERS[:4], 2)
            if fate == "refused":
                ledger.write_not_accepted(record)
            elif fate != "sending":
                record = ledger.write_accepted(record, f"eud-{number}")
                if fate == "settled":
                    ledger.write_settled(record, (1,))
    for each in (ledger, opened(store, USERS[:4], 2)):
        assert (each.unsent, each.consequence, each.consequence_of_stopping) == (unsent, consequence, of_stopping)
        assert each.anything_sent is (consequence is not Consequence.NOT_SENT)


def test_open_requests_and_users_who_are_not_erased_are_listed(store, monkeypatch):
    monkeypatch.setattr(ledger_module, "time", SimpleNamespace(time=iter([3000.0, 2000.0, 4000.0, 1000.0]).__next__))
    ledger = opened(store)
    assert ledger.first_submitted_at is None
    accept(ledger, 1, "eud-1")
    accept(ledger, 2, "eud-2")
    accept(ledger, 3, "eud-3")
    ledger.note_polls({1: seen("eud-1", 1, 0, 2), 2: seen("eud-2", 2, 1, 0), 3: seen("eud-3", 1, 0, 0)})
    ledger.write_settled(ledger.records[0], (0, 2))
    assert [record.number for record in ledger.accepted] == [2, 3]
    assert ledger.open_request_ids == ["eud-2", "eud-3"]  # of the third it is not known who is erased
    assert ledger.not_erased_users == [{"batch": 1, "position": 1}, {"batch": 1, "position": 3}]
    assert ledger.first_submitted_at == 2000
    accept(ledger, 1, "eud-4")
    assert ledger.first_submitted_at == 2000  # a second request is not the first
    assert ledger.not_erased_users == []


def test_of_many_users_who_are_not_erased_the_first_are_listed(store, monkeypatch):
    monkeypatch.setattr(ledger_module, "NAMED_IN_OUTPUT", 3)
    ledger = opened(store)
    for number in (1, 2):
        ledger.write_settled(accept(ledger, number, f"eud-{number}"), (0, 1))
    assert [(user["batch"], user["position"]) for user in ledger.not_erased_users] == [(1, 1), (1, 2), (2, 1)]


def test_where_nobody_recorded_when_a_request_was_submitted_it_is_not_known():
    record = BatchRecord(1, BatchState.ACCEPTED, 1, sent_fingerprint="x", requests=(RequestRecord("eud-1", 1),))
    assert ErasureLedger([record], ONE_BOT, RecordStore(None)).first_submitted_at is None


def test_fifty_records_are_kept_together(store):
    users = [f"Xq7ZwK9-{number}" for number in range(100)]
    ledger = opened(store, users, 1)
    for number in (1, 50, 51, 100):
        ledger.write_accepted(send(ledger, number, users, 1), f"eud-{number}")
    kept = {key: [record["number"] for record in value] for key, value in store.values.items() if key != HEADER_KEY}
    assert kept == {
        f"{HEADER_KEY}_batches_1": [1, 50],
        f"{HEADER_KEY}_batches_2": [51, 100],
    }
    store.reads = 0
    assert [record.number for record in opened(store, users, 1).accepted] == [1, 50, 51, 100]
    assert store.reads <= 4  # the header, and two values


def test_what_a_verification_found_is_written_only_where_it_is_new(store):
    ledger = opened(store)
    for number in (1, 2):
        ledger.write_settled(accept(ledger, number, f"eud-{number}"), ())
    ledger.write_found({2: (0,)})
    assert [record.found for record in opened(store).records] == [(), (0,), ()]
    writes = store.writes
    ledger.write_found({1: (), 2: (0,)})
    assert store.writes == writes


def test_polls_of_open_requests_are_written_at_the_end_of_a_round(store, monkeypatch):
    monkeypatch.setattr(ledger_module, "BATCHES_TOGETHER", 1)
    ledger = opened(store)
    for number in (1, 2, 3):
        accept(ledger, number, f"eud-{number}")
    ledger.write_settled(ledger.records[1], ())
    ledger.note_polls({2: seen("eud-2", 1, 2, 0), 3: seen("eud-3", 0, 1, 0)})
    assert ledger.records[1].request.reported is None
    assert opened(store).records[2].request.reported is None
    writes = store.writes
    ledger.write_open([2, 3])
    assert store.writes == writes + 1
    records = opened(store).records
    assert [record.request.reported for record in records] == [None, None, (0, 1, 0)]
    assert finished(records[1])


@pytest.mark.parametrize(
    ("by_id", "answered", "names_users"),
    [(True, None, True), (False, None, False), (False, USERS[:3], True), (False, USERS[:2], False)],
)
def test_an_answer_names_the_users_if_it_was_matched_by_id_or_has_their_fingerprint(
    store, by_id, answered, names_users
):
    ledger = opened(store)
    accept(ledger, 1, "eud-1")
    known = None if answered is None else fingerprint(answered, KEY)
    outcome = RequestOutcome("eud-1", ErasureOutcome(3), known, understood=True)
    ledger.note_polls({1: outcome}, by_id=by_id)
    assert ledger.records[0].request.names_users is names_users
    assert ledger.outcome.erased == (3 if names_users else 0)


# --- Whatever happens, in whatever order -------------------------------------------------------------------------


class Attempts(RuleBasedStateMachine):
    """
    Attempts of a task that end anywhere, above a store that fails anywhere.

    ``here`` is what the running attempt knows of each batch, ``stored`` what the store has: the state, the users who
    are not known to be erased, and the ids of the accepted requests.
    """

    batches = batches()
    together = ((0, 1), (0, 1), (2,))

    def __init__(self):
        super().__init__()
        self.patches = [
            mock.patch("airflow_provider_kore.erasure.store.time.sleep"),
            mock.patch("airflow_provider_kore.erasure.ledger.BATCHES_TOGETHER", 2),
        ]
        for patch in self.patches:
            patch.start()
        self.store = Store()
        self.stored = [(BatchState.PLANNED, batch, ()) for batch in self.batches]
        self.ids = 0

    def teardown(self):
        for patch in self.patches:
            patch.stop()

    @initialize()
    def start_the_first_attempt(self):
        self.start_an_attempt()

    @rule()
    def start_an_attempt(self):
        """The process died, or the attempt ended: only the store is left."""
        self.store.failures = []
        self.ledger = opened(self.store)
        self.here = list(self.stored)

    @rule(failures=st.lists(st.sampled_from(["before", "after", None]), max_size=5))
    def let_the_store_fail(self, failures):
        self.store.failures = failures

    def written(self, index, after, attempts):
        self.here[index] = after
        if any(failure != "before" for failure in [*attempts, *[None] * 4][:4]):
            self.store_together(index)

    def store_together(self, index):
        """A write takes what other writes of the same value had left undone along."""
        for each in self.together[index]:
            self.stored[each] = self.here[each]

    def pick(self, index, *wanted):
        return self.ledger.records[index] if self.here[index][0] in wanted else None

    @rule(index=st.integers(0, 2), fate=st.sampled_from(["accepted", "refused", "unclear", "died"]))
    def submit_what_is_due(self, index, fate):
        record = self.ledger.records[index]
        state, remaining, ids = self.here[index]
        due = state in (BatchState.PLANNED, BatchState.SENDING) or (state is BatchState.SETTLED and len(remaining) > 0)
        assert record.is_due == due
        if not due:
            return
        users = record.users_to_send(self.batches[index])
        assert users == remaining
        failure = self.store.failures[0] if self.store.failures else None
        try:
            record = self.ledger.write_intent(record, users, KEY)
        except ConnectionError:
            assert failure is not None
            self.here[index] = (BatchState.SENDING, remaining, ids)
            if failure == "after":
                self.store_together(index)
            self.start_an_attempt()
            return
        assert failure is None
        self.here[index] = (BatchState.SENDING, remaining, ids)
        self.store_together(index)
        attempts = list(self.store.failures)
        if fate == "accepted":
            self.ids += 1
            request_id = f"eud-{self.ids}"
            self.ledger.write_accepted(record, request_id)
            self.written(index, (BatchState.ACCEPTED, remaining, (*ids, (request_id, len(remaining)))), attempts)
        elif fate == "refused":
            self.ledger.write_not_accepted(record)
            self.written(index, (BatchState.PLANNED, remaining, ids), attempts)
        elif fate == "died":
            self.start_an_attempt()

    @rule(index=st.integers(0, 2), data=st.data())
    def settle_what_was_accepted(self, index, data):
        record = self.pick(index, BatchState.ACCEPTED)
        if record is None:
            return
        _, remaining, ids = self.here[index]
        repeat = data.draw(st.sets(st.integers(0, len(remaining) - 1)).map(sorted) if remaining else st.just([]))
        attempts = list(self.store.failures)
        self.ledger.write_settled(record, repeat)
        self.written(index, (BatchState.SETTLED, tuple(remaining[position] for position in repeat), ids), attempts)

    @precondition(lambda self: hasattr(self, "ledger"))
    @invariant()
    def the_attempt_knows_what_it_did(self):
        self.compare(self.ledger, self.here)

    @precondition(lambda self: hasattr(self, "ledger"))
    @invariant()
    def the_next_attempt_will_know_what_was_stored(self):
        failures, self.store.failures = self.store.failures, []  # are for the writes of the attempt that is running
        self.compare(opened(self.store), self.stored)
        self.store.failures = failures
        loaded = ErasureLedger.load(self.store)
        assert states(loaded) == [state for state, _, _ in self.stored]

    @invariant()
    def the_store_names_nobody(self):
        assert "Xq7ZwK9" not in json.dumps(self.store.values)

    def compare(self, ledger, model):
        assert len(ledger.records) == len(model)
        for record, batch, (state, remaining, ids) in zip(ledger.records, self.batches, model, strict=True):
            assert record.state is state
            assert record.user_count == len(batch)
            assert record.users_to_send(batch) == tuple(remaining)
            assert record.unerased == len(remaining)
            assert finished(record) == (state is BatchState.SETTLED and not remaining)
            assert tuple((request.request_id, request.user_count) for request in record.requests) == ids
            if state is BatchState.ACCEPTED:
                assert not record.is_due
            if state in (BatchState.SENDING, BatchState.ACCEPTED):
                assert record.sent_fingerprint == fingerprint(remaining, KEY)


TestAttempts = Attempts.TestCase
TestAttempts.settings = settings(max_examples=40, stateful_step_count=20)
