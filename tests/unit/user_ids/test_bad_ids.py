"""Each kind of what is no user id is refused by its place, whatever it is read from."""

import csv
import io
import json
import re

import openpyxl
import pyarrow
import pytest
from hypothesis import given, settings
from kinds_of_ids import REFUSED
from openpyxl.utils.exceptions import IllegalCharacterError
from pyarrow import parquet
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import CallableUserIds, FileUserIds
from airflow_provider_kore.user_ids.digests import read_digests


def in_csv(text):
    table = io.StringIO(newline="")
    csv.writer(table).writerows([["id", "x"], ["u-1", 1], [text, 2]])
    return table.getvalue().encode()


def in_parquet(text):
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"id": ["u-1", text]}), file)
    return file.getvalue()


def in_excel(text):
    workbook = openpyxl.Workbook()
    for row in (["id"], ["u-1"]):
        workbook.active.append(row)
    workbook.active["A3"].data_type = "s"
    try:
        workbook.active["A3"].value = text
    except IllegalCharacterError:
        return None  # no workbook can have it
    workbook.active["A3"].data_type = "s"  # also of what looks like a formula
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


FILES = {
    ("p.txt", None): lambda text: f"u-1\n{text}\n".encode(),
    ("p.csv", "id"): in_csv,
    ("p.jsonl", "id"): lambda text: f'{{"id": "u-1"}}\n{json.dumps({"id": text})}\n'.encode(),
    ("p.json", None): lambda text: json.dumps(["u-1", text]).encode(),
    ("p.parquet", "id"): in_parquet,
    ("p.xlsx", "id"): in_excel,
}


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """What reads a bad text as the second user, by name."""
    folder = tmp_path_factory.mktemp("bad_ids")

    def of_file(name, column, write):
        def read(text):
            if (content := write(text)) is None:
                raise KoreInputError("", remedy="")
            (folder / name).write_bytes(content)
            read_user_ids(FileUserIds((folder / name).as_uri(), column), 9)

        return read

    files = {name: of_file(name, column, write) for (name, column), write in FILES.items()}
    return files | {
        "list": lambda text: read_user_ids(["u-1", text], 9),
        "function": lambda text: read_user_ids(CallableUserIds(lambda: iter(["u-1", text])), 9),
        "standard input": lambda text: list(read_digests(io.BytesIO(f"u-1\n{text}".encode()), "key")),
    }


@pytest.mark.parametrize("kind", REFUSED)
def test_each_kind_of_what_is_no_id_is_refused_by_each_reader(readers, kind):
    @settings(max_examples=15)
    @given(REFUSED[kind].filter(lambda text: text and not re.search("[\r\n\ud800-\udfff]", text)))
    def is_refused(text):
        for name, read in readers.items():
            with pytest.raises(KoreInputError) as caught:
                read(text)
            assert not isinstance(caught.value, KoreSourceError), name
            assert len(text) < 4 or text not in str(caught.value), name

    is_refused()
