"""``@task.kore_erase``: whom a function names is erased, and is nowhere else."""

import json
import logging
import re
import sqlite3
import traceback
from contextlib import closing

import pytest
from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.decorators.erasure import kore_erase_task
from airflow_provider_kore.exceptions import (
    KoreInputError,
    KoreNotErasedError,
    KoreResumeError,
    KoreSourceError,
)
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.user_ids import ChannelUserId, FileUserIds, SqlUserIds, UserIdSource
from airflow_provider_kore.user_ids.argument import InlineUserIds
from tests.integration.provider.conftest import erasures
from tests.integration.provider.task_runner import FakeStore, TaskRunner

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.1
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

WAITS = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
PEOPLE = [f"Xq7ZwK{number}@example.com" for number in range(1, 6)]
MARK = "Xq7ZwK"
ARGUMENTS = {"task_id": "erase", "bot_ids": ["st-1"], "poll_interval": 0.1, "timeout": 20}


@pytest.fixture
def erase_whom(sandbox, connection):
    """Make a runner of a task that is decorated; ``called_with``: the arguments of the function."""

    def make(function, *op_args, retries=0, called_with=None, **arguments):
        def make_operator():
            decorated = task.kore_erase(**ARGUMENTS | arguments)(function)
            return decorated(*op_args, **called_with or {}).operator

        return TaskRunner(make_operator, store=FakeStore(), retries=retries)

    return make


@pytest.fixture
def people_file(tmp_path):
    file = tmp_path / "people.txt"
    file.write_text("\n".join(PEOPLE) + "\n")
    return file


def people():
    return list(PEOPLE)


# --- What it is -----------------------------------------------------------------------------------------------------


def test_airflow_knows_the_decorator():
    assert task.kore_erase is kore_erase_task


def test_its_task_is_the_erasing_operator_under_the_name_of_the_function():
    operator = task.kore_erase(bot_ids=["st-1"], wait_for_completion=False)(people)().operator
    assert isinstance(operator, KoreEraseUserDataOperator)
    assert (operator.task_id, operator.bot_ids, operator.wait_for_completion) == ("people", ["st-1"], False)
    assert operator.operator_name == "@task.kore_erase"


def in_a_dag():
    """Parse a DAG with a decorated task, alone and mapped, whose function must not be called."""
    with DAG("dag", schedule=None) as dag:

        @task.kore_erase(**ARGUMENTS)
        def whom(path, column="id"):
            raise AssertionError("called")

        whom("{{ params.path }}")
        whom.override(task_id="mapped").partial(column="email").expand(path=["file:///a", "file:///b"])
    return dag


def test_a_dag_with_it_survives_serialisation_the_same_each_time_and_calls_no_function():
    written = [json.dumps(DagSerialization.to_dict(in_a_dag()), sort_keys=True) for _ in range(2)]
    assert written[0] == written[1]
    again = DagSerialization.from_dict(json.loads(written[0]))
    assert again.get_task("mapped").is_mapped
    for task_id in ("erase", "mapped"):
        assert set(again.get_task(task_id).extra_links) == {"Erasures", "Kore.ai Admin Console"}
        assert {"op_args", "op_kwargs", "user_ids", "bot_ids"} <= set(again.get_task(task_id).template_fields)
    assert re.search(r"whom returns", again.get_task("erase").user_ids)


def test_user_ids_cannot_be_given_besides():
    with pytest.raises(TypeError, match="user_ids"):
        task.kore_erase(user_ids=PEOPLE, **ARGUMENTS)(people)()


# --- What a function may return -------------------------------------------------------------------------------------


def one_by_one():
    yield from PEOPLE


@WAITS
@pytest.mark.parametrize(
    "function",
    [people, one_by_one, lambda: tuple(PEOPLE), lambda: iter(PEOPLE), lambda: InlineUserIds(list(PEOPLE))],
    ids=["list", "generator function", "tuple", "iterator", "source of given users"],
)
def test_everybody_whom_a_function_names_is_erased(erase_whom, sandbox, function, deferrable):
    sandbox.configure(duration=1)  # or a busy machine sees it done at the first look, and does not defer
    end = erase_whom(function, batch_size=2, deferrable=deferrable).run()
    assert end.state == "success", end.text
    assert (end.output["user_count"], end.output["erased"]) == (5, 5)
    assert erasures(sandbox) == [PEOPLE[:2], PEOPLE[2:4], PEOPLE[4:]]
    assert len(end.deferrals) == deferrable


@pytest.mark.parametrize("returned", [str, FileUserIds], ids=["URI", "source"])
def test_a_function_may_say_where_the_users_are(erase_whom, sandbox, people_file, returned):
    end = erase_whom(lambda: returned(people_file.as_uri())).run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [PEOPLE]


