"""The options of tasks: what is refused when a DAG is parsed, and what when a task runs."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, XComArg, task
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.arguments import is_nothing
from airflow_provider_kore.deadlines import Regime
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.options import (
    check_approved_plan,
    check_deadline,
    check_receipt,
    check_sample,
    check_verify,
    is_rendered_later,
)
from airflow_provider_kore.sensors.erasure import KoreErasureSensor

PLAN = f"kp:{'0a' * 16}"
SINCE = timedelta(days=31)
DEADLINE = {"received_at": "2026-01-31", "regime": "gdpr"}
VERIFY = {"people": "all", "since": SINCE}
RECEIPT = {"folder": "s3://bucket/receipts"}
CHECKS = {"deadline": check_deadline, "verify": check_verify, "receipt": check_receipt}
GOOD = {"deadline": DEADLINE, "verify": VERIFY, "receipt": RECEIPT}
NOTHING = [None, "", " ", "None", " None "]

ERASE = (KoreEraseUserDataOperator, {"user_ids": "s3://users.txt", "bot_ids": ["st-1"]})
EXPORT = (KoreExportUserDataOperator, {**ERASE[1], "destination": "s3://bucket/export", "since": SINCE})
SEARCH = (KoreVerifyErasureOperator, {**ERASE[1], "since": SINCE})
WAIT = (KoreErasureSensor, {"request_id": "eud-1"})


def make(operator, **arguments):
    cls, defaults = operator
    return cls(task_id="task", **defaults | arguments)


# --- the dicts --------------------------------------------------------------------------------------------------------


def test_the_checked_values_are_typed_and_have_their_defaults():
    assert check_deadline(DEADLINE) == {"received_at": datetime(2026, 1, 31, tzinfo=UTC), "regime": Regime.GDPR}
    assert check_verify(VERIFY) == {**VERIFY, "channel_types": ("rtm",), "on_not_checkable": "fail"}
    assert check_verify(VERIFY | {"channel_types": ["korevg"], "on_not_checkable": "warn"}) == {
        **VERIFY,
        "channel_types": ("korevg",),
        "on_not_checkable": "warn",
    }
    assert check_receipt(RECEIPT) == RECEIPT


WRONG = [
    ("deadline", {"received_at": "2026-01-31"}, "has no regime"),
    ("deadline", {}, "has no received_at and no regime"),
    ("deadline", DEADLINE | {"regime": "hipaa"}, "regime must be one of"),
    ("deadline", DEADLINE | {"regime": 1}, "regime must be one of"),
    ("deadline", DEADLINE | {"received_at": "soon"}, "not a date of ISO 8601"),
    ("deadline", DEADLINE | {"received_at": "2999-01-31"}, "in the future"),
    ("deadline", DEADLINE | {"received_at": date(1999, 1, 1)}, "too far in the past"),
    ("deadline", DEADLINE | {"received_at": 20260131}, "is of type int"),
    ("deadline", DEADLINE | {"recieved_at": "2026-01-31"}, "unknown keys"),
    ("deadline", "gdpr", "must be a dict with the keys received_at, regime"),
    ("deadline", ["2026-01-31", "gdpr"], "must be a dict"),
    ("verify", {"people": "all"}, "has no since"),
    ("verify", {"since": SINCE}, "has no people"),
    ("verify", VERIFY | {"people": "none"}, "people must be"),
    ("verify", VERIFY | {"since": "yesterday"}, "since is text that is not a date of ISO 8601"),
    ("verify", VERIFY | {"since": datetime(2999, 1, 1, tzinfo=UTC)}, "since"),
    ("verify", VERIFY | {"channel_types": "rtm"}, "channel_types must be a list"),
    ("verify", VERIFY | {"channel_types": []}, "channel_types must be a list"),
    ("verify", VERIFY | {"channel_types": ["rtm", " "]}, "channel at position 2"),
    ("verify", VERIFY | {"on_not_checkable": "ignore"}, "on_not_checkable must be one of"),
    ("verify", VERIFY | {"on_not_checkable": ["fail"]}, "on_not_checkable must be one of"),
    ("verify", VERIFY | {"mode": "all"}, "unknown keys"),
    ("verify", "all", "must be a dict"),
    ("verify", True, "must be a dict"),
    ("receipt", {}, "has no folder"),
    ("receipt", {"folder": "/data/receipts"}, "folder must be the URI"),
    ("receipt", {"folder": Path("/data")}, "folder must be the URI"),
    ("receipt", RECEIPT | {"approved_by": 7.5}, "approved_by is of type float"),
    ("receipt", RECEIPT | {"approved_by": {}}, "approved_by is of type dict"),
    ("receipt", RECEIPT | {"approved_by": {"chosen_options": ["Reject"]}}, "was not approved"),
    ("receipt", RECEIPT | {"path": "s3://b"}, "unknown keys"),
    ("receipt", "s3://bucket/receipts", "must be a dict"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_one_rule_refuses_a_wrong_value_at_parse_time_and_at_run_time(name, value, words):
    for rendered in (False, True):
        with pytest.raises(KoreInputError, match=words) as refusal:
            CHECKS[name](value, rendered=rendered)
        assert refusal.value.consequence is Consequence.NOT_SENT
    with pytest.raises(KoreInputError, match=words):
        make(ERASE, **{name: value})


@pytest.mark.parametrize("rendered", [False, True])
def test_an_unknown_key_is_shown_only_where_the_author_wrote_it(rendered):
    with pytest.raises(KoreInputError) as refusal:
        check_receipt(RECEIPT | {"person@example.com": 1}, rendered=rendered)
    assert ("person@example.com" in str(refusal.value)) is not rendered


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deadline", "received_at"),
        ("deadline", "regime"),
        ("verify", "people"),
        ("verify", "since"),
        ("receipt", "folder"),
        ("receipt", "approved_by"),
    ],
)
def test_a_key_that_must_be_there_or_stands_in_a_receipt_must_not_render_to_nothing(name, key, nothing):
    with pytest.raises(KoreInputError, match=f"{key} of {name} is empty, or renders to nothing"):
        CHECKS[name](GOOD[name] | {key: nothing})


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("key", ["channel_types", "on_not_checkable"])
def test_a_key_that_may_be_absent_is_absent_if_it_renders_to_nothing(key, nothing):
    assert check_verify(VERIFY | {key: nothing}) == check_verify(VERIFY)


@pytest.mark.parametrize("check", [*CHECKS.values(), check_approved_plan])
def test_an_option_that_is_none_is_absent(check):
    assert check(None) is None
    assert check(None, rendered=False) is None


@given(
    st.dictionaries(
        st.sampled_from(["people", "since", "channel_types", "on_not_checkable", "x", ""]),
        st.one_of(st.none(), st.text(max_size=5), st.integers(), st.sampled_from(["all", "fail", SINCE, ["rtm"]])),
    )
)
def test_whatever_passes_at_run_time_passes_at_parse_time(value):
    try:
        checked = check_verify(value)
    except KoreInputError:
        return
    assert value.keys() >= {"people", "since"}
    assert checked.keys() == {"people", "since", "channel_types", "on_not_checkable"}
    check_verify(value, rendered=False)


@given(st.text(max_size=12))
def test_how_many_to_search_for_is_all_or_a_sample_of_at_least_one(text):
    good = text == "all" or (text[:7] == "sample:" and text[7:].isdecimal() and text[7:].isascii() and text[7] != "0")
    try:
        assert check_sample(text) == text
    except KoreInputError:
        assert not good
    else:
        assert good


@pytest.mark.parametrize("people", ["all", "sample:1", "sample:20"])
def test_a_number_of_users_to_search_for_is_accepted(people):
    assert check_sample(people) == people


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Vera", "Vera"),
        (7, "7"),
        ({"responded_by_user": {"id": "7", "name": "Vera"}}, "Vera"),
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": None}}, "7"),
    ],
)
def test_who_approved_is_a_name_or_the_output_of_an_approval(value, name):
    assert check_receipt(RECEIPT | {"approved_by": value})["approved_by"] == name


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_the_plan_is_the_output_of_a_dry_run_or_its_fingerprint():
    assert check_approved_plan(PLAN) == PLAN
    assert check_approved_plan({"dry_run": True, "plan_fingerprint": PLAN}) == PLAN


@pytest.mark.parametrize(
    "value",
    [
        *NOTHING[1:],
        *("0" * 32, f"kp:{'0' * 31}", f"kp:{'0' * 33}", f"kp:{'G' * 32}", b"kp:", True, 0, {}, []),
        {"plan_fingerprint": 1},
        {"erased": 3, "open": 0, "not_erased": 0},
    ],
)
def test_what_has_no_fingerprint_approves_nothing(value):
    for rendered in (False, True):
        with pytest.raises(KoreInputError, match="approved_plan"):
            check_approved_plan(value, rendered=rendered)
    with pytest.raises(KoreInputError, match="approved_plan"):
        make(ERASE, approved_plan=value)


# --- literals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["{{ x }}", "s3://{{ x }}", "{% if x %}{% endif %}", {"a": {"b": "{{ x }}"}}, print])
def test_a_template_is_rendered_later(value):
    assert is_rendered_later(value)


@pytest.mark.parametrize("value", ["x", "{x}", "", None, 1, True, {}, {"a": 1}, [], Path("/data"), SINCE])
def test_a_literal_is_not_rendered_later(value):
    assert not is_rendered_later(value)


@given(st.text())
def test_what_is_nothing_is_blank_or_says_so(text):
    assert is_nothing(text) == (not text.strip() or text.strip() == "None")


LITERALS = [
    (ERASE, {"bot_ids": None}, "neither bot_ids nor all_bots"),
    (ERASE, {"bot_ids": []}, "neither bot_ids nor all_bots"),
    (ERASE, {"bot_ids": "st-1"}, "bot_ids must be a list"),
    (ERASE, {"bot_ids": ["{{ x }}", " "]}, "bot id at position 2 is blank"),
    (ERASE, {"bot_ids": ["st-1", 2]}, "bot id at position 2"),
    (ERASE, {"all_bots": True}, "both bot_ids and all_bots"),
    (ERASE, {"bot_ids": None, "all_bots": "True"}, "all_bots must be True or False"),
    (ERASE, {"bot_ids": "{{ x }}", "all_bots": 1}, "all_bots must be True or False"),
    (ERASE, {"bot_ids": [" "], "all_bots": "{{ x }}"}, "bot id at position 1 is blank"),
    (ERASE, {"dry_run": "False"}, "dry_run must be True or False"),
    (ERASE, {"max_users": 0}, "max_users must be a whole number"),
    (ERASE, {"max_users": "many"}, "max_users must be a whole number"),
    (ERASE, {"batch_size": 0}, "batch_size"),
    (ERASE, {"on_empty": "ignore"}, "on_empty"),
    (ERASE, {"on_ambiguous_submit": "ignore"}, "on_ambiguous_submit"),
    (ERASE, {"check_members": "no"}, "check_members"),
    (ERASE, {"wait_for_completion": "no"}, "wait_for_completion"),
    (ERASE, {"deferrable": None}, "deferrable"),
    (ERASE, {"poll_interval": 0}, "poll_interval"),
    (ERASE, {"timeout": timedelta(0)}, "timeout"),
    (ERASE, {"exported": "file:///manifest.json"}, "exported is of type str"),
    (ERASE, {"exported": {}}, "exported is of type dict"),
    (ERASE, {"exported": ""}, "exported is empty"),
    (ERASE, {"wait_for_completion": False, "verify": VERIFY}, "need wait_for_completion=True"),
    (ERASE, {"wait_for_completion": False, "receipt": "{{ x }}"}, "need wait_for_completion=True"),
    (EXPORT, {"bot_ids": None}, "neither bot_ids nor all_bots"),
    (EXPORT, {"destination": "/data"}, "destination must be the URI"),
    (EXPORT, {"since": "yesterday"}, "since"),
    (EXPORT, {"since": "{{ x }}", "until": "yesterday"}, "until"),
    (EXPORT, {"since": date(2026, 1, 2), "until": date(2026, 1, 1)}, "must be earlier than until"),
    (EXPORT, {"since": timedelta(days=1), "until": timedelta(days=2)}, "must be earlier than until"),
    (EXPORT, {"until": datetime(2999, 1, 1, tzinfo=UTC)}, "must not be later"),
    (EXPORT, {"channel_types": []}, "channel_types must be a list"),
    (EXPORT, {"channel_types": ["{{ x }}", "a\nb"]}, "channel at position 2"),
    (EXPORT, {"max_users": 0}, "max_users"),
    (SEARCH, {"bot_ids": ["st-1"], "all_bots": True}, "both bot_ids and all_bots"),
    (SEARCH, {"since": None}, "since"),
    (SEARCH, {"people": "none"}, "people must be"),
    (SEARCH, {"channel_types": None}, "channel_types must be a list"),
    (SEARCH, {"on_not_checkable": "ignore"}, "on_not_checkable"),
    (WAIT, {"request_id": None}, "request_id is of type NoneType"),
    (WAIT, {"request_id": "a b"}, "must be a plain id"),
    (WAIT, {"request_id": []}, "no erasure request"),
    (WAIT, {"user_count": 0}, "user_count must be a whole number"),
    (WAIT, {"request_id": "{{ x }}", "user_count": "few"}, "user_count must be a whole number"),
    (WAIT, {"request_id": ["eud-1", "eud-2"], "user_count": 2}, "user_count goes with one bare request id"),
    (WAIT, {"deadline": {"regime": "gdpr"}}, "has no received_at"),
    (WAIT, {"deferrable": "yes"}, "deferrable must be"),
]


@pytest.mark.parametrize(("operator", "arguments", "words"), LITERALS)
def test_a_literal_that_is_wrong_is_refused_when_the_dag_is_parsed(operator, arguments, words):
    with pytest.raises(KoreInputError, match=words):
        make(operator, **arguments)


LATER = [
    (ERASE, ["bot_ids", "all_bots", "dry_run", "max_users", "approved_plan", "exported", *GOOD]),
    (EXPORT, ["bot_ids", "all_bots", "destination", "since", "until", "channel_types", "max_users"]),
    (SEARCH, ["bot_ids", "all_bots", "since", "until", "people"]),
    (WAIT, ["request_id", "user_count", "deadline"]),
]


@pytest.mark.parametrize("kind", ["template", "xcom"])
@pytest.mark.parametrize(("operator", "name"), [(operator, name) for operator, names in LATER for name in names])
def test_what_is_rendered_later_is_not_refused_when_the_dag_is_parsed(operator, name, kind):
    with DAG("dag", schedule=None):
        value = "{{ params.x }}" if kind == "template" else task(task_id="first")(lambda: 1)()
        made = make(operator, **{name: value})
    assert isinstance(value, XComArg) == bool(made.upstream_task_ids)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, value in GOOD.items() for key in value])
def test_a_key_that_is_rendered_later_is_not_refused_and_makes_a_task_wait(name, key):
    with DAG("dag", schedule=None):
        make(ERASE, **{name: GOOD[name] | {key: "{{ params.x }}"}})
        value = GOOD[name] | {key: task(task_id="first")(lambda: 1)()}
        cls, arguments = ERASE
        assert cls(task_id="other", **arguments, **{name: value}).upstream_task_ids == {"first"}


def test_a_span_before_a_run_has_no_order_with_a_day_before_the_run_is_known():
    make(EXPORT, since=timedelta(days=1), until=date(2026, 1, 1))


def test_the_operator_waits_by_default():
    assert make(ERASE).wait_for_completion is True
    assert make(ERASE, wait_for_completion=False).wait_for_completion is False
