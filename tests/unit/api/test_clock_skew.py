"""By how much a machine's clock is off, and tokens that allow for it."""

import time
from email.utils import formatdate

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api import auth as auth_module
from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.clock_skew import read_clock_skew
from airflow_provider_kore.api.errors import Call, read_failure
from airflow_provider_kore.api.exchange import Answer

NOW = 1_800_000_000.0
SECRET = "a-secret-of-sixty-four-bytes-or-more-so-that-no-algorithm-complains"
ACCOUNT = KoreAccount("https://kore.example", "cs-1", client_secret=SECRET)


@pytest.fixture(autouse=True)
def _no_corrections(monkeypatch):
    monkeypatch.setattr(auth_module, "_clock_corrections", {})


def date(seconds):
    return formatdate(NOW + seconds, usegmt=True)


def issued_at(auth):
    return jwt.decode(auth.sign(), options={"verify_signature": False})["iat"] - NOW


@given(st.integers(-31 * 86_400 + 2, 31 * 86_400 - 2), st.floats(0, 0.999))
def test_the_skew_is_that_of_the_header(seconds, fraction):
    skew = read_clock_skew(date(seconds), NOW + fraction)
    assert skew == 0 if abs(seconds) < 2 else abs(skew - seconds) <= 1


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "now",
        "1800000000",
        "Fri, 99 Jan 2027 08:00:00 GMT",
        "Fri, 15 Jan 10000 08:00:00 GMT",
        "Fri, 15 Jan 0000 08:00:00 GMT",
        "Fri, 15 Jan 2027 08:00:00 +9999999",
        date(-32 * 86_400),
        date(40 * 365 * 86_400),
        date(-40 * 365 * 86_400),
        date(0) + " " * 100,
        "\x00",
    ],
)
def test_a_header_that_is_missing_malformed_or_absurd_says_nothing(header):
    assert read_clock_skew(header, NOW) is None


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_no_header_is_an_error(header):
    skew = read_clock_skew(header, NOW)
    assert skew is None or abs(skew) <= 31 * 86_400


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000", ""])
def test_a_header_without_a_time_zone_is_utc_wherever_the_worker_is(monkeypatch, zone):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        skew = read_clock_skew(date(60).replace("GMT", zone), NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(skew - 60) <= 1


@pytest.mark.parametrize(
    ("status", "seconds", "corrected"),
    [
        (401, 120, 120),
        (401, -120, -120),
        (401, 299, 299),
        (401, 300, 0),
        (401, -3600, 0),
        (401, 86_400 * 365, 0),
        (401, 1, 0),
        (200, 120, 0),
        (403, 120, 0),
        (500, 120, 0),
    ],
)
def test_after_a_refused_token_the_next_ones_have_the_time_of_kore(status, seconds, corrected):
    auth = KoreAuth(ACCOUNT, clock=lambda: NOW)
    assert issued_at(auth) == 0
    auth.compare_clocks(status, date(seconds))
    assert abs(issued_at(auth) - corrected) <= 1
    assert issued_at(KoreAuth(ACCOUNT, clock=lambda: NOW)) == issued_at(auth), "kept for the process"
    other = KoreAccount("https://kore.example", "cs-2", client_secret=SECRET)
    assert issued_at(KoreAuth(other, clock=lambda: NOW)) == 0


@pytest.mark.parametrize("header", [None, "soon", date(-40 * 365 * 86_400), date(7200)])
def test_a_header_that_cannot_be_trusted_changes_no_correction(header):
    auth = KoreAuth(ACCOUNT, clock=lambda: NOW)
    auth.compare_clocks(401, date(120))
    auth.compare_clocks(401, header)
    assert abs(issued_at(auth) - 120) <= 1


def test_a_clock_that_was_set_meanwhile_is_no_longer_corrected():
    now = [NOW]
    auth = KoreAuth(ACCOUNT, clock=lambda: now[0])
    auth.compare_clocks(401, date(120))
    now[0] += 120
    auth.compare_clocks(401, date(120))
    assert issued_at(auth) == 120


def test_the_log_says_once_what_is_wrong_with_the_clock(caplog):
    auth = KoreAuth(ACCOUNT, clock=lambda: NOW)
    for _ in range(3):
        auth.compare_clocks(401, date(-90))
    (line,) = caplog.messages
    assert line.startswith("This machine's clock is 90 s ahead of Kore.ai's.")


@pytest.mark.parametrize(
    ("status", "skew", "words"),
    [
        (401, 120.4, "clock is 120 s behind Kore.ai's, and a token with Kore.ai's time was refused as well"),
        (401, -3600.0, "clock is 3600 s ahead of Kore.ai's, so that no token that it signs is valid: set its clock"),
        (401, 0.0, None),
        (401, None, None),
        (403, 120.0, None),
        (500, 120.0, None),
    ],
)
def test_the_error_of_a_refused_token_says_by_how_much_the_clock_is_off(status, skew, words):
    problem = read_failure(Call.STATUS, Answer(status, None, b"", skew), "Invalid SDK credentials", 4002).problem
    assert words in problem if words else "s clock" not in problem
