"""Read user ids from text: plain, CSV, TSV, JSON Lines and JSON, each value with its place."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import IO

from airflow_provider_kore.user_ids.columns import Columns, has_columns
from airflow_provider_kore.user_ids.text_lines import (
    AS_UTF8,
    JSON_DECODER,
    LONGEST,
    FaultMaker,
    decoded,
    parse_json,
    read_lines,
    read_user_lines,
    text_fault,
)

Placed = Iterator[tuple[str, object]]
"""Values that should be user ids, each with its place in the file."""


def read_text(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """Read one user id a line."""
    if column is not None:
        raise fault("it is plain text by its name, which has no columns", "Leave out column, or name the file .csv.")
    for number, line in read_user_lines(file, fault):
        yield f"line {number}", line


def read_csv(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """
    Read a column of CSV with a header, whose fields are separated by commas, or by semicolons or tabs as Excel does.

    A line ``sep=;`` above the header, which Excel writes and reads, names the separator.
    """
    lines = read_lines(file, fault)
    first, above = next(lines, ""), 0
    if len(first) == len("sep=;") and first.lower().startswith("sep="):
        delimiter, above = first[-1], 1
        if delimiter not in _DELIMITERS:
            raise fault("line 1 names a separator that is no comma, semicolon, tab or pipe")
        first = next(lines, "")
    else:
        delimiter = next((each for each in ",;\t" if _header_has(first, each, column)), ",")
    yield from _read_rows(chain([first], lines), delimiter, column, fault, above)


def read_tsv(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """Read a column of a table with a header, whose fields are separated by tabs."""
    return _read_rows(read_lines(file, fault), "\t", column, fault)


_DELIMITERS = ",;\t|"


def _header_has(header: str, delimiter: str, column: str | None) -> bool:
    try:
        return has_columns(next(csv.reader([header], delimiter=delimiter, strict=True), []), column)
    except csv.Error:
        return False


def _read_rows(lines: Iterator[str], delimiter: str, column: str | None, fault: FaultMaker, above: int = 0) -> Placed:
    rows = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        columns = Columns(next(rows, []), column, fault)
        for row in rows:
            place = f"line {rows.line_num + above}"
            yield place, columns.pick(row, place)
    except csv.Error:
        raise fault(f"line {rows.line_num + above} is not CSV, or is not separated as its header is") from None


def read_json_lines(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """Read a JSON value a line: a user id by itself, or an object with a key that holds it."""
    for number, line in enumerate(read_lines(file, fault), start=1):
        place = f"line {number}"
        try:
            value = parse_json(line)
        except ValueError:
            raise fault(f"{place} is not JSON, or repeats a key") from None
        yield place, _under(column, value, place, fault)


def read_json(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """Read a JSON array, value by value: user ids by themselves, or objects with a key that holds the user id."""
    for number, value in enumerate(_read_array(file, fault), start=1):
        place = f"item {number}"
        yield place, _under(column, value, place, fault)


def _under(column: str | None, value: object, place: str, fault: FaultMaker) -> object:
    if column is None:
        return value
    if not isinstance(value, dict) or column not in value:
        raise fault(f"{place} has no key {column}")
    return value[column]


def _read_array(file: IO[bytes], fault: FaultMaker) -> Iterator[object]:
    text = _Buffer(decoded(file), fault)
    opening = text.next_character()
    if opening == "":
        return
    if opening != "[":
        raise fault(
            "it is no JSON array",
            "Let it hold an array of user ids, or of objects with a key that column names. A file with a JSON value a "
            "line has a name that ends in .jsonl.",
        )
    text.skip(1)
    if text.next_character() != "]":
        while True:
            yield text.next_value()
            following = text.next_character()
            if following != ",":
                break
            text.skip(1)
    if text.next_character() != "]":
        raise text.not_json()
    text.skip(1)
    if text.next_character() != "":
        raise fault("there is more after the end of its JSON array")


class _Buffer:
    """The part of a JSON array that is being read: never much more than one of its values."""

    def __init__(self, pieces: Iterator[str], fault: FaultMaker) -> None:
        self._pieces = pieces
        self._fault = fault
        self._text = ""
        self._at = 0
        self._items = 0
        self._more()
        self._at = int(self._text.startswith("\ufeff"))

    def skip(self, count: int) -> None:
        """Leave characters out."""
        self._at += count

    def next_character(self) -> str:
        """Find the next character that is no space, without taking it; empty at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\n\r":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def next_value(self) -> object:
        """Take the next value."""
        self.next_character()
        while True:
            try:
                value, end = JSON_DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                # What cannot become JSON by any more text is not read on, as the first value of CSV is not.
                if isinstance(error, RecursionError) or not self._more():
                    raise self.not_json() from None
                continue
            if end == len(self._text) and self._more():
                continue  # of a number, more digits may follow
            self._at = end
            self._items += 1
            return value

    def not_json(self) -> Exception:
        """Make the error that the array is not JSON after so many values."""
        return self._fault(f"it is not JSON after item {self._items}, or repeats a key")

    def _more(self) -> bool:
        """Read on, and forget what was taken; whether there was more."""
        self._text, self._at = self._text[self._at :], 0
        if len(self._text) > LONGEST:
            raise self._fault(f"item {self._items + 1} is longer than {LONGEST} characters, or not JSON")
        while (piece := next(self._pieces, None)) == "":
            pass
        if piece is None:
            return False
        if reason := text_fault(piece):
            raise self._fault(f"what comes after item {self._items} {reason}", AS_UTF8)
        self._text += piece
        return True
