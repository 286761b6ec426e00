"""A call always ends, and whoever no longer waits leaves the queue, however a conversation ends."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing_kore import WALL_START, Clock, by_hand, http, pacing, status_of

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.async_client import AsyncKoreClient
from airflow_provider_kore.api.budget import Turn
from airflow_provider_kore.api.calls import fetch_status, submit_erasure
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.conversation import Ask, Leave, Pause
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.exchange import NoAnswer, Request
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.pacing import Pacing, PollSchedule
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.turn_keeper import BUDGET_THREADS, TurnKeeper
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch
from airflow_provider_kore.exceptions import KoreError, KoreThrottledError

ACCOUNT = KoreAccount("https://platform.kore.ai", "cs-1", client_secret="a secret of thirty-two characters")
REQUEST = ErasureRequest(("u-1",), ErasureScope(("st-1",), all_bots=False))
DONE = status_of("eud-1", "SUCCESS")
THROTTLE = http(429, None, "40")


class Budget(LocalBudget):
    """
    A local budget of one call a minute, whose methods can block or break off at a moment that a test chooses.

    :ivar stops: what happens at a moment, by its name, such as ``before ask``.
    """

    def __init__(self, clock, does_io=False, per_minute=1, per_hour=1000):
        super().__init__(per_minute, per_hour, clock.monotonic)
        self.does_io = does_io
        self.stops = {}

    def _stop(self, name):
        self.stops.pop(name, lambda: None)()

    def ask(self, turn):
        self._stop("before ask")
        wait = super().ask(turn)
        self._stop("after ask")
        return wait

    def end(self, turn):
        self._stop("before end")
        super().end(turn)
        self._stop("after end")

    @property
    def waiting(self):
        return len(self._submits) + len(self._polls)

    @property
    def under_way(self):
        return len(self._under_way)

    @property
    def is_idle(self):
        return not self.waiting and not self.under_way

    def spend(self):
        """Use the one call of this minute."""
        turn = Turn(Call.STATUS, self._clock())
        assert self.ask(turn).seconds == 0
        self.end(turn)


@pytest.fixture
def clock():
    return Clock()


def sync_run(budget, clock, conversation, exchange, sleep):
    client = KoreClient(ACCOUNT, sleep=sleep)
    client.pacing = Pacing(budget, clock.monotonic)
    client._exchange = exchange
    with closing(client):
        return client.run(conversation)


def async_client(budget, clock, exchange, sleep):
    """A client that nobody closes, so that its threads end when a test waits for them."""
    client = AsyncKoreClient(ACCOUNT, None, None, sleep=sleep)
    client.pacing = Pacing(budget, clock.monotonic)
    client._exchange = exchange
    return client


def async_run(budget, clock, conversation, exchange, sleep):
    async def later(call, argument):
        await asyncio.sleep(0)
        return call(argument)

    client = async_client(budget, clock, partial(later, exchange), partial(later, sleep))
    try:
        return asyncio.run(client.run(conversation))
    finally:
        client._threads.shutdown()  # as Python does at its end


@pytest.fixture(params=["sync", "async", "async and a budget that does I/O"])
def ends(request, clock):
    """Run conversations with one client, each to its end, which must leave nothing behind."""
    run = sync_run if request.param == "sync" else async_run
    budget = Budget(clock, does_io="I/O" in request.param)

    def sleep(seconds):
        clock.now += seconds

    def run_to_its_end(conversation, exchange=lambda request: DONE, sleep=sleep):
        try:
            return run(budget, clock, conversation, exchange, sleep)
        finally:
            assert budget.is_idle

    run_to_its_end.is_sync = request.param == "sync"
    run_to_its_end.budget = budget
    run_to_its_end.pacing = Pacing(budget, clock.monotonic)
    return run_to_its_end


def raising(error):
    def call(_):
        raise error

    return call


FAULTS = [RuntimeError("a bug"), KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError()]


def test_a_conversation_that_is_done_leaves_nothing_behind(ends, clock):
    for _ in range(3):
        ends(fetch_status("eud-1", ends.pacing))
    assert clock.now == 1120


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_call_whose_exchange_breaks_off_ends_and_counts(ends, fault):
    with pytest.raises(type(fault)):
        ends(fetch_status("eud-1", ends.pacing), exchange=raising(fault))
    assert ends.budget.seconds_until_turn(Call.STATUS) == 60


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_wait_that_breaks_off_leaves_the_queue(ends, fault):
    ends.budget.spend()
    with pytest.raises(type(fault)):
        ends(fetch_status("eud-1", ends.pacing), sleep=raising(fault))
    assert ends.budget.seconds_until_turn(Call.STATUS) == 60


@pytest.mark.parametrize("moment", ["before ask", "after ask"])
@pytest.mark.parametrize("spent", [False, True])
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_question_that_breaks_off_neither_waits_nor_calls(ends, moment, spent, fault):
    if spent:
        ends.budget.spend()
    ends.budget.stops[moment] = partial(raising(fault), None)
    with pytest.raises(type(fault)):
        ends(fetch_status("eud-1", ends.pacing))
    assert ends.budget.seconds_until_turn(Call.STATUS) == (60 if spent or moment == "after ask" else 0)


def test_a_question_that_breaks_off_when_the_turn_has_come_ends_the_call(ends, clock):
    ends.budget.spend()

    def sleep(seconds):
        clock.now += 60
        ends.budget.stops["after ask"] = partial(raising(KeyboardInterrupt()), None)

    with pytest.raises(KeyboardInterrupt):
        ends(fetch_status("eud-1", ends.pacing), sleep=sleep)
    assert ends.budget.seconds_until_turn(Call.STATUS) == 60


def test_an_ending_that_breaks_off_is_made_again(ends):
    ends.budget.stops["before end"] = partial(raising(KeyboardInterrupt()), None)
    with pytest.raises(KeyboardInterrupt):
        ends(fetch_status("eud-1", ends.pacing))
    assert ends.budget.seconds_until_turn(Call.STATUS) == 60


def test_an_accepted_erasure_is_not_lost_if_the_budget_fails_after_it(ends, caplog):
    ends.budget.stops["before end"] = partial(raising(ValueError("eud-1")), None)
    if not ends.is_sync:
        assert ends(fetch_status("eud-1", ends.pacing)).request_id == "eud-1"
        return
    accepted = http(200, {"requestId": "eud-1"})
    assert ends(submit_erasure(REQUEST, ends.pacing), exchange=lambda _: accepted) == "eud-1"
    assert "(ValueError)" in caplog.text


@pytest.mark.parametrize("moment", ["before end", "after end"])
def test_an_acceptance_is_recorded_before_the_budget_hears_of_it_and_even_if_the_process_dies_then(clock, moment):
    budget, recorded = Budget(clock), []
    budget.stops[moment] = partial(raising(SystemExit(1)), None)
    client = KoreClient(ACCOUNT)
    client.pacing = Pacing(budget, clock.monotonic)
    client._exchange = lambda _: http(200, {"requestId": "eud-1"})
    with closing(client), pytest.raises(SystemExit):
        client.run(submit_erasure(REQUEST, client.pacing), recorded.append)
    assert recorded == ["eud-1"]


def test_who_has_no_turn_before_the_deadline_leaves_the_queue(ends, clock):
    ends.budget.spend()
    with pytest.raises(KoreThrottledError):
        ends(fetch_status("eud-1", ends.pacing, clock.now + 30))


def test_a_watch_that_gives_up_a_turn_leaves_the_queue_before_its_next_pause(ends, clock):
    ends.budget.close(7200)
    waiting = []

    def sleep(seconds):
        waiting.append(ends.budget.waiting)
        clock.now += seconds

    watch = ErasureWatch(
        [AcceptedErasure("eud-1", 1)], ends.pacing, fingerprint_key=b"k", started=WALL_START, clock=clock.wall
    )
    ends(watch.wait(PollSchedule(), WALL_START + 600), sleep=sleep)
    assert len(waiting) > 10
    assert set(waiting) == {0}


# --- tasks that are cancelled ---------------------------------------------------------------------------------------


class Gate:
    """Where a thread stops until a test lets it pass; an event loop can wait for it to come."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.opened = threading.Event()

    def __call__(self):
        self.loop.call_soon_threadsafe(self.reached.set)
        assert self.opened.wait(20), "the test forgot the gate"


