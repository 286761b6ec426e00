"""Which user ids may be asked for: everything doubtful is refused, by its position and never by its content."""

from collections import UserString

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import USUAL_IDS
from refusals import MARK, refused

from airflow_provider_kore.api.users import (
    ChannelUserId,
    canonical_name,
    check_user_id,
    check_user_ids,
    fingerprint,
)

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
    error = refused(check_user_ids, ["u-1", "u-2", value, "u-4"], 9)
    assert "position 3" in str(error)
    assert MARK not in f"{error}{error!r}"


@given(st.lists(USUAL_IDS, max_size=4), st.sampled_from(BAD_IDS), st.lists(USUAL_IDS, max_size=4))
def test_the_position_is_counted_from_one(before, bad, after):
    error = refused(check_user_ids, [*before, bad, *after], 9)
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
    error = refused(check_user_ids, value, 9)
    assert f"type {type(value).__name__}" in error.problem
    assert MARK not in f"{error}{error!r}"


@pytest.mark.parametrize("value", [memoryview(b"12"), range(2), UserString("12")])
def test_a_sequence_that_is_no_list_of_ids_is_refused(value):
    refused(check_user_ids, value, 9)


@given(st.lists(USUAL_IDS, unique_by=canonical_name))
def test_good_ids_are_accepted_as_they_are_and_in_order(user_ids):
    assert check_user_ids(user_ids, 99) == check_user_ids(tuple(user_ids), 99) == tuple(user_ids)


def test_a_mapping_of_channel_and_user_is_the_same_as_a_channel_user_id():
    mapping = {"channel_id": "rtm", "channel_user_id": "4711"}
    assert check_user_ids([mapping, ChannelUserId(**mapping)], 1) == (ChannelUserId("rtm", "4711"),)


def test_addresses_that_differ_in_case_alone_are_one_user_and_the_first_spelling_stays():
    user_ids = ["Ann@x.org", "u-A", "ann@X.org", "u-a", "Ann@x.org", "ANN@x.org", ChannelUserId("mail", "Ann@x.org")]
    assert check_user_ids(user_ids, 4) == ("Ann@x.org", "u-A", "u-a", ChannelUserId("mail", "Ann@x.org"))


def test_addresses_that_differ_in_more_than_case_are_two_users():
    two = ("straße@x.org", "strasse@x.org", "ﬁ@x.org", "fi@x.org")
    assert check_user_ids(two, 4) == two


@given(st.integers(0, 20), st.integers(1, 20))
def test_more_users_than_allowed_are_refused(user_count, max_users):
    user_ids = [f"u-{number}" for number in range(user_count)]
    if user_count > max_users:
        refused(check_user_ids, user_ids, max_users)
    else:
        assert len(check_user_ids([*user_ids, *user_ids], max_users)) == user_count


@given(st.lists(USUAL_IDS, unique=True), st.lists(USUAL_IDS, unique=True), st.binary(min_size=1), st.randoms())
def test_fingerprints_are_equal_for_the_same_users_and_key_only(one, other, key, random):
    shuffled = random.sample(one, len(one))
    assert fingerprint(shuffled, key) == fingerprint(one, key)
    assert (fingerprint(one, key) == fingerprint(other, key)) == (
        set(map(canonical_name, one)) == set(map(canonical_name, other))
    )
    assert fingerprint(one, key + b"x") != fingerprint(one, key)
