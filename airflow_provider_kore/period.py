"""The span of time that a task is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from airflow_provider_kore.api.users import text_fault
from airflow_provider_kore.exceptions import KoreInputError


@dataclass(frozen=True, slots=True)
class Period:
    """
    Hold a span of time.

    :param since: its begin, in UTC.
    :param until: its end, in UTC; later.
    """

    since: datetime
    until: datetime

    def to_json(self) -> dict[str, str]:
        """Write both ends as ISO 8601 texts."""
        return {"since": iso_text(self.since), "until": iso_text(self.until)}


def iso_text(moment: datetime) -> str:
    """Write a moment in UTC as ISO 8601 text that ends in ``Z``."""
    return moment.isoformat().replace("+00:00", "Z")


def read_period(since: object, until: object, now: datetime) -> Period:
    """
    Read the span of time that a task is told.

    Each end is a ``datetime``, a ``date`` (its first moment), either of them as ISO 8601 text, or a ``timedelta``
    before ``now``. What names no time zone is UTC.

    :param since: its begin.
    :param until: its end; ``None`` for ``now``.
    :param now: what counts as now, with a time zone.
    :raises KoreInputError: if an end is anything else, or they are not in order, or the end is yet to come.
    """
    now = _in_utc(now)
    period = Period(_read_moment("since", since, now), now if until is None else _read_moment("until", until, now))
    if period.since >= period.until:
        raise KoreInputError(
            f"since ({iso_text(period.since)}) must be earlier than until ({iso_text(period.until)}).",
            remedy="Correct since or until.",
        )
    if period.until > now:
        raise KoreInputError(
            f"until ({iso_text(period.until)}) must not be later than {iso_text(now)}: what is to come cannot be read.",
            remedy="Correct until, or leave it out.",
        )
    return period


def _read_moment(name: str, value: object, now: datetime) -> datetime:
    if isinstance(value, str):
        value = _read_text(name, value)
    if isinstance(value, timedelta):
        try:
            return now - value
        except OverflowError:
            raise _fault(name, "lies outside the calendar") from None
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise _fault(name, f"is of type {type(value).__name__}")


def _read_text(name: str, text: str) -> datetime:
    if fault := text_fault(text):
        raise _fault(name, fault)
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise _fault(name, "is a text that is no ISO 8601 date or time") from None


def _in_utc(moment: datetime) -> datetime:
    """Give a plain datetime, of whatever kind the moment is; Airflow's own have another ``isoformat``."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return datetime(*moment.utctimetuple()[:6], moment.microsecond, UTC)
    except (OverflowError, ValueError):
        raise _fault("A time", "lies outside the calendar") from None


def _fault(name: str, fault: str) -> KoreInputError:
    return KoreInputError(
        f"{name} {fault}.",
        remedy="Pass a datetime, a date, either of them as ISO 8601 text such as 2026-01-31, or a timedelta: how long "
        "before.",
    )
