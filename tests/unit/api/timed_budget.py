"""Budgets that are told the time with each step."""

import itertools
import json
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from types import SimpleNamespace

import fakeredis
import pytest
import redis
from playing_kore import WALL_START, Clock

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.budget import HOUR, Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.redis_budget import RedisBudget


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
        return self.timed.at(now, self.budget).ask(self.turn).seconds

    def leave(self):
        self.budget.leave(self.turn)

    def end(self, now):
        self.timed.at(now, self.budget).end(self.turn)


def local_budget_of(per_minute, per_hour):
    return TimedBudget(lambda clock: LocalBudget(per_minute, per_hour, clock))


class RedisServer:
    """
    A real Redis on loopback, which keeps nothing on disk; ended at the end of ``with``.

    Stands for a :class:`~airflow_provider_kore.api.redis_connection.RedisConnection` too. The script reads a clock that
    is set by hand.
    """

    host = "127.0.0.1"

    def __enter__(self):
        with socket.socket() as free:
            free.bind((self.host, 0))
            self.port = free.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory()
        options = {"port": self.port, "bind": self.host, "dir": self._folder.name, "save": "", "appendonly": "no"}
        command = ["redis-server", *[word for name, value in options.items() for word in (f"--{name}", str(value))]]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port, decode_responses=True)
        for _ in range(1000):
            with suppress(redis.ConnectionError):
                self.client.ping()
                return self
            time.sleep(0.01)
        raise RuntimeError("redis-server did not start")

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def set_clock(self, clock):
        self._clock = clock

    def connect(self):
        return self

    def register_script(self, text):
        assert text.count("redis.call('TIME')") == 1
        script = self.client.register_script(text.replace("redis.call('TIME')", "cjson.decode(ARGV[2])"))
        return lambda keys, args: script(keys=keys, args=[*args, json.dumps([WALL_START + self._clock.now, 0])])


class FakeRedisServer:
    """A Redis in this process, which takes milliseconds for each step, and whose clock is set by hand."""

    host, port = "fake", 6379

    def __init__(self, server_type="redis"):
        self.type = server_type
        self.flush()

    def __enter__(self):
        self._patch = pytest.MonkeyPatch()
        for module in ("fakeredis.commands_mixins.server_mixin", "fakeredis._socket._base"):
            self._patch.setattr(f"{module}.time", SimpleNamespace(time=lambda: WALL_START + self._clock.now))
        return self

    def __exit__(self, *_):
        self._patch.undo()

    def set_clock(self, clock):
        self._clock = clock

    def flush(self):
        """Forget everything."""
        self._server = fakeredis.FakeServer(server_type=self.type)
        self.client = fakeredis.FakeRedis(server=self._server, decode_responses=True)

    def connect(self):
        return fakeredis.FakeRedis(server=self._server, decode_responses=True)


_accounts = itertools.count()


class TimedRedisBudget(TimedBudget):
    """Three processes that share a budget in a Redis; it has been there for long."""

    def __init__(self, server, per_minute, per_hour):
        self.server = server
        self.account = KoreAccount(
            "https://a", f"cs-{next(_accounts)}", requests_per_minute=per_minute, requests_per_hour=per_hour
        )
        super().__init__(self.make, processes=3, longest_run=HOUR / 10)
        for budget in self.budgets:
            self.at(-1e6, budget).seconds_until_turn(Call.ERASE)
        self.clock.now = 0.0

    def make(self, clock):
        self.server.set_clock(self.clock)
        return RedisBudget(self.server, self.account, clock=clock)

    @property
    def is_idle(self):
        tag = self.budget._account._keys[0].rpartition(":")[0]
        return not any(self.server.client.exists(f"{tag}:{key}") for key in ("submits", "polls", "due", "under_way"))
