"""User ids as text, from a file or from standard input: UTF-8 with any line ends, one id a line."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import IO, NoReturn, Protocol

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.column_names import is_header

LONGEST = 1024 * 1024
"""Characters of a line or of a JSON value: what is longer is no line with a user id, and must not fill the memory."""

CHUNK = 64 * 1024

AS_UTF8 = "Save it as UTF-8. In Excel, the format is called CSV UTF-8."


class FaultMaker(Protocol):
    """Make the error that refuses a list of users."""

    def __call__(self, reason: str, remedy: str = ..., /) -> KoreInputError:
        """Make it from what is wrong, without any content, and from what to do."""


def decoded(file: IO[bytes]) -> Iterator[str]:
    r"""
    Decode a file piece by piece, with every line end as ``\n``; what is no UTF-8 becomes lone surrogates.

    :param file: what has ``read(size)``, as all file systems have.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("surrogateescape"), translate=True)
    while chunk := file.read(CHUNK):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def text_fault(text: str) -> str | None:
    """Say why a decoded text is not the text of the file."""
    if not text.isascii() and _NOT_UTF8.search(text):
        return "is not UTF-8"
    return "holds NUL characters, as UTF-16 does, and is not UTF-8" if "\0" in text else None


_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def read_lines(file: IO[bytes], fault: FaultMaker) -> Iterator[str]:
    """
    Read the lines of a file without their ends, which are LF, CRLF or CR; a BOM at the start is left out.

    :param file: what has ``read(size)``.
    :param fault: makes the error if a line is not UTF-8, begins with a BOM that is not the file's, or is too long.
    """
    number, rest = 0, ""
    for text in decoded(file):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            number += 1
            yield _checked(line, number, fault)
        if len(rest) > LONGEST:
            _checked(rest, number + 1, fault)
    if rest and (line := _checked(rest, number + 1, fault)):
        yield line


def _checked(line: str, number: int, fault: FaultMaker) -> str:
    if len(line) > LONGEST:
        raise fault(f"line {number} is longer than {LONGEST} characters")
    if reason := text_fault(line):
        raise fault(f"line {number} {reason}", AS_UTF8)
    if line.startswith("\ufeff"):
        if number > 1:
            raise fault(
                f"line {number} begins with a byte order mark, as if two files were put together",
                "Put the lists together without the marks, and without the header of the second one.",
            )
        return line[1:]
    return line


def read_user_lines(file: IO[bytes], fault: FaultMaker) -> Iterator[tuple[int, str]]:
    """
    Read text that holds one user id a line, each with its number; who reads them checks each.

    :param file: what has ``read(size)``.
    :param fault: makes the error if the text cannot be read, or its first line is the header of a column.
    """
    lines = read_lines(file, fault)
    first, second = next(lines, None), next(lines, None)
    if first is None:
        return
    if is_header(first, second):
        raise fault(
            "line 1 is the name of a column and no user id",
            "Give the file a name that ends in .csv, and name the column; or take the line away.",
        )
    yield 1, first
    if second is not None:
        yield 2, second
    yield from enumerate(lines, start=3)


def parse_json(text: str) -> object:
    """
    Parse JSON in which no key is repeated.

    :raises ValueError: if it is anything else.
    """
    try:
        return JSON_DECODER.decode(text)
    except RecursionError:
        raise ValueError from None


def _without_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(keys := dict(pairs)) < len(pairs):
        raise ValueError
    return keys


def _no_json(_: str) -> NoReturn:
    raise ValueError


JSON_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeated_keys, parse_constant=_no_json)
