"""Each guess that turns out wrong fails closed and says what to set; with that in the connection, the task succeeds."""

from dataclasses import dataclass, field

import pytest

from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.hooks.kore import KoreHook

USERS = ["anna@example.com", "u-2", "+491512345"]


@dataclass
class Difference:
    """A Kore.ai that differs from a guess, and the profile that says so."""

    sandbox: dict
    profile: dict
    words: str
    """What the error says without the profile."""

    users: list = field(default_factory=lambda: USERS)
    arguments: dict = field(default_factory=dict)
    before: dict = field(default_factory=dict)
    """The profile with which the task fails."""


ONE_CALL_A_SECOND = {"requests_per_minute": 1, "minute_seconds": 1.0}

DIFFERENCES = {
    "erased_word": Difference(
        {"erased_word": "Data_Deleted"},
        {"erased_words": ["data_deleted"]},
        '{"api_profile": {"erased_words": ["data_deleted"]}}',
    ),
    "running_word": Difference(
        {"running_word": "Ongoing", "duration": 1.0}, {"open_words": ["ongoing"]}, '"open_words": ["ongoing"]'
    ),
    "channel_id_key and channel_user_id_key": Difference(
        {"channel_id_key": "channelId", "channel_user_id_key": "channelUId"},
        {"channel_id_key": "channelId", "channel_user_id_key": "channelUId"},
        "channel_id_key",
        users=[*USERS, ChannelUserId("rtm", "4711")],
    ),
    "max_user_ids": Difference({"max_user_ids": 2}, {"largest_batch": 2}, "largest_batch"),
    "unknown_request_status": Difference(
        {"unknown_request_status": 422, "while_running": "unknown"},
        {"unknown_request_statuses": [400, 422]},
        "unknown_request_statuses",
    ),
    "while_running unknown, for longer than the grace": Difference(
        {"while_running": "unknown", "duration": 3.0},
        {"unknown_request_grace": 60},
        "does not know the request id",
        before={"unknown_request_grace": 0.1},
    ),
    "throttle_text and throttle_status": Difference(
        {"throttle_text": "other", "throttle_status": 400, **ONE_CALL_A_SECOND},
        {"throttle_texts": ["Too many calls"], "minute_throttle_pause": 1},
        "throttle_texts",
        arguments={"batch_size": 2},
    ),
    "minute_seconds": Difference(
        ONE_CALL_A_SECOND,
        {"minute_throttle_pause": 1},
        "rate limit",
        arguments={"batch_size": 2, "timeout": 4},
        before={"minute_throttle_pause": 6},
    ),
    "hour_seconds": Difference(
        {"requests_per_hour": 1, "hour_seconds": 1.0},
        {"hour_throttle_pause": 1},
        "rate limit",
        arguments={"batch_size": 2, "timeout": 4},
        before={"hour_throttle_pause": 6},
    ),
    "members_page": Difference(
        {"members_page": 20, "members": ["boss@example.com"]},
        {"members_page": 20},
        "members_page",
        arguments={"check_members": True},
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_a_guess_that_is_wrong_fails_closed_and_the_profile_puts_it_right(erase, sandbox, connection, name, deferrable):
    case = DIFFERENCES[name]
    sandbox.configure(**{"duration": 0.3} | case.sandbox)
    connection(extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000, extra__api_profile=case.before)
    arguments = {"deferrable": deferrable, "timeout": 10, **case.arguments}

    end = erase(case.users, **arguments).run()
    assert end.state == "failed"
    assert case.words in end.text
    assert not any(user in end.text for user in USERS)
    assert (end.output or {}).get("erased", 0) < len(case.users)

    connection(extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000, extra__api_profile=case.profile)
    end = erase(case.users, **arguments).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == len(case.users)


RECORDINGS_DIFFERENCES = {
    "recordings_path": Difference(
        {"recordings_path": "plain"}, {"recordings_path": "/api/public/bot/{bot_id}/recordings"}, "recordings_path"
    ),
    "recordings_deleted_text": Difference(
        {
            "recordings_deleted_text": "The recordings were removed.",
            "no_recordings_text": "The recordings do not exist",  # what a repeated call is answered
            "no_recordings_status": 200,
        },
        {
            "recordings_deleted_texts": ["the recordings were removed"],
            "no_recordings_texts": ["the recordings do not exist"],
        },
        "recordings_deleted_texts",
    ),
    "no_recordings_text in a refusal": Difference(
        {"no_recordings_text": "This session has no call recordings", "recorded_channels": ["korevg"]},
        {"no_recordings_texts": ["This session has no call recordings"]},
        "no_recordings_texts",
    ),
    "no_recordings_text in a success": Difference(
        {"no_recordings_text": "No such recording", "no_recordings_status": 200, "recorded_channels": ["korevg"]},
        {"no_recordings_texts": ["No such recording"]},
        "no_recordings_texts",
    ),
}


@pytest.mark.parametrize("name", RECORDINGS_DIFFERENCES)
def test_recordings_count_as_deleted_only_once_the_profile_of_their_connection_is_right(
    delete, sandbox, connection, no_back_off, name
):
    case = RECORDINGS_DIFFERENCES[name]
    sandbox.configure(**case.sandbox)
    task = delete(USERS[:1], retries=1)
    end = task.run()
    assert end.state == "failed"
    assert case.words in end.text
    assert (end.output["users_done"], end.output["deleted"], end.output["without_recordings"]) == (0, 0, 0)

    connection(extra__api_profile=case.profile)
    end = task.run()
    assert end.state == "success", end.text
    assert end.output["deleted"] + end.output["without_recordings"] == end.output["sessions"] == 2


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("erased_word", 1), ("max_user_ids", 2), ("channel_id_key and channel_user_id_key", 1)],
)
def test_the_task_resumes_once_the_profile_is_set_and_submits_no_user_twice(erase, sandbox, connection, name, accepted):
    case = DIFFERENCES[name]
    sandbox.configure(duration=0.3, **case.sandbox)
    task = erase(case.users, retries=2)
    for _ in range(2):
        end = task.run()
        assert end.state == "failed"
        assert case.words in end.text
    connection(extra__api_profile=case.profile)
    task.clear()
    end = task.run()
    assert end.state == "success", end.text
    assert sum(entry.accepted for entry in sandbox.log()) == accepted


