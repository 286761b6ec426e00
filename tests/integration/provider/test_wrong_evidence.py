"""Ways in which evidence could be wrong, and errors misleading: none of them is open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore import resumption
from airflow_provider_kore.api import budget
from airflow_provider_kore.api.history import HistoryKind, HistoryQuery
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.user_history import HistoryItem, UserHistory
from airflow_provider_kore.erasure import evidence as proof
from airflow_provider_kore.erasure import ledger, run
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreExportError,
    KoreFoundError,
    KoreInputError,
    KoreSourceError,
)
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.period import Period
from airflow_provider_kore.receipts.auditing import Summary, audit, describe
from airflow_provider_kore.receipts.signing import ReceiptKey
from airflow_provider_kore.user_ids import CallableUserIds
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT
from airflow_provider_kore.verification.findings import Finding, Verification
from airflow_provider_kore.verification.search import SearchEnd
from tests.integration.provider.conftest import erasures
from tests.integration.provider.task_runner import FakeTaskInstance, TaskRunner

PEOPLE = [f"person-{number}@example.com" for number in range(5)]
OTHERS = [f"other-{number}@example.com" for number in range(5)]
DIGEST_KEY = "a digest key"
SINCE = timedelta(days=31)
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def keys(connection):
    def change(**changes):
        fields = {
            "digest_key": DIGEST_KEY,
            "receipt_key": PEM,
            "requests_per_minute": 100_000,
            "requests_per_hour": 1_000_000,
        } | changes
        connection(**{f"extra__{name}": value for name, value in fields.items()})

    change()
    return change


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "receipts"


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "people.txt"
    file.write_text("\n".join(PEOPLE))
    return file


@pytest.fixture
def scarce(keys, monkeypatch):
    """As the fixture of this name, which would take the keys from the connection."""
    monkeypatch.setattr(budget, "MINUTE", 2.0)
    monkeypatch.setattr(budget, "HOUR", 4.0)
    monkeypatch.setattr(resumption, "MAX_WORKER_WAIT", 0.5)
    keys(requests_per_minute=4, requests_per_hour=6)


@pytest.fixture
def export(sandbox, connection, tmp_path):
    def make(user_ids=PEOPLE, map_index=-1, **arguments):
        defaults = {"bot_ids": ["st-1"], "destination": (tmp_path / "export").as_uri(), "since": SINCE, "timeout": 60}
        return TaskRunner(
            lambda: KoreExportUserDataOperator(task_id="export", user_ids=user_ids, **(defaults | arguments))
        )

    return make


def read_receipts(folder):
    key = ReceiptKey.from_pem(PEM).public_key_pem
    claims = [jwt.decode(file.read_text(), key, algorithms=["EdDSA"]) for file in sorted(folder.glob("*.jws"))]
    return [claim for claim in claims if claim["kind"] == "kore-erasure-receipt"]


def said_of(end):
    summary = Summary()
    path = Path(end.output["receipt"]["uri"].removeprefix("file://"))
    statement = audit(path, ReceiptKey.from_pem(PEM).public_key_pem, summary.add)
    return "\n".join(describe(statement, summary))


# --- erased, gone, exported, evidence ---------------------------------------------------------------------------------


def test_an_export_that_renders_to_nothing_does_not_let_anybody_be_erased(erase, sandbox):
    task = erase(PEOPLE, exported="{{ ti.xcom_pull('export') }}", rendered={"exported": ""})
    end = task.run()
    assert isinstance(end.error, KoreInputError)
    assert not erasures(sandbox)


def test_evidence_that_is_asked_for_by_a_template_is_not_left_out(erase, sandbox, folder):
    task = erase(PEOPLE, receipt={"folder": "{{ var.value.receipts }}"}, rendered={"receipt": {"folder": None}})
    end = task.run()
    assert isinstance(end.error, KoreInputError)
    assert not erasures(sandbox)


def test_an_export_of_as_many_other_people_does_not_let_these_be_erased(erase, export, sandbox):
    exported = export(OTHERS).run()
    assert exported.state == "success", exported.text
    end = erase(PEOPLE, exported=exported.output).run()
    assert isinstance(end.error, KoreInputError)
    assert not erasures(sandbox)


def test_who_rejected_an_erasure_has_not_approved_it(erase, sandbox, folder):
    answer = {"chosen_options": ["Reject"], "responded_by_user": {"id": "7", "name": "Vera"}}
    end = erase(PEOPLE, rendered={"receipt": {"folder": folder.as_uri(), "approved_by": answer}}).run()
    assert isinstance(end.error, KoreInputError)
    assert not erasures(sandbox)


def test_a_retry_looks_for_the_same_sample(erase, sandbox, folder):
    sandbox.configure(leave_behind=[PEOPLE[3]])
    task = erase(PEOPLE, verify={"people": "sample:1", "since": SINCE}, receipt={"folder": folder.as_uri()}, retries=1)
    looked_for = set()
    for _ in range(3):
        before = len(sandbox.log())
        task.run()
        looked_for |= {entry.body["userId"] for entry in sandbox.log()[before:] if entry.call == "sessions"}
        task.clear()
    assert len(looked_for) == 1


@pytest.mark.parametrize("error", ["changed", "unreadable"])
def test_who_was_found_is_not_attested_as_erased_when_the_source_is_gone(erase, sandbox, folder, source, error):
    sandbox.configure(leave_behind=[PEOPLE[3]])
    task = erase(source.as_uri(), verify={"people": "all", "since": SINCE}, receipt={"folder": folder.as_uri()})
    write = proof.ReceiptBook.__init__

    def lose_source(*arguments):
        source.unlink() if error == "unreadable" else source.write_text("\n".join(OTHERS))
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof.ReceiptBook, "__init__", lose_source)
        end = task.run()
    assert end.output["verification"]["found"] == 1
    (receipt,) = read_receipts(folder)
    assert receipt["persons"] is None
    assert receipt["outcome"]["erased"] == 4


def test_an_answer_about_another_address_proves_nothing_of_the_submitted_one(erase, sandbox):
    body = {"response": [{"userId": "stranger@example.com", "status": "SUCCESS"}]}
    sandbox.fail("body", call="status", times=None, status=200, body=body)
    end = erase(PEOPLE[:1]).run()
    assert end.state == "failed"


def test_a_verification_does_not_go_on_with_other_people_of_a_source(verify, erase, sandbox):
    assert erase(OTHERS).run().state == "success"
    readings = iter([PEOPLE, OTHERS])
    end = verify(CallableUserIds(lambda: next(readings))).run()
    assert end.state == "failed"
    assert end.output is None or end.output["gone"] == 0


def test_evidence_does_not_tell_that_all_were_erased_while_a_batch_was_never_accepted(erase, sandbox, folder):
    sandbox.fail("status", call="erase", status=400, after=2)
    end = erase(
        PEOPLE,
        batch_size=2,
        receipt={"folder": folder.as_uri()},
        deadline={"received_at": datetime.now(UTC).isoformat(), "regime": "gdpr"},
    ).run()
    assert (end.output["erased"], end.output["not_erased"]) == (4, 1)
    assert "since all were erased" not in said_of(end)


def test_a_receipt_tells_what_the_task_returned_also_after_a_break(erase, sandbox, folder, no_back_off, monkeypatch):
    search, calls = run.search_users, []

    def leave_once(*arguments, **options):
        calls.append(1)
        return SearchEnd(0.1) if len(calls) == 1 else search(*arguments, **options)

    monkeypatch.setattr(run, "search_users", leave_once)
    monkeypatch.setattr(ledger, "BATCHES_TOGETHER", 1)  # or fifty batches, and one more
    sandbox.configure(duration=0.0)
    monkeypatch.setattr("airflow_provider_kore.api.watching.UNREADABLE_POLLS", 1)
    monkeypatch.setattr("airflow_provider_kore.api.watching.UNREADABLE_GRACE", 0.0)
    sandbox.fail(
        "wrong-json", call="status", times=4, body={"response": 1}
    )  # of one request, each time it is asked for
    arguments = {
        "verify": {"people": "all", "since": SINCE},
        "receipt": {"folder": folder.as_uri()},
        "deferrable": True,
    }
    end = erase(PEOPLE[:2], batch_size=1, **arguments).run()
    assert [deferral["state"]["phase"] for deferral in end.deferrals] == ["verify"]
    assert (end.output["erased"], end.output["not_erased"]) == (1, 1)
    outcomes = [receipt["outcome"] for receipt in read_receipts(folder)]
    assert sum(outcome["not_erased"] for outcome in outcomes) == 1, outcomes


def test_an_alarm_is_not_lost_where_the_source_cannot_be_read_for_a_moment(erase, sandbox, folder):
    entries = [{"userId": user, "status": "SUCCESS"} for user in ("u-1", "u-3")]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    readings = []

    def read():
        readings.append(1)
        if len(readings) == 3:  # the third is for looking by name
            raise KoreSourceError("Not just now.", remedy="Try again.")
        return ["u-1", "u-2"]

    end = erase(read, receipt={"folder": folder.as_uri()}).run()
    assert len(readings) >= 3
    assert all(
        person["outcome"] != "erased" for receipt in read_receipts(folder) for person in receipt["persons"] or ()
    )
    assert end.state == "failed"


def test_a_receipt_tells_what_the_task_returned_where_looking_by_name_failed(erase, sandbox, folder):
    sandbox.configure(user_id_form="resolved", duration=0.0)
    sandbox.fail("status", call="status", status=403, after=1)
    end = erase(PEOPLE, receipt={"folder": folder.as_uri()}).run()
    (receipt,) = read_receipts(folder)
    assert receipt["outcome"] == {name: end.output[name] for name in ("erased", "open", "not_erased")}


def test_a_dry_run_beside_an_erasure_is_not_passed_over(wait, submitted, erase):
    planned = erase(OTHERS, dry_run=True).run().output
    assert wait("eud-1", rendered={"request_id": [submitted(PEOPLE), planned]}).run().state == "failed"


def test_what_a_bot_said_to_somebody_else_is_not_exported():
    moment = datetime.now(UTC)
    history = UserHistory(PEOPLE[0], HistoryRange(("st-1",), moment - SINCE, moment, ("rtm",)))
    own = {"sessionId": "s-1", "userId": "u-1", "channel": "rtm"}
    history.add(HistoryItem(HistoryKind.SESSIONS, "st-1", own))
    others = {"_id": "m-1", "type": "outgoing", "createdBy": "u-2", "sessionId": "s-2"}
    with pytest.raises(KoreExportError):
        history.add(HistoryItem(HistoryKind.MESSAGES, "st-1", others))


# --- a skip or "nothing was sent" after something was sent ------------------------------------------------------------


def test_a_retry_whose_source_is_empty_does_not_skip_what_was_submitted(erase, sandbox, source):
    sandbox.configure(duration=1000)
    task = erase(source.as_uri(), on_empty="skip", timeout=0.5, retries=1)
    assert task.run().state == "failed"
    assert len(erasures(sandbox)) == 1
    source.write_text("")
    end = task.run()
    assert end.state == "failed", "five people are open at Kore.ai, and the task is skipped"


def test_a_source_that_is_empty_after_a_break_does_not_skip_what_was_submitted(erase, sandbox, scarce, source):
    readings = iter([PEOPLE, PEOPLE])

    task = erase(
        CallableUserIds(lambda: next(readings, [])), batch_size=1, on_empty="skip", deferrable=True, timeout=60
    )
    end = task.run()
    assert erasures(sandbox)
    assert end.state == "failed"


@pytest.mark.parametrize("change", ["gone", "empty", "bad"])
def test_a_retry_that_cannot_read_its_users_does_not_tell_that_nothing_was_sent(erase, sandbox, source, change):
    sandbox.configure(duration=1000)
    task = erase(source.as_uri(), timeout=0.5, retries=1)
    assert task.run().state == "failed"
    if change == "gone":
        source.unlink()
    else:
        source.write_text({"empty": "", "bad": "None"}[change])
    end = task.run()
    assert end.error.consequence is not Consequence.NOT_SENT, end.text


@pytest.mark.parametrize(
    "rendered",
    [
        {"verify": "None"},
        {"approved_plan": ""},
        {"max_users": 0},
        {"receipt": {"folder": "None"}},
        {"bot_ids": "st-1"},
    ],
    ids=str,
)
def test_a_retry_that_is_refused_does_not_tell_that_nothing_was_sent(erase, sandbox, rendered):
    sandbox.configure(duration=1000)
    fingerprint = erase(PEOPLE, dry_run=True).run().output["plan_fingerprint"]
    on_retry = {}
    task = erase(PEOPLE, timeout=0.5, retries=1, approved_plan=fingerprint, rendered=on_retry)
    assert task.run().state == "failed"
    assert len(erasures(sandbox)) == 1
    on_retry.update(rendered)
    end = task.run()
    assert end.error.consequence is not Consequence.NOT_SENT, end.text


def test_a_retry_without_the_export_does_not_tell_that_nothing_was_sent(erase, export, sandbox, tmp_path):
    exported = export().run().output
    sandbox.fail("status", call="erase", status=400, after=1)
    task = erase(PEOPLE, batch_size=3, exported=exported)
    assert task.run().output["erased"] == 3
    (tmp_path / "export" / "manifest.json").unlink()
    end = task.run()
    assert end.error.consequence is not Consequence.NOT_SENT, end.text


def test_a_failed_trigger_does_not_tell_that_nothing_was_sent(erase, sandbox, keys):
    sandbox.configure(duration=1000)
    task = erase(PEOPLE, timeout=0.5, receipt={"folder": "file:///tmp"})
    assert task.run().state == "failed"
    keys(receipt_key="no key")
    end = task.run_failed_trigger("Trigger failure")
    assert end.error.consequence is not Consequence.NOT_SENT, end.text


def test_a_source_that_changes_before_the_verification_does_not_tell_that_nothing_was_sent(erase, sandbox):
    readings = iter([PEOPLE, PEOPLE])
    end = erase(CallableUserIds(lambda: next(readings, OTHERS)), verify={"people": "all", "since": SINCE}).run()
    assert end.output["erased"] == 5
    assert "Nothing was sent" not in end.text


def test_a_period_that_the_erasure_outlasted_does_not_tell_that_nothing_was_sent(erase, sandbox, folder):
    sandbox.configure(duration=3)
    end = erase(
        PEOPLE, verify={"people": "all", "since": timedelta(seconds=1.5)}, receipt={"folder": folder.as_uri()}
    ).run()
    assert end.output is not None
    assert end.output["erased"] == 5
    assert "Nothing was sent" not in end.text
    assert read_receipts(folder)


# --- what is hidden ---------------------------------------------------------------------------------------------------


def test_a_sensor_that_is_refused_does_not_tell_that_nothing_was_sent(wait, submitted):
    end = wait(submitted(PEOPLE), rendered={"user_count": 4}).run()
    assert isinstance(end.error, KoreInputError)
    assert end.error.consequence is not Consequence.NOT_SENT, end.text


def test_who_is_not_erased_is_named_also_where_the_triggerer_was_late(erase, sandbox):
    sandbox.configure(refuse=[PEOPLE[0]])
    task = erase(PEOPLE, deferrable=True)
    named = task.run().output["not_erased_users"]
    end = task.run_failed_trigger("Trigger timeout")
    assert end.output["not_erased"] == 1
    assert end.output["not_erased_users"] == [{"batch": 1, "position": 1}]
    assert [place["position"] for place in named] == [1]


def test_somebody_found_is_told_although_the_looking_broke_off(erase, sandbox, no_back_off):
    sandbox.configure(leave_behind=[PEOPLE[0]])
    sandbox.fail("status", call="sessions", times=None, after=6)
    end = erase(PEOPLE, verify={"people": "all", "since": SINCE}).run()
    assert end.output["verification"]["found"] == 1
    assert isinstance(end.error, KoreFoundError), end.text


def test_somebody_found_is_told_although_no_receipt_can_be_written(erase, sandbox, tmp_path):
    sandbox.configure(leave_behind=[PEOPLE[0]])
    (tmp_path / "file").write_text("in the way")
    end = erase(
        PEOPLE, verify={"people": "all", "since": SINCE}, receipt={"folder": (tmp_path / "file" / "r").as_uri()}
    ).run()
    assert isinstance(end.error, KoreFoundError), end.text


def test_who_is_found_is_named_before_those_who_cannot_be_looked_for():
    verification = Verification(
        "all", ErasureScope(("st-1",), False), ("rtm",), Period(datetime.now(UTC) - SINCE, datetime.now(UTC)), None
    )
    for position in range(NAMED_IN_OUTPUT):
        verification.record(position, {"batch": 1, "position": position + 1}, Finding.NOT_CHECKABLE)
    verification.record(NAMED_IN_OUTPUT, {"batch": 2, "position": 1}, Finding.FOUND)
    assert verification.output(NAMED_IN_OUTPUT + 1)["found_users"] == [{"batch": 2, "position": 1}]


def test_what_a_function_of_the_author_raises_does_not_hide_the_outcome(erase, sandbox, folder):
    calls = []

    def read():
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("gone")
        return PEOPLE

    end = erase(read, receipt={"folder": folder.as_uri()}).run()
    assert end.output is not None
    assert end.output["erased"] == 5
    assert read_receipts(folder)


def test_a_summary_that_cannot_be_pushed_does_not_let_a_retry_submit_again(erase, sandbox, monkeypatch):
    push = FakeTaskInstance.xcom_push

    def fail(instance, key, value):
        if key == "kore_erasure" and value["stage"] == "waiting":
            raise RuntimeError("no XCom")
        push(instance, key, value)

    monkeypatch.setattr(FakeTaskInstance, "xcom_push", fail)
    end = erase(PEOPLE, store=None, retries=1).run()
    assert end.state == "success", end.text
    assert len(erasures(sandbox)) == 1


def test_two_tasks_do_not_export_to_one_folder(export, sandbox):
    until = datetime.now(UTC)
    period = {"since": until - SINCE, "until": until}
    first = export(PEOPLE, **period).run()
    assert first.state == "success", first.text
    other = export(OTHERS, **period)
    other.dag_run.run_id = "another"
    assert isinstance(other.run().error, KoreInputError)


def test_a_time_at_the_edge_of_the_calendar_is_refused_before_anything_is_sent(erase, sandbox, folder):
    deadline = {"received_at": "0001-01-01T00:00:00+05:00", "regime": "gdpr"}
    end = erase(PEOPLE, rendered={"deadline": deadline, "receipt": {"folder": folder.as_uri()}}).run()
    assert isinstance(end.error, KoreInputError) or end.state == "success", repr(end.error)


def test_an_export_is_not_made_of_one_persons_data_for_everybody(export, sandbox):
    """Kore.ai answers every question with the data of one and the same person."""
    real = HistoryQuery.body

    def body(query, skip):
        return real(replace(query, user_id=PEOPLE[0]), skip)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HistoryQuery, "body", body)
        end = export(PEOPLE).run()
    assert end.state == "failed"


def test_a_deadline_is_met_in_the_zone_in_which_it_was_given(erase, folder):
    end = erase(
        PEOPLE,
        receipt={"folder": folder.as_uri()},
        deadline={"received_at": "2026-01-28T10:00:00+09:00", "regime": "gdpr"},
    ).run()
    assert end.state == "success"
    (receipt,) = read_receipts(folder)
    assert receipt["deadline"]["ends_at"] == "2026-02-28T14:59:59Z"
