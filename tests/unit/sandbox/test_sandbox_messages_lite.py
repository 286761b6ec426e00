"""The call for messages with few fields: whom and what it takes, and what it lists."""

import json

import pytest

from airflow_provider_kore.sandbox.requests import ReceivedRequest
from airflow_provider_kore.sandbox.users import resolved_id

ANN, PHONE = "ann@example.com", "491701234567"
DAYS = {"dateFrom": "2026-12-01", "dateTo": "2027-01-16"}
PATH = "/api/public/bot/st-1/messages-lite"


def body(**changes):
    content = {"userId": ANN, "skip": 0, "limit": 1000, **DAYS} | changes
    return {name: value for name, value in content.items() if value is not ...}


def lite(caller, **changes):
    return caller.send("POST", PATH, body(**changes))


def listed(caller, **changes):
    answer = lite(caller, **changes)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


BY_CHANNEL = {"userId": ..., "channelUId": [PHONE]}


def test_it_lists_what_the_full_call_lists_with_fewer_fields(caller):
    caller = caller()
    full = {item["_id"]: item for item in caller.history_of("messages", ANN)}
    content = listed(caller)
    assert {item["_id"] for item in content["messages"]} == set(full)
    assert (content["total"], content["moreAvailable"]) == (6, False)
    for item in content["messages"]:
        assert item["createdOn"] == full[item["_id"]]["createdOn"]
        assert item["chnl"] == "rtm"
        assert "tags" not in item
        assert item["channels"][0].get("channelUId") == (ANN if item["type"] == "incoming" else None)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"channelType": "korevg"}, 200),
        ({"limit": ...}, 200),
        ({"channelUId": [PHONE]}, 200),
        (BY_CHANNEL, 200),
        (BY_CHANNEL | {"channelUId": [PHONE, "2"]}, 200),
        (BY_CHANNEL | {"channelUId": PHONE, "channelType": "whatsapp"}, 200),
        (BY_CHANNEL | {"channelUId": PHONE}, 400),
        (BY_CHANNEL | {"channelUId": []}, 400),
        (BY_CHANNEL | {"channelUId": [" "]}, 400),
        (BY_CHANNEL | {"channelUId": [1]}, 400),
        ({"userId": ...}, 400),
        ({"userId": [ANN]}, 400),
        ({"userId": ""}, 400),
        ({"limit": 1001}, 400),
        ({"limit": 0}, 400),
        ({"channelType": ""}, 400),
        ({"dateFrom": "2026-12-01T00:00:00.000Z"}, 400),
        ({"dateFrom": ...}, 400),
        ({"dateTo": "2026-11-30"}, 400),
        ({"dateTo": "20270116"}, 400),
        ({"type": ["incoming"]}, 400),
        ({"unknown": 1}, 400),
    ],
)
def test_only_what_is_documented_is_taken(caller, changes, status):
    assert lite(caller(), **changes).status == status


def test_a_page_without_a_limit_has_five(caller):
    content = listed(caller(), limit=...)
    assert (len(content["messages"]), content["total"], content["moreAvailable"]) == (5, 6, True)


@pytest.mark.parametrize(
    ("settings", "changes", "status"),
    [
        ({"lite_served": False}, {}, 404),
        ({"history_granted": False}, {}, 403),
        ({"lite_users": "user-id"}, {}, 200),
        ({"lite_users": "user-id"}, BY_CHANNEL, 400),
        ({"lite_users": "channel-with-type"}, BY_CHANNEL, 400),
        ({"lite_users": "channel-with-type"}, BY_CHANNEL | {"channelType": "sms"}, 400),
        ({"lite_users": "channel-with-type"}, BY_CHANNEL | {"channelUId": PHONE, "channelType": "sms"}, 200),
        ({"lite_longest_days": 46}, {}, 200),
        ({"lite_longest_days": 45}, {}, 400),
        ({"bots": ("st-2",)}, {}, 400),
    ],
)
def test_the_settings_take_away_what_is_guessed(caller, settings, changes, status):
    assert lite(caller(**settings), **changes).status == status


@pytest.mark.parametrize(("setting", "total"), [("all", 6), ("rtm", 3)])
def test_the_channels_of_a_user_without_a_channel(caller, setting, total):
    caller = caller(lite_default_channels=setting, history_channels=("rtm", "korevg"))
    assert listed(caller)["total"] == total
    assert listed(caller, channelType="korevg")["total"] == 3
    assert listed(caller, **BY_CHANNEL)["total"] == 6


@pytest.mark.parametrize(("setting", "total"), [("inclusive", 3), ("exclusive", 0)])
def test_the_last_day_belongs_to_the_span_or_not(caller, setting, total):
    caller = caller(lite_last_day=setting, sessions_per_user=1, history_days=0.2)  # from 03:12 to 08:00
    assert listed(caller, dateFrom="2027-01-15", dateTo="2027-01-15")["total"] == total


@pytest.mark.parametrize("user", [PHONE, {"channel_id": "whatsapp", "channel_user_id": PHONE}])
def test_whoever_is_erased_by_a_channel_user_id_is_no_longer_listed_by_it(caller, user):
    caller = caller(duration=0)
    assert {item["createdBy"] for item in listed(caller, **BY_CHANNEL)["messages"]} == {resolved_id(PHONE)}
    caller.accept({"userIds": [user], "botIds": ["st-1"]})
    assert listed(caller, **BY_CHANNEL)["total"] == 0
    assert listed(caller)["total"] == 6


def test_channels_that_only_this_call_lists(caller):
    caller = caller(history_channels=("rtm", "korevg"), unlisted_channels=("korevg",))
    assert listed(caller)["total"] == 6
    assert len(caller.history_of("messages", ANN)) == 3
    assert caller.history_of("messages", ANN, channelType="korevg") == []
    assert len(caller.history_of("sessions", ANN)) == 1


def test_messages_have_no_author_if_the_setting_says_so(caller):
    caller = caller(message_authors="never")
    assert not any("createdBy" in item for item in listed(caller)["messages"])
    assert not any("createdBy" in item for item in caller.history_of("messages", ANN))


def test_it_is_asked_by_post_and_of_one_bot(caller):
    caller = caller()
    assert caller.send("POST", "/api/public/messages-lite", body()).status == 404
    assert caller.account.answer(ReceivedRequest("GET", PATH, "", [("auth", caller.token())], b"")).status == 405
