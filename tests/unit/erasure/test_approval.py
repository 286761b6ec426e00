"""An approval is one of exactly this plan: for these users in these batches, at these bots."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.erasure.approval import check_approved, plan_fingerprint
from airflow_provider_kore.erasure.ledger import BatchRecord, make_plan
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.user_ids.batches import UserBatches

ACCOUNT = KoreAccount("https://platform.kore.ai", "cs-1", client_secret="secret")
BOT = ErasureScope(("st-1",), all_bots=False)
USERS = ("Xq7ZwK9-1", "Xq7ZwK9-2", "Xq7ZwK9-3")


def fingerprint_of(users=USERS, *, account=ACCOUNT, scope=BOT, batch_size=2, forced_within=0):
    key = account.fingerprint_key()
    records = [BatchRecord.of(batch) for batch in UserBatches(users, batch_size, 99, key).plan()]
    plan = make_plan(account, scope, user_count=len(users), batch_size=batch_size, forced_within=forced_within)
    return plan_fingerprint(plan, records, key)


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
        check_approved(fingerprint_of(), fingerprint_of(**other))
    assert refusal.value.consequence is Consequence.NOT_SENT


def test_the_same_plan_is_let_through_also_by_a_later_try():
    check_approved(fingerprint_of(), fingerprint_of(forced_within=2))


@given(st.lists(st.uuids().map(str), min_size=1, max_size=6, unique=True).map(tuple))
def test_the_fingerprint_names_nobody(users):
    fingerprint = fingerprint_of(users)
    assert re.fullmatch("kp:[0-9a-f]{32}", fingerprint)
    assert not any(user in fingerprint for user in users)


@pytest.mark.parametrize(
    "approved",
    ["", "None", "{{ x }}", "0" * 32, f"kp:{'0' * 31}", f"kp:{'0' * 33}", f"kp:{'G' * 32}", b"kp:", True, 0, {}, []],
)
def test_what_is_no_fingerprint_approves_nothing(approved):
    with pytest.raises(KoreInputError, match="not the fingerprint of a plan"):
        check_approved(approved, fingerprint_of())
