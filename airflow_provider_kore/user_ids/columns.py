"""Find user ids in the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_kore.api.users import CHANNEL_KEYS
from airflow_provider_kore.exceptions import KoreInputError


class Columns:
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
        """Give the user id of a row; ``place`` says where the row is."""
        if len(row) != self._count:
            raise self._fault(f"{place} has {len(row)} fields and not {self._count}")
        values = [row[position] for position in self._positions]
        return values[0] if len(values) == 1 else dict(zip(sorted(CHANNEL_KEYS), values, strict=True))
