"""User ids that a function returns."""

import array
import asyncio
import csv
import io
import sqlite3

import numpy
import pandas
import pyarrow
import pytest

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import CallableUserIds, ChannelUserId
from airflow_provider_kore.user_ids.argument import wrap_inline_ids

PERSON = "Xq7ZwK9@example.com"
PAIR = ChannelUserId("slack", "U1")
FRAME = pandas.DataFrame({"email": [PERSON], "name": ["Xq7ZwK9"]})


def two_people():
    yield "u-1"
    yield {"channel_id": "slack", "channel_user_id": "U1"}


def test_a_function_is_called_when_the_ids_are_read(read):
    source = wrap_inline_ids(two_people)
    assert isinstance(source, CallableUserIds)
    assert str(source) == "user ids that two_people returns"
    assert read(source) == read(two_people) == ["u-1", PAIR]


@pytest.mark.parametrize(
    "returned",
    [
        ["u-1", "u-2"],
        ("u-1", "u-2"),
        iter(["u-1", "u-2"]),
        pandas.Series(["u-1", "u-2"]).astype(str).tolist(),
        numpy.array(["u-1", "u-2"]).tolist(),
        pyarrow.array(["u-1", "u-2"]).to_pylist(),
        (user_id for user_id in ["u-1", "u-2"]),
        map(str.strip, io.StringIO("u-1\nu-2\n")),
    ],
)
def test_what_gives_one_id_after_another_is_read(read, returned):
    assert read(lambda: returned) == ["u-1", "u-2"]


class PolarsFrame:
    columns = ("email",)

    def __iter__(self):
        return iter([PolarsSeries()])


class PolarsSeries:
    def to_list(self):
        return [PERSON]

    def __iter__(self):
        return iter([PERSON])


@pytest.mark.parametrize(
    ("returned", "advice"),
    [
        (FRAME, 'frame["email"].astype(str).tolist()'),
        (FRAME["email"], "series.astype(str).tolist()"),
        (FRAME.index, "series.astype(str).tolist()"),
        (pandas.Index([PERSON]), "series.astype(str).tolist()"),
        (numpy.array([PERSON]), "series.astype(str).tolist()"),
        (array.array("i", [7]), "series.astype(str).tolist()"),
        (PolarsFrame(), 'frame["email"].cast(str).to_list()'),
        (PolarsSeries(), "series.cast(str).to_list()"),
        (pyarrow.table({"email": [PERSON]}), 'frame["email"]'),
        (pyarrow.array([PERSON]), "a list of texts"),
        (io.StringIO(f"{PERSON}\n"), "FileUserIds"),
        (io.BytesIO(f"{PERSON}\n".encode()), "FileUserIds"),
        (PERSON, "a list of user ids"),
        (PERSON.encode(), "a list of user ids"),
        (bytearray(PERSON.encode()), "a list of user ids"),
        ({PERSON: 1}, "a list of user ids"),
        ({PERSON}, "a list of user ids"),
        (None, "a list of user ids"),
        (7, "a list of user ids"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_with_what_to_return_instead(refusal, returned, advice):
    error = refusal(lambda: returned)
    assert f"a value of type {type(returned).__name__}" in error.problem
    assert advice in error.remedy


def test_an_open_file_is_refused_with_what_to_return_instead(refusal, tmp_path):
    (tmp_path / "people.txt").write_text(PERSON)
    with (tmp_path / "people.txt").open() as file:
        assert "FileUserIds" in refusal(lambda: file).remedy


def rows_of_a_database():
    return sqlite3.connect(":memory:").execute("select ?, ?", (PERSON, "Xq7ZwK9"))


@pytest.mark.parametrize(
    "function",
    [
        rows_of_a_database,
        lambda: csv.reader(io.StringIO(f"{PERSON},Ann\n")),
        lambda: csv.DictReader(io.StringIO(f"email\n{PERSON}\n")),
        lambda: FRAME.itertuples(),
        lambda: ((PERSON, "Ann") for _ in range(2)),
        lambda: ([PERSON] for _ in range(2)),
        lambda: ({"email": PERSON} for _ in range(2)),
        lambda: (FRAME for _ in range(2)),
        lambda: [PERSON.encode()],
        lambda: [None],
        lambda: [("slack", PERSON)],
    ],
)
def test_rows_are_refused_with_which_of_their_fields_to_give(refusal, function):
    error = refusal(function)
    assert "position 1 " in error.problem
    assert 'row["email"]' in error.remedy


@pytest.mark.parametrize(
    "returned", [[491701234567], [4.91701e11], ["u-1", float("nan")], FRAME["email"].str.len().tolist()]
)
def test_numbers_are_refused_with_what_to_do(refusal, returned):
    assert "as text" in refusal(lambda: returned).remedy


def test_lines_of_a_file_keep_their_ends_and_are_refused(refusal):
    assert "position 1 begins or ends with a space" in refusal(lambda: [f"{PERSON}\n"]).problem


def test_an_async_function_is_refused(refusal):
    async def people():
        return [PERSON]

    waited_for = people()
    refusal(lambda: waited_for)
    asyncio.run(waited_for)


def test_what_a_function_raises_is_shown_by_its_kind(refusal):
    def function():
        yield "u-1"
        raise LookupError(PERSON)

    error = refusal(function)
    assert isinstance(error, KoreSourceError)
    assert "LookupError" in error.problem


def test_a_refusal_is_no_matter_of_trying_again(read):
    with pytest.raises(KoreInputError) as caught:
        read(lambda: FRAME)
    assert not isinstance(caught.value, KoreSourceError)
