"""The members of an account: how they are listed, and who is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.members import MemberNames, members_path, read_members
from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import Consequence, KoreUnreadableAnswerError

PERSON = "Xq7ZwK9@example.com"
MEMBERS = (frozenset({"John@example.com", "org-1", "u-1"}), frozenset({"jane", "u-2"}))


def answer(users, total=None, more=False, **others):
    return {"total": len(users) if total is None else total, "availableMore": more, "users": users, **others}


def test_pages_are_asked_for_by_their_offset():
    assert members_path(150, 50) == "/api/public/alluserroles?limit=50&offset=150"


def test_all_names_of_a_member_are_read():
    users = [
        {"username": "john@example.com", "orgUserId": "org-1", "userId": "u-1", "accountId": "a", "btRoles": []},
        {"username": "jane", "orgUserId": None, "userId": " "},
        {"userId": "u-3", "username": 7},
    ]
    page = read_members(answer(users, 9, more=True))
    assert (page.total, page.more_available) == (9, True)
    assert page.items == (
        frozenset({"john@example.com", "org-1", "u-1"}),
        frozenset({"jane"}),
        frozenset({"u-3"}),
    )
    assert "jane" not in repr(page)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"total": 0, "availableMore": False},
        {"total": 0, "moreAvailable": False, "users": []},
        answer([], None) | {"total": "0"},
        answer([], True),
        answer([], -1),
        answer([{"userId": "u-1"}], 0),
        answer([], more="no"),
        answer([PERSON]),
        answer([{}]),
        answer([{"username": "", "orgUserId": None, "userId": 1}]),
        answer([], errors=[{"msg": PERSON}]),
        answer([], error=PERSON),
    ],
)
def test_what_is_not_understood_lists_nobody(document):
    with pytest.raises(KoreUnreadableAnswerError) as caught:
        read_members(document)
    assert caught.value.consequence is Consequence.ONLY_READ
    assert "Xq7ZwK9" not in str(caught.value)


@pytest.mark.parametrize(
    ("user_id", "is_one"),
    [
        ("john@example.com", True),
        ("JOHN@Example.com", True),
        ("org-1", True),
        ("u-2", True),
        ("jane", True),
        ("Jane", False),
        ("U-2", False),
        ("jon@example.com", False),
        ("john", False),
        (ChannelUserId("rtm", "john@example.com"), False),
        (ChannelUserId("jane", "jane"), False),
    ],
)
def test_a_member_is_known_by_any_of_its_names(user_id, is_one):
    assert (user_id in MemberNames(MEMBERS)) is is_one
    assert user_id not in MemberNames(())


@given(st.lists(st.frozensets(st.text(min_size=1), min_size=1), min_size=1), st.data())
def test_who_is_listed_is_a_member(members, data):
    name = data.draw(st.sampled_from([name for names in members for name in names]))
    assert name in MemberNames(members)
