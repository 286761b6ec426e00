"""How many requests the sandbox takes, and how it says that it takes no more."""

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.rate_windows import RateWindows
from airflow_provider_kore.sandbox.settings import Settings


def test_sixty_a_minute_pass_and_the_next_does_not(caller, error):
    caller = caller()
    request_id = caller.accept()
    for _ in range(59):
        assert caller.status(request_id).status == 200
    status, message, code = error(caller.erase())
    assert (status, code) == (429, 429)
    assert message.startswith("You've exceeded the per-minute rate limit.")
    assert [entry.throttled for entry in caller.account.log()] == [False] * 60 + [True]
    caller.now += 59.9
    assert caller.status(request_id).status == 429
    caller.now += 0.1
    assert caller.status(request_id).status == 200


def test_the_window_rolls(caller):
    caller = caller(requests_per_minute=2)
    answers = []
    for _ in range(6):
        answers.append(caller.erase().status)
        caller.now += 20
    assert answers == [200, 200, 429, 200, 200, 429]


def test_a_spent_hour_blocks_all_even_with_the_minute_free(caller, error):
    caller = caller(requests_per_hour=3)
    for _ in range(3):
        assert caller.erase().status == 200
        caller.now += 600
    status, message, _ = error(caller.erase())
    assert status == 429
    assert message.startswith("You've exceeded the hourly rate limit.")
    caller.now += 1800
    assert caller.erase().status == 200


def test_windows_can_be_scaled_down_and_switched_off(caller):
    caller = caller(requests_per_minute=1, minute_seconds=0.5, requests_per_hour=0)
    assert caller.erase().status == 200
    assert caller.erase().status == 429
    caller.now += 0.5
    assert caller.erase().status == 200
    caller.account.configure({"requests_per_minute": 0})
    assert {caller.erase().status for _ in range(2000)} == {200}


def test_requests_that_are_refused_count_but_not_those_without_a_right_token(caller):
    caller = caller(requests_per_minute=2)
    assert caller.erase({}).status == 400
    for _ in range(5):
        assert caller.erase(token="none").status == 401
    assert caller.erase().status == 200
    assert caller.erase().status == 429


def history_and_roles(caller):
    calls = [caller.history("sessions", {}), caller.history("messages", {}, "st-2"), caller.roles()]
    return [answer.status for answer in calls]


def test_history_and_roles_count_like_all_other_calls(caller):
    caller = caller(requests_per_minute=4)
    assert history_and_roles(caller) == [200, 200, 200]
    assert [caller.erase().status for _ in range(2)] == [200, 429]
    assert history_and_roles(caller) == [429, 429, 429]
    assert [entry.throttled for entry in caller.account.log()] == [False] * 4 + [True] * 4


def test_history_can_have_windows_of_its_own_for_each_bot(caller):
    caller = caller(requests_per_minute=2, history_counts=False)

    def statuses(bot_id):
        return [caller.history(kind, {}, bot_id).status for kind in ("sessions", "messages", "sessions")]

    assert [statuses(bot_id) for bot_id in ("st-1", "st-2", None)] == [[200, 200, 429]] * 3
    assert [caller.erase().status, caller.roles().status, caller.erase().status] == [200, 200, 429]
    caller.now += 60
    assert statuses("st-1") == [200, 200, 429]
    caller.account.reset()
    assert statuses("st-2") == [200, 200, 429]


def test_throttled_requests_can_count_too(caller):
    lenient, strict = caller(requests_per_minute=1), caller(requests_per_minute=1, count_throttled=True)
    for one in (lenient, strict):
        one.erase()
        one.now += 40
        assert one.erase().status == 429
        one.now += 40
    assert lenient.erase().status == 200
    assert strict.erase().status == 429


@pytest.mark.parametrize("status", [429, 400])
def test_the_status_of_a_throttled_request_can_be_set(caller, error, status):
    caller = caller(requests_per_minute=1, throttle_status=status, throttle_text="forum")
    caller.erase()
    text = "Rate limit for this API has been reached. Please try again later"
    assert error(caller.erase()) == (status, text, status)
    caller.account.configure({"throttle_text": "other"})
    assert "limit" not in error(caller.erase())[1].lower()


def test_a_throttled_request_may_say_when_to_come_back(caller):
    caller = caller(requests_per_minute=1, retry_after="seconds")
    caller.erase()
    caller.now += 20.5
    assert caller.erase().headers["retry-after"] == "40"
    caller.account.configure({"retry_after": "date"})
    back = parsedate_to_datetime(caller.erase().headers["retry-after"]).timestamp()
    assert 60 <= back - (caller.now - 20.5) <= 62
    caller.account.configure({"retry_after": "none"})
    assert "retry-after" not in caller.erase().headers


@given(
    steps=st.lists(st.floats(0, 5), max_size=80),
    limits=st.tuples(st.integers(1, 6), st.integers(1, 12)),
)
def test_no_window_ever_holds_more_than_its_limit(steps, limits):
    settings = Settings(
        requests_per_minute=limits[0], minute_seconds=5.0, requests_per_hour=limits[1], hour_seconds=30.0
    )
    windows, now, admitted = RateWindows(), 1000.0, []
    for step in steps:
        now += step
        full = any(
            sum(now - seconds < time for time in admitted) >= limit
            for limit, seconds in zip(limits, (5.0, 30.0), strict=True)
        )
        try:
            windows.admit(settings, now)
        except RefusedError:
            assert full
        else:
            assert not full
            admitted.append(now)
