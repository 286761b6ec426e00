"""What to ask about a user after the erasure: with as few calls as prove that nothing is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from airflow_provider_kore.api.channels import DEFAULT_CHANNEL_TYPE
from airflow_provider_kore.api.history import LONGEST_WINDOW, HistoryKind, HistoryQuery, LiteQuery, Query
from airflow_provider_kore.api.history_range import HistoryRange, channel_name, lite_queries, window_queries
from airflow_provider_kore.api.users import ChannelUserId, UserId

LITE, CHANNEL, SPAN = "lite", "channel", "span"
"""What Kore.ai can refuse: messages by ``messages-lite``, a channel user id there, sessions of a long span."""


class UserSearch:
    """
    List what is asked about one user, and what is asked instead of what Kore.ai refuses.

    One call of ``messages-lite`` for each bot shows all messages, and one call the sessions of the whole period. Each
    channel that is searched is asked for by name too, since it is a guess that ``messages-lite`` shows all channels
    without one. A text that is no ``u-…`` id can be the user's id in a channel, and is asked for as such too, on all
    channels: it is not documented whether the ``channel_id`` of the erase call is a ``channelType``. Where Kore.ai
    refuses, the full calls are asked in windows of a week. They know no ids in channels, so that a user who is named by
    a channel cannot be searched for then.

    :param user_id: who it is.
    :param wanted: of what bots, time and channels.
    :param refused: what Kore.ai has refused about this user.
    """

    def __init__(self, user_id: UserId, wanted: HistoryRange, refused: Iterable[str] = ()) -> None:
        self._user_id = user_id
        self._wanted = wanted
        self.refused = set(refused)

    @property
    def is_possible(self) -> bool:
        """Whether there is anything that can be asked."""
        return any(self._parts())

    def queries(self) -> Iterator[Query]:
        """List what is asked, in an order that changes only by what is refused."""
        return chain.from_iterable(self._parts())

    def replace(self, query: Query) -> int | None:
        """
        Ask something else instead of a query that was refused.

        :return: the number of the query with which to continue; ``None`` if nothing can replace it.
        """
        if isinstance(query, LiteQuery):
            if query.by_channel and isinstance(self._user_id, ChannelUserId):
                return None
            what = CHANNEL if query.by_channel else LITE
        elif query.kind is HistoryKind.SESSIONS and query.until - query.since > LONGEST_WINDOW:
            what = SPAN
        else:
            return None
        self.refused.add(what)
        parts = self._parts()
        return sum(map(len, parts[: (LITE, CHANNEL, SPAN).index(what)]))

    def _parts(self) -> tuple[Sequence[Query], Sequence[Query], Sequence[Query]]:
        return self._messages(), self._messages_by_channel(), self._sessions()

    def _messages(self) -> list[Query]:
        user_id, wanted = self._user_id, self._wanted
        if isinstance(user_id, ChannelUserId):
            return []
        channel_types = wanted.channel_types or (DEFAULT_CHANNEL_TYPE,)
        if LITE in self.refused or None in wanted.bot_ids:
            return list(window_queries(HistoryKind.MESSAGES, user_id, wanted, channel_types))
        others = [channel_type for channel_type in channel_types if channel_type != DEFAULT_CHANNEL_TYPE]
        return list(lite_queries(user_id, wanted, (None, *others)))

    def _messages_by_channel(self) -> list[Query]:
        name = channel_name(self._user_id)
        if name is None or CHANNEL in self.refused:
            return []
        return list(lite_queries(name, self._wanted, by_channel=True))

    def _sessions(self) -> list[Query]:
        user_id, wanted = self._user_id, self._wanted
        if isinstance(user_id, ChannelUserId):
            return []
        if SPAN in self.refused:
            return list(window_queries(HistoryKind.SESSIONS, user_id, wanted))
        return [
            HistoryQuery(HistoryKind.SESSIONS, user_id, bot_id, wanted.since, wanted.until) for bot_id in wanted.bot_ids
        ]
