"""Recordings go by session, by the one path and app that the account has, and an erasure leaves them."""

import pytest

PATHS = {
    "v2": "/api/public/bot/{}/v2/recordings",
    "1.1": "/api/1.1/public/bot/{}/recordings",
    "plain": "/api/public/bot/{}/recordings",
}
ANN = "ann@example.com"


def delete(caller, session_id, bot_id="st-1", *, variant="v2", query=None, token=None, body=b""):
    query = f"sessionId={session_id}" if query is None else query
    path = PATHS[variant].format(bot_id)
    return caller.call("DELETE", path, {"auth": token or caller.token()}, body, query=query)


def sessions(caller, user=ANN):
    return [session["sessionId"] for session in caller.history_of("sessions", user)]


def test_the_recordings_of_a_session_are_deleted_once(caller, content, error):
    caller = caller(requests_per_minute=0)
    first, second = sessions(caller)
    answer = content(delete(caller, first))
    assert answer == {"message": "Call recordings deleted successfully", "sessionId": first}
    assert error(delete(caller, first)) == (404, "No recordings found", 404)
    (deleted,) = caller.account.state().deleted_recordings
    assert (deleted.session_id, deleted.bot_id, deleted.name) == (first, "st-1", ANN)
    assert content(delete(caller, second))["sessionId"] == second
    assert caller.account.log()[-1].call == "recordings"


def test_an_erasure_leaves_the_recordings_but_takes_the_session_away(caller, content):
    caller = caller(duration=0, requests_per_minute=0)
    first, _ = sessions(caller)
    caller.accept({"userIds": [ANN], "botIds": ["st-1"]})
    assert sessions(caller) == []
    assert content(delete(caller, first))["sessionId"] == first


@pytest.mark.parametrize("served", PATHS)
@pytest.mark.parametrize("asked", PATHS)
def test_one_path_is_served(caller, error, served, asked):
    caller = caller(recordings_path=served, requests_per_minute=0)
    first, _ = sessions(caller)
    answer = delete(caller, first, variant=asked)
    if asked == served:
        assert answer.status == 200
    else:
        assert error(answer) == (404, "Not Found", 404)


def test_only_sessions_of_recorded_channels_have_recordings(caller):
    caller = caller(history_channels=("rtm", "korevg"), recorded_channels=("korevg",), requests_per_minute=0)
    assert sorted(delete(caller, session).status for session in sessions(caller)) == [200, 404]


@pytest.mark.parametrize("status", [200, 400, 404])
def test_how_it_says_that_there_are_none_can_be_set(caller, content, error, status):
    caller = caller(no_recordings_status=status, no_recordings_text="Nothing here")
    answer = delete(caller, "0123456789abcdef01234567")
    assert answer.status == status
    if status == 200:
        assert content(answer) == {"message": "Nothing here", "sessionId": "0123456789abcdef01234567"}
    else:
        assert error(answer)[1] == "Nothing here"
    assert caller.account.state().deleted_recordings == ()


@pytest.mark.parametrize(
    "query", ["", "sessionId=", "sessionId=%20", "sessionId=a&sessionId=b", "session=a", "sessionId=a&x=1"]
)
def test_any_other_query_is_refused(caller, error, query):
    assert error(delete(caller(), "", query=query))[0] == 400


def test_a_body_and_an_unknown_bot_are_refused(caller, error):
    caller = caller(bots=("st-1",))
    assert error(delete(caller, "a", body=b"{}"))[0] == 400
    assert error(delete(caller, "a", "st-2")) == (400, "Invalid StreamId", 400)


def test_without_the_scope_nothing_is_deleted(caller, error):
    caller = caller(recordings_granted=False, missing_scope_status=400)
    assert error(delete(caller, "a")) == (400, "Unauthorized to perform this activity", 400)


def test_of_two_apps_that_of_the_bot_deletes_recordings_and_erases_nobody(caller, error):
    caller = caller(bot_client_id="cs-bot", requests_per_minute=0)
    first, _ = sessions(caller)

    def token():
        return caller.token(appId="cs-bot", key=caller.account.settings.bot_client_secret)

    assert error(delete(caller, first))[0] == 403
    assert error(caller.erase(token=token()))[0] == 403
    assert error(caller.roles(token=token()))[0] == 403
    assert error(caller.history("sessions", {"userId": ANN}, None, token=token()))[0] == 403
    assert caller.history("sessions", {"userId": ANN}, token=token()).status == 200
    assert delete(caller, first, token=token()).status == 200
    for forged in (caller.token(appId="cs-bot"), caller.token(key=caller.account.settings.bot_client_secret)):
        assert error(delete(caller, first, token=forged))[0] == 401
