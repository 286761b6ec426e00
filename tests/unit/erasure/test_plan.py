"""An approval is one of exactly this plan: for these users in these batches, at these bots."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.erasure.plan import Plan, describe_plan, fingerprint_plan, make_plan, require_approved
from airflow_provider_kore.erasure.plan_identity import identify_plan
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.exceptions import Consequence, KoreInputError
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


@pytest.mark.parametrize(("may_skip", "error"), [(True, AirflowSkipException), (False, KoreInputError)])
def test_an_empty_list_skips_the_task_only_if_nothing_may_have_been_sent_before(may_skip, error):
    with pytest.raises(error):
        make_plan(Task([], on_empty="skip"), ACCOUNT, may_skip=may_skip)
