"""The task that deletes recordings, against a sandbox: what it deletes, when it fails, and how it goes on."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kore.api.calls import delete_recordings
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAuthenticationError,
    KoreConfigurationError,
    KoreInputError,
    KorePermissionError,
    KoreRecordingsError,
    KoreRequestError,
    KoreThrottledError,
    KoreUnavailableError,
    KoreUnreadableAnswerError,
    KoreWaitError,
)
from airflow_provider_kore.operators.recordings import KoreDeleteRecordingsOperator
from airflow_provider_kore.recordings import run
from airflow_provider_kore.recordings.progress import STORE_KEY
from airflow_provider_kore.user_ids.seal_keys import make_seal_key
from airflow_provider_kore.user_ids.sealing import seal_user_ids
from tests.integration.provider.conftest import RECORDED, most_calls_in
from tests.integration.provider.task_runner import FakeStore

KEY = "held apart"
PATHS = {
    "v2": "/api/public/bot/{bot_id}/v2/recordings",
    "1.1": "/api/1.1/public/bot/{bot_id}/recordings",
    "plain": "/api/public/bot/{bot_id}/recordings",
}

TEN_CALLS = {"since": timedelta(days=38)}
"""For a user: six weeks of sessions, messages-lite twice, two deletions. Then the budget is spent for two seconds."""


@pytest.fixture
def bot_app(sandbox, monkeypatch):
    """Let only an app of the bot's own delete recordings, behind the connection kore_recordings."""

    def connect(**extra):
        sandbox.configure(bot_client_id="cs-bot")
        fields = json.loads(json.dumps(sandbox.connection))
        fields |= {"login": "cs-bot", "password": sandbox.settings.bot_client_secret}
        fields["extra"] = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000} | extra
        monkeypatch.setenv("AIRFLOW_CONN_KORE_RECORDINGS", json.dumps(fields))
        return {"recordings_conn_id": "kore_recordings"}

    return connect


def calls(sandbox, *names):
    return [entry for entry in sandbox.log() if entry.call in (names or ("recordings",))]


def owners(sandbox):
    """Tell of how many sessions of each user the recordings are deleted."""
    names = [recordings.name for recordings in sandbox.state().deleted_recordings]
    return {name: names.count(name) for name in names}


def counts(end):
    return tuple(end.output[name] for name in ("users_done", "sessions", "deleted", "without_recordings", "failed"))


def session_ids(sandbox):
    return {entry.query.removeprefix("sessionId=") for entry in calls(sandbox)}


# --- what is deleted ------------------------------------------------------------------------------------------------


def test_the_recordings_of_all_sessions_are_deleted_and_counted(delete, sandbox):
    task = delete()
    end = task.run()
    assert end.state == "success", end.text
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)
    fingerprint = end.output.pop("people_fingerprint")
    assert fingerprint.startswith("ku:")
    assert end.output == {
        "user_count": 3,
        "users_done": 3,
        "sessions": 6,
        "deleted": 6,
        "without_recordings": 0,
        "failed": 0,
        "compared": True,
        "bot_ids": ["st-1"],
        "all_bots": False,
        "since": (task.dag_run.start_date - timedelta(days=31)).isoformat().replace("+00:00", "Z"),
        "until": task.dag_run.start_date.isoformat().replace("+00:00", "Z"),
        "channel_types": None,
    }
    assert not calls(sandbox, "erase", "messages")


def test_deleting_twice_ends_in_the_same_state(delete, sandbox):
    assert counts(delete().run()) == (3, 6, 6, 0, 0)
    assert counts(delete().run()) == (3, 6, 0, 6, 0)
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)


def test_a_task_that_is_refused_or_fails_is_reported_to_the_page(delete, sandbox):
    sandbox.fail("status", call="recordings", status=403, times=1000)
    for task in (delete(), delete([""])):
        end = task.run()
        assert end.state == "failed"
        assert end.xcoms["kore_erasure"].items() >= {"stage": "deleting_recordings", "dry_run": False}.items()
        assert not any(user in json.dumps(end.xcoms) for user in RECORDED)


