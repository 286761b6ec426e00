"""What a task keeps when it leaves its worker comes back as it was, or counts as lost."""

import inspect
import json
import time
from datetime import timedelta

import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreWaitError
from airflow_provider_kore.resumption import (
    TRIGGERER_GRACE,
    failure_from_json,
    failure_to_json,
    kept_state,
    push_outcome,
    resume_later,
)

ERROR_TYPES = [
    error_type for _, error_type in inspect.getmembers(exceptions, inspect.isclass) if issubclass(error_type, KoreError)
]


def through_the_database(value):
    return json.loads(json.dumps(value))


def test_there_is_an_exception_for_each_kind_of_failure():
    assert len(ERROR_TYPES) > 10


@pytest.mark.parametrize("error_type", ERROR_TYPES)
@pytest.mark.parametrize("consequence", Consequence)
def test_every_failure_comes_back_as_it_went(error_type, consequence):
    error = error_type("It happened.", consequence=consequence, remedy="Do this.")
    back = failure_from_json(through_the_database(failure_to_json(error)))
    assert type(back) is error_type
    assert (back.problem, back.consequence, back.remedy) == ("It happened.", consequence, "Do this.")
    assert back.text == f"It happened. {consequence} Do this."
    assert str(back) == str(error)


@pytest.mark.parametrize("error_type", ERROR_TYPES)
def test_no_failure_is_an_exception_that_airflow_could_show_as_skipped(error_type):
    assert {base.__module__ for base in error_type.__mro__} <= {exceptions.__name__, "builtins"}


@pytest.mark.parametrize("name", ["NoSuchError", "Consequence", "StrEnum", "annotations", ""])
def test_a_failure_of_another_version_is_still_a_failure(name):
    fields = {"type": name, "problem": "p", "consequence": "SENT", "remedy": "r"}
    assert type(failure_from_json(fields)) is KoreWaitError


class Operator:
    do_xcom_push = True

    def defer(self, **arguments):
        self.deferred = arguments


class TaskInstance:
    """What an attempt keeps: XComs, of which those of other tasks and mapped instances are not its own."""

    task_id, map_index = "wait", 3

    def __init__(self):
        self.pushed = []

    def xcom_push(self, **arguments):
        self.pushed.append(arguments)

    def xcom_pull(self, *, task_ids, key, map_indexes):
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return next((through_the_database(xcom["value"]) for xcom in self.pushed if xcom["key"] == key), None)


def left(deadline=1.0, state=None):
    task, context = Operator(), {"ti": TaskInstance()}
    resume_later(task, context, "the trigger", state or {}, deadline)
    return task.deferred, context


def test_airflow_ends_the_attempt_some_time_after_its_deadline():
    deferred, _ = left(time.time() + 100)
    assert timedelta(seconds=95) <= deferred["timeout"] - TRIGGERER_GRACE <= timedelta(seconds=100)
    assert deferred["trigger"] == "the trigger"
    deferred, _ = left(deadline=1.0)
    assert deferred["timeout"] == TRIGGERER_GRACE


def test_what_a_task_needs_to_resume_does_not_travel_by_keyword_arguments_which_dag_test_drops():
    deferred, context = left(state={"a": 1})
    assert (deferred["method_name"], deferred.get("kwargs")) == ("resume", None)
    assert kept_state(context, lambda state: state["a"]) == 1


@pytest.mark.parametrize(
    "read",
    [lambda state: state["b"], lambda state: state + 1, lambda state: int(state["text"]), lambda state: state.b],
)
def test_a_state_of_another_form_counts_as_lost(read):
    _, context = left(state={"text": "x"})
    assert kept_state(context, read) is None


def test_a_state_that_was_never_kept_counts_as_lost():
    assert kept_state({"ti": TaskInstance()}, lambda state: state["a"]) is None


@pytest.mark.parametrize("wanted", [True, False])
def test_the_outcome_is_pushed_before_a_failure_unless_the_author_wants_no_xcom(wanted):
    operator, task_instance = Operator(), TaskInstance()
    operator.do_xcom_push = wanted
    push_outcome(operator, {"ti": task_instance}, {"erased": 1})
    assert task_instance.pushed == ([{"key": "return_value", "value": {"erased": 1}}] if wanted else [])
