"""An approval is one of exactly this plan: for these users in these batches, at these bots."""

import re
from dataclasses import replace
from unittest import mock

import pytest
from erasing_users import Client
from hypothesis import given
from hypothesis import strategies as st
from playing_kore import WALL_START, http

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.erasure.plan import (
    Plan,
    describe_members,
    describe_plan,
    find_members,
    fingerprint_plan,
    make_plan,
    require_approved,
    require_no_members,
)
from airflow_provider_kore.erasure.plan_identity import identify_plan
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreThrottledError
from airflow_provider_kore.user_ids.batches import UserBatches

ACCOUNT = KoreAccount("https://platform.kore.ai", "cs-1", client_secret="secret")
BOT = ErasureScope(("st-1",), all_bots=False)
USERS = ("Xq7ZwK9-1", "Xq7ZwK9-2", "Xq7ZwK9-3")


def plan_of(users=USERS, *, account=ACCOUNT, scope=BOT, batch_size=2):
    key = account.fingerprint_key()
    records = [BatchRecord.of(batch) for batch in UserBatches(users, batch_size, 99, key).plan()]
    identity = identify_plan(account, scope, user_count=len(users), batch_size=batch_size)
    return Plan(scope, records, identity, fingerprint_plan(identity, records, key), batches=None)


@pytest.mark.parametrize(
    "other",
    [
        {"users": USERS[:2]},
        {"users": (*USERS, "Xq7ZwK9-4")},
        {"users": USERS[::-1]},
        {"users": (*USERS[:2], "xq7zwk9-3")},
        {"scope": ErasureScope(("st-2",), all_bots=False)},
        {"scope": ErasureScope(("st-1", "st-2"), all_bots=False)},
        {"scope": ErasureScope((), all_bots=True)},
        {"account": replace(ACCOUNT, base_url="https://bots.kore.ai")},
        {"account": replace(ACCOUNT, client_id="cs-2")},
        {"account": replace(ACCOUNT, digest_key="another")},
        {"batch_size": 3},
    ],
)
def test_another_plan_has_another_fingerprint_and_is_refused(other):
    with pytest.raises(KoreInputError, match="not what was approved") as refusal:
        require_approved(plan_of().fingerprint, plan_of(**other))
    assert refusal.value.consequence is Consequence.NOT_SENT


def test_the_same_plan_is_approved_and_without_an_approval_any_plan_is():
    require_approved(plan_of().fingerprint, plan_of())
    require_approved(None, plan_of())


@given(st.lists(st.from_regex(r"user-[a-z0-9]{1,12}", fullmatch=True), min_size=1, max_size=6, unique=True).map(tuple))
def test_the_fingerprint_names_nobody(users):
    fingerprint = plan_of(users).fingerprint
    assert re.fullmatch("kp:[0-9a-f]{32}", fingerprint)
    assert not any(len(user) > 3 and user in fingerprint for user in users)


def test_the_fingerprint_does_not_depend_on_the_order_in_which_an_identity_is_written():
    plan = plan_of()
    reordered = dict(reversed(plan.identity.items()))
    assert fingerprint_plan(reordered, plan.records, ACCOUNT.fingerprint_key()) == plan.fingerprint


class Task:
    """The arguments of a task."""

    def __init__(self, user_ids=USERS, **more):
        arguments = {"bot_ids": ["st-1"], "all_bots": False, "batch_size": 2, "max_users": None, "on_empty": "fail"}
        vars(self).update(arguments | {"user_ids": list(user_ids)} | more)


def test_a_plan_has_a_record_for_each_batch_and_can_be_described_without_users():
    plan = make_plan(Task(), ACCOUNT, may_skip=True)
    assert [record.user_count for record in plan.records] == [2, 1]
    assert plan.fingerprint == plan_of().fingerprint
    described = describe_plan(plan)
    assert described == {
        "requests": [],
        "user_count": 3,
        "batch_count": 2,
        "bot_ids": ["st-1"],
        "all_bots": False,
        "dry_run": True,
        "plan_fingerprint": plan.fingerprint,
    }
    assert "Xq7ZwK9" not in repr(described)


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (Task(bot_ids=None), "no scope"),
        (Task(all_bots=True), "both"),
        (Task(bot_ids=None, all_bots=True), "not allowed"),
        (Task(max_users=2), "users"),
        (Task([]), "no users"),
        (Task(["a,b"]), "user id"),
    ],
)
def test_what_must_not_be_sent_makes_no_plan(task, problem):
    with pytest.raises(KoreInputError, match=problem) as refusal:
        make_plan(task, ACCOUNT, may_skip=True)
    assert refusal.value.consequence is Consequence.NOT_SENT


@pytest.mark.parametrize(
    ("may_skip", "on_empty", "error"),
    [(True, "skip", AirflowSkipException), (False, "skip", KoreInputError), (True, "fail", KoreInputError)],
)
def test_an_empty_list_skips_the_task_only_if_nothing_may_have_been_sent_before(may_skip, on_empty, error):
    with pytest.raises(error):
        make_plan(Task([], on_empty=on_empty), ACCOUNT, may_skip=may_skip)


MEMBER = {"userId": "u-1", "username": "Xq7ZwK9-2"}


def members_of(plan, replies, *, per_minute=1_000_000, seconds=30.0, account=ACCOUNT):
    """Find the members among the users of a plan, with so many seconds left until the deadline."""
    replies = iter(replies)
    client = Client(lambda request: next(replies), per_minute=per_minute)
    with mock.patch("time.time", client.clock.wall):
        return find_members(plan, account, client, WALL_START + seconds)


def page(member, *, total=1, more=False):
    return http(200, {"total": total, "availableMore": more, "users": [member]})


def test_members_of_the_account_are_found_among_the_users_and_named_by_position_alone():
    plan = make_plan(Task(batch_size=1), ACCOUNT, may_skip=True)
    members = members_of(plan, [page(MEMBER)])
    assert members == [{"batch": 2, "position": 1}]
    assert describe_members(members) == {"member_count": 1, "members": members}
    with pytest.raises(KoreInputError, match="batch 2 position 1") as refusal:
        require_no_members(members)
    assert refusal.value.consequence is Consequence.NOT_SENT
    assert "Xq7ZwK9" not in str(refusal.value)


def test_without_members_nothing_is_refused_and_nothing_is_logged(caplog):
    members = members_of(make_plan(Task(), ACCOUNT, may_skip=True), [page({"userId": "u-9"})])
    require_no_members(members)
    assert describe_members(members) == {"member_count": 0, "members": []}
    assert "members" not in caplog.text


def test_of_many_members_a_dry_run_counts_all_and_names_the_first():
    members = [{"batch": 1, "position": position} for position in range(1, 1500)]
    described = describe_members(members)
    assert (described["member_count"], described["members"]) == (1499, members[:1000])


@pytest.mark.parametrize(("seconds", "found"), [(-1000.0, False), (50.0, False), (70.0, True)])
def test_a_turn_to_list_members_is_waited_for_until_the_deadline(seconds, found):
    plan = make_plan(Task(), ACCOUNT, may_skip=True)
    pages = [page({"userId": "u-9"}, total=2, more=True), page(MEMBER, total=2)]
    if found:
        assert members_of(plan, pages, per_minute=1, seconds=seconds) == [{"batch": 1, "position": 2}]
    else:
        with pytest.raises(KoreThrottledError) as caught:
            members_of(plan, pages, per_minute=1, seconds=seconds)
        assert caught.value.consequence is Consequence.NOT_SENT
