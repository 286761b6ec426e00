"""The period of a task: which forms are accepted, and what is refused."""

from datetime import UTC, date, datetime, timedelta, timezone

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.period import Period, read_period

NOW = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (datetime(2026, 8, 1, 6, tzinfo=UTC), datetime(2026, 8, 1, 6, tzinfo=UTC)),
        (datetime(2026, 8, 1, 6), datetime(2026, 8, 1, 6, tzinfo=UTC)),
        (datetime(2026, 8, 1, 6, tzinfo=BERLIN), datetime(2026, 8, 1, 4, tzinfo=UTC)),
        (pendulum.datetime(2026, 8, 1, 6, tz="Europe/Berlin"), datetime(2026, 8, 1, 4, tzinfo=UTC)),
        (date(2026, 8, 1), datetime(2026, 8, 1, tzinfo=UTC)),
        (pendulum.date(2026, 8, 1), datetime(2026, 8, 1, tzinfo=UTC)),
        ("2026-08-01", datetime(2026, 8, 1, tzinfo=UTC)),
        (" 2026-08-01T06:00:00Z ", datetime(2026, 8, 1, 6, tzinfo=UTC)),
        ("2026-08-01T06:00:00.515+02:00", datetime(2026, 8, 1, 4, 0, 0, 515000, tzinfo=UTC)),
        ("2026-08-01 06:00", datetime(2026, 8, 1, 6, tzinfo=UTC)),
        (timedelta(days=31, hours=12, minutes=30), datetime(2026, 8, 1, tzinfo=UTC)),
        (pendulum.duration(days=31, hours=12, minutes=30), datetime(2026, 8, 1, tzinfo=UTC)),
    ],
)
def test_each_end_is_read_in_its_forms(value, moment):
    assert read_period(value, None, NOW) == Period(moment, NOW)
    assert read_period(date(2020, 1, 1), value, NOW).until == moment
    assert type(read_period(value, None, NOW).since) is datetime


def test_it_is_written_in_utc():
    period = read_period("2026-08-01T06:00:00+02:00", "2026-08-02", NOW.astimezone(BERLIN))
    assert period.to_json() == {"since": "2026-08-01T04:00:00Z", "until": "2026-08-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (None, None),
        ("", None),
        ("None", None),
        ("{{ params.since }}", None),
        ("yesterday", None),
        ("2026-13-01", None),
        (5, None),
        (True, None),
        (1.5, None),
        ([], None),
        (NOW, None),
        (timedelta(0), None),
        (timedelta(days=-1), None),
        (timedelta(days=999_999), None),
        (datetime(1, 1, 1, tzinfo=BERLIN), None),
        ("2026-08-01", "2026-08-01"),
        ("2026-08-02", "2026-08-01"),
        ("2026-08-01", NOW + timedelta(microseconds=1)),
        ("2026-08-01", timedelta(days=-1)),
        ("2026-08-01", "None"),
        ("2026-08-01", "now"),
    ],
)
def test_what_is_no_past_span_is_refused(since, until):
    with pytest.raises(KoreInputError) as caught:
        read_period(since, until, NOW)
    assert caught.value.consequence is Consequence.NOT_SENT
    assert caught.value.remedy


moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from([None, UTC, BERLIN]))


@given(moments, moments, moments)
def test_a_period_is_in_order_and_over_and_is_read_back_from_its_text(since, until, now):
    try:
        period = read_period(since, until, now)
    except KoreInputError:
        return
    assert period.since < period.until <= read_period(timedelta(1), None, now).until
    assert read_period(*period.to_json().values(), now) == period
