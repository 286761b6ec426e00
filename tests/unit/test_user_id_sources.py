"""User ids from CSV, JSON Lines, gzip, a database and a function."""

import csv
import gzip
import io
import json
import sqlite3
import subprocess
import sys
import traceback
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_users import read_user_ids

from airflow_provider_kore.api.users import digest
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import (
    CallableUserIds,
    ChannelUserId,
    FileUserIds,
    SqlUserIds,
    conceal,
)
from airflow_provider_kore.user_ids.__main__ import main

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


@pytest.fixture
def file(tmp_path):
    """Write a file and give its URI."""

    def write(name, content):
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path.as_uri()

    return write


# --- Files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", ".gz", ".GZ"])
@pytest.mark.parametrize(
    ("name", "column", "content", "user_ids"),
    [
        ("people.txt", None, "u-1\nu-2\n", ["u-1", "u-2"]),
        ("people.csv", "id", "id,name\nu-1,x\nu-2,y\n", ["u-1", "u-2"]),
        ("people.csv", "id", "name,id\r\nx,u-1\r\ny,u-2\r\n", ["u-1", "u-2"]),
        ("people.csv", "id", '\ufeffid\n"a,""b""\n\u00e9"\n', ['a,"b"\né']),
        ("people.CSV", None, "channel_user_id,other,channel_id\nU1,,slack\n", [PAIR]),
        ("people.jsonl", None, '"u-1"\n{"channel_id": "slack", "channel_user_id": "U1"}\n', ["u-1", PAIR]),
        ("people.ndjson", "id", '{"id": "u-1"}\n{"x": 1, "id": "\\u00e9"}', ["u-1", "é"]),
    ],
)
def test_each_form_of_file_is_read(file, name, column, content, user_ids, packed):
    content = content.encode()
    uri = file(name + packed, gzip.compress(content) if packed == ".GZ" else content)
    assert read(FileUserIds(uri, column)) == user_ids


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=9), max_size=9))
def test_ids_come_out_of_csv_and_json_as_they_went_in(tmp_path_factory, names):
    ids = [f"u-{name}-" for name in dict.fromkeys(names) if "{" not in name and "}" not in name]
    folder = tmp_path_factory.mktemp("people")
    table = io.StringIO()
    csv.writer(table).writerows([["note", "id"], *(["n", user_id] for user_id in ids)])
    (folder / "people.csv").write_text(table.getvalue(), newline="", encoding="utf-8")
    (folder / "people.jsonl").write_text("".join(json.dumps({"id": user_id}) + "\n" for user_id in ids))
    for name in ("people.csv", "people.jsonl"):
        assert read(FileUserIds((folder / name).as_uri(), "id")) == ids


@pytest.mark.parametrize(
    ("name", "column", "content", "words"),
    [
        ("p.csv", None, f"{PERSON}\nu-2\n", "one column channel_id and one channel_user_id"),
        ("p.csv", "id", f"name\n{PERSON}\n", "one column id"),
        ("p.csv", "id", f"id,id\n{PERSON},u-1\n", "one column id"),
        ("p.csv", "id", "", "one column id"),
        ("p.csv", "id", f"id,x\nu-1,1\n{PERSON}\n", "line 3 has 1 fields and not 2"),
        ("p.csv", "id", f"id,x\nu-1,1\n{PERSON},1,2\n", "line 3 has 3 fields and not 2"),
        ("p.csv", "id", f"id\n{PERSON}\n\nu-2\n", "line 3 has 0 fields"),
        ("p.csv", "id", f'id\nu-1\n"{PERSON}" x\n', "line 3 is not CSV"),
        ("p.csv", "id", f'id\nu-1\n"{PERSON}\n', "is not CSV"),
        ("p.csv", "id", f"id,x\n{PERSON},1\n ,1\n", "position 2 is blank"),
        ("p.csv", None, "channel_id,channel_user_id\nslack,U1\nslack,\n", "position 2"),
        ("p.csv", "id", b"id\nu-1\n" + PERSON.encode() + b"\xff\n", "line 3 is not UTF-8"),
        ("p.txt", "id", f"{PERSON}\n", "has no columns"),
        ("p.txt", None, b"u-1\n" + PERSON.encode() + b"\xff\n", "line 2 is not UTF-8"),
        ("p.txt", None, "u-1\n" + PERSON * 100_000, "line 2 is longer"),
        ("p.csv", "id", "id\n" + PERSON * 100_000, "line 2 is longer"),
        ("p.jsonl", "id", '{"id": "u-1"}\n' + PERSON * 600_000, "line 2 is longer"),
        ("p.jsonl", None, f'"u-1"\n{PERSON}\n', "line 2 is not JSON"),
        ("p.jsonl", None, f'"u-1"\n\n"{PERSON}"\n', "line 2 is not JSON"),
        ("p.jsonl", None, "[" * 100_000, "line 1 is not JSON"),
        ("p.jsonl", None, f'{{"id": "{PERSON}"}}\n', "position 1"),
        ("p.jsonl", "id", f'{{"id": "u-1"}}\n{{"name": "{PERSON}"}}\n', "line 2 has no key id"),
        ("p.jsonl", "id", f'{{"id": "u-1"}}\n["{PERSON}"]\n', "line 2 has no key id"),
        ("p.jsonl", "id", '{"id": 12}\n', "position 1 is of type int"),
        ("p.jsonl", "id", '{"id": null}\n', "position 1 is of type NoneType"),
    ],
)
def test_a_bad_file_is_refused_by_the_place_and_never_by_the_content(file, name, column, content, words):
    assert words in refusal(FileUserIds(file(name, content), column))


