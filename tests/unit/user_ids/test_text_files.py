"""User ids in files of text: plain, CSV, TSV, JSON Lines and JSON, each also packed."""

import csv
import gzip
import io
import json
import tracemalloc
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import EMAILS, USUAL
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import ChannelUserId, FileUserIds
from airflow_provider_kore.user_ids.column_names import COLUMN_NAMES, is_header

PERSON = "Xq7ZwK9@example.com"
PAIR = ChannelUserId("slack", "U1")
ROWS = [f"u-{number}" for number in range(3000)]


# --- What is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", ".gz", ".GZ"])
@pytest.mark.parametrize(
    ("name", "column", "content", "user_ids"),
    [
        ("people.txt", None, "u-1\nu-2\n", ["u-1", "u-2"]),
        ("people.TXT", None, "u-1\nu-2", ["u-1", "u-2"]),
        ("people.txt", None, "u-1\r\nu-2\r\n", ["u-1", "u-2"]),
        ("people.txt", None, "u-1\ru-2\r", ["u-1", "u-2"]),
        ("people.txt", None, "u-1\ru-2", ["u-1", "u-2"]),
        ("people.txt", None, "u-1\ru-2\nu-3\r\nu-4", ["u-1", "u-2", "u-3", "u-4"]),
        ("people.txt", None, "\ufeffu-1\nu-2\n", ["u-1", "u-2"]),
        ("people.txt", None, "\ufeffu-1\ru-2", ["u-1", "u-2"]),
        ("people.txt", None, "ünï@exämple.com\n用户\n🙂\n", ["ünï@exämple.com", "用户", "🙂"]),
        ("people.txt", None, "e\u0301\né\n", ["e\u0301", "é"]),
        ("people.txt", None, "a\nA\n", ["a", "A"]),
        ("people.txt", None, "491701234567\n+491701234567\n007\n", ["491701234567", "+491701234567", "007"]),
        ("people.txt", None, "", []),
        ("people.txt", None, "\ufeff", []),
        ("people.csv", "id", "id,name\nu-1,x\nu-2,y\n", ["u-1", "u-2"]),
        ("people.csv", "id", "name,id\r\nx,u-1\r\ny,u-2\r\n", ["u-1", "u-2"]),
        ("people.csv", "id", "name,id\rx,u-1\ry,u-2", ["u-1", "u-2"]),
        ("people.csv", "id", '\ufeffid,note\nu-1,"a\r\n""b"", c"\nu-2,\n', ["u-1", "u-2"]),
        ("people.csv", "id", "\ufeffname;id\r\nx;u-1\r\n", ["u-1"]),
        ("people.csv", "e-mail", "id\te-mail\r\n1\tann@x.org\r\n", ["ann@x.org"]),
        ("people.csv", "id", 'id;note\nu-1;"a;b"\nu-2;c,d\n', ["u-1", "u-2"]),
        ("people.csv", "id", "sep=;\r\nname;id\r\nx;u-1\r\n", ["u-1"]),
        ("people.csv", "id", "\ufeffSEP=,\nname,id\nx,u-1\n", ["u-1"]),
        ("people.csv", "id", "sep=\t\nname\tid\nx\tu-1\n", ["u-1"]),
        ("people.csv", "id", "sep=|\nname|id\nx|u-1\n", ["u-1"]),
        ("people.CSV", None, "channel_user_id,other,channel_id\nU1,,slack\n", [PAIR]),
        ("people.csv", None, "channel_user_id;channel_id\nU1;slack\n", [PAIR]),
        ("people.tsv", "id", "name\tid\na, b\tu-1\nc\tu-2\n", ["u-1", "u-2"]),
        ("people.tsv", None, "channel_user_id\tchannel_id\r\nU1\tslack\r\n", [PAIR]),
        ("people.jsonl", None, '"u-1"\n{"channel_id": "slack", "channel_user_id": "U1"}\n', ["u-1", PAIR]),
        ("people.ndjson", "id", '{"id": "u-1"}\r{"x": 1, "id": "\\u00e9"}', ["u-1", "é"]),
        ("people.json", None, '["u-1", {"channel_user_id": "U1", "channel_id": "slack"}]', ["u-1", PAIR]),
        ("people.json", None, '\ufeff[\r\n  "ann@example.com",\r\n  "u-2"\r\n]\r\n', ["ann@example.com", "u-2"]),
        ("people.json", "id", '[{"id": "u-1", "more": [1.5, {"a": null}]}, {"id": "\\u00e9"}]', ["u-1", "é"]),
        ("people.json", None, " [ ] ", []),
        ("people.json", None, "", []),
        ("people.json", None, json.dumps(ROWS, indent=4), ROWS),
        ("people.json", "id", json.dumps([{"id": row, "é": "é" * 99} for row in ROWS], ensure_ascii=False), ROWS),
    ],
)
def test_each_form_of_file_is_read(write, read, name, column, content, user_ids, packed):
    uri = write(name + packed, content)
    assert read(FileUserIds(uri, column), 5000) == user_ids
    if column is None:
        assert read(uri, 5000) == user_ids


