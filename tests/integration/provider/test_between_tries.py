"""What a task says and does if something changes between its tries, or while it is away from its worker."""

import json
import os
from datetime import timedelta

import pytest

from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreConfigurationError,
    KoreInputError,
    KoreNotErasedError,
    KoreResumeError,
    KoreWaitError,
)
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.receipts.auditing import Summary, describe
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from tests.integration.provider import task_runner
from tests.integration.provider.conftest import connect, erasures
from tests.integration.provider.task_runner import TaskRunner
from tests.integration.provider.test_evidence import DIGEST_KEY, PEM, audited, folder, keys  # noqa: F401 # fixtures

PEOPLE = [f"person-{number}@example.com" for number in range(6)]
OTHERS = [*PEOPLE[:4], "stranger-1@example.com", "stranger-2@example.com"]
SINCE = timedelta(days=31)


@pytest.fixture
def meanwhile(monkeypatch):
    """Do something while the task is at the triggerer: ``meanwhile(function, after=function)``."""
    wait = task_runner._first_event

    def change(before, after=lambda: None):
        async def first_event(*arguments):
            before()
            event = await wait(*arguments)
            after()
            return event

        monkeypatch.setattr(task_runner, "_first_event", first_event)

    return change


def changing(*readings):
    """Give at each reading the next list, and the last one from then on."""
    left = list(readings)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


# --- other people -----------------------------------------------------------------------------------------------------


def test_nobody_is_erased_who_was_not_checked_before_a_break(erase, sandbox, scarce):
    approved = erase(PEOPLE, batch_size=1, dry_run=True).run().output["plan_fingerprint"]
    people = changing(PEOPLE, PEOPLE, OTHERS)
    end = erase(people, batch_size=1, deferrable=True, wait_for_completion=False, approved_plan=approved).run()
    assert "submit" in [deferral["state"]["phase"] for deferral in end.deferrals]
    assert end.state == "failed"
    assert end.error.consequence is Consequence.PARTLY_DONE
    assert not {user for users in erasures(sandbox) for user in users} & set(OTHERS[4:])


def test_other_bots_after_a_break_are_refused(erase, sandbox, scarce, meanwhile):
    rendered = {}
    task = erase(PEOPLE, batch_size=1, deferrable=True, wait_for_completion=False, rendered=rendered)
    meanwhile(lambda: rendered.update(bot_ids=["st-2"]))
    end = task.run()
    assert end.state == "failed"
    assert "st-2" not in json.dumps([entry.body for entry in sandbox.log()])


def test_an_export_of_other_bots_opens_no_gate(erase, sandbox, keys, tmp_path):  # noqa: F811
    def export(**arguments):
        arguments = {"destination": (tmp_path / str(len(sandbox.log()))).as_uri(), "since": SINCE} | arguments
        end = TaskRunner(lambda: KoreExportUserDataOperator(task_id="export", user_ids=PEOPLE, **arguments)).run()
        assert end.state == "success", end.text
        return end.output

    one = export(bot_ids=["st-1"])
    end = erase(PEOPLE, bot_ids=["st-1", "st-2"], exported=one).run()
    assert isinstance(end.error, KoreInputError)
    assert "The export is of the bots st-1, and the erasure is of the bots st-1, st-2." in end.text
    assert not erasures(sandbox)
    assert erase(PEOPLE, exported=export(bot_ids=["st-2", "st-1"])).run().state == "success"


