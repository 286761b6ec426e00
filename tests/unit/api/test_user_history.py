"""One person's data: each item once, however Kore.ai counts the ends of a window, and nobody else's."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing_kore import Clock, error, http, pacing, play

from airflow_provider_kore.api.history import HistoryKind
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.user_history import HistoryItem, UserHistory
from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreExportError,
    KorePermissionError,
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


def within(moment, day_from, day_to):
    return day_from <= moment.date().isoformat() <= day_to


class Kore:
    """Answers the history calls from lists of items, newest first, in pages of any size."""

    def __init__(self, items=(), *, ends="inclusive", page=100, change=lambda answer: answer, lite=None, unlisted=()):
        self.items = list(items)
        self.ends, self.page, self.change, self.lite, self.unlisted = ends, page, change, lite, unlisted
        self.asked = []
        self.asked_lite = []

    def list_lite(self, request):
        bot_id, asked = request.path.split("/")[4], json.loads(request.body)
        self.asked_lite.append((bot_id, asked))
        if self.lite is not None:
            return self.lite
        found = [
            item
            for item in sorted(self.items, key=lambda item: item["at"], reverse=True)
            if item["kind"] is MESSAGES
            and item["bot"] == bot_id
            and within(item["at"], asked["dateFrom"], asked["dateTo"])
            and asked.get("channelType") in (None, item["channel"])
        ]
        end = asked["skip"] + min(asked["limit"], self.page)
        shown = [item["data"] for item in found[asked["skip"] : end]]
        return http(200, {"total": len(found), "moreAvailable": end < len(found), "messages": shown})

    def __call__(self, request):
        assert request.method == "POST"
        if request.path.endswith("/messages-lite"):
            return self.list_lite(request)
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
            and item["data"].get(kind.id_key) not in self.unlisted
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
        data = {"_id": f"ms-{number}", "type": "incoming", "createdBy": owner, "createdOn": at.isoformat()}
    return {"kind": kind, "at": at, "bot": bot, "channel": channel, "data": data | more}


def read(kore, *, user_id=PERSON, bot_ids=("st-1",), days=20.0, channel_types=None, history=None, clock=None, **budget):
    """All items of a person, and the history that counted them."""
    clock = clock or Clock()
    wanted = HistoryRange(bot_ids, SINCE, SINCE + timedelta(days=days), channel_types)
    history = history or UserHistory(user_id, wanted)
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


def test_messages_are_asked_for_in_the_listed_channels_only():
    kore = Kore([item(SESSIONS, 1, SINCE, channel="a channel of tomorrow")])
    read(kore, days=1, channel_types=("sms", "korevg"))
    assert {body["channelType"] for kind, _, body in kore.asked if kind is MESSAGES} == {"korevg", "sms"}
    by_user = [body["channelType"] for _, body in kore.asked_lite if "userId" in body]
    assert by_user == ["sms", "korevg"]


@pytest.mark.parametrize("channel", ["korevg", "a channel of tomorrow", "RTM", "ivr-Ünit 7", "u-ivr@inst"])
def test_messages_are_asked_for_by_whatever_channel_a_session_names(channel):
    kore = Kore([item(SESSIONS, 1, SINCE, channel=channel), item(MESSAGES, 2, SINCE, channel=channel)])
    written, _ = read(kore)
    assert len(written) == 2


def failed(kore, error_type=KoreExportError, **more):
    with pytest.raises(error_type) as caught:
        read(kore, **more)
    assert "Xq7ZwK9" not in f"{caught.value}{caught.value!r}"
    assert "u-1" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("channel", ["", " ", None, 7, ["rtm"], "rtm\x00", "a\nb", "null"])
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
        [item(MESSAGES, 1, SINCE, owner=" ")],
        [item(MESSAGES, 1, SINCE, owner=7)],
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


NO_AUTHOR = {"owner": None}
OWN_CHANNEL = {"channels": [{"type": "rtm"}, {"channelUId": PERSON}]}


@pytest.mark.parametrize(
    ("items", "is_own"),
    [
        pytest.param([ONE, item(MESSAGES, 2, SINCE, sessionId="s-1", **NO_AUTHOR)], True, id="a session of the user"),
        pytest.param(
            [ONE, item(MESSAGES, 2, SINCE, sessionId="s-1", type="outgoing", **NO_AUTHOR)], True, id="answered in it"
        ),
        pytest.param([item(MESSAGES, 2, SINCE, **NO_AUTHOR, **OWN_CHANNEL)], True, id="the user's id in the channel"),
        pytest.param(
            [
                item(MESSAGES, 2, SINCE, sessionId="s-7", type="outgoing", **NO_AUTHOR),
                item(MESSAGES, 3, SINCE - timedelta(0), sessionId="s-7", **NO_AUTHOR, **OWN_CHANNEL),
            ],
            True,
            id="a session in which the user wrote",
        ),
        pytest.param([ONE, item(MESSAGES, 2, SINCE, sessionId="s-9", **NO_AUTHOR)], False, id="another session"),
        pytest.param([ONE, item(MESSAGES, 2, SINCE, **NO_AUTHOR)], False, id="no session"),
        pytest.param(
            [ONE, item(MESSAGES, 2, SINCE, channels=[{"channelUId": "other"}], **NO_AUTHOR)], False, id="another id"
        ),
        pytest.param([ONE, item(MESSAGES, 2, SINCE, channels="?", **NO_AUTHOR)], False, id="channels of another form"),
    ],
)
@pytest.mark.parametrize("has_key", [True, False])
def test_a_message_without_an_author_is_judged_by_its_session_or_channel(items, is_own, has_key):
    if not has_key:
        items = [thing | {"data": {k: v for k, v in thing["data"].items() if v is not None}} for thing in items]
    kore = Kore(items)
    if is_own:
        assert len(read(kore)[0]) == len(items)
    else:
        problem = failed(kore)
        assert "ALARM" not in problem.problem
        assert "since be earlier" in problem.remedy


@given(st.permutations(range(6)))
@settings(max_examples=40)
def test_the_order_of_messages_does_not_decide_whose_they_are(order):
    said = {"type": "outgoing", "sessionId": "s-1"}
    messages = [
        {"owner": "u-bot", **said},
        {"owner": None, **said},
        {"owner": OWN_ID, "sessionId": "s-1"},
        {"owner": None, "sessionId": "s-1"},
        {"owner": OWN_ID, **said},
        {"owner": "u-agent", **said},
    ]
    kore = Kore([item(MESSAGES, number, SINCE, **messages[place]) for number, place in enumerate(order)])
    assert len(read(kore)[0]) == 6


PHONE = "491701234567"
PAIR = ChannelUserId("whatsapp", PHONE)
WROTE = {"owner": OWN_ID, "sessionId": "s-1", "chnl": "whatsapp", "channels": [{"channelUId": PHONE}]}


def test_a_channel_user_is_exported_by_the_id_in_the_channel_alone():
    kore = Kore([item(MESSAGES, number, SINCE + number * timedelta(days=4), **WROTE) for number in range(4)])
    written, history = read(kore, user_id=PAIR, days=10)
    assert [entry.data["_id"] for entry in written] == ["ms-2", "ms-1", "ms-0"]
    assert kore.asked == []
    ((bot_id, body),) = kore.asked_lite
    assert bot_id == "st-1"
    assert body == {
        "channelUId": [PHONE],
        "skip": 0,
        "limit": 1000,
        "dateFrom": "2026-08-01",
        "dateTo": "2026-08-12",
    }
    assert (history.own_id, history.channel_types, history.compared) == (OWN_ID, ["whatsapp"], True)


def test_a_channel_user_of_two_users_at_kore_fails():
    wrote = WROTE | {"owner": "u-2"}
    problem = failed(Kore([item(MESSAGES, 1, SINCE, **WROTE), item(MESSAGES, 2, SINCE, **wrote)]), user_id=PAIR)
    assert "ALARM" in problem.problem
    assert "several users" in problem.remedy


@pytest.mark.parametrize("reply", [error(400, "no"), error(404, "Not Found"), http(404, b"<html>"), error(403, "no")])
def test_without_messages_lite_a_channel_user_cannot_be_exported_and_others_are_not_compared(reply):
    with pytest.raises((KoreRequestError, KorePermissionError)):
        read(Kore([MESSAGE], lite=reply), user_id=PAIR)
    written, history = read(Kore([ONE, MESSAGE], lite=reply))
    assert (len(written), history.compared) == (2, False)


def test_for_all_bots_nothing_is_compared():
    kore = Kore([ONE, MESSAGE])
    assert read(kore, bot_ids=(None,))[1].compared is False
    assert kore.asked_lite == []


def test_a_text_that_may_be_an_id_in_a_channel_is_exported_by_it_too():
    messages = [item(MESSAGES, number, SINCE, channel="korevg", **WROTE) for number in range(3)]
    kore = Kore(messages, unlisted={"ms-0", "ms-1", "ms-2"})  # by the user id nothing is known
    list_all = kore.list_lite
    kore.list_lite = lambda request: list_all(request) if b"channelUId" in request.body else http(200, NOTHING)
    written, history = read(kore, user_id=PHONE)
    assert len(written) == 3
    assert history.compared


NOTHING = {"total": 0, "moreAvailable": False, "messages": []}


@pytest.mark.parametrize("left_out", [{"ms-1"}, {"ms-1", "ms-2"}])
def test_messages_that_only_messages_lite_lists_make_an_export_not_whole(left_out):
    kore = Kore([item(MESSAGES, number, SINCE) for number in range(4)], unlisted=left_out)
    assert f"messages-lite lists {len(left_out)} that" in failed(kore).problem


def test_a_channel_that_no_session_names_is_found_by_messages_lite():
    kore = Kore([ONE, item(MESSAGES, 1, SINCE, channel="korevg")])
    assert "channel_types" in failed(kore).remedy
    assert len(read(kore, channel_types=("rtm", "korevg"))[0]) == 2


def test_what_only_the_full_calls_list_is_exported_and_told(caplog):
    kore = Kore([MESSAGE], lite=http(200, NOTHING))
    written, history = read(kore)
    assert (len(written), history.compared) == (1, True)
    assert "messages-lite lists 0 messages at bot st-1, and the full calls 1" in caplog.text


@pytest.mark.parametrize("seconds", [-86400, -1, 86400, 2 * 86400])
def test_what_lies_outside_the_period_is_neither_compared_nor_exported(seconds):
    at = SINCE + timedelta(days=20 if seconds > 0 else 0, seconds=seconds)
    kore = Kore([MESSAGE, item(MESSAGES, 9, at, **WROTE)])
    assert [entry.data["_id"] for entry in read(kore)[0]] == ["ms-1"]
    assert [entry.data["_id"] for entry in read(kore, user_id=PAIR)[0]] == ["ms-1"]


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
    history = UserHistory(PERSON, HistoryRange(("st-1",), SINCE, SINCE + timedelta(days=1), None))
    kore = Kore([item(SESSIONS, number, SINCE) for number in range(5)], page=2)
    with pytest.raises(KoreThrottledError):
        play(history.ask(next(history.queries()), pacing(clock, per_minute=1), [].append, clock.now + 30), kore, clock)
    assert len(kore.asked) == 1


@given(st.lists(things, max_size=30), st.integers(0, 40))
@settings(max_examples=50)
def test_what_was_written_before_is_taken_up_with_all_that_was_known(described, done):
    items = [item(kind, number, at, bot, channel) for number, (kind, at, bot, channel) in enumerate(described)]
    kore = Kore(items)
    whole, counted = read(kore, bot_ids=("st-1", "st-2"), channel_types=("rtm", "sms"))
    clock = Clock()
    wanted = HistoryRange(("st-1", "st-2"), SINCE, SINCE + timedelta(days=20), ("rtm", "sms"))
    begun, written = UserHistory(PERSON, wanted), []
    for number, query in enumerate(begun.queries()):
        if number < done:
            play(begun.ask(query, pacing(clock), written.append), kore, clock)
    resumed = UserHistory(PERSON, wanted)
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
