"""By when the law wants a request answered."""

import asyncio
import calendar
import logging
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pendulum
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.deadlines import (
    Regime,
    announce_deadline,
    log_deadline,
    read_deadline,
)
from airflow_provider_kore.exceptions import KoreInputError

NOW = datetime(2041, 6, 1, tzinfo=UTC)
ZONES = st.one_of(
    st.timezones(),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.sampled_from(["Europe/Berlin", "America/Los_Angeles"]).map(pendulum.timezone),
)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 12, 31), timezones=ZONES)
MOMENTS_ON_A_CLOCK = st.datetimes(datetime(2020, 1, 1), datetime(2040, 12, 31), timezones=ZONES, allow_imaginary=False)
REGIMES = st.sampled_from(Regime)


# --- the calendar ---------------------------------------------------------------------------------------------------


def test_every_day_of_21_years_is_due_when_another_calendar_says_so():
    days = [date(2020, 1, 1) + timedelta(days=number) for number in range(7671)]
    assert days[-1] == date(2040, 12, 31)
    for day in days:
        assert read_deadline(day, "gdpr", NOW).due_on == day + relativedelta(months=1)
        assert read_deadline(day, "ccpa", NOW).due_on == day + relativedelta(days=45)


@pytest.mark.parametrize(
    ("received", "regime", "due"),
    [
        ("2026-01-31", "gdpr", "2026-02-28"),
        ("2028-01-31", "gdpr", "2028-02-29"),
        ("2026-02-28", "gdpr", "2026-03-28"),
        ("2026-12-31", "gdpr", "2027-01-31"),
        ("2026-03-31", "gdpr", "2026-04-30"),
        ("2026-01-31", "ccpa", "2026-03-17"),
    ],
)
def test_months_end_where_the_next_is_shorter(received, regime, due):
    assert read_deadline(received, regime, NOW).due_on.isoformat() == due


@given(MOMENTS, REGIMES)
def test_a_deadline_is_counted_in_the_zone_in_which_the_request_came_in(received_at, regime):
    deadline = read_deadline(received_at, regime, NOW)
    assert deadline.received_on == received_at.date()
    assert deadline.ends_at.date() == deadline.due_on
    assert (deadline.ends_at + timedelta(microseconds=1)).date() != deadline.due_on
    assert deadline.ends_at.utcoffset() == deadline.ends_at.replace(tzinfo=received_at.tzinfo).utcoffset()


@given(MOMENTS, REGIMES, st.timedeltas(timedelta(days=-90), timedelta(days=90)), ZONES)
def test_days_are_left_until_the_last_moment_wherever_it_is_asked(received_at, regime, distance, zone):
    deadline = read_deadline(received_at, regime, NOW)
    now = (deadline.ends_at.astimezone(UTC) + distance).astimezone(zone)
    assert deadline.is_over(now) is (now.astimezone(UTC) > deadline.ends_at.astimezone(UTC))
    assert deadline.is_over(now) is (deadline.days_left(now) < 0)
    assert deadline.days_left(now) == (deadline.due_on - now.astimezone(deadline.ends_at.tzinfo).date()).days


@given(MOMENTS_ON_A_CLOCK, REGIMES)
def test_on_the_day_of_receipt_all_days_are_left(received_at, regime):
    days = 45 if regime is Regime.CCPA else calendar.monthrange(received_at.year, received_at.month)[1]
    left = read_deadline(received_at, regime, NOW).days_left(received_at)
    assert left == days or (regime is Regime.GDPR and 28 <= left < days)


