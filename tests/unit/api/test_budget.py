"""What every budget of calls does: one that a process keeps, and one that three processes have in Redis."""

import heapq
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timed_budget import TimedBudget, TimedRedisBudget, local_budget_of, real_redis

from airflow_provider_kore.api.budget import HOUR, MINUTE, SUBMITS_PER_POLL
from airflow_provider_kore.api.errors import Call

limits = st.tuples(st.integers(1, 5), st.integers(1, 12))
gaps = st.sampled_from([0, 0, 0, 1, 7, 30, 59, 60, 61, 600, 3599, 3600, 3601]) | st.integers(0, 4000)
"""Whole seconds, so that sums are exact."""


@pytest.fixture(params=["local", "redis"], scope="module")
def budget_of(request):
    if request.param == "local":
        yield local_budget_of
    else:
        with real_redis() as server:
            yield lambda per_minute, per_hour: TimedRedisBudget(server, per_minute, per_hour)


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


@given(limits, st.lists(gaps, min_size=1, max_size=25), st.sampled_from(Call))
def test_in_one_line_first_come_is_first_served_and_nobody_waits_longer_than_necessary(
    budget_of, per_window, arrivals, call
):
    callers = arriving(arrivals, call=call)
    run(budget_of(*per_window), callers)
    turns = []
    for caller in callers:
        turns.append(earliest_turn(turns, caller.comes, *per_window))
    assert [caller.began for caller in callers] == turns


travels = st.sampled_from([0, 0.25, 1, 30])
whoever = st.lists(
    st.tuples(gaps, st.sampled_from(Call), travels, travels, st.just(math.inf) | st.integers(0, 8000)), max_size=25
)


