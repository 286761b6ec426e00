"""One person's data: each item once, however Kore.ai counts the ends of a window, and nobody else's."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing_kore import Clock, error, http, pacing, play

from airflow_provider_kore.api.history import HistoryKind
from airflow_provider_kore.api.person_history import HistoryItem, HistoryRange, PersonHistory
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreExportError,
    KoreRequestError,
    KoreThrottledError,
    KoreUnreadableAnswerError,
)

PERSON = "Xq7ZwK9@example.com"
OWN_ID = "u-1"
SINCE = datetime(2026, 8, 1, tzinfo=UTC)
SESSIONS, MESSAGES = HistoryKind.SESSIONS, HistoryKind.MESSAGES


def moment(text):
    return datetime.fromisoformat(text)


class Kore:
    """Answers the history calls from lists of items, newest first, in pages of any size."""

    def __init__(self, items=(), *, ends="inclusive", page=100, change=lambda answer: answer):
        self.items = list(items)
        self.ends, self.page, self.change = ends, page, change
        self.asked = []

    def __call__(self, request):
        assert request.method == "POST"
        *place, name = request.path.removeprefix("/api/public/").split("/")
        kind, bot_id = {"getSessions": SESSIONS, "getMessages": MESSAGES}[name], place[1] if place else None
        asked = json.loads(request.body)
        since, until = moment(asked["dateFrom"]), moment(asked["dateTo"])
        assert timedelta(0) < until - since < timedelta(days=7)
        self.asked.append((kind, bot_id, asked))
        found = [
            item
            for item in sorted(self.items, key=lambda item: item["at"], reverse=True)
            if item["kind"] is kind
            and bot_id in (None, item["bot"])
            and since <= item["at"] <= until
            and (self.ends == "inclusive" or item["at"] < until)
            and (kind is SESSIONS or item["channel"] == asked.get("channelType", "rtm"))
        ]
        end = asked["skip"] + min(asked["limit"], self.page)
        shown = [item["data"] for item in found[asked["skip"] : end]]
        return http(200, self.change({"total": len(found), "moreAvailable": end < len(found), kind.value: shown}))


def item(kind, number, at, bot="st-1", channel="rtm", owner=OWN_ID, **more):
    if kind is SESSIONS:
        data = {"sessionId": f"s-{number}", "userId": owner, "channel": channel}
    else:
        data = {"_id": f"ms-{number}", "type": "incoming", "createdBy": owner}
    return {"kind": kind, "at": at, "bot": bot, "channel": channel, "data": data | more}


def read(kore, *, user_id=PERSON, bot_ids=("st-1",), days=20.0, channel_types=None, history=None, clock=None, **budget):
    """All items of a person, and the history that counted them."""
    clock = clock or Clock()
    wanted = HistoryRange(bot_ids, SINCE, SINCE + timedelta(days=days), channel_types)
    history = history or PersonHistory(user_id, wanted)
    share = pacing(clock, **budget)
    written = []
    for query in history.queries():
        play(history.ask(query, share, written.append), kore, clock)
    return written, history


hours = st.integers(0, 24 * 20 - 1)
things = st.builds(
    lambda kind, hour, bot, channel: (kind, SINCE + timedelta(hours=hour), bot, channel),
    st.sampled_from(HistoryKind),
    hours,
    st.sampled_from(["st-1", "st-2"]),
    st.sampled_from(["rtm", "sms"]),
)


@given(
    st.lists(things, max_size=60),
    st.sampled_from(["inclusive", "exclusive"]),
    st.integers(1, 7),
    st.sampled_from([("st-1",), ("st-1", "st-2"), (None,)]),
)
@settings(max_examples=150)
def test_each_item_of_the_asked_bots_comes_once_whether_windows_have_their_ends_or_not(described, ends, page, bot_ids):
    items = [item(kind, number, at, bot, channel) for number, (kind, at, bot, channel) in enumerate(described)]
    # Edges of windows are where an item could come twice, or not at all.
    items += [
        item(SESSIONS, f"edge-{kind}-{number}", SINCE + number * timedelta(days=6, hours=23))
        for number in (0, 1, 2)
        for kind in ("a", "b")
    ]
    written, history = read(Kore(items, ends=ends, page=page), bot_ids=bot_ids, channel_types=("rtm", "sms"))
    expected = [thing["data"] for thing in items if None in bot_ids or thing["bot"] in bot_ids]
    shown = [entry.data for entry in written]
    key = lambda data: data.get("sessionId") or data["_id"]  # noqa: E731
    assert sorted(shown, key=key) == sorted(expected, key=key)
    assert sum(history.counts.values()) == len(expected)
    for entry in written:
        assert entry.bot_id in bot_ids


def test_sessions_are_asked_for_before_messages_and_every_query_in_the_same_order():
    kore = Kore()
    read(kore, bot_ids=("st-2", "st-1"), days=14)
    asked = [(kind, bot_id, body["dateFrom"], body.get("channelType")) for kind, bot_id, body in kore.asked]
    assert [entry[:2] for entry in asked] == [
        (kind, bot_id) for kind in HistoryKind for bot_id in ("st-2", "st-1") for _ in range(3)
    ]
    assert {entry[3] for entry in asked if entry[0] is MESSAGES} == {"rtm"}
    again = Kore()
    read(again, bot_ids=("st-2", "st-1"), days=14)
    assert again.asked == kore.asked


def test_messages_are_asked_for_in_every_channel_that_sessions_of_any_bot_name():
    kore = Kore([item(SESSIONS, 1, SINCE, channel="sms"), item(SESSIONS, 2, SINCE, bot="st-2", channel="email")])
    _, history = read(kore, bot_ids=("st-1", "st-2"), days=1)
    channels = [(bot_id, body["channelType"]) for kind, bot_id, body in kore.asked if kind is MESSAGES]
    assert channels == [(bot_id, channel) for bot_id in ("st-1", "st-2") for channel in ("email", "rtm", "sms")]
    assert history.channel_types == ["email", "rtm", "sms"]


def test_messages_are_asked_for_in_the_given_channels_only():
    kore = Kore([item(SESSIONS, 1, SINCE, channel="a channel of tomorrow")])
    read(kore, days=1, channel_types=("sms",))
    assert [body["channelType"] for kind, _, body in kore.asked if kind is MESSAGES] == ["sms"]


def failed(kore, error_type=KoreExportError, **more):
    with pytest.raises(error_type) as caught:
        read(kore, **more)
    assert "Xq7ZwK9" not in f"{caught.value}{caught.value!r}"
    assert "u-1" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("channel", ["a channel of tomorrow", "RTM", "", None, 7])
def test_a_channel_that_cannot_be_asked_for_fails_rather_than_leave_messages_out(channel):
    assert "channel_types" in failed(Kore([item(SESSIONS, 1, SINCE, channel=channel)])).remedy


ONE = item(SESSIONS, 1, SINCE)
MESSAGE = item(MESSAGES, 1, SINCE)


@pytest.mark.parametrize(
    "items",
    [
        [ONE, item(SESSIONS, 2, SINCE, owner="u-2")],
        [ONE, item(MESSAGES, 2, SINCE, owner="u-2")],
        [MESSAGE, item(MESSAGES, 2, SINCE, owner="u-2")],
        [item(SESSIONS, 1, SINCE, owner=None)],
        [item(SESSIONS, 1, SINCE, owner=" ")],
        [item(SESSIONS, 1, SINCE, owner=7)],
        [item(MESSAGES, 1, SINCE, owner=None)],
        [ONE, item(MESSAGES, 2, SINCE, owner="u-2", type="something new")],
        [ONE, item(MESSAGES, 2, SINCE, owner="u-2", type=None)],
    ],
)
def test_what_is_or_may_be_somebody_elses_fails(items):
    problem = failed(Kore(items))
    assert "ALARM" in problem.problem
    assert problem.consequence is Consequence.NOTHING_ERASED


@pytest.mark.parametrize(("user_id", "fails"), [("u-1", False), ("u-2", True)])
def test_who_is_asked_for_by_kores_own_id_must_be_answered_by_it(user_id, fails):
    for thing in (ONE, MESSAGE):
        if fails:
            failed(Kore([thing]), user_id=user_id)
        else:
            assert len(read(Kore([thing]), user_id=user_id)[0]) == 1


def test_what_the_bot_says_in_a_session_of_the_person_may_be_in_its_own_name():
    said = {"owner": "u-bot", "type": "outgoing"}
    assert len(read(Kore([ONE, item(MESSAGES, 2, SINCE, sessionId="s-1", **said)]))[0]) == 2
    for elsewhere in ({"sessionId": "s-9"}, {}):
        assert "another user" in failed(Kore([ONE, item(MESSAGES, 2, SINCE, **said, **elsewhere)])).problem


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: answer | {"total": answer["total"] + 1},
        lambda answer: answer | {"moreAvailable": False},
        lambda answer: answer | {"moreAvailable": True},
        lambda answer: answer | {"total": 9 if answer["moreAvailable"] else 5},
    ],
    ids=["a wrong total", "a page is kept back", "pages without end", "a total that changes"],
)
def test_pages_that_do_not_add_up_fail(change):
    kore = Kore([item(SESSIONS, number, SINCE) for number in range(5)], page=2, change=change)
    assert "not all" in failed(kore).problem
    assert len(kore.asked) < 6


def test_pages_that_shift_while_they_are_read_fail():
    items = [item(SESSIONS, number, SINCE + timedelta(hours=number)) for number in range(6)]
    kore = Kore(items, page=3)

    def shift(answer):
        kore.items.append(item(SESSIONS, "new", SINCE + timedelta(days=1)))
        kore.change = lambda answer: answer
        return answer

    kore.change = shift
    failed(kore)


def test_what_kore_refuses_or_says_in_another_form_comes_through():
    failed(lambda _: error(400, f"Invalid userId {PERSON}"), KoreRequestError)
    failed(lambda _: http(200, {"total": 0}), KoreUnreadableAnswerError)


def test_a_page_that_gets_no_turn_in_time_is_given_up():
    clock = Clock()
    history = PersonHistory(PERSON, HistoryRange(("st-1",), SINCE, SINCE + timedelta(days=1), None))
    kore = Kore([item(SESSIONS, number, SINCE) for number in range(5)], page=2)
    with pytest.raises(KoreThrottledError):
        play(history.ask(next(history.queries()), pacing(clock, per_minute=1), [].append, clock.now + 30), kore, clock)
    assert len(kore.asked) == 1


@given(st.lists(things, max_size=30), st.integers(0, 100))
@settings(max_examples=50)
def test_what_was_written_before_is_taken_up_with_all_that_was_known(described, done):
    items = [item(kind, number, at, bot, channel) for number, (kind, at, bot, channel) in enumerate(described)]
    kore = Kore(items)
    whole, counted = read(kore, bot_ids=("st-1", "st-2"))
    clock = Clock()
    wanted = HistoryRange(("st-1", "st-2"), SINCE, SINCE + timedelta(days=20), None)
    begun, written = PersonHistory(PERSON, wanted), []
    for number, query in enumerate(begun.queries()):
        if number < done:
            play(begun.ask(query, pacing(clock), written.append), kore, clock)
    resumed = PersonHistory(PERSON, wanted)
    for entry in written:
        assert resumed.add(HistoryItem(entry.kind, entry.bot_id, json.loads(json.dumps(entry.data))))
    for number, query in enumerate(resumed.queries()):
        if number >= done:
            play(resumed.ask(query, pacing(clock), written.append), kore, clock)
    assert written == whole
    assert (resumed.counts, resumed.channel_types) == (counted.counts, counted.channel_types)


def test_no_item_shows_what_it_holds():
    (shown,) = read(Kore([item(SESSIONS, 1, SINCE, text=PERSON)]))[0]
    assert "Xq7ZwK9" not in repr(shown)
