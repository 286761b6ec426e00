"""Where user ids come from, and what may be shown of them. They are read inside ``execute`` and nowhere else."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api.users import (
    CHANNEL_KEYS,
    ChannelUserId,
    UserId,
    check_user_ids,
)
from airflow_provider_kore.digests import DIGEST_KEY_VARIABLE, ask_digest_key, read_digests
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = [
    "CallableUserIds",
    "ChannelUserId",
    "FileUserIds",
    "GivenUserIds",
    "SqlUserIds",
    "TakesUserIds",
    "UserIdSource",
    "conceal",
    "source_of",
]

LONGEST_LINE = 1024 * 1024
"""In bytes: what is longer is no line with a user id, and must not fill the memory."""

ROWS_AT_ONCE = 1000

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
_TEMPLATE = re.compile(r"\{\{|\{%")


class UserIdSource(ABC):
    """Something that user ids can be read from. Its ``repr`` is shown by Airflow, and names nobody."""

    @abstractmethod
    def read(self) -> Iterator[object]:
        """Read the user ids, in an order that is the same each time; who reads them checks each."""


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
            columns = _Columns(next(rows, []), self.column, self._fault)
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
                file = gzip.GzipFile(fileobj=raw) if self.uri.lower().endswith(".gz") else raw
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


class SqlUserIds(UserIdSource):
    """
    Read user ids by a query, of which Airflow stores the text and none of the ids.

    Rows are fetched in batches, from a cursor at the server where the database has such. The order must be the same
    each time, or a retry cannot go on where the try before it ended: end the query with ``ORDER BY``.

    :param conn_id: an Airflow connection to a database whose hook is a ``DbApiHook``. Templated.
    :param sql: the query. Templated; put no person's name into it.
    :param column: the column that holds the user id. Without it the query must give that column alone, or the columns
        ``channel_id`` and ``channel_user_id``. Templated.
    """

    template_fields: Sequence[str] = ("conn_id", "sql", "column")

    def __init__(self, conn_id: str, sql: str, column: str | None = None) -> None:
        self.conn_id = conn_id
        self.sql = sql
        self.column = column

    def __repr__(self) -> str:
        return f"user ids by a query through {self.conn_id}"

    def read(self) -> Iterator[object]:
        """
        Run the query and read its rows.

        :raises KoreSourceError: if the query fails; the error names the kind of failure, and not the database's own
            text, which may hold a person's id.
        :raises KoreInputError: if it gives other columns.
        """
        number = 0
        try:
            for number, row in enumerate(self._rows(), start=1):  # noqa: B007 # told if the next row fails
                yield row
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # each database has exceptions of its own
            raise KoreSourceError(
                f"The user ids cannot be queried: {type(error).__name__} after row {number}.",
                remedy="Check the connection and the query, and that the database can be reached; then try again.",
            ) from None

    def _rows(self) -> Iterator[object]:
        from airflow.sdk import BaseHook

        hook: Any = BaseHook.get_hook(self.conn_id)
        if not hasattr(hook, "get_sqlalchemy_engine"):
            raise self._fault(f"the connection {self.conn_id} is not one to an SQL database")
        engine = hook.get_sqlalchemy_engine()
        try:
            with engine.connect() as connection:
                result = connection.execution_options(yield_per=ROWS_AT_ONCE).exec_driver_sql(self.sql)
                names = list(result.keys())
                # A lone column is the one that is meant; of a file it could be a header that is missing.
                column = names[0] if len(names) == 1 and self.column is None else self.column
                columns = _Columns(names, column, self._fault)
                for number, row in enumerate(result, start=1):
                    yield columns.pick(row, f"row {number}")
        finally:
            engine.dispose()

    @staticmethod
    def _fault(reason: str, remedy: str = "Check the connection and the query.") -> KoreInputError:
        return KoreInputError(f"The user ids cannot be queried: {reason}.", remedy=remedy)


class CallableUserIds(UserIdSource):
    """
    Read user ids from what a function returns, which is called without arguments while the task runs.

    :param function: returns an iterable of user ids, in an order that is the same each time.
    """

    def __init__(self, function: Callable[[], Iterable[object]]) -> None:
        self.function = function

    def __repr__(self) -> str:
        return f"user ids that {getattr(self.function, '__qualname__', type(self.function).__qualname__)} returns"

    def read(self) -> Iterator[object]:
        """
        Call the function and read what it returns.

        :raises KoreSourceError: if the function raises anything.
        :raises KoreInputError: if what it returns is a string, a mapping or a set, or cannot be iterated.
        """
        try:
            yield from self._returned()
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # of whatever kind, its text may show the ids
            raise KoreSourceError(
                f"The function for user ids raised {type(error).__name__}.",
                remedy="Find out why by calling it yourself: its text is withheld, since it may show people's ids.",
            ) from None

    def _returned(self) -> Iterator[object]:
        returned = self.function()
        if isinstance(returned, str | bytes | bytearray | Mapping | Set) or not isinstance(returned, Iterable):
            raise KoreInputError(
                f"The function for user ids returned a value of type {type(returned).__name__}.",
                remedy="Let it return a list of user ids, or yield them.",
            )
        yield from returned


class _Columns:
    """Find the user id in a row."""

    def __init__(self, names: Sequence[str], column: str | None, fault: Callable[..., KoreInputError]) -> None:
        self._count = len(names)
        self._fault = fault
        wanted = sorted(CHANNEL_KEYS) if column is None else [column]
        if missing := [name for name in wanted if names.count(name) != 1]:
            raise fault(
                f"there must be one column {' and one '.join(missing)}", remedy="Name the column of the user ids."
            )
        self._positions = [names.index(name) for name in wanted]

    def pick(self, row: Sequence[object], place: str) -> object:
        if len(row) != self._count:
            raise self._fault(f"{place} has {len(row)} fields and not {self._count}")
        values = [row[position] for position in self._positions]
        return values[0] if len(values) == 1 else dict(zip(sorted(CHANNEL_KEYS), values, strict=True))


def _form_of(uri: str) -> str:
    return PurePosixPath(uri.lower().removesuffix(".gz")).suffix


class GivenUserIds(UserIdSource):
    """
    Hold user ids that were given by value, so that Airflow shows their number where it would show them.

    :param values: what was given, unchecked.
    """

    def __init__(self, values: object) -> None:
        self.values = values

    def __repr__(self) -> str:
        if isinstance(self.values, list | tuple | set | frozenset):
            return f"{len(self.values)} user ids"
        return f"a value of type {type(self.values).__name__}"

    def resolve(self, context: Context) -> GivenUserIds:
        """
        Render templates among the values; Airflow calls this in place of its own way, which logs what fails.

        :raises KoreInputError: if one cannot be rendered.
        """
        try:
            return GivenUserIds(context["task"].render_template(self.values, context))
        except Exception:  # noqa: BLE001 # of whatever kind, it may show the ids
            raise KoreInputError(
                "A template among the user ids cannot be rendered.",
                remedy="Correct user_ids in the DAG.",
            ) from None

    def read(self) -> Iterator[UserId]:
        """
        Read the user ids.

        :raises KoreInputError: if they are not a list of user ids.
        """
        yield from check_user_ids(self.values)


def conceal(value: object) -> object:
    """
    Wrap what would show people's ids in Airflow's database, as soon as it becomes an operator's argument.

    References, and what is still to be rendered or pulled, stay as they are.

    :raises KoreInputError: if there are user ids beside what is still to be pulled, since Airflow would show them.
    """
    if value is None or isinstance(value, UserIdSource):
        return value
    if isinstance(value, str) and (_URI.match(value) or _TEMPLATE.search(value)):
        return value
    if callable(value) and not _resolves_later(value):
        return CallableUserIds(value)
    if _resolves_later(value):
        return value
    if isinstance(value, list | tuple) and any(_resolves_later(item) for item in value):
        if all(_resolves_later(item) or (isinstance(item, str) and _TEMPLATE.search(item)) for item in value):
            return value
        raise KoreInputError(
            "user_ids has user ids beside references to what is not known yet, and Airflow would show these ids.",
            remedy="Give all of them by reference, or all by value.",
        )
    return GivenUserIds(value)


class TakesUserIds:
    """What all tasks have in common that are told of users: Airflow never sees those that are given by value."""

    @property
    def user_ids(self) -> object:
        """Where the users come from; of users given by value Airflow is shown the number."""
        return self._user_ids

    @user_ids.setter
    def user_ids(self, value: object) -> None:
        self._user_ids = conceal(value)


def _resolves_later(value: object) -> bool:
    return not isinstance(value, str) and callable(getattr(value, "resolve", None))


def source_of(value: object) -> UserIdSource:
    """
    Tell what the user ids that an operator was given are read from.

    :param value: a source, the URI of a file, a function, or a list.
    """
    if isinstance(value, UserIdSource):
        return value
    if isinstance(value, str) and _URI.match(value):
        return FileUserIds(value)
    if callable(value):
        return CallableUserIds(value)
    return GivenUserIds(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Print the digests by which logs name people, for user ids from standard input.

    Neither the ids nor the key are arguments, which other users of the machine could see.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_kore.user_ids", description=main.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser(
        "digest",
        help="print the digest of each user id on standard input",
        description="Print the digest of each user id on standard input: one id a line, or a JSON object with the keys "
        "channel_id and channel_user_id. The key is taken from the environment variable "
        f"{DIGEST_KEY_VARIABLE}, or asked for.",
    )
    parser.parse_args(arguments)
    key = ask_digest_key()
    if not key:
        print("There is no digest key.", file=sys.stderr)
        return 1
    try:
        for name in read_digests(sys.stdin, key):
            print(name)
    except KoreInputError as error:
        print(error.problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
