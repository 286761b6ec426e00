"""Read the requests for sessions and messages, as strictly as Kore may."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.paging import Page, read_page
from airflow_provider_kore.sandbox.requests import ReceivedRequest, is_name, read_json_object, refuse_unknown_bots
from airflow_provider_kore.sandbox.settings import ChannelType, Settings
from airflow_provider_kore.sandbox.timestamps import read_time

HistoryKind = Literal["sessions", "messages"]

_KEYS = {"userId", "skip", "limit", "dateFrom", "dateTo"}
_LONGEST_PAGE = 100
_LONGEST_SPAN = timedelta(days=7)  # which a span must stay below


@dataclass(frozen=True)
class HistoryRequest:
    """A request for sessions or messages that Kore understands; no user or bot: all of them."""

    kind: HistoryKind
    bot_id: str | None
    user_id: str | None
    since: datetime
    until: datetime
    channel: str | None
    page: Page

    def covers(self, moment: datetime, settings: Settings) -> bool:
        """Return whether a time lies in the window that is asked for."""
        if moment == self.until:
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
    if channel not in get_args(ChannelType):
        raise RefusedError(400, "channelType is unknown")
    since, until = _read_window(body, now)
    return HistoryRequest(
        kind=kind,
        bot_id=bot_id,
        user_id=_read_user_id(body),
        since=since,
        until=until,
        channel=str(channel) if kind == "messages" else None,
        page=read_page(body.get("skip", 0), body.get("limit", _LONGEST_PAGE), longest=_LONGEST_PAGE),
    )


def _read_user_id(body: Mapping[str, object]) -> str | None:
    if "userId" not in body:
        return None
    user_id = body["userId"]
    if not is_name(user_id):
        raise RefusedError(400, "userId must be a non-empty string")
    return user_id


def _read_window(body: Mapping[str, object], now: datetime) -> tuple[datetime, datetime]:
    if not body.keys() & {"dateFrom", "dateTo"}:
        return now - _LONGEST_SPAN, now
    since, until = _read_date(body, "dateFrom"), _read_date(body, "dateTo")
    if since > until:
        raise RefusedError(400, "dateFrom must not be after dateTo")
    if until - since >= _LONGEST_SPAN:
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
