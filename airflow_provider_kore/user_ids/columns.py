"""The columns of a table that contain user ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter

from airflow_provider_kore.api.users import CHANNEL_KEYS, ChannelUserId


class ListError(Exception):
    """
    A list of users cannot be read. Whoever knows where the list is from makes a KoreInputError of it.

    :param reason: what is wrong, without any content.
    :param remedy: what to do, if there is more to say than that the list must be corrected.
    """

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def find_columns(names: Sequence[object], column: str | None) -> Callable[[Sequence[object]], object]:
    """
    Find the columns of the user ids, and return what picks the user id from a row.

    :param names: the header of the table.
    :param column: the one that contains the user id; ``None`` for the two of a channel id with a channel user id.
    :raises ListError: if the header does not have each of them once.
    """
    wanted = CHANNEL_KEYS if column is None else (column,)
    if any(list(names).count(name) != 1 for name in wanted):
        raise ListError(f"there must be one column {' and one '.join(wanted)}", "Name the column of the user ids.")
    if column is not None:
        return itemgetter(names.index(column))
    channel_id, channel_user_id = map(names.index, CHANNEL_KEYS)
    return lambda row: ChannelUserId(row[channel_id], row[channel_user_id])  # type: ignore[arg-type] # checked later
