"""The ledger says "erased" only of users of whom an answer proves it, by count or by user id."""

import pytest
from erasing_users import KEY, SCOPE, Client, Hook, accept, ledger_of
from hypothesis import given
from hypothesis import strategies as st
from playing_kore import WALL_START, http

from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.api.users import fingerprint
from airflow_provider_kore.api.watching import ErasureWatch, RequestOutcome
from airflow_provider_kore.erasure import reconcile as reconcile_module
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.reconcile import Reconciler, reconcile_by_count
from airflow_provider_kore.erasure.record import BatchRecord, BatchState, RequestRecord
from airflow_provider_kore.erasure.store import RecordStore
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreUnexpectedUsersError

BATCH = ["a@x.org", "b@x.org"]


def polled(*counts, users=BATCH, understood=True):
    known = fingerprint(users, KEY) if users else None
    return RequestOutcome("eud-1", ErasureOutcome(*counts), known, understood, seen_at=5)


def watch_of(ledger):
    def watch(client, numbers, assess):
        requests = [ledger.records[number - 1].request for number in numbers]
        return ErasureWatch(
            requests, client.pacing, fingerprint_key=KEY, started=WALL_START, assess=assess, clock=client.clock.wall
        )

    return watch


def reconcile(outcome, answer=None, *, by_id=True, users=None):
    """Reconcile the one batch of a ledger; ``answer`` names users and their status in a poll by user id."""
    ledger, batches = ledger_of(BATCH)
    accept(ledger, 1, BATCH, "eud-1")
    if users is not None:
        _, batches = ledger_of(users)

    def reply(request):
        entries = [{"userId": user_id, "status": status} for user_id, status in (answer or {}).items()]
        return http(200, {"_id": "eud-1", "response": entries})

    client = Client(reply)
    reconciler = Reconciler(Hook(client), ledger, batches, watch_of(ledger), [])
    outcomes = {1: outcome}
    reconciler.reconcile(outcomes, by_id=by_id)
    return ledger, reconciler, outcomes[1], client


def outcomes_of(record):
    return [record.outcome_of(position) for position in range(record.user_count)]


def test_counts_prove_a_batch_erased_if_the_answer_names_the_very_users():
    ledger, _, _, client = reconcile(polled(2))
    assert (ledger.records[0].state, ledger.records[0].unerased) == (BatchState.SETTLED, 0)
    assert ledger.outcome == ErasureOutcome(2)
    assert client.requests == []


ANSWERS = {
    "all erased": ({"a@x.org": "success", "b@x.org": "success"}, BatchState.SETTLED, (), (2, 0, 0)),
    "one failed": ({"a@x.org": "success", "b@x.org": "FAILED"}, BatchState.SETTLED, (1,), (1, 0, 1)),
    "both failed": ({"a@x.org": "FAILED", "b@x.org": "FAILED"}, BatchState.SETTLED, (0, 1), (0, 0, 2)),
    "one open": ({"a@x.org": "success", "b@x.org": "pending"}, BatchState.ACCEPTED, None, (1, 1, 0)),
    "one missing": ({"a@x.org": "success"}, BatchState.ACCEPTED, None, (1, 1, 0)),
    "other ids, all erased": ({"u-1": "success", "u-2": "success"}, BatchState.SETTLED, (), (2, 0, 0)),
    "other ids, one failed": ({"u-1": "success", "u-2": "FAILED"}, BatchState.SETTLED, None, (1, 0, 1)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_poll_by_user_id_decides_where_counts_do_not_prove_enough(name):
    answer, state, positions, counts = ANSWERS[name]
    ledger, reconciler, _, client = reconcile(polled(1, 0, 1, users=None), answer)
    record = ledger.records[0]
    assert (record.state, record.positions) == (state, positions)
    assert ledger.outcome.counts() == ErasureOutcome(*counts).counts()
    assert len(client.requests) == 1
    assert not reconciler.alarms


def test_users_who_are_not_erased_are_named_by_position_only():
    _, reconciler, _, _ = reconcile(polled(1, 0, 1), {"a@x.org": "success", "b@x.org": "FAILED"})
    assert reconciler.not_erased_users == [{"batch": 1, "position": 2}]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"a@x.org": "success", "b@x.org": "FAILED"}, "the users at position 2 of the batch."),
        ({"u-1": "success", "u-2": "FAILED"}, "1 users. Kore.ai does not name them by the ids that were submitted"),
    ],
)
def test_the_log_says_who_of_a_batch_is_not_erased(answer, words, caplog):
    reconcile(polled(1, 0, 1), answer)
    assert f"Not erased in batch 1 (request eud-1): {words}" in caplog.text


def test_each_batch_is_settled_by_its_own_answer():
    users = ["a@x.org", "b@x.org", "c@x.org", "d@x.org", "e@x.org"]
    ledger, batches = ledger_of(users)
    for number in (1, 2, 3):
        accept(ledger, number, users[2 * number - 2 : 2 * number], f"eud-{number}")
    settled = {2: ["c@x.org", "d@x.org"], 3: ["e@x.org"]}
    outcomes = {
        number: RequestOutcome(f"eud-{number}", ErasureOutcome(len(ids)), fingerprint(ids, KEY), understood=True)
        for number, ids in settled.items()
    }
    Reconciler(Hook(Client(None)), ledger, batches, None, []).reconcile(outcomes, by_id=True)
    assert [record.state for record in ledger.records] == [
        BatchState.ACCEPTED,
        BatchState.SETTLED,
        BatchState.SETTLED,
    ]


