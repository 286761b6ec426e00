"""With ``render_template_as_native_obj=True`` Airflow reads text as Python; here it stays as it is written."""

import datetime

import jinja2
import pytest
from airflow.sdk import task
from hypothesis import given
from hypothesis import strategies as st
from reading_users import read_user_ids
from rendering_tasks import Returns, make_dag, render

from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
from airflow_provider_kore.user_ids import FileUserIds, SqlUserIds

READ_BY_PYTHON = [
    "491701234567",
    "2024",
    "0x10",
    "1_000",
    "4.91701E+11",
    "1j",
    "'quoted'",
    '"quoted"',
    "b'bytes'",
    "None",
    "True",
    "[1, 2]",
    "{'a': 1}",
    "()",
    "text",
    " edges ",
    "line\n",
    "line\r\nline\n",
]
OPERATORS = {
    KoreEraseUserDataOperator: {"user_ids": "s3://b", "bot_ids": ["1"]},
    KoreErasureSensor: {"request_id": "eud-1"},
    KoreExportUserDataOperator: {
        "user_ids": "s3://b",
        "bot_ids": ["1"],
        "destination": "s3://d",
        "since": "2026-01-01",
    },
    KoreVerifyErasureOperator: {"user_ids": "s3://b", "bot_ids": ["1"], "since": "2026-01-01"},
}
FIELDS = [(operator, name) for operator in OPERATORS for name in operator.template_fields if name != "user_ids"]


def in_native_dag(operator, **arguments):
    with make_dag(native=True):
        return operator(task_id="task", **OPERATORS[operator] | arguments)


def rendered_user_ids(user_ids, **values):
    return render(in_native_dag(KoreEraseUserDataOperator, user_ids=user_ids), **values).user_ids


# --- Text without a template ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operator", "name"), FIELDS, ids=[f"{o.__name__}.{name}" for o, name in FIELDS])
def test_text_without_a_template_stays_as_it_is_written_in_each_argument(operator, name):
    made = in_native_dag(operator)
    for written in (READ_BY_PYTHON, tuple(READ_BY_PYTHON), {"in": {"it": READ_BY_PYTHON}}, *READ_BY_PYTHON):
        setattr(made, name, written)
        assert repr(getattr(render(made), name)) == repr(written)


@pytest.mark.parametrize("text", READ_BY_PYTHON)
def test_literal_user_ids_stay_as_they_are_written(text):
    ids = [text, {"channel_id": text, "channel_user_id": text}]
    assert rendered_user_ids(ids).values == ids


@given(st.text())
def test_any_text_without_a_template_stays_as_it_is_written(text):
    if "{{" not in text and "{%" not in text and "{#" not in text:
        assert rendered_user_ids([text]).values == [text]


@pytest.mark.parametrize("text", READ_BY_PYTHON)
@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_the_fields_of_a_source_stay_as_they_are_written(text, native):
    for source in (FileUserIds(text, text), SqlUserIds(text, text, text)):
        with make_dag(native=native):
            operator = KoreEraseUserDataOperator(task_id="task", user_ids=source, bot_ids=["1"])
        assert vars(render(operator).user_ids) == vars(source)


def whom(uri, column=None):
    return FileUserIds(uri, column)


def test_literal_arguments_of_a_decorated_function_stay_as_they_are_written():
    with make_dag(native=True):
        operator = task.kore_erase(bot_ids=["1"])(whom)("2024", column="'x'").operator
    rendered = render(operator)
    assert (rendered.op_args, rendered.op_kwargs) == (("2024",), {"column": "'x'"})


def test_literals_of_a_mapped_task_stay_as_they_are_written():
    with make_dag(native=True):
        operator = KoreEraseUserDataOperator.partial(task_id="task", bot_ids=["123"]).expand(
            user_ids=[["491701234567"], FileUserIds("s3://b", "2024")]
        )
    assert render(operator, map_index=0).user_ids.values == ["491701234567"]
    assert render(operator, map_index=0).bot_ids == ["123"]
    assert render(operator, map_index=1).user_ids.column == "2024"


def test_the_other_delimiters_of_a_dag_make_templates_too():
    environment = {"variable_start_string": "[[", "variable_end_string": "]]"}
    with make_dag(native=True, jinja_environment_kwargs=environment):
        operator = KoreEraseUserDataOperator(task_id="task", user_ids=["[[ params.x ]]", "{{ x }}"], bot_ids=["1"])
    assert render(operator, params={"x": "u-1"}).user_ids.values == ["u-1", "{{ x }}"]


# --- Templates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["491701234567", "007", "0x10", "4.91701E+11", "1j", "'x'", '"x"', "b'x'", " x "])
def test_a_template_of_text_renders_to_this_text(text):
    assert rendered_user_ids(["{{ params.x }}", "{{ params.x }}"], params={"x": text}).values == [text, text]
    source = rendered_user_ids(FileUserIds("s3://{{ params.x }}", "{{ params.x }}"), params={"x": text})
    assert (source.uri, source.column) == (f"s3://{text}", text)
    rendered = render(in_native_dag(KoreEraseUserDataOperator, bot_ids=["{{ params.x }}"]), params={"x": text})
    assert rendered.bot_ids == [text]


