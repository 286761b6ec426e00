"""A source of user ids refers to other tasks as an XCom does, and each task reads a copy of its own."""

import json
import pickle
import re
import subprocess
import sys
import traceback

import pytest
from airflow.sdk import DAG, BaseOperator, task
from rendering_tasks import Returns, make_dag, render

from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreSourceError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
from airflow_provider_kore.user_ids import (
    CallableUserIds,
    ChannelUserId,
    FileUserIds,
    SqlUserIds,
    UserIdSource,
)
from airflow_provider_kore.user_ids.argument import InlineUserIds

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.1
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
try:
    from airflow.sdk.serde import serialize
except ImportError:  # Airflow 3.1
    from airflow.serialization.serde import serialize

PERSON = "Xq7ZwK9@example.com"
BOTS = {"bot_ids": ["st-1"]}


class OwnSource(UserIdSource):
    """A source that a user of the provider wrote."""

    template_fields = ("where",)

    def __init__(self, where):
        self.where = where

    def read(self):
        yield self.where


def erase(user_ids, task_id="erase", **arguments):
    return KoreEraseUserDataOperator(task_id=task_id, user_ids=user_ids, **BOTS | arguments)


def mapped(**arguments):
    return KoreEraseUserDataOperator.partial(task_id="erase", **arguments)


def reads(operator):
    """Show the source of a rendered operator."""
    return repr(operator.user_ids)


# --- Which tasks come before ----------------------------------------------------------------------------------------

SOURCES = [
    pytest.param(lambda xcom: FileUserIds(xcom, column="email"), id="file"),
    pytest.param(lambda xcom: FileUserIds("file:///p.csv", column=xcom), id="column of a file"),
    pytest.param(lambda xcom: SqlUserIds(conn_id="people", sql=xcom), id="query"),
    pytest.param(lambda xcom: SqlUserIds(conn_id=xcom, sql="select 1"), id="connection"),
    pytest.param(lambda xcom: SqlUserIds("people", "select 1", column=xcom), id="column of a query"),
    pytest.param(OwnSource, id="source of somebody else"),
    pytest.param(lambda xcom: OwnSource({"in": [xcom]}), id="source with an XCom inside a list and a mapping"),
    pytest.param(lambda xcom: OwnSource(FileUserIds(xcom)), id="source in a source"),
]
TASKS = [
    pytest.param(erase, id="erase"),
    pytest.param(
        lambda user_ids: KoreExportUserDataOperator(
            task_id="erase", user_ids=user_ids, destination="file:///d", since="2026-01-01", **BOTS
        ),
        id="export",
    ),
    pytest.param(
        lambda user_ids: KoreVerifyErasureOperator(task_id="erase", user_ids=user_ids, since="2026-01-01", **BOTS),
        id="verify",
    ),
    pytest.param(lambda user_ids: mapped(user_ids=user_ids).expand(bot_ids=[["st-1"], ["st-2"]]), id="partial"),
    pytest.param(lambda user_ids: mapped(**BOTS).expand(user_ids=[user_ids, user_ids]), id="expand"),
]


def first_letter(value):
    return value[0]


def assert_runs_after_first(dag, task_id="erase"):
    assert dag.get_task(task_id).upstream_task_ids == {"first"}
    again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert again.get_task(task_id).upstream_task_ids == {"first"}


@pytest.mark.parametrize("make_task", TASKS)
@pytest.mark.parametrize("make_source", SOURCES)
def test_a_task_runs_after_the_task_that_its_source_refers_to(make_source, make_task):
    with make_dag() as dag:
        make_task(make_source(Returns(task_id="first").output))
    assert_runs_after_first(dag)


@pytest.mark.parametrize("make_task", TASKS)
@pytest.mark.parametrize(
    "make_xcom",
    [
        lambda first: FileUserIds(first.output["key"]),
        lambda first: FileUserIds(first.output.map(first_letter)),
        lambda first: FileUserIds(first.output.zip(first.output)),
        lambda first: first.output,
        lambda first: first.output.map(first_letter),
        lambda first: [first.output, first.output],
        lambda first: [{"channel_id": "slack", "channel_user_id": first.output}],
    ],
    ids=["key", "map", "zip", "output", "output mapped", "list", "part of a channel user"],
)
def test_a_task_runs_after_the_task_that_any_kind_of_xcom_refers_to(make_xcom, make_task):
    with make_dag() as dag:
        make_task(make_xcom(Returns(task_id="first")))
    assert_runs_after_first(dag)


