"""What a budget in Redis does when Redis, a process or a clock fails; what every budget does is in test_budget."""

import json
import logging
import os

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from test_budget import most_in_any_window
from timed_budget import TimedRedisBudget, fake_redis, real_redis

from airflow_provider_kore.api.budget import HOUR, MINUTE, Reason, Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.redis_budget import PROCESSES, RedisBudget
from airflow_provider_kore.exceptions import KoreConfigurationError

GONE = redis.ConnectionError("Error 111 connecting to a-host:6379. Connection refused.")
CLOSED = MINUTE * 7 / 6
"""How long an account stays closed whose calls may be forgotten: longer than the window, since calls travel."""
LEASE = 3 * 30 + 30


@pytest.fixture(params=["redis", "valkey"])
def timed(request):
    """Makes a budget of three processes in a fake server."""
    return lambda per_minute=6, per_hour=1800, processes=3: TimedRedisBudget(
        fake_redis(request.param), per_minute, per_hour, processes
    )


def call(timed, process, now, call=Call.ERASE):
    """Make a call that takes no time, if there is one; return how long it would have to wait."""
    budget, turn = timed.budgets[process], Turn(call, now)
    wait = timed.at(now, budget).ask(turn)
    budget.leave(turn) if wait.seconds else budget.end(turn)
    return wait


def calls_until_wait(timed, process, now):
    """Make calls until one must wait; return how many."""
    made = 0
    while not call(timed, process, now).seconds:
        made += 1
    return made


# --- What is shown -----------------------------------------------------------------------------------------------


def shown(timed, now):
    """Show the state as a process that does nothing else, and require that nothing in Redis has changed."""
    client = timed.server.client
    before = {key: client.dump(key) for key in client.keys("*")}
    state = timed.at(now, timed.make(timed.clock.monotonic)).show()
    assert {key: client.dump(key) for key in client.keys("*")} == before
    return state


def test_calls_and_who_waits_are_shown_over_all_processes(timed):
    budget = timed(per_minute=3)
    assert not call(budget, 0, 0.0).seconds
    assert not call(budget, 1, 30.0).seconds
    budget.budgets[2].ask(Turn(Call.ERASE, 40.0))  # its call is under way
    for process, kind in ((0, Call.ERASE), (1, Call.STATUS), (2, Call.STATUS)):
        assert budget.at(41.0, budget.budgets[process]).ask(Turn(kind, 41.0)).seconds
    state = shown(budget, 42.0)
    assert (state.used, state.limits, state.under_way) == ((3, 3), (3, 1800), 1)
    assert (state.submits, state.polls, state.processes) == (1, 2, 3)
    assert state.closed == 0
    assert shown(budget, 61.0).used == (2, 3)


def test_who_has_died_is_not_shown(timed):
    budget = timed(per_minute=1)
    budget.budgets[0].ask(Turn(Call.ERASE, 0.0))
    budget.budgets[1].ask(Turn(Call.ERASE, 0.0))
    state = shown(budget, LEASE + 30.0)
    assert (state.used, state.under_way, state.submits, state.processes) == ((1, 1), 0, 0, 0)
    assert shown(budget, LEASE + HOUR).used == (0, 0)


def test_a_closing_is_shown_and_none_begins_by_that(timed):
    budget = timed()
    budget.close(0.0, 100)
    state = shown(budget, 40.0)
    assert (state.closed, state.why_closed, state.closes_with_next_call) == (60, "throttled", False)
    budget.server.client.flushall()
    state = shown(budget, 40.0)
    assert (state.closed, state.why_closed, state.closes_with_next_call) == (pytest.approx(CLOSED), "new", True)
    assert not budget.server.client.keys()


# --- Who dies ----------------------------------------------------------------------------------------------------


def test_who_dies_with_a_call_under_way_takes_it_along_after_the_lease(timed):
    budget = timed(per_minute=1)
    budget.budgets[0].ask(Turn(Call.ERASE, 0.0))
    assert budget.at(10.0, budget.budgets[1]).seconds_until_turn(Call.ERASE) == 60
    assert budget.at(LEASE + 1.0, budget.budgets[1]).seconds_until_turn(Call.ERASE) == 59
    assert call(budget, 1, LEASE + 60.0).seconds == 0