def test_an_app_of_the_bot_deletes_and_that_of_the_account_reads(delete, sandbox, bot_app):
    end = delete(**bot_app()).run()
    assert end.state == "success", end.text
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)
    alone = delete().run()
    assert isinstance(alone.error, KorePermissionError)
    assert "recordings_conn_id" in alone.text


@pytest.mark.parametrize("variant", PATHS)
def test_the_path_is_a_setting_of_the_connection(delete, sandbox, connection, variant):
    sandbox.configure(recordings_path=variant)
    connection(extra__api_profile={"recordings_path": PATHS[variant]})
    end = delete(RECORDED[:1]).run()
    assert end.state == "success", end.text
    assert {entry.path for entry in calls(sandbox)} == {PATHS[variant].format(bot_id="st-1")}


def test_a_wrong_path_deletes_nothing_and_says_what_to_set(delete, sandbox):
    sandbox.configure(recordings_path="1.1")
    end = delete().run()
    assert isinstance(end.error, KoreRequestError)
    assert "recordings_path" in end.text
    assert owners(sandbox) == {}


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_session_without_recordings_is_counted(delete, sandbox, status):
    sandbox.configure(history_channels=["rtm", "korevg"], recorded_channels=["korevg"], no_recordings_status=status)
    end = delete().run()
    assert end.state == "success", end.text
    assert counts(end) == (3, 6, 3, 3, 0)


@pytest.mark.parametrize("user", ["491701234567", {"channel_id": "korevg", "channel_user_id": "491701234567"}])
@pytest.mark.parametrize("authors", ["always", "never"])
def test_a_caller_is_found_by_telephone_number(delete, sandbox, user, authors):
    sandbox.configure(history_channels=["korevg"], message_authors=authors)
    end = delete([user]).run()
    assert end.state == "success", end.text
    assert owners(sandbox) == {"491701234567": 2}


def test_a_session_that_only_messages_lite_shows_is_found(delete, sandbox):
    sandbox.configure(history_channels=["rtm", "korevg"], unlisted_channels=["korevg"])
    end = delete(RECORDED[:1]).run()
    assert end.state == "success", end.text
    assert owners(sandbox) == {RECORDED[0]: 2}


def test_several_bots_are_done_one_by_one(delete, sandbox):
    sandbox.configure(bots=["st-1", "st-2"])
    end = delete(RECORDED[:1], bot_ids=["st-2", "st-1"]).run()
    assert counts(end) == (1, 4, 4, 0, 0)
    assert {deleted.bot_id for deleted in sandbox.state().deleted_recordings} == {"st-1", "st-2"}


def test_many_pages_and_windows_are_done_once(delete, sandbox):
    sandbox.configure(sessions_per_user=250, messages_per_session=1, history_days=9)
    end = delete(RECORDED[:1], since=timedelta(days=10)).run()
    assert counts(end) == (1, 250, 250, 0, 0)
    assert len(calls(sandbox)) == 250


def test_a_preview_counts_sessions_and_deletes_nothing(delete, sandbox):
    end = delete(dry_run=True).run()
    assert end.state == "success", end.text
    assert (end.output["dry_run"], end.output["sessions"], end.output["users_done"]) == (True, 6, 3)
    assert not end.output.keys() & {"deleted", "without_recordings", "failed"}
    assert calls(sandbox) == []


def test_users_without_sessions_have_no_recordings(delete, sandbox):
    sandbox.configure(unknown_users=RECORDED)
    assert counts(delete().run()) == (3, 0, 0, 0, 0)


