"""What user ids are read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

# Airflow finds XComs in its own kinds of references only, and has no public name for their base.
from airflow.sdk.definitions._internal.mixins import ResolveMixin

from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.rendering import require_rendered

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Operator

Opener = Callable[[str], Iterator[UserId]]
"""Opens a text of sealed user ids, with the keys of the task's connection."""


class UserIdSource(ResolveMixin, ABC):
    """
    Something that user ids can be read from. Airflow shows its ``repr``, which contains no user id.

    Airflow treats a source as it treats an XCom: a task with a source runs after the tasks whose XComs the source
    refers to, and reads a rendered copy, so that tasks and mapped instances can share a source.

    :cvar template_fields: the names of the fields that may be templates or XComs.
    """

    template_fields: Sequence[str] = ()

    @abstractmethod
    def read(self) -> Iterator[object]:
        """Read the user ids, in an order that is the same each time; the caller checks each."""

    def opened_by(self, opener: Opener) -> UserIdSource:
        """
        Return what to read in a running task: this source, unless it is sealed or may lead to one that is.

        :param opener: of the task.
        """
        del opener
        return self

    def iter_references(self) -> Iterable[tuple[Operator, str]]:
        """List the tasks and the keys of the XComs in this source; Airflow calls this to order the tasks."""
        from airflow.sdk import XComArg

        return XComArg.iter_xcom_references([getattr(self, name) for name in self.template_fields])

    def resolve(self, context: Context) -> Self:
        """
        Render the fields of this source into a copy; Airflow calls this before the task runs.

        :param context: of the task.
        :raises KoreInputError: if a field renders to nothing.
        """
        rendered = copy(self)
        for name in self.template_fields:
            written = getattr(self, name)
            value = context["task"].render_template(written, context)
            require_rendered(f"{name} of {type(self).__name__}", written, value)
            setattr(rendered, name, value)
        return rendered


def check_texts(source: UserIdSource) -> None:
    """
    Refuse a source whose fields are not text.

    :raises KoreInputError: if a field is not text; only ``column`` may be ``None``.
    """
    for name in source.template_fields:
        value = getattr(source, name)
        if not isinstance(value, str) and (name, value) != ("column", None):
            raise KoreInputError(
                f"{name} of {type(source).__name__} must be text, and is of type {type(value).__name__}.",
                remedy=f"Correct {name}, or what the task returns that it refers to.",
            )
