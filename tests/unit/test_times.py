"""Times: the forms in which they are read, and the one in which they are written."""

from datetime import UTC, date, datetime, timedelta, timezone

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.times import in_utc, read_time, utc_text

BERLIN = timezone(timedelta(hours=2))
SIX = datetime(2026, 8, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (SIX, SIX),
        (SIX.replace(tzinfo=None), SIX),
        (pendulum.instance(SIX), SIX),
        (date(2026, 8, 1), SIX.replace(hour=0)),
        (" 2026-08-01T06:00:00Z ", SIX),
        ("2026-08-01 06:00", SIX),
        ("2026-08-01T08:00+02:00", SIX),
        ("2026-08-01", SIX.replace(hour=0)),
    ],
)
def test_a_time_is_read_in_its_forms_and_without_a_zone_is_utc(value, moment):
    assert read_time(value) == moment


def test_a_time_keeps_its_zone():
    assert read_time("2026-08-01T08:00+02:00").utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("value", ["", "None", "{{ x }}", "24.11.2026", "2026-02-30", 5, True, None, timedelta(1)])
def test_anything_else_is_refused_without_the_value(value):
    with pytest.raises(ValueError, match=r"^is (text that is not a date of ISO 8601|of type \w+)$"):
        read_time(value)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 24, 1, 2, 3, 999_999, BERLIN), "2026-11-23T23:02:03Z"),
        (datetime(2026, 11, 24, 13), "2026-11-24T13:00:00Z"),
        (pendulum.datetime(2026, 11, 24, 14, tz="Europe/Berlin"), "2026-11-24T13:00:00Z"),
        (datetime(999, 1, 1, tzinfo=UTC), "0999-01-01T00:00:00Z"),
        (1_790_000_000, "2026-09-21T14:13:20Z"),
        (1_790_000_000.9, "2026-09-21T14:13:20Z"),
    ],
)
def test_a_time_is_written_in_utc_and_to_the_second(moment, text):
    assert utc_text(moment) == text


@given(st.datetimes(datetime(2, 1, 1), datetime(9999, 1, 1), timezones=st.none() | st.timezones()))
def test_what_is_written_in_full_is_read_back(moment):
    assert read_time(utc_text(moment, "auto")) == in_utc(moment)
    assert type(in_utc(moment)) is datetime


def test_a_time_outside_the_calendar_is_refused():
    with pytest.raises(ValueError, match="outside the calendar"):
        in_utc(datetime(1, 1, 1, tzinfo=BERLIN))
