"""What only the budget of one process does: it counts for ever, is fast, and can be handed over."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_budget import Caller, arriving, gaps, limits, most_in_any_window, run
from timed_budget import local_budget_of as budget_of

from airflow_provider_kore.api.budget import HOUR, MINUTE, Reason, Wait
from airflow_provider_kore.api.errors import Call


def test_a_call_without_an_answer_yet_counts_as_just_made():
    budget = budget_of(1, 100)
    budget.turn(Call.ERASE, 0.0).ask(0.0)
    assert budget.seconds_until_turn(1000.0) == 60


def test_documented_limits_give_a_minute_of_sixty_and_an_hour_of_eighteen_hundred():
    callers = [Caller(0) for _ in range(1801)]
    run(budget_of(60, 1800), callers)
    assert [callers[number].began for number in (59, 60, 1799, 1800)] == [0, 60, 29 * 60, 3600]
    assert max(caller.asks for caller in callers) <= 3


def test_a_clock_that_was_read_in_another_order_does_no_harm():
    budget = budget_of(2, 100)
    turns = [budget.turn(Call.ERASE, 0.0) for _ in range(2)]
    assert [turn.ask(0.0) for turn in turns] == [0, 0]
    turns[0].end(10.0)
    turns[1].end(9.0)
    assert budget.export_usage(69.5) == [(0, 2)]
    assert budget.seconds_until_turn(69.5) == 0.5


@pytest.mark.parametrize(
    ("per_minute", "per_hour", "seconds"), [(60, 1800, 2), (10, 1800, 6), (60, 60, 60), (1, 100_000, 60)]
)
def test_calls_that_go_on_all_the_time_come_as_far_apart_as_the_narrower_window_makes_them(
    per_minute, per_hour, seconds
):
    budget = budget_of(per_minute, per_hour)
    assert budget.seconds_per_call == seconds
    callers = [Caller(0) for _ in range(per_hour + 1 if per_hour < 2000 else 200)]
    run(budget, callers)
    assert callers[-1].began / (len(callers) - 1) == pytest.approx(seconds, rel=0.1)


# --- Handing over -----------------------------------------------------------------------------------------------


@given(limits, st.lists(gaps, max_size=40), st.integers(0, 4000), st.integers(0, 4000))
@settings(max_examples=200)
def test_a_new_process_goes_on_with_the_budget_that_the_task_has_left(per_window, arrivals, listed_after, taken_after):
    old, new = budget_of(*per_window), budget_of(*per_window)
    before = arriving(arrivals)
    run(old, before)
    listed_at = max([0.0, *(caller.began for caller in before)]) + listed_after
    calls = json.loads(json.dumps(old.export_usage(listed_at)))
    assert len(calls) <= 60
    own_clock = 5e6 - listed_at
    new.import_usage(calls, own_clock + listed_at)
    now = listed_at + taken_after
    after = [Caller(own_clock + now) for _ in range(5)]
    run(new, after)
    turns = [caller.began for caller in before] + [caller.began - own_clock for caller in after]
    assert most_in_any_window(turns, MINUTE) <= per_window[0]
    assert most_in_any_window(turns, HOUR) <= per_window[1]


def test_what_is_handed_over_is_rounded_to_what_counts_for_longer():
    budget = budget_of(60, 1800)
    run(budget, [Caller(0.0), Caller(59.0), Caller(60.0), Caller(3000.5)])
    budget.turn(Call.ERASE, 3600.0).ask(3600.0)
    assert budget.export_usage(3600.0) == [(3540, 2), (540, 1), (0, 1)]


def test_a_process_that_has_called_already_takes_nothing_over():
    budget = budget_of(2, 100)
    run(budget, [Caller(0.0)])
    budget.import_usage([(0, 2)], 0.0)
    assert budget.seconds_until_turn(0.0) == 0


def test_what_is_taken_over_is_handed_over_again():
    budget = budget_of(60, 1800)
    budget.import_usage([(600, 2), (0, 1)], 0.0)
    assert budget.export_usage(60.0) == [(660, 2), (60, 1)]


# --- Why a call waits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_window", "calls_before", "before", "asking", "expected"),
    [
        ((3, 100), 2, lambda budget: None, Call.ERASE, Wait(0.0, 0, (0, 97), None)),
        ((3, 100), 3, lambda budget: None, Call.ERASE, Wait(60.0, 0, (0, 97), Reason.MINUTE)),
        ((60, 3), 3, lambda budget: None, Call.STATUS, Wait(3600.0, 0, (57, 0), Reason.HOUR)),
        ((60, 1800), 1, lambda budget: budget.close(0.0, 90), Call.ERASE, Wait(90.0, 0, (59, 1799), Reason.THROTTLED)),
        ((60, 1800), 1, lambda budget: budget.close(0.0, 90), Call.STATUS, Wait(90.0, 0, (59, 1799), Reason.THROTTLED)),
        (
            (2, 120),
            0,
            lambda budget: [budget.slow_polls(0.0) for _ in range(2)],
            Call.STATUS,
            Wait(60.0, 0, (2, 120), Reason.POLLS_SLOWED),
        ),
    ],
)
def test_a_wait_says_what_it_is_for(per_window, calls_before, before, asking, expected):
    budget = budget_of(*per_window)
    run(budget, [Caller(0.0) for _ in range(calls_before)])
    before(budget)
    assert budget.turn(asking, 0.0).wait(0.0) == expected


def test_polls_that_wait_behind_others_for_the_end_of_a_throttle_say_so():
    budget = budget_of(60, 1800)
    budget.close(0.0, 90)
    assert {budget.turn(Call.STATUS, 0.0).wait(0.0).reason for _ in range(3)} == {Reason.THROTTLED}


def test_a_wait_says_how_many_calls_go_before_it():
    budget = budget_of(1, 100)
    run(budget, [Caller(0.0)])
    waiting = [budget.turn(call, 0.0).wait(0.0) for call in (Call.STATUS, Call.STATUS, Call.ERASE, Call.ERASE)]
    assert [wait.ahead for wait in waiting] == [0, 1, 0, 1]
    assert budget.turn(Call.STATUS, 0.0).wait(0.0).ahead == 4


@given(limits, st.lists(gaps, max_size=20), gaps)
def test_the_calls_that_are_left_are_those_that_neither_window_counts(per_window, arrivals, later):
    budget = budget_of(*per_window)
    callers = arriving(arrivals)
    run(budget, callers)
    now = max([0.0, *(caller.began for caller in callers)]) + later
    budget.close(now, 1)
    left = budget.turn(Call.ERASE, now).wait(now).left
    counted = (sum(caller.began > now - seconds for caller in callers) for seconds in (MINUTE, HOUR))
    assert left == tuple(calls - count for calls, count in zip(per_window, counted, strict=True))
