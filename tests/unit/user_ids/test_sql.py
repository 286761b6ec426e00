"""What a query sends to a database, and which of its failures a retry can mend."""

import json
import sqlite3

import pytest
import sqlalchemy
from airflow.sdk import BaseHook
from sqlalchemy import event, exc

from airflow_provider_kore.exceptions import KoreSourceError
from airflow_provider_kore.user_ids import ChannelUserId, SqlUserIds
from airflow_provider_kore.user_ids.sql import ROWS_AT_ONCE

PERSON = "Xq7ZwK9@example.com"


class Hook:
    def __init__(self, engine):
        self._engine = engine

    def get_sqlalchemy_engine(self):
        return self._engine


@pytest.fixture
def engine(monkeypatch):
    """An engine behind the connection ``people``, with what it executes in ``engine.statements``."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    engine.statements = []
    event.listen(engine, "do_execute_no_params", lambda _, statement, __: engine.statements.append(statement))
    monkeypatch.setattr(BaseHook, "get_hook", lambda conn_id: {"people": Hook(engine)}[conn_id])
    return engine


@pytest.fixture
def refused(refusal):
    return lambda sql: refusal(SqlUserIds("people", sql))


@pytest.mark.parametrize("text", ["%", "%%", "%s", "%(name)s", ":name", "?", "$1", "{x}", "100%'' ünï"])
def test_the_driver_gets_the_query_as_it_is_written_and_no_parameters(engine, text):
    sql = f"select '{text}' as id"
    assert list(SqlUserIds("people", sql).read()) == [text.replace("''", "'")]
    assert engine.statements == [sql]


def test_rows_are_fetched_in_parts(engine):
    seen = []
    event.listen(engine, "do_execute_no_params", lambda *_: seen.append(_[-1].execution_options["stream_results"]))
    numbers = f"with recursive n(i) as (select 1 union all select i + 1 from n where i <= {ROWS_AT_ONCE})"
    many = f"{numbers} select 'u-' || i from n"
    assert sum(1 for _ in SqlUserIds("people", many).read()) == ROWS_AT_ONCE + 1
    assert seen == [True]


class DriverError(Exception):
    """An error as some driver makes it, with a person in its text."""

    def __init__(self, *args, **codes):
        super().__init__(*args, PERSON)
        vars(self).update(codes)


@pytest.mark.parametrize(
    ("kind", "original", "passing", "cause"),
    [
        (exc.ProgrammingError, DriverError(pgcode="42P01"), False, "ProgrammingError (DriverError, 42P01)"),
        (exc.ProgrammingError, DriverError(sqlstate="42P01"), False, "ProgrammingError (DriverError, 42P01)"),
        (exc.ProgrammingError, DriverError(1146), False, "ProgrammingError (DriverError, error 1146)"),
        (exc.ProgrammingError, DriverError(), False, "ProgrammingError (DriverError)"),
        (exc.DataError, DriverError(pgcode="22P02"), False, "DataError (DriverError, 22P02)"),
        (exc.NotSupportedError, DriverError(), False, "NotSupportedError (DriverError)"),
        (exc.OperationalError, DriverError(1054, sqlstate="42S22"), False, "(DriverError, 42S22, error 1054)"),
        (exc.OperationalError, DriverError(1054), False, "OperationalError (DriverError, error 1054)"),
        (exc.OperationalError, DriverError(1142), False, "OperationalError (DriverError, error 1142)"),
        (exc.OperationalError, DriverError(sqlite_errorname="SQLITE_ERROR"), False, "(DriverError, SQLITE_ERROR)"),
        (exc.OperationalError, DriverError(sqlite_errorname="SQLITE_BUSY"), True, "(DriverError, SQLITE_BUSY)"),
        (exc.OperationalError, DriverError(2006), True, "OperationalError (DriverError, error 2006)"),
        (exc.OperationalError, DriverError(pgcode="57P01"), True, "OperationalError (DriverError, 57P01)"),
        (exc.OperationalError, DriverError(), True, "OperationalError (DriverError)"),
        (exc.InterfaceError, DriverError(), True, "InterfaceError (DriverError)"),
        (exc.InternalError, DriverError(pgcode="XX000"), True, "InternalError (DriverError, XX000)"),
        (exc.DatabaseError, DriverError(), True, "DatabaseError (DriverError)"),
        # What is no code is withheld, whatever it is called.
        (exc.OperationalError, DriverError(pgcode=PERSON, sqlstate=PERSON), True, "OperationalError (DriverError)"),
        (exc.OperationalError, DriverError(491701234567, sqlite_errorname=PERSON), True, "(DriverError) after"),
    ],
)
def test_a_failure_of_the_driver_is_named_by_its_kind_and_code(refused, engine, kind, original, passing, cause):
    def fail(*_):
        raise kind(f"select {PERSON}", (), original)

    event.listen(engine, "do_execute_no_params", fail)
    error = refused("select 1")
    assert f"{cause} after row 0" in str(error) or cause in str(error)
    assert isinstance(error, KoreSourceError) is passing


def test_a_connection_that_is_lost_is_passing_whatever_the_driver_calls_it(refused, engine):
    def fail(*_):
        raise exc.ProgrammingError("select 1", (), DriverError(), connection_invalidated=True)

    event.listen(engine, "do_execute_no_params", fail)
    assert isinstance(refused("select 1"), KoreSourceError)


@pytest.mark.parametrize(
    ("sql", "passing", "words"),
    [
        ("select id from nowhere", False, "OperationalError (SQLITE_ERROR) after row 0"),
        (f"select '{PERSON}", False, "OperationalError (SQLITE_ERROR) after row 0"),
        ("create table t (id text)", False, "ResourceClosedError"),
        ("select 1; select 2", False, "ProgrammingError"),
        ("select 'u-1' as id union all select json('{') ", False, "after row"),
    ],
)
def test_a_query_that_sqlite_refuses_is_not_run_again(refused, engine, sql, passing, words):
    error = refused(sql)
    assert words in str(error)
    assert isinstance(error, KoreSourceError) is passing


def test_a_locked_database_is_asked_again(refused, tmp_path, monkeypatch):
    path = tmp_path / "people.db"
    with sqlite3.connect(path) as other:
        other.execute("create table people (id text)")
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    monkeypatch.setattr(BaseHook, "get_hook", lambda conn_id: Hook(engine))
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("begin exclusive")
    error = refused("select id from people")
    locker.close()
    assert isinstance(error, KoreSourceError)
    assert "SQLITE_BUSY" in str(error)


def test_a_connection_whose_driver_is_not_there_is_not_asked_again(refused, monkeypatch):
    class NoDriver:
        def get_sqlalchemy_engine(self):
            return sqlalchemy.create_engine("nosuchdatabase://host")

    monkeypatch.setattr(BaseHook, "get_hook", lambda conn_id: NoDriver())
    error = refused("select 1")
    assert "NoSuchModuleError" in str(error)
    assert not isinstance(error, KoreSourceError)


# --- Through a connection of Airflow ---------------------------------------------------------------------------------


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
def test_a_query_gives_user_ids(database, read, sql, column, user_ids):
    assert read(SqlUserIds("people", sql, column), 5000) == user_ids


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
def test_a_bad_query_is_refused_without_the_text_of_the_database(database, refusal, conn_id, sql, column, words):
    error = refusal(SqlUserIds(conn_id, sql, column))
    assert words in error.problem
    assert isinstance(error, KoreSourceError) is (conn_id == "nowhere")