def test_each_batch_is_settled_by_its_own_poll_by_user_id_and_not_all_users_are_named(monkeypatch):
    monkeypatch.setattr(reconcile_module, "NAMED_IN_OUTPUT", 2)
    users = [f"{name}@x.org" for name in "abcdefgh"]
    ledger, batches = ledger_of(users)
    failed = {1: [], 2: [1], 3: [0, 1], 4: [1]}
    outcomes = {}
    for number, positions in failed.items():
        accept(ledger, number, users[2 * number - 2 : 2 * number], f"eud-{number}")
        outcomes[number] = RequestOutcome(
            f"eud-{number}", ErasureOutcome(2 - len(positions), 0, len(positions)), understood=True
        )

    def reply(request):
        number = int(request.path.partition("eud-")[2].partition("/")[0])
        words = ["FAILED" if position in failed[number] else "success" for position in (0, 1)]
        names = users[2 * number - 2 : 2 * number]
        entries = [{"userId": name, "status": word} for name, word in zip(names, words, strict=True)]
        return http(200, {"_id": f"eud-{number}", "response": entries})

    reconciler = Reconciler(Hook(client := Client(reply)), ledger, batches, watch_of(ledger), [])
    reconciler.reconcile(outcomes, by_id=True)
    assert [record.positions for record in ledger.records] == [(), (1,), (0, 1), (1,)]
    assert [record.state for record in ledger.records] == [BatchState.SETTLED] * 4
    assert ledger.outcome.counts() == {"erased": 4, "open": 0, "not_erased": 4}
    assert reconciler.not_erased_users == [{"batch": 2, "position": 2}, {"batch": 3, "position": 1}]
    assert len(client.requests) == 4


@pytest.mark.parametrize("by_id", [True, False])
def test_what_was_not_understood_settles_nothing(by_id):
    words = dict.fromkeys(BATCH, "Purged")
    ledger, _, outcome, client = reconcile(polled(0, 0, 2, users=None, understood=False), words, by_id=by_id)
    assert (ledger.records[0].state, ledger.outcome.not_erased) == (BatchState.ACCEPTED, 2)
    assert len(client.requests) == by_id  # whose answer may be shown: the users are known
    assert ("Purged (2)" in str(outcome.outcome.remarks)) is by_id


def test_an_answer_that_names_a_stranger_is_an_alarm_and_nothing_is_submitted_again():
    ledger, reconciler, _, _ = reconcile(polled(2, users=None), {"a@x.org": "success", "c@x.org": "success"})
    assert [type(alarm) for alarm in reconciler.alarms] == [KoreUnexpectedUsersError]
    assert (ledger.records[0].state, ledger.records[0].is_due) == (BatchState.ACCEPTED, False)
    assert ledger.outcome.counts() == {"erased": 1, "open": 0, "not_erased": 1}  # who is named by id still counts


@pytest.mark.parametrize("users", [None, ["a@x.org", "c@x.org"]])
def test_without_a_poll_by_user_id_a_batch_of_other_users_is_not_erased(users):
    ledger, _, _, client = reconcile(polled(2, users=users), by_id=False)
    assert ledger.outcome.counts() == {"erased": 0, "open": 2, "not_erased": 0}
    assert outcomes_of(ledger.records[0]) == [Outcome.OPEN] * 2
    assert client.requests == []


def test_a_source_that_has_changed_leaves_the_batch_unproven():
    with pytest.raises(KoreInputError) as caught:
        reconcile(polled(1, 0, 1), {}, users=["a@x.org", "other@x.org"])
    assert caught.value.consequence is Consequence.SENT
    assert "x.org" not in str(caught.value)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)).filter(any), min_size=1, max_size=4))
def test_by_count_a_ledger_adds_up_to_what_the_answers_say(counts):
    records = [
        BatchRecord(
            number,
            BatchState.ACCEPTED,
            sum(count),
            sent_fingerprint="x",
            requests=(RequestRecord(f"eud-{number}", None),),
        )
        for number, count in enumerate(counts, start=1)
    ]
    ledger = ErasureLedger(records, SCOPE, RecordStore(None))
    outcomes = {
        number: RequestOutcome(f"eud-{number}", ErasureOutcome(*count), understood=True)
        for number, count in enumerate(counts, start=1)
    }
    reconcile_by_count(ledger, outcomes)
    assert ledger.outcome.counts() == sum((outcome.outcome for outcome in outcomes.values()), ErasureOutcome()).counts()
    for record, (_, open_, not_erased) in zip(ledger.records, counts, strict=True):
        assert (record.state is BatchState.SETTLED) is (open_ == 0)
        assert (record.unerased == 0) is (open_ == not_erased == 0)  # it is not known who is erased
