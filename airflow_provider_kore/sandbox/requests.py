"""Read the requests of Kore's API, as strictly as Kore may; here those of the erasure API."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeGuard, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    InstanceOf,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.models import StrictModel
from airflow_provider_kore.sandbox.settings import Settings

CallName = Literal[
    "erase", "status", "sessions", "messages", "messages-lite", "roles", "recordings", "llm-logs", "audit-log"
]

_ROUTES: tuple[tuple[CallName, str, re.Pattern[str]], ...] = (
    ("erase", "DELETE", re.compile(r"/api/public/bot/eraseUsersData")),
    ("status", "GET", re.compile(r"/api/public/bot/eraseUsersData/status/(?P<request_id>[^/]+)")),
    ("sessions", "POST", re.compile(r"/api/public/(?:bot/(?P<bot_id>[^/]+)/)?getSessions")),
    ("messages", "POST", re.compile(r"/api/public/(?:bot/(?P<bot_id>[^/]+)/)?getMessages")),
    ("messages-lite", "POST", re.compile(r"/api/public/bot/(?P<bot_id>[^/]+)/messages-lite")),
    ("roles", "GET", re.compile(r"/api/public/alluserroles")),
    ("recordings", "DELETE", re.compile(r"/api/public/bot/(?P<bot_id>[^/]+)/(?P<variant>v2)/recordings")),
    ("recordings", "DELETE", re.compile(r"/api/(?P<variant>1\.1)/public/bot/(?P<bot_id>[^/]+)/recordings")),
    ("recordings", "DELETE", re.compile(r"/api/public/bot/(?P<bot_id>[^/]+)/recordings")),
    ("llm-logs", "POST", re.compile(r"/api/1\.1/public/bot/(?P<bot_id>[^/]+)/getLLMUsageLogs")),
    ("audit-log", "GET", re.compile(r"/api/public/auditlogs")),
)


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value may be the id of a user or a bot."""
    return isinstance(value, str) and bool(value.strip())


def _check_name(value: str) -> str:
    if not is_name(value):
        raise ValueError("blank")
    return value


Name = Annotated[InstanceOf[str], AfterValidator(_check_name)]  # str would refuse half a surrogate pair

# A channel, and the id of a user there; in what is read, under the keys that the settings name.
ChannelUser = Annotated[dict[str, Name], Field(min_length=2, max_length=2)]
UserId = Name | ChannelUser


def _refuse_other_ids(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        raise RefusedError(400, "userIds must contain ids only") from None


class Body(StrictModel):
    """The body of a request; the description of a field is what Kore says where its value is wrong."""

    model_config = ConfigDict(alias_generator=to_camel)


AnyBody = TypeVar("AnyBody", bound=Body)


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
    """The call that a request makes; a status call names a request id, others may name a bot and a version."""

    call: CallName
    request_id: str = ""
    bot_id: str | None = None
    variant: str = "plain"


class EraseRequest(Body):
    """An erase request that Kore understands."""

    all_bots: bool = Field(False, alias="RemoveDataFromAllBots", description="RemoveDataFromAllBots must be a boolean")
    user_ids: Annotated[tuple[Annotated[UserId, WrapValidator(_refuse_other_ids)], ...], Strict(False)] = Field(
        min_length=1, description="userIds must be a non-empty array"
    )
    bot_ids: Annotated[tuple[Name, ...], Strict(False)] = Field((), description="botIds must be an array of strings")

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


def read_body(request: ReceivedRequest, model: type[AnyBody]) -> AnyBody:
    """Read a body that must be a JSON object with no other keys than these."""
    if request.header("content-length") is None:
        raise RefusedError(411, "Length Required")
    if (request.header("content-type") or "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(400, "Content-Type must be application/json")
    body = request.json()
    if not isinstance(body, dict):
        raise RefusedError(400, "The body must be a JSON object")
    fields = {field.alias: field.description for field in model.model_fields.values()}
    if body.keys() - fields.keys():
        raise RefusedError(400, "The body has unknown keys")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise RefusedError(400, fields[str(error.errors()[0]["loc"][0])] or "") from None


def read_erase_request(request: ReceivedRequest, settings: Settings) -> EraseRequest:
    """Read the body of an erase request; refuse what Kore does not document."""
    body = read_body(request, EraseRequest)
    if settings.max_user_ids and len(body.user_ids) > settings.max_user_ids:
        raise RefusedError(400, f"userIds must have at most {settings.max_user_ids} items")
    body = body.model_copy(update={"user_ids": tuple(_read_user_id(user_id, settings) for user_id in body.user_ids)})
    if body.all_bots:
        return body.model_copy(update={"bot_ids": ()})  # Kore ignores botIds when the flag is true
    if not body.bot_ids:
        raise RefusedError(400, "botIds must not be empty when RemoveDataFromAllBots is not true")
    refuse_unknown_bots(body.bot_ids, settings)
    return body


def _read_user_id(user_id: UserId, settings: Settings) -> UserId:
    if isinstance(user_id, str):
        return user_id
    keys = (settings.channel_id_key, settings.channel_user_id_key)
    if not settings.channel_users or user_id.keys() != set(keys):
        raise RefusedError(400, "userIds must contain ids only")
    return {"channel_id": user_id[keys[0]], "channel_user_id": user_id[keys[1]]}


def refuse_unknown_bots(bot_ids: Sequence[str | None], settings: Settings) -> None:
    """Refuse bots that the account does not have; ``None`` stands for all that it has."""
    if settings.bots and not set(bot_ids) <= {None, *settings.bots}:
        raise RefusedError(400, "Invalid StreamId")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