# --- another account --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", ["operator", "sensor"])
def test_nobody_is_looked_for_in_another_account(
    erase,
    wait,
    submitted,
    sandbox,
    folder,  # noqa: F811
    meanwhile,
    waiting,
    monkeypatch,
):
    sandbox.configure(leave_behind=PEOPLE, duration=1.5)
    proof = {"verify": {"people": "all", "since": SINCE}, "receipt": {"folder": folder.as_uri()}}
    with running_sandbox(Settings(requests_per_minute=0, requests_per_hour=0, sessions_per_user=0)) as other:
        fields = other.connection | {"extra": json.loads(os.environ["AIRFLOW_CONN_KORE_DEFAULT"])["extra"]}
        make = {"operator": lambda: erase(PEOPLE, deferrable=True, **proof)}
        make["sensor"] = lambda: wait(submitted(PEOPLE), deferrable=True)
        task = make[waiting]()
        meanwhile(lambda: None, after=lambda: connect(monkeypatch, fields))
        end = task.run()
        assert isinstance(end.error, KoreResumeError)
        assert "The connection was changed while this task waited" in end.text
        assert "What was submitted before continues at Kore.ai." in end.text
        assert not other.log()
    assert not folder.exists()


# --- what was never sent ----------------------------------------------------------------------------------------------


def test_a_task_that_was_refused_may_be_corrected_and_cleared(erase, sandbox):
    sandbox.configure(members=[PEOPLE[0]])
    people = list(PEOPLE)
    task = erase(lambda: people, check_members=True)
    assert isinstance(task.run().error, KoreInputError)
    people.pop(0)
    task.clear()
    assert task.run().output["erased"] == 5


def test_a_connection_that_was_not_accepted_may_be_corrected(erase, connection):
    task = erase(PEOPLE)
    connection(password="of another app, and long enough to sign with")
    assert task.run().state == "failed"
    connection()
    task.clear()
    assert task.run().output["erased"] == 6


def test_a_dry_run_does_not_hide_what_an_earlier_try_submitted(erase, sandbox):
    sandbox.configure(duration=1000)
    task = erase(PEOPLE, timeout=0.3)
    assert task.run().state == "failed"
    end = erase(PEOPLE, store=task.store, dry_run=True).run()
    assert isinstance(end.error, KoreResumeError)
    assert end.error.consequence is Consequence.SENT_BEFORE


# --- what is unclear --------------------------------------------------------------------------------------------------


def test_evidence_tells_apart_who_was_never_submitted_and_of_whom_that_is_unclear(erase, wait, sandbox, folder):  # noqa: F811
    sandbox.fail("reset-after", call="erase", after=1)
    end = erase(PEOPLE, batch_size=2, receipt={"folder": folder.as_uri()}).run()
    statement, _ = audited(end)
    assert (statement.user_count, statement.never_submitted, statement.unclear) == (2, 2, 2)
    end = wait(end.output).run()
    assert "never submitted" not in end.text
    assert "4 users are in no request that Kore.ai is known to have accepted" in end.text


def test_before_airflow_3_3_a_retry_does_not_say_that_nothing_was_sent(erase, sandbox):
    sandbox.configure(duration=1000)
    people = list(PEOPLE)
    task = erase(lambda: people, timeout=0.3, store=None, retries=2, on_empty="skip")
    assert task.run().state == "failed"
    people[0] = ""
    end = task.run()
    assert end.error.consequence is Consequence.UNCLEAR_BEFORE
    assert end.xcoms["kore_erasure"]["stage"] == "submitting"
    people.clear()
    assert task.run().state == "failed"


def test_without_any_record_it_is_not_known_what_was_submitted(erase):
    end = erase(PEOPLE, store=None, deferrable=True).run_failed_trigger("Trigger failure")
    assert isinstance(end.error, KoreWaitError)
    assert end.error.consequence is Consequence.UNKNOWN


# --- what the triggerer or another look fails by ----------------------------------------------------------------------


def test_a_triggerer_that_cannot_use_the_connection_does_not_say_that_nothing_was_sent(
    erase, sandbox, connection, meanwhile
):
    sandbox.configure(duration=5)
    meanwhile(lambda: connection(extra__ca_bundle="/only/on/the/worker.pem"), after=connection)
    end = erase(PEOPLE, deferrable=True).run()
    assert isinstance(end.error, KoreConfigurationError)
    assert end.error.consequence is Consequence.SENT_BEFORE
    assert end.xcoms["kore_erasure"]["stage"] == "ended"


