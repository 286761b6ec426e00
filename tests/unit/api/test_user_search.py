"""What is asked about a user after the erasure: few calls, and never less than what proves that nothing is left."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.history import HistoryKind, HistoryQuery, LiteQuery
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.user_search import CHANNEL, LITE, SPAN, UserSearch
from airflow_provider_kore.api.users import ChannelUserId

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
PAIR = ChannelUserId("whatsapp", "491701234567")
BOTS = ("st-1", "st-2")


def wanted(days=365, bot_ids=BOTS, channel_types=("rtm",)):
    return HistoryRange(bot_ids, SINCE, SINCE + timedelta(days=days), channel_types)


def shape(query):
    if isinstance(query, LiteQuery):
        return ("channel" if query.by_channel else "lite", query.bot_id, query.channel_type)
    return (query.kind.value, query.bot_id, query.channel_type)


def asked(user_id, refused=(), **range_):
    return [shape(query) for query in UserSearch(user_id, wanted(**range_), refused).queries()]


@pytest.mark.parametrize("days", [1, 365, 7 * 365])
def test_a_few_calls_are_enough_for_any_period(days):
    assert asked("u-1", days=days) == [
        ("lite", "st-1", None),
        ("lite", "st-2", None),
        ("sessions", "st-1", None),
        ("sessions", "st-2", None),
    ]
    by_channel = [("channel", "st-1", None), ("channel", "st-2", None)]
    for user_id in ("ann@example.com", "491701234567", "emp-7"):
        assert asked(user_id, days=days) == asked("u-1", days=days)[:2] + by_channel + asked("u-1", days=days)[2:]
    assert asked(PAIR, days=days) == by_channel


def test_each_channel_is_also_asked_for_by_its_name():
    channels = [kind[2] for kind in asked("u-1", channel_types=("rtm", "korevg", "sms"), bot_ids=("st-1",))]
    assert channels == [None, "korevg", "sms", None]


def test_for_all_bots_there_are_only_the_full_calls():
    assert asked("u-1", bot_ids=(None,), days=10) == [("messages", None, "rtm")] * 2 + [("sessions", None, None)]
    assert not UserSearch(PAIR, wanted(bot_ids=(None,))).is_possible
    assert UserSearch(PAIR, wanted()).is_possible


@pytest.mark.parametrize(
    ("user_id", "refusals", "expected"),
    [
        ("u-1", {"lite"}, {"messages", "sessions"}),
        ("ann@example.com", {"lite"}, {"messages", "channel", "sessions"}),
        ("ann@example.com", {"channel"}, {"lite", "sessions"}),
        ("ann@example.com", {"lite", "channel"}, {"messages", "sessions"}),
        ("u-1", {"long sessions"}, {"lite", "sessions"}),
        ("u-1", {"lite", "messages"}, None),
        ("u-1", {"long sessions", "sessions"}, None),
        (PAIR, {"channel"}, None),
        (PAIR, {"lite", "messages", "sessions", "long sessions"}, {"channel"}),
    ],
)
def test_what_is_refused_is_asked_in_another_way_or_nothing_is_told(user_id, refusals, expected):
    search, calls, done = UserSearch(user_id, wanted()), 0, set()
    for _ in range(1000):
        queries = list(search.queries())
        if calls == len(queries):
            break
        query = queries[calls]
        kind = shape(query)[0]
        long = isinstance(query, HistoryQuery) and query.until - query.since > timedelta(days=7)
        if (f"long {kind}" if long else kind) not in refusals:
            done.add(kind)
            calls += 1
        elif (instead := search.replace(query)) is None:
            assert expected is None
            return
        else:
            calls = instead
    assert done == expected
    assert calls == len(list(search.queries()))


users = st.sampled_from(["u-1", "ann@example.com", "491701234567"])


@given(users, st.sets(st.sampled_from([LITE, CHANNEL, SPAN])), st.integers(1, 900), st.sets(st.sampled_from("abc")))
def test_messages_and_sessions_of_each_bot_and_the_whole_period_are_asked_for(user_id, refused, days, channels):
    channel_types = ("rtm", *sorted(channels))
    queries = list(UserSearch(user_id, wanted(days, channel_types=channel_types), refused).queries())
    until = SINCE + timedelta(days=days)
    for bot_id in BOTS:
        of_bot = [query for query in queries if query.bot_id == bot_id]
        sessions = [query for query in of_bot if query.kind is HistoryKind.SESSIONS]
        assert covers(sessions, until)
        for channel_type in channel_types:
            of_channel = [
                query
                for query in of_bot
                if query.kind is HistoryKind.MESSAGES
                and (query.channel_type or "rtm") == channel_type
                and not (isinstance(query, LiteQuery) and query.by_channel)
            ]
            assert covers(of_channel, until)
        assert any(getattr(query, "by_channel", False) for query in of_bot) == (
            CHANNEL not in refused and user_id != "u-1"
        )


def covers(queries, until):
    edge = SINCE
    for query in queries:
        assert query.since == edge
        edge = query.until
    return edge == until
