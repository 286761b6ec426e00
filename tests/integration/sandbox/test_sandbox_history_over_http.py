"""History, roles and what an erasure leaves of them, over a real connection."""

import time

import pytest

ANN = {"userId": "ann@example.com"}


@pytest.fixture(autouse=True)
def recent_history(sandbox):
    sandbox.configure(history_days=6, sessions_per_user=3)


def test_an_erasure_takes_sessions_and_messages_away(caller):
    sessions, messages = caller.sessions(ANN), caller.messages(ANN)
    assert sessions.status_code == messages.status_code == 200
    assert sessions.headers["content-type"].startswith("application/json")
    assert (sessions.json()["total"], messages.json()["total"]) == (3, 9)
    assert "Hello, this is ann@example.com" in messages.text
    request_id = caller.erase({"userIds": [ANN["userId"]], "botIds": ["st-1"]}).json()["requestId"]
    assert caller.sessions(ANN).json() == sessions.json()
    time.sleep(0.11)
    assert caller.status(request_id).json()["response"][0]["status"] == "SUCCESS"
    assert caller.sessions(ANN).json() == {"total": 0, "moreAvailable": False, "sessions": []}
    assert caller.messages(ANN).json() == {"total": 0, "moreAvailable": False, "messages": []}
    assert caller.sessions(ANN, "st-2").json()["total"] == 3


def test_pages_follow_one_another(caller):
    first, last = (caller.messages(ANN | {"skip": skip, "limit": 5}).json() for skip in (0, 5))
    assert (first["moreAvailable"], last["moreAvailable"]) == (True, False)
    assert first["messages"] + last["messages"] == caller.messages(ANN).json()["messages"]


def test_members_are_listed_and_refused(sandbox, caller):
    sandbox.configure(members=["boss@example.com", "ann@example.com", "u-9"])
    first, last = (caller.roles(offset=offset, limit=2).json() for offset in (0, 2))
    assert (first["total"], first["availableMore"], last["availableMore"]) == (3, True, False)
    assert [user["username"] for user in first["users"] + last["users"]] == list(sandbox.settings.members)
    request_id = caller.erase({"userIds": [ANN["userId"]], "RemoveDataFromAllBots": True}).json()["requestId"]
    time.sleep(0.11)
    assert caller.status(request_id).json()["response"][0]["status"] == "FAILED"
    assert caller.sessions(ANN).json()["total"] == 3


def test_bad_requests_are_refused(sandbox, caller):
    sandbox.configure(bots=["st-1"])
    answers = [caller.sessions(ANN | {"limit": 101}), caller.sessions(ANN, "st-9"), caller.roles(limit=51)]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert answers[1].json() == {"errors": [{"msg": "Invalid StreamId", "code": 400}]}
    sandbox.configure(history_granted=False, roles_granted=False)
    answers = [caller.sessions(ANN), caller.messages(ANN), caller.roles(), caller.erase({})]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 400]


def test_faults_strike_by_the_name_of_the_call(sandbox, caller):
    for call in ("sessions", "messages", "roles"):
        sandbox.fail("status", status=503, call=call)
    assert [caller.sessions(ANN).status_code for _ in range(2)] == [503, 200]
    assert [caller.messages(ANN).status_code for _ in range(2)] == [503, 200]
    assert [caller.roles().status_code for _ in range(2)] == [503, 200]
    assert [entry.call for entry in sandbox.log()] == ["sessions"] * 2 + ["messages"] * 2 + ["roles"] * 2


def test_settings_change_what_is_told(sandbox, caller):
    control = f"{sandbox.url}/sandbox/settings"
    changed = caller.client.put(control, json={"wrong_total": 1, "history_channels": ["email"]})
    assert changed.json()["history_channels"] == ["email"]
    assert caller.sessions(ANN).json()["total"] == 4
    assert caller.messages(ANN).json() == {"total": 1, "moreAvailable": False, "messages": []}
    assert caller.client.put(control, json={"history_channels": [" "]}).status_code == 400


def test_a_name_without_utf8_is_answered_too(sandbox, caller):
    body = b'{"userId": "\\ud800"}'
    headers = {"auth": caller.token(), "content-type": "application/json"}
    answer = caller.client.post("/api/public/bot/st-1/getMessages", content=body, headers=headers)
    assert answer.json()["total"] == 9
    assert answer.json()["messages"][0]["channels"][0]["channelUId"] == "\ud800"
