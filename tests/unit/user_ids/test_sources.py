"""User ids from CSV, JSON Lines, gzip, a database and a function."""

import json
import sqlite3
import traceback

import pytest
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import (
    CallableUserIds,
    ChannelUserId,
    FileUserIds,
    SqlUserIds,
    wrap_inline_ids,
)

PERSON = "Xq7ZwK9@example.com"
PAIR = ChannelUserId("slack", "U1")


def read(source, most=1000):
    return read_user_ids(source, most)[0]


def refusal(source):
    """The text that a log would show of a refusal; it never shows a person."""
    with pytest.raises(KoreInputError) as caught:
        read(source)
    logged = "".join(traceback.format_exception(caught.value))
    assert "Xq7ZwK9" not in f"{caught.value!r}{logged.replace(__file__, '')}"
    return str(caught.value)


# --- Databases --------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A database of people, behind the Airflow connection ``people``."""
    path = tmp_path / "people.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table people (id text, channel_id text, channel_user_id text, number integer)")
        connection.executemany(
            "insert into people values (?, 'slack', ?, ?)", [(f"u-{n}", f"U{n}", n) for n in range(2500)]
        )
        connection.execute("create table strange (id text)")
        connection.executemany("insert into strange values (?)", [("u-1",), (None,), (PERSON,)])
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", json.dumps({"conn_type": "fs"}))
    return path


@pytest.mark.parametrize(
    ("sql", "column", "user_ids"),
    [
        ("select id from people order by number", None, [f"u-{n}" for n in range(2500)]),
        ("select number, id from people order by number limit 2", "id", ["u-0", "u-1"]),
        ("select * from people where number = 1", None, [ChannelUserId("slack", "U1")]),
        ("select id from people where id like 'u-1%' and number < 11 order by number", None, ["u-1", "u-10"]),
        ("select id from people where number < 0", None, []),
    ],
)
def test_a_query_gives_user_ids(database, sql, column, user_ids):
    assert read(SqlUserIds("people", sql, column), most=5000) == user_ids


@pytest.mark.parametrize(
    ("conn_id", "sql", "column", "words"),
    [
        ("people", "select id from nowhere", None, "OperationalError (SQLITE_ERROR) after row 0"),
        ("people", f"select id from people where id = '{PERSON}", None, "OperationalError"),
        ("people", "select id, number from people", None, "one column channel_id"),
        ("people", "select id from people", "name", "one column name"),
        ("people", "select number from people", None, "position 1 is of type int"),
        ("people", "select id from strange", None, "position 2 is of type NoneType"),
        ("nowhere", "select 1", None, "AirflowNotFoundException"),
        ("elsewhere", "select 1", None, "not one to an SQL database"),
    ],
)
def test_a_bad_query_is_refused_without_the_text_of_the_database(database, conn_id, sql, column, words):
    assert words in refusal(SqlUserIds(conn_id, sql, column))


# --- What a retry can mend ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "column", "passing"),
    [
        ("select id from nowhere", None, False),
        ("select id, number from people", None, False),
        ("select number from people", None, False),
        ("select id from strange", None, False),
    ],
)
def test_a_database_is_asked_again_only_if_that_can_help(database, sql, column, passing):
    with pytest.raises(KoreInputError) as caught:
        read(SqlUserIds("people", sql, column))
    assert isinstance(caught.value, KoreSourceError) is passing


# --- What Airflow is shown --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (FileUserIds("s3://b/p.csv", "id"), "user ids in s3://b/p.csv, column id"),
        (FileUserIds("s3://b/p.txt"), "user ids in s3://b/p.txt"),
        (SqlUserIds("people", f"select '{PERSON}'"), "user ids by a query through people"),
        (CallableUserIds(lambda: [PERSON]), "user ids that <lambda> returns"),
    ],
)
def test_a_source_names_its_place_and_nobody(source, shown):
    assert str(source).endswith(shown) or "<lambda>" in str(source)
    assert PERSON not in str(source)
    assert wrap_inline_ids(source) is source


def test_the_places_of_sources_are_templated():
    assert FileUserIds.template_fields == ("uri", "column")
    assert SqlUserIds.template_fields == ("conn_id", "sql", "column")
