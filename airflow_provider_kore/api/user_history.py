"""Query all data of one user in a period, and check that the answers are complete."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from airflow_provider_kore.api.calls import fetch_history
from airflow_provider_kore.api.channels import DEFAULT_CHANNEL_TYPE, channel_fault
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.history import HistoryKind, LiteQuery, Query
from airflow_provider_kore.api.history_range import HistoryRange, channel_name, lite_queries, window_queries
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.users import ChannelUserId, UserId, is_kore_id
from airflow_provider_kore.exceptions import (
    KoreConfigurationError,
    KoreError,
    KoreExportError,
    KorePermissionError,
    KoreRequestError,
    KoreUnreadableAnswerError,
)

log = logging.getLogger(__name__)

LITE_REFUSALS: tuple[type[KoreError], ...] = (
    KoreConfigurationError,
    KorePermissionError,
    KoreRequestError,
    KoreUnreadableAnswerError,
)
"""How it shows that ``messages-lite`` cannot be asked: an older Kore.ai does not have it, or takes fewer arguments."""


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """
    A session or a message; its ``repr`` shows none of it.

    :param kind: which of the two.
    :param bot_id: the bot that was asked about; ``None`` for all bots.
    :param data: as Kore.ai gave it.
    """

    kind: HistoryKind
    bot_id: str | None
    data: dict[str, object] = field(repr=False)


Write = Callable[[HistoryItem], None]


class _Owner(Enum):
    """Whose a message is, as far as it tells by itself."""

    USER = "this user's"
    ANOTHER = "another user's"
    UNKNOWN = "not known"


class UserHistory:
    """
    Read one user's data, each item once, and refuse what cannot be all of it, or is not only this user's.

    Kore.ai's full calls take a user id. Afterwards ``messages-lite`` is asked: by the same id, to learn whether it
    lists a message that the full calls do not; and by the user's id in a channel, for the messages of a user who is
    named by that. A user who is named by a channel id and a channel user id is known to ``messages-lite`` alone.

    :param user_id: who it is.
    :param wanted: of what bots, time and channels.
    :ivar counts: how many items there are so far, by kind and bot.
    :ivar compared: whether ``messages-lite`` could be asked all that it was to be asked.
    """

    def __init__(self, user_id: UserId, wanted: HistoryRange) -> None:
        self._user_id = user_id
        self._wanted = wanted
        named_by_channel = isinstance(user_id, ChannelUserId)
        self._channel_types = set() if named_by_channel else set(wanted.channel_types or [DEFAULT_CHANNEL_TYPE])
        self._own_id = user_id if isinstance(user_id, str) and is_kore_id(user_id) else None
        self._channel_name = channel_name(user_id)
        self._known: set[tuple[HistoryKind, str | None, object]] = set()
        self._session_ids: set[object] = set()
        self.counts: Counter[tuple[HistoryKind, str | None]] = Counter()
        self.compared = None not in wanted.bot_ids

    @property
    def channel_types(self) -> list[str]:
        """The channels whose messages are asked for; all of them are known when the sessions are."""
        return sorted(self._channel_types)

    def queries(self) -> Iterator[Query]:
        """List what to ask for, in an order that is always the same: sessions first, since they name the channels."""
        user_id, wanted = self._user_id, self._wanted
        if isinstance(user_id, str):
            yield from window_queries(HistoryKind.SESSIONS, user_id, wanted)
            yield from window_queries(HistoryKind.MESSAGES, user_id, wanted, self.channel_types)
            yield from lite_queries(user_id, wanted, wanted.channel_types or (None,))
        if self._channel_name is not None:
            yield from lite_queries(self._channel_name, wanted, wanted.channel_types or (None,), by_channel=True)

    def ask(self, query: Query, pacing: Pacing, write: Write, give_up_at: float | None = None) -> Conversation[None]:
        """
        Ask for all pages of one query, or compare what is known with them.

        :param query: one of :meth:`queries`.
        :param write: is called with each item that was not known yet.
        :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
        :raises KoreExportError: if the pages do not add up, contain another user's data, or contain messages
            that do not tell whose they are; or if the full calls leave messages out.
        :raises KoreError: see :func:`fetch_history_page`.
        """
        if not isinstance(query, LiteQuery):
            yield from self.read(query, pacing, write, give_up_at)
            return
        try:
            if query.by_channel:
                yield from self.read(query, pacing, write, give_up_at)
            else:
                yield from self._compare(query, pacing, give_up_at)
        except LITE_REFUSALS as error:
            if isinstance(self._user_id, ChannelUserId):
                raise
            self.compared = False
            log.info("What is exported cannot be compared with messages-lite: %s", error.problem)

    def read(self, query: Query, pacing: Pacing, write: Write, give_up_at: float | None = None) -> Conversation[None]:
        """Ask for all pages of one query, and write the items, as :meth:`ask`; first those that tell whose they are."""
        undecided: list[HistoryItem] = []

        def add(item: HistoryItem) -> None:
            if self.add(item):
                write(item)

        def take(data: dict[str, object]) -> bool:
            if isinstance(query, LiteQuery) and not query.covers(data):
                return False
            item = HistoryItem(query.kind, query.bot_id, data)
            if query.kind is HistoryKind.MESSAGES and not self._is_surely_own(data):
                undecided.append(item)
            else:
                add(item)
            return False

        why = yield from fetch_history(query, take, pacing, give_up_at)
        if why is not None:
            raise _incomplete(query.kind, why)
        for item in undecided:
            add(item)

    def _compare(self, query: LiteQuery, pacing: Pacing, give_up_at: float | None) -> Conversation[None]:
        """Find messages that the full calls did not list."""
        missing = listed = at_the_end = 0

        def take(data: dict[str, object]) -> bool:
            nonlocal missing, listed, at_the_end
            if query.ends_with(data):
                at_the_end += 1
            elif query.covers(data):
                listed += 1
                missing += (query.kind, query.bot_id, data[query.kind.id_key]) not in self._known
            return False

        why = yield from fetch_history(query, take, pacing, give_up_at)
        if why is not None:
            raise _incomplete(query.kind, why)
        if missing:
            raise KoreExportError(
                f"The messages of the full calls are not all: messages-lite lists {missing} that they do not.",
                remedy="Give the task channel_types, with all channels that your bots use, since a message can be of a "
                "channel that no session of its user names. If it stays so, ask Kore.ai.",
            )
        if self._wanted.channel_types is None and listed < self.counts[HistoryKind.MESSAGES, query.bot_id] - at_the_end:
            log.warning(
                "messages-lite lists %d messages at bot %s, and the full calls %d. The export is whole, but a "
                "verification asks messages-lite: ask Kore.ai which messages it leaves out.",
                listed,
                query.bot_id,
                self.counts[HistoryKind.MESSAGES, query.bot_id],
            )

    def add(self, item: HistoryItem) -> bool:
        """
        Count an item, and tell whether it is a new one: two windows may list the same.

        :raises KoreExportError: if it is another user's, or does not tell whose it is.
        """
        key = (item.kind, item.bot_id, item.data.get(item.kind.id_key))
        if key in self._known:
            return False
        if item.kind is HistoryKind.SESSIONS:
            self._add_session(item.data)
        else:
            self._add_message(item.data)
        self._known.add(key)
        self.counts[item.kind, item.bot_id] += 1
        return True

    @property
    def own_id(self) -> str | None:
        """The id by which the data name the user; ``None`` as long as there are none."""
        return self._own_id

    def _add_session(self, session: dict[str, object]) -> None:
        user_id = session.get("userId")
        if not isinstance(user_id, str) or not user_id.strip():
            raise _not_own("one of the sessions does not say whose it is")
        if user_id != (self._own_id or user_id):
            raise _not_own("one of the sessions is another user's")
        self._own_id = user_id
        self._note_channel(session.get("channel"))
        self._session_ids.add(session.get("sessionId"))

    def _add_message(self, message: dict[str, object]) -> None:
        owner = self._owner_of(message)
        if owner is _Owner.ANOTHER:
            raise _not_own("one of the messages is another user's")
        if owner is _Owner.UNKNOWN:
            raise KoreExportError(
                "One of the messages does not say whose it is: it has no createdBy, and is of no session of this user "
                "in the period.",
                remedy="Let since be earlier, so that the session in which it was written begins in the period. If it "
                "stays so, ask Kore.ai whose it is. What was written of this user is removed until then.",
            )
        created_by, session_id = message.get("createdBy"), message.get("sessionId")
        in_own_name = message.get("type") == "outgoing" and session_id in self._session_ids
        if isinstance(created_by, str) and not in_own_name:
            self._own_id = created_by
        if isinstance(session_id, str):
            self._session_ids.add(session_id)
        if isinstance(self._user_id, ChannelUserId) and channel_fault(channel := message.get("chnl")) is None:
            self._channel_types.add(str(channel))

    def _is_surely_own(self, message: dict[str, object]) -> bool:
        """Tell whether a message is this user's, whatever comes; what a bot says does not tell who the user is."""
        said_first = message.get("type") == "outgoing" and self._own_id is None
        return self._owner_of(message) is _Owner.USER and not said_first

    def _owner_of(self, message: dict[str, object]) -> _Owner:
        """
        Tell whose a message is.

        Its ``createdBy`` is the user with whom the bot speaks, but a bot or an agent may answer in its own name.
        Kore.ai's newest sample has no ``createdBy``, not even on what a user wrote. Then its session tells it, or the
        user's id in the channel. What neither tells is not taken for another user's.
        """
        created_by = message.get("createdBy")
        outgoing = message.get("type") == "outgoing"
        if message.get("sessionId") in self._session_ids and (outgoing or created_by is None):
            return _Owner.USER
        if created_by is None:
            return _Owner.USER if self._channel_name in _channel_names(message) else _Owner.UNKNOWN
        if not isinstance(created_by, str) or not created_by.strip():
            return _Owner.ANOTHER
        return _Owner.USER if created_by == (self._own_id or created_by) else _Owner.ANOTHER

    def _note_channel(self, channel: object) -> None:
        if self._wanted.channel_types is not None:
            return
        if channel_fault(channel) is not None:
            raise KoreExportError(
                "A session does not name its channel, by which its messages must be asked for, so that some could be "
                "missed.",
                remedy="Find out which channels this user's sessions have, and give the task channel_types.",
            )
        self._channel_types.add(str(channel))


def _channel_names(message: dict[str, object]) -> Iterator[object]:
    channels = message.get("channels")
    for channel in channels if isinstance(channels, list) else []:
        if isinstance(channel, dict) and channel.get("channelUId") is not None:
            yield channel["channelUId"]


def _incomplete(kind: HistoryKind, why: str) -> KoreExportError:
    return KoreExportError(
        f"The {kind.value} that Kore.ai lists are not all: {why}.",
        remedy="Clear the task to read them again. If it stays so, let until be a little earlier, when all that it "
        "spans was at rest; or ask Kore.ai.",
    )


def _not_own(why: str) -> KoreExportError:
    return KoreExportError(
        f"ALARM: Kore.ai answered with data that are not only this user's: {why}.",
        remedy="Hand nothing out; what was written of this user is removed. If this id names several users at Kore.ai, "
        "one by the id and one by the id in a channel, export and erase each by the u-… id. If not, ask Kore.ai whose "
        "data its history calls answer with.",
    )
