"""Read the requests for sessions and messages, as strictly as Kore may."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.paging import Page, read_page
from airflow_provider_kore.sandbox.requests import ReceivedRequest, is_name, read_json_object, refuse_unknown_bots
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.timestamps import read_time

HistoryKind = Literal["sessions", "messages"]

_KEYS = {"userId", "skip", "limit", "dateFrom", "dateTo"}
_LITE_KEYS = {
    *("userId", "channelUId", "channelType", "sessionId", "type", "isDeveloper"),
    *("skip", "limit", "dateFrom", "dateTo"),
}
_LONGEST_PAGE = 100
_LONGEST_LITE_PAGE, _USUAL_LITE_PAGE = 1000, 5
_LONGEST_SPAN = timedelta(days=7)  # which a span must stay below


@dataclass(frozen=True)
class HistoryRequest:
    """A request for sessions or messages that Kore understands; no user, bot or channel: all of them."""

    kind: HistoryKind
    bot_id: str | None
    user_ids: tuple[str, ...]
    since: datetime
    until: datetime
    channel: str | None
    page: Page
    lite: bool = False

    def covers(self, moment: datetime, settings: Settings) -> bool:
        """Return whether a time lies in the window that is asked for."""
        if moment == self.until and not self.lite:
            return settings.history_window_ends == "inclusive" and self.since <= moment
        return self.since <= moment < self.until


def read_history_request(
    kind: HistoryKind, bot_id: str | None, request: ReceivedRequest, settings: Settings, now: datetime
) -> HistoryRequest:
    """Read the body of a request for sessions or messages; refuse what Kore does not document."""
    body = read_json_object(request, _KEYS | {"channelType"} if kind == "messages" else _KEYS)
    if bot_id is not None:
        refuse_unknown_bots([bot_id], settings)
    channel = body.get("channelType", "rtm")
    if not is_name(channel):
        raise RefusedError(400, "channelType must be a non-empty string")
    since, until = _read_window(body, now, any_span=kind == "sessions" and settings.sessions_span == "any")
    return HistoryRequest(
        kind=kind,
        bot_id=bot_id,
        user_ids=_read_user_id(body),
        since=since,
        until=until,
        channel=str(channel) if kind == "messages" else None,
        page=read_page(body.get("skip", 0), body.get("limit", _LONGEST_PAGE), longest=_LONGEST_PAGE),
    )


def read_lite_request(
    bot_id: str | None, request: ReceivedRequest, settings: Settings, now: datetime
) -> HistoryRequest:
    """Read the body of a request for messages with few fields; refuse what Kore does not document."""
    if not settings.lite_served:
        raise RefusedError(404, "Not Found")
    body = read_json_object(request, _LITE_KEYS)
    if bot_id is not None:
        refuse_unknown_bots([bot_id], settings)
    if body.keys() & {"sessionId", "type", "isDeveloper"}:
        raise RefusedError(400, "The sandbox has no such filter")
    channel = body.get("channelType")
    if channel is not None and not is_name(channel):
        raise RefusedError(400, "channelType must be a non-empty string")
    user_ids = _read_user_id(body) or _read_channel_users(body, settings)
    if "userId" in body and channel is None and settings.lite_default_channels == "rtm":
        channel = "rtm"
    since, until = _read_days(body, now, settings)
    page = read_page(body.get("skip", 0), body.get("limit", _USUAL_LITE_PAGE), longest=_LONGEST_LITE_PAGE)
    return HistoryRequest("messages", bot_id, user_ids, since, until, channel, page, lite=True)


def _read_user_id(body: Mapping[str, object]) -> tuple[str, ...]:
    if "userId" not in body:
        return ()
    user_id = body["userId"]
    if not is_name(user_id):
        raise RefusedError(400, "userId must be a non-empty string")
    return (user_id,)


def _read_channel_users(body: Mapping[str, object], settings: Settings) -> tuple[str, ...]:
    asked = body.get("channelUId")
    if asked is None or settings.lite_users == "user-id":
        raise RefusedError(400, "userId is missing")
    several = asked if isinstance(asked, list) else [asked]
    if not several or not all(map(is_name, several)):
        raise RefusedError(400, "channelUId must be a non-empty string, or an array of them")
    if not body.get("channelType") and (asked is not several or settings.lite_users == "channel-with-type"):
        raise RefusedError(400, "channelType is missing")
    if asked is several and settings.lite_users == "channel-with-type":
        raise RefusedError(400, "channelUId must be a string")
    return tuple(several)


def _read_days(body: Mapping[str, object], now: datetime, settings: Settings) -> tuple[datetime, datetime]:
    """Read the days of a span, which are UTC; without them the last seven days are meant."""
    if not body.keys() & {"dateFrom", "dateTo"}:
        return now - _LONGEST_SPAN, now
    since, until = _read_day(body, "dateFrom"), _read_day(body, "dateTo")
    if since > until:
        raise RefusedError(400, "dateFrom must not be after dateTo")
    if settings.lite_longest_days and until - since > timedelta(days=settings.lite_longest_days):
        raise RefusedError(400, f"dateFrom and dateTo must be at most {settings.lite_longest_days} days apart")
    return since, until + timedelta(days=settings.lite_last_day == "inclusive")


def _read_day(body: Mapping[str, object], name: str) -> datetime:
    text = body.get(name)
    try:
        if isinstance(text, str) and len(text) == len("2019-04-01"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        pass
    raise RefusedError(400, f"{name} must be a day like 2019-04-01, and go with the other one")


def _read_window(body: Mapping[str, object], now: datetime, *, any_span: bool) -> tuple[datetime, datetime]:
    if not body.keys() & {"dateFrom", "dateTo"}:
        return now - _LONGEST_SPAN, now
    since, until = _read_date(body, "dateFrom"), _read_date(body, "dateTo")
    if since > until:
        raise RefusedError(400, "dateFrom must not be after dateTo")
    if until - since >= _LONGEST_SPAN and not any_span:
        raise RefusedError(400, "dateFrom and dateTo must be less than 7 days apart")
    return since, until


def _read_date(body: Mapping[str, object], name: str) -> datetime:
    text = body.get(name)
    try:
        if isinstance(text, str):
            return read_time(text)
    except ValueError:
        pass
    raise RefusedError(400, f"{name} must be a date like 2019-04-01T13:25:58.515Z, and go with the other one")
