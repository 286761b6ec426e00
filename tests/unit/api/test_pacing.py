"""The budget of calls, and how looks grow apart."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.pacing import HOUR, MINUTE, PollSchedule, RateBudget, shared_budget

limits = st.tuples(st.integers(1, 5), st.integers(1, 12))
gaps = st.sampled_from([0, 0, 0, 1, 7, 30, 59, 60, 61, 600, 3599, 3600, 3601]) | st.integers(0, 4000)
"""Whole seconds, so that sums are exact."""


def most_in_any_window(turns: Sequence[float], seconds: float) -> int:
    return max(sum(start <= turn < start + seconds for turn in turns) for start in turns)


def earliest_turn(earlier: Sequence[float], now: float, per_minute: int, per_hour: int) -> float:
    """By brute force: the first moment, not before any earlier turn, at which both windows have room."""
    candidates = {now, *earlier, *(turn + MINUTE for turn in earlier), *(turn + HOUR for turn in earlier)}
    return min(
        turn
        for turn in candidates
        if turn >= max([now, *earlier])
        and sum(turn - MINUTE < other for other in earlier) < per_minute
        and sum(turn - HOUR < other for other in earlier) < per_hour
    )


@given(limits, st.lists(gaps, min_size=1, max_size=40))
@settings(max_examples=200)
def test_no_window_is_overbooked_and_nobody_waits_longer_than_necessary(per_window, arrivals):
    budget = RateBudget(*per_window)
    now, turns = 0.0, []
    for gap in arrivals:
        now += gap
        turn = now + budget.book(now)
        assert turn == earliest_turn(turns, now, *per_window)
        turns.append(turn)
    assert most_in_any_window(turns, MINUTE) <= per_window[0]
    assert most_in_any_window(turns, HOUR) <= per_window[1]


@given(limits, st.lists(st.tuples(gaps, st.none() | st.integers(1, 4000)), min_size=1, max_size=40))
@settings(max_examples=200)
def test_after_a_closing_windows_hold_and_turns_come_in_order_and_not_before_its_end(per_window, events):
    budget = RateBudget(*per_window)
    now, closed_until, turns = 0.0, -math.inf, []
    for gap, closing in events:
        now += gap
        if closing is not None:
            budget.close(now, closing)
            closed_until = max(closed_until, now + closing)
        assert budget.is_closed(now) == (now < closed_until)
        turns.append(now + budget.book(now))
        assert turns[-1] >= max(now, closed_until)
    assert turns == sorted(turns)
    assert most_in_any_window(turns, MINUTE) <= per_window[0]
    assert most_in_any_window(turns, HOUR) <= per_window[1]


def test_the_windows_are_half_open():
    budget = RateBudget(2, 100)
    assert [budget.book(0.0) for _ in range(4)] == [0, 0, 60, 60]
    assert budget.book(120.0) == 0


def test_a_spent_hour_makes_wait_with_the_minute_free():
    budget = RateBudget(60, 3)
    assert [budget.book(600.0 * number) for number in range(4)] == [0, 0, 0, 1800]


def test_documented_limits_give_a_minute_of_sixty_and_an_hour_of_eighteen_hundred():
    budget = RateBudget(60, 1800)
    turns = [budget.book(0.0) for _ in range(1801)]
    assert turns[59:61] == [0, 60]
    assert turns[1799] == 29 * 60
    assert turns[1800] == 3600


def test_a_later_shorter_closing_does_not_open_earlier():
    budget = RateBudget(60, 1800)
    budget.close(0.0, 100)
    budget.close(10.0, 5)
    assert budget.is_closed(99.9)
    assert not budget.is_closed(100.0)
    assert budget.book(20.0) == 80


def test_threads_that_book_at_once_share_the_windows():
    budget = RateBudget(7, 50)
    with ThreadPoolExecutor(8) as pool:
        turns = sorted(pool.map(lambda _: budget.book(0.0), range(400)))
    reference = RateBudget(7, 50)
    assert turns == [reference.book(0.0) for _ in range(400)]


def test_who_books_first_goes_first_also_if_another_read_the_clock_before():
    budget = RateBudget(60, 1800)
    assert budget.book(10.0) == 0
    assert budget.book(9.0) == 1


@pytest.mark.parametrize(
    ("per_minute", "per_hour", "seconds"), [(60, 1800, 2), (10, 1800, 6), (60, 60, 60), (1, 100_000, 60)]
)
def test_calls_that_go_on_all_the_time_come_as_far_apart_as_the_narrower_window_makes_them(
    per_minute, per_hour, seconds
):
    budget = RateBudget(per_minute, per_hour)
    assert budget.seconds_per_call == seconds
    turns = [budget.book(0.0) for _ in range(per_hour + 1 if per_hour < 2000 else 200)]
    assert turns[-1] / (len(turns) - 1) == pytest.approx(seconds, rel=0.1)


def account(base_url="https://a", client_id="cs-1", per_minute=60, per_hour=1800, **more):
    return KoreAccount(base_url, client_id, requests_per_minute=per_minute, requests_per_hour=per_hour, **more)


def test_one_account_has_one_budget():
    assert shared_budget(account()) is shared_budget(account(timeout=9, client_secret="other", max_users=1))


@pytest.mark.parametrize(
    "other", [{"base_url": "https://b"}, {"client_id": "cs-2"}, {"per_minute": 59}, {"per_hour": 1799}]
)
def test_another_account_or_share_has_another_budget(other):
    assert shared_budget(account()) is not shared_budget(account(**other))


ages = st.floats(-1e4, 1e7)


@given(ages, st.floats(0.1, 1e4), st.floats(0.1, 100), st.floats(0.01, 1))
def test_a_pause_is_within_its_bounds(age, longest, shortest, fraction):
    pause = PollSchedule(longest, shortest, fraction).pause(age)
    assert 0.9 * min(longest, shortest) <= pause <= longest


@given(ages, ages, st.floats(1, 1e4))
def test_pauses_grow_with_age_but_for_the_jitter(age, other, longest):
    schedule = PollSchedule(longest)
    younger, older = sorted([age, other])
    assert 0.9 * schedule.pause(younger) <= schedule.pause(older) * (1 + 1e-9)


def test_a_young_request_is_looked_at_after_a_second_and_an_old_one_after_the_cap():
    schedule = PollSchedule()
    assert all(0.9 <= schedule.pause(0) <= 1 for _ in range(50))
    assert all(54 <= schedule.pause(86_400) <= 60 for _ in range(50))
    assert all(9 <= schedule.pause(100) <= 10 for _ in range(50))


def test_a_day_of_waiting_takes_few_looks():
    schedule, age, looks = PollSchedule(), 0.0, 0
    while age < 86_400:
        age += schedule.pause(age)
        looks += 1
    assert looks < 1700