@pytest.mark.parametrize(("number", "text"), [(2024, "2024"), (1.5, "1.5"), (1j, "1j")])
def test_a_template_of_a_number_renders_to_its_text(number, text):
    assert rendered_user_ids(FileUserIds("s3://b", "{{ params.x }}"), params={"x": number}).column == text
    rendered = render(in_native_dag(KoreEraseUserDataOperator, max_users="{{ params.x }}"), params={"x": number})
    assert rendered.max_users == text


@pytest.mark.parametrize(
    "value",
    [True, False, None, [], ["1", "2"], {"a": 1}, datetime.date(2026, 1, 31), datetime.timedelta(days=1)],
    ids=str,
)
def test_a_template_of_anything_else_renders_to_what_it_is_also_where_it_is_empty(value):
    for operator, name in FIELDS:
        if value is None and name in operator.must_render:
            continue
        made = in_native_dag(operator)
        setattr(made, name, "{{ params.x }}")
        rendered = getattr(render(made, params={"x": value}), name)
        # What must not vanish becomes text that the task refuses.
        expected = "" if value is None and name in operator.must_not_vanish else value
        assert rendered == expected
        assert type(rendered) is type(expected)


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_text_stays_text_in_the_options_that_are_dicts(native):
    with make_dag(native=native):
        first = Returns(task_id="first")
        operator = KoreEraseUserDataOperator(
            task_id="task",
            user_ids="s3://b",
            bot_ids=["1"],
            deadline={"received_at": "{{ params.day }}", "regime": "gdpr"},
            verify={"people": "all", "since": datetime.timedelta(days=7), "channel_types": ["{{ params.channel }}"]},
            receipt={"folder": "s3://{{ params.day }}", "approved_by": first.output["who"]},
        )
    assert operator.upstream_task_ids == {"first"}
    params = {"day": "20260131", "channel": "007"}
    rendered = render(operator, params=params, xcoms={("first", "who"): {"responded_by_user": {"name": "1e5"}}})
    assert rendered.deadline == {"received_at": "20260131", "regime": "gdpr"}
    assert rendered.verify == {"people": "all", "since": datetime.timedelta(days=7), "channel_types": ["007"]}
    assert rendered.receipt == {"folder": "s3://20260131", "approved_by": {"responded_by_user": {"name": "1e5"}}}


@pytest.mark.parametrize("name", ["deadline", "verify", "receipt"])
def test_an_option_that_is_a_dict_can_be_rendered_as_a_whole_or_be_absent(name):
    for value in (None, {"regime": "gdpr"}):
        made = in_native_dag(KoreEraseUserDataOperator, **{name: "{{ params.x }}"})
        assert getattr(render(made, params={"x": value}), name) == value


def test_an_xcom_gives_what_it_is_also_where_it_is_empty():
    for native in (False, True):
        with make_dag(native=native):
            first = Returns(task_id="first")
            operator = KoreEraseUserDataOperator(
                task_id="task",
                user_ids=first.output["users"],
                bot_ids=first.output["bots"],
                all_bots=first.output["all"],
                dry_run=first.output["dry"],
            )
        xcoms = {("first", "users"): [], ("first", "bots"): [], ("first", "all"): False, ("first", "dry"): False}
        rendered = render(operator, xcoms=xcoms)
        assert (rendered.bot_ids, rendered.all_bots, rendered.is_dry_run) == ([], False, False)
        assert rendered.user_ids.values == []


def test_without_native_rendering_a_template_renders_to_text():
    with make_dag():
        operator = KoreEraseUserDataOperator(task_id="task", user_ids="s3://b", bot_ids="{{ params.x }}")
    assert render(operator, params={"x": [1]}).bot_ids == "[1]"


def test_the_arguments_of_a_decorated_function_render_as_those_of_any_decorated_function():
    with make_dag(native=True):
        kore = task.kore_erase(bot_ids=["{{ params.x }}"])(whom)("{{ params.x }}").operator
        usual = task(whom)("{{ params.x }}").operator
    rendered = render(kore, params={"x": "2024"})
    assert rendered.op_args == render(usual, params={"x": "2024"}).op_args == (2024,)
    assert rendered.bot_ids == ["2024"]


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("template", ["{{ params.missing }}", "s3://{{ params.missing }}", "{{ params.x.y }}"])
@pytest.mark.parametrize("name", ["bot_ids", "kore_conn_id", "receipt", "is_dry_run"])
def test_what_is_undefined_is_an_error_and_no_value(template, native, name):
    with make_dag(native=native):
        operator = KoreEraseUserDataOperator(task_id="task", user_ids="s3://b", bot_ids=["1"])
        setattr(operator, name, template)
    with pytest.raises(jinja2.UndefinedError):
        render(operator, params={"x": "text"})


@pytest.mark.parametrize("template", ["[{{ params.x }}, {{ params.x }}]", "{{ params.numbers }}"])
def test_numbers_among_user_ids_are_refused_with_what_made_them(template):
    user_ids = rendered_user_ids(template, params={"x": "491701234567", "numbers": [491701234567]})
    with pytest.raises(KoreInputError, match="render_template_as_native_obj") as caught:
        read_user_ids(user_ids, 9)
    assert "49170" not in str(caught.value)


def test_numbers_among_bot_ids_are_refused_with_what_made_them():
    operator = in_native_dag(KoreEraseUserDataOperator, bot_ids="[{{ params.x }}]")
    with pytest.raises(KoreInputError, match=r"bot id at position 1 .* render_template_as_native_obj"):
        check_scope(render(operator, params={"x": "7"}).bot_ids, False, allow_all_bots=False, allowed_bot_ids=None)
