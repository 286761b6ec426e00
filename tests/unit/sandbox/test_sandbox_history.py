"""What Kore holds about people, and what erasures take away."""

import json
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.sandbox.conversations import User, sessions_of
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.users import resolved_id

KINDS = ["sessions", "messages"]
ITEM_ID = {"sessions": "sessionId", "messages": "_id"}
TIME = {"sessions": "start_time", "messages": "createdOn"}
UNLIMITED = {"requests_per_minute": 0, "requests_per_hour": 0}
ANN, BOB = "ann@example.com", "u-2"


def erase(caller, *user_ids, bots=None):
    body = {"userIds": list(user_ids), "RemoveDataFromAllBots": bots is None}
    return caller.accept(body if bots is None else body | {"botIds": bots})


def ids(items):
    return sorted(item.get("sessionId") if "start_time" in item else item["_id"] for item in items)


def test_everybody_has_sessions_and_messages(caller):
    caller = caller()
    sessions, messages = caller.history_of("sessions", ANN), caller.history_of("messages", ANN)
    assert len(sessions) == 2
    assert len(messages) == 6
    assert {session["userId"] for session in sessions} == {resolved_id(ANN)}
    assert {message["createdBy"] for message in messages} == {resolved_id(ANN)}
    assert {message["sessionId"] for message in messages} == {session["sessionId"] for session in sessions}
    assert {item["botId"] for item in sessions + messages} == {"st-1"}
    assert {session["channel"] for session in sessions} == {"rtm"}
    assert {(channel["type"], channel["channelUId"]) for message in messages for channel in message["channels"]} == {
        ("rtm", ANN)
    }
    assert [message["type"] for message in messages].count("incoming") == 4


def test_each_message_and_each_session_tells_whose_it_is(caller):
    caller = caller()
    texts = [message["components"][0]["data"]["text"] for message in caller.history_of("messages", ANN)]
    assert f"Hello, this is {ANN}" in texts
    assert all(ANN in text for text in texts)
    assert all(ANN in json.dumps(session) for session in caller.history_of("sessions", ANN))


def test_a_session_counts_and_spans_its_messages(caller):
    caller = caller()
    messages = caller.history_of("messages", ANN)
    for session in caller.history_of("sessions", ANN):
        times = sorted(item["createdOn"] for item in messages if item["sessionId"] == session["sessionId"])
        assert session["noOfMessagesExchanged"] == len(times) == 3
        assert (session["start_time"], session["end_time"]) == (times[0], times[-1])


@given(
    sessions=st.integers(0, 40),
    messages=st.integers(0, 10),
    days=st.floats(0.001, 0.05) | st.floats(0.05, 400),
    name=st.text(min_size=1),
    seed=st.integers(),
)
def test_all_happened_in_the_days_before_the_start(sessions, messages, days, name, seed):
    settings = Settings(sessions_per_user=sessions, messages_per_session=messages, history_days=days, seed=seed)
    end = datetime.fromisoformat("2027-01-15T08:00:00Z")
    user = User(resolved_id(name), name, frozenset({name}))
    made = sessions_of(user, "st-1", end, settings)
    items = [session.item() for session in made] + [
        message for session in made for message in session.messages(settings)
    ]
    oldest = end - timedelta(days=days, milliseconds=1)
    assert all(oldest <= item.time < end for item in items)
    assert len({item.item_id for item in items}) == sessions + sessions * messages
    assert [session.started for session in made] == sorted(session.started for session in made)


def test_history_does_not_follow_from_the_order_of_calls(caller):
    one, other = caller(), caller()
    first = [one.history_of(kind, user) for kind in KINDS for user in (ANN, BOB)]
    erase(other, "u-9")
    other.now += 60
    again = [other.history_of(kind, user) for user in (BOB, ANN) for kind in KINDS]
    assert ids(first[0]) == ids(again[2])
    assert ids(first[3]) == ids(again[1])