def test_a_decorated_task_runs_after_the_task_that_its_argument_refers_to():
    def whom(source):
        return source

    with make_dag() as dag:
        task.kore_erase(**BOTS)(whom)(FileUserIds(Returns(task_id="first").output))
    assert_runs_after_first(dag, "whom")


def test_a_source_that_is_assigned_later_counts_too():
    with make_dag():
        first = Returns(task_id="first")
        operator = erase("file:///p.txt")
        operator.user_ids = FileUserIds(first.output)
    assert operator.upstream_task_ids == {"first"}


# --- What is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize(
    ("make_source", "shown"),
    [
        (lambda xcom: FileUserIds(xcom, "{{ params.c }}"), "user ids in s3://b/p.csv, column email"),
        (lambda xcom: FileUserIds("s3://b/{{ ti.map_index }}.csv", "c"), "user ids in s3://b/-1.csv, column c"),
        (lambda xcom: SqlUserIds("{{ params.c }}", xcom), "user ids by a query through email"),
        (lambda xcom: "s3://b/{{ params.c }}.txt", "user ids in s3://b/email.txt"),
        (lambda xcom: xcom, "user ids in s3://b/p.csv"),
        (lambda xcom: [{"channel_id": xcom, "channel_user_id": "{{ params.c }}"}], "1 user ids"),
    ],
)
def test_each_field_of_a_source_is_rendered(make_source, shown, native):
    with make_dag(native=native):
        operator = erase(make_source(Returns(task_id="first").output))
    rendered = render(operator, xcoms={"first": "s3://b/p.csv"}, params={"c": "email"})
    assert reads(rendered) == shown


def test_every_template_field_of_a_query_is_rendered():
    with make_dag():
        operator = erase(SqlUserIds("{{ params.a }}", "select {{ params.b }}", "{{ params.c }}"))
    source = render(operator, params={"a": "people", "b": "id", "c": "id"}).user_ids
    assert (source.conn_id, source.sql, source.column) == ("people", "select id", "id")


def test_tasks_that_share_a_source_each_read_their_own():
    shared = FileUserIds("s3://b/{{ task.task_id }}.txt", "{{ task.task_id }}")
    with make_dag():
        operators = [erase(shared, task_id) for task_id in ("one", "two")]
    assert [reads(render(operator)) for operator in operators] == [
        "user ids in s3://b/one.txt, column one",
        "user ids in s3://b/two.txt, column two",
    ]
    assert (shared.uri, shared.column) == ("s3://b/{{ task.task_id }}.txt", "{{ task.task_id }}")


@pytest.mark.parametrize(
    ("expand", "shown"),
    [
        (
            lambda first: mapped(user_ids=FileUserIds("s3://b/{{ ti.map_index }}.txt")).expand(bot_ids=[["1"], ["2"]]),
            ["user ids in s3://b/0.txt", "user ids in s3://b/1.txt"],
        ),
        (
            lambda first: mapped(user_ids=FileUserIds(first.output["one"])).expand(bot_ids=[["1"], ["2"]]),
            ["user ids in s3://b/one.txt", "user ids in s3://b/one.txt"],
        ),
        (
            lambda first: mapped(**BOTS).expand(user_ids=[FileUserIds("s3://b/{{ 'a' }}.txt"), "s3://b/b.txt"]),
            ["user ids in s3://b/a.txt", "user ids in s3://b/b.txt"],
        ),
        (
            lambda first: mapped(**BOTS).expand(user_ids=first.output),
            ["user ids in s3://b/x.txt", "user ids in s3://b/y.txt"],
        ),
        (
            lambda first: mapped(**BOTS).expand(user_ids=first.output.map(lambda uri: FileUserIds(uri, "email"))),
            ["user ids in s3://b/x.txt, column email", "user ids in s3://b/y.txt, column email"],
        ),
        (
            lambda first: mapped().expand_kwargs(
                [{"user_ids": FileUserIds(first.output["one"], column), "bot_ids": ["1"]} for column in "ab"]
            ),
            ["user ids in s3://b/one.txt, column a", "user ids in s3://b/one.txt, column b"],
        ),
        (lambda first: mapped(**BOTS).expand(user_ids=[lambda: ["u-1"], [PERSON]]), ["<lambda> returns", "1 user ids"]),
    ],
    ids=["partial template", "partial XCom", "sources", "XCom of URIs", "mapped XCom", "expand_kwargs", "values"],
)
def test_each_mapped_instance_reads_its_own(expand, shown):
    with make_dag():
        operator = expand(Returns(task_id="first"))
    xcoms = {"first": ["s3://b/x.txt", "s3://b/y.txt"], ("first", "one"): "s3://b/one.txt"}
    for map_index, place in enumerate(shown):
        assert reads(render(operator, xcoms=xcoms, map_index=map_index)).endswith(place)


