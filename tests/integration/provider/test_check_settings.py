"""The command ``check`` against a sandbox that is different from the guesses, one setting at a time."""

import io
import json

import pytest

from airflow_provider_kore.checks import erasing
from airflow_provider_kore.checks.__main__ import main
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.user_ids import ChannelUserId

USER, CHANNEL_USER = "Xq7ZwK9.user@example.org", "Xq7ZwK9-channel"
PAIR = json.dumps({"channel_id": "slack", "channel_user_id": CHANNEL_USER})

OF_APP = {"client_id", "client_secret", "algorithm", "public_key", "bot_client_id", "bot_client_secret"}
"""Settings that the connection must have too."""

NOT_GUESSES = {
    *("bots", "members", "unknown_users", "seed", "leave_behind", "leave_behind_kind", "wrong_total"),
    *("ignore_user_filter", "sessions_per_user", "messages_per_session", "history_days", "history_channels"),
    *("llm_logs", "audit_log"),
    *("history_bots", "duration"),
}
"""Settings that say who is there and what they have, or that test callers."""

BY_FAULT = {"throttle_status", "retry_after", "requests_per_minute", "minute_seconds"}
"""Settings of a spent budget, which no check spends; a throttle that comes by itself is played by a fault."""

NOT_TESTABLE = {
    *("requests_per_hour", "hour_seconds", "count_throttled", "history_counts", "throttle_text"),
    *("recordings_granted", "recordings_path", "recorded_channels", "recordings_deleted_text"),
    *("no_recordings_status", "no_recordings_text"),
}
"""Settings that show only where recordings are deleted or an hour's budget is spent, or in words that tell nothing."""

ON_TWO_CHANNELS = {"history_channels": ["rtm", "whatsapp"], "history_days": 5.0, "sessions_per_user": 4}

DIFFERENT = [
    ({"enforce_jti": False}, {"enforce_jti"}, ()),
    ({"clock_leeway": 0.0}, {"clock_leeway"}, ()),
    ({"scope_granted": False}, {"scope_erase"}, ()),
    ({"scope_granted": False, "missing_scope_status": 400}, {"scope_erase", "missing_scope_status"}, ()),
    ({"history_granted": False}, {"scope_sessions", "scope_messages"}, ()),
    (
        {"history_granted": False, "missing_scope_status": 401},
        {"scope_sessions", "scope_messages", "missing_scope_status"},
        (),
    ),
    ({"roles_granted": False}, {"scope_roles"}, ()),
    ({"roles_granted": False, "missing_scope_status": 404}, {"scope_roles", "missing_scope_status"}, ()),
    ({"channel_users": False}, {"channel_users"}, ()),
    ({"user_id_form": "resolved"}, {"user_id_form"}, ()),
    ({"accept_status": 202}, {"accept_status"}, ()),
    ({"accept_word": "queued"}, {"accept_word"}, ()),
    ({"while_running": "missing"}, {"while_running"}, ()),
    ({"while_running": "empty"}, {"while_running"}, ()),
    ({"while_running": "growing"}, {"while_running"}, ()),  # of one user: empty
    ({"while_running": "unknown"}, {"while_running"}, ()),
    ({"while_running": "trickle"}, set(), ()),  # of one user: as usual
    ({"erased_word": "completed"}, {"erased_word"}, ()),
    ({"erased_word": "Purged"}, {"erased_word"}, ["erased_words"]),
    ({"running_word": "processing"}, {"running_word"}, ()),
    ({"running_word": "Churning"}, {"running_word"}, ["open_words"]),
    ({"unknown_word": "NoSuchUser", "unknown_users": ["kore-check-*"]}, {"unknown_word"}, ["not_erased_words"]),
    ({"timestamps": "date-object"}, {"timestamps"}, ()),
    ({"timestamps": "isodate"}, {"timestamps"}, ()),
    ({"unknown_request_status": 404}, {"unknown_request_status"}, ()),
    (
        {"unknown_request_status": 422, "while_running": "unknown"},
        {"unknown_request_status"},
        ["unknown_request_statuses"],
    ),
    ({"unknown_request_status": 503}, {"unknown_request_status"}, ["unknown_request_statuses", "unknown_request_text"]),
    ({"unknown_request_text": "There is no such request"}, set(), ()),
    (
        {"channel_id_key": "channelId", "channel_user_id_key": "channelUId"},
        {"channel_users"},
        ["channel_id_key", "channel_user_id_key"],
    ),
    ({"members_page": 20}, {"members_page"}, ["members_page"]),
    ({"clock_offset": 120.0}, {"clock"}, ()),
    ({"clock_offset": -120.0}, {"clock"}, ()),
    ({"enforce_jwe": True}, {"token"}, ()),
    ({"message_authors": "never"}, {"message_authors"}, ()),
    ({"history_window_ends": "exclusive"}, {"history_window_ends"}, ()),
    ({"sessions_span": "under-7-days"}, {"sessions_span"}, ()),
    ({"lite_served": False}, {"lite_served"}, ()),
    ({"lite_users": "channel-with-type"}, {"lite_users"}, ()),
    ({"lite_users": "user-id"}, {"lite_users"}, ()),
    ({"lite_default_channels": "rtm", **ON_TWO_CHANNELS}, {"lite_default_channels"}, ()),
    ({"lite_longest_days": 31}, {"lite_longest_days"}, ()),
    ({"lite_last_day": "exclusive"}, {"lite_last_day"}, ()),
    ({"unlisted_channels": ["rtm"]}, {"unlisted_channels"}, ()),
    ({"erased_user_answer": "error"}, {"erased_user_answer"}, ()),
    ({"max_user_ids": 2}, {"max_user_ids"}, ["largest_batch"]),
    ({"refusal": "whole-request", "refuse": [USER]}, {"refusal"}, ()),
    ({"refused_word": "Error", "refuse": [USER]}, {"refusal"}, ()),
]

