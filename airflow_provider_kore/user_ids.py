"""Where user ids come from, and what may be shown of them. They are read inside ``execute`` and nowhere else."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_kore.api.users import (
    ChannelUserId,
    UserId,
    check_user_count,
    check_user_id,
    check_user_ids,
)
from airflow_provider_kore.exceptions import KoreInputError

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["ChannelUserId", "FileUserIds", "GivenUserIds", "UserIdSource", "conceal", "read_user_ids"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
_TEMPLATE = re.compile(r"\{\{|\{%")


class UserIdSource(ABC):
    """Something that user ids can be read from. Its ``repr`` is shown by Airflow, and names nobody."""

    @abstractmethod
    def read(self) -> Iterator[object]:
        """Read the user ids, in an order that is the same each time; who reads them checks each."""


class FileUserIds(UserIdSource):
    """
    Read user ids from a text file, one a line.

    Airflow then stores the file's URI, and none of the ids.

    :param uri: where the file is, such as ``s3://bucket/people.txt`` or ``file:///data/people.txt``; anything that
        ``airflow.sdk.ObjectStoragePath`` reads. UTF-8; templated.
    """

    template_fields: Sequence[str] = ("uri",)

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __repr__(self) -> str:
        return f"user ids in {self.uri}"

    def read(self) -> Iterator[str]:
        """
        Read the file, line by line.

        :raises KoreInputError: if it cannot be read, or is not UTF-8.
        """
        from airflow.sdk import ObjectStoragePath

        try:
            path = ObjectStoragePath(self.uri)
            with path.open("r", encoding="utf-8-sig", newline=None) as file:  # type: ignore[no-untyped-call]
                for line in file:
                    yield line.rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise self._unreadable(f"it is not UTF-8 text (byte {error.start} of a block)") from None
        except FileNotFoundError:
            raise self._unreadable("there is no such file") from None
        except (OSError, ValueError, ImportError) as error:
            raise self._unreadable(f"{type(error).__name__}") from None

    def _unreadable(self, reason: str) -> KoreInputError:
        return KoreInputError(
            f"The file of user ids cannot be read: {reason}.",
            remedy="Check its URI, the rights of the worker to read it, and that the provider of its file system is "
            "installed.",
        )


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
    """
    if value is None or isinstance(value, UserIdSource):
        return value
    if isinstance(value, str) and (_URI.match(value) or _TEMPLATE.search(value)):
        return value
    if _resolves_later(value) or (isinstance(value, list | tuple) and any(_resolves_later(item) for item in value)):
        return value
    return GivenUserIds(value)


def _resolves_later(value: object) -> bool:
    return not isinstance(value, str) and callable(getattr(value, "resolve", None))


def read_user_ids(value: object, most: int) -> tuple[list[UserId], int]:
    """
    Read the user ids that an operator was given, fold exact duplicates, and stop at one more than are allowed.

    :param value: a source, the URI of a file, or a list.
    :param most: how many may be returned at most.
    :return: the user ids, and how many duplicates were folded.
    :raises KoreInputError: if there are more, or they cannot be read, or one of them is not a user id.
    """
    source: UserIdSource
    if isinstance(value, UserIdSource):
        source = value
    elif isinstance(value, str) and _URI.match(value):
        source = FileUserIds(value)
    else:
        source = GivenUserIds(value)
    user_ids: dict[UserId, None] = {}
    read = 0
    for user_id in source.read():
        read += 1
        user_ids[check_user_id(user_id, read)] = None
        check_user_count(len(user_ids), most)
    return list(user_ids), read - len(user_ids)
