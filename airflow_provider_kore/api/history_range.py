"""Which calls show a user's data of a period. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_kore.api.history import HistoryKind, HistoryQuery, LiteQuery, windows
from airflow_provider_kore.api.users import ChannelUserId, UserId, is_kore_id


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """
    Describe which data of each user are wanted.

    :param bot_ids: the bots; ``(None,)`` for all bots at once.
    :param since: begin of the period.
    :param until: end of the period.
    :param channel_types: the channels of messages; ``None`` for Kore.ai's default and all that a user's own sessions
        name.
    """

    bot_ids: tuple[str | None, ...]
    since: datetime
    until: datetime
    channel_types: tuple[str, ...] | None


def window_queries(
    kind: HistoryKind, user_id: str, wanted: HistoryRange, channel_types: Iterable[str | None] = (None,)
) -> Iterator[HistoryQuery]:
    """List the full calls for one kind of a user's data, bot after bot, channel after channel and week after week."""
    for bot_id in wanted.bot_ids:
        for channel_type in channel_types:
            for since, until in windows(wanted.since, wanted.until):
                yield HistoryQuery(kind, user_id, bot_id, since, until, channel_type)


def lite_queries(
    user_id: str, wanted: HistoryRange, channel_types: Iterable[str | None] = (None,), *, by_channel: bool = False
) -> Iterator[LiteQuery]:
    """List the calls of ``messages-lite``, bot after bot and channel after channel; there are none for all bots."""
    for bot_id in filter(None, wanted.bot_ids):
        for channel_type in channel_types:
            yield LiteQuery(user_id, bot_id, wanted.since, wanted.until, channel_type, by_channel)


def channel_name(user_id: UserId) -> str | None:
    """Give what can be the user's id in a channel: of any text but ``u-…`` it is not known whether it is one."""
    if isinstance(user_id, ChannelUserId):
        return user_id.channel_user_id
    return None if is_kore_id(user_id) else user_id
