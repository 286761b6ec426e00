"""User ids that a function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.source import UserIdSource


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
        :raises KoreInputError: if what it returns is a string, a mapping, a set, a table, an array or an open file, or
            cannot be iterated.
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
        if remedy := _no_list(returned):
            raise KoreInputError(
                f"The function for user ids returned a value of type {type(returned).__name__}.", remedy=remedy
            )
        yield from returned


def _no_list(returned: object) -> str | None:
    """Say what to return instead of what is no list of user ids, or of which iteration gives something else."""
    if hasattr(returned, "columns") or hasattr(returned, "column_names"):
        return _OF_A_TABLE
    if any(hasattr(returned, name) for name in ("tolist", "to_list", "to_pylist")):
        return _OF_AN_ARRAY
    if hasattr(returned, "read") or hasattr(returned, "readline"):
        return "Pass FileUserIds with the URI of the file instead of the function, which reads and checks its form."
    if isinstance(returned, str | bytes | bytearray | Mapping | Set) or not isinstance(returned, Iterable):
        return "Let it return a list of user ids, or yield them."
    return None


_OF_A_TABLE = (
    'Let it return one column as a list of texts, such as frame["email"].astype(str).tolist() of pandas or '
    'frame["email"].cast(str).to_list() of polars. Read the table with this column as text (dtype=str): a number has '
    "lost what the id was."
)
_OF_AN_ARRAY = (
    "Let it return a list of texts, such as series.astype(str).tolist() of pandas or numpy, or "
    "series.cast(str).to_list() of polars."
)
