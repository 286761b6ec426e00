"""What may be asked for: everything doubtful is refused, by its position and never by its content."""

import json
from collections import UserString

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import USUAL_IDS

from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.api.users import (
    ChannelUserId,
    check_user_count,
    check_user_id,
    check_user_ids,
    fingerprint,
    fold_duplicates,
    user_id_from_json,
    user_id_to_json,
)
from airflow_provider_kore.exceptions import Consequence, KoreInputError

MARK = "Xq7ZwK9"
"""Stands in each id that is refused; no error text would hold it by chance."""

ONE_BOT = ErasureScope(("st-1",), all_bots=False)


def scope(bot_ids=None, all_bots=False, *, allow_all_bots=False, allowed_bot_ids=None):
    return check_scope(bot_ids, all_bots, allow_all_bots=allow_all_bots, allowed_bot_ids=allowed_bot_ids)


def refused(check, *arguments, **more):
    with pytest.raises(KoreInputError) as caught:
        check(*arguments, **more)
    assert caught.value.consequence is Consequence.NOT_SENT
    assert caught.value.remedy
    return caught.value


BAD_IDS = [
    "",
    " ",
    "\t\n",
    "\u3000",
    "None",
    "none",
    " NULL ",
    "nan",
    "Undefined",
    f"{{{{ {MARK} }}}}",
    f"{MARK} }}}}",
    f"{{% {MARK}",
    f"{MARK} %}}",
    None,
    7,
    4.2,
    True,
    MARK.encode(),
    [MARK],
    (MARK,),
    {MARK},
    {},
    {"channel_id": MARK},
    {"channel_id": MARK, "channel_user_id": MARK, "more": MARK},
    {"channelId": MARK, "channelUserId": MARK},
    {"channel_id": MARK, "channel_user_id": None},
    {"channel_id": MARK, "channel_user_id": ""},
    {"channel_id": " ", "channel_user_id": MARK},
    {"channel_id": MARK, "channel_user_id": 7},
    {"channel_id": MARK, "channel_user_id": "None"},
    {"channel_id": MARK, "channel_user_id": f"{{{{ {MARK} }}}}"},
    ChannelUserId(MARK, ""),
    ChannelUserId("none", MARK),
    ChannelUserId(MARK, f"{{{{{MARK}"),
    ChannelUserId(7, MARK),
    object(),
    UserString(MARK),
]


@pytest.mark.parametrize("value", BAD_IDS)
def test_what_names_nobody_is_refused_by_its_position(value):
    error = refused(check_user_ids, ["u-1", "u-2", value, "u-4"])
    assert "position 3" in str(error)
    assert MARK not in f"{error}{error!r}"


@given(st.lists(USUAL_IDS, max_size=4), st.sampled_from(BAD_IDS), st.lists(USUAL_IDS, max_size=4))
def test_the_position_is_counted_from_one(before, bad, after):
    error = refused(check_user_ids, [*before, bad, *after])
    assert f"position {len(before) + 1} " in error.problem


@given(st.text(min_size=4, max_size=12).map(lambda text: f"{MARK}{text}"), st.sampled_from(["{{", "}}", "{%", "%}"]))
def test_an_error_never_shows_what_it_refuses(text, leftover):
    for value in (text + leftover, {text: text}, [text], {"channel_id": text, "channel_user_id": leftover + text}):
        error = refused(check_user_id, value, 1)
        assert MARK not in f"{error}{error!r}{error.remedy}"


@pytest.mark.parametrize(
    "value",
    [
        MARK,
        "",
        MARK.encode(),
        bytearray(MARK.encode()),
        None,
        7,
        True,
        {MARK: MARK},
        {MARK},
        frozenset({MARK}),
        iter([MARK]),
        (item for item in [MARK]),
        {MARK: 1}.keys(),
        object(),
    ],
)
def test_what_is_no_list_is_refused(value):
    error = refused(check_user_ids, value)
    assert f"type {type(value).__name__}" in error.problem
    assert MARK not in f"{error}{error!r}"


@pytest.mark.parametrize("value", [memoryview(b"12"), range(2), UserString("12")])
def test_a_sequence_that_is_no_list_of_ids_is_refused(value):
    refused(check_user_ids, value)


@given(st.lists(USUAL_IDS))
def test_good_ids_are_accepted_as_given_and_in_order(user_ids):
    assert check_user_ids(user_ids) == check_user_ids(tuple(user_ids)) == tuple(user_ids)


@given(st.lists(USUAL_IDS, min_size=1))
def test_ids_reach_the_body_as_given(user_ids):
    body = json.loads(ErasureRequest(check_user_ids(user_ids), ONE_BOT).body())
    assert [user_id_from_json(item) for item in body["userIds"]] == user_ids
    assert [item for item in body["userIds"] if isinstance(item, str)] == [
        item for item in user_ids if isinstance(item, str)
    ]


@pytest.mark.parametrize(
    "user_id", ["ANNA@Example.com", "0151 2345", "007", "é", "e\u0301", "null@x", "O'Brien@x.org", "1_0", "auth0|5f7c"]
)
def test_an_odd_id_is_not_made_tidy(user_id):
    assert json.loads(ErasureRequest(check_user_ids([user_id]), ONE_BOT).body())["userIds"] == [user_id]