# --- what is refused before the first request -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user_ids": []}, "no users whose recordings"),
        ({"user_ids": [*RECORDED, " "]}, "position 4 is blank"),
        ({"bot_ids": None}, "There are no bot_ids"),
        ({"bot_ids": []}, "There are no bot_ids"),
        ({"bot_ids": "st-1"}, "bot_ids must be a list"),
        ({"bot_ids": ["st-1", " "]}, "bot id at position 2"),
        ({"since": None}, "since is of type NoneType"),
        ({"until": datetime(2999, 1, 1, tzinfo=UTC)}, "must not be later"),
        ({"channel_types": []}, "channel_types must be a list"),
        ({"max_users": 2}, "more users"),
        ({"dry_run": "False"}, "dry_run must be True or False"),
        ({"recordings_conn_id": ""}, "recordings_conn_id is empty"),
        ({"recordings_conn_id": None}, "recordings_conn_id is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(delete, sandbox, arguments, words):
    end = delete(rendered=arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert words in end.text
    assert end.error.consequence is Consequence.NOT_SENT
    assert sandbox.log() == []


@pytest.mark.parametrize(
    "arguments", [{"bot_ids": None}, {"bot_ids": "st-1"}, {"since": -1}, {"dry_run": 1}, {"channel_types": "rtm"}]
)
def test_a_wrong_literal_is_refused_when_the_dag_is_parsed(arguments):
    good = {"bot_ids": ["st-1"], "since": timedelta(days=1)}
    with pytest.raises(KoreInputError):
        KoreDeleteRecordingsOperator(task_id="recordings", user_ids=RECORDED, **good | arguments)


@pytest.mark.parametrize("guard", [{"allowed_bot_ids": "st-2"}, {"max_users": 2}])
@pytest.mark.parametrize("guarded", ["kore_default", "kore_recordings"])
def test_the_guards_of_both_connections_count(delete, sandbox, connection, bot_app, guard, guarded):
    arguments = bot_app(**guard if guarded == "kore_recordings" else {})
    if guarded == "kore_default":
        connection(**{f"extra__{name}": value for name, value in guard.items()})
    end = delete(**arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert sandbox.log() == []


def test_another_kore_is_not_asked_to_delete(delete, sandbox, bot_app, monkeypatch):
    arguments = bot_app()
    fields = sandbox.connection | {"host": "http://127.0.0.1:9"}
    monkeypatch.setenv("AIRFLOW_CONN_KORE_RECORDINGS", json.dumps(fields))
    end = delete(**arguments).run()
    assert isinstance(end.error, KoreConfigurationError)
    assert "same base URL" in end.text
    assert sandbox.log() == []


def test_no_users_can_be_meant(delete, sandbox):
    assert delete([], on_empty="skip").run().state == "skipped"
    assert sandbox.log() == []


# --- what fails -----------------------------------------------------------------------------------------------------


def assert_failed(end, error_type, words=""):
    assert end.state == "failed"
    assert type(end.error) is error_type
    assert end.error.consequence is Consequence.RECORDINGS_LEFT
    assert "Do not erase the users yet" in end.text
    assert words in end.text
    assert end.error.remedy


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        ({"kind": "status", "status": 401, "times": 2}, KoreAuthenticationError),
        ({"kind": "status", "status": 403}, KorePermissionError),
        *(({"kind": "status", "status": status}, KoreRequestError) for status in (400, 404, 405, 409, 410, 422)),
        ({"kind": "status", "status": 404, "page": "html"}, KoreRequestError),
        ({"kind": "redirect"}, KoreConfigurationError),
        ({"kind": "status", "status": 503, "times": None}, KoreUnavailableError),
        ({"kind": "html", "times": None}, KoreUnavailableError),
        ({"kind": "oversized", "times": None}, KoreUnavailableError),
        ({"kind": "echo"}, KoreRequestError),
        ({"kind": "body", "status": 204, "body": "", "times": None}, KoreUnavailableError),
        *(
            ({"kind": "wrong-json", "body": body, "times": None}, KoreUnreadableAnswerError)
            for body in (
                {},
                [],
                None,
                "Call recordings deleted successfully",
                {"message": "ok"},
                {"message": "Call recordings could not be deleted successfully"},
                {"message": "Call recordings deleted successfully", "sessionId": "another"},
                {"message": "Call recordings deleted successfully", "errors": [{"msg": "no", "code": 1}]},
                {"status": "success"},
            )
        ),
    ],
    ids=str,
)
def test_an_answer_that_does_not_say_that_it_is_done_fails(delete, sandbox, no_back_off, fault, error_type):
    sandbox.fail(call="recordings", after=2, **fault)
    end = delete().run()
    assert_failed(end, error_type, "Batch 1 position 2: ")
    assert counts(end) == (1, 4, 2, 0, 2)
    assert not any(name in end.text for name in [*RECORDED, *session_ids(sandbox)])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "reset-before"},
        {"kind": "status", "status": 401},
        {"kind": "throttle-429", "retry_after": 1},
        {"kind": "throttle-400", "retry_after": 1},
        {"kind": "truncated-json"},
        {"kind": "reset-after"},
    ],
    ids=str,
)
def test_a_fault_that_passes_is_waited_out(delete, sandbox, no_back_off, fault):
    sandbox.fail(call="recordings", after=2, **fault)
    end = delete().run()
    assert end.state == "success", end.text
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)
    lost = fault["kind"] in ("truncated-json", "reset-after")  # it was deleted, and that was not learnt
    assert counts(end) == (3, 6, 6 - lost, lost, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"wrong_total": 1}, "not all"),
        ({"ignore_user_filter": True}, "ALARM"),
        ({"history_granted": False}, "Bot Sessions"),
    ],
)
def test_sessions_that_are_not_surely_all_of_this_user_fail_and_nothing_is_deleted(delete, sandbox, settings, words):
    sandbox.configure(**settings)
    end = delete().run()
    assert_failed(end, KorePermissionError if "history_granted" in settings else KoreRecordingsError, words)
    assert calls(sandbox) == []


