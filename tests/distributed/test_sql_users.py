"""``SqlUserIds`` on a real Postgres, whose driver reads ``%`` and whose cursor stays at the server.

The fixture ``postgres_uri`` gives the URI of a database that is empty.
"""

import traceback
import tracemalloc

import pytest
import sqlalchemy

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import ChannelUserId, SqlUserIds

COUNT = 50_000
PERSON = "Xq7ZwK9@example.com"


@pytest.fixture(scope="module")
def engine(postgres_uri):
    """A database with people; some have ``%`` in their names."""
    engine = sqlalchemy.create_engine(postgres_uri)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA IF EXISTS kore_sql CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA kore_sql")
        connection.exec_driver_sql(
            "CREATE TABLE kore_sql.people AS SELECT n AS number, 'person' || n || '@example.com' AS email, "
            f"'slack' AS channel_id, 'U' || n AS channel_user_id FROM generate_series(1, {COUNT}) n"
        )
        connection.exec_driver_sql(f"INSERT INTO kore_sql.people VALUES (0, '{PERSON}', 'slack', 'U0')")
    yield engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA kore_sql CASCADE")
    engine.dispose()


@pytest.fixture
def connect(engine, monkeypatch):
    """Change the Airflow connection ``people``; by default it is to the database of the people."""

    def change(**parts):
        url = engine.url.set(drivername="postgresql").set(**parts)
        monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", url.render_as_string(hide_password=False))

    return change


@pytest.fixture(autouse=True)
def usual_connection(connect):
    connect()


@pytest.fixture
def role(engine, connect):
    """Connect as a user without rights, who is gone afterwards."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE kore_role LOGIN PASSWORD 'kore_role'")
    connect(username="kore_role", password="kore_role")
    yield "kore_role"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE kore_role")


def read(sql, column=None):
    return list(SqlUserIds("people", sql, column).read())


@pytest.mark.parametrize(
    ("sql", "user_ids"),
    [
        ("SELECT email FROM kore_sql.people WHERE email LIKE 'Xq7%'", [PERSON]),
        ("SELECT email FROM kore_sql.people WHERE email LIKE '%(s)s' OR number = 0", [PERSON]),
        ("SELECT email FROM kore_sql.people WHERE number % 50000 = 1", ["person1@example.com"]),
        ("SELECT 'a%%b' AS email", ["a%%b"]),
        ("SELECT '%s :name $1 ? {x}' AS email;", ["%s :name $1 ? {x}"]),
        ("-- a comment: 100%\nWITH p AS (SELECT * FROM kore_sql.people) SELECT email FROM p WHERE number=0", [PERSON]),
    ],
)
def test_a_query_reaches_the_database_as_it_is_written(sql, user_ids):
    assert read(sql) == user_ids


def test_the_columns_of_channel_users_are_found():
    assert read("SELECT * FROM kore_sql.people WHERE number = 1") == [ChannelUserId("slack", "U1")]


def test_rows_come_from_a_cursor_at_the_server(engine):
    """While rows are read, Postgres has a cursor open, and the worker has no more than a part of them."""
    tracemalloc.start()
    source = SqlUserIds("people", "SELECT email FROM kore_sql.people WHERE number > 0 ORDER BY number").read()
    first = next(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with engine.connect() as connection:
        running = connection.exec_driver_sql(
            "SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction'"
        ).scalars()
        assert any("FETCH FORWARD" in query for query in running)
    assert first == "person1@example.com"
    assert [first, *source] == [f"person{number}@example.com" for number in range(1, COUNT + 1)]
    assert peak < 30_000_000


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT email FROM kore_sql.nowhere", "ProgrammingError (UndefinedTable, 42P01) after row 0"),
        ("SELECT nothing FROM kore_sql.people", "ProgrammingError (UndefinedColumn, 42703) after row 0"),
        (f"SELECT '{PERSON}", "ProgrammingError (SyntaxError, 42601) after row 0"),
        ("DELETE FROM kore_sql.people", "ProgrammingError (SyntaxError, 42601) after row 0"),
        ("SELECT email::int FROM kore_sql.people ORDER BY number", "DataError (InvalidTextRepresentation, 22P02)"),
        ("SELECT 1 / (3000 - number) FROM kore_sql.people", "DataError (DivisionByZero, 22012) after row "),
        ("SELECT email, number FROM kore_sql.people", "one column channel_id"),
    ],
)
def test_a_query_that_postgres_refuses_is_not_run_again(sql, words):
    with pytest.raises(KoreInputError) as caught:
        read(sql)
    assert not isinstance(caught.value, KoreSourceError)
    assert words in str(caught.value)
    assert "Xq7ZwK9" not in "".join(traceback.format_exception(caught.value)).replace(sql, "")


def test_a_table_that_may_not_be_read_is_not_asked_for_again(role):
    with pytest.raises(KoreInputError, match="InsufficientPrivilege, 42501") as caught:
        read("SELECT email FROM kore_sql.people")
    assert not isinstance(caught.value, KoreSourceError)


def test_a_connection_that_is_lost_is_passing(engine):
    source = SqlUserIds("people", "SELECT email FROM kore_sql.people WHERE number > 0 ORDER BY number").read()
    next(source)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'FETCH FORWARD%%'", ()
        )
    with pytest.raises(KoreSourceError, match=r"OperationalError \(AdminShutdown, 57P01\) after row \d"):
        list(source)


def test_a_query_that_takes_too_long_is_passing(engine, role):
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER ROLE {role} SET statement_timeout = 200")
    with pytest.raises(KoreSourceError, match="QueryCanceled, 57014"):
        read("SELECT 'u-1' FROM pg_sleep(10)")


def test_a_database_that_is_not_there_is_passing(connect):
    connect(port=1)
    with pytest.raises(KoreSourceError, match="OperationalError"):
        read("SELECT 1")
