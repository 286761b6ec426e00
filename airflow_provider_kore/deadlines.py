"""By when the law wants a request to erase answered, and how many days are left until then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypedDict

import pendulum

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.times import read_time

if TYPE_CHECKING:
    from pydantic import JsonValue

log = logging.getLogger(__name__)

DAYS_TO_WARN = 7
"""With fewer days left than these, a deadline is written to the log as a warning."""

EARLIEST_YEAR = 2000
"""Before there was such a law nobody asked under it; a year like 1 is a slip of a form."""

CLOCK_TOLERANCE = timedelta(days=1)
"""How far ahead a request may seem to have come in: clocks and time zones differ."""


class Regime(StrEnum):
    """The law under which somebody asks to be erased."""

    GDPR = "gdpr"
    """One calendar month from receipt: Regulation (EU) 2016/679, Article 12(3)."""

    CCPA = "ccpa"
    """45 calendar days from receipt: California Code of Regulations, title 11, section 7021(b)."""


class DeadlineFields(TypedDict):
    """The JSON form of a statutory deadline; ``zone`` is a name, or seconds ahead of UTC."""

    regime: str
    received_on: str
    due_on: str
    zone: str | int


@dataclass(frozen=True, slots=True)
class StatutoryDeadline:
    """
    Hold the last day on which a request may be answered.

    It is the plain period of the law. Extensions that must be told to the person are not counted, nor is the rule of
    Article 3(4) of Regulation (EEC, Euratom) 1182/71, which moves an end on a weekend or a public holiday to the next
    working day: both would only make it later.

    :param regime: the law.
    :param received_on: the day on which the request came in, in the zone in which that was told.
    :param due_on: the last day.
    :param zone: the zone of both days: its name, or seconds ahead of UTC.
    """

    regime: Regime
    received_on: date
    due_on: date
    zone: str | int

    @classmethod
    def of(cls, received_at: datetime, regime: Regime) -> StatutoryDeadline:
        """
        Count from the day of receipt, in the time zone of ``received_at``; naive means UTC.

        A month ends on the day of the same number, or on the last of a shorter month: 31 January ends in February.
        """
        received_on = received_at.date()  # pendulum would move a midnight that a clock change skips to the day before
        day = pendulum.Date(received_on.year, received_on.month, received_on.day)
        due = day.add(months=1) if regime is Regime.GDPR else day.add(days=45)
        moment = pendulum.instance(received_at)
        fixed = isinstance(moment.timezone, pendulum.FixedTimezone)
        zone = moment.offset if fixed else moment.timezone_name
        return cls(regime, received_on, date(due.year, due.month, due.day), "UTC" if zone is None else zone)

    @property
    def ends_at(self) -> datetime:
        """The last moment: the end of the due day."""
        due = self.due_on
        return pendulum.datetime(due.year, due.month, due.day, 23, 59, 59, 999_999, tz=pendulum.timezone(self.zone))

    def days_left(self, now: datetime) -> int:
        """Count the calendar days that are left: 0 on the due day, negative after it."""
        today = read_time(now).astimezone(pendulum.timezone(self.zone)).date()
        return (self.due_on - today).days

    def is_over(self, now: datetime) -> bool:
        """Whether the due day has passed."""
        return self.days_left(now) < 0

    def as_of(self, now: datetime) -> dict[str, JsonValue]:
        """Tell it as a task's output does: ``regime``, ``received_on``, ``due_on`` and ``days_left``."""
        return {
            "regime": self.regime.value,
            "received_on": self.received_on.isoformat(),
            "due_on": self.due_on.isoformat(),
            "days_left": self.days_left(now),
        }

    def to_json(self) -> DeadlineFields:
        """Write the form that crosses processes."""
        return {
            "regime": self.regime.value,
            "received_on": self.received_on.isoformat(),
            "due_on": self.due_on.isoformat(),
            "zone": self.zone,
        }

    @classmethod
    def from_json(cls, fields: DeadlineFields) -> StatutoryDeadline:
        """Read what :meth:`to_json` wrote."""
        return cls(
            Regime(fields["regime"]),
            date.fromisoformat(fields["received_on"]),
            date.fromisoformat(fields["due_on"]),
            fields["zone"],
        )


def read_deadline(received_at: object, regime: object, now: datetime | None = None) -> StatutoryDeadline | None:
    """
    Read when a request came in and under which law; without both there is no deadline.

    :param received_at: a datetime, a date, or the ISO 8601 text of one, as a template renders it; without a time zone
        it is UTC.
    :param regime: a :class:`Regime`, or its text.
    :param now: the present; default: the clock's.
    :raises KoreInputError: if only one of the two is given, one of them is not understood, or the request comes from
        the future.
    """
    if received_at is None and regime is None:
        return None
    if received_at is None or regime is None:
        raise _refuse("received_at and regime go together, and one of them is missing.")
    law = _read_regime(regime)
    moment = read_received_at(received_at)
    if moment.year < EARLIEST_YEAR:
        raise _refuse("received_at lies too far in the past.")
    if moment > (now or datetime.now(UTC)) + CLOCK_TOLERANCE:
        raise _refuse("received_at is in the future.")
    return StatutoryDeadline.of(moment, law)


def read_received_at(value: object) -> datetime:
    """
    Read when a request came in.

    :param value: a datetime, a date, or the ISO 8601 text of one; without a time zone it is UTC.
    :raises KoreInputError: if it is anything else.
    """
    try:
        return read_time(value)
    except ValueError as error:
        raise _refuse(f"received_at {error}.") from None


def log_deadline(deadline: StatutoryDeadline, now: datetime) -> None:
    """Write how many days are left: an error when none are, a warning when they are few."""
    days = deadline.days_left(now)
    level = logging.ERROR if days < 0 else logging.WARNING if days < DAYS_TO_WARN else logging.INFO
    log.log(level, "%s", _in_words(deadline, days))


async def announce_deadline(context: Mapping[str, Mapping[str, object]]) -> None:
    """
    Write to the triggerer's log that a run has not erased everybody yet, as the callback of a ``DeadlineAlert``.

    How many days are left it tells by ``received_at`` and ``regime`` of the run's configuration, if it has them.

    :param context: what Airflow hands to such callbacks, the run as its API shows it.
    """
    run = context["dag_run"]
    conf = run.get("conf")
    given = conf if isinstance(conf, Mapping) else {}
    try:
        deadline = read_deadline(given.get("received_at"), given.get("regime"))
    except KoreInputError:
        deadline = None
    log.error(
        "Run %s of %s has not erased everybody yet.%s",
        run.get("dag_run_id"),
        run.get("dag_id"),
        f" {_in_words(deadline, deadline.days_left(datetime.now(UTC)))}" if deadline else "",
    )


def _in_words(deadline: StatutoryDeadline, days: int) -> str:
    return (
        f"Under {deadline.regime.upper()} the request of {deadline.received_on} must be answered by "
        f"{deadline.due_on}. Days left: {days}{', it is over' if days < 0 else ''}."
    )


def _read_regime(value: object) -> Regime:
    try:
        return Regime(value.strip().lower() if isinstance(value, str) else "")
    except ValueError:
        raise _refuse(f"regime must be one of {', '.join(Regime)}.") from None


def _refuse(problem: str) -> KoreInputError:
    return KoreInputError(
        problem,
        remedy=f"Give both or neither: received_at such as 2026-11-24T09:30+01:00, and regime ({' or '.join(Regime)}).",
    )