# --- what is understood ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "received_at",
    [
        datetime(2026, 11, 24, 23, 30),
        datetime(2026, 11, 24, 23, 30, tzinfo=UTC),
        date(2026, 11, 24),
        pendulum.datetime(2026, 11, 24, 9),
        "2026-11-24",
        " 2026-11-24T23:30Z ",
        "2026-11-24 23:30:00+00:00",
        "20261124",
        str(pendulum.datetime(2026, 11, 24, 9)),
    ],
)
@pytest.mark.parametrize("regime", [Regime.GDPR, "gdpr", " GDPR "])
def test_dates_are_understood_in_every_form_and_without_a_zone_are_utc(received_at, regime):
    deadline = read_deadline(received_at, regime, NOW)
    assert deadline.as_of(datetime(2026, 12, 20, tzinfo=UTC)) == {
        "regime": "gdpr",
        "received_on": "2026-11-24",
        "due_on": "2026-12-24",
        "days_left": 4,
    }
    assert deadline.ends_at == datetime(2026, 12, 24, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("received_at", "offset"),
    [
        ("2026-11-24T23:30-08:00", timedelta(hours=-8)),
        (datetime(2026, 10, 20, tzinfo=ZoneInfo("Europe/Berlin")), timedelta(hours=1)),  # summer time is over by then
    ],
)
def test_the_last_moment_is_in_the_zone_of_the_receipt(received_at, offset):
    assert read_deadline(received_at, "gdpr", NOW).ends_at.utcoffset() == offset


def test_a_midnight_that_a_clock_change_skips_is_of_its_own_day():
    received_at = datetime(2020, 3, 8, tzinfo=ZoneInfo("Cuba"))
    assert read_deadline(received_at, "gdpr", NOW).received_on == date(2020, 3, 8)


def test_without_both_there_is_no_deadline():
    assert read_deadline(None, None) is None


@pytest.mark.parametrize(
    ("received_at", "regime", "words"),
    [
        (None, "gdpr", "of type NoneType"),
        ("2026-11-24", None, "regime must be one of"),
        ("2026-11-24", "hipaa", "regime must be one of gdpr, ccpa"),
        ("2026-11-24", "", "regime must be one of"),
        ("2026-11-24", "None", "regime must be one of"),
        ("2026-11-24", 7, "regime must be one of"),
        ("None", "gdpr", "not a date of ISO 8601"),
        ("", "gdpr", "not a date of ISO 8601"),
        ("{{ params.received_at }}", "gdpr", "not a date of ISO 8601"),
        ("24.11.2026", "gdpr", "not a date of ISO 8601"),
        ("2026-02-30", "gdpr", "not a date of ISO 8601"),
        (20261124, "gdpr", "of type int"),
        (True, "gdpr", "of type bool"),
        ("2041-06-02T00:00:01", "gdpr", "in the future"),
        ("9999-12-31", "gdpr", "in the future"),
        ("1999-12-31", "gdpr", "too far in the past"),
    ],
)
def test_what_is_not_understood_is_refused(received_at, regime, words):
    with pytest.raises(KoreInputError, match=words):
        read_deadline(received_at, regime, NOW)


def test_a_day_ahead_can_be_another_time_zone():
    assert read_deadline(NOW + timedelta(days=1), "gdpr", NOW)


# --- what is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "level", "words"),
    [
        ("2026-12-17", logging.INFO, "7"),
        ("2026-12-18", logging.WARNING, "6"),
        ("2026-12-24", logging.WARNING, "0"),
        ("2026-12-25", logging.ERROR, "-1, it is over"),
    ],
)
def test_the_log_grows_louder_as_the_deadline_comes_near(caplog, today, level, words):
    caplog.set_level(logging.INFO)
    log_deadline(read_deadline("2026-11-24", "gdpr", NOW), datetime.fromisoformat(today).replace(tzinfo=UTC))
    [record] = caplog.records
    assert record.levelno == level
    assert record.getMessage().endswith(
        f"Under GDPR the request of 2026-11-24 must be answered by 2026-12-24. Days left: {words}."
    )


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"received_at": "2020-01-31", "regime": "gdpr"}, "must be answered by 2020-02-29"),
        ({"received_at": "what", "regime": "gdpr"}, None),
        ({"users_from": "file:///a"}, None),
        (None, None),
    ],
)
def test_an_announcement_names_the_run_and_the_deadline_if_there_is_one(caplog, conf, words):
    asyncio.run(announce_deadline({"dag_run": {"dag_id": "d", "dag_run_id": "r", "conf": conf}}))
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Run r of d has not erased all users yet.")
    assert words is None or words in record.getMessage()
