"""What Kore.ai has of a person: how it is asked for, and what is understood of an answer."""

import itertools
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.history import (
    LITE_PAGE,
    LONGEST_WINDOW,
    PAGE,
    HistoryKind,
    HistoryQuery,
    LiteQuery,
    read_page,
    windows,
)
from airflow_provider_kore.exceptions import Consequence, KoreUnreadableAnswerError

PERSON = "Xq7ZwK9@example.com"
SINCE = datetime(2026, 9, 1, 12, tzinfo=UTC)
SESSIONS, MESSAGES = HistoryKind.SESSIONS, HistoryKind.MESSAGES


def query(kind=SESSIONS, bot_id="st-1", channel_type=None, since=SINCE, until=SINCE + timedelta(days=1)):
    return HistoryQuery(kind, PERSON, bot_id, since, until, channel_type)


@pytest.mark.parametrize(
    ("kind", "bot_id", "path"),
    [
        (SESSIONS, "st-1", "/api/public/bot/st-1/getSessions"),
        (SESSIONS, None, "/api/public/getSessions"),
        (MESSAGES, "st-1", "/api/public/bot/st-1/getMessages"),
        (MESSAGES, None, "/api/public/getMessages"),
        (MESSAGES, "../../x?y#z", "/api/public/bot/..%2F..%2Fx%3Fy%23z/getMessages"),
    ],
)
def test_the_path_names_the_bot_or_none(kind, bot_id, path):
    assert query(kind, bot_id).path == path


def test_the_body_has_the_documented_keys():
    since = datetime(2019, 4, 1, 15, 25, 58, 515000, tzinfo=timezone(timedelta(hours=2)))
    asked = query(since=since, until=since + timedelta(days=1))
    assert json.loads(asked.body(200)) == {
        "userId": PERSON,
        "skip": 200,
        "limit": 100,
        "dateFrom": "2019-04-01T13:25:58.515Z",
        "dateTo": "2019-04-02T13:25:58.515Z",
    }
    assert json.loads(query(MESSAGES, channel_type="sms").body(0))["channelType"] == "sms"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.timedeltas(timedelta(0), LONGEST_WINDOW))
def test_what_is_asked_for_covers_the_window_to_the_millisecond_and_less_than_seven_days(since, length):
    since = since.replace(tzinfo=UTC)
    body = json.loads(query(since=since, until=since + length).body(0))
    begin, end = (datetime.fromisoformat(body[key]) for key in ("dateFrom", "dateTo"))
    millisecond = timedelta(milliseconds=1)
    assert since - millisecond < begin <= since
    assert since + length <= end < since + length + millisecond
    assert end - begin < timedelta(days=7)


def test_no_query_and_no_page_shows_the_person():
    page = read_page(answer([{"sessionId": PERSON}]), query())
    assert "Xq7ZwK9" not in f"{query()!r}{page!r}"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.timedeltas(timedelta(0), timedelta(days=2000)))
def test_windows_cover_the_span_share_their_edges_and_are_under_seven_days(since, length):
    since = since.replace(tzinfo=UTC)
    edges = list(windows(since, since + length))
    assert bool(edges) is bool(length)
    if edges:
        assert (edges[0][0], edges[-1][1]) == (since, since + length)
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(edges))
    assert all(timedelta(0) < until - begin < timedelta(days=7) for begin, until in edges)
    assert len(edges) <= length / LONGEST_WINDOW + 1


def answer(items, total=None, more_available=False, key="sessions", **more):
    return {"total": len(items) if total is None else total, "moreAvailable": more_available, key: items, **more}


@pytest.mark.parametrize(("kind", "id_key"), [(SESSIONS, "sessionId"), (MESSAGES, "_id")])
def test_a_page_is_read_as_it_is(kind, id_key):
    items = [{id_key: "s-1", "anything": [1, {"deep": None}]}, {id_key: "s-2"}]
    page = read_page(answer(items, 7, more_available=True, key=kind.value, more=1), query(kind))
    assert (page.total, page.more_available, page.items) == (7, True, tuple(items))
    assert kind.id_key == id_key


