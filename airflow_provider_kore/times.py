"""Read times in the forms that arguments and documents have, and write them in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime


def read_time(value: object) -> datetime:
    """
    Read a time, and keep its time zone; without one it is UTC.

    :param value: a datetime, a date (its first moment), or either as ISO 8601 text.
    :raises ValueError: if it is anything else. The message says what is wrong, without the value.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("is text that is not a date of ISO 8601") from None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError(f"is of type {type(value).__name__}")


def in_utc(moment: datetime) -> datetime:
    """
    Convert a time to UTC, as a plain ``datetime``: subclasses such as Airflow's write themselves differently.

    :raises ValueError: if it lies outside the calendar there.
    """
    try:
        return datetime(*read_time(moment).utctimetuple()[:6], moment.microsecond, UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


def utc_text(moment: datetime | float, timespec: str = "seconds") -> str:
    """
    Write a time in UTC as ISO 8601 text, such as ``2026-11-24T13:00:00Z``.

    :param moment: the time, or seconds since the epoch.
    :param timespec: as in :meth:`datetime.datetime.isoformat`. What is finer is cut off.
    """
    moment = in_utc(moment) if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")
