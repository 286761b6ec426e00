"""Where the links of a task lead, and that they never are what a task fails by."""

import json
import logging
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from airflow_provider_kore.erasures_page.plugin import KoreErasuresPlugin
from airflow_provider_kore.get_provider_info import get_provider_info
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.reporting.links import EXTRA_LINKS, KoreAdminConsoleLink, KoreErasuresLink
from airflow_provider_kore.sensors.erasure import KoreErasureSensor

OPERATOR = KoreEraseUserDataOperator(task_id="erase", user_ids="file:///people.txt", bot_ids=["st-1"])
SENSOR = KoreErasureSensor(task_id="wait", request_id="eud-1")
ODD = ["manual__2026-11-24T10:00:00+00:00", "a&task_id=b", "#?", "ä ö/..", "%2B", "'\"><script>"]


def key(dag_id="dag", run_id="run", task_id="erase"):
    return SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=-1, try_number=1)


def connect(monkeypatch, **fields):
    fields = {"conn_type": "kore", "host": "https://eu.example.com", "login": "cs-1", "password": "Xq7ZwK9"} | fields
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(fields))


# --- To the page ----------------------------------------------------------------------------------------------------


@given(*[st.text(min_size=1)] * 3)
def test_the_page_is_told_dag_run_and_task_whatever_their_ids_are(dag_id, run_id, task_id):
    address = KoreErasuresLink().get_link(OPERATOR, ti_key=key(dag_id, run_id, task_id))
    assert address.isascii()
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("", "", f"/plugin/{PAGE_ROUTE}", "")
    assert parse_qs(parts.query) == {"dag_id": [dag_id], "run_id": [run_id], "task_id": [task_id]}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_id_stays_within_its_parameter(odd):
    parts = urlsplit(KoreErasuresLink().get_link(OPERATOR, ti_key=key(odd, odd, odd)))
    assert parse_qs(parts.query) == {"dag_id": [odd], "run_id": [odd], "task_id": [odd]}
    assert not set("\"'<> #") & set(parts.query)


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        (None, ""),
        ("", ""),
        ("/", ""),
        ("/airflow", "/airflow"),
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("https://host:8080/air/flow/", "https://host:8080/air/flow"),
    ],
)
def test_the_page_is_where_airflow_is(monkeypatch, base_url, root):
    if base_url is not None:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    address = KoreErasuresLink().get_link(OPERATOR, ti_key=key())
    assert address == f"{root}/plugin/{PAGE_ROUTE}?dag_id=dag&run_id=run&task_id=erase"


def test_the_page_is_there_under_the_name_of_its_link():
    (view,) = KoreErasuresPlugin.external_views
    assert (view["url_route"], view["name"]) == (PAGE_ROUTE, KoreErasuresLink.name)


# --- To the Admin Console -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [OPERATOR, SENSOR], ids=["operator", "sensor"])
@pytest.mark.parametrize("host", ["https://eu.example.com", "https://eu.example.com/"])
def test_the_console_is_of_the_kore_that_the_connection_names(monkeypatch, task, host):
    connect(monkeypatch, host=host)
    assert KoreAdminConsoleLink().get_link(task, ti_key=key()) == "https://eu.example.com/Admin"


def test_the_console_is_of_the_connection_of_the_task(monkeypatch):
    connect(monkeypatch)
    fields = {"conn_type": "kore", "host": "https://us.example.com", "login": "cs-1", "password": "Xq7ZwK9"}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(fields))
    operator = SimpleNamespace(kore_conn_id="other")
    assert KoreAdminConsoleLink().get_link(operator, ti_key=key()) == "https://us.example.com/Admin"


# --- Harmless -------------------------------------------------------------------------------------------------------

BROKEN = {
    "no host": {"host": None},
    "host that is none": {"host": "ftp://Xq7ZwK9"},
    "script": {"host": "javascript:alert(1)"},
    "no secret": {"password": None},
    "unknown field": {"extra": {"Xq7ZwK9": 1}},
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_a_connection_that_cannot_be_used_leaves_the_console_out(monkeypatch, fields):
    connect(monkeypatch, **fields)
    assert KoreAdminConsoleLink().get_link(OPERATOR, ti_key=key()) == ""


def test_a_connection_that_is_no_connection_leaves_the_console_out(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "airflow_provider_kore")
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", '{"host": "Xq7ZwK9')
    assert KoreAdminConsoleLink().get_link(OPERATOR, ti_key=key()) == ""
    assert "The link Kore.ai Admin Console cannot be made" in caplog.text
    assert "Xq7ZwK9" not in caplog.text


class Odd:
    """A task that raises at every look."""

    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("link", EXTRA_LINKS, ids=lambda link: link.name)
@pytest.mark.parametrize(
    "task", [None, object(), Odd(), SimpleNamespace(kore_conn_id=None)], ids=["none", "object", "odd", "no connection"]
)
@pytest.mark.parametrize("ti_key", [None, object(), Odd()], ids=["none", "object", "odd"])
def test_a_link_of_an_odd_task_is_left_out(link, task, ti_key):
    assert link.get_link(task, ti_key=ti_key) == ""


def test_without_a_connection_the_console_is_left_out_and_the_page_is_not():
    assert KoreAdminConsoleLink().get_link(OPERATOR, ti_key=key()) == ""
    assert KoreErasuresLink().get_link(OPERATOR, ti_key=key()) != ""


# --- Known to Airflow -----------------------------------------------------------------------------------------------


def test_airflow_is_told_of_each_link_that_a_task_has():
    names = [f"{type(link).__module__}.{type(link).__qualname__}" for link in EXTRA_LINKS]
    assert get_provider_info()["extra-links"] == names


@pytest.mark.parametrize("task", [OPERATOR, SENSOR], ids=["operator", "sensor"])
def test_tasks_that_erase_and_wait_have_both_links(task):
    assert [link.name for link in task.operator_extra_links] == ["Erasures", "Kore.ai Admin Console"]