def test_a_triggerer_that_cannot_use_the_connection_says_so_also_beside_a_refused_batch(
    erase, sandbox, connection, meanwhile
):
    sandbox.configure(duration=5)
    sandbox.fail("status", call="erase", status=400, after=1)
    meanwhile(lambda: connection(extra__ca_bundle="/only/on/the/worker.pem"), after=connection)
    end = erase(PEOPLE, batch_size=3, deferrable=True).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert "Nothing was sent" not in end.text


STRANGERS = {"response": [{"userId": f"u-x{number}", "status": "SUCCESS"} for number in range(2)]}


@pytest.mark.parametrize("deferrable", [False, True])
def test_strangers_in_an_answer_count_as_nobody_although_another_look_fails(erase, sandbox, deferrable):
    sandbox.fail("body", call="status", status=200, body=STRANGERS)
    sandbox.fail("status", call="status", status=403, times=None, after=1)
    end = erase(["u-1", "u-2", "u-3", "u-4"], batch_size=2, deferrable=deferrable).run()
    assert end.state == "failed"
    assert end.output["erased"] == 0


# --- what else is asked for -------------------------------------------------------------------------------------------


@pytest.fixture
def export(sandbox, keys, tmp_path):  # noqa: F811
    """Make a runner of an exporting task."""

    def make(**arguments):
        defaults = {"bot_ids": ["st-1"], "destination": (tmp_path / "export").as_uri(), "since": SINCE}
        return TaskRunner(
            lambda: KoreExportUserDataOperator(task_id="export", user_ids=PEOPLE, **(defaults | arguments))
        )

    return make


def said(statement, receipts):
    summary = Summary()
    for receipt in receipts:
        summary.add(receipt)
    return "\n".join(describe(statement, summary))


@pytest.mark.parametrize(
    "change",
    [
        {"receipt": {"folder": "file:///nowhere", "approved_by": "Vera"}},
        {"receipt": None},
        {"approved_plan": f"kp:{'0' * 32}"},
        {"deadline": {"received_at": "2026-11-20", "regime": "gdpr"}},
        {"deadline": {"received_at": "2026-11-01", "regime": "ccpa"}},
        {"verify": {"people": "sample:1", "since": SINCE}},
        {"verify": None},
    ],
    ids=str,
)
def test_no_evidence_is_given_of_what_was_asked_for_later(erase, sandbox, folder, meanwhile, change):  # noqa: F811
    sandbox.configure(duration=1.5)
    approved = erase(PEOPLE, dry_run=True).run().output["plan_fingerprint"]
    rendered = {
        "approved_plan": approved,
        "deadline": {"received_at": "2026-11-01", "regime": "gdpr"},
        "receipt": {"folder": folder.as_uri(), "approved_by": "Vera"},
        "verify": {"people": "all", "since": SINCE},
    }
    task = erase(PEOPLE, deferrable=True, rendered=rendered, **rendered)
    meanwhile(lambda: rendered.update(change))
    end = task.run()
    assert isinstance(end.error, KoreResumeError)
    assert end.error.consequence is Consequence.SENT_BEFORE
    assert not folder.exists()


@pytest.mark.parametrize("change", ["deadline", "request_id"])
def test_a_sensor_does_not_end_with_what_it_was_asked_for_later(wait, submitted, sandbox, meanwhile, change):
    sandbox.configure(duration=1.5)
    first, other = submitted(PEOPLE), submitted(OTHERS)
    rendered = {"request_id": first, "deadline": {"received_at": "2026-11-01", "regime": "gdpr"}}
    task = wait(first, deferrable=True, rendered=rendered)
    later = {"request_id": other, "deadline": {"received_at": "2026-11-20", "regime": "gdpr"}}
    meanwhile(lambda: rendered.update({change: later[change]}))
    end = task.run()
    assert isinstance(end.error, KoreResumeError)
    assert end.error.consequence is Consequence.ONLY_WAITS