def test_who_dies_in_the_queue_loses_all_its_positions_once_one_is_overdue(timed):
    budget = timed(per_minute=1)
    assert call(budget, 0, 0.0).seconds == 0
    for number in range(5):
        budget.budgets[0].ask(Turn(Call.ERASE, 1.0 + number))
    living = Turn(Call.ERASE, 10.0)
    assert budget.at(10.0, budget.budgets[1]).ask(living).ahead == 5
    assert budget.at(64.0, budget.budgets[1]).ask(living).ahead == 5
    assert budget.at(66.0, budget.budgets[1]).ask(living).seconds == 0


def test_a_process_that_lives_gets_its_positions_back(timed):
    budget = timed(per_minute=1)
    assert call(budget, 0, 0.0).seconds == 0
    slow, quick = Turn(Call.ERASE, 1.0), Turn(Call.ERASE, 2.0)
    for process, turn in ((0, slow), (1, quick)):
        budget.at(3.0, budget.budgets[process]).ask(turn)
    call(budget, 2, 59.0)
    call(budget, 1, 59.5)
    budget.close(59.5, 60)
    assert budget.at(70.0, budget.budgets[1]).ask(quick).ahead == 0
    assert budget.at(71.0, budget.budgets[0]).ask(slow).ahead == 0
    assert budget.at(72.0, budget.budgets[1]).ask(quick).ahead == 1


# --- What Redis forgets ------------------------------------------------------------------------------------------


def test_a_new_redis_starts_closed_for_longer_than_the_window(timed):
    budget = timed()
    budget.server.client.flushall()
    assert (call(budget, 0, 0.0).seconds, call(budget, 0, 0.0).reason) == (CLOSED, Reason.BUDGET_NEW)
    assert call(budget, 0, CLOSED).seconds == 0


def forget_all(client):
    client.flushall()


def forget_the_calls(client):
    client.delete(*client.keys("*:calls"))


def forget_the_state(client):
    client.delete(*client.keys("*:state"))


def become_another_server(client):
    (state,) = client.keys("*:state")
    client.hset(state, "run", "f" * 40)


@pytest.mark.parametrize("forget", [forget_all, forget_the_calls, forget_the_state, become_another_server])
def test_what_redis_has_forgotten_it_hears_also_from_a_process_that_did_not_call(timed, forget):
    budget = timed(per_minute=60, per_hour=10)
    assert sum(calls_until_wait(budget, 0, 600.0 * number) for number in range(3)) == 10
    assert call(budget, 1, 1200.0).seconds == 2400
    forget(budget.server.client)
    assert call(budget, 1, 1300.0).seconds == 2300
    assert call(budget, 2, 1400.0).seconds == 2200
    assert call(budget, 0, 1500.0).seconds == 2100
    assert calls_until_wait(budget, 1, 3600.0) == 10


def test_a_call_that_is_under_way_while_redis_forgets_still_counts(timed):
    budget = timed(per_minute=1)
    turn = Turn(Call.ERASE, 0.0)
    assert budget.at(0.0, budget.budgets[0]).ask(turn).seconds == 0
    budget.server.client.flushall()
    call(budget, 0, 1.0)
    assert call(budget, 1, 100.0).seconds == 60
    budget.at(110.0, budget.budgets[0]).end(turn)
    assert call(budget, 1, 111.0).seconds == 59


def test_a_clock_that_jumps_back_makes_no_wait_longer_and_allows_no_call_more(timed):
    budget = timed(per_minute=2)
    assert calls_until_wait(budget, 0, 0.0) == 2
    budget.server.ahead = -5000.0
    assert call(budget, 1, 10.0).seconds == 60  # the ten seconds are lost with the clock
    assert call(budget, 1, 40.0).seconds == 30
    assert calls_until_wait(budget, 2, 70.0) == 2


