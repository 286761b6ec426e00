"""With ``render_template_as_native_obj=True`` Airflow reads text as Python; here it stays as it is written."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rendering_tasks import make_dag, render

from airflow_provider_kore.api.erasure import check_scope
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
from airflow_provider_kore.user_ids import FileUserIds, SqlUserIds, source_of

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
    KoreEraseUserDataOperator: {"user_ids": "s3://b", "bot_ids": ["1"], "wait_for_completion": True},
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
    shared = [FileUserIds(text, text), SqlUserIds(text, text, text)]
    for source in shared:
        with make_dag(native=native):
            operator = KoreEraseUserDataOperator(task_id="task", user_ids="s3://b", wait_for_completion=True)
            setattr(operator, name, template)
        with pytest.raises(jinja2.UndefinedError):
            render(operator, params={"x": "text"})


@pytest.mark.parametrize("template", ["[{{ params.x }}, {{ params.x }}]", "{{ params.numbers }}"])
def test_numbers_among_user_ids_are_refused_with_what_made_them(template):
    user_ids = rendered_user_ids(template, params={"x": "491701234567", "numbers": [491701234567]})
    with pytest.raises(KoreInputError, match="render_template_as_native_obj") as caught:
        list(source_of(user_ids).read())
    assert "49170" not in str(caught.value)


def test_numbers_among_bot_ids_are_refused_with_what_made_them():
    operator = in_native_dag(KoreEraseUserDataOperator, bot_ids="[{{ params.x }}]")
    with pytest.raises(KoreInputError, match=r"bot id at position 1 .* render_template_as_native_obj"):
        check_scope(render(operator, params={"x": "7"}).bot_ids, False, allow_all_bots=False, allowed_bot_ids=None)
