"""Read the requests of Kore's API, as strictly as Kore may; here those of the erasure API."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, TypedDict, TypeGuard

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.settings import Settings

CallName = Literal["erase", "status", "sessions", "messages", "messages-lite", "roles"]

_ROUTES: tuple[tuple[CallName, str, re.Pattern[str]], ...] = (
    ("erase", "DELETE", re.compile(r"/api/public/bot/eraseUsersData")),
    ("status", "GET", re.compile(r"/api/public/bot/eraseUsersData/status/(?P<request_id>[^/]+)")),
    ("sessions", "POST", re.compile(r"/api/public/(?:bot/(?P<bot_id>[^/]+)/)?getSessions")),
    ("messages", "POST", re.compile(r"/api/public/(?:bot/(?P<bot_id>[^/]+)/)?getMessages")),
    ("messages-lite", "POST", re.compile(r"/api/public/bot/(?P<bot_id>[^/]+)/messages-lite")),
    ("roles", "GET", re.compile(r"/api/public/alluserroles")),
)
_ERASE_KEYS = {"userIds", "botIds", "RemoveDataFromAllBots"}


class ChannelUser(TypedDict):
    """A user named by a channel and the id in that channel; the spelling of the keys is a guess."""

    channel_id: str
    channel_user_id: str


UserId = str | ChannelUser


@dataclass(frozen=True)
class ReceivedRequest:
    """An HTTP request as it arrived; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header that came exactly once, else ``None``."""
        values = [value for header, value in self.headers if header == name]
        return values[0] if len(values) == 1 else None

    def json(self) -> object:
        """Return the body as JSON, or ``None`` if it is not."""
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class Route:
    """The call that a request makes; a status call names a request id, one for history may name a bot."""

    call: CallName
    request_id: str = ""
    bot_id: str | None = None


@dataclass(frozen=True)
class EraseRequest:
    """An erase request that Kore understands."""

    user_ids: tuple[UserId, ...]
    bot_ids: tuple[str, ...]
    all_bots: bool

    def reaches(self, bot_id: str) -> bool:
        """Return whether data at this bot are to be erased."""
        return self.all_bots or bot_id in self.bot_ids


def find_route(request: ReceivedRequest) -> Route:
    """Find the call that a request makes; refuse a path or a method that the API does not have."""
    for call, method, path in _ROUTES:
        found = path.fullmatch(request.path)
        if found and request.method != method:
            raise RefusedError(405, "Method Not Allowed", headers={"allow": method})
        if found:
            return Route(call, **found.groupdict())
    raise RefusedError(404, "Not Found")


def read_json_object(request: ReceivedRequest, keys: Set[str]) -> dict[str, object]:
    """Read a body that must be a JSON object with no other keys than these."""
    if request.header("content-length") is None:
        raise RefusedError(411, "Length Required")
    if (request.header("content-type") or "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(400, "Content-Type must be application/json")
    body = request.json()
    if not isinstance(body, dict):
        raise RefusedError(400, "The body must be a JSON object")
    if body.keys() - keys:
        raise RefusedError(400, "The body has unknown keys")
    return body


def read_erase_request(request: ReceivedRequest, settings: Settings) -> EraseRequest:
    """Read the body of an erase request; refuse what Kore does not document."""
    body = read_json_object(request, _ERASE_KEYS)
    all_bots = body.get("RemoveDataFromAllBots", False)
    if not isinstance(all_bots, bool):
        raise RefusedError(400, "RemoveDataFromAllBots must be a boolean")
    user_ids, bot_ids = body.get("userIds"), body.get("botIds", [])
    if not isinstance(user_ids, list) or not user_ids:
        raise RefusedError(400, "userIds must be a non-empty array")
    if not isinstance(bot_ids, list) or not all(is_name(bot_id) for bot_id in bot_ids):
        raise RefusedError(400, "botIds must be an array of strings")
    if settings.max_user_ids and len(user_ids) > settings.max_user_ids:
        raise RefusedError(400, f"userIds must have at most {settings.max_user_ids} items")
    if not all_bots:
        if not bot_ids:
            raise RefusedError(400, "botIds must not be empty when RemoveDataFromAllBots is not true")
        refuse_unknown_bots(bot_ids, settings)
    return EraseRequest(
        tuple(_read_user_id(user_id, settings) for user_id in user_ids),
        () if all_bots else tuple(bot_ids),  # Kore ignores botIds when the flag is true
        all_bots,
    )


def refuse_unknown_bots(bot_ids: Sequence[str], settings: Settings) -> None:
    """Refuse bots that the account does not have."""
    if settings.bots and not set(bot_ids) <= set(settings.bots):
        raise RefusedError(400, "Invalid StreamId")


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value may be the id of a user or a bot."""
    return isinstance(value, str) and bool(value.strip())


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _read_user_id(value: object, settings: Settings) -> UserId:
    if is_name(value):
        return value
    if settings.channel_users and isinstance(value, Mapping):
        match dict(value):
            case {"channel_id": str(channel), "channel_user_id": str(user), **others} if (
                is_name(channel) and is_name(user) and not others
            ):
                return {"channel_id": channel, "channel_user_id": user}
    raise RefusedError(400, "userIds must hold ids only")
