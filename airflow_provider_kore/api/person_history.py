"""All that Kore.ai has of one person in a period: what to ask for, and whether the answers can be the whole of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_kore.api.calls import Conversation, Pacing, fetch_history_page
from airflow_provider_kore.api.history import (
    CHANNEL_TYPES,
    DEFAULT_CHANNEL_TYPE,
    HistoryKind,
    HistoryQuery,
    windows,
)
from airflow_provider_kore.exceptions import KoreExportError


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """
    Say what is wanted of each person.

    :param bot_ids: the bots; ``(None,)`` for all bots at once.
    :param since: begin of the period.
    :param until: end of the period.
    :param channel_types: the channels of messages; ``None`` for Kore.ai's default and all that a person's own sessions
        name.
    """

    bot_ids: tuple[str | None, ...]
    since: datetime
    until: datetime
    channel_types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """
    Hold a session or a message; its ``repr`` shows none of it.

    :param kind: which of the two.
    :param bot_id: the bot that was asked about; ``None`` for all bots.
    :param data: as Kore.ai gave it.
    """

    kind: HistoryKind
    bot_id: str | None
    data: dict[str, object] = field(repr=False)


Write = Callable[[HistoryItem], None]


class PersonHistory:
    """
    Read one person's data, each item once, and refuse what cannot be all of it, or is not only this person's.

    :param user_id: an e-mail address, an id assigned by the enterprise, or a ``u-…`` id.
    :param wanted: of what bots, time and channels.
    :ivar counts: how many items there are so far, by kind and bot.
    """

    def __init__(self, user_id: str, wanted: HistoryRange) -> None:
        self._user_id = user_id
        self._wanted = wanted
        self._channel_types = set(wanted.channel_types or [DEFAULT_CHANNEL_TYPE])
        self._own_id = user_id if user_id.startswith("u-") else None
        self._known: set[tuple[HistoryKind, str | None, object]] = set()
        self._session_ids: set[object] = set()
        self.counts: Counter[tuple[HistoryKind, str | None]] = Counter()

    @property
    def channel_types(self) -> list[str]:
        """The channels whose messages are asked for; all of them are known when the sessions are."""
        return sorted(self._channel_types)

    def queries(self) -> Iterator[HistoryQuery]:
        """List what to ask for, in an order that is always the same: sessions first, since they name the channels."""
        edges = list(windows(self._wanted.since, self._wanted.until))
        for bot_id in self._wanted.bot_ids:
            for since, until in edges:
                yield HistoryQuery(HistoryKind.SESSIONS, self._user_id, bot_id, since, until)
        for bot_id in self._wanted.bot_ids:
            for channel_type in self.channel_types:
                for since, until in edges:
                    yield HistoryQuery(HistoryKind.MESSAGES, self._user_id, bot_id, since, until, channel_type)

    def ask(
        self, query: HistoryQuery, pacing: Pacing, write: Write, give_up_at: float | None = None
    ) -> Conversation[None]:
        """
        Ask for all pages of one query.

        :param query: one of :meth:`queries`.
        :param write: is given each item that was not known yet.
        :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
        :raises KoreExportError: if the pages do not add up, or hold somebody else's data.
        :raises KoreError: see :func:`fetch_history_page`.
        """
        received: set[object] = set()
        totals: set[int] = set()
        skip, more_available = 0, True
        while more_available:
            page = yield from fetch_history_page(query, skip, pacing, give_up_at)
            count = len(received)
            for data in page.items:
                received.add(data[query.kind.id_key])
                item = HistoryItem(query.kind, query.bot_id, data)
                if self.add(item):
                    write(item)
            if page.more_available and len(received) == count:
                raise _incomplete(query.kind, "a page brings nothing new, and is not the last")
            totals.add(page.total)
            skip += len(page.items)
            more_available = page.more_available
        if totals != {len(received)}:
            raise _incomplete(query.kind, f"{len(received)} came, where Kore.ai speaks of {_numbers(totals)}")

    def add(self, item: HistoryItem) -> bool:
        """
        Count an item, and tell whether it is a new one: two windows may give the same.

        :raises KoreExportError: if it is somebody else's.
        """
        key = (item.kind, item.bot_id, item.data.get(item.kind.id_key))
        if key in self._known:
            return False
        if item.kind is HistoryKind.SESSIONS:
            self._require_own(item.kind, item.data.get("userId"))
            self._note_channel(item.data.get("channel"))
        elif not self._is_said_to_them(item.data):
            self._require_own(item.kind, item.data.get("createdBy"))
        self._known.add(key)
        if item.kind is HistoryKind.SESSIONS:
            self._session_ids.add(item.data.get(item.kind.id_key))
        self.counts[item.kind, item.bot_id] += 1
        return True

    def _is_said_to_them(self, message: dict[str, object]) -> bool:
        """Tell whether a bot or an agent says it in a session of this person, in whosever name."""
        return message.get("type") == "outgoing" and message.get("sessionId") in self._session_ids

    @property
    def own_id(self) -> str | None:
        """The id by which the data name the person; ``None`` as long as there are none."""
        return self._own_id

    def _require_own(self, kind: HistoryKind, user_id: object) -> None:
        if not isinstance(user_id, str) or not user_id.strip():
            raise _not_own(f"one of the {kind.value} does not say whose it is")
        if self._own_id is None:
            self._own_id = user_id
        elif user_id != self._own_id:
            raise _not_own(f"one of the {kind.value} is another user's")

    def _note_channel(self, channel: object) -> None:
        if self._wanted.channel_types is not None:
            return
        if not isinstance(channel, str) or channel not in CHANNEL_TYPES:
            raise KoreExportError(
                "A session names a channel by which messages cannot be asked for, as far as Kore.ai documents, so that "
                "some could be missed.",
                remedy="Find out which channels this person's sessions name, and give the task channel_types.",
            )
        self._channel_types.add(channel)


def _numbers(totals: set[int]) -> str:
    return " and then ".join(map(str, sorted(totals)))


def _incomplete(kind: HistoryKind, why: str) -> KoreExportError:
    return KoreExportError(
        f"The {kind.value} that Kore.ai lists are not all: {why}.",
        remedy="Clear the task to read them again. If it stays so, let until be a little earlier, when all that it "
        "spans was at rest; or ask Kore.ai.",
    )


def _not_own(why: str) -> KoreExportError:
    return KoreExportError(
        f"ALARM: Kore.ai answered with data that are not only this person's: {why}. What was written of it is removed.",
        remedy="Hand nothing out, and ask Kore.ai whose data its history calls answer with.",
    )