def test_a_function_may_name_channel_users(erase_whom, sandbox):
    end = erase_whom(lambda: [ChannelUserId("slack", "U1"), {"channel_id": "slack", "channel_user_id": "U2"}]).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 2


def nobody():
    return []


def test_a_function_that_names_nobody_skips_the_task_if_it_shall(erase_whom, sandbox):
    assert erase_whom(nobody, on_empty="skip").run().state == "skipped"
    assert erase_whom(nobody).run().state == "failed"
    assert not sandbox.log()


@pytest.mark.parametrize(
    "returned",
    [PEOPLE[0], None, {PEOPLE[0]: 1}, set(PEOPLE), PEOPLE[0].encode(), 7, [*PEOPLE, ""], [*PEOPLE, None]],
    ids=["bare id", "None", "mapping", "set", "bytes", "number", "empty id", "no id"],
)
@pytest.mark.parametrize("given", [lambda value: value, InlineUserIds], ids=["as it is", "as a source"])
def test_anything_else_is_refused_before_the_first_request(erase_whom, sandbox, caplog, returned, given):
    caplog.set_level(logging.DEBUG)
    end = erase_whom(lambda: given(returned), batch_size=2).run()
    assert isinstance(end.error, KoreInputError)
    assert not sandbox.log()
    assert MARK not in caplog.text + "".join(traceback.format_exception(end.error))


# --- What it is called with -----------------------------------------------------------------------------------------


def test_a_function_gets_its_arguments_and_what_it_asks_of_the_context(erase_whom, sandbox):
    seen = []

    def whom(first, second, *, third, ti, dag_run=None, **context):
        seen.append((first, second, third, ti.try_number, dag_run.run_id, context["task"].task_id))
        return PEOPLE

    end = erase_whom(whom, "a", "b", called_with={"third": "c"}).run()
    assert end.state == "success", end.text
    assert set(seen) == {("a", "b", "c", 1, "run", "erase")}


def test_the_task_calls_its_source_by_the_name_of_the_function_and_not_by_its_arguments(erase_whom, sandbox):
    seen = []

    def whom(reference, task):
        seen.append(repr(task.user_ids))
        return PEOPLE

    assert erase_whom(whom, "file:///reference").run().state == "success"
    assert all("whom returns" in shown and "reference" not in shown for shown in seen)


def test_a_function_without_an_argument_that_it_needs_is_refused_when_the_dag_is_read():
    with pytest.raises(TypeError, match="path"):
        task.kore_erase(**ARGUMENTS)(lambda path: path)()


def test_arguments_are_rendered_and_what_the_function_returns_is_not(erase_whom, sandbox):
    operator = task.kore_erase(**ARGUMENTS)(lambda path, folder: path)("{{ folder }}/a", folder="{{ folder }}").operator
    operator.render_template_fields({"folder": "file:///data"})
    assert (operator.op_args, operator.op_kwargs) == (("file:///data/a",), {"folder": "file:///data"})
    end = erase_whom(lambda: ["{{ ti.run_id }}"]).run()
    assert isinstance(end.error, KoreInputError)
    assert not sandbox.log()


def test_an_argument_named_as_the_context_names_something_is_for_the_function_alone(erase_whom, sandbox):
    end = erase_whom(lambda ti: [f"u-{ti}"], called_with={"ti": "given"}).run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [["u-given"]]


# --- When it is called again ----------------------------------------------------------------------------------------


def test_a_function_is_called_at_each_reading_and_in_each_try(erase_whom, sandbox):
    sandbox.configure(refuse=[PEOPLE[1]])
    tries = []

    def whom(ti):
        tries.append(ti.try_number)
        yield from PEOPLE

    runner = erase_whom(whom, batch_size=2, retries=1, deferrable=True)
    first = runner.run()
    assert isinstance(first.error, KoreNotErasedError)
    assert tries.count(1) >= 2  # to check and to submit
    sandbox.configure(refuse=[])
    second = runner.run()
    assert second.state == "success", second.text
    assert tries.count(2) >= 1
    assert (second.output["user_count"], second.output["erased"]) == (5, 5)
    assert erasures(sandbox)[3:] == [[PEOPLE[1]]]


def test_a_function_is_called_again_after_a_deferral_with_all_its_arguments(erase_whom, sandbox, scarce):
    calls = []

    def whom(prefix, ti):
        calls.append(ti)
        return [f"u-{prefix}{number}" for number in range(6)]

    end = erase_whom(whom, "p", batch_size=1, deferrable=True, timeout=60).run()
    assert end.state == "success", end.text
    assert end.deferrals[0]["state"]["phase"] == "submit"
    assert end.output["erased"] == 6
    assert erasures(sandbox) == [[f"u-p{number}"] for number in range(6)]
    assert len(calls) >= 3


