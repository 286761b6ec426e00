"""Receipts and verification never say more of a user than is proven, also where an earlier attempt knew more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from erasing_users import ACCOUNT, SCOPE, USERS, accept, ledger_of

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.api.watching import RequestOutcome
from airflow_provider_kore.erasure import ledger as ledger_module
from airflow_provider_kore.erasure.evidence import Evidence
from airflow_provider_kore.erasure.options import ErasureOptions, ReceiptOptions, VerifyOptions
from airflow_provider_kore.exceptions import KoreFoundError, KoreReceiptError, KoreVerificationError
from airflow_provider_kore.period import Period
from airflow_provider_kore.receipts.auditing import audit
from airflow_provider_kore.receipts.signing import ReceiptKey
from airflow_provider_kore.verification.findings import Finding, Verification

NAMING_ACCOUNT = replace(ACCOUNT, digest_key="a digest key")
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
CONTEXT = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=None, try_number=2)}
NOW = datetime.now(UTC)
PERIOD = Period(NOW - timedelta(days=2), NOW - timedelta(days=1))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "receipts"


@pytest.fixture(autouse=True)
def submitted_at(monkeypatch):
    """Say when each of the next requests is submitted, in seconds since the epoch."""

    def say(*moments):
        monkeypatch.setattr(ledger_module, "time", SimpleNamespace(time=iter(moments).__next__))

    say(*[NOW.timestamp()] * 9)
    return say


def options(*, folder=None, **verify):
    receipt = None if folder is None else ReceiptOptions(folder.as_uri(), ReceiptKey.from_pem(PEM), None)
    arguments = {"people": "all", "since": timedelta(days=31), "channel_types": ("rtm",), "fail_if_not_checkable": True}
    return ErasureOptions(None, VerifyOptions(**arguments | verify), receipt, None, None)


def settled():
    """A ledger: both users of the first batch are erased, one of the second, and the third is open."""
    ledger, batches = ledger_of()
    for number, users, counts in [(1, USERS[:2], (2, 0, 0)), (2, USERS[2:4], (1, 0, 1)), (3, USERS[4:], (0, 1, 0))]:
        accept(ledger, number, users, f"eud-{number}")
        ledger.note_polls({number: RequestOutcome(f"eud-{number}", ErasureOutcome(*counts), understood=True)})
    ledger.write_erased([ledger.records[0]])
    ledger.write_settled(ledger.records[1], (1,))
    return ledger, batches


def evidence_of(ledger, batches, folder=None, **verify):
    return Evidence(options(folder=folder, **verify), NAMING_ACCOUNT, ledger, batches)


def verification_of(*findings, people="all", chosen=None):
    """What was found of the first of the erased users."""
    verification = Verification(people, SCOPE, ("rtm",), PERIOD, chosen)
    places = [(1, 1), (1, 2), (2, 1)]
    for number, finding in enumerate(findings):
        if finding is not Finding.NOT_CHECKED:
            verification.record(number, dict(zip(("batch", "position"), places[number], strict=True)), finding)
    return verification


def receipts_of(result):
    """Verify the evidence as an auditor does."""
    receipts = []
    path = Path(result["receipt"]["uri"].removeprefix("file://"))
    return audit(path, ReceiptKey.from_pem(PEM).public_key_pem, receipts.append), receipts


def named_in(receipts):
    return {
        (receipt.batch.number, person.digest): (person.outcome.value, person.verification)
        for receipt in receipts
        for person in receipt.persons
    }


def named(**users):
    numbers = {"a": (1, 0), "b": (1, 1), "c": (2, 2), "d": (2, 3), "e": (3, 4)}
    return {(numbers[name][0], digest(USERS[numbers[name][1]], "a digest key")): what for name, what in users.items()}


def test_the_users_who_are_verified_are_those_who_are_erased():
    evidence = evidence_of(*settled())
    users = [(user.batch, user.position, user.user_id) for user in evidence.erased_users()]
    assert users == [(1, 0, USERS[0]), (1, 1, USERS[1]), (2, 0, USERS[2])]
    assert evidence.erased_count == 3


def test_of_a_batch_those_count_as_erased_who_are_not_to_be_submitted_again():
    ledger, batches = ledger_of(batch_size=5)
    accept(ledger, 1, USERS, "eud-1")
    ledger.write_settled(ledger.records[0], (0, 3))
    evidence = evidence_of(ledger, batches)
    assert evidence.erased_count == 3
    assert [user.position for user in evidence.erased_users()] == [1, 2, 4]


@pytest.mark.parametrize(
    ("ago", "since", "until_ago"),
    [((400, 100, 50), timedelta(days=31), 100), ((400, -900, 50), timedelta(days=31), 0), ((400, 100, 50), 60, 0)],
)
def test_a_verification_ends_when_the_last_erased_users_were_submitted(submitted_at, ago, since, until_ago):
    now = datetime.now(UTC)
    submitted_at(*[now.timestamp() - seconds for seconds in ago])
    since = since if isinstance(since, timedelta) else now - timedelta(seconds=since)
    verification = evidence_of(*settled(), since=since).start_verification(CONTEXT)
    assert abs(verification.period.until - (now - timedelta(seconds=until_ago))) < timedelta(seconds=30)
    assert (verification.chosen, verification.scope, verification.channel_types) == (None, SCOPE, ("rtm",))


def test_a_sample_is_taken_of_the_erased_users_and_the_same_at_each_attempt():
    evidence = evidence_of(*settled(), people="sample:2")
    first, second = evidence.start_verification(CONTEXT), evidence.start_verification(CONTEXT)
    assert first.chosen == second.chosen
    assert len(first.chosen) == 2
    assert set(first.chosen) <= {0, 1, 2}


def test_without_erased_users_nothing_is_verified():
    ledger, batches = ledger_of()
    accept(ledger, 1, USERS[:2], "eud-1")
    assert evidence_of(ledger, batches).start_verification(CONTEXT) is None
    evidence = Evidence(ErasureOptions(None, None, None, None, None), ACCOUNT, *settled())
    assert evidence.start_verification(CONTEXT) is None


@pytest.mark.parametrize(
    ("findings", "before", "people"),
    [
        (["gone", "gone", "gone"], {}, {"a": ("erased", "gone"), "b": ("erased", "gone"), "c": ("erased", "gone")}),
        (
            ["gone", "found", "not_checkable"],
            {},
            {"a": ("erased", "gone"), "b": ("not_erased", "found"), "c": ("erased", "not_checkable")},
        ),
        (  # whom an earlier attempt found, and this one cannot check, is still found
            ["gone", "not_checkable", "not_checkable"],
            {1: (0, 1), 2: (0,)},
            {"a": ("erased", "gone"), "b": ("not_erased", "found"), "c": ("not_erased", "found")},
        ),
    ],
)
def test_a_user_who_is_found_is_not_erased(folder, findings, before, people):
    ledger, batches = settled()
    ledger.write_found(before)
    evidence, result = evidence_of(ledger, batches, folder), {}
    evidence.conclude(result, CONTEXT, verification_of(*map(Finding, findings)), [])
    manifest, receipts = receipts_of(result)
    rest = {"d": ("not_erased", "not_checked"), "e": ("open", "not_checked")}
    assert named_in(receipts) == named(**people, **rest)
    outcomes = [outcome for outcome, _ in (people | rest).values()]
    assert manifest.outcome.model_dump() == {name: outcomes.count(name) for name in ("erased", "open", "not_erased")}
    assert manifest.vendor_reported.total == manifest.user_count == 5
    found = {number: record.found for number, record in enumerate(ledger.records, start=1)}
    words = {name: word == "found" for name, (_, word) in people.items()}
    assert found == {1: tuple(n for n, name in enumerate("ab") if words[name]), 2: (0,) * words["c"], 3: ()}
    assert result["receipt"]["count"] == 3
    assert result["verification"]["found"] == findings.count("found")


def test_a_receipt_calls_nobody_erased_who_is_found_although_the_ledger_does_not_know(folder):
    result = {}
    evidence = Evidence(replace(options(folder=folder), verify=None), NAMING_ACCOUNT, *settled())
    evidence.conclude(result, CONTEXT, verification_of(Finding.GONE, Finding.FOUND, Finding.GONE), [])
    _, receipts = receipts_of(result)
    assert named_in(receipts).items() >= named(a=("erased", "gone"), b=("not_erased", "found")).items()


def test_who_was_found_before_is_not_erased_in_a_receipt_without_a_verification(folder):
    ledger, batches = settled()
    ledger.write_found({1: (1,)})
    result = {}
    assert evidence_of(ledger, batches, folder).conclude(result, CONTEXT, None, []) == []
    _, receipts = receipts_of(result)
    assert named_in(receipts)[next(iter(named(b=None)))] == ("not_erased", "not_checked")
    assert receipts[0].outcome.model_dump() == {"erased": 1, "open": 0, "not_erased": 1}
    assert "verification" not in result
    assert ledger.records[0].found == (1,)


@pytest.mark.parametrize(
    ("findings", "fails", "kinds"),
    [
        (["gone", "found", "gone"], False, [KoreFoundError]),
        (["gone", "not_checkable", "gone"], True, [KoreVerificationError]),
        (["gone", "not_checkable", "gone"], False, []),
        (["gone", "gone"], True, [KoreVerificationError]),
    ],
)
def test_what_a_verification_found_fails_the_task(findings, fails, kinds):
    evidence = evidence_of(*settled(), fail_if_not_checkable=fails)
    failures = evidence.conclude({}, CONTEXT, verification_of(*map(Finding, findings)), [])
    assert [type(failure) for failure in failures] == kinds


@pytest.mark.parametrize("ambiguous", [True, False])
def test_users_without_a_receipt_are_counted_as_never_submitted_or_unclear(folder, ambiguous):
    ledger, batches = ledger_of()
    accept(ledger, 3, USERS[4:], "eud-3")
    if ambiguous:
        ledger.write_intent(ledger.records[0], USERS[:2], b"key")
    result = {}
    evidence_of(ledger, batches, folder).conclude(result, CONTEXT, None, [])
    manifest, receipts = receipts_of(result)
    assert (manifest.never_submitted, manifest.unclear) == ((2, 2) if ambiguous else (4, 0))
    assert [(receipt.batch.number, receipt.batch.of, receipt.user_count) for receipt in receipts] == [(3, 3, 1)]
    assert [request.request_id for request in receipts[0].requests] == ["eud-3"]
    assert (receipts[0].head.run.map_index, receipts[0].head.run.try_number) == (-1, 2)


def test_without_an_accepted_request_there_is_no_receipt(folder):
    result = {}
    assert evidence_of(*ledger_of(), folder).conclude(result, CONTEXT, None, []) == []
    assert result == {}


def test_if_the_users_cannot_be_read_again_their_receipts_name_nobody_and_the_task_fails(folder):
    ledger, _ = settled()
    _, changed = ledger_of([*USERS[:2], "other-1", "other-2", USERS[4]])
    result = {}
    (failure,) = evidence_of(ledger, changed, folder).conclude(result, CONTEXT, verification_of(Finding.FOUND), [])[1:]
    assert isinstance(failure, KoreReceiptError)
    assert failure.problem.startswith("2 receipts do not name the users")
    assert "receipt" not in result
    assert sorted(path.name for path in folder.iterdir() if "eud" in path.name) == [
        "eud-1.jws",
        "eud-2.jws",
        "eud-3.jws",
    ]


def test_a_receipt_says_when_each_request_was_submitted(submitted_at, folder):
    submitted_at(1_700_000_000.9, 1_700_000_900.0)
    ledger, batches = ledger_of(USERS[:2])
    accept(ledger, 1, USERS[:2], "eud-1")
    ledger.note_polls({1: RequestOutcome("eud-1", ErasureOutcome(1, 0, 1), understood=True, seen_at=1_700_000_060)})
    ledger.write_settled(ledger.records[0], (1,))
    accept(ledger, 1, USERS[:2], "eud-2")
    result = {}
    evidence_of(ledger, batches, folder).conclude(result, CONTEXT, None, [])
    receipt, _ = receipts_of(result)
    assert [(request.user_count, request.submitted_at, request.completed_at) for request in receipt.requests] == [
        (2, datetime.fromtimestamp(1_700_000_000, UTC), datetime.fromtimestamp(1_700_000_060, UTC)),
        (1, datetime.fromtimestamp(1_700_000_900, UTC), None),
    ]
