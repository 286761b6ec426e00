"""Find user ids in the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_kore.api.users import CHANNEL_KEYS
from airflow_provider_kore.user_ids.text_lines import FaultMaker


class Columns:
    """
    Find the user id in a row.

    :param names: the header of the table.
    :param column: the one that holds the user id; ``None`` for the two of a channel id with a channel user id.
    :param fault: makes the error if the header has them not at all or repeatedly, or a row has other fields.
    """

    def __init__(self, names: Sequence[object], column: str | None, fault: FaultMaker) -> None:
        self._count = len(names)
        self._fault = fault
        wanted = wanted_columns(column)
        if not has_columns(names, column):
            raise fault(f"there must be one column {' and one '.join(wanted)}", "Name the column of the user ids.")
        self.positions = tuple(names.index(name) for name in wanted)

    def pick(self, row: Sequence[object], place: str) -> object:
        """Give the user id of a row; ``place`` says where the row is."""
        if len(row) != self._count:
            raise self._fault(f"{place} has {len(row)} fields and not {self._count}")
        values = [row[position] for position in self.positions]
        return values[0] if len(values) == 1 else dict(zip(sorted(CHANNEL_KEYS), values, strict=True))


def wanted_columns(column: str | None) -> list[str]:
    """Name the columns that hold the user ids."""
    return sorted(CHANNEL_KEYS) if column is None else [column]


def has_columns(names: Sequence[object], column: str | None) -> bool:
    """Whether a header has the columns of the user ids, each once."""
    return all(list(names).count(name) == 1 for name in wanted_columns(column))