@pytest.mark.parametrize(
    "lite", [{"lite_served": False}, {"lite_users": "user-id"}, {"lite_users": "channel-with-type"}]
)
def test_without_messages_lite_only_a_user_with_sessions_of_that_id_is_done(delete, sandbox, lite):
    sandbox.configure(**lite)
    end = delete().run()
    assert end.state == "success", end.text
    assert (end.output["deleted"], end.output["compared"]) == (6, False)
    assert_failed(delete([{"channel_id": "korevg", "channel_user_id": "491701234567"}]).run(), KoreRequestError)
    sandbox.configure(unknown_users=["491701234567", "u-1"])
    assert_failed(delete(["491701234567"]).run(), KoreRecordingsError, "u-… id")
    assert delete(["u-1"]).run().state == "success"


def test_a_channel_can_be_named_where_kore_wants_one(delete, sandbox):
    sandbox.configure(lite_users="channel-with-type", history_channels=["korevg"])
    user = {"channel_id": "korevg", "channel_user_id": "491701234567"}
    assert delete([user]).run().state == "failed"
    assert counts(delete([user], channel_types=["korevg"]).run()) == (1, 2, 2, 0, 0)


@pytest.mark.parametrize("session_id", ["", " ", "a\nb", "x" * 257, "\ud800", 7])
def test_a_session_id_that_cannot_be_sent_fails(delete, sandbox, no_back_off, session_id):
    session = {"sessionId": session_id, "userId": "u-1"}
    body = {"total": 1, "moreAvailable": False, "sessions": [session]}
    sandbox.fail("wrong-json", call="sessions", body=body, times=None)
    end = delete(RECORDED[:1]).run()
    assert_failed(end, KoreUnreadableAnswerError, "sessionId")
    assert calls(sandbox) == []