@given(
    st.lists(EMAILS, unique_by=str.lower),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
def test_every_id_comes_out_of_a_text_as_it_went_in(tmp_path_factory, user_ids, newline, bom, final):
    path = tmp_path_factory.getbasetemp() / "property.txt"
    text = newline.join(user_ids) + (newline if final and user_ids else "")
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    assert read_user_ids(path.as_uri(), 1000) == user_ids


@given(st.lists(st.tuples(USUAL, st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"))), max_size=9))
def test_every_id_comes_out_of_a_table_and_of_json_as_it_went_in(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp()
    expected = read_user_ids([user_id for user_id, _ in rows], 1000)
    for name, delimiter in (("p.csv", ","), ("p.csv", ";"), ("p.tsv", "\t")):
        table = io.StringIO()
        csv.writer(table, delimiter=delimiter).writerows([["note", "id"], *([note, user_id] for user_id, note in rows)])
        (folder / name).write_text(table.getvalue(), newline="", encoding="utf-8")
        assert read_user_ids(FileUserIds((folder / name).as_uri(), "id"), 1000) == expected
    objects = [{"id": user_id, "note": note} for user_id, note in rows]
    (folder / "p.jsonl").write_text("".join(json.dumps(each) + "\n" for each in objects))
    (folder / "p.json").write_text(json.dumps(objects, ensure_ascii=False), encoding="utf-8")
    for name in ("p.jsonl", "p.json"):
        assert read_user_ids(FileUserIds((folder / name).as_uri(), "id"), 1000) == expected


# --- What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "column", "content", "words"),
    [
        # Text
        ("p.txt", None, f"{PERSON}\n\n{PERSON}\n", "line 2 is blank"),
        ("p.txt", None, f"{PERSON}\n\n", "line 2 is blank"),
        ("p.txt", None, "\n", "line 1 is blank"),
        ("p.txt", None, f"{PERSON}\r\n\r\n{PERSON}", "line 2 is blank"),
        ("p.txt", None, f"{PERSON}\r\r{PERSON}", "line 2 is blank"),
        ("p.txt", None, f"u-1\n{PERSON}\u2028b\n", "line 2 contains a control"),
        ("p.txt", None, f"u-1\n{PERSON}\x0bb\n", "line 2 contains a control"),
        ("p.txt", None, f"u-1\n{PERSON}\x1a", "line 2 contains a control"),
        ("p.txt", None, f'[\n  "{PERSON}",\n]\n', "line 1 begins or ends with a quote"),
        ("p.txt", None, f"Xq7ZwK9\n\ufeff{PERSON}\n", "line 2 begins with a byte order mark"),
        ("p.txt", None, f"Xq7ZwK9\ufeff{PERSON}\n", "line 1 contains a control"),
        ("p.txt", "id", f"{PERSON}\n", "has no columns"),
        ("p.txt", None, "u-1\n" + PERSON * 100_000, "line 2 is longer"),
        ("p.txt", None, "u-1\n" + PERSON * 100_000 + "\nu-2\n", "line 2 is longer"),
        # Encodings
        ("p.txt", None, b"\xff", "line 1 is not UTF-8"),
        ("p.txt", None, b"u-1\n" + PERSON.encode() + b"\n\xe4\nu-4", "line 3 is not UTF-8"),
        ("p.txt", None, b"u-1\n\xed\xa0\x80\n", "line 2 is not UTF-8"),
        ("p.txt", None, f"{PERSON}\nu-2\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("p.txt", None, f"{PERSON}\nu-2\n".encode("utf-16-le"), "line 1 contains NUL"),
        ("p.txt", None, f"{PERSON}\nu-2\n".encode("utf-16-be"), "line 1 contains NUL"),
        ("p.txt", None, f"{PERSON}\nu-2\n".encode("utf-32-le"), "line 1 contains NUL"),
        ("p.csv", "id", f"id,x\n{PERSON},1\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("p.csv", "id", f"id,x\n{PERSON},1\n".encode("utf-16-le"), "line 1 contains NUL"),
        ("p.csv", "id", f"id,x\nu-1,1\n{PERSON},é\n".encode("latin-1"), "line 3 is not UTF-8"),
        ("p.jsonl", None, f'"{PERSON}"\n'.encode("utf-16-le"), "line 1 contains NUL"),
        ("p.json", None, f'["{PERSON}"]'.encode("utf-16-le"), "item 0 contains NUL"),
        ("p.json", None, f'["{PERSON}é"]'.encode("latin-1"), "item 0 is not UTF-8"),
        # Tables
        ("p.csv", None, f"{PERSON}\nu-2\n", "one column channel_id and one channel_user_id"),
        ("p.csv", "id", f"name\n{PERSON}\n", "one column id"),
        ("p.csv", "id", f"id,id\n{PERSON},u-1\n", "one column id"),
        ("p.csv", "id", f"ID\n{PERSON}\n", "one column id"),
        ("p.csv", "id", "", "one column id"),
        ("p.csv", "id", f"id,x\nu-1,1\n{PERSON}\n", "line 3 has 1 fields and not 2"),
        ("p.csv", "id", f"id,x\nu-1,1\n{PERSON},1,2\n", "line 3 has 3 fields and not 2"),
        ("p.csv", "id", f"id;x\nu-1;1\n{PERSON},1\n", "line 3 has 1 fields and not 2"),
        ("p.csv", "id", f"id\nu-1;{PERSON}\n", "line 2 contains what separates"),
        ("p.csv", "id", f"id\n{PERSON}\n\nu-2\n", "line 3 has 0 fields"),
        ("p.csv", "id", f'id\nu-1\n"{PERSON}" x\n', "line 3 is not CSV"),
        ("p.csv", "id", f'id\nu-1\n"{PERSON}\n', "is not CSV"),
        ("p.csv", "id", f"id,x\n{PERSON},1\n ,1\n", "line 3 is blank"),
        ("p.csv", "id", f'id,x\n{PERSON},"1\n2"\n ,1\n', "line 4 is blank"),
        ("p.csv", "id", f"sep=;\nid;x\n{PERSON};1\n ;1\n", "line 4 is blank"),
        ("p.csv", "id", f"sep=:\nid:x\n{PERSON}:1\n", "line 1 names a separator"),
        ("p.csv", "id", f'id\n"{PERSON}\nu-2"\n', "line 3 contains a control"),
        ("p.csv", "id", f"id,x\n{PERSON},1\n\ufeffid,x\nu-1,1\n", "line 3 begins with a byte order mark"),
        ("p.csv", "id", f"x,id\n1,{PERSON}\ufeffx,id\n", "line 2 has 3 fields"),
        ("p.csv", None, "channel_id,channel_user_id\nslack,U1\nslack,\n", "line 3 has a part that is blank"),
        ("p.csv", "id", b"id\nu-1\n" + PERSON.encode() + b"\xff\n", "line 3 is not UTF-8"),
        ("p.csv", "id", "id\n" + PERSON * 100_000, "line 2 is longer"),
        ("p.csv", "phone", "phone;x\n4,91701E+11;1\n", "line 2 is a number"),
        ("p.tsv", "id", f"id,x\n{PERSON},1\n", "one column id"),
        ("p.tsv", "id", f"id\tx\n{PERSON},1\n", "line 2 has 1 fields"),
        # JSON
        ("p.jsonl", "id", '{"id": "u-1"}\n' + PERSON * 600_000, "line 2 is longer"),
        ("p.jsonl", None, f'"u-1"\n{PERSON}\n', "line 2 is not JSON"),
        ("p.jsonl", None, f'"u-1"\n\n"{PERSON}"\n', "line 2 is not JSON"),
        ("p.jsonl", None, "[" * 100_000, "line 1 is not JSON"),
        ("p.jsonl", None, f'["{PERSON}"]\n', "line 1 is of type list"),
        ("p.jsonl", None, f'{{"id": "{PERSON}"}}\n', "line 1 is a mapping"),
        ("p.jsonl", "id", f'{{"id": "u-1"}}\n{{"name": "{PERSON}"}}\n', "line 2 has no key id"),
        ("p.jsonl", "id", f'{{"id": "u-1"}}\n["{PERSON}"]\n', "line 2 has no key id"),
        ("p.jsonl", "id", f'{{"id": "u-1", "id": "{PERSON}"}}\n', "line 1 is not JSON, or repeats a key"),
        ("p.jsonl", "id", '{"id": 12}\n', "line 1 is of type int"),
        ("p.jsonl", "id", '{"id": NaN}\n', "line 1 is not JSON"),
        ("p.jsonl", "id", '{"id": null}\n', "line 1 is of type NoneType"),
        ("p.jsonl", None, '"\\ud800"\n', "line 1 contains a control"),
        ("p.json", None, f'{{"users": ["{PERSON}"]}}', "it is no JSON array"),
        ("p.json", None, f'"{PERSON}"\n"u-2"\n', "it is no JSON array"),
        ("p.json", "id", f'{{"id": "{PERSON}"}}\n', "it is no JSON array"),
        ("p.json", None, f'["u-1", "{PERSON}"', "not JSON after item 2"),
        ("p.json", None, f'["u-1" "{PERSON}"]', "not JSON after item 1"),
        ("p.json", None, f'["u-1", {PERSON}]', "not JSON after item 1"),
        ("p.json", None, '["u-1", ]', "not JSON after item 1"),
        ("p.json", None, '["u-1"', "not JSON after item 1"),
        ("p.json", None, "[", "not JSON after item 0"),
        ("p.json", None, "[" * 100_000, "not JSON after item 0"),
        ("p.json", None, f'["u-1"] ["{PERSON}"]', "more after the end"),
        ("p.json", None, f'["u-1"\ufeff, "{PERSON}"]', "not JSON after item 1"),
        ("p.json", None, f'["u-1", ["{PERSON}"]]', "item 2 is of type list"),
        ("p.json", None, '["u-1", 491701234567]', "item 2 is of type int"),
        ("p.json", None, '["u-1", 4.91701E+11]', "item 2 is of type float"),
        ("p.json", "id", f'[{{"id": "u-1"}}, {{"name": "{PERSON}"}}]', "item 2 has no key id"),
        ("p.json", "id", f'[{{"id": "u-1", "id": "{PERSON}"}}]', "not JSON after item 0, or repeats a key"),
        ("p.json", None, f'["u-1", "{PERSON}{"x" * 1_200_000}"]', "item 2 is longer"),
    ],
)
def test_a_bad_file_is_refused_by_the_place_and_never_by_the_content(write, refusal, name, column, content, words):
    assert words in refusal(FileUserIds(write(name, content), column)).problem
    assert words in refusal(FileUserIds(write(f"{name}.gz", content), column)).problem


@pytest.mark.parametrize(
    "name",
    [
        "people",
        "people.csv.bak",
        "people.pdf",
        "people.xls",
        "people.zip",
        "people.csv.zip",
        "people.gz",
        "people.parquet.gz",
        "people.xlsx.gz",
        "people.csv.gz.gz",
        "people.csv~",
        "people.2026-01-31",
        ".txt",
        "people.csv/",
        "folder.csv/people",
        "x?people.csv",
        "people#people.csv",
    ],
)
def test_a_name_that_tells_no_known_form_is_refused_and_the_known_are_listed(tmp_path, refusal, name):
    error = refusal(f"{tmp_path.as_uri()}/{name}")
    assert "what is in it is not known" in error.problem
    for suffix in (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".gz", ".parquet", ".xlsx"):
        assert suffix in error.remedy


@pytest.mark.parametrize("uri", [None, 7, ["file:///people.txt"]])
def test_a_uri_that_is_no_text_is_refused(refusal, uri):
    assert f"of type {type(uri).__name__}" in refusal(FileUserIds(uri)).problem


@pytest.mark.parametrize("end", ["?versionId=1", "#x", "?a=b.txt", "?x#y"])
def test_a_query_string_or_a_fragment_does_not_change_the_form_and_is_no_reason_to_read_another_file(write, read, end):
    write("people.csv", "id\nu-2\n")
    uri = unquote(write(f"people.csv{end}", "id\nu-1\n"))
    assert read(FileUserIds(uri, "id")) == ["u-1"]


@pytest.mark.parametrize(
    "name", ["email", "Email", "E-Mail", "e_mail address", "USER_ID", "userId", "user id", "id", "ID:"]
)
@pytest.mark.parametrize("below", ["u-1\n", ""])
def test_the_name_of_a_column_is_no_user_of_a_text(write, refusal, name, below):
    error = refusal(write("people.txt", f"\ufeff{name}\r\n{below}"))
    assert "line 1 is the name of a column" in error.problem
    assert ".csv" in error.remedy


def test_usual_names_of_columns_are_no_users_in_any_language():
    assert all(is_header(shown, None) for name in COLUMN_NAMES for shown in (name, f" {name}:"))
    assert all(is_header(name.upper(), None) for name in COLUMN_NAMES if name.isascii())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Contact person", PERSON),
        ("Kunden-Mail", "a@x.org"),
        ("Phone (private)", "+4917012345"),
        ("customerEmailAddress", "u-12"),
        ("id of whom to erase", "4917012345"),
    ],
)
def test_words_above_what_is_plainly_an_id_are_no_user(write, refusal, first, second):
    assert "line 1 is the name of a column" in refusal(write("people.txt", f"{first}\n{second}\n")).problem


@pytest.mark.parametrize(
    "user_ids",
    [
        ["anna", "bob"],
        ["a1", "a@x.org"],
        ["anna"],
        ["anna", "a@x.org"],
        ["Ann Lee", "u-1"],
        ["用户甲", "U1"],
        ["a@x.org", "id"],
    ],
)
def test_a_list_of_plain_names_has_no_header(write, read, user_ids):
    assert read(write("people.txt", "\n".join(user_ids))) == user_ids


@pytest.mark.parametrize(
    "content",
    [
        PERSON.encode(),
        gzip.compress(f"{PERSON}\n".encode() * 9, mtime=0)[:-9],
        gzip.compress(b"u-1\n" * 99, mtime=0)[:30] + b"x" * 99,
    ],
)
@pytest.mark.parametrize("name", ["people.txt.gz", "people.json.gz", "people.csv.gz"])
def test_a_file_that_is_no_whole_gzip_is_refused(tmp_path, refusal, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(FileUserIds(path.as_uri(), "id" if "csv" in name else None))
    assert "not a whole gzip file" in error.problem or "csv" in name or "json" in name


def test_the_first_lines_of_a_bad_file_are_not_returned(write):
    with pytest.raises(KoreInputError):
        read_user_ids(write("people.txt", "u-1\n\nu-3\n"), 1000)


def test_reading_stops_at_one_more_than_allowed(write, refusal):
    assert "more users to erase than the 2" in refusal(write("people.txt", "u-1\nu-2\nu-3\n\n"), most=2).problem


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
        ("p.json", b"[", False),
        ("p.pdf", b"", False),
        ("p.parquet", b"", False),
        ("p.xlsx", b"", False),
    ],
)
def test_a_file_is_read_again_only_if_that_can_help(tmp_path, name, content, passing):
    path = tmp_path / name
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(KoreInputError) as caught:
        read_user_ids(FileUserIds(path.as_uri(), None if ".txt" in name or "json" in name else "id"), 1000)
    assert isinstance(caught.value, KoreSourceError) is passing


# --- How it is read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("people.txt.gz", lambda ids: "".join(f"{each}\n" for each in ids)),
        ("people.csv.gz", lambda ids: "id\n" + "".join(f"{each}\n" for each in ids)),
        ("people.json.gz", lambda ids: json.dumps([{"id": each} for each in ids])),
    ],
)
def test_a_large_file_is_not_held_in_memory(write, name, lines):
    uri = write(name, lines(f"person{number}@example.com" for number in range(100_000)))
    tracemalloc.start()
    count = sum(1 for _ in FileUserIds(uri, None if ".txt" in name else "id").read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 3_000_000


def test_a_source_of_a_file_names_its_uri_only(write):
    uri = write("people.txt", PERSON)
    assert repr(FileUserIds(uri)) == f"user ids in {uri}"
    assert FileUserIds.template_fields == ("uri", "column")