def test_a_function_that_names_others_in_a_retry_is_refused(erase_whom, sandbox):
    sandbox.configure(refuse=[PEOPLE[0]])
    runner = erase_whom(lambda ti: PEOPLE[: 5 - ti.try_number], retries=1)
    assert runner.run().state == "failed"
    count = len(erasures(sandbox))
    assert isinstance(runner.run().error, KoreResumeError)
    assert len(erasures(sandbox)) == count


# --- What nobody sees -----------------------------------------------------------------------------------------------


def raise_at_once():
    raise ValueError(PEOPLE[0])


def raise_on_the_way():
    yield PEOPLE[0]
    raise LookupError(PEOPLE[0])


def raise_a_skip():
    raise AirflowSkipException(PEOPLE[0])


class OwnSource(UserIdSource):
    def read(self):
        raise ConnectionError(PEOPLE[0])
        yield


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (raise_at_once, "ValueError"),
        (raise_on_the_way, "LookupError"),
        (raise_a_skip, "AirflowSkipException"),
        (OwnSource, "ConnectionError"),
    ],
)
def test_an_exception_of_a_function_is_told_by_its_type_alone(erase_whom, sandbox, caplog, function, kind):
    caplog.set_level(logging.DEBUG)
    end = erase_whom(function).run()
    assert isinstance(end.error, KoreSourceError)
    assert kind in end.text
    assert MARK not in caplog.text + "".join(traceback.format_exception(end.error))
    assert not sandbox.log()


def test_a_file_that_a_function_names_and_is_not_there_is_told_as_such(erase_whom, sandbox, tmp_path):
    end = erase_whom(lambda: (tmp_path / "missing.txt").as_uri()).run()
    assert isinstance(end.error, KoreSourceError)
    assert "there is no such file" in end.text


def test_a_source_that_a_function_names_is_read_by_a_query(erase_whom, sandbox, tmp_path, monkeypatch):
    with closing(sqlite3.connect(tmp_path / "people.db")) as database, database:
        database.execute("CREATE TABLE people (id TEXT)")
        database.executemany("INSERT INTO people VALUES (?)", [(person,) for person in PEOPLE])
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "people.db")}))
    end = erase_whom(lambda: SqlUserIds("people", "SELECT id FROM people ORDER BY id")).run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [PEOPLE]


@WAITS
def test_the_ids_are_in_no_xcom_rendered_field_deferral_or_line_of_the_log(
    erase_whom, sandbox, people_file, caplog, deferrable
):
    caplog.set_level(logging.DEBUG)
    shown = []

    def whom(uri, task):
        shown.extend(str(getattr(task, name)) for name in task.template_fields)
        return ObjectStoragePath(uri).read_text().split()

    sandbox.configure(refuse=[PEOPLE[0]], duration=1)
    runner = erase_whom(whom, people_file.as_uri(), deferrable=deferrable, retries=1)
    ends = [runner.run(), runner.run()]
    assert [end.state for end in ends] == ["failed", "failed"]
    for end in ends:
        assert end.xcoms["return_value"].keys() >= {"requests", "user_count", "erased", "not_erased"}
        assert len(end.deferrals) == deferrable
        assert MARK not in json.dumps([end.xcoms, end.deferrals])
        assert MARK not in "".join(traceback.format_exception(end.error))
    assert people_file.as_uri() in "".join(shown)
    assert MARK not in "".join(shown) + caplog.text + json.dumps(runner.store.values)


# --- Mapping --------------------------------------------------------------------------------------------------------


def mapped(expand):
    with DAG("dag", schedule=None):
        return expand(task.kore_erase(**ARGUMENTS)(lambda path, column=None: FileUserIds(path, column))).operator


@pytest.mark.parametrize(
    "expand",
    [
        lambda decorated: decorated.expand(path=["file:///a.csv"], column=["email"]),
        lambda decorated: decorated.partial(column="email").expand(path=["file:///a.csv", "file:///b.csv"]),
        lambda decorated: decorated.expand_kwargs([{"path": "file:///a.csv", "column": "email"}]),
    ],
    ids=["expand", "partial and expand", "expand_kwargs"],
)
def test_a_mapped_task_erases_whom_its_reference_names(sandbox, connection, tmp_path, expand):
    file = tmp_path / "people.csv"
    file.write_text("email\n" + "\n".join(PEOPLE) + "\n")
    operator = mapped(expand)
    partial = operator.partial_kwargs["op_kwargs"]
    given = {"path": file.as_uri(), "column": "email"}
    resolved = {name: value for name, value in given.items() if name not in partial}
    end = TaskRunner(lambda: operator.unmap({"op_kwargs": resolved}), store=FakeStore()).run()
    assert end.state == "success", end.text
    assert erasures(sandbox) == [PEOPLE]