NEEDED = {"erased_words", "open_words", "channel_id_key", "members_page", "largest_batch"}
"""Keys without which no user is erased where they are to be set."""


@pytest.fixture
def check(sandbox, connection, monkeypatch, capsys, caplog, tmp_path):
    """Run the command with a test user; gives status, what is different, and the profile to set."""
    monkeypatch.setattr(erasing, "ask_at_the_terminal", lambda text: "erase" if "throw-away" in text else "st-1")

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # which the command changes

    def check(*arguments, given=f"{USER}\n{PAIR}\n"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        report = tmp_path / "report.json"
        capsys.readouterr()  # what tasks printed
        status = main(["--bot-id", "st-1", "-o", "json", "--report", str(report), *arguments])
        printed = capsys.readouterr()
        written = report.read_text()
        for text in (printed.out, printed.err, written, caplog.text):
            assert "Xq7ZwK9" not in text
            assert sandbox.settings.client_secret not in text
            assert sandbox.settings.client_id not in text
            assert "eyJ" not in text  # how a token begins
            assert "Traceback" not in text
        document = json.loads(written)
        rows = json.loads(printed.out)
        assert [row["verdict"] for row in rows] == [row["verdict"] for row in document["checks"]]
        return status, document

    return check


def different(document):
    return {row["name"] for row in document["checks"] if row["verdict"] == "different"}


ERASING = ("--erase-test-user", "--poll-interval", "0.1", "--wait", "4")


def test_the_table_has_all_settings():
    tested = {name for settings, _, _ in DIFFERENT for name in settings}
    assert tested | OF_APP | NOT_GUESSES | BY_FAULT | NOT_TESTABLE == set(Settings.model_fields)


def test_a_kore_as_it_is_guessed_is_confirmed(check, sandbox):
    sandbox.configure(duration=0.3, **ON_TWO_CHANNELS)
    status, document = check(*ERASING)
    assert (status, different(document)) == (0, set())
    assert document["api_profile"] is None
    not_tested = {row["name"] for row in document["checks"] if row["verdict"] == "not tested"}
    assert not_tested == {
        *("missing_scope_status", "rate_limits", "refusal", "throttle_status", "recordings_path"),
        *("reach_contacts", "reach_tables", "reach_feedback", "reach_debug_logs", "reach_secure_forms"),
    }


@pytest.mark.parametrize(
    ("logs", "verdict"),
    [("some", "used"), ("none", "not seen"), ("no-scope", "not tested"), ("absent", "not tested")],
)
def test_places_that_no_erasure_reaches_are_named(check, sandbox, logs, verdict):
    sandbox.configure(llm_logs=logs, audit_log=logs, history_channels=["korevg"])
    status, document = check("--user", given=USER)
    verdicts = {row["name"]: row["verdict"] for row in document["checks"]}
    assert (verdicts["reach_llm_logs"], verdicts["reach_audit_log"]) == (verdict, verdict)
    assert (verdicts["reach_recordings"], verdicts["reach_contacts"]) == ("used", "not tested")
    assert status == 0


def test_a_throttle_that_comes_by_itself_is_reported_and_the_call_is_repeated(check, sandbox):
    sandbox.fail("throttle-400", retry_after=1, call="roles")
    status, document = check()
    assert (status, different(document)) == (1, {"throttle_status"})
    assert document["sandbox"] == {"throttle_status": 400, "retry_after": "seconds"}
    assert {row["verdict"] for row in document["checks"] if row["name"] == "scope_roles"} == {"confirmed"}


@pytest.mark.parametrize(("settings", "names", "keys"), DIFFERENT, ids=[json.dumps(case[0]) for case in DIFFERENT])
def test_what_is_different_is_found_and_with_the_extra_that_is_printed_users_are_erased(
    check, sandbox, connection, erase, settings, names, keys
):
    sandbox.configure(duration=0.3, **settings)
    status, document = check(*ERASING)
    assert different(document) == names
    assert status == (2 if names == {"token"} else bool(names))
    assert set(document["sandbox"]) <= set(settings)
    assert sorted(document["api_profile"] or ()) == sorted(keys)
    if not names & {"token", "scope_erase"}:
        pairs = [ChannelUserId("slack", "U1")] if settings.get("channel_users", True) else []

        def run(**extra):
            connection(extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000, **extra)
            users = ["u-1", "a@example.com", *pairs]
            return erase(users, check_members=settings.get("roles_granted", True)).run()

        if NEEDED & set(keys):
            assert run().state == "failed"
        end = run(**({"extra__api_profile": document["api_profile"]} if keys else {}))
        assert end.state == "success", end.text
        assert end.output["erased"] == 2 + len(pairs)
        if keys:
            _, document = check(*ERASING)
            assert document["api_profile"] is None
            assert not different(document) - {"while_running"}
