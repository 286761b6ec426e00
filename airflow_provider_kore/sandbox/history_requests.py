"""Read the requests for sessions and messages, as strictly as Kore may."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.paging import Page, read_page
from airflow_provider_kore.sandbox.requests import (
    Body,
    Name,
    ReceivedRequest,
    Route,
    is_name,
    read_body,
    refuse_unknown_bots,
)
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.times import DAY, TIME, read_time

HistoryKind = Literal["sessions", "messages"]

_LONGEST_PAGE = 100
_LONGEST_LITE_PAGE = 1000
_WEEK = timedelta(days=7)


class SessionsBody(Body):
    """The body of a request for sessions."""

    user_id: Name = Field("", description="userId must be a non-empty string")
    skip: object = 0
    limit: object = _LONGEST_PAGE
    date_from: object = None
    date_to: object = None

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Return the user that the request names, if any."""
        return (self.user_id,) if self.user_id else ()


class MessagesBody(SessionsBody):
    """The body of a request for messages."""

    channel_type: Name = Field("rtm", description="channelType must be a non-empty string")


class LiteBody(SessionsBody):
    """The body of a request for messages with few fields."""

    limit: object = 5
    channel_type: Name | None = Field(None, description="channelType must be a non-empty string")
    channel_user: object = Field(None, alias="channelUId")
    session_id: object = None
    type: object = None
    is_developer: object = None


@dataclass(frozen=True)
class HistoryRequest:
    """A request for sessions or messages that Kore understands; without a user, a bot or a channel it means all."""

    kind: HistoryKind
    bot_id: str | None
    user_ids: tuple[str, ...]
    since: datetime
    until: datetime
    channel: str | None
    page: Page
    lite: bool = False

    def covers(self, moment: datetime, settings: Settings) -> bool:
        """Return whether a time lies in the window of the request."""
        if moment == self.until and not self.lite:
            return settings.history_window_ends == "inclusive" and self.since <= moment
        return self.since <= moment < self.until


def read_history_request(route: Route, request: ReceivedRequest, settings: Settings, now: datetime) -> HistoryRequest:
    """Read the body of a request for sessions or messages; refuse what Kore does not document."""
    if route.call == "messages-lite":
        return _read_lite_request(route.bot_id, request, settings, now)
    kind: HistoryKind = "sessions" if route.call == "sessions" else "messages"
    body = read_body(request, SessionsBody if kind == "sessions" else MessagesBody)
    refuse_unknown_bots([route.bot_id], settings)
    span = _read_span(body, TIME, "a date like 2019-04-01T13:25:58.515Z")
    any_span = kind == "sessions" and settings.sessions_span == "any"
    if span and span[1] - span[0] >= _WEEK and not any_span:
        raise RefusedError(400, "dateFrom and dateTo must be less than 7 days apart")
    since, until = span or (now - _WEEK, now)
    channel = body.channel_type if isinstance(body, MessagesBody) else None
    page = read_page(body.skip, body.limit, longest=_LONGEST_PAGE)
    return HistoryRequest(kind, route.bot_id, body.user_ids, since, until, channel, page)


def _read_lite_request(
    bot_id: str | None, request: ReceivedRequest, settings: Settings, now: datetime
) -> HistoryRequest:
    if not settings.lite_served:
        raise RefusedError(404, "Not Found")
    body = read_body(request, LiteBody)
    refuse_unknown_bots([bot_id], settings)
    if body.model_fields_set & {"session_id", "type", "is_developer"}:
        raise RefusedError(400, "The sandbox has no such filter")
    user_ids = body.user_ids or _read_channel_users(body, settings)
    default_channel = "rtm" if body.user_ids and settings.lite_default_channels == "rtm" else None
    since, until = _read_days(body, settings) or (now - _WEEK, now)
    page = read_page(body.skip, body.limit, longest=_LONGEST_LITE_PAGE)
    channel = body.channel_type or default_channel
    return HistoryRequest("messages", bot_id, user_ids, since, until, channel, page, lite=True)


def _read_channel_users(body: LiteBody, settings: Settings) -> tuple[str, ...]:
    user = body.channel_user
    if user is None or settings.lite_users == "user-id":
        raise RefusedError(400, "userId is missing")
    several = user if isinstance(user, list) else [user]
    if not several or not all(map(is_name, several)):
        raise RefusedError(400, "channelUId must be a non-empty string, or an array of them")
    if not body.channel_type and (user is not several or settings.lite_users == "channel-with-type"):
        raise RefusedError(400, "channelType is missing")
    if user is several and settings.lite_users == "channel-with-type":
        raise RefusedError(400, "channelUId must be a string")
    return tuple(several)


def _read_days(body: LiteBody, settings: Settings) -> tuple[datetime, datetime] | None:
    span = _read_span(body, DAY, "a day like 2019-04-01")
    if span is None:
        return None
    since, until = span
    if settings.lite_longest_days and until - since > timedelta(days=settings.lite_longest_days):
        raise RefusedError(400, f"dateFrom and dateTo must be at most {settings.lite_longest_days} days apart")
    return since, until + timedelta(days=settings.lite_last_day == "inclusive")


def _read_span(body: SessionsBody, form: re.Pattern[str], example: str) -> tuple[datetime, datetime] | None:
    if not body.model_fields_set & {"date_from", "date_to"}:
        return None
    times = []
    for name, text in (("dateFrom", body.date_from), ("dateTo", body.date_to)):
        try:
            times.append(read_time(text, form))
        except ValueError:
            raise RefusedError(400, f"{name} must be {example}, and go with the other one") from None
    since, until = times
    if since > until:
        raise RefusedError(400, "dateFrom must not be after dateTo")
    return since, until
