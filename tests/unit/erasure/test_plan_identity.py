"""A task continues only with what it started with: the same plan, the same account, the same options."""

import json
from dataclasses import replace

import pytest
from erasing_users import ACCOUNT, SCOPE

from airflow_provider_kore.erasure.plan_identity import (
    difference_of_plans,
    identify_plan,
    require_same_account,
    require_same_options,
)
from airflow_provider_kore.exceptions import Consequence, KoreResumeError

PLAN = identify_plan(ACCOUNT, SCOPE, user_count=5, batch_size=2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("version", "another version"),
        ("base_url", "another base URL"),
        ("client_id", "another Client ID"),
        ("key_check", "digest_key or Client Secret"),
        ("bot_ids", "other bots"),
        ("all_bots", "another scope"),
        ("user_count", "another number of users"),
        ("batch_size", "another batch_size"),
    ],
)
def test_plans_differ_in_whatever_is_changed_or_absent(name, words):
    assert words in difference_of_plans(PLAN | {name: "other"}, PLAN)
    assert words in difference_of_plans({key: value for key, value in PLAN.items() if key != name}, PLAN)


def test_plans_do_not_differ_in_what_is_noted_beside_them():
    plan = identify_plan(ACCOUNT, SCOPE, user_count=5, batch_size=2)
    earlier = json.loads(json.dumps(plan | {"options": "x"}))
    assert difference_of_plans(earlier, plan) is None
    assert (plan["version"], len(plan["key_check"])) == (1, 16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_url": "https://bots.kore.ai"}, "to another base URL"),
        ({"client_id": "cs-0"}, "with another Client ID"),
        ({"client_id": "cs-2"}, "with another Client ID"),
    ],
)
def test_a_task_does_not_continue_at_another_account(change, words):
    with pytest.raises(KoreResumeError, match=words) as caught:
        require_same_account(PLAN, replace(ACCOUNT, **change))
    assert caught.value.consequence is Consequence.SENT_BEFORE


def test_a_task_continues_at_the_same_account_also_with_another_secret():
    require_same_account(PLAN, replace(ACCOUNT, client_secret="new"))


@pytest.mark.parametrize("header", [{"options": "a"}, {"options": "c"}, {"options": None}, {}])
def test_a_task_does_not_continue_with_other_options(header):
    with pytest.raises(KoreResumeError) as caught:
        require_same_options(header, "b", Consequence.ONLY_WAITS)
    assert caught.value.consequence is Consequence.ONLY_WAITS


def test_a_task_continues_with_the_same_options():
    require_same_options({"options": "b"}, "".join("b"), Consequence.SENT_BEFORE)