def test_another_user_bot_or_seed_has_other_items(caller):
    caller = caller()
    items = [caller.history_of("sessions", user, bot) for user in (ANN, BOB) for bot in ("st-1", "st-2")]
    caller.account.configure({"seed": 1})
    items.append(caller.history_of("sessions", ANN))
    assert len({item_id for found in items for item_id in ids(found)}) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_resolved_id_means_the_same_person_once_the_name_was_seen(caller, kind):
    one = caller()
    assert one.history_of(kind, ANN) == one.history_of(kind, resolved_id(ANN))
    by_erasure = caller(duration=60)
    erase(by_erasure, ANN)
    assert ANN in json.dumps(by_erasure.history_of(kind, resolved_id(ANN)))
    unheard_of = caller()
    assert ANN not in json.dumps(unheard_of.history_of(kind, resolved_id(ANN)))
    assert resolved_id(ANN) in json.dumps(unheard_of.history_of(kind, resolved_id(ANN)))


def test_half_a_surrogate_pair_resolves_to_an_id():
    assert resolved_id("\ud800").startswith("u-")
    assert resolved_id("\ud800") != resolved_id("\ud801")


@pytest.mark.parametrize("kind", KINDS)
def test_without_dates_the_last_seven_days_are_meant(caller, content, kind):
    caller = caller(history_days=14, sessions_per_user=14, messages_per_session=1)
    answer = content(caller.history(kind, {"userId": ANN}))
    assert answer["total"] == 7
    caller.now += 3 * 86_400
    assert content(caller.history(kind, {"userId": ANN}))["total"] == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_without_a_bot_is_about_the_bots_of_the_account(caller, kind):
    assert {item["botId"] for item in caller().history_of(kind, ANN, None)} == {"st-1"}
    assert {item["botId"] for item in caller(bots=("st-3", "st-4")).history_of(kind, ANN, None)} == {"st-3", "st-4"}


@pytest.mark.parametrize("kind", KINDS)
def test_data_can_be_at_some_bots_only(caller, kind):
    caller = caller(bots=("st-1", "st-2", "st-3"), history_bots=("st-2", "st-3"))
    assert caller.history_of(kind, ANN, "st-1") == []
    assert {item["botId"] for item in caller.history_of(kind, ANN, None)} == {"st-2", "st-3"}


def test_messages_are_found_by_channel_and_sessions_on_every_channel(caller):
    caller = caller(history_channels=("rtm", "email"), sessions_per_user=3)
    sessions = caller.history_of("sessions", ANN)
    assert sorted(session["channel"] for session in sessions) == ["email", "rtm", "rtm"]
    assert len(caller.history_of("messages", ANN)) == 6
    assert len(caller.history_of("messages", ANN, channelType="rtm")) == 6
    assert {item["channels"][0]["type"] for item in caller.history_of("messages", ANN, channelType="email")} == {
        "email"
    }
    assert caller.history_of("messages", ANN, channelType="sms") == []


def test_the_amount_of_data_can_be_set(caller):
    caller = caller(sessions_per_user=5, messages_per_session=7)
    assert len(caller.history_of("sessions", ANN)) == 5
    assert len(caller.history_of("messages", ANN)) == 35
    caller.account.configure({"messages_per_session": 0})
    assert caller.history_of("messages", ANN) == []
    assert len(caller.history_of("sessions", ANN)) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_user_has_nothing(caller, kind):
    caller = caller(unknown_users=(ANN, "*@nowhere.example"))
    assert caller.history_of(kind, ANN) == caller.history_of(kind, "bob@nowhere.example") == []
    assert caller.history_of(kind, resolved_id(ANN)) == []
    assert caller.history_of(kind, BOB)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_user_everybody_heard_of_is_meant(caller, kind):
    caller = caller(duration=60, sessions_per_user=1, unknown_users=("nobody",))
    week = {"dateFrom": "2026-12-16T08:00:00.000Z", "dateTo": "2026-12-22T08:00:00.000Z"}

    def found():
        items = [json.loads(caller.history(kind, body).body)[kind] for body in ({}, week)]
        return {item.get("userId") or item["createdBy"] for part in items for item in part}

    caller.account.configure({"history_days": 7})
    assert found() == set()
    erase(caller, ANN, BOB, "nobody")
    caller.history(kind, {"userId": "u-3"})
    assert found() == {resolved_id(ANN), BOB, "u-3"}