def test_no_evidence_is_given_of_an_export_that_nobody_looked_at(erase, sandbox, export, folder):  # noqa: F811
    sandbox.configure(duration=1000)
    exported = export().run().output
    task = erase(PEOPLE, exported=exported, receipt={"folder": folder.as_uri()}, timeout=0.3)
    assert task.run().state == "failed"
    other = exported | {"manifest_sha256": "0" * 64}
    arguments = {"store": task.store, "receipt": {"folder": folder.as_uri()}, "timeout": 0.3}
    end = erase(PEOPLE, exported=other, **arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert end.error.consequence is Consequence.SENT_BEFORE
    assert "with another export or none" in end.text
    end = erase(PEOPLE, exported=exported, **arguments).run()
    assert not isinstance(end.error, KoreInputError)


def test_an_export_of_another_account_opens_no_gate(erase, export, sandbox, keys, connection):  # noqa: F811
    exported = export().run().output
    for other in ({"host": "https://elsewhere.example.com"}, {"client_id": "cs-other"}):
        end = erase(PEOPLE, exported=exported | other).run()
        assert isinstance(end.error, KoreInputError)
        assert "The export is of another account" in end.text
    assert not erasures(sandbox)


def test_an_export_does_not_go_on_in_another_account(export, sandbox, keys, connection):  # noqa: F811
    sandbox.fail("status", call="messages", status=400, after=7)
    task = export()
    assert task.run().state == "failed"
    sandbox.configure(client_id="cs-other", sessions_per_user=0)
    connection(login="cs-other", extra__digest_key=DIGEST_KEY, extra__requests_per_minute=100_000)
    end = task.run()
    assert isinstance(end.error, KoreInputError)
    assert "client_id" in end.text


# --- what was found -------------------------------------------------------------------------------------------------


def test_who_was_found_stays_found_until_somebody_has_looked_again(erase, sandbox, folder):  # noqa: F811
    sandbox.configure(leave_behind=PEOPLE)
    proof = {"verify": {"people": "all", "since": SINCE}, "receipt": {"folder": folder.as_uri()}}
    task = erase(PEOPLE, **proof)
    assert audited(task.run())[0].outcome.not_erased == 6
    sandbox.configure(history_granted=False)
    receipt, _ = audited(task.run())
    assert (receipt.outcome.not_erased, receipt.verification.found) == (6, 6)
    receipt, _ = audited(erase(PEOPLE, store=task.store, receipt=proof["receipt"]).run())
    assert receipt.outcome.not_erased == 6
    sandbox.configure(history_granted=True, leave_behind=[])
    assert erase(PEOPLE, store=task.store, **proof).run().state == "success"


# --- a second look at the same places ---------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["account", "approval"])
def test_what_changed_in_a_break_of_the_submission_is_neither_asked_for_nor_attested(
    erase,
    sandbox,
    folder,  # noqa: F811
    scarce,
    connection,
    meanwhile,
    monkeypatch,
    change,
):
    connection(
        extra__requests_per_minute=4,
        extra__requests_per_hour=6,
        extra__digest_key=DIGEST_KEY,
        extra__receipt_key=PEM,
    )
    rendered = {"receipt": {"folder": folder.as_uri(), "approved_by": "Vera"}}
    with running_sandbox(Settings(requests_per_minute=0, requests_per_hour=0)) as other:
        fields = other.connection | {"extra": json.loads(os.environ["AIRFLOW_CONN_KORE_DEFAULT"])["extra"]}

        def happen():
            if change == "account":
                connect(monkeypatch, fields)
            else:
                rendered["receipt"]["approved_by"] = "Nobody"

        meanwhile(lambda: None, after=happen)
        end = erase(PEOPLE, batch_size=1, deferrable=True, rendered=rendered).run()
        assert isinstance(end.error, KoreResumeError)
        assert [deferral["state"]["phase"] for deferral in end.deferrals] == ["submit"]
        assert not other.log()
    assert not folder.exists()


def test_strangers_count_as_nobody_if_the_source_has_changed(erase, sandbox):
    sandbox.fail("body", call="status", status=200, body=STRANGERS, times=None)
    end = erase(changing(["u-1", "u-2"], ["u-1", "u-2"], ["u-1", "u-3"])).run()
    assert end.state == "failed"
    assert (end.output["erased"], end.output["open"]) == (0, 2)


PARTLY = {"response": [{"userId": "u-x1", "status": "SUCCESS"}, {"userId": "u-1", "status": "FAILED"}]}


def test_a_stranger_beside_somebody_who_is_not_erased_counts_as_nobody(erase, sandbox):
    sandbox.fail("body", call="status", status=200, body=PARTLY)
    sandbox.fail("status", call="status", status=403, times=None, after=1)
    end = erase(["u-1", "u-2"]).run()
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (0, 1, 1)


def test_the_page_tells_of_nobody_as_erased_who_is_in_doubt(erase, sandbox):
    sandbox.fail("body", call="status", status=200, body=STRANGERS)
    sandbox.fail("status", call="status", status=403, times=None, after=1)
    people = ["u-1", "u-2"]
    task = erase(lambda: people)
    assert task.run().output["open"] == 2
    people.append("")
    task.clear()
    summary = task.run().xcoms["kore_erasure"]
    assert (summary["erased"], summary["open"]) == (0, 2)


@pytest.mark.parametrize("people", [[], [""]])
def test_lost_records_do_not_mean_that_nothing_was_sent(erase, sandbox, people):
    sandbox.configure(duration=1000)
    now = list(PEOPLE)
    task = erase(lambda: now, timeout=0.3, on_empty="skip", retries=3)
    assert task.run().state == "failed"
    task.store.values.clear()
    now[:] = people
    for _ in range(2):
        end = task.run()
        assert end.state == "failed"
        assert end.error.consequence is Consequence.UNCLEAR_BEFORE


def test_a_retry_of_a_refused_task_still_knows_that_nothing_was_sent(erase):
    task = erase([""], retries=1)
    for _ in range(2):
        assert task.run().error.consequence is Consequence.NOT_SENT


def test_a_record_that_cannot_be_read_is_refused_with_what_to_do(erase, sandbox):
    task = erase(PEOPLE)
    assert task.run().state == "success"
    (key,) = [key for key in task.store.values if "batches" in key]
    task.store.values[key] = json.dumps([{"number": 1}])
    task.clear()
    assert "start a new DAG run" in task.run().text
    assert len(erasures(sandbox)) == 1


def test_a_worker_that_cannot_use_the_connection_any_more_does_not_say_that_nothing_was_sent(
    erase, sandbox, connection, meanwhile, tmp_path
):
    (tmp_path / "bad.pem").write_text("no certificate")
    sandbox.configure(duration=1.5)
    sandbox.fail("status", call="erase", status=400, after=1)
    answer = {"response": [{"userId": f"u-{number}", "status": "SUCCESS"} for number in range(3)]}
    sandbox.fail("body", call="status", status=200, body=answer, times=None, after=1)
    meanwhile(lambda: None, after=lambda: connection(extra__ca_bundle=str(tmp_path / "bad.pem")))
    end = erase([f"c{number}" for number in range(6)], batch_size=3, deferrable=True).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert "cannot be read as certificates" in end.text
    assert "Nothing was sent" not in end.text


def test_what_is_unclear_is_raised_before_what_was_certainly_not_accepted(erase, sandbox):
    sandbox.fail("status", call="erase", status=400)
    sandbox.fail("reset-after", call="erase", after=1)
    end = erase(PEOPLE, batch_size=3, wait_for_completion=False).run()
    assert isinstance(end.error, KoreAmbiguousSubmitError)
