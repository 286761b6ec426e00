"""Made-up conversations of users with bots; each follows from the user, the bot and the seed."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.times import write_time

_LONGEST_PAUSE = timedelta(seconds=10)


@dataclass(frozen=True)
class User:
    """A user at Kore: the id there, the name in the conversations, and all names that lists may use."""

    user_id: str
    name: str
    names: frozenset[str]


@dataclass(frozen=True)
class Item:
    """A session or a message, and when it began."""

    time: datetime
    item_id: str
    content: dict[str, object]


@dataclass(frozen=True)
class Session:
    """One conversation of a user with a bot."""

    session_id: str
    user: User
    bot_id: str
    channel: str
    started: datetime
    message_times: Sequence[datetime]

    def item(self) -> Item:
        """Return the session as Kore words it."""
        content: dict[str, object] = {
            "sessionId": self.session_id,
            "botId": self.bot_id,
            "channel": self.channel,
            "userId": self.user.user_id,
            "start_time": write_time(self.started),
            "end_time": write_time(self.message_times[-1] if self.message_times else self.started),
            "sessionType": "Interactive",
            "containmentType": "selfService",
            "isDeveloper": False,
            "sessionStatus": "closed",
            "tags": {"userTags": [{"name": "contact", "value": self.user.name}], "sessionTags": []},
            "noOfMessagesExchanged": len(self.message_times),
        }
        return Item(self.started, self.session_id, content)

    def messages(self, settings: Settings) -> list[Item]:
        """Return the messages of the session as Kore words them; each names the user."""
        return [self._message(number, time, settings) for number, time in enumerate(self.message_times)]

    def lite_messages(self, settings: Settings) -> list[Item]:
        """Return the messages of the session as `messages-lite` words them."""
        kept = ("_id", "botId", "type", "createdBy", "createdOn", "sessionId", "components")
        items = []
        for item in self.messages(settings):
            sender: dict[str, object] = {"from": self.user.user_id}
            if item.content["type"] == "incoming":
                sender["channelUId"] = self.user.name
            content = {key: item.content[key] for key in kept if key in item.content}
            items.append(Item(item.time, item.item_id, {**content, "chnl": self.channel, "channels": [sender]}))
        return items

    def _message(self, number: int, time: datetime, settings: Settings) -> Item:
        incoming = number % 2 == 0
        message_id = f"ms-{_identity(self.session_id, number)}"
        text = f"Hello, this is {self.user.name}" if incoming else f"What can I do for {self.user.name}?"
        content: dict[str, object] = {
            "_id": message_id,
            "type": "incoming" if incoming else "outgoing",
            "createdBy": self.user.user_id,
            "createdOn": write_time(time),
            "lmodifiedOn": write_time(time),
            "channels": [{"type": self.channel, "channelUId": self.user.name}],
            "botId": self.bot_id,
            "sessionId": self.session_id,
            "components": [{"cT": "text", "data": {"text": text}}],
            "tags": {"userTags": [], "sessionTags": [], "messageTags": []},
        }
        if settings.message_authors == "never":
            del content["createdBy"]
        return Item(time, message_id, content)


def sessions_of(user: User, bot_id: str, end: datetime, settings: Settings) -> list[Session]:
    """Return a user's sessions with a bot, oldest first, spread evenly over the days before ``end``."""
    if not settings.sessions_per_user:
        return []
    # Each session keeps to a slot of its own: wherever it begins there, it is over by the end of the slot.
    slot = timedelta(days=settings.history_days) / settings.sessions_per_user
    pause = min(_LONGEST_PAUSE, slot / 2 / max(1, settings.messages_per_session))
    leeway = slot - pause * settings.messages_per_session
    sessions = []
    for number in range(settings.sessions_per_user):
        identity = _identity(settings.seed, bot_id, user.user_id, number)
        slots_to_go = settings.sessions_per_user - number
        started = end - slot * slots_to_go + leeway * (identity.int % 1_000_000 / 1_000_000)
        sessions.append(
            Session(
                session_id=identity.hex[:24],
                user=user,
                bot_id=bot_id,
                channel=settings.history_channels[number % len(settings.history_channels)],
                started=_whole_milliseconds(started),
                message_times=[
                    _whole_milliseconds(started + pause * message) for message in range(settings.messages_per_session)
                ],
            )
        )
    return sessions


def _identity(*parts: str | int) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(parts))


def _whole_milliseconds(moment: datetime) -> datetime:
    # as written, so that a window that begins or ends at a written time means the item with that time
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
