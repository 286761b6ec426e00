"""What every budget of calls does."""

import heapq
import itertools
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timed_budget import TimedBudget, budget_of

from airflow_provider_kore.api.budget import HOUR, MINUTE, SUBMITS_PER_POLL
from airflow_provider_kore.api.errors import Call

limits = st.tuples(st.integers(1, 5), st.integers(1, 12))
gaps = st.sampled_from([0, 0, 0, 1, 7, 30, 59, 60, 61, 600, 3599, 3600, 3601]) | st.integers(0, 4000)
"""Whole seconds, so that sums are exact."""


@dataclass
class Caller:
    """Wants to make one call, and sleeps for as long as the budget tells it to."""

    comes: float
    call: Call = Call.ERASE
    there: float = 0
    """Seconds that the call takes to arrive."""
    back: float = 0
    max_wait: float = math.inf
    asks: int = 0
    began: float | None = None
    arrives: float | None = None
    turn: object = field(default=None, repr=False)


def run(budget: TimedBudget, callers: Sequence[Caller]) -> None:
    """Let all callers make their calls, or lose their max_wait."""
    numbers = itertools.count()
    events = [(caller.comes, next(numbers), "ask", caller) for caller in callers]
    heapq.heapify(events)
    while events:
        now, _, what, caller = heapq.heappop(events)
        if what == "end":
            caller.turn.end(now)
            continue
        caller.turn = caller.turn or budget.turn(caller.call, now)
        if now - caller.comes >= caller.max_wait:
            caller.turn.leave()
            continue
        caller.asks += 1
        assert caller.asks < 500, "it asks again and again"
        if seconds := caller.turn.ask(now):
            wakes_up = min(now + seconds, caller.comes + caller.max_wait)
            heapq.heappush(events, (wakes_up, next(numbers), "ask", caller))
        else:
            caller.began, caller.arrives = now, now + caller.there
            heapq.heappush(events, (caller.arrives + caller.back, next(numbers), "end", caller))


def most_in_any_window(moments: Sequence[float], seconds: float) -> int:
    return max((sum(start <= moment < start + seconds for moment in moments) for start in moments), default=0)


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


def arriving(gaps_between, **more):
    return [Caller(comes, **more) for comes in itertools.accumulate(gaps_between)]


# --- Both windows -----------------------------------------------------------------------------------------------


@given(limits, st.lists(gaps, min_size=1, max_size=40), st.sampled_from(Call))
@settings(max_examples=200)
def test_in_one_line_first_come_is_first_served_and_nobody_waits_longer_than_necessary(per_window, arrivals, call):
    callers = arriving(arrivals, call=call)
    run(budget_of(*per_window), callers)
    turns = []
    for caller in callers:
        turns.append(earliest_turn(turns, caller.comes, *per_window))
    assert [caller.began for caller in callers] == turns


travels = st.sampled_from([0, 0.25, 1, 30])
whoever = st.lists(
    st.tuples(gaps, st.sampled_from(Call), travels, travels, st.just(math.inf) | st.integers(0, 8000)), max_size=40
)


@given(limits, whoever)
@settings(max_examples=300)
def test_a_strict_window_never_sees_too_many_calls_arrive_however_long_they_travel_and_whoever_leaves(
    per_window, described
):
    moments = itertools.accumulate(gap for gap, *_ in described)
    callers = [Caller(comes, *caller) for comes, (_, *caller) in zip(moments, described, strict=True)]
    budget = budget_of(*per_window)
    run(budget, callers)
    arrived = [caller.arrives for caller in callers if caller.arrives is not None]
    assert most_in_any_window(arrived, MINUTE) <= per_window[0]
    assert most_in_any_window(arrived, HOUR) <= per_window[1]
    assert all(caller.arrives is not None for caller in callers if caller.max_wait == math.inf)
    assert budget.is_idle


def test_two_calls_a_minute_apart_that_travel_at_other_speeds_do_not_arrive_in_one_window():
    slow, quick = Caller(0, there=2), Caller(0)
    run(budget_of(1, 100), [slow, quick])
    assert (slow.arrives, quick.arrives) == (2, 62)


def test_a_call_without_an_answer_yet_counts_as_just_made():
    budget = budget_of(1, 100)
    budget.turn(Call.ERASE, 0.0).ask(0.0)
    assert budget.seconds_until_turn(1000.0) == 60