def test_an_approval_is_about_the_batches_and_not_about_how_kore_is_read(erase, connection):
    def fingerprint(**profile):
        connection(extra__api_profile=profile)
        return erase(USERS, dry_run=True).run().output["plan_fingerprint"]

    plain = fingerprint()
    assert fingerprint(erased_words=["deleted"], channel_id_key="channelId", largest_batch=500) == plain
    assert fingerprint(largest_batch=2) != plain
    assert erase(USERS, approved_plan=plain).run().state == "failed"


def test_a_word_for_not_erased_is_no_longer_explained(erase, sandbox, connection):
    sandbox.configure(refuse=["u-2"], refused_word="Owner_Of_Bot")
    assert "not_erased_words" in erase(USERS).run().text
    connection(extra__api_profile={"not_erased_words": ["owner-of-bot"]})
    end = erase(USERS).run()
    assert end.output["not_erased"] == 1
    assert "Owner_Of_Bot (1)" in end.text
    assert "api_profile" not in end.text


@pytest.mark.parametrize("word", ["Anna-Schmidt", "anna", "Anna Schmidt was erased", "u-2"])
def test_a_word_that_may_name_a_user_is_not_shown(erase, sandbox, word, caplog):
    sandbox.configure(erased_word=word, user_id_form="resolved")
    end = erase(["anna-schmidt@example.com", "u-2"], deferrable=True).run()
    assert end.output["erased"] == 0
    assert word not in f"{end.text}{caplog.text}{end.xcoms}"


def test_the_hook_refuses_more_users_than_kore_takes(sandbox, connection):
    connection(extra__api_profile='{"largest_batch": 2}')
    with pytest.raises(KoreInputError, match="largest_batch"):
        KoreHook().erase_user_data(USERS, bot_ids=["st-1"])
    assert sandbox.log() == []
