"""User ids in Parquet files and Excel workbooks."""

import datetime
import io
import sys
import tracemalloc
import warnings
import zipfile

import openpyxl
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import USUAL
from pyarrow import parquet
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import KoreSourceError
from airflow_provider_kore.user_ids import ChannelUserId, FileUserIds

PERSON = "Xq7ZwK9@example.com"
PAIR = ChannelUserId("slack", "U1")
MANY = [f"u-{number}" for number in range(2500)]


def in_parquet(columns, **options):
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


def in_excel(*sheets, change=lambda workbook: None):
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for rows in sheets:
        sheet = workbook.create_sheet()
        for number, row in enumerate(rows, start=1):
            for column, value in enumerate(row, start=1):
                if value is not None:
                    sheet.cell(number, column, value)
    change(workbook)
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def rewritten(content, change):
    """A workbook whose worksheets' XML is changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            part = before.read(name)
            after.writestr(name, change(part) if name.startswith("xl/worksheets/") else part)
    return file.getvalue()


# --- What is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "content", "user_ids"),
    [
        ("id", in_parquet({"x": [1, 2], "id": ["u-1", "u-2"]}), ["u-1", "u-2"]),
        (
            "id",
            in_parquet({"id": [f"u-{n}" for n in range(2500)]}, row_group_size=700),
            [f"u-{n}" for n in range(2500)],
        ),
        ("id", in_parquet({"id": pyarrow.array(["u-1", "u-2"]).dictionary_encode()}), ["u-1", "u-2"]),
        (
            "id",
            in_parquet({"id": pyarrow.array(["ü", "用户"], pyarrow.large_string())}, compression="zstd"),
            ["ü", "用户"],
        ),
        (None, in_parquet({"channel_user_id": ["U1"], "x": [1], "channel_id": ["slack"]}), [PAIR]),
        ("id", in_parquet({"id": pyarrow.array([], pyarrow.string())}), []),
    ],
)
def test_a_column_of_parquet_is_read(write, read, column, content, user_ids):
    assert read(FileUserIds(write("people.parquet", content), column), 5000) == user_ids


@pytest.mark.parametrize(
    ("column", "content", "user_ids"),
    [
        ("id", in_excel([["id", "x"], ["u-1", 1], ["u-2", 2.5]]), ["u-1", "u-2"]),
        ("id", in_excel([["x", "id"], [None, "491701234567"], [1, "007"]]), ["491701234567", "007"]),
        ("id", in_excel([["id", "x", "y"], ["u-1"], ["ü", 1]]), ["u-1", "ü"]),
        ("id", in_excel([["id"], *([user_id] for user_id in MANY)]), MANY),
        (None, in_excel([["channel_user_id", "channel_id"], ["U1", "slack"]]), [PAIR]),
        ("id", in_excel([], [["id"], ["u-1"]], []), ["u-1"]),
        ("id", in_excel([["id", "x"], ["u-1", 1], [], [None, None]]), ["u-1"]),
        ("id", in_excel([["id"]]), []),
    ],
)
def test_a_column_of_a_workbook_is_read(write, read, column, content, user_ids):
    assert read(FileUserIds(write("people.xlsx", content), column), 5000) == user_ids


def test_of_a_workbook_all_rows_are_read_whatever_its_dimension_says(write, read):
    content = in_excel([["x", "id"], [1, "u-1"], [2, "u-2"]])
    wrong = rewritten(content, lambda part: part.replace(b'ref="A1:B3"', b'ref="A1"'))
    assert wrong != content
    assert read(FileUserIds(write("people.xlsx", wrong), "id")) == ["u-1", "u-2"]


def test_empty_rows_below_the_last_are_no_users_though_excel_formats_them(write, read):
    def formatted(workbook):
        for row in range(3, 50):
            workbook.worksheets[0].cell(row, 1).number_format = "@"

    content = in_excel([["id"], ["u-1"]], change=formatted)
    assert read(FileUserIds(write("people.xlsx", content), "id")) == ["u-1"]


@given(st.lists(USUAL, min_size=1, max_size=5))
def test_ids_come_out_of_tables_as_they_went_in(tmp_path_factory, user_ids):
    folder = tmp_path_factory.getbasetemp()
    expected = read_user_ids(user_ids, 1000)
    (folder / "p.parquet").write_bytes(in_parquet({"id": user_ids}))
    (folder / "p.xlsx").write_bytes(in_excel([["id"], *([user_id] for user_id in user_ids)]))
    for name in ("p.parquet", "p.xlsx"):
        assert read_user_ids(FileUserIds((folder / name).as_uri(), "id"), 1000) == expected


# --- What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "content", "words"),
    [
        ("id", in_parquet({"name": [PERSON]}), "one column id"),
        (None, in_parquet({"id": [PERSON]}), "one column channel_id"),
        ("id", in_parquet({"id": ["u-1", None, PERSON]}), "row 2 is of type NoneType"),
        ("id", in_parquet({"id": ["u-1", f"{PERSON} "]}), "row 2 begins or ends with a space"),
        ("id", in_parquet({"id": [1, 2]}), "row 1 is of type int"),
        ("id", in_parquet({"id": [4.9e11]}), "row 1 is of type float"),
        ("id", in_parquet({"id": [PERSON.encode()]}), "row 1 is of type bytes"),
        ("id", in_parquet({"id": [[PERSON]]}), "row 1 is of type list"),
        ("id", in_parquet({"id": [PERSON]})[:-9], "not Parquet, or not whole"),
        ("id", in_parquet({"id": [PERSON] * 999})[50:], "not Parquet, or not whole"),
        ("id", f"id\n{PERSON}\n", "not Parquet"),
        ("id", b"", "not Parquet"),
    ],
)
def test_bad_parquet_is_refused_by_the_row(write, refusal, column, content, words):
    assert words in refusal(FileUserIds(write("people.parquet", content), column)).problem


@pytest.mark.parametrize(
    ("column", "content", "words"),
    [
        ("id", in_excel([["name"], [PERSON]]), "one column id"),
        ("id", in_excel([[], ["id"], [PERSON]]), "one column id"),
        ("id", in_excel([["id", "id"], [PERSON, PERSON]]), "one column id"),
        (None, in_excel([["id"], [PERSON]]), "one column channel_id"),
        ("id", in_excel([["id"], [PERSON], [491701234567]]), "row 3 is of type int"),
        ("id", in_excel([["id"], [PERSON], [4.5]]), "row 3 is of type float"),
        ("id", in_excel([["id"], [True]]), "row 2 is of type bool"),
        ("id", in_excel([["id"], [datetime.date(2026, 1, 31)]]), "row 2 is of type datetime"),
        ("id", in_excel([["id"], ["#N/A"]]), "row 2 begins as a comment"),
        ("id", in_excel([["id", "x"], ["u-1", 1], [None, 2]]), "row 3 is of type NoneType"),
        ("id", in_excel([["id"], ["u-1"], [], [PERSON]]), "row 3 is empty"),
        ("id", in_excel([["id"], ["u-1", PERSON]]), "row 2 has 2 fields and not 1"),
        ("id", in_excel([["id"], [f"{PERSON}\n"]]), "row 2 begins or ends with a space"),
        ("id", in_excel([["id"], [f"{PERSON}_x000D_"]]), "row 2 contains a control"),
        ("id", in_excel([["id"], ["4.91701E+11"]]), "row 2 is a number"),
        ("id", in_excel([["id"], ["u-1"]], [["id"], [PERSON]]), "2 worksheets that are not empty"),
        ("id", in_excel([], []), "no worksheet"),
        ("id", f"id\n{PERSON}\n", "no Excel workbook"),
        ("id", b"", "no Excel workbook"),
        ("id", in_excel([["id"], [PERSON]])[:-30], "no Excel workbook"),
        ("id", in_parquet({"id": [PERSON]}), "no Excel workbook"),
        ("id", rewritten(in_excel([["id"], [PERSON]]), lambda part: part[:-40]), "not what its name says"),
    ],
)
def test_a_bad_workbook_is_refused_by_the_row(write, refusal, column, content, words):
    error = refusal(FileUserIds(write("people.xlsx", content), column))
    assert words in error.problem
    assert not isinstance(error, KoreSourceError)


def test_a_formula_without_a_value_is_no_user_and_is_not_left_out(write, refusal):
    content = in_excel([["id", "x"], ["u-1", 1], ['="u-2"', 2]])
    assert "row 3 is of type NoneType" in refusal(FileUserIds(write("people.xlsx", content), "id")).problem


def test_hidden_rows_are_refused_since_a_filter_may_hide_who_is_not_meant(write, refusal):
    def hide(workbook):
        workbook.worksheets[0].row_dimensions[2].hidden = True

    error = refusal(FileUserIds(write("people.xlsx", in_excel([["id"], [PERSON], ["u-2"]], change=hide)), "id"))
    assert "hidden rows" in error.problem
    assert "Show all rows" in error.remedy


def test_a_hidden_worksheet_counts_as_one(write, refusal):
    def hide(workbook):
        workbook.worksheets[1].sheet_state = "hidden"

    content = in_excel([["id"], ["u-1"]], [["id"], [PERSON]], change=hide)
    assert "2 worksheets" in refusal(FileUserIds(write("people.xlsx", content), "id")).problem


def test_a_number_is_refused_with_what_to_do_in_excel(write, refusal):
    error = refusal(FileUserIds(write("people.xlsx", in_excel([["id"], [491701234567]])), "id"))
    assert "In Excel, set the column to the format Text" in error.remedy
    assert "4917" not in str(error)


def test_no_warning_shows_a_number_that_was_formatted_as_a_date(write, refusal):
    def as_date(workbook):
        workbook.worksheets[0]["A2"].number_format = "yyyy-mm-dd"

    uri = write("people.xlsx", in_excel([["id"], [491701234567]], change=as_date))
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert "row 2" in refusal(FileUserIds(uri, "id")).problem
    assert not [warning for warning in shown if "4917" in str(warning.message)]


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("p.parquet", "pyarrow", "parquet"), ("p.xlsx", "openpyxl", "excel")],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(write, refusal, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    error = refusal(FileUserIds(write(name, b""), "id"))
    assert f"the module {module} is not installed" in error.problem
    assert f"airflow-provider-kore[{extra}]" in error.remedy


def test_parquet_is_not_held_in_memory(write):
    uri = write(
        "people.parquet", in_parquet({"id": [f"person{n}@example.com" for n in range(100_000)]}, row_group_size=5000)
    )
    before = pyarrow.total_allocated_bytes()
    largest = 0
    tracemalloc.start()
    for number, _ in enumerate(FileUserIds(uri, "id").read(), start=1):
        if number % 1000 == 0:
            largest = max(largest, pyarrow.total_allocated_bytes() - before)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert number == 100_000
    assert peak < 3_000_000
    assert largest < 3_000_000
