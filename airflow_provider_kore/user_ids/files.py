"""User ids in a file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import PurePosixPath

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.columns import Columns
from airflow_provider_kore.user_ids.source import UserIdSource

LONGEST_LINE = 1024 * 1024
"""In bytes: what is longer is no line with a user id, and must not fill the memory."""


class FileUserIds(UserIdSource):
    """
    Read user ids from a file, of which Airflow stores the URI and none of the ids.

    The name tells the form: ``….csv`` is CSV with a header, ``….jsonl`` and ``….ndjson`` hold a JSON value a line,
    anything else is text with one user id a line; each may end in ``.gz`` besides. All is UTF-8, read line by line.

    Without ``column``, CSV must have the columns ``channel_id`` and ``channel_user_id``, and a line of JSON must be a
    user id by itself: a string, or an object with exactly these two keys.

    :param uri: where the file is, such as ``s3://bucket/people.txt`` or ``file:///data/people.csv``; anything that
        ``airflow.sdk.ObjectStoragePath`` reads. Templated.
    :param column: the CSV column, or the key of each JSON object, that holds the user id. Templated.
    """

    template_fields: Sequence[str] = ("uri", "column")

    def __init__(self, uri: str, column: str | None = None) -> None:
        self.uri = uri
        self.column = column

    def __repr__(self) -> str:
        return f"user ids in {self.uri}" + (f", column {self.column}" if self.column is not None else "")

    def read(self) -> Iterator[object]:
        """
        Read the file, line by line.

        :raises KoreSourceError: if it cannot be read just now, or is not there.
        :raises KoreInputError: if it is not what its name says it is; the error names the line, never its content.
        """
        form = _form_of(self.uri)
        if form == ".csv":
            yield from self._read_csv()
        elif form in (".jsonl", ".ndjson"):
            for number, line in enumerate(self._lines(), start=1):
                yield self._read_json(line, number)
        elif self.column is not None:
            raise self._fault("it is plain text by its name, which has no columns", remedy="Leave out column.")
        else:
            for line in self._lines():
                yield line.removesuffix("\n").removesuffix("\r")

    def _read_csv(self) -> Iterator[object]:
        rows = csv.reader(self._lines(), strict=True)
        try:
            columns = Columns(next(rows, []), self.column, self._fault)
            for row in rows:
                yield columns.pick(row, f"line {rows.line_num}")
        except csv.Error:
            raise self._fault(f"line {rows.line_num} is not CSV") from None

    def _read_json(self, line: str, number: int) -> object:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise self._fault(f"line {number} is not JSON") from None
        if self.column is None:
            return value
        if not isinstance(value, dict) or self.column not in value:
            raise self._fault(f"line {number} has no key {self.column}")
        return value[self.column]

    def _lines(self) -> Iterator[str]:
        from airflow.sdk import ObjectStoragePath

        number = 1
        try:
            with closing(ObjectStoragePath(self.uri).open("rb")) as raw:  # type: ignore[no-untyped-call]
                file = gzip.GzipFile(fileobj=raw) if self.uri.lower().endswith(".gz") else io.BufferedReader(raw)
                while line := file.readline(LONGEST_LINE + 1):
                    if len(line) > LONGEST_LINE:
                        raise self._fault(f"line {number} is longer than {LONGEST_LINE} bytes")
                    if text := line.decode("utf-8-sig" if number == 1 else "utf-8"):
                        yield text
                    number += 1
        except UnicodeDecodeError:
            raise self._fault(f"line {number} is not UTF-8") from None
        except FileNotFoundError:
            raise self._unreadable("there is no such file") from None
        except EOFError:
            raise self._unreadable(f"it is not a whole gzip file; it breaks off at line {number}") from None
        except (gzip.BadGzipFile, zlib.error):
            raise self._fault(f"it is not a whole gzip file; it breaks off at line {number}") from None
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own
            raise self._unreadable(f"{type(error).__name__} at line {number}") from None

    @staticmethod
    def _fault(reason: str, remedy: str = "Check its URI and its form.") -> KoreInputError:
        return KoreInputError(f"The file of user ids cannot be read: {reason}.", remedy=remedy)

    @staticmethod
    def _unreadable(reason: str) -> KoreSourceError:
        return KoreSourceError(
            f"The file of user ids cannot be read: {reason}.",
            remedy="Check its URI, the rights of the worker to read it, and that the provider of its file system is "
            "installed; then try again.",
        )


def _form_of(uri: str) -> str:
    return PurePosixPath(uri.lower().removesuffix(".gz")).suffix
