"""Budgets that are told the time with each step."""

import functools
import itertools
import json
import shutil
from contextlib import contextmanager

import fakeredis
import pytest
from playing_kore import WALL_START, Clock

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.budget import HOUR, Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.redis_budget import RedisBudget
from demo.local_redis import LocalRedis


class TimedBudget:
    """
    Set the clock of a budget before each of its steps.

    :param make: makes the budget with a clock; as many as there are processes.
    :param longest_run: seconds that a test may simulate step by step.
    """

    def __init__(self, make, *, processes=1, longest_run=4 * HOUR):
        self.clock = Clock(0.0)
        self.budgets = [make(self.clock.monotonic) for _ in range(processes)]
        self.budget = self.budgets[0]
        self.longest_run = longest_run
        self._next_budget = itertools.cycle(self.budgets)

    def at(self, now, budget=None):
        self.clock.now = now
        return budget or next(self._next_budget)

    def turn(self, call, since):
        return TimedTurn(self, Turn(call, since))

    def seconds_until_turn(self, now, call=Call.ERASE):
        return self.at(now).seconds_until_turn(call)

    def close(self, now, seconds):
        return self.at(now).close(seconds)

    def slow_polls(self, now):
        self.at(now).slow_polls()

    def export_usage(self, now):
        return self.at(now).export_usage()

    def import_usage(self, calls, listed_at):
        self.budget.import_usage(calls, self.clock.now - listed_at)

    @property
    def seconds_per_call(self):
        return self.budget.seconds_per_call

    @property
    def is_idle(self):
        """Whether nobody waits, and no call is under way."""
        return not (self.budget._submits or self.budget._polls or self.budget._under_way)


class TimedTurn:
    """A turn of a :class:`TimedBudget`, in one of its processes."""

    def __init__(self, timed, turn):
        self.timed = timed
        self.turn = turn
        self.budget = next(timed._next_budget)

    def ask(self, now):
        return self.wait(now).seconds

    def wait(self, now):
        return self.timed.at(now, self.budget).ask(self.turn)

    def leave(self):
        self.budget.leave(self.turn)

    def end(self, now):
        self.timed.at(now, self.budget).end(self.turn)


def local_budget_of(per_minute, per_hour):
    return TimedBudget(lambda clock: LocalBudget(per_minute, per_hour, clock))


class TimedRedis:
    """
    A Redis whose clock is set by hand, and which can be away.

    It stands for a :class:`~airflow_provider_kore.api.redis_connection.RedisConnection` too.

    :ivar ahead: seconds by which its clock is ahead.
    :ivar fault: the exception that each question to it raises; ``None`` if it is there.
    """

    host, port = "127.0.0.1", 6379

    def __init__(self, client):
        self.client = client
        self.ahead = 0.0
        self.fault = None
        self.questions = 0

    def set_clock(self, clock):
        self._clock = clock

    def time(self):
        return WALL_START + self._clock.now + self.ahead

    def connect(self):
        return self

    def close(self):
        pass

    def register_script(self, text):
        assert text.count("redis.call('TIME')") == 1
        script = self.client.register_script(text.replace("redis.call('TIME')", "cjson.decode(ARGV[2])"))

        def ask(keys, args):
            self.questions += 1
            if self.fault is not None:
                raise self.fault
            return script(keys=keys, args=[*args, json.dumps([self.time(), 0])])

        ask_and_more = functools.partial(ask)
        ask_and_more.registered_client = self
        return ask_and_more


@contextmanager
def real_redis():
    """Lend a real one, if it is installed."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is missing. On Debian: apt-get install redis-server")
    with LocalRedis() as server:
        yield TimedRedis(server.client)


def fake_redis(server_type="redis"):
    """Make one in this process, which takes milliseconds for each question."""
    return TimedRedis(fakeredis.FakeRedis(server_type=server_type, decode_responses=True))


_accounts = itertools.count()


class TimedRedisBudget(TimedBudget):
    """Three processes that share a budget in a Redis; it has been there for long."""

    def __init__(self, server, per_minute, per_hour, processes=3):
        self.server = server
        self.account = KoreAccount(
            "https://a", f"cs-{next(_accounts)}", requests_per_minute=per_minute, requests_per_hour=per_hour
        )
        super().__init__(self.make, processes=processes, longest_run=HOUR / 10)
        for moment in (-1e6, -1.0, -1.0):  # so that it is open by now, and each process has seen the others
            for budget in self.budgets:
                self.at(moment, budget).check()
        self.clock.now = 0.0

    def make(self, clock):
        self.server.set_clock(self.clock)
        return RedisBudget(self.server, self.account, clock=clock)

    @property
    def is_idle(self):
        tag = self.budget._account._keys[0].rpartition(":")[0]
        return not any(self.server.client.exists(f"{tag}:{key}") for key in ("submits", "polls", "due", "under_way"))
