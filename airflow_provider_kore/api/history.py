"""Build a query for a page of a user's data, and read the answer. Pure functions, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from urllib.parse import quote

from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.listing import Page, read_listing
from airflow_provider_kore.times import utc_text

PAGE = 100
"""Items a call; the most that Kore.ai documents."""

LONGEST_WINDOW = timedelta(days=6, hours=23)
"""Documented for messages, and in some versions for sessions: a query must span less than seven days."""

LITE_PAGE = 1000
"""Messages a call of ``messages-lite``; the most that Kore.ai documents. Its own default is 5."""


class HistoryKind(Enum):
    """The two kinds of data that Kore.ai shows of a user; the value is the key of the answer's items."""

    SESSIONS = "sessions"
    MESSAGES = "messages"

    @property
    def item_name(self) -> str:
        """What one of them is called."""
        return self.value.removesuffix("s")

    @property
    def id_key(self) -> str:
        """The key under which each item has its own id."""
        return "sessionId" if self is HistoryKind.SESSIONS else "_id"


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """
    Ask for the data of one user, of one kind, in one window of time.

    Its ``repr`` does not show the user.

    :param kind: sessions or messages.
    :param user_id: an e-mail address, an id assigned by the enterprise, or a ``u-…`` id.
    :param bot_id: the bot; ``None`` for all bots.
    :param since: begin of the window, with a time zone.
    :param until: end of the window, with a time zone; for messages less than seven days later.
    :param channel_type: the channel of messages, ``None`` for Kore.ai's default; sessions take none.
    """

    kind: HistoryKind
    user_id: str = field(repr=False)
    bot_id: str | None
    since: datetime
    until: datetime
    channel_type: str | None = None

    @property
    def call(self) -> Call:
        """The call by which it is asked."""
        return Call.SESSIONS if self.kind is HistoryKind.SESSIONS else Call.MESSAGES

    @property
    def path(self) -> str:
        """The path of the call."""
        bot = "" if self.bot_id is None else f"/bot/{quote(self.bot_id, safe='')}"
        return f"/api/public{bot}/get{self.kind.value.capitalize()}"

    def body(self, skip: int) -> bytes:
        """
        Write the JSON body.

        :param skip: how many items come before the page.
        """
        document: dict[str, object] = {
            "userId": self.user_id,
            "skip": skip,
            "limit": PAGE,
            "dateFrom": utc_text(self.since, "milliseconds"),
            # Rounded up, so that nothing is missed.
            "dateTo": utc_text(self.until + timedelta(microseconds=999), "milliseconds"),
        }
        if self.channel_type is not None:
            document["channelType"] = self.channel_type
        return json.dumps(document).encode()


@dataclass(frozen=True, slots=True)
class LiteQuery:
    """
    Say what is asked of ``messages-lite``: all messages of a user at one bot in a span of any length, with few fields.

    Kore.ai takes days of UTC there. Whether the last one belongs to the span is not documented: the day after it is
    named, so that nothing is missed, and :meth:`covers` tells which messages are in the span. That a span may be of any
    length is a guess too.

    Its ``repr`` does not show the user.

    :param user_id: an e-mail address, an id assigned by the enterprise, a ``u-…`` id; or a user's id in a channel.
    :param bot_id: the bot, which the path must name.
    :param since: begin of the span, with a time zone.
    :param until: end of the span, with a time zone.
    :param channel_type: the channel; ``None`` for all channels, which is a guess where ``by_channel`` is ``False``.
    :param by_channel: whether ``user_id`` is asked for as ``channelUId``, and not as ``userId``.
    """

    user_id: str = field(repr=False)
    bot_id: str
    since: datetime
    until: datetime
    channel_type: str | None = None
    by_channel: bool = False

    kind = HistoryKind.MESSAGES
    call = Call.MESSAGES_LITE

    @property
    def path(self) -> str:
        """The path of the call."""
        return f"/api/public/bot/{quote(self.bot_id, safe='')}/messages-lite"

    def body(self, skip: int) -> bytes:
        """
        Write the JSON body.

        A user's id in a channel is a text beside a channel, and an array without one: so Kore.ai documents it.

        :param skip: how many items come before the page.
        """
        document: dict[str, object] = {
            "channelUId" if self.by_channel else "userId": self.user_id,
            "skip": skip,
            "limit": LITE_PAGE,
            "dateFrom": self.since.astimezone(UTC).date().isoformat(),
            "dateTo": (self.until.astimezone(UTC).date() + timedelta(days=1)).isoformat(),
        }
        if self.channel_type is not None:
            document["channelType"] = self.channel_type
        elif self.by_channel:
            document["channelUId"] = [self.user_id]
        return json.dumps(document).encode()

    def covers(self, message: Mapping[str, object]) -> bool:
        """Tell whether a message is in the span, of which both ends are part; if it does not tell its time, it is."""
        created = self._time_of(message)
        return created is None or self.since <= created <= self.until

    def ends_with(self, message: Mapping[str, object]) -> bool:
        """Tell whether a message is of the very end of the span, which other calls may not list."""
        created = self._time_of(message)
        return created is not None and created >= self.until - timedelta(milliseconds=1)

    @staticmethod
    def _time_of(message: Mapping[str, object]) -> datetime | None:
        try:
            created = datetime.fromisoformat(str(message.get("createdOn")))
        except ValueError:
            return None
        return created if created.tzinfo is not None else None


Query = HistoryQuery | LiteQuery


def windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """
    Cut a span into consecutive windows, each as long as Kore.ai answers at once.

    They share their edges. Whether the ends of a window belong to it is not documented, so whoever counts must fold
    what two windows give alike.
    """
    while since < until:
        end = min(since + LONGEST_WINDOW, until)
        yield since, end
        since = end


def read_page(document: object, query: Query) -> Page[dict[str, object]]:
    """
    Read the answer to a query.

    :param document: the decoded answer.
    :param query: what was asked for.
    :return: the items as Kore.ai wrote them; each has its own id under :attr:`HistoryKind.id_key`.
    :raises KoreUnreadableAnswerError: if anything in it is not understood.
    """
    key, id_key = query.kind.value, query.kind.id_key

    def read_item(item: dict[str, object]) -> dict[str, object]:
        item_id = item.get(id_key)
        if not isinstance(item_id, str) or not item_id.strip():
            raise unreadable(query.call, f"one of its {key} has no {id_key} that is a text")
        return item

    return read_listing(document, query.call, more_key="moreAvailable", items_key=key, read_item=read_item)
