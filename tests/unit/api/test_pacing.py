"""The one budget of an account, and how looks grow apart."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timed_budget import TimedBudget

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.pacing import Pacing, PollSchedule, shared_budget


@pytest.mark.parametrize("seconds", [-3.0, 0.0, 90.0])
def test_a_deadline_is_as_far_away_on_the_clock_of_the_budget(seconds):
    pacing = Pacing(shared_budget(account()), lambda: 1000.0)
    assert pacing.moment_of(time.time() + seconds) == pytest.approx(1000.0 + seconds, abs=0.5)


# --- One for an account -----------------------------------------------------------------------------------------


def account(base_url="https://a", client_id="cs-1", per_minute=60, per_hour=1800, **more):
    return KoreAccount(base_url, client_id, requests_per_minute=per_minute, requests_per_hour=per_hour, **more)


def test_one_account_has_one_budget():
    assert shared_budget(account()) is shared_budget(account(timeout=9, client_secret="other", max_users=1))


@pytest.mark.parametrize("other", [{"base_url": "https://b"}, {"client_id": "cs-2"}])
def test_another_account_has_another_budget(other):
    assert shared_budget(account()) is not shared_budget(account(**other))


def test_of_several_connections_to_one_account_the_strictest_counts():
    budget = shared_budget(account(client_id="cs-3", per_minute=3, per_hour=1000))
    assert shared_budget(account(client_id="cs-3", per_minute=60, per_hour=4)) is budget
    assert shared_budget(account(client_id="cs-3", per_minute=60, per_hour=1800)) is budget

    def with_clock(clock):
        budget._clock = clock
        return budget

    timed = TimedBudget(with_clock)

    def call(now):
        turn = timed.turn(Call.ERASE, now)
        granted = turn.ask(now) == 0
        turn.end(now) if granted else turn.leave()
        return granted

    assert [now for now in range(0, 3600, 10) if call(now)] == [0, 10, 20, 60]
    assert budget.seconds_per_call == 900


# --- How looks grow apart ---------------------------------------------------------------------------------------

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


def test_a_young_request_is_looked_at_soon_and_an_old_one_after_the_cap():
    schedule = PollSchedule()
    assert all(0.9 * 1.25 <= schedule.pause(0) <= 1.25 for _ in range(50))
    assert all(8.1 <= schedule.pause(100) <= 9 for _ in range(50))
    assert all(27 <= schedule.pause(86_400) <= 30 for _ in range(50))


def test_a_first_minute_takes_less_than_half_of_the_budget_and_a_day_few_looks():
    schedule, age, looks = PollSchedule(), 0.0, []
    while age < 86_400:
        age += schedule.pause(age)
        looks.append(age)
    assert sum(look < 60 for look in looks) < 30
    assert len(looks) < 3300
