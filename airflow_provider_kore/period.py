"""The period of a verification or an export."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_kore.api.users import text_fault
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.times import in_utc, read_time, utc_text


@dataclass(frozen=True, slots=True)
class Period:
    """
    Describe a span of time.

    :param since: its start, in UTC.
    :param until: its end, in UTC, which is later.
    """

    since: datetime
    until: datetime

    def to_json(self) -> dict[str, str]:
        """Write start and end as ISO 8601 text."""
        return {"since": utc_text(self.since, "auto"), "until": utc_text(self.until, "auto")}


def read_period(since: object, until: object, now: datetime) -> Period:
    """
    Read the arguments ``since`` and ``until`` of a task.

    Each is a ``datetime``, a ``date`` (its first moment), either of them as ISO 8601 text, or a ``timedelta`` before
    ``now``. A time without a time zone is in UTC.

    :param since: start of the period.
    :param until: end of the period; ``None`` for ``now``.
    :param now: the present, with a time zone.
    :raises KoreInputError: if one of them is anything else, they are not in order, or the end lies in the future.
    """
    now = in_utc(now)
    period = Period(_read_moment("since", since, now), now if until is None else _read_moment("until", until, now))
    if period.since >= period.until:
        raise KoreInputError(
            "since ({since}) must be earlier than until ({until}).".format(**period.to_json()),
            remedy="Correct since or until.",
        )
    if period.until > now:
        raise KoreInputError(
            f"until ({utc_text(period.until, 'auto')}) must not be later than {utc_text(now, 'auto')}: the future "
            "cannot be read.",
            remedy="Correct until, or leave it out.",
        )
    return period


def _read_moment(name: str, value: object, now: datetime) -> datetime:
    if isinstance(value, str) and (fault := text_fault(value)):
        raise _fault(name, fault)
    try:
        return now - value if isinstance(value, timedelta) else in_utc(read_time(value))
    except OverflowError:
        raise _fault(name, "lies outside the calendar") from None
    except ValueError as error:
        raise _fault(name, str(error)) from None


def _fault(name: str, fault: str) -> KoreInputError:
    return KoreInputError(
        f"{name} {fault}.",
        remedy="Pass a datetime, a date, either of them as ISO 8601 text such as 2026-01-31, or a timedelta: how long "
        "before.",
    )