@pytest.mark.parametrize("kind", KINDS)
def test_data_are_there_until_the_erasure_has_finished(caller, kind):
    caller = caller(duration=5)
    before = caller.history_of(kind, ANN)
    erase(caller, ANN)
    caller.now += 4.9
    assert caller.history_of(kind, ANN) == before
    caller.now += 0.1
    assert caller.history_of(kind, ANN) == []
    assert caller.history_of(kind, resolved_id(ANN)) == []
    assert caller.history_of(kind, BOB)
    caller.account.configure({"sessions_per_user": 9})
    assert caller.history_of(kind, ANN) == []


@pytest.mark.parametrize("kind", KINDS)
def test_users_are_erased_one_by_one_if_they_finish_so(caller, kind):
    caller = caller(duration=10, while_running="trickle")
    erase(caller, ANN, BOB)
    caller.now += 5
    assert caller.history_of(kind, ANN) == []
    assert caller.history_of(kind, BOB)


@pytest.mark.parametrize("kind", KINDS)
def test_data_stay_at_bots_that_were_not_erased(caller, kind):
    caller = caller(duration=0, bots=("st-1", "st-2", "st-3"), **UNLIMITED)
    kept = caller.history_of(kind, ANN, "st-3")
    erase(caller, ANN, bots=["st-1"])
    erase(caller, ANN, bots=["st-2"])
    assert caller.history_of(kind, ANN, "st-1") == caller.history_of(kind, ANN, "st-2") == []
    assert caller.history_of(kind, ANN, "st-3") == kept
    assert ids(caller.history_of(kind, ANN, None)) == ids(kept)
    erase(caller, ANN)
    assert caller.history_of(kind, ANN, None) == caller.history_of(kind, ANN, "st-3") == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_erasure_by_either_name_erases_the_person(caller, kind):
    caller = caller(duration=0)
    erase(caller, resolved_id(ANN))
    assert caller.history_of(kind, ANN) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spared", ["refuse", "members"])
def test_a_refused_user_keeps_all_data(caller, kind, spared):
    caller = caller(duration=0, **{spared: (ANN,)})
    before = caller.history_of(kind, ANN)
    erase(caller, ANN)
    assert caller.history_of(kind, ANN) == before


@pytest.mark.parametrize(("kind", "sessions", "messages"), [("sessions", 2, 0), ("messages", 0, 6), ("both", 2, 6)])
@pytest.mark.parametrize("user", [ANN, "*@example.com"])
def test_data_can_be_left_behind_although_success_is_reported(caller, content, user, kind, sessions, messages):
    caller = caller(duration=0, leave_behind=(user,), leave_behind_kind=kind)
    answer = content(caller.status(erase(caller, ANN, BOB)))
    assert [entry["status"] for entry in answer["response"]] == ["SUCCESS", "SUCCESS"]
    for name in (ANN, resolved_id(ANN)):
        assert len(caller.history_of("sessions", name)) == sessions
        assert len(caller.history_of("messages", name)) == messages
    assert caller.history_of("sessions", BOB) == caller.history_of("messages", BOB) == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_erased_user_can_be_an_error(caller, error, kind):
    caller = caller(duration=5, erased_user_answer="error", bots=("st-1", "st-2"), unknown_users=("nobody",))
    erase(caller, ANN, bots=["st-1"])
    assert caller.history(kind, {"userId": ANN}).status == 200
    caller.now += 5
    assert error(caller.history(kind, {"userId": ANN})) == (400, "Invalid userId", 400)
    assert [caller.history(kind, {"userId": ANN}, bot_id).status for bot_id in ("st-2", None)] == [200, 200]
    assert [caller.history(kind, {"userId": user}).status for user in (BOB, "nobody")] == [200, 200]
    erase(caller, ANN)
    caller.now += 5
    assert error(caller.history(kind, {"userId": ANN}, None)) == (400, "Invalid userId", 400)


