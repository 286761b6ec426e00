"""Which answers say that the budget is spent, and how long to stay away then."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.exchange import Answer
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile
from airflow_provider_kore.api.throttle import LONGEST_THROTTLE_PAUSE, is_throttle, throttle_pause

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SILENT = ApiProfile(throttle_texts=["Slow down, please"])


def answer(status, retry_after=None):
    return Answer(status, retry_after, b"")


@pytest.mark.parametrize(
    ("status", "text", "throttled"),
    [
        (429, None, True),
        (429, "anything", True),
        (400, "You've exceeded the per-minute rate limit. Please wait.", True),
        (403, "You've exceeded the hourly rate limit.", True),
        (401, "Rate limit for this API has been reached. Please try again later", True),
        (400, "RATE-LIMIT", True),
        (400, "ratelimit reached", True),
        (400, "API_RATE_LIMIT_EXCEEDED", True),
        (400, "Invalid StreamId", False),
        (400, None, False),
        (400, "separate limits", False),
        (400, "not in the corporate limits", False),
        (499, "rate limit", True),
        (200, "rate limit", False),
        (399, "rate limit", False),
        (500, "rate limit", False),
        (503, "rate limit", False),
    ],
)
def test_a_throttle_is_429_or_a_refusal_that_speaks_of_a_rate_limit(status, text, throttled):
    assert is_throttle(status, text) is throttled


@pytest.mark.parametrize(
    ("retry_after", "text", "seconds"),
    [
        (None, None, 60),
        (None, "per-minute rate limit", 60),
        (None, "You've exceeded the hourly rate limit.", 300),
        ("17", "hourly", 17),
        (" 17 ", None, 17),
        ("0", None, 1),
        ("86400", None, LONGEST_THROTTLE_PAUSE),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), None, 90),
        (format_datetime((NOW + timedelta(seconds=90)).replace(tzinfo=None)), None, 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), None, 1),
        (format_datetime(NOW + timedelta(days=1), usegmt=True), None, LONGEST_THROTTLE_PAUSE),
        ("soon", None, 60),
        ("", None, 60),
        ("-5", None, 60),
        ("1e3", None, 60),
        ("99999999999", None, 60),
        ("١٢", None, 60),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None, 60),
        ("Mon, 99999999999999999999 Jan 2027 00:00:00 GMT", None, 60),
        ("1 Jan 2027 00:00 +99999999999999999999", None, 60),
        ("Mon, 01 Jan 2027 99:99:99 GMT", None, 60),
    ],
)
def test_retry_after_decides_where_it_can_be_read(retry_after, text, seconds):
    assert throttle_pause(answer(429, retry_after), text, NOW) == seconds


dates = st.builds(
    "{} {} {} {}:{}:{} {}".format,
    st.integers(),
    st.sampled_from(["Jan", "Dec", "Foo"]),
    st.integers(),
    *[st.integers(-1, 99)] * 3,
    st.sampled_from(["GMT", "-0000", "+9999", "+0000", ""]) | st.integers().map(str),
)


@given(st.none() | st.text(max_size=30) | dates, st.none() | st.text(max_size=9))
def test_a_throttle_pause_is_never_shorter_than_a_second_or_longer_than_an_hour(retry_after, text):
    assert 1 <= throttle_pause(answer(429, retry_after), text) <= LONGEST_THROTTLE_PAUSE


@pytest.mark.parametrize(
    ("profile", "status", "text", "throttled"),
    [
        (DEFAULT_PROFILE, 400, "slow down, please", False),
        (SILENT, 400, "You must SLOW DOWN, please!", True),
        (SILENT, 403, "slow down, please", True),
        (SILENT, 400, "slow down", False),
        (SILENT, 503, "slow down, please", False),
        (SILENT, 200, "slow down, please", False),
        (SILENT, 400, None, False),
        (SILENT, 400, "Rate limit reached", True),
        (SILENT, 429, None, True),
    ],
)
def test_further_phrases_for_a_throttle_are_those_of_the_profile(profile, status, text, throttled):
    assert is_throttle(status, text, profile) is throttled


@pytest.mark.parametrize(
    ("retry_after", "text", "seconds"),
    [
        (None, "hourly rate limit", 900),
        (None, "per-minute rate limit", 20),
        (None, None, 20),
        ("7", "hourly rate limit", 7),
    ],
)
def test_the_profile_says_how_long_to_stay_away_where_kore_does_not(retry_after, text, seconds):
    profile = ApiProfile(minute_throttle_pause=20, hour_throttle_pause=900)
    assert throttle_pause(answer(429, retry_after), text, NOW, profile) == seconds
