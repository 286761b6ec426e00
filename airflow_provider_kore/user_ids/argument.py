"""The argument ``user_ids`` of a task: what it may be, and what Airflow shows of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow.sdk.definitions._internal.mixins import ResolveMixin

from airflow_provider_kore.api.users import check_list
from airflow_provider_kore.exceptions import KoreError, KoreInputError, KoreSourceError
from airflow_provider_kore.rendering import TextTemplatesMixin, require_rendered
from airflow_provider_kore.user_ids.functions import CallableUserIds
from airflow_provider_kore.user_ids.source import UserIdSource
from airflow_provider_kore.user_ids.text_sources import source_of_text

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

_TEMPLATE = re.compile(r"\{\{|\{%")


class InlineUserIds(UserIdSource):
    """
    Keep user ids that are written in the DAG or come from an XCom, of which Airflow shows the number.

    :param values: the list, unchecked.
    """

    template_fields = ("values",)

    def __init__(self, values: object) -> None:
        self.values = values  # no field of a dataclass, which Airflow would write into an XCom

    def __repr__(self) -> str:
        if isinstance(self.values, list | tuple | set | frozenset):
            return f"{len(self.values)} user ids"
        return f"a value of type {type(self.values).__name__}"

    def resolve(self, context: Context) -> InlineUserIds:
        """Render templates among the values; Airflow calls this."""
        return InlineUserIds(context["task"].render_template(self.values, context))

    def read(self) -> Iterator[object]:
        """
        Read the user ids.

        :raises KoreInputError: if they are no list.
        :raises KoreSourceError: if they are in an XCom that cannot be read just now.
        """
        try:
            yield from check_list(self.values)
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # an XCom may be read and mapped here, and its error show the ids
            raise KoreSourceError(
                f"The user ids cannot be read from their XCom: {type(error).__name__}.",
                remedy="Find out why in the task that returned them, or in the function that maps them: the text is "
                "withheld, since it may show user ids.",
            ) from None


def wrap_inline_ids(value: object) -> object:
    """
    Make a source of what an operator gets as ``user_ids``, so that Airflow never shows or stores a user id.

    A template, an XCom or a list of these stays as it is; it is wrapped once it is rendered.

    :raises KoreInputError: if there are user ids beside what is still to be pulled, since Airflow would show them, or
        sources in a list.
    """
    value = source_of_text(value)
    if value is None or isinstance(value, ResolveMixin):
        return value
    if isinstance(value, str) and _TEMPLATE.search(value):
        return value
    if callable(value):
        return CallableUserIds(value)
    if isinstance(value, list | tuple) and any(isinstance(item, ResolveMixin) for item in value):
        if any(isinstance(item, UserIdSource) for item in value):
            raise KoreInputError(
                "user_ids is a list with sources of user ids in it, and a task reads one source.",
                remedy="Pass the source itself, or make a task for each with expand(user_ids=[…]).",
            )
        if all(isinstance(item, ResolveMixin) or (isinstance(item, str) and _TEMPLATE.search(item)) for item in value):
            return value
        raise KoreInputError(
            "user_ids has user ids beside references to what is not known yet, and Airflow would show these ids.",
            remedy="Pass all of them by reference, or all by value.",
        )
    return InlineUserIds(value)


class UserIdsMixin(TextTemplatesMixin):
    """Take ``user_ids`` as an argument of a task; Airflow never sees user ids that are passed by value."""

    @property
    def user_ids(self) -> object:
        """The source of the user ids; of ids that are passed by value Airflow shows the number."""
        return self._user_ids

    @user_ids.setter
    def user_ids(self, value: object) -> None:
        self._user_ids = wrap_inline_ids(value)

    def _do_render_template_fields(
        self,
        parent: object,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Environment,
        seen_oids: set[int],
    ) -> None:
        """Render ``user_ids`` so that no error shows an id, and the other fields as usual."""
        fields = list(template_fields)
        if parent is self and "user_ids" in fields:
            fields.remove("user_ids")
            written = self.user_ids
            # What a mapped instance gets of an XCom is rendered already: an id in it is no template.
            if not (isinstance(written, InlineUserIds) and id(written.values) in seen_oids):
                self._keeps_text = True
                try:
                    rendered = self.render_template(written, context, jinja_env, seen_oids)
                except KoreError:
                    raise
                except Exception as error:  # noqa: BLE001 # of whatever kind, it may show the ids
                    raise KoreInputError(
                        f"A template or an XCom in user_ids cannot be rendered: {type(error).__name__}.",
                        remedy="Correct user_ids in the DAG, or the task that it refers to. The text of the error is "
                        "withheld, since it may show user ids.",
                    ) from None
                if not isinstance(rendered, UserIdSource):
                    require_rendered("user_ids", written, rendered)
                self.user_ids = rendered
        super()._do_render_template_fields(parent, fields, context, jinja_env, seen_oids)