GOOD = {"sessionId": "s-1"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "no",
        7,
        {},
        {"moreAvailable": False, "sessions": []},
        {"total": 0, "sessions": []},
        {"total": 0, "moreAvailable": False},
        answer([GOOD], True),
        answer([], False),
        answer([], "0"),
        answer([], 0.0),
        answer([], -1),
        answer([GOOD], 0),
        answer([], more_available=None),
        answer([], more_available="false"),
        answer([], more_available=0),
        {"total": 0, "moreAvailable": False, "sessions": {}},
        {"total": 0, "moreAvailable": False, "sessions": None},
        {"total": 0, "moreAvailable": False, "messages": []},
        answer([GOOD, "s-2"]),
        answer([GOOD, None]),
        answer([{}]),
        answer([{"_id": "s-1"}]),
        answer([{"sessionId": None}]),
        answer([{"sessionId": 1}]),
        answer([{"sessionId": " "}]),
        answer([], errors=[{"msg": PERSON}]),
        answer([], error=PERSON),
    ],
)
def test_what_is_not_understood_is_no_page(document):
    with pytest.raises(KoreUnreadableAnswerError) as caught:
        read_page(document, query())
    assert caught.value.consequence is Consequence.ONLY_READ
    assert Call.SESSIONS.value in caught.value.problem
    assert "Xq7ZwK9" not in str(caught.value)


def lite(**changes):
    return LiteQuery(
        **{"user_id": PERSON, "bot_id": "st-1", "since": SINCE, "until": SINCE + timedelta(days=400)} | changes
    )


def test_messages_lite_is_asked_for_days_and_for_long_pages():
    assert lite().path == "/api/public/bot/st-1/messages-lite"
    assert lite(bot_id="../x").path == "/api/public/bot/..%2Fx/messages-lite"
    days = {"skip": 20, "limit": 1000, "dateFrom": "2026-09-01", "dateTo": "2027-10-07"}
    assert json.loads(lite().body(20)) == {"userId": PERSON, **days}
    assert json.loads(lite(by_channel=True).body(20)) == {"channelUId": [PERSON], **days}
    by_both = lite(by_channel=True, channel_type="sms")
    assert json.loads(by_both.body(20)) == {"channelUId": PERSON, "channelType": "sms", **days}
    assert json.loads(lite(channel_type="korevg").body(20)) == {"userId": PERSON, "channelType": "korevg", **days}
    assert lite().call is Call.MESSAGES_LITE
    assert "Xq7ZwK9" not in repr(lite())


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.timedeltas(timedelta(0), timedelta(days=3000)),
    st.integers(-14, 14),
)
def test_the_days_cover_the_span_whether_the_last_one_belongs_to_it_or_not(since, length, hours):
    since = since.replace(tzinfo=timezone(timedelta(hours=hours)))
    body = json.loads(lite(since=since, until=since + length).body(0))
    begin, end = (datetime.fromisoformat(body[key]).replace(tzinfo=UTC) for key in ("dateFrom", "dateTo"))
    assert since - timedelta(days=1) < begin <= since
    assert since + length < end <= since + length + timedelta(days=1)


@pytest.mark.parametrize(
    ("created", "covered"),
    [
        ("2026-09-01T11:59:59.999Z", False),
        ("2026-09-01T12:00:00.000Z", True),
        ("2026-09-01T14:00:00.000+02:00", True),
        ("2027-10-06T12:00:00.000Z", True),
        ("2027-10-06T12:00:00.001Z", False),
        ("2026-09-01", True),
        ("yesterday", True),
        (None, True),
        (7, True),
    ],
)
def test_a_message_is_in_the_span_unless_its_time_says_otherwise(created, covered):
    assert lite().covers({"createdOn": created}) is covered


def test_the_sizes_of_pages():
    assert (PAGE, LITE_PAGE) == (100, 1000)