@pytest.mark.parametrize(
    "content",
    [
        PERSON.encode(),
        gzip.compress(f"{PERSON}\n".encode() * 9, mtime=0)[:-9],
        gzip.compress(b"u-1\n" * 99, mtime=0)[:30] + b"x" * 99,
    ],
)
def test_a_file_that_is_no_whole_gzip_is_refused(tmp_path, content):
    path = tmp_path / "people.txt.gz"
    path.write_bytes(content)
    assert "not a whole gzip file" in refusal(FileUserIds(path.as_uri()))


def test_a_large_file_is_not_held_in_memory(file):
    uri = file("people.csv.gz", "id\n" + "".join(f"person{number}@example.com\n" for number in range(200_000)))
    tracemalloc.start()
    count = sum(1 for _ in FileUserIds(uri, "id").read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 200_000
    assert peak < 3_000_000


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
    ("name", "content", "passing"),
    [
        ("p.csv", None, True),  # there is no such file yet
        ("p.txt", "a folder", True),  # whatever else the file system says
        ("p.txt.gz", gzip.compress(b"u-1\n" * 999, mtime=0)[:-9], True),  # still being written
        ("p.txt.gz", b"u-1\n", False),
        ("p.csv", b"name\nx\n", False),
        ("p.csv", b'id\n"x" y\n', False),
        ("p.txt", b"\xff\n", False),
        ("p.txt", b"u-1\n\n", False),
        ("p.jsonl", b"x\n", False),
    ],
)
def test_a_file_is_read_again_only_if_that_can_help(tmp_path, name, content, passing):
    path = tmp_path / name
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(KoreInputError) as caught:
        read(FileUserIds(path.as_uri(), "id" if name == "p.csv" else None))
    assert isinstance(caught.value, KoreSourceError) is passing


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


# --- Functions --------------------------------------------------------------------------------------------------


def two_people():
    yield "u-1"
    yield {"channel_id": "slack", "channel_user_id": "U1"}


def test_a_function_is_called_when_the_ids_are_read():
    source = conceal(two_people)
    assert isinstance(source, CallableUserIds)
    assert str(source) == "user ids that two_people returns"
    assert read(source) == read(two_people) == ["u-1", PAIR]


@pytest.mark.parametrize("returned", [PERSON, {PERSON: 1}, {PERSON}, None, 7, b"x", [None], [PERSON, ""]])
def test_what_a_function_returns_is_checked(returned):
    refusal(lambda: returned)


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
    assert conceal(source) is source


def test_the_places_of_sources_are_templated():
    assert FileUserIds.template_fields == ("uri", "column")
    assert SqlUserIds.template_fields == ("conn_id", "sql", "column")


# --- Digests ----------------------------------------------------------------------------------------------------

KEY = "a key that is held apart"


def digests(text, monkeypatch, capsys, key=KEY):
    monkeypatch.setenv("KORE_DIGEST_KEY", key)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code = main(["digest"])
    printed = capsys.readouterr()
    return code, printed.out.split(), printed.err


def test_the_holder_of_the_key_finds_a_person_by_the_digest(monkeypatch, capsys):
    pair = '{"channel_user_id": "U1", "channel_id": "slack"}'
    code, names, _ = digests(f"{PERSON}\r\n{pair}\nu-1", monkeypatch, capsys)
    assert code == 0
    assert names == [digest(PERSON, KEY), digest(PAIR, KEY), digest("u-1", KEY)]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    "text",
    [
        f"{PERSON}\n\n",
        f'{PERSON}\n{{"channel_id": "{PERSON}"}}',
        f"u-1\n{{{PERSON}",
        pytest.param("u-1\n" + '{"a":' * 100_000, id="deep"),
    ],
)
def test_what_is_no_user_id_is_told_by_its_line(text, monkeypatch, capsys):
    code, _, errors = digests(text, monkeypatch, capsys)
    assert code == 1
    assert "position 2" in errors or "Line 2" in errors
    assert "Xq7ZwK9" not in errors


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_digest_is_short_and_needs_the_key(user_id, key):
    name = digest(user_id, key)
    assert name.startswith("kd:")
    assert len(name) == 19
    assert name != digest(user_id, key + "x")
    assert name == digest(user_id, key)


def test_the_command_says_how_it_is_used():
    help_text = subprocess.run(
        [sys.executable, "-m", "airflow_provider_kore.user_ids", "digest", "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "KORE_DIGEST_KEY" in help_text