@pytest.mark.parametrize("session_id", ["a b", "a/b?c=d&e#f", "%2F", "..", "é", "x" * 256])
def test_a_session_id_arrives_as_it_is(delete, sandbox, session_id):
    session = {"sessionId": session_id, "userId": "u-1"}
    body = {"total": 1, "moreAvailable": False, "sessions": [session]}
    sandbox.fail("wrong-json", call="sessions", body=body)
    sandbox.configure(unknown_users=["*"])
    end = delete(["u-1"], since=timedelta(days=2)).run()
    assert counts(end) == (1, 1, 0, 1, 0), end.text
    (call,) = calls(sandbox)
    assert call.path == "/api/public/bot/st-1/v2/recordings"


# --- how it goes on -------------------------------------------------------------------------------------------------


def test_a_retry_continues_with_the_first_user_who_is_not_done(delete, sandbox):
    store = FakeStore()
    sandbox.fail("status", status=400, call="recordings", after=3)
    task = delete(store=store, retries=1)
    assert counts(task.run()) == (1, 4, 3, 0, 1)
    done = len(calls(sandbox, "sessions"))
    assert counts(task.run()) == (3, 6, 5, 1, 0)
    assert len(calls(sandbox, "sessions")) == done + 10
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)
    assert json.loads(store.values[STORE_KEY])["users_done"] == 3


def test_a_worker_that_dies_in_the_midst_of_a_user_leaves_nothing_undone(delete, sandbox, monkeypatch):
    store, deletions = FakeStore(), []

    def die_at_the_fourth(*arguments):
        deletions.append(arguments)
        if len(deletions) == 4:
            raise SystemExit
        return delete_recordings(*arguments)

    task = delete(store=store, retries=1)
    with monkeypatch.context() as dying:
        dying.setattr(run, "delete_recordings", die_at_the_fourth)
        with pytest.raises(SystemExit):
            task.run()
    assert json.loads(store.values[STORE_KEY])["users_done"] == 1
    assert counts(task.run()) == (3, 6, 5, 1, 0)
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)


def test_a_dag_run_that_is_cleared_begins_with_the_first_user_and_a_later_end(delete, sandbox):
    store = FakeStore()
    task = delete(store=store)
    first = task.run()
    before = len(calls(sandbox, "sessions"))
    task.dag_run.start_date += timedelta(seconds=1)  # as Airflow sets it anew
    second = task.run()
    assert second.output["until"] > first.output["until"]
    assert counts(second) == (3, 6, 0, 6, 0)
    assert len(calls(sandbox, "sessions")) == before + 15


def test_a_task_that_is_cleared_within_its_dag_run_returns_the_same(delete, sandbox):
    task = delete(store=FakeStore())
    first, before = task.run().output, len(sandbox.log())
    assert task.run().output == first
    assert len(sandbox.log()) == before


def test_without_a_store_a_retry_begins_with_the_first_user(delete, sandbox):
    sandbox.fail("status", status=400, call="recordings", after=3)
    task = delete(retries=1)
    assert task.run().state == "failed"
    assert counts(task.run()) == (3, 6, 3, 3, 0)


@pytest.mark.parametrize(
    "change", [{"user_ids": RECORDED[::-1]}, {"bot_ids": ["st-2"]}, {"since": timedelta(days=30)}, {"dry_run": True}]
)
def test_what_is_stored_of_another_task_counts_for_nothing(delete, sandbox, change):
    store = FakeStore()
    first = delete(store=store)
    first.run()
    second = delete(store=store, **change)
    second.dag_run = first.dag_run
    before = len(calls(sandbox, "sessions"))
    assert second.run().output["users_done"] == 3
    assert len(calls(sandbox, "sessions")) == before + 15


@pytest.mark.parametrize("value", [None, "x", [], {"identity": 1}, {"identity": "x", "users_done": 99}])
def test_a_store_that_is_broken_is_no_reason_to_skip_a_user(delete, sandbox, value):
    store = FakeStore()
    store.set(STORE_KEY, value)
    assert counts(delete(store=store).run()) == (3, 6, 6, 0, 0)