@given(limits, whoever)
def test_a_strict_window_never_sees_too_many_calls_arrive_however_long_they_travel_and_whoever_leaves(
    budget_of, per_window, described
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


def test_two_calls_a_minute_apart_that_travel_at_other_speeds_do_not_arrive_in_one_window(budget_of):
    slow, quick = Caller(0, there=2), Caller(0)
    run(budget_of(1, 100), [slow, quick])
    assert (slow.arrives, quick.arrives) == (2, 62)


def test_the_windows_are_half_open(budget_of):
    callers = [Caller(0) for _ in range(4)] + [Caller(120)]
    run(budget_of(2, 100), callers)
    assert [caller.began for caller in callers] == [0, 0, 60, 60, 120]


def test_a_spent_hour_makes_wait_with_the_minute_free(budget_of):
    callers = [Caller(600.0 * number) for number in range(4)]
    run(budget_of(60, 3), callers)
    assert [caller.began - caller.comes for caller in callers] == [0, 0, 0, 1800]


def test_threads_that_ask_at_once_share_the_windows(budget_of):
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


# --- The lines --------------------------------------------------------------------------------------------------


def test_submits_go_before_polls_but_after_some_a_poll_goes(budget_of):
    polls = [Caller(0, Call.STATUS) for _ in range(3)]
    submits = [Caller(0) for _ in range(10)]
    run(budget_of(1, 100_000), [*polls, *submits])
    order = sorted([*polls, *submits], key=lambda caller: caller.began)
    assert SUBMITS_PER_POLL == 4
    assert "".join("S" if caller.call is Call.ERASE else "p" for caller in order) == "pSSSSpSSSSpSS"


@given(st.integers(1, 3), st.integers(0, 40), st.integers(1, 5))
def test_a_poll_never_starves_behind_submits(budget_of, per_minute, submits, polls):
    callers = [*(Caller(0) for _ in range(submits)), *(Caller(0, Call.STATUS) for _ in range(polls))]
    run(budget_of(per_minute, 100_000), callers)
    for number, poll in enumerate(callers[submits:], 1):
        before = sum(caller.began < poll.began for caller in callers[:submits])
        assert before <= number * (SUBMITS_PER_POLL + 1)


READING = [call for call in Call if call.only_reads]


@given(st.lists(st.sampled_from(READING), min_size=1, max_size=8), st.integers(0, 8))
def test_all_calls_that_read_share_one_line(budget_of, reading, submits):
    moments = []
    for calls in (reading, [Call.STATUS] * len(reading)):
        callers = [*(Caller(0, call) for call in calls), *(Caller(0) for _ in range(submits))]
        run(budget_of(1, 100_000), callers)
        moments.append([caller.began for caller in callers])
    assert moments[0] == moments[1]


def test_the_poll_that_is_due_for_longest_goes_first_whenever_it_comes(budget_of):
    budget = budget_of(1, 100)
    budget.turn(Call.STATUS, 0.0).ask(0.0)
    late, early = budget.turn(Call.STATUS, 20.0), budget.turn(Call.STATUS, 10.0)
    assert late.ask(30.0) == 60
    assert early.ask(31.0) == 60
    assert late.ask(31.0) == 120


def test_a_place_that_is_given_up_goes_to_the_next(budget_of):
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


def test_a_sleeper_at_the_front_does_not_keep_others_from_their_own_turns(budget_of):
    budget = budget_of(2, 100)
    run(budget, [Caller(0), Caller(0)])
    first, second = budget.turn(Call.ERASE, 1.0), budget.turn(Call.ERASE, 2.0)
    assert (first.ask(1.0), second.ask(2.0)) == (59, 58)
    assert second.ask(60.0) == 0
    assert first.ask(61.0) == 0


def test_a_call_that_must_be_made_again_gets_its_old_place(budget_of):
    budget = budget_of(1, 100)
    first, second = budget.turn(Call.STATUS, 0.0), budget.turn(Call.STATUS, 0.0)
    assert (first.ask(0.0), second.ask(0.0)) == (0, 60)
    first.end(0.0)
    assert first.ask(1.0) == 59
    assert second.ask(1.0) == 119


@given(limits, st.lists(st.sampled_from(Call), max_size=20), st.integers(0, 8000), st.sampled_from(Call))
def test_who_asks_beforehand_is_told_what_a_caller_is_told_then(budget_of, per_window, waiting, later, asking):
    budget = budget_of(*per_window)
    for call in waiting:
        turn = budget.turn(call, 0.0)
        if turn.ask(0.0) == 0:
            turn.end(0.0)
    told = budget.seconds_until_turn(float(later), asking)
    assert told == budget.seconds_until_turn(float(later), asking)
    assert max(budget.turn(asking, float(later)).ask(float(later)), 0.0) == told


# --- Throttle answers -------------------------------------------------------------------------------------------


@given(limits, st.lists(st.tuples(gaps, st.none() | st.integers(1, 4000)), min_size=1, max_size=25))
def test_after_a_closing_windows_hold_and_turns_come_in_order_and_not_before_its_end(budget_of, per_window, events):
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


def test_a_later_shorter_closing_does_not_open_earlier(budget_of):
    budget = budget_of(60, 1800)
    budget.close(0.0, 100)
    budget.close(10.0, 5)
    turns = [budget.turn(call, 20.0) for call in (Call.ERASE, Call.STATUS)]
    assert [turn.ask(20.0) for turn in turns] == [80, 80]
    assert [turn.ask(100.0) for turn in turns] == [0, 0]


def test_after_a_closing_polls_begin_one_after_the_other(budget_of):
    budget = budget_of(60, 1800)
    budget.close(0.0, 100)
    assert [budget.turn(Call.STATUS, 20.0).ask(20.0) for _ in range(3)] == [80, 84, 88]


# --- Polls that find nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_minute", "per_hour"), [(60, 1800), (10, 1800), (30, 600), (60, 100_000)])
def test_polls_that_find_their_erasures_open_use_half_of_the_budget(budget_of, per_minute, per_hour):
    budget = budget_of(per_minute, per_hour)
    now, polls, seconds_per_call = 0.0, [], max(MINUTE / per_minute, HOUR / per_hour)
    while now < budget.longest_run:
        turn = budget.turn(Call.STATUS, now)
        if seconds := turn.ask(now):
            turn.leave()
            now += seconds
            continue
        turn.end(now)
        budget.slow_polls(now)
        polls.append(now)
    assert most_in_any_window(polls[:300], MINUTE) <= per_minute
    most = budget.longest_run / (2 * seconds_per_call)
    assert most <= len(polls) <= most + per_minute / 2 + 1
    assert sum(moment < 1 for moment in polls) == per_minute // 2 + 1


def test_polls_that_find_an_end_are_not_held_back(budget_of):
    callers = [Caller(0, Call.STATUS) for _ in range(60)]
    run(budget_of(60, 1800), callers)
    assert {caller.began for caller in callers} == {0}


def test_submits_are_not_held_back_by_polls_that_find_nothing(budget_of):
    budget = budget_of(60, 1800)
    for _ in range(50):
        budget.slow_polls(0.0)
    assert budget.turn(Call.STATUS, 0.0).ask(0.0) > 60
    assert budget.turn(Call.ERASE, 0.0).ask(0.0) == 0