def test_the_windows_are_half_open():
    callers = [Caller(0) for _ in range(4)] + [Caller(120)]
    run(budget_of(2, 100), callers)
    assert [caller.began for caller in callers] == [0, 0, 60, 60, 120]


def test_a_spent_hour_makes_wait_with_the_minute_free():
    callers = [Caller(600.0 * number) for number in range(4)]
    run(budget_of(60, 3), callers)
    assert [caller.began - caller.comes for caller in callers] == [0, 0, 0, 1800]


def test_documented_limits_give_a_minute_of_sixty_and_an_hour_of_eighteen_hundred():
    callers = [Caller(0) for _ in range(1801)]
    run(budget_of(60, 1800), callers)
    assert [callers[number].began for number in (59, 60, 1799, 1800)] == [0, 60, 29 * 60, 3600]
    assert max(caller.asks for caller in callers) <= 3


def test_threads_that_ask_at_once_share_the_windows():
    budget = budget_of(7, 50)

    def call(number):
        turn = budget.turn(Call.ERASE if number % 2 else Call.STATUS, 0.0)
        began = turn.ask(0.0) == 0
        if began:
            turn.end(0.0)
        else:
            turn.leave()
        return began

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(400))) == 7
    assert budget.seconds_until_turn(0.0) == 60


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


# --- The lines --------------------------------------------------------------------------------------------------


def test_submits_go_before_polls_but_after_some_a_poll_goes():
    polls = [Caller(0, Call.STATUS) for _ in range(3)]
    submits = [Caller(0) for _ in range(10)]
    run(budget_of(1, 100_000), [*polls, *submits])
    order = sorted([*polls, *submits], key=lambda caller: caller.began)
    assert SUBMITS_PER_POLL == 4
    assert "".join("S" if caller.call is Call.ERASE else "p" for caller in order) == "pSSSSpSSSSpSS"


@given(st.integers(1, 3), st.integers(0, 60), st.integers(1, 5))
def test_a_poll_never_starves_behind_submits(per_minute, submits, polls):
    callers = [*(Caller(0) for _ in range(submits)), *(Caller(0, Call.STATUS) for _ in range(polls))]
    run(budget_of(per_minute, 100_000), callers)
    for number, poll in enumerate(callers[submits:], 1):
        before = sum(caller.began < poll.began for caller in callers[:submits])
        assert before <= number * (SUBMITS_PER_POLL + 1)


READING = [call for call in Call if call is not Call.ERASE]


@given(st.lists(st.sampled_from(READING), min_size=1, max_size=20), st.integers(0, 20))
def test_all_calls_that_read_share_one_line(reading, submits):
    moments = []
    for calls in (reading, [Call.STATUS] * len(reading)):
        callers = [*(Caller(0, call) for call in calls), *(Caller(0) for _ in range(submits))]
        run(budget_of(1, 100_000), callers)
        moments.append([caller.began for caller in callers])
    assert moments[0] == moments[1]


def test_the_poll_that_is_due_for_longest_goes_first_whenever_it_comes():
    budget = budget_of(1, 100)
    budget.turn(Call.STATUS, 0.0).ask(0.0)
    late, early = budget.turn(Call.STATUS, 20.0), budget.turn(Call.STATUS, 10.0)
    assert late.ask(30.0) == 60
    assert early.ask(31.0) == 60
    assert late.ask(31.0) == 120


def test_a_place_that_is_given_up_goes_to_the_next():
    leaving, staying = Caller(0, max_wait=30), Caller(1)
    run(budget_of(1, 100), [Caller(0), leaving, staying])
    assert leaving.began is None
    assert staying.began == 120  # as it was told, before the other left
    budget = budget_of(1, 100)
    run(budget, [Caller(0)])
    first, second = budget.turn(Call.ERASE, 0.0), budget.turn(Call.ERASE, 0.0)
    assert (first.ask(0.0), second.ask(0.0)) == (60, 120)
    first.leave()
    first.leave()
    assert second.ask(30.0) == 30


