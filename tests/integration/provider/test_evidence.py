"""What remains to be shown of an erasure: receipts, the deadline of the law, and who may not be erased at all."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore.api.users import digest
from airflow_provider_kore.compat import AirflowSensorTimeout
from airflow_provider_kore.erasure import evidence as proof
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreConfigurationError,
    KoreError,
    KoreInputError,
    KoreNotErasedError,
    KorePermissionError,
    KoreReceiptError,
)
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.receipts.auditing import audit
from airflow_provider_kore.receipts.documents import Manifest
from airflow_provider_kore.receipts.signing import ReceiptKey
from airflow_provider_kore.user_ids.batches import UserBatches
from tests.integration.provider.conftest import erasures

PEOPLE = [f"person-{number}@example.com" for number in range(5)]
DIGEST_KEY = "a digest key"
SINCE = timedelta(days=31)
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def keys(connection):
    """Give the connection the keys of digests and receipts."""

    def change(**changes):
        fields = {"digest_key": DIGEST_KEY, "receipt_key": PEM, "max_users": 10_000} | changes
        fields = {f"extra__{name}": value for name, value in fields.items() if value is not None}
        connection(extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000, **fields)

    change()
    return change


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "receipts"


def audited(end):
    """Verify the evidence that an output names, as an auditor does, and return it with all its receipts."""
    receipts = []
    statement = audit(Path(end.output["receipt"]["uri"].removeprefix("file://")), public_key(), receipts.append)
    return statement, receipts


def public_key():
    return ReceiptKey.from_pem(PEM).public_key_pem


def fingerprint_of(people):
    batches = UserBatches(people, 100, 100, KoreHook().account.fingerprint_key())
    batches.plan()
    return batches.fingerprint


def persons(receipts):
    return {person.digest: person for receipt in receipts for person in receipt.persons}


def person_of(receipts, user_id):
    return persons(receipts)[digest(user_id, DIGEST_KEY)]


# --- receipts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_one_request_has_one_receipt_that_pyjwt_alone_verifies(erase, folder, deferrable):
    before = int(datetime.now(UTC).timestamp())
    end = erase(PEOPLE, receipt={"folder": folder.as_uri()}, deferrable=deferrable).run()
    assert end.state == "success", end.text
    (file,) = folder.iterdir()
    claims = jwt.decode(file.read_text(), public_key(), algorithms=["EdDSA"])
    (request,) = claims["requests"]
    assert request["request_id"] == end.output["requests"][0]["request_id"]
    assert file.name == f"{request['request_id']}.jws"
    for name in ("submitted_at", "completed_at", "vendor_created_on", "vendor_updated_on"):
        assert before - 1 <= datetime.fromisoformat(request[name]).timestamp() <= datetime.now(UTC).timestamp() + 1
    assert claims["outcome"] == claims["vendor_reported"] == {"erased": 5, "open": 0, "not_erased": 0}
    assert claims["run"] == {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1, "try_number": 1}
    assert claims["scope"] == {"bot_ids": ["st-1"], "all_bots": False}
    assert claims["verification"] is None
    assert {person["digest"] for person in claims["persons"]} == {digest(person, DIGEST_KEY) for person in PEOPLE}
    assert not any(person in file.read_text() + json.dumps(claims) for person in PEOPLE)


def test_many_requests_have_a_manifest(erase, folder):
    end = erase(PEOPLE, batch_size=2, receipt={"folder": folder.as_uri()}).run()
    statement, receipts = audited(end)
    assert isinstance(statement, Manifest)
    assert [receipt.user_count for receipt in receipts] == [2, 2, 1]
    assert end.output["receipt"]["count"] == 3
    assert {person.outcome for person in persons(receipts).values()} == {"erased"}
    assert len(persons(receipts)) == 5


def test_a_receipt_tells_who_is_not_erased_before_the_task_fails(erase, sandbox, folder):
    sandbox.configure(refuse=[PEOPLE[3]])
    task = erase(PEOPLE, batch_size=2, receipt={"folder": folder.as_uri()})
    end = task.run()
    assert isinstance(end.error, KoreNotErasedError)
    statement, receipts = audited(end)
    assert statement.outcome.model_dump() == {"erased": 4, "open": 0, "not_erased": 1}
    assert person_of(receipts, PEOPLE[3]).outcome == "not_erased"
    assert person_of(receipts, PEOPLE[2]).outcome == "erased"
    sandbox.configure(refuse=[])
    end = task.run()
    assert end.state == "success", end.text
    statement, receipts = audited(end)
    assert statement.outcome.erased == 5
    assert [len(receipt.requests) for receipt in receipts] == [1, 2, 1]  # both submissions of the second batch


def test_who_is_open_at_the_deadline_is_open_in_the_receipt(erase, sandbox, folder):
    sandbox.configure(duration=1000)
    end = erase(PEOPLE, receipt={"folder": folder.as_uri()}, timeout=0.5).run()
    assert isinstance(end.error, AirflowSensorTimeout)
    statement, receipts = audited(end)
    assert statement.outcome.open == 5
    assert {person.outcome for person in persons(receipts).values()} == {"open"}
    assert receipts[0].requests[0].completed_at is None


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_a_receipt_tells_what_looking_for_people_showed(erase, sandbox, folder, deferrable):
    sandbox.configure(leave_behind=[PEOPLE[3]])
    arguments = {"batch_size": 2, "verify": {"people": "all", "since": SINCE}, "deferrable": deferrable}
    end = erase(PEOPLE, receipt={"folder": folder.as_uri()}, **arguments).run()
    assert end.state == "failed"
    statement, receipts = audited(end)
    assert statement.vendor_reported.erased == 5
    assert statement.outcome.model_dump() == {"erased": 4, "open": 0, "not_erased": 1}
    assert person_of(receipts, PEOPLE[3]).verification == "found"
    assert person_of(receipts, PEOPLE[3]).outcome == "not_erased"
    assert person_of(receipts, PEOPLE[0]).verification == "gone"


def test_a_sample_is_told_apart_from_those_who_were_not_looked_for(erase, folder):
    arguments = {"batch_size": 2, "verify": {"people": "sample:2", "since": SINCE}}
    _, receipts = audited(erase(PEOPLE, receipt={"folder": folder.as_uri()}, **arguments).run())
    checks = [person.verification for person in persons(receipts).values()]
    assert (checks.count("gone"), checks.count("not_checked")) == (2, 3)
    assert sum(receipt.verification.gone for receipt in receipts) == 2


def test_what_was_around_the_erasure_stands_in_the_receipt(erase, folder, tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    export = {
        "manifest": manifest.as_uri(),
        "manifest_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "user_count": 5,
        "people_fingerprint": fingerprint_of(PEOPLE),
        "host": KoreHook().account.base_url,
        "client_id": KoreHook().account.client_id,
        "bot_ids": ["st-1"],
        "all_bots": False,
        "since": "2026-01-01T00:00:00.5Z",
        "until": "2026-02-01T00:00:00Z",
        "channel_types": None,
    }
    approved = erase(PEOPLE, dry_run=True).run().output["plan_fingerprint"]
    end = erase(
        PEOPLE,
        receipt={
            "folder": folder.as_uri(),
            "approved_by": {"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "Vera"}},
        },
        approved_plan=approved,
        exported=export,
        deadline={"received_at": "2026-01-31T10:00:00+01:00", "regime": "gdpr"},
    ).run()
    assert end.state == "success", end.text
    receipt, _ = audited(end)
    assert receipt.approved_by == "Vera"
    assert receipt.plan_fingerprint == approved
    assert receipt.export.manifest_sha256 == export["manifest_sha256"]
    written = receipt.model_dump(mode="json")
    assert (written["export"]["since"], written["export"]["until"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
    assert written["received_at"] == "2026-01-31T09:00:00Z"
    due = {"received_on": "2026-01-31", "due_on": "2026-02-28", "ends_at": "2026-02-28T22:59:59Z"}
    assert written["deadline"] == {"regime": "gdpr", **due}


def test_a_dry_run_leaves_nothing_that_could_be_taken_for_evidence(erase, folder):
    end = erase(PEOPLE, receipt={"folder": folder.as_uri()}, dry_run=True).run()
    assert end.state == "success"
    assert "receipt" not in end.output
    assert not folder.exists()


def test_evidence_that_cannot_be_written_fails_the_task_although_all_are_erased(erase, sandbox, tmp_path):
    (tmp_path / "file").write_text("in the way")
    end = erase(PEOPLE, receipt={"folder": (tmp_path / "file" / "receipts").as_uri()}).run()
    assert isinstance(end.error, KoreReceiptError)
    assert end.output["erased"] == 5
    assert "receipt" not in end.output


def test_a_retry_writes_the_evidence_anew_and_sends_nothing(erase, sandbox, tmp_path):
    blocked = tmp_path / "receipts"
    blocked.write_text("in the way")
    task = erase(PEOPLE, batch_size=2, receipt={"folder": blocked.as_uri()}, verify={"people": "all", "since": SINCE})
    assert isinstance(task.run().error, KoreReceiptError)
    blocked.unlink()
    end = task.run()
    assert end.state == "success", end.text
    statement, receipts = audited(end)
    assert statement.outcome.erased == 5
    assert all(receipt.requests[0].completed_at for receipt in receipts)
    assert len(erasures(sandbox)) == 3


def test_a_source_that_is_gone_is_told_instead_of_naming_the_wrong_people(erase, sandbox, folder, tmp_path):
    source = tmp_path / "people.txt"
    source.write_text("\n".join(PEOPLE))
    task = erase(source.as_uri(), batch_size=2, receipt={"folder": folder.as_uri()})
    write = proof.ReceiptBook.__init__

    def replace_source(*arguments):
        source.write_text("\n".join(PEOPLE[::-1]))
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof.ReceiptBook, "__init__", replace_source)
        end = task.run()
    assert isinstance(end.error, KoreReceiptError)
    assert "do not name the users" in end.text
    assert end.output["erased"] == 5
    for file in folder.glob("eud-*.jws"):
        assert jwt.decode(file.read_text(), public_key(), algorithms=["EdDSA"])["persons"] is None


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"receipt_key": None}, KoreConfigurationError),
        ({"receipt_key": "no key"}, KoreConfigurationError),
        ({"digest_key": None}, KoreInputError),
    ],
)
def test_evidence_that_could_not_be_signed_is_refused_before_anything_is_sent(
    erase, sandbox, folder, keys, fields, error
):
    keys(**fields)
    end = erase(PEOPLE, receipt={"folder": folder.as_uri()}).run()
    assert isinstance(end.error, error)
    assert not sandbox.log()


@pytest.mark.parametrize(
    "arguments",
    [
        {"receipt": {"folder": "/data/receipts"}},
        {"receipt": {"folder": ""}},
        {"receipt": {"folder": "file:///data", "approved_by": ""}},
        {"receipt": {"folder": "file:///data", "approved_by": None}},
        {"receipt": {"folder": "file:///data", "approved_by": {}}},
        {"receipt": {"folder": "file:///data", "approved_by": 7.5}},
        {"exported": {}},
        {"exported": "file:///manifest.json"},
        {"exported": {"manifest": "file:///nowhere.json", "manifest_sha256": "00", "user_count": 5}},
        {"exported": {"manifest": "file:///nowhere.json", "manifest_sha256": "00", "user_count": 4}},
        {"deadline": {"received_at": "2026-01-31"}},
        {"deadline": {"received_at": None, "regime": "gdpr"}},
        {"deadline": {"received_at": "None", "regime": "gdpr"}},
        {"deadline": {"received_at": "2026-01-31", "regime": "hipaa"}},
        {"deadline": {"received_at": "2999-01-31", "regime": "gdpr"}},
        {"verify": "all"},
        {"verify": {"people": "all"}},
        {"verify": {"people": "sample:0", "since": SINCE}},
        {"verify": {"people": "all", "since": SINCE, "channel_types": "rtm"}},
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_sent(erase, sandbox, arguments):
    end = erase(PEOPLE, rendered=arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert not sandbox.log()


def test_proof_is_refused_where_nothing_is_waited_for(erase):
    for arguments in ({"verify": {"people": "all", "since": SINCE}}, {"receipt": {"folder": "file:///data"}}):
        with pytest.raises(KoreError, match="wait_for_completion"):
            erase(PEOPLE, wait_for_completion=False, **arguments).run()


# --- the deadline of the law ------------------------------------------------------------------------------------------


def test_the_days_left_are_returned(erase, wait, submitted):
    received = datetime.now(UTC) - timedelta(days=40)
    arguments = {"deadline": {"received_at": received.isoformat(), "regime": "ccpa"}}
    for end in (
        erase(PEOPLE, **arguments).run(),
        erase(PEOPLE, dry_run=True, **arguments).run(),
        wait(submitted(PEOPLE), **arguments).run(),
    ):
        assert end.state == "success", end.text
        assert end.output["deadline"]["days_left"] == 5
        assert end.output["deadline"]["regime"] == "ccpa"


@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_wait_ends_loudly_with_the_deadline_of_the_law(wait, submitted, sandbox, monkeypatch, soft_fail):
    sandbox.configure(duration=1000)
    output = submitted(PEOPLE)
    ends_at = datetime.now(UTC) + timedelta(seconds=1)
    monkeypatch.setattr("airflow_provider_kore.deadlines.StatutoryDeadline.ends_at", property(lambda deadline: ends_at))
    monkeypatch.setattr(
        "airflow_provider_kore.deadlines.StatutoryDeadline.is_over", lambda deadline, now: now > ends_at
    )
    end = wait(
        output, soft_fail=soft_fail, deadline={"received_at": "2026-11-01", "regime": "ccpa"}, timeout=1000
    ).run()
    assert end.state == "failed"
    assert isinstance(end.error, AirflowSensorTimeout)
    assert "The statutory deadline passed" in end.text


def test_a_deadline_that_is_over_is_told_and_does_not_keep_anybody_from_being_erased(erase, caplog):
    end = erase(PEOPLE, deadline={"received_at": "2020-01-31", "regime": "gdpr"}).run()
    assert end.state == "success"
    assert end.output["deadline"]["due_on"] == "2020-02-29"
    assert end.output["deadline"]["days_left"] < 0


# --- who may not be erased --------------------------------------------------------------------------------------------


def test_members_are_found_before_anything_is_sent(erase, sandbox):
    sandbox.configure(members=[PEOPLE[3], "somebody@example.com"])
    end = erase(PEOPLE, batch_size=2, check_members=True).run()
    assert isinstance(end.error, KoreInputError)
    assert "1 of the users are members" in end.text
    assert f"batch 2 position 2 ({digest(PEOPLE[3], DIGEST_KEY)})" in end.text
    assert PEOPLE[3] not in end.text
    assert not erasures(sandbox)


def test_a_dry_run_reports_members(erase, sandbox):
    sandbox.configure(members=[PEOPLE[3]])
    end = erase(PEOPLE, batch_size=2, check_members=True, dry_run=True).run()
    assert end.state == "success"
    assert end.output["member_count"] == 1
    assert end.output["members"] == [{"batch": 2, "position": 2, "digest": digest(PEOPLE[3], DIGEST_KEY)}]


def test_whoever_is_no_member_is_erased(erase, sandbox):
    sandbox.configure(members=[f"member-{number}@example.com" for number in range(120)])
    end = erase(PEOPLE, check_members=True).run()
    assert end.state == "success", end.text
    assert len([entry for entry in sandbox.log() if entry.call == "roles"]) == 3


def test_members_who_cannot_be_asked_for_are_told_to_the_page_as_a_refusal(erase, sandbox):
    sandbox.fail("status", call="roles", status=403, times=None)
    end = erase(PEOPLE, check_members=True).run()
    assert isinstance(end.error, KorePermissionError)
    assert end.error.consequence is Consequence.NOT_SENT
    assert end.xcoms["kore_erasure"]["stage"] == "refused"
    assert not erasures(sandbox)


def test_a_retry_with_nothing_to_send_does_not_ask_for_members(erase, sandbox):
    task = erase(PEOPLE, check_members=True)
    assert task.run().state == "success"
    assert task.run().state == "success"
    assert len([entry for entry in sandbox.log() if entry.call == "roles"]) == 1


# --- what the page in Airflow's UI reads ------------------------------------------------------------------------------


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_the_summary_tells_how_an_erasure_ended_and_names_nobody(erase, folder, deferrable):
    end = erase(
        PEOPLE, receipt={"folder": folder.as_uri()}, verify={"people": "all", "since": SINCE}, deferrable=deferrable
    ).run()
    summary = end.xcoms["kore_erasure"]
    assert summary["stage"] == "ended"
    assert (summary["erased"], summary["open"], summary["not_erased"], summary["user_count"]) == (5, 0, 0, 5)
    assert summary["receipt"] == end.output["receipt"]["uri"]
    assert summary["verification"] == {"gone": 5, "found": 0, "not_checkable": 0, "not_checked": 0}
    assert not any(person in json.dumps(end.xcoms) for person in PEOPLE)


def test_the_summary_of_a_failed_erasure_tells_so(erase, sandbox):
    sandbox.configure(refuse=[PEOPLE[3]])
    summary = erase(PEOPLE).run().xcoms["kore_erasure"]
    assert (summary["stage"], summary["erased"], summary["not_erased"]) == ("ended", 4, 1)


def test_a_dry_run_is_summarized_as_one(erase):
    summary = erase(PEOPLE, dry_run=True).run().xcoms["kore_erasure"]
    assert (summary["stage"], summary["dry_run"], summary["user_count"]) == ("ended", True, 5)
    assert (summary["erased"], summary["open"], summary["not_erased"]) == (0, 0, 0)


def test_the_summary_of_a_task_that_only_submits_says_that_it_has_ended_and_that_all_are_open(erase):
    summary = erase(PEOPLE, wait_for_completion=False).run().xcoms["kore_erasure"]
    assert (summary["stage"], summary["submits"]) == ("ended", True)
    assert (summary["erased"], summary["open"], summary["not_erased"]) == (0, 5, 0)


def test_the_summary_of_a_sensor_says_that_it_waits_for_what_others_submitted(wait, submitted):
    summary = wait(submitted(PEOPLE)).run().xcoms["kore_erasure"]
    assert (summary["stage"], summary["submits"]) == ("ended", False)
    assert (summary["erased"], summary["open"], summary["not_erased"]) == (5, 0, 0)


LATE = {"deadline": {"received_at": "2026-01-31", "regime": "gdpr"}}


@pytest.mark.parametrize(
    ("arguments", "due_on"),
    [
        ({"user_ids": [""], **LATE}, "2026-02-28"),
        ({"bot_ids": [], **LATE}, "2026-02-28"),
        ({"approved_plan": f"kp:{'0' * 32}"}, None),
        ({"deadline": {"received_at": "2026-01-31"}}, None),
    ],
    ids=["users", "bots", "approval", "deadline"],
)
def test_the_summary_of_a_refused_task_tells_that_nothing_was_sent(erase, sandbox, arguments, due_on):
    end = erase(PEOPLE, rendered=arguments).run()
    assert end.state == "failed"
    summary = end.xcoms["kore_erasure"]
    assert (summary["stage"], summary["submits"], summary["host"]) == ("refused", True, sandbox.connection["host"])
    assert (summary["deadline"] or {}).get("due_on") == due_on
    assert "user_count" not in summary
    assert not erasures(sandbox)


def test_the_summary_of_a_task_without_its_connection_tells_that_nothing_was_sent(erase):
    end = erase(PEOPLE, kore_conn_id="none_of_these").run()
    assert end.state == "failed"
    assert (end.xcoms["kore_erasure"]["stage"], end.xcoms["kore_erasure"]["host"]) == ("refused", None)


def test_the_summary_of_a_retry_without_its_connection_tells_what_was_sent_before(erase, sandbox):
    sandbox.configure(refuse=[PEOPLE[3]])
    task = erase(PEOPLE)
    assert task.run().state == "failed"
    summary = erase(PEOPLE, store=task.store, kore_conn_id="none_of_these").run().xcoms["kore_erasure"]
    assert (summary["stage"], summary["bot_ids"]) == ("submitting", ["st-1"])
    assert (summary["user_count"], summary["erased"], summary["not_erased"]) == (5, 4, 1)


def test_a_skipped_task_has_no_summary(erase):
    end = erase([], on_empty="skip").run()
    assert end.state == "skipped"
    assert not end.xcoms


def test_a_retry_goes_on_with_the_age_and_the_deadline_of_the_erasure(erase, sandbox):
    sandbox.configure(refuse=[PEOPLE[3]])
    received_at = datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=9)))
    task = erase(PEOPLE, deadline={"received_at": received_at, "regime": "gdpr"})
    assert task.run().state == "failed"
    records = json.dumps(task.store.values)
    task.store.values = json.loads(re.sub(r"(submitted_at\W+)\d+", r"\g<1>1770000000", records))  # long ago
    summary = task.run().xcoms["kore_erasure"]
    assert summary["started"] == "2026-02-02T02:40:00Z"
    assert summary["updated"] > summary["started"]
    deadline = {"regime": "gdpr", "received_on": "2026-01-31", "due_on": "2026-02-28"}
    assert summary["deadline"].items() >= (deadline | {"ends_at": "2026-02-28T14:59:59Z"}).items()


def test_a_retry_that_breaks_off_early_still_tells_what_was_sent_before(erase, sandbox):
    calls = []

    def read():
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("gone")
        return PEOPLE

    sandbox.configure(refuse=[PEOPLE[3]])
    task = erase(read)
    assert task.run().state == "failed"
    calls += [1, 1]
    end = task.run()  # of its own XComs, as Airflow deletes those of the try before
    assert end.state == "failed"
    assert end.xcoms["kore_erasure"]["user_count"] == 5


# --- what an error says of what was done before -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"approved_plan": f"kp:{'0' * 32}"},
        {"verify": "some"},
        {"deadline": {"received_at": "None", "regime": "gdpr"}},
        {"bot_ids": []},
    ],
)
def test_a_refusal_after_something_was_accepted_says_so(erase, sandbox, arguments):
    sandbox.configure(refuse=[PEOPLE[0]])
    task = erase(PEOPLE)
    assert isinstance(task.run().error, KoreNotErasedError)
    end = erase(PEOPLE, store=task.store, rendered=arguments).run()
    assert end.state == "failed"
    assert "Nothing was sent" not in end.text
    assert "Nothing more was sent. What was submitted before continues at Kore.ai." in end.text
    assert len(erasures(sandbox)) == 1


@pytest.mark.parametrize("arguments", [{"verify": "some"}, {"bot_ids": []}])
def test_a_refusal_after_it_became_unclear_what_was_accepted_says_so(erase, sandbox, arguments):
    sandbox.fail("reset-after", call="erase")
    task = erase(PEOPLE)
    assert isinstance(task.run().error, KoreAmbiguousSubmitError)
    end = erase(PEOPLE, store=task.store, rendered=arguments).run()
    assert end.state == "failed"
    assert "Nothing was sent" not in end.text
    assert "Nothing more was sent. Whether Kore.ai accepted what was sent before is not known." in end.text
    assert len(erasures(sandbox)) == 1


def test_a_task_is_not_skipped_if_somebody_may_be_under_erasure(erase, sandbox):
    sandbox.fail("reset-after", call="erase")
    people = list(PEOPLE)
    task = erase(lambda: people, on_empty="skip")
    assert isinstance(task.run().error, KoreAmbiguousSubmitError)
    people.clear()
    end = task.run()
    assert end.state == "failed"
    assert "Whether Kore.ai accepted what was sent before is not known." in end.text


def test_a_submission_that_breaks_off_does_not_say_that_nothing_was_sent_if_that_is_unclear(erase, sandbox):
    sandbox.fail("reset-after", call="erase")
    readings = [PEOPLE, PEOPLE, PEOPLE, PEOPLE[:4]]
    task = erase(lambda: readings.pop(0))
    assert isinstance(task.run().error, KoreAmbiguousSubmitError)
    end = task.run()
    assert end.state == "failed"
    assert "All user ids had been read and checked before." in end.text
    assert "Nothing was sent" not in end.text
    assert "It is not known whether Kore.ai accepted the erasure." in end.text