@pytest.mark.parametrize(
    "expand",
    [
        lambda first: mapped(user_ids=FileUserIds("{{ ds }}", "a")).expand(bot_ids=[["1"], ["2"]]),
        lambda first: mapped(user_ids=FileUserIds(first.output)).expand(bot_ids=[["1"], ["2"]]),
        lambda first: mapped(user_ids=CallableUserIds(make_dag)).expand(bot_ids=[["1"], ["2"]]),
        lambda first: mapped(**BOTS).expand(user_ids=[FileUserIds("s3://a"), SqlUserIds("people", "select 1")]),
        lambda first: mapped(**BOTS).expand(user_ids=first.output.map(first_letter)),
    ],
)
def test_a_dag_with_mapped_sources_is_serialised_the_same_each_time(expand):
    def write():
        with make_dag() as dag:
            expand(Returns(task_id="first"))
        return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)

    assert write() == write()
    assert not re.search(r"0x[0-9a-f]{6}", write())
    assert DagSerialization.from_dict(json.loads(write())).get_task("erase").is_mapped


def test_what_comes_out_of_an_xcom_is_no_template():
    """A user id may be text that somebody outside chose, so that it must not be evaluated."""
    found = [["{{ 1 // 0 }}", "u-{{ 7 * 7 }}"]]
    with make_dag(native=True):
        first = Returns(task_id="first")
        operators = [mapped(**BOTS).expand(user_ids=first.output), erase(first.output["one"], "unmapped")]
    for operator, map_index in zip(operators, (0, -1), strict=True):
        source = render(operator, xcoms={"first": found, ("first", "one"): found[0]}, map_index=map_index).user_ids
        assert source.values == found[0]


# --- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize(
    ("make_source", "name"),
    [
        (lambda nothing: FileUserIds(nothing), "uri of FileUserIds"),
        (lambda nothing: FileUserIds("s3://b/p.csv", nothing), "column of FileUserIds"),
        (lambda nothing: SqlUserIds(nothing, "select 1"), "conn_id of SqlUserIds"),
        (lambda nothing: SqlUserIds("people", nothing), "sql of SqlUserIds"),
        (lambda nothing: OwnSource(nothing), "where of OwnSource"),
        (lambda nothing: nothing, "user_ids"),
    ],
)
@pytest.mark.parametrize("make_nothing", ["{{ params.empty }}", "{{ params.none }}", "{{ params.blank }}", "XCom"])
def test_a_reference_that_renders_to_nothing_is_refused_by_its_name(make_source, name, make_nothing, native):
    with make_dag(native=native):
        nothing = Returns(task_id="first").output if make_nothing == "XCom" else make_nothing
        operator = erase(make_source(nothing))
    with pytest.raises(KoreInputError, match=f"^{name} renders to nothing") as caught:
        render(operator, xcoms={"first": None}, params={"empty": "", "none": None, "blank": " \n"})
    assert caught.value.consequence is Consequence.NOT_SENT


@pytest.mark.parametrize("name", ["kore_conn_id", "request_id"])
def test_an_argument_that_a_sensor_needs_must_not_render_to_nothing(name):
    with make_dag():
        sensor = KoreErasureSensor(task_id="wait", **{"request_id": "eud-1", name: "{{ params.none }}"})
    with pytest.raises(KoreInputError, match=f"^{name} renders to nothing"):
        render(sensor, params={"none": None})


@pytest.mark.parametrize("value", [7, ["s3://b/p.csv"], {"uri": "s3://b"}, b"x"])
def test_a_field_that_is_no_text_is_refused_by_its_name_and_type(value):
    with make_dag():
        first = Returns(task_id="first")
        operators = [erase(FileUserIds(first.output), "file"), erase(SqlUserIds("people", first.output), "query")]
    for operator, name in zip(operators, ("uri of FileUserIds", "sql of SqlUserIds"), strict=True):
        source = render(operator, xcoms={"first": value}).user_ids
        with pytest.raises(KoreInputError, match=f"{name} must be text, and is of type {type(value).__name__}"):
            next(source.read())


