"""
Read user ids from text: plain, CSV, TSV, JSON Lines and JSON.

Each reader gets a file and the column of the user ids, and gives values that should be user ids, each with its place.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import IO, NoReturn

from airflow_provider_kore.user_ids.column_names import refuse_header
from airflow_provider_kore.user_ids.columns import ListError, find_columns

Placed = Iterator[tuple[str, object]]

LONGEST = 1024 * 1024
"""Characters of a line or of a JSON value: what is longer is no line with a user id, and must not fill the memory."""

CHUNK = 64 * 1024


def read_text(file: IO[bytes], column: str | None = None) -> Iterator[tuple[str, str]]:
    """Read one user id a line."""
    if column is not None:
        raise ListError(
            "it is plain text by its name, which has no columns", "Leave out column, or name the file .csv."
        )
    lines = ((f"line {number}", line) for number, line in enumerate(read_lines(file), start=1))
    remedy = "Give the file a name that ends in .csv, and name the column; or take the line away."
    yield from refuse_header(lines, remedy)


def read_csv(file: IO[bytes], column: str | None) -> Placed:
    """
    Read a column of CSV with a header, whose fields are separated by commas, or by semicolons or tabs as Excel does.

    A line ``sep=;`` above the header, which Excel writes and reads, names the separator.
    """
    lines = read_lines(file)
    first, above = next(lines, ""), 0
    if len(first) == len("sep=;") and first.lower().startswith("sep="):
        delimiter, above = first[-1], 1
        if delimiter not in ",;\t|":
            raise ListError("line 1 names a separator that is no comma, semicolon, tab or pipe")
        first = next(lines, "")
    else:
        delimiter = next((each for each in ",;\t" if _separates(each, first, column)), ",")
    return _read_table(chain([first], lines), delimiter, column, above)


def read_tsv(file: IO[bytes], column: str | None) -> Placed:
    """Read a column of a table with a header, whose fields are separated by tabs."""
    return _read_table(read_lines(file), "\t", column)


def _separates(delimiter: str, header: str, column: str | None) -> bool:
    try:
        find_columns(next(csv.reader([header], delimiter=delimiter, strict=True), []), column)
    except (csv.Error, ListError):
        return False
    return True


def _read_table(lines: Iterator[str], delimiter: str, column: str | None, above: int = 0) -> Placed:
    rows = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
        pick = find_columns(header, column)
        for row in rows:
            place = f"line {rows.line_num + above}"
            if len(row) != len(header):
                raise ListError(f"{place} has {len(row)} fields and not {len(header)}")
            yield place, pick(row)
    except csv.Error:
        raise ListError(f"line {rows.line_num + above} is not CSV, or is not separated as its header is") from None


def read_json_lines(file: IO[bytes], column: str | None) -> Placed:
    """Read a JSON value a line: a user id by itself, or an object with a key that contains it."""
    for number, line in enumerate(read_lines(file), start=1):
        place = f"line {number}"
        yield place, _under(column, parse_json(line, place), place)


def read_json(file: IO[bytes], column: str | None) -> Placed:
    """Read a JSON array, value by value: user ids by themselves, or objects with a key that contains the user id."""
    for number, value in enumerate(_read_array(file), start=1):
        place = f"item {number}"
        yield place, _under(column, value, place)


def _under(column: str | None, value: object, place: str) -> object:
    if column is None:
        return value
    if not isinstance(value, dict) or column not in value:
        raise ListError(f"{place} has no key {column}")
    return value[column]


def _read_array(file: IO[bytes]) -> Iterator[object]:
    """Read the values of a JSON array, of which never much more than one is in memory."""
    text = _decode(file)
    rest, at, count = "", 0, 0
    punctuation, value_may_follow = "[", False
    while chunk := text.read(CHUNK):
        if problem := _encoding_problem(chunk):
            raise ListError(f"what comes after item {count} {problem}", _AS_UTF8)
        rest, at = rest[at:] + chunk, 0
        while found := _NO_SPACE.search(rest, at):
            at = found.start()
            if found[0] in punctuation:
                punctuation, value_may_follow = _AFTER[found[0]]
                at += 1
            elif value_may_follow:
                try:
                    value, at = _JSON.raw_decode(rest, at)
                except RecursionError:
                    raise _not_json(count) from None
                except ValueError:  # its end may follow
                    if len(rest) - at > LONGEST:
                        problem = f"item {count + 1} is longer than {LONGEST} characters, or not JSON"
                        raise ListError(problem) from None
                    break
                count += 1
                yield value
                punctuation, value_may_follow = ",]", False
            elif punctuation == "[":
                raise ListError(
                    "it is no JSON array",
                    "Let it contain an array of user ids, or of objects with a key that column names. A file with a "
                    "JSON value a line has a name that ends in .jsonl.",
                )
            else:
                raise _not_json(count) if punctuation else ListError("there is more after the end of its JSON array")
        else:
            at = len(rest)
    if value_may_follow or punctuation == ",]":
        raise _not_json(count)


_NO_SPACE = re.compile(r"[^ \t\n\r]")
_AFTER = {"[": ("]", True), ",": ("", True), "]": ("", False)}
"""By punctuation of an array: which may follow, and whether a value may."""


def _not_json(count: int) -> ListError:
    return ListError(f"it is not JSON after item {count}, or repeats a key")


def parse_json(text: str, place: str) -> object:
    """
    Parse JSON in which no key is repeated.

    :raises ListError: if it is anything else.
    """
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError):
        raise ListError(f"{place} is not JSON, or repeats a key") from None


def _without_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(keys := dict(pairs)) < len(pairs):
        raise ValueError
    return keys


def _no_constant(_: str) -> NoReturn:
    raise ValueError


_JSON = json.JSONDecoder(object_pairs_hook=_without_repeated_keys, parse_constant=_no_constant)


def read_lines(file: IO[bytes]) -> Iterator[str]:
    """
    Read the lines of a file without their ends, which are LF, CRLF or CR; a BOM at the start is left out.

    :raises ListError: if a line is not UTF-8, begins with a BOM that is not the file's, or is too long.
    """
    text = _decode(file)
    for number, line in enumerate(iter(partial(text.readline, LONGEST + 1), ""), start=1):
        content = line.removesuffix("\n")
        if len(content) > LONGEST:
            raise ListError(f"line {number} is longer than {LONGEST} characters")
        if problem := _encoding_problem(content):
            raise ListError(f"line {number} {problem}", _AS_UTF8)
        if content.startswith("\ufeff"):
            raise ListError(
                f"line {number} begins with a byte order mark, as if two files were put together",
                "Put the lists together without the marks, and without the header of the second one.",
            )
        yield content


def _decode(file: IO[bytes]) -> io.TextIOWrapper:
    r"""Decode a file, with every line end as ``\n``; what is no UTF-8 becomes lone surrogates."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape")


def _encoding_problem(text: str) -> str | None:
    if not text.isascii() and _NOT_UTF8.search(text):
        return "is not UTF-8"
    return "contains NUL characters, as UTF-16 does, and is not UTF-8" if "\0" in text else None


_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_AS_UTF8 = "Save it as UTF-8. In Excel, the format is called CSV UTF-8."