def never(_):
    return asyncio.Event().wait()


async def at_once(answer, _):
    return answer


@pytest.mark.parametrize("moment", ["before ask", "after ask", "before end", "after end"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("spent", [False, True], ids=["a free turn", "a turn to wait for"])
def test_a_task_that_is_cancelled_while_a_thread_speaks_with_the_budget_ends_at_once_and_its_call_then(
    clock, moment, times, spent
):
    budget = Budget(clock, does_io=True)
    if spent:
        budget.spend()
        clock.now += 30 if "ask" in moment else 60

    async def cancel():
        gate = budget.stops[moment] = Gate()
        client = async_client(budget, clock, partial(at_once, DONE), never)
        task = asyncio.create_task(client.run(fetch_status("eud-1", client.pacing)))
        await gate.reached.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        # The task ends although its thread does not.
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        gate.opened.set()
        return client

    asyncio.run(cancel())._threads.shutdown()
    assert budget.is_idle
    waits = spent and "ask" in moment
    assert budget.seconds_until_turn(Call.STATUS) == (30 if waits else 60)


def test_a_task_that_is_cancelled_before_a_thread_has_time_for_it_asks_for_nothing(clock):
    budget = Budget(clock, does_io=True)

    async def cancel():
        gate = Gate()
        client = async_client(budget, clock, never, never)
        busy = [client._threads.submit(gate) for _ in range(BUDGET_THREADS)]
        await gate.reached.wait()
        task = asyncio.create_task(client.run(fetch_status("eud-1", client.pacing)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        gate.opened.set()
        await asyncio.gather(*map(asyncio.wrap_future, busy))
        client._threads.shutdown()

    asyncio.run(cancel())
    assert budget.is_idle
    assert budget.seconds_until_turn(Call.STATUS) == 0


def test_a_budget_that_is_silent_keeps_nobody_else_from_the_threads_of_the_loop(clock):
    budget = Budget(clock, does_io=True)

    async def ask_for_something_else():
        gate = budget.stops["before ask"] = Gate()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        client = async_client(budget, clock, partial(at_once, DONE), never)
        task = asyncio.create_task(client.run(fetch_status("eud-1", client.pacing)))
        await gate.reached.wait()
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "answered"), 10) == "answered"
        gate.opened.set()
        await task
        client._threads.shutdown()

    asyncio.run(ask_for_something_else())
    assert budget.is_idle


@pytest.mark.parametrize("does_io", [False, True])
@pytest.mark.parametrize(("spent", "seconds"), [(False, 60), (True, 60)], ids=["in its exchange", "in the queue"])
def test_a_task_that_is_cancelled_ends_its_call_or_leaves_the_queue(clock, does_io, spent, seconds):
    budget = Budget(clock, does_io)
    if spent:
        budget.spend()

    async def cancel():
        reached = asyncio.Event()

        async def stay(_):
            reached.set()
            await asyncio.Event().wait()

        client = async_client(budget, clock, stay, stay)
        task = asyncio.create_task(client.run(fetch_status("eud-1", client.pacing)))
        await reached.wait()
        assert (budget.waiting, budget.under_way) == ((1, 0) if spent else (0, 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return client

    asyncio.run(cancel())._threads.shutdown()
    assert budget.is_idle
    assert budget.seconds_until_turn(Call.STATUS) == seconds


@pytest.mark.parametrize("does_io", [False, True])
@pytest.mark.parametrize("loop_has_ended", [False, True])
@pytest.mark.parametrize("spent", [False, True], ids=["in its exchange", "in the queue"])
def test_a_coroutine_that_is_closed_from_outside_ends_its_call_or_leaves_the_queue(
    clock, does_io, loop_has_ended, spent
):
    budget = Budget(clock, does_io)
    if spent:
        budget.spend()

    async def begin():
        reached = asyncio.Event()

        async def stay(_):
            reached.set()
            await Suspended()

        client = async_client(budget, clock, stay, stay)
        running = client.run(fetch_status("eud-1", client.pacing))
        step = running.send(None)
        while not reached.is_set():
            step._asyncio_future_blocking = False
            await step
            step = running.send(None)
        assert not budget.is_idle
        if not loop_has_ended:
            running.close()
        return client, running

    client, running = asyncio.run(begin())
    running.close()
    client._threads.shutdown()
    assert budget.is_idle


class Suspended:
    """Suspend a coroutine outside of any event loop."""

    def __await__(self):
        yield self


# --- whatever happens -----------------------------------------------------------------------------------------------

LOST, REFUSED = NoAnswer(received=True, reason="ReadTimeout"), NoAnswer(received=False, reason="ConnectError")
ANSWERS = [
    DONE,
    status_of("eud-1", "queued"),
    THROTTLE,
    LOST,
    REFUSED,
    http(500),
    http(401),
    http(200, {"requestId": "e"}),
]
events = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from([*ANSWERS, *ANSWERS, "break off", "close"])), max_size=150
)


def conversations(share, clock):
    """Some of each kind: that submit, poll and watch, with and without a time at which they give up."""
    for give_up_at in (None, clock.now + 100):
        yield submit_erasure(REQUEST, share, give_up_at)
        yield fetch_status("eud-1", share, give_up_at)
    for number in range(4):
        requests = [AcceptedErasure(f"eud-{number}-{each}", 1) for each in range(number + 1)]
        watch = ErasureWatch(requests, share, fingerprint_key=b"k", started=clock.wall(), clock=clock.wall)
        yield watch.wait(PollSchedule(), clock.wall() + 300 * number)


@given(events, st.integers(1, 4), st.integers(4, 20))
@settings(max_examples=200, deadline=None)
def test_under_way_are_the_calls_in_exchange_and_in_the_queue_those_that_pause(happening, per_minute, per_hour):
    clock = Clock()
    share = pacing(clock, per_minute, per_hour)
    budget = share.budget
    running = [by_hand(conversation, clock) for conversation in conversations(share, clock)]
    steps = dict.fromkeys(range(len(running)))
    for who, what in happening:
        if who not in steps:
            continue
        step = steps[who]
        try:
            if what == "close":
                running[who].close()
                del steps[who]
            elif what == "break off":
                running[who].throw(RuntimeError())
            else:
                if isinstance(step, Pause):
                    clock.now += step.seconds
                steps[who] = running[who].send(what if isinstance(step, Request) else None)
        except (StopIteration, KoreError, RuntimeError):
            del steps[who]
        in_exchange = sum(isinstance(step, Request) for step in steps.values())
        pausing = sum(isinstance(step, Pause) for step in steps.values())
        assert len(budget._under_way) == in_exchange
        assert len(budget._submits) + len(budget._polls) <= pausing
    for conversation in running:
        conversation.close()
    assert (len(budget._under_way), len(budget._submits), len(budget._polls)) == (0, 0, 0)


@pytest.mark.parametrize("does_io", [False, True])
@given(
    cancelled_after=st.lists(st.none() | st.integers(0, 30), min_size=8, max_size=8),
    answers=st.lists(st.sampled_from(ANSWERS), max_size=60),
)
@settings(max_examples=25, deadline=None)
def test_tasks_that_are_cancelled_at_any_time_leave_nothing_behind(does_io, cancelled_after, answers):
    clock = Clock()
    budget = Budget(clock, does_io, per_minute=2, per_hour=20)
    replies = iter(answers)

    async def run():
        async def exchange(request):
            await asyncio.sleep(0)
            return next(replies, DONE)

        async def sleep(seconds):
            await asyncio.sleep(0)
            clock.now += seconds

        client = async_client(budget, clock, exchange, sleep)

        async def run_and_cancel(conversation, ticks):
            task = asyncio.create_task(client.run(conversation))
            if ticks is not None:
                for _ in range(ticks):
                    await asyncio.sleep(0)
                task.cancel()
            with suppress(KoreError, asyncio.CancelledError, ValueError):
                await task

        await asyncio.gather(*map(run_and_cancel, conversations(client.pacing, clock), cancelled_after))
        return client

    asyncio.run(run())._threads.shutdown()
    assert budget.is_idle


# --- the keeper by itself -------------------------------------------------------------------------------------------


def test_a_closed_keeper_asks_for_nothing(clock):
    budget = Budget(clock)
    keeper = TurnKeeper(Pacing(budget, clock.monotonic))
    keeper.close()
    assert keeper.answer(Ask(Turn(Call.STATUS, clock.now))) is None
    assert budget.is_idle


def test_what_is_released_twice_counts_once(clock):
    budget = Budget(clock, per_minute=2)
    with TurnKeeper(Pacing(budget, clock.monotonic)) as keeper:
        keeper.answer(Ask(Turn(Call.STATUS, clock.now)))
        keeper.release()
        keeper.release()
        keeper.answer(Leave())
    assert budget.export_usage() == [(0, 1)]
