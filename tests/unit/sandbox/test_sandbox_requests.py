"""Which requests the sandbox takes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.sandbox.requests import ReceivedRequest
from airflow_provider_kore.sandbox.settings import Settings


def body(**changes):
    content = {"userIds": ["u-1"], "botIds": ["st-1"], "RemoveDataFromAllBots": False} | changes
    return {name: value for name, value in content.items() if value is not None}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(body(), id="one bot"),
        pytest.param(body(RemoveDataFromAllBots=None), id="flag missing"),
        pytest.param(body(RemoveDataFromAllBots=True, botIds=None), id="all bots"),
        pytest.param(body(RemoveDataFromAllBots=True, botIds=[]), id="all bots, none listed"),
        pytest.param(body(userIds=[{"channel_id": "c", "channel_user_id": "x"}]), id="channel user"),
        pytest.param(body(userIds=["u-1", "ann@example.com", "Zoë", "\ud800"]), id="any characters"),
    ],
)
def test_a_documented_body_is_accepted(caller, content):
    caller = caller()
    assert caller.erase(content).status == 200
    (entry,) = caller.account.log()
    assert entry.body == content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b'{"userIds": [NaN]}', id="NaN"),
        pytest.param(b"[" * 100_000, id="deeply nested"),
        pytest.param(b"\xff", id="no UTF-8"),
        pytest.param([], id="array"),
        pytest.param({}, id="empty object"),
        pytest.param(body(userIds=None), id="no users"),
        pytest.param(body(userIds=[]), id="empty users"),
        pytest.param(body(userIds="u-1"), id="users as a string"),
        pytest.param(body(userIds=["u-1", ""]), id="empty user"),
        pytest.param(body(userIds=["  "]), id="blank user"),
        pytest.param(body(userIds=[1]), id="user as a number"),
        pytest.param(body(userIds=[None]), id="user null"),
        pytest.param(body(userIds=[["u-1"]]), id="user in an array"),
        pytest.param(body(userIds=[{"channel_id": "c"}]), id="channel only"),
        pytest.param(body(userIds=[{"channel_id": "c", "channel_user_id": " "}]), id="blank channel user"),
        pytest.param(
            body(userIds=[{"channel_id": "c", "channel_user_id": "x", "name": "y"}]), id="channel user and more"
        ),
        pytest.param(body(userIds=[{"channelId": "c", "channelUserId": "x"}]), id="channel user in camel case"),
        pytest.param(body(botIds=None), id="no bots"),
        pytest.param(body(botIds=[]), id="empty bots"),
        pytest.param(body(botIds="st-1"), id="bots as a string"),
        pytest.param(body(botIds=[""]), id="empty bot"),
        pytest.param(body(botIds=[1]), id="bot as a number"),
        pytest.param(body(RemoveDataFromAllBots=True, botIds=[1]), id="bot as a number, all bots"),
        pytest.param(body(RemoveDataFromAllBots="true"), id="flag as a string"),
        pytest.param(body(RemoveDataFromAllBots=1), id="flag as a number"),
        pytest.param(body(removeDataFromAllBots=True), id="flag in another spelling"),
        pytest.param(body(dryRun=True), id="unknown key"),
    ],
)
def test_any_other_body_is_refused(caller, error, content):
    caller = caller()
    status, message, code = error(caller.erase(content))
    assert status == code == 400
    assert message
    assert caller.account.state().requests == ()


@pytest.mark.parametrize(
    ("settings", "content", "refusal"),
    [
        (
            {"channel_users": False},
            body(userIds=[{"channel_id": "c", "channel_user_id": "x"}]),
            "userIds must contain ids only",
        ),
        ({"bots": ("st-1", "st-2")}, body(botIds=["st-2", "st-1"]), None),
        ({"bots": ("st-1", "st-2")}, body(botIds=["st-1", "st-3"]), "Invalid StreamId"),
        ({"max_user_ids": 2}, body(userIds=["u-1", "u-2"]), None),
        ({"max_user_ids": 2}, body(userIds=["u-1", "u-2", "u-3"]), "userIds must have at most 2 items"),
    ],
)
def test_settings_limit_what_a_body_may_name(caller, error, settings, content, refusal):
    answer = caller(**settings).erase(content)
    assert (answer.status == 200) if refusal is None else (error(answer) == (400, refusal, 400))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": None}, 400),
        ({"content-type": "text/plain"}, 400),
        ({"content-type": "application/x-www-form-urlencoded"}, 400),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-length": None}, 411),
    ],
)
def test_headers_describe_the_body(caller, headers, status):
    assert caller().erase(headers=headers).status == status


def test_bots_do_not_count_when_all_are_meant(caller):
    caller = caller(bots=("st-1",))
    assert caller.erase(body(botIds=["st-9"], RemoveDataFromAllBots=True)).status == 200
    assert caller.account.state().requests[0].bot_ids == ()


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/public/bot/eraseUsersData", "DELETE"),
        ("/api/public/bot/eraseUsersData/status/eud-1", "GET"),
        ("/api/public/getSessions", "POST"),
        ("/api/public/getMessages", "POST"),
        ("/api/public/bot/st-1/getSessions", "POST"),
        ("/api/public/bot/st-1/getMessages", "POST"),
        ("/api/public/alluserroles", "GET"),
    ],
)
def test_each_path_has_one_method_which_is_checked_before_the_token(caller, error, path, method):
    for wrong in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - {method}:
        answer = caller().erase(method=wrong, path=path, headers={"auth": None})
        assert error(answer) == (405, "Method Not Allowed", 405)
        assert answer.headers["allow"] == method


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/public/bot/getSessions",
        "/api/public/bot//getSessions",
        "/api/public/bot/st-1/st-2/getSessions",
        "/api/public/bot/st-1/getSessions/",
        "/api/public/bot/st-1/getMessagesV2",
        "/api/public/bot/st-1/alluserroles",
        "/api/public/getsessions",
        "/api/public/bot/eraseUsersData/",
        "/api/public/bot/eraseusersdata",
        "/api/public/bot/st-1/eraseUsersData",
        "/api/public/bot/eraseUsersData/status",
        "/api/public/bot/eraseUsersData/status/",
        "/api/public/bot/eraseUsersData/status/eud-1/",
        "/api/1.1/public/bot/eraseUsersData",
    ],
)
def test_another_path_is_not_found(caller, error, path):
    assert error(caller().erase(path=path)) == (404, "Not Found", 404)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "The body must be a JSON object"),
        (body(dryRun=True), "The body has unknown keys"),
        (body(RemoveDataFromAllBots=1), "RemoveDataFromAllBots must be a boolean"),
        (body(userIds=[]), "userIds must be a non-empty array"),
        (body(userIds="u-1"), "userIds must be a non-empty array"),
        (body(userIds=None), "userIds must be a non-empty array"),
        (body(userIds=["u-1", 1]), "userIds must contain ids only"),
        (body(botIds="st-1"), "botIds must be an array of strings"),
        (body(botIds=[""]), "botIds must be an array of strings"),
        (body(botIds=[]), "botIds must not be empty when RemoveDataFromAllBots is not true"),
    ],
)
def test_a_refusal_names_what_is_wrong(caller, error, content, message):
    assert error(caller().erase(content)) == (400, message, 400)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text(max_size=5).filter(str.strip)
ALMOST_RIGHT = st.fixed_dictionaries(
    {"userIds": st.lists(NAMES, min_size=1, max_size=3) | JSON},
    optional={"botIds": st.lists(NAMES, max_size=2) | JSON, "RemoveDataFromAllBots": st.booleans() | JSON},
)


@given(content=ALMOST_RIGHT | JSON)
def test_whatever_is_sent_gets_an_answer_and_only_a_right_body_is_accepted(new_caller, content):
    caller = new_caller(Settings(duration=0, requests_per_minute=0, requests_per_hour=0))
    answer = caller.erase(content)
    accepted = caller.account.state().requests
    assert answer.status == (200 if accepted else 400)
    assert bool(json.loads(answer.body).get("errors")) is not bool(accepted)
    for request in accepted:
        assert [user.user_id for user in request.users] == content["userIds"]
        assert request.all_bots is content.get("RemoveDataFromAllBots", False)
        assert request.all_bots or list(request.bot_ids) == content["botIds"] != []
        finished = json.loads(caller.status(request.request_id).body)
        assert [entry["status"] for entry in finished["response"]] == ["SUCCESS"] * len(content["userIds"])


def test_a_header_that_comes_twice_is_not_read():
    request = ReceivedRequest("GET", "/", "", [("auth", "a"), ("auth", "b"), ("host", "c")], b"")
    assert request.header("auth") is None
    assert request.header("host") == "c"


OTHER_KEYS = {"channel_id_key": "channelId", "channel_user_id_key": "channelUId"}


@pytest.mark.parametrize("form", ["sent", "resolved"])
def test_a_channel_user_can_go_by_other_keys(caller, error, content, form):
    caller = caller(**OTHER_KEYS, user_id_form=form, duration=0)
    assert error(caller.erase(body(userIds=[{"channel_id": "c", "channel_user_id": "x"}])))[0] == 400
    sent = {"channelId": "c", "channelUId": "x"}
    (answered,) = content(caller.status(caller.accept(body(userIds=[sent]))))["response"]
    assert answered["userId"] == sent if form == "sent" else answered["userId"].startswith("u-")
    (user,) = caller.account.state().erased
    assert user.user_id == {"channel_id": "c", "channel_user_id": "x"}