def test_what_is_left_behind_is_no_error(caller):
    caller = caller(duration=0, erased_user_answer="error", leave_behind=(ANN,), leave_behind_kind="messages")
    erase(caller, ANN)
    assert [caller.history(kind, {"userId": ANN}).status for kind in KINDS] == [400, 200]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [-1, 3])
def test_the_total_can_be_wrong(caller, content, kind, wrong):
    caller = caller(history_days=6)
    right = content(caller.history(kind, {"userId": ANN}))
    caller.account.configure({"wrong_total": wrong})
    assert content(caller.history(kind, {"userId": ANN})) == right | {"total": right["total"] + wrong}


@pytest.mark.parametrize("kind", KINDS)
def test_somebody_elses_data_can_be_mixed_in(caller, kind):
    caller = caller(ignore_user_filter=True)
    owners = [item.get("userId") or item["createdBy"] for item in caller.history_of(kind, ANN)]
    assert len(set(owners)) == 2
    assert owners.count(resolved_id(ANN)) == len(owners) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_brings_everything_back(caller, kind):
    caller = caller(duration=0)
    before = caller.history_of(kind, ANN)
    erase(caller, ANN)
    assert caller.history_of(kind, ANN) == []
    caller.account.reset()
    assert caller.history_of(kind, ANN) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bot_id", ["st-1", None])
@given(sessions=st.integers(0, 12), limit=st.integers(1, 100), strangers=st.booleans())
def test_pages_of_any_length_give_each_item_once_newest_first(new_caller, kind, bot_id, sessions, limit, strangers):
    settings = Settings(
        sessions_per_user=sessions,
        messages_per_session=4,
        history_days=6.9,
        history_bots=("st-1", "st-2"),
        ignore_user_filter=strangers,
        **UNLIMITED,
    )
    caller = new_caller(settings)
    items, more = [], True
    while more:
        body = {"userId": ANN, "skip": len(items), "limit": limit}
        answer = json.loads(caller.history(kind, body, bot_id).body)
        assert len(answer[kind]) == min(limit, answer["total"] - len(items))
        items += answer[kind]
        more = answer["moreAvailable"]
        assert more == (len(items) < answer["total"])
    expected = sessions * (1 if kind == "sessions" else 4) * (2 if bot_id is None else 1) * (1 + strangers)
    assert answer["total"] == len(items) == len(set(ids(items))) == expected
    times = [item[TIME[kind]] for item in items]
    assert times == sorted(times, reverse=True)


SPAN = timedelta(days=6)
FIRST_DAY = datetime.fromisoformat("2027-01-09T08:00:00Z")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
@given(cuts=st.lists(st.integers(0, 6 * 86_400_000), max_size=6), at_items=st.sets(st.integers(0, 6), max_size=5))
def test_windows_that_share_their_edges_give_each_item(new_caller, kind, ends, cuts, at_items):
    settings = Settings(
        sessions_per_user=7, messages_per_session=2, history_days=6, history_window_ends=ends, **UNLIMITED
    )
    caller = new_caller(settings)

    def found(since, until):
        body = {"userId": ANN, "dateFrom": written(since), "dateTo": written(until)}
        return json.loads(caller.history(kind, body).body)[kind]

    whole = found(FIRST_DAY, FIRST_DAY + SPAN)
    assert len(whole) == (7 if kind == "sessions" else 14)
    edges = {FIRST_DAY, FIRST_DAY + SPAN, *(FIRST_DAY + timedelta(milliseconds=cut) for cut in cuts)}
    at_edges = {whole[position][TIME[kind]] for position in at_items}
    edges |= {datetime.fromisoformat(time) for time in at_edges}
    parts = [item for since, until in pairwise(sorted(edges)) for item in found(since, until)]
    if ends == "exclusive":
        assert ids(parts) == ids(whole)
    else:
        assert set(ids(parts)) == set(ids(whole))
        twice = [item for item in whole if ids(parts).count(ids([item])[0]) == 2]
        assert {item[TIME[kind]] for item in twice} >= at_edges - {written(FIRST_DAY), written(FIRST_DAY + SPAN)}


def written(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