@pytest.mark.parametrize(
    "user_ids",
    [
        "{{ params.people.nobody }}",
        "s3://b/{{ params.people.split(params.people.nobody) }}",
        "{{ params.people",
        ["{{ params.people.nobody }}"],
        FileUserIds("{{ params.people.nobody }}"),
        FileUserIds("{{ params[params.people] }}"),
    ],
)
@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_what_cannot_be_rendered_is_refused_by_the_kind_of_error(user_ids, native, caplog):
    with make_dag(native=native):
        operator = erase(user_ids)
    with pytest.raises(KoreInputError, match=r"user_ids cannot be rendered: [A-Za-z]+Error") as caught:
        render(operator, params={"people": PERSON})
    assert "Xq7ZwK9" not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_reference_to_an_xcom_that_is_missing_is_refused_by_the_kind_of_error():
    with make_dag():
        operator = erase(FileUserIds(Returns(task_id="first").output["key"]))
    with pytest.raises(KoreInputError, match="XComNotFound"):
        render(operator)


def test_a_function_that_maps_an_xcom_fails_by_its_type_alone():
    def fail(value):
        raise LookupError(value)

    with make_dag():
        operator = erase(Returns(task_id="first").output.map(fail))
    with pytest.raises(KoreSourceError, match="LookupError") as caught:
        list(render(operator, xcoms={"first": [PERSON]}).user_ids.read())
    assert "Xq7ZwK9" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("others", [[PERSON], [7], [{"channel_id": "slack", "channel_user_id": PERSON}]])
def test_user_ids_beside_xcoms_are_refused(others):
    with make_dag():
        first = Returns(task_id="first")
        with pytest.raises(KoreInputError, match="beside references") as caught:
            erase([first.output, *others])
    assert PERSON not in str(caught.value)


@pytest.mark.parametrize("others", [[], [PERSON], [FileUserIds("s3://b")], ["{{ x }}"]])
def test_a_list_with_a_source_is_refused(others):
    with make_dag(), pytest.raises(KoreInputError, match="a task reads one source"):
        erase([FileUserIds("s3://a"), *others])


# --- XCom -----------------------------------------------------------------------------------------------------------


def test_a_channel_user_goes_into_no_xcom():
    with pytest.raises(KoreInputError, match="does not go into an XCom") as caught:
        serialize([ChannelUserId("slack", PERSON)])
    assert PERSON not in str(caught.value)


@pytest.mark.parametrize("source", [FileUserIds("s3://b"), SqlUserIds("people", "x"), InlineUserIds([PERSON])])
def test_a_source_goes_into_no_xcom(source):
    with pytest.raises(TypeError, match=type(source).__name__) as caught:
        serialize(source)
    assert PERSON not in str(caught.value)


# --- What else holds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [FileUserIds("s3://b", "c"), SqlUserIds("people", "x"), InlineUserIds(["u-1"])])
def test_a_source_survives_pickle(source):
    assert vars(pickle.loads(pickle.dumps(source))) == vars(source)


def test_the_command_and_the_names_of_the_package_need_no_airflow():
    program = (
        "import sys; import airflow_provider_kore.user_ids.__main__; from airflow_provider_kore.user_ids import "
        "ChannelUserId; assert 'airflow' not in sys.modules; from airflow_provider_kore import user_ids; "
        "assert all(getattr(user_ids, name).__name__ == name for name in user_ids.__all__)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    from airflow_provider_kore import user_ids

    with pytest.raises(AttributeError, match="nothing"):
        user_ids.nothing  # noqa: B018


def test_a_source_can_be_handed_to_any_task():
    """A task of somebody else gets the source rendered, and runs after what the source refers to."""

    class Other(BaseOperator):
        template_fields = ("source",)

        def __init__(self, *, source, **more):
            super().__init__(**more)
            self.source = source

    with DAG("dag", schedule=None):
        other = Other(task_id="other", source=FileUserIds(Returns(task_id="first").output, "{{ params.c }}"))
    assert other.upstream_task_ids == {"first"}
    rendered = render(other, xcoms={"first": "s3://b/p.csv"}, params={"c": "email"})
    assert repr(rendered.source) == "user ids in s3://b/p.csv, column email"
