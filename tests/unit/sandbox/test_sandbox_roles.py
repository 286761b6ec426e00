"""Who is a member of the account, and what that means for erasures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.users import resolved_id

CHANNEL_USER = {"channel_id": "c", "channel_user_id": "boss"}


def test_members_are_listed_with_their_names(caller, content):
    caller = caller(members=("boss@example.com", "u-9"), bots=("st-1",))
    answer = content(caller.roles("limit=50&offset=0"))
    assert (answer["total"], answer["availableMore"]) == (2, False)
    boss, other = answer["users"]
    assert (boss["username"], boss["userId"]) == ("boss@example.com", resolved_id("boss@example.com"))
    assert (other["username"], other["userId"]) == ("u-9", "u-9")
    assert [role["botId"] for role in boss["btRoles"]] == ["st-1"]
    (entry,) = caller.account.log()
    assert (entry.call, entry.query, entry.outcome) == ("roles", "limit=50&offset=0", 200)


@pytest.mark.parametrize("query", ["", "limit=1", "limit=50", "offset=0", "offset=999999999&limit=7"])
def test_a_documented_query_is_answered(caller, query):
    assert caller().roles(query).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=51",
        "limit=",
        "limit=-1",
        "limit=ten",
        "limit=1.0",
        "limit=+1",
        "limit=%D9%A1",
        "limit=1&limit=1",
        "offset=-1",
        "offset=",
        "offset=" + "9" * 5000,
        "skip=0",
        "limit=1&surprise=",
    ],
)
def test_any_other_query_is_refused(caller, error, query):
    assert error(caller().roles(query))[0] == 400


def test_the_longest_page_can_be_set(caller, error, content):
    caller = caller(members=tuple("abc"), members_page=2)
    assert error(caller.roles("limit=3"))[0] == 400
    assert len(content(caller.roles())["users"]) == 2


@given(number=st.integers(0, 120), limit=st.integers(1, 50))
def test_pages_list_each_member_once_and_in_order(new_caller, number, limit):
    members = tuple(f"member-{position}" for position in range(number))
    caller = new_caller(Settings(members=members, requests_per_minute=0))
    listed, more = [], True
    while more:
        answer = json.loads(caller.roles(f"offset={len(listed)}&limit={limit}").body)
        assert answer["total"] == number
        assert len(answer["users"]) == min(limit, number - len(listed))
        listed += [user["username"] for user in answer["users"]]
        more = answer["availableMore"]
        assert more == (len(listed) < number)
    assert listed == list(members)


@pytest.mark.parametrize("user_id", ["boss", resolved_id("boss"), CHANNEL_USER])
def test_a_member_is_refused_by_any_name(caller, content, user_id):
    caller = caller(members=("boss",), duration=0)
    request_id = caller.accept({"userIds": ["u-1", user_id], "RemoveDataFromAllBots": True})
    entries = content(caller.status(request_id))["response"]
    assert [entry["status"] for entry in entries] == ["SUCCESS", "FAILED"]


def test_a_member_can_fail_the_whole_request(caller, error):
    caller = caller(members=("u-2",), refusal="whole-request")
    status, message, _ = error(caller.erase())
    assert status == 400
    assert "u-2" in message


def test_a_member_listed_by_a_pattern_is_no_pattern(caller, content):
    caller = caller(members=("u-*",), duration=0)
    entries = content(caller.status(caller.accept()))["response"]
    assert [entry["status"] for entry in entries] == ["SUCCESS", "SUCCESS"]


def test_the_total_can_be_wrong(caller, content):
    assert content(caller(members=("a", "b"), wrong_total=-1).roles())["total"] == 1
