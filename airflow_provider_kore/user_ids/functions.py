"""User ids that a function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from copy import copy
from functools import partial
from typing import cast

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.source import Opener, UserIdSource
from airflow_provider_kore.user_ids.text_sources import source_of_text


class CallableUserIds(UserIdSource):
    """
    Read user ids from what a function returns, which is called without arguments each time they are read.

    :param function: returns an iterable of user ids, in an order that is the same each time, the URI of a file, a text
        of sealed user ids, or a source of user ids, whose fields are not templated here.
    """

    _opener: Opener | None = None

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def __repr__(self) -> str:
        return f"user ids that {getattr(self.function, '__qualname__', type(self.function).__qualname__)} returns"

    def opened_by(self, opener: Opener) -> CallableUserIds:
        """Return the same function, which may return sealed user ids."""
        opened = copy(self)
        opened._opener = opener
        return opened

    def read(self) -> Iterator[object]:
        """
        Call the function and read what it returns.

        :raises KoreSourceError: if the function raises anything.
        :raises KoreInputError: if what it returns is a string, a mapping, a set, a table, an array or an open file, or
            cannot be iterated.
        """
        try:
            returned = source_of_text(self.function())
            if isinstance(returned, UserIdSource):
                yield from (returned.opened_by(self._opener) if self._opener else returned).read()
            else:
                yield from _check_iterable(returned)
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # of whatever kind, its text may show the ids
            raise KoreSourceError(
                f"The function for user ids raised {type(error).__name__}.",
                remedy="Find out why by calling it yourself: its text is withheld, since it may show user ids.",
            ) from None


_REMEDIES = {
    ("columns", "column_names"): "Let it return one column as a list of texts, such as "
    'frame["email"].astype(str).tolist() of pandas or frame["email"].cast(str).to_list() of polars. Read the table '
    "with this column as text (dtype=str): a number has lost what the id was.",
    ("tolist", "to_list", "to_pylist"): "Let it return a list of texts, such as series.astype(str).tolist() of pandas "
    "or numpy, or series.cast(str).to_list() of polars.",
    ("read", "readline"): "Return the URI of the file instead, which is then read and checked by its form, or "
    "FileUserIds.",
}
"""By attributes of what is no list of user ids, or of which an iteration gives something else."""


def _check_iterable(returned: object) -> Iterable[object]:
    remedy = next((text for names, text in _REMEDIES.items() if any(map(partial(hasattr, returned), names))), None)
    if isinstance(returned, str | bytes | bytearray | Mapping | Set) or not isinstance(returned, Iterable):
        remedy = remedy or "Let it return a list of user ids, or yield them."
    if remedy is None:
        return cast("Iterable[object]", returned)
    raise KoreInputError(
        f"The function for user ids returned a value of type {type(returned).__name__}.", remedy=remedy
    )
