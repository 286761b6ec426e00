"""By when the law wants a request to erase answered, and how many days are left until then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.times import read_time

if TYPE_CHECKING:
    from pydantic import JsonValue

log = logging.getLogger(__name__)

DAYS_TO_WARN = 7
"""With fewer days left than these, a deadline is written to the log as a warning."""

EARLIEST_YEAR = 2000
"""There was no such law before; a year like 1 is a slip of a form."""

CLOCK_TOLERANCE = timedelta(days=1)
"""How far ahead a request may seem to have come in: clocks and time zones differ."""


class Regime(StrEnum):
    """The law under which a user asks to be erased."""

    GDPR = "gdpr"
    """One calendar month from receipt: Regulation (EU) 2016/679, Article 12(3)."""

    CCPA = "ccpa"
    """45 calendar days from receipt: California Code of Regulations, title 11, section 7021(b)."""


@dataclass(frozen=True, slots=True)
class StatutoryDeadline:
    """
    The last day on which a request may be answered, in the time zone in which it came in.

    It is the plain period of the law. Extensions, of which the user must be informed, are not counted, nor is the rule
    of Article 3(4) of Regulation (EEC, Euratom) 1182/71, which moves an end on a weekend or a public holiday to the
    next working day: both would only make it later.

    :param received_at: when the request came in; it has a time zone.
    :param regime: the law.
    """

    received_at: datetime
    regime: Regime

    @property
    def received_on(self) -> date:
        """The day of receipt."""
        return date(self.received_at.year, self.received_at.month, self.received_at.day)

    @property
    def due_on(self) -> date:
        """The last day; a month ends on the day of the same number, or on the last of a shorter month."""
        day = pendulum.Date.fromordinal(self.received_on.toordinal())
        due = day.add(months=1) if self.regime is Regime.GDPR else day.add(days=45)
        return date.fromordinal(due.toordinal())

    @property
    def ends_at(self) -> datetime:
        """The last moment: the end of the due day, which a clock change can repeat."""
        return datetime.combine(self.due_on, time.max, self.received_at.tzinfo).replace(fold=1)

    def days_left(self, now: datetime) -> int:
        """Count the calendar days that are left: 0 on the due day, negative after it."""
        return (self.due_on - now.astimezone(self.received_at.tzinfo).date()).days

    def is_over(self, now: datetime) -> bool:
        """Whether the due day has passed."""
        return self.days_left(now) < 0

    def as_of(self, now: datetime) -> dict[str, JsonValue]:
        """Write ``regime``, ``received_on``, ``due_on`` and ``days_left``, as a task returns them."""
        return {
            "regime": self.regime.value,
            "received_on": self.received_on.isoformat(),
            "due_on": self.due_on.isoformat(),
            "days_left": self.days_left(now),
        }


def read_deadline(received_at: object, regime: object, now: datetime | None = None) -> StatutoryDeadline | None:
    """
    Read when a request came in and under which law; without both there is no deadline.

    :raises KoreInputError: as :func:`read_received_at` and :func:`read_regime`.
    """
    if received_at is None and regime is None:
        return None
    return StatutoryDeadline(read_received_at(received_at, now), read_regime(regime))


def read_received_at(value: object, now: datetime | None = None) -> datetime:
    """
    Read when a request came in.

    :param value: a datetime, a date, or the ISO 8601 text of one; without a time zone it is UTC.
    :param now: the present; default: the clock's.
    :raises KoreInputError: if it is anything else, lies too far in the past, or in the future.
    """
    try:
        received_at = read_time(value)
    except ValueError as error:
        raise _refusal(f"received_at {error}.") from None
    if received_at.year < EARLIEST_YEAR:
        raise _refusal("received_at lies too far in the past.")
    if received_at > (now or datetime.now(UTC)) + CLOCK_TOLERANCE:
        raise _refusal("received_at is in the future.")
    return received_at


def read_regime(value: object) -> Regime:
    """
    Read the law under which a request must be answered.

    :raises KoreInputError: if it is not the text of a :class:`Regime`.
    """
    try:
        return Regime(str(value).strip().lower())
    except ValueError:
        raise _refusal(f"regime must be one of {', '.join(Regime)}.") from None


def log_deadline(deadline: StatutoryDeadline, now: datetime) -> None:
    """Write how many days are left: an error when none are, a warning when they are few."""
    days = deadline.days_left(now)
    level = logging.ERROR if days < 0 else logging.WARNING if days < DAYS_TO_WARN else logging.INFO
    log.log(level, "%s", _sentence(deadline, days))


async def announce_deadline(context: Mapping[str, Mapping[str, object]]) -> None:
    """
    Write to the triggerer's log that a run has not erased all users yet, as the callback of a ``DeadlineAlert``.

    The days left are computed from ``received_at`` and ``regime`` of the run's configuration, if it has them.

    :param context: what Airflow passes to such callbacks: the run as its API shows it.
    """
    run = context["dag_run"]
    conf = run.get("conf")
    sentence = ""
    try:
        deadline = read_deadline(conf.get("received_at"), conf.get("regime")) if isinstance(conf, Mapping) else None
        sentence = f" {_sentence(deadline, deadline.days_left(datetime.now(UTC)))}" if deadline else ""
    except KoreInputError:
        pass
    log.error("Run %s of %s has not erased all users yet.%s", run.get("dag_run_id"), run.get("dag_id"), sentence)


def _sentence(deadline: StatutoryDeadline, days: int) -> str:
    return (
        f"Under {deadline.regime.upper()} the request of {deadline.received_on} must be answered by "
        f"{deadline.due_on}. Days left: {days}{', it is over' if days < 0 else ''}."
    )


def _refusal(problem: str) -> KoreInputError:
    return KoreInputError(
        problem,
        remedy=f"Pass both: received_at, such as 2026-11-24T09:30+01:00, and regime ({' or '.join(Regime)}).",
    )
