"""The argument ``user_ids`` of a task: what it may be, and what Airflow is shown of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api.users import UserId, check_user_ids
from airflow_provider_kore.exceptions import KoreError, KoreInputError, KoreSourceError
from airflow_provider_kore.rendering import RendersText
from airflow_provider_kore.user_ids.files import FileUserIds
from airflow_provider_kore.user_ids.functions import CallableUserIds
from airflow_provider_kore.user_ids.source import UserIdSource

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Operator
    from jinja2 import Environment

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

    def iter_references(self) -> Iterable[tuple[Operator, str]]:
        """List the tasks and the keys of the XComs among the values; Airflow calls this to order the tasks."""
        from airflow.sdk import XComArg

        return XComArg.iter_xcom_references(self.values)

    def resolve(self, context: Context) -> GivenUserIds:
        """
        Render templates among the values; Airflow calls this in place of its own way, which logs what fails.

        :raises KoreInputError: if one cannot be rendered.
        """
        try:
            return GivenUserIds(context["task"].render_template(self.values, context))
        except Exception as error:  # noqa: BLE001 # of whatever kind, it may show the ids
            raise _not_rendered(error) from None

    def read(self) -> Iterator[UserId]:
        """
        Read the user ids.

        :raises KoreInputError: if they are not a list of user ids.
        :raises KoreSourceError: if they are in an XCom that cannot be read just now.
        """
        try:
            user_ids = check_user_ids(self.values)
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # an XCom may be read and mapped here, and its error show the ids
            raise KoreSourceError(
                f"The user ids cannot be read from their XCom: {type(error).__name__}.",
                remedy="Find out why in the task that returned them, or in the function that maps them: the text is "
                "withheld, since it may show people's ids.",
            ) from None
        yield from user_ids


def wrap_inline_ids(value: object) -> object:
    """
    Wrap what would show people's ids in Airflow's database, as soon as it becomes an operator's argument.

    References, and what is still to be rendered or pulled, stay as they are.

    :raises KoreInputError: if there are user ids beside what is still to be pulled, since Airflow would show them, or
        sources in a list.
    """
    if value is None or isinstance(value, UserIdSource):
        return value
    if isinstance(value, str) and (_URI.match(value) or _TEMPLATE.search(value)):
        return value
    if callable(value) and not _resolves_later(value):
        return CallableUserIds(value)
    if _resolves_later(value):
        return value
    if isinstance(value, list | tuple) and any(isinstance(item, UserIdSource) for item in value):
        raise KoreInputError(
            "user_ids is a list with sources of user ids in it, and a task reads one source.",
            remedy="Pass the source itself, or make a task for each with expand(user_ids=[…]).",
        )
    if isinstance(value, list | tuple) and any(_resolves_later(item) for item in value):
        if all(_resolves_later(item) or (isinstance(item, str) and _TEMPLATE.search(item)) for item in value):
            return value
        raise KoreInputError(
            "user_ids has user ids beside references to what is not known yet, and Airflow would show these ids.",
            remedy="Give all of them by reference, or all by value.",
        )
    return GivenUserIds(value)


class TakesUserIds(RendersText):
    """What all tasks with users have in common: Airflow never sees users that are given by value."""

    @property
    def user_ids(self) -> object:
        """Where the users come from; of users given by value Airflow is shown the number."""
        return self._user_ids

    @user_ids.setter
    def user_ids(self, value: object) -> None:
        self._user_ids = wrap_inline_ids(value)

    def _render_field(
        self,
        name: str,
        written: Any,  # noqa: ANN401 # as in the class above
        context: Context,
        jinja_env: Environment,
        seen_oids: set[int],
    ) -> Any:  # noqa: ANN401
        if name != "user_ids":
            return super()._render_field(name, written, context, jinja_env, seen_oids)
        if isinstance(written, GivenUserIds) and id(written.values) in seen_oids:
            return written  # a mapped instance's part of an XCom: what is in it is no template
        try:
            return super()._render_field(name, written, context, jinja_env, seen_oids)
        except KoreError:
            raise
        except Exception as error:  # noqa: BLE001 # of whatever kind, it may show the ids
            raise _not_rendered(error) from None


def _not_rendered(error: Exception) -> KoreInputError:
    return KoreInputError(
        f"A template or an XCom in user_ids cannot be rendered: {type(error).__name__}.",
        remedy="Correct user_ids in the DAG, or the task that it refers to. The text of the error is withheld, since "
        "it may show people's ids.",
    )


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
