"""What Kore.ai has of a person, in its words: ask for a page, read the answer. Pure functions, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from urllib.parse import quote

from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.listing import read_listing
from airflow_provider_kore.exceptions import KoreInputError

PAGE = 100
"""Items a call; the most that Kore.ai documents."""

LONGEST_WINDOW = timedelta(days=6, hours=23)
"""Documented for messages, and in some versions for sessions: a query must span less than seven days."""

DEFAULT_CHANNEL_TYPE = "rtm"
"""Documented by Kore.ai: the channel whose messages are meant where none is named."""

CHANNEL_TYPES = frozenset(
    {
        "skypeforbusiness",
        "msteams",
        "twitter",
        "spark",
        "rtm",
        "facebook",
        "slack",
        "skype",
        "kore",
        "email",
        "sms",
        "wfacebook",
        "ringcentral",
        "jabber",
        "yammer",
        "alexa",
        "twiliovoice",
        "telegram",
        "ivr",
        "ivrVoice",
        "smartassist",
        "line",
        "liveperson",
        "googleactions",
        "hangoutchat",
        "mattermost",
        "rcs",
    }
)
"""Documented by Kore.ai: the channels by which messages can be asked for."""


def check_channel_types(value: object, name: str = "channel_types") -> tuple[str, ...]:
    """
    Accept channels that Kore.ai documents.

    :param value: a list of them.
    :param name: how the task calls it.
    :raises KoreInputError: if it is no such list.
    """
    if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
        raise KoreInputError(
            f"{name} must be a list of channels, and not empty.",
            remedy="Pass a list, also for one channel; a template needs render_template_as_native_obj=True on the DAG.",
        )
    for position, channel_type in enumerate(value, start=1):
        if not isinstance(channel_type, str) or channel_type not in CHANNEL_TYPES:
            raise KoreInputError(
                f"The channel at position {position} of {name} is none that Kore.ai documents.",
                remedy=f"Kore.ai documents {', '.join(sorted(CHANNEL_TYPES))}.",
            )
    return tuple(dict.fromkeys(value))


class HistoryKind(Enum):
    """The two kinds of data that Kore.ai shows of a person; the value is the key of the answer's items."""

    SESSIONS = "sessions"
    MESSAGES = "messages"

    @property
    def call(self) -> Call:
        """The call by which they are asked for."""
        return Call.SESSIONS if self is HistoryKind.SESSIONS else Call.MESSAGES

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
    Say what is asked for: the data of one person, of one kind, in one window of time.

    Its ``repr`` does not show the person.

    :param kind: sessions or messages.
    :param user_id: an e-mail address, an id assigned by the enterprise, or a ``u-…`` id.
    :param bot_id: the bot; ``None`` for all bots.
    :param since: begin of the window, with a time zone.
    :param until: end of the window, with a time zone; less than seven days later.
    :param channel_type: the channel of messages, ``None`` for Kore.ai's default; sessions take none.
    """

    kind: HistoryKind
    user_id: str = field(repr=False)
    bot_id: str | None
    since: datetime
    until: datetime
    channel_type: str | None = None

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
            "dateFrom": _milliseconds(self.since),
            "dateTo": _milliseconds(self.until + timedelta(microseconds=999)),  # rounded up, so that nothing is missed
        }
        if self.channel_type is not None:
            document["channelType"] = self.channel_type
        return json.dumps(document).encode()


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """
    Hold one page of what Kore.ai has of a person; its ``repr`` shows none of it.

    :param total: how many items the whole query has.
    :param more_available: whether there are pages behind this one.
    :param items: as Kore.ai gave them; each has its own id under :attr:`HistoryKind.id_key`.
    """

    total: int
    more_available: bool
    items: tuple[dict[str, object], ...] = field(repr=False)


def read_page(document: object, query: HistoryQuery) -> HistoryPage:
    """
    Read the answer to a query.

    :param document: the decoded answer.
    :param query: what was asked for.
    :raises KoreUnreadableAnswerError: if anything in it is not understood.
    """
    call, key, id_key = query.kind.call, query.kind.value, query.kind.id_key
    listing = read_listing(document, call, more_key="moreAvailable", items_key=key)
    for item in listing.items:
        item_id = item.get(id_key)
        if not isinstance(item_id, str) or not item_id.strip():
            raise unreadable(call, f"one of its {key} has no {id_key} that is a text")
    return HistoryPage(listing.total, listing.more_available, listing.items)