def test_a_mapping_of_channel_and_user_is_the_same_as_a_channel_user_id():
    mapping = {"channel_id": "rtm", "channel_user_id": "4711"}
    assert check_user_ids([mapping, mapping]) == (ChannelUserId("rtm", "4711"),) * 2
    assert user_id_to_json(ChannelUserId("rtm", "4711")) == mapping


@given(st.lists(st.sampled_from(["a", "A", "b", "a b", ChannelUserId("a", "b"), ChannelUserId("b", "a")])))
def test_exact_duplicates_are_folded_in_order(user_ids):
    folded = fold_duplicates(user_ids)
    assert list(folded) == [user_id for position, user_id in enumerate(user_ids) if user_id not in user_ids[:position]]


def test_the_body_for_listed_bots():
    body = ErasureRequest(("u-1",), scope(["st-1", "st-2", "st-1"])).body()
    assert json.loads(body) == {"userIds": ["u-1"], "botIds": ["st-1", "st-2"], "RemoveDataFromAllBots": False}


def test_the_body_for_all_bots():
    body = ErasureRequest(("u-1",), scope(None, True, allow_all_bots=True)).body()
    assert json.loads(body) == {"userIds": ["u-1"], "RemoveDataFromAllBots": True}


@pytest.mark.parametrize("scope", [ONE_BOT, ErasureScope((), all_bots=True)])
def test_a_request_without_users_cannot_be_made(scope):
    refused(ErasureRequest, (), scope)


@given(st.lists(st.text(min_size=3).map(lambda text: MARK + text), min_size=1), st.booleans())
def test_no_repr_shows_a_user(texts, in_channel):
    user_ids = tuple(ChannelUserId(text, text) if in_channel else text for text in texts)
    assert MARK not in repr(ErasureRequest(user_ids, ONE_BOT))
    assert not in_channel or MARK not in f"{user_ids!r}{user_ids[0]}"


@pytest.mark.parametrize("flag", ["True", "False", "", 0, 1, None, [], "true"])
@pytest.mark.parametrize("bot_ids", [None, ["st-1"]])
def test_a_flag_that_is_no_bool_is_refused(flag, bot_ids):
    assert f"type {type(flag).__name__}" in str(refused(scope, bot_ids, flag, allow_all_bots=True))


@pytest.mark.parametrize("bot_ids", [None, [], ()])
def test_no_scope_is_refused(bot_ids):
    assert "no scope" in refused(scope, bot_ids, False, allow_all_bots=True).problem


def test_both_scopes_at_once_are_refused():
    assert "both" in refused(scope, ["st-1"], True, allow_all_bots=True).problem


def test_all_bots_take_two_keys():
    assert "not allowed by the connection" in refused(scope, None, True).problem
    assert "not allowed by the connection" in refused(scope, None, True, allowed_bot_ids=("st-1",)).problem
    assert scope(None, True, allow_all_bots=True) == ErasureScope((), all_bots=True)


@pytest.mark.parametrize("bot_ids", ["st-1", "", b"st-1", {"st-1"}, {"st-1": 1}, iter(["st-1"]), 7, True])
@pytest.mark.parametrize("all_bots", [False, True])
def test_bots_that_are_no_list_are_refused(bot_ids, all_bots):
    assert f"type {type(bot_ids).__name__}" in refused(scope, bot_ids, all_bots, allow_all_bots=True).problem


@pytest.mark.parametrize("bot_id", ["", " ", None, 7, True, "None", "null", f"{{{{ {MARK} }}}}", [MARK], f"{{% {MARK}"])
@pytest.mark.parametrize("all_bots", [False, True])
def test_a_bad_bot_is_refused_by_its_position(bot_id, all_bots):
    error = refused(scope, ["st-1", bot_id], all_bots, allow_all_bots=True)
    assert "position 2" in error.problem
    assert MARK not in f"{error}{error!r}"


def test_a_bot_that_the_connection_does_not_list_is_refused():
    assert scope(["st-1"], allowed_bot_ids=("st-1", "st-2")).bot_ids == ("st-1",)
    error = refused(scope, ["st-1", "st-3"], allowed_bot_ids=("st-1", "st-2"))
    assert "1 of the 2 bots" in error.problem
    refused(scope, ["ST-1"], allowed_bot_ids=("st-1",))
    refused(scope, ["st-1"], allowed_bot_ids=())


@given(st.integers(0, 20), st.integers(1, 20))
def test_more_users_than_allowed_are_refused(user_count, max_users):
    if user_count > max_users:
        refused(check_user_count, user_count, max_users)
    else:
        check_user_count(user_count, max_users)


@given(st.lists(USUAL_IDS, unique=True), st.lists(USUAL_IDS, unique=True), st.binary(min_size=1), st.randoms())
def test_fingerprints_are_equal_for_the_same_users_and_key_only(one, other, key, random):
    shuffled = random.sample(one, len(one))
    assert fingerprint(shuffled, key) == fingerprint(one, key)
    assert (fingerprint(one, key) == fingerprint(other, key)) == (set(one) == set(other))
    assert fingerprint(one, key + b"x") != fingerprint(one, key)