def test_a_store_that_fails_fails_no_task(delete, sandbox, caplog):
    class Failing(FakeStore):
        def get(self, key, default=None):
            raise OSError(RECORDED[0])

        set = get

    assert counts(delete(store=Failing()).run()) == (3, 6, 6, 0, 0)
    assert "cannot be stored" in caplog.text
    assert RECORDED[0] not in caplog.text


@pytest.mark.parametrize("store", [None, FakeStore()], ids=["no store", "store"])
def test_a_spent_budget_leaves_the_worker_and_keeps_the_account_within_it(delete, sandbox, scarce, store):
    end = delete(RECORDED[:2], **TEN_CALLS, store=store, deferrable=True, timeout=120).run()
    assert end.state == "success", end.text
    assert owners(sandbox) == dict.fromkeys(RECORDED[:2], 2)
    assert counts(end) == (2, 4, 4, 0, 0)
    assert end.deferrals
    assert most_calls_in(3.8, sandbox) <= 6
    kept = json.dumps(end.deferrals) + json.dumps(end.xcoms)
    assert not any(name in kept for name in [*RECORDED, *session_ids(sandbox)])


def test_what_is_kept_can_be_lost(delete, sandbox, scarce):
    end = delete(RECORDED[:2], **TEN_CALLS, deferrable=True).run(meanwhile=dict.clear)
    assert_failed(end, KoreWaitError)


def test_a_connection_that_is_gone_when_the_task_resumes_does_not_hide_what_was_deleted(delete, scarce, monkeypatch):
    def remove(_):
        monkeypatch.delenv("AIRFLOW_CONN_KORE_DEFAULT")

    end = delete(RECORDED[:2], **TEN_CALLS, deferrable=True).run(meanwhile=remove)
    assert isinstance(end.error, KoreConfigurationError)
    assert end.error.consequence is Consequence.RECORDINGS_LEFT


def test_recordings_of_sealed_users_are_deleted(delete, sandbox, connection):
    key = make_seal_key()
    pem = key.as_pem(private=True).decode()
    connection(extra__seal_key=pem, extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000)
    end = delete(seal_user_ids(RECORDED, key, "dag", datetime.now(UTC) + timedelta(hours=1))).run()
    assert end.state == "success", end.text
    assert owners(sandbox) == dict.fromkeys(RECORDED, 2)


def test_the_time_can_be_over(delete, sandbox, scarce):
    end = delete(timeout=1).run()
    assert end.state == "failed"
    assert type(end.error) in (KoreRecordingsError, KoreThrottledError)
    assert end.error.consequence is Consequence.RECORDINGS_LEFT


# --- no id anywhere -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [None, {"kind": "echo"}, {"kind": "status", "status": 503}, {"kind": "redirect"}, {"kind": "reset-after"}]
)
def test_no_user_and_no_session_is_named_anywhere(delete, sandbox, connection, caplog, no_back_off, fault):
    connection(extra__digest_key=KEY)
    for logger in ("", "httpx", "httpcore"):  # Airflow raises the level of httpx
        caplog.set_level(logging.DEBUG, logger)
    store = FakeStore()
    if fault is not None:
        sandbox.fail(call="recordings", after=2, **fault)
    end = delete(store=store).run()
    shown = caplog.text + end.text + repr(end.error) + json.dumps([end.xcoms, store.values])
    assert "getSessions" in caplog.text  # httpx logs the calls that name no session
    assert len(session_ids(sandbox)) > 2
    assert [name for name in [*RECORDED, *session_ids(sandbox)] if name in shown] == []
    assert "recordings?" not in shown
    if end.state == "failed":
        assert f"Batch 1 position 2 ({digest(RECORDED[1], KEY)}): " in end.text