def test_a_clock_that_is_set_back_while_redis_forgets_opens_nothing_early(timed):
    budget = timed(per_minute=2)
    assert calls_until_wait(budget, 0, 0.0) == 2
    budget.server.client.flushall()
    budget.server.ahead = -CLOSED
    newcomer = RedisBudget(budget.server, budget.account, clock=budget.clock.monotonic)
    assert budget.at(1.0, newcomer).seconds_until_turn(Call.ERASE) == CLOSED  # by a clock that is CLOSED behind
    assert call(budget, 0, 1.0).seconds == CLOSED
    assert budget.at(1.0, newcomer).seconds_until_turn(Call.ERASE) == CLOSED


# --- Redis away --------------------------------------------------------------------------------------------------

FAULTS = [
    GONE,
    redis.TimeoutError("Timeout reading from socket"),
    redis.ReadOnlyError("You can't write against a read only replica."),
    redis.BusyLoadingError("Redis is loading the dataset in memory"),
    redis.AuthenticationError("Authentication required."),
    redis.exceptions.NoPermissionError("this user has no permissions"),
    redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
    OSError("No route to host"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_without_redis_a_process_waits_for_a_window_and_then_has_its_part(timed, fault, caplog):
    budget = timed()
    for process in range(3):
        call(budget, process, 0.0)
    budget.server.fault = fault
    wait = call(budget, 0, 10.0)
    assert (wait.seconds, wait.reason) == (CLOSED, Reason.REDIS_AWAY)
    assert [calls_until_wait(budget, process, 10.0 + CLOSED) for process in range(3)] == [2, 0, 0]
    assert [calls_until_wait(budget, process, 200.0) for process in range(3)] == [2, 2, 2]
    assert budget.budgets[0].seconds_until_turn(Call.STATUS) == 60
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    assert type(fault).__name__ in errors[0].message
    assert "2 a minute and 600 an hour, its part of 3" in errors[0].message
    assert "a-host" not in caplog.text


def test_all_parts_together_keep_to_the_hour_too(timed):
    budget = timed(per_minute=60, per_hour=60)
    assert calls_until_wait(budget, 0, 0.0) == 60
    for process in (1, 2):
        call(budget, process, 0.0)
    budget.server.fault = GONE
    made = [
        now
        for now in range(10, 2 * 3600, 10)
        for process in range(3)
        for _ in range(calls_until_wait(budget, process, now))
    ]
    assert most_in_any_window([*[0] * 60, *made], HOUR) <= 60
    assert len(made) >= 60


def test_a_process_that_has_never_seen_redis_takes_a_small_part(timed):
    budget = timed(per_minute=320)
    budget.server.fault = GONE
    budget.at(0.0, new := RedisBudget(budget.server, budget.account, clock=budget.clock.monotonic))
    budget.budgets.append(new)
    assert call(budget, 3, 0.0).seconds >= CLOSED
    assert calls_until_wait(budget, 3, 200.0) <= 320 / PROCESSES


def test_a_redis_that_is_away_is_asked_now_and_then(timed):
    budget = timed()
    budget.server.fault = GONE
    before = budget.server.questions
    for now in range(60):
        call(budget, 0, float(now))
    assert budget.server.questions - before == 60 / 5


def test_redis_hears_what_was_called_without_it_and_stays_closed_for_a_minute(timed, caplog):
    budget = timed(per_minute=6, per_hour=9)
    for process in range(3):
        call(budget, process, 0.0)
    budget.server.fault = GONE
    for process in range(3):
        call(budget, process, 10.0)
    assert [calls_until_wait(budget, process, 200.0) for process in range(3)] == [2, 2, 2]
    budget.server.fault = None
    assert call(budget, 0, 210.0).seconds == CLOSED
    assert "Redis answers again" in caplog.text
    for process in (1, 2):
        call(budget, process, 211.0)
    assert call(budget, 0, 210.0 + CLOSED).seconds == 3600 - 210.0 - CLOSED


def test_a_short_outage_closes_nothing(timed):
    budget = timed()
    call(budget, 0, 0.0)
    budget.server.fault = GONE
    assert call(budget, 0, 10.0).seconds == CLOSED
    budget.server.fault = None
    assert call(budget, 0, 20.0).seconds == 0


def test_who_leaves_the_queue_without_redis_is_out_of_it_once_redis_is_back(timed):
    budget = timed(per_minute=1)
    call(budget, 0, 0.0)
    leaving = Turn(Call.ERASE, 1.0)
    budget.at(1.0, budget.budgets[0]).ask(leaving)
    budget.server.fault = GONE
    budget.at(2.0, budget.budgets[0]).leave(leaving)
    budget.server.fault = None
    call(budget, 0, 10.0)
    assert call(budget, 1, 10.0).ahead == 0


def test_a_call_that_ends_without_redis_counts_from_its_end(timed):
    budget = timed(per_minute=1)
    turn = Turn(Call.ERASE, 0.0)
    budget.at(0.0, budget.budgets[0]).ask(turn)
    budget.server.fault = GONE
    budget.at(20.0, budget.budgets[0]).end(turn)
    budget.server.fault = None
    call(budget, 0, 30.0)
    assert call(budget, 1, 30.0).seconds == 50


def test_a_throttle_answer_without_redis_closes_the_account_for_all_once_it_is_back(timed):
    budget = timed()
    call(budget, 0, 0.0)
    budget.server.fault = GONE
    budget.at(1.0, budget.budgets[0]).close(300.0)
    assert call(budget, 0, 2.0).seconds == 299
    budget.server.fault = None
    call(budget, 0, 10.0)
    assert call(budget, 1, 10.0).seconds == 291
    assert call(budget, 1, 10.0).reason is Reason.THROTTLED


def test_a_question_that_redis_comes_to_only_when_it_is_given_up_has_no_effect(timed):
    budget = timed(per_minute=1)
    call(budget, 0, -500.0)
    frozen, script = budget.budgets[0]._account, budget.budgets[0]._account._script
    asked = []
    frozen._script = lambda keys, args: asked.append((keys, args)) or (_ for _ in ()).throw(redis.TimeoutError)
    frozen._script.registered_client = budget.server
    budget.at(0.0, budget.budgets[0]).ask(Turn(Call.ERASE, 0.0))
    budget.clock.now = 30.0
    assert [script(keys=keys, args=args)[0] for keys, args in asked] == ["late"]
    assert call(budget, 1, 30.0).seconds == 0


# --- Several connections -----------------------------------------------------------------------------------------


def test_of_processes_with_other_limits_the_strictest_count_for_all_and_the_log_says_so(timed, caplog):
    budget = timed(per_minute=6)
    budget.budgets[1].narrow(2, 1000)
    call(budget, 1, 0.0)
    assert calls_until_wait(budget, 0, 0.0) == 1
    assert "2 calls a minute and 1000 an hour" in caplog.text
    assert calls_until_wait(budget, 0, HOUR) == 6  # the strict one has not been seen for an hour


def test_nothing_in_redis_names_the_account(timed):
    budget = timed()
    call(budget, 0, 0.0)
    budget.budgets[0].ask(Turn(Call.STATUS, 0.0))
    client = budget.server.client
    keys = client.keys()
    stored = json.dumps([[key, client.type(key), client.dump(key).hex()] for key in keys])
    tags = {key.partition("}")[0] for key in keys}
    assert len(tags) == 1
    assert all(text not in stored for text in (budget.account.client_id, "https", b"cs-".hex()))
    assert all(0 < client.ttl(key) <= 35 * 86_400 for key in keys)


def test_a_forked_process_is_a_process_of_its_own(timed):
    budget = timed(processes=1)
    call(budget, 0, 0.0)
    parent = budget.budgets[0]
    parent._lock.acquire()  # as another thread may have it while this one forks
    child = os.fork()
    if not child:
        name = parent._account._process
        fine = call(budget, 0, 1.0).seconds == 0 and parent._account._process != name
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_check_says_why_redis_cannot_be_used(timed):
    budget = timed()
    budget.budgets[0].check()
    assert budget.server.client.zcard(next(iter(budget.server.client.keys("*:state"))).replace("state", "polls")) == 0
    for fault, said in (
        (redis.AuthenticationError("WRONGPASS"), "login and password"),
        (redis.exceptions.NoPermissionError("this user"), "NOPERM"),
        (GONE, "127.0.0.1:6379 cannot be used (ConnectionError)"),
    ):
        budget.server.fault = fault
        with pytest.raises(KoreConfigurationError, match="Nothing was sent") as raised:
            budget.budgets[0].check()
        assert said in str(raised.value)


# --- Whatever happens --------------------------------------------------------------------------------------------

PER_MINUTE = 6


class WhateverHappens(RuleBasedStateMachine):
    """
    Processes call, die and are replaced; Redis forgets, goes and comes back; its clock jumps back.

    All of them are seen by Redis at least once a minute, as are those that wait.
    """

    server = None

    def __init__(self):
        super().__init__()
        self.server.fault, self.server.ahead = None, 0.0
        self.timed = TimedRedisBudget(self.server, PER_MINUTE, 1800)
        self.now = self.seen_at = 0.0
        self.arrivals, self.waiting, self.under_way = [], [], []

    @rule(process=st.integers(0, 2), call=st.sampled_from([Call.ERASE, Call.STATUS]), number=st.integers(1, 3))
    def want_calls(self, process, call, number):
        for _ in range(number):
            self.waiting.append((process, Turn(call, self.now)))
        self.ask()

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 30.0, 60.0]))
    def wait(self, seconds):
        self.now += seconds
        for process, turn, arrives in list(self.under_way):
            if arrives <= self.now:
                self.timed.at(self.now, self.timed.budgets[process]).end(turn)
                self.under_way.remove((process, turn, arrives))
        for process in range(3) if self.now >= self.seen_at + MINUTE else ():
            self.seen_at = self.now
            turn = Turn(Call.STATUS, self.now)
            if self.timed.at(self.now, self.timed.budgets[process]).ask(turn).seconds:
                self.timed.budgets[process].leave(turn)
            else:
                self.begin(process, turn)
        self.ask()

    def ask(self):
        for process, turn in list(self.waiting):
            if not self.timed.at(self.now, self.timed.budgets[process]).ask(turn).seconds:
                self.waiting.remove((process, turn))
                self.begin(process, turn)

    def begin(self, process, turn):
        arrives = self.now + len(self.arrivals) % 5 / 2
        self.arrivals.append(arrives)
        self.under_way.append((process, turn, arrives))

    @rule(process=st.integers(0, 2))
    def kill(self, process):
        self.waiting = [entry for entry in self.waiting if entry[0] != process]
        self.under_way = [entry for entry in self.under_way if entry[0] != process]
        if self.server.fault is None:
            self.timed.budgets[process] = self.timed.make(self.timed.clock.monotonic)

    @rule()
    def forget(self):
        self.server.client.flushall()

    @precondition(lambda self: self.server.fault is None)
    @rule()
    def go_away(self):
        self.server.fault = GONE

    @precondition(lambda self: self.server.fault is not None)
    @rule()
    def come_back(self):
        self.server.fault = None

    @rule(seconds=st.floats(0.1, 5000))
    def set_the_clock_back(self, seconds):
        self.server.ahead -= seconds

    @invariant()
    def the_window_has_room(self):
        assert most_in_any_window(self.arrivals[-4 * PER_MINUTE :], MINUTE) <= PER_MINUTE

    def teardown(self):
        self.server.fault = None
        for _ in range(300):
            if not self.waiting:
                break
            self.wait(10.0)
        assert not self.waiting, "a call never came"
        assert most_in_any_window(self.arrivals, MINUTE) <= PER_MINUTE


def test_whatever_happens_no_minute_sees_too_many_calls_and_every_call_comes(caplog):
    caplog.set_level(logging.CRITICAL)
    with real_redis() as server:
        WhateverHappens.server = server
        run_state_machine_as_test(WhateverHappens, settings=settings(max_examples=25, stateful_step_count=20))
