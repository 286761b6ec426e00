"""All sessions of a user are found once, wherever Kore.ai shows them, and none of another user."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.history import LiteQuery
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.recordings import RecordedSession
from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreRecordingsError, KoreUnreadableAnswerError
from airflow_provider_kore.recordings.sessions import find_sessions, require_time, session_queries
from tests.unit.playing_kore import Clock, error, http, pacing, play

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
WANTED = HistoryRange(("st-1", "st-2"), SINCE, SINCE + timedelta(days=10), None)
CALLER = ChannelUserId("korevg", "491701234567")

ids = st.sets(st.sampled_from([f"s{number}" for number in range(6)]), max_size=4)


class Kore:
    """
    Answer about one user as a client does.

    :param listed: the ids of sessions that each call lists at each bot: the sessions call, ``messages-lite`` by the
        user id, and by the user's id in a channel.
    :param owner: the user id in every answer.
    """

    def __init__(self, listed, owner="u-1"):
        self.listed = listed
        self.owner = owner
        self.clock = Clock()
        self.pacing = pacing(self.clock)
        self.lite_status = 200

    def run(self, conversation):
        return play(conversation, self.answer, self.clock).result

    def answer(self, request):
        body = json.loads(request.body)
        if request.path.endswith("/getSessions"):
            items = [{"sessionId": session, "userId": self.owner} for session in sorted(self.listed[0])]
            return http(200, {"total": len(items), "moreAvailable": False, "sessions": items})
        if self.lite_status != 200:
            return error(self.lite_status, "Not Found")
        sessions = sorted(self.listed[2 if "channelUId" in body else 1])
        items = [
            {"_id": f"m-{session}", "type": "incoming", "createdBy": self.owner, "sessionId": session}
            for session in sessions
        ]
        return http(200, {"total": len(items), "moreAvailable": False, "messages": items})


def find(kore, user_id="ann@example.com", wanted=WANTED):
    return find_sessions(kore, user_id, wanted, time.time() + 60)


@given(st.tuples(ids, ids, ids), st.sampled_from(["ann@example.com", "491701234567", "u-1", CALLER]))
def test_each_session_is_found_once_whichever_call_shows_it(listed, user_id):
    asked = {"u-1": listed[:2], CALLER: listed[2:]}.get(user_id, listed)
    found = find(Kore(listed), user_id)
    assert len(set(found.sessions)) == len(found.sessions)
    expected = {RecordedSession(bot_id, session) for bot_id in WANTED.bot_ids for session in set().union(*asked)}
    assert set(found.sessions) == expected
    assert found.compared


@given(st.tuples(ids, ids, ids), st.sampled_from(["ann@example.com", "491701234567", "u-1", CALLER]))
def test_without_messages_lite_only_the_sessions_call_can_show_that_these_are_all(listed, user_id):
    kore = Kore(listed)
    kore.lite_status = 404
    if user_id == "u-1" or (user_id != CALLER and listed[0]):
        found = find(kore, user_id)
        assert {session.session_id for session in found.sessions} == listed[0]
        assert not found.compared
    else:
        with pytest.raises(KoreError) as caught:
            find(kore, user_id)
        assert "491701234567" not in str(caught.value)


@pytest.mark.parametrize("call", range(3))
def test_the_session_of_another_user_is_never_found(call):
    listed = [set(), set(), set()]
    listed[call] = {"s1"}
    with pytest.raises(KoreRecordingsError, match="ALARM") as caught:
        find(Kore(listed, owner="u-2"), "u-1", WANTED) if call < 2 else find_two_owners(listed)
    assert caught.value.consequence is Consequence.RECORDINGS_LEFT
    assert "Hand nothing out" not in str(caught.value)


def find_two_owners(listed):
    """Let the id in a channel name another user than the user id does."""

    class Two(Kore):
        def answer(self, request):
            self.owner = "u-2" if b"channelUId" in request.body else "u-1"
            return super().answer(request)

    return find(Two([{"s2"}, set(), listed[2]]), "491701234567")


@pytest.mark.parametrize("field", [{"sessionId": None}, {"sessionId": 7}, {"sessionId": " "}, {}])
def test_a_message_without_a_session_counts_as_no_comparison(field):
    class Nameless(Kore):
        def answer(self, request):
            if request.path.endswith("/getSessions"):
                return super().answer(request)
            message = {"_id": "m-1", "type": "incoming", "createdBy": "u-1"} | field
            return http(200, {"total": 1, "moreAvailable": False, "messages": [message]})

    found = find(Nameless([{"s1"}, set(), set()]))
    assert {session.session_id for session in found.sessions} == {"s1"}
    assert not found.compared
    for user_id in ("ann@example.com", "u-1", CALLER):
        with pytest.raises(KoreUnreadableAnswerError, match="name no session"):
            find(Nameless([set(), set(), set()]), user_id)


@pytest.mark.parametrize(
    ("user_id", "by_id", "by_channel"),
    [("u-1", True, False), ("ann@example.com", True, True), ("491701234567", True, True), (CALLER, False, True)],
)
@pytest.mark.parametrize("channel_types", [None, ("korevg", "rtm")])
def test_what_is_asked_follows_from_how_the_user_is_named(user_id, by_id, by_channel, channel_types):
    wanted = HistoryRange(WANTED.bot_ids, WANTED.since, WANTED.until, channel_types)
    queries = list(session_queries(user_id, wanted))
    lite = [query for query in queries if isinstance(query, LiteQuery)]
    assert len(queries) - len(lite) == (4 if by_id else 0)  # two weeks at each of two bots
    channels = len(channel_types or [None])
    assert [query.by_channel for query in lite] == [False] * 2 * channels * by_id + [True] * 2 * channels * by_channel


def test_when_the_time_is_over_nothing_more_is_asked():
    require_time(time.time() + 5)
    with pytest.raises(KoreRecordingsError, match="time of the task is over"):
        require_time(time.time())
    kore = Kore([set(), set(), set()])
    kore.answer = None
    with pytest.raises(KoreRecordingsError, match="time of the task is over"):
        find_sessions(kore, "u-1", WANTED, time.time() - 1)