def test_a_sleeper_at_the_front_does_not_keep_others_from_their_own_turns():
    budget = budget_of(2, 100)
    run(budget, [Caller(0), Caller(0)])
    first, second = budget.turn(Call.ERASE, 1.0), budget.turn(Call.ERASE, 2.0)
    assert (first.ask(1.0), second.ask(2.0)) == (59, 58)
    assert second.ask(60.0) == 0
    assert first.ask(61.0) == 0


def test_a_call_that_must_be_made_again_gets_its_old_place():
    budget = budget_of(1, 100)
    first, second = budget.turn(Call.STATUS, 0.0), budget.turn(Call.STATUS, 0.0)
    assert (first.ask(0.0), second.ask(0.0)) == (0, 60)
    first.end(0.0)
    assert first.ask(1.0) == 59
    assert second.ask(1.0) == 119


@given(limits, st.lists(st.sampled_from(Call), max_size=20), st.integers(0, 8000), st.sampled_from(Call))
def test_who_asks_beforehand_is_told_what_a_caller_is_told_then(per_window, waiting, later, asking):
    budget = budget_of(*per_window)
    for call in waiting:
        turn = budget.turn(call, 0.0)
        if turn.ask(0.0) == 0:
            turn.end(0.0)
    told = budget.seconds_until_turn(float(later), asking)
    assert told == budget.seconds_until_turn(float(later), asking)
    assert max(budget.turn(asking, float(later)).ask(float(later)), 0.0) == told


# --- Throttle answers -------------------------------------------------------------------------------------------


@given(limits, st.lists(st.tuples(gaps, st.none() | st.integers(1, 4000)), min_size=1, max_size=40))
@settings(max_examples=200)
def test_after_a_closing_windows_hold_and_turns_come_in_order_and_not_before_its_end(per_window, events):
    budget = budget_of(*per_window)
    now, closed_until, callers = 0.0, -math.inf, []
    for gap, closing in events:
        now += gap
        if closing is not None:
            budget.close(now, closing)
            closed_until = max(closed_until, now + closing)
        callers.append(Caller(now))
        run(budget, callers[-1:])
        assert callers[-1].began >= max(now, closed_until)
        now = callers[-1].began
    turns = [caller.began for caller in callers]
    assert turns == sorted(turns)
    assert most_in_any_window(turns, MINUTE) <= per_window[0]
    assert most_in_any_window(turns, HOUR) <= per_window[1]


def test_a_later_shorter_closing_does_not_open_earlier():
    budget = budget_of(60, 1800)
    budget.close(0.0, 100)
    budget.close(10.0, 5)
    for call in Call:
        turn = budget.turn(call, 20.0)
        assert (turn.ask(20.0), turn.ask(100.0)) == (80, 0)


def test_after_a_closing_polls_begin_one_after_the_other():
    budget = budget_of(60, 1800)
    budget.close(0.0, 100)
    assert [budget.turn(Call.STATUS, 20.0).ask(20.0) for _ in range(3)] == [80, 84, 88]


# --- Polls that find nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_minute", "per_hour"), [(60, 1800), (10, 1800), (30, 600), (60, 100_000)])
def test_polls_that_find_their_erasures_open_use_half_of_the_budget(per_minute, per_hour):
    budget = budget_of(per_minute, per_hour)
    now, polls = 0.0, []
    while now < 4 * HOUR:
        turn = budget.turn(Call.STATUS, now)
        if seconds := turn.ask(now):
            turn.leave()
            now += seconds
            continue
        turn.end(now)
        budget.slow_polls(now)
        polls.append(now)
    assert most_in_any_window(polls[:300], MINUTE) <= per_minute
    most = 4 * HOUR / (2 * budget.seconds_per_call)
    assert most <= len(polls) <= most + per_minute / 2 + 1
    assert sum(moment < 1 for moment in polls) == per_minute // 2 + 1


def test_polls_that_find_an_end_are_not_held_back():
    callers = [Caller(0, Call.STATUS) for _ in range(60)]
    run(budget_of(60, 1800), callers)
    assert {caller.began for caller in callers} == {0}


def test_submits_are_not_held_back_by_polls_that_find_nothing():
    budget = budget_of(60, 1800)
    for _ in range(50):
        budget.slow_polls(0.0)
    assert budget.turn(Call.STATUS, 0.0).ask(0.0) > 60
    assert budget.turn(Call.ERASE, 0.0).ask(0.0) == 0


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
