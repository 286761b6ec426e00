"""The argument ``user_ids`` of a task: what it may be, and what Airflow is shown of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_kore.api.users import UserId, check_user_ids
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.files import FileUserIds
from airflow_provider_kore.user_ids.functions import CallableUserIds
from airflow_provider_kore.user_ids.source import UserIdSource

if TYPE_CHECKING:
    from airflow.sdk import Context

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
_TEMPLATE = re.compile(r"\{\{|\{%")


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
