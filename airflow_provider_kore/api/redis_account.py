"""What one process knows of an account whose budget Redis keeps, and how it asks there."""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError

from airflow_provider_kore.api import budget
from airflow_provider_kore.api.account import AccountIdentity
from airflow_provider_kore.api.redis_connection import TIMEOUT, RedisConnection

SCRIPT = files(__package__).joinpath("redis_budget.lua").read_text()
KEYS = ("calls", "under_way", "submits", "polls", "due", "processes", "state")

KEPT = 35 * 86_400
"""Seconds after which Redis forgets an account: a budget that is used each month does not start anew, closed."""

_UNKNOWN_TO_REDIS = "unknown to Redis"
"""Stands for an epoch, while this process knows of calls that Redis does not."""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What the script answers; ``redis_budget.lua`` explains it.

    :param names: the calls that were asked for, each by its name, which begins with its moment; or what ``show`` adds.
    """

    status: str
    now: float
    epoch: str
    processes: int
    seconds: float
    ahead: int
    reason: str
    left: tuple[int, int]
    limits: tuple[int, int]
    calls: int
    names: list[str]

    @classmethod
    def read(cls, answer: list[str]) -> Reply:
        """Read the texts that come from Redis."""
        status, now, epoch, processes, seconds, ahead, reason, minute, hour, per_minute, per_hour, calls = answer[:12]
        return cls(
            status,
            float(now),
            epoch,
            int(processes),
            float(seconds),
            int(ahead),
            reason,
            (int(minute), int(hour)),
            (int(per_minute), int(per_hour)),
            int(calls),
            answer[12:],
        )


@dataclass(frozen=True, slots=True)
class AccountState:
    """
    How an account's calls are at one moment, in all processes.

    :param used: calls that count in the last minute and in the last hour; those under way among them.
    :param limits: how many may.
    :param under_way: calls without an answer yet.
    :param submits: how many wait to submit.
    :param polls: how many wait to read.
    :param processes: how many called lately.
    :param closed: for how many seconds no call may begin.
    :param why_closed: ``throttled`` or ``new``.
    :param closes_with_next_call: whether those seconds begin only with the next call.
    """

    used: tuple[int, int]
    limits: tuple[int, int]
    under_way: int
    submits: int
    polls: int
    processes: int
    closed: float
    why_closed: str
    closes_with_next_call: bool


class AccountInRedis:
    """
    Run the script for one process.

    With each answer come the calls that others have made since the last one, so that any process can tell a Redis that
    has forgotten them, also those of processes that have ended. Not safe for threads.

    :param connection: where Redis is.
    :param identity: whose calls they are; only a digest of it is in Redis.
    :param limits: calls a minute and an hour.
    :param lease: seconds after which a call without an answer counts as answered.
    :param clock: monotonic seconds.
    :ivar away_at: when Redis could not be used for the first time since it last learned all that this process knows;
        ``None`` if it could.
    :ivar under_way: ids of the turns whose calls are under way in this process.
    :ivar processes: how many processes called lately, as Redis counts them; 0 if it was never asked.
    :ivar limits: calls a minute and an hour, of all connections to the account the strictest.
    :ivar closed_until: when a closing ends that this process has asked for.
    """

    def __init__(
        self,
        connection: RedisConnection,
        identity: AccountIdentity,
        limits: tuple[int, int],
        lease: float,
        clock: Callable[[], float],
    ) -> None:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self._keys = [f"{{kore-budget:{digest}}}:{key}" for key in KEYS]
        self._connection = connection
        self._own_limits = limits
        self._lease = lease
        self._clock = clock
        self.under_way: set[str] = set()
        self.processes = 0
        self.limits = limits
        self.closed_until = -math.inf
        self.begin_process()

    def begin_process(self) -> None:
        """Begin as a process of its own, which has no connection and no calls under way; also after a fork."""
        self.pid = os.getpid()
        self.under_way.clear()
        self.away_at: float | None = None
        self._process = uuid.uuid4().hex
        self._script: Script | None = None
        self._epoch = ""
        self._ahead: float | None = None
        self._last_answer: float | None = None
        self._calls: dict[str, float] = {}
        self._oldest_call: list[tuple[float, str]] = []  # a heap of the same: each answer drops those that are too old
        self._calls_without_redis: list[float] = []
        self._synced = 0.0

    def narrow(self, per_minute: int, per_hour: int) -> None:
        """Allow no more than this; of several connections to one account the strictest counts."""
        self._own_limits = min(per_minute, self._own_limits[0]), min(per_hour, self._own_limits[1])

    def run(self, what: str, **question: object) -> Reply:
        """
        Ask Redis; where it has forgotten calls, tell it first what this process knows.

        :raises RedisError: if Redis cannot be used.
        """
        for _ in range(5):
            reply = self._ask(what, question)
            if reply.status == "tell":
                reply = self._ask("tell", self._what_to_tell(reply))
                if reply.status == "done":
                    self._epoch, self.away_at, self._synced = reply.epoch, None, 0.0
                self._learn(reply)
            elif reply.status == "late":
                self._learn(reply)
            elif what in ("ask", "peek"):
                self._epoch = reply.epoch
                self._learn(reply)
                self._learn_calls(reply)
                return reply
            else:
                self._learn(reply)
                return reply
        raise RedisConnectionError("Redis answers too late")

    def show(self) -> AccountState:
        """
        Read how the account is, and change nothing.

        :raises RedisError: if Redis cannot be used.
        """
        reply = self._ask("show", {})
        minute, hour, under_way, submits, polls, closed, why, later = reply.names
        return AccountState(
            used=(int(minute), int(hour)),
            limits=reply.limits,
            under_way=int(under_way),
            submits=int(submits),
            polls=int(polls),
            processes=reply.processes,
            closed=float(closed),
            why_closed=why,
            closes_with_next_call=later == "1",
        )

    def note_outage(self) -> None:
        """Connect anew for the next question, and tell Redis then what happened meanwhile."""
        if self._script is not None:
            with suppress(Exception):  # it is of no use any more, whatever it says to that
                self._script.registered_client.close()
        self._script = None
        self._epoch = _UNKNOWN_TO_REDIS
        if self.away_at is None:
            self.away_at = self._clock()

    def note_call(self, seconds_ago: float = 0.0) -> None:
        """Note a call of which Redis does not know, and tell it with the next question."""
        self._calls_without_redis.append(self._clock() - seconds_ago)
        self._epoch = _UNKNOWN_TO_REDIS

    def ages(self) -> list[float]:
        """
        List for how many seconds each call of the last hour has been answered, as far as this process can know.

        Since the last answer of Redis, others are supposed to have called as fast as they can for ever.
        """
        now = self._clock()
        silent = budget.HOUR if self._last_answer is None else min(now - self._last_answer, budget.HOUR)
        pace = max(budget.MINUTE / self.limits[0], budget.HOUR / self.limits[1])
        supposed = [number * pace for number in range(int(silent / pace))]
        known = [now + (self._ahead or 0.0) - moment for moment in self._calls.values()]
        own = [now - moment for moment in self._calls_without_redis]
        return sorted(age for age in supposed + known + own if age < budget.HOUR)

    def _ask(self, what: str, question: dict[str, Any]) -> Reply:
        if self._script is None:
            # Both of redis-py's clients register scripts, and only one of them is typed so.
            self._script = cast(Redis, self._connection.connect()).register_script(SCRIPT)
        now = self._clock()
        request = {
            "what": what,
            "process": self._process,
            "limits": self._own_limits,
            "windows": (budget.MINUTE, budget.HOUR),
            "per_poll": budget.SUBMITS_PER_POLL,
            "lease": self._lease,
            "grace": budget.MINUTE / 12,
            "margin": budget.MINUTE / 6,
            "kept": KEPT,
            "epoch": self._epoch,
            "latest": 0.0 if self._ahead is None else now + self._ahead + TIMEOUT,
            "synced": self._synced,
            **question,
        }
        return Reply.read(self._script(keys=self._keys, args=[json.dumps(request)]))

    def _learn(self, reply: Reply) -> None:
        """Learn from an answer what the time is at Redis, and what all processes may call."""
        self._last_answer = self._clock()
        ahead = reply.now - self._last_answer  # a little too small, by the way of the answer
        # A Redis that has forgotten its time learns it from this process, with all else, before its clock is believed.
        if self._ahead is None or reply.epoch == self._epoch or ahead > self._ahead:
            self._ahead = ahead
        self.processes, self.limits = max(reply.processes, 1), reply.limits
        self._add_calls(reply.names)
        while self._oldest_call and self._oldest_call[0][0] <= reply.now - budget.HOUR:
            _, name = heapq.heappop(self._oldest_call)
            del self._calls[name]

    def _learn_calls(self, reply: Reply) -> None:
        """Learn all calls that count, now that the new ones have come."""
        if self._synced == 0.0:
            self._calls.clear()
            self._oldest_call.clear()
            self._add_calls(reply.names)
        # Of some calls Redis learns late, if a lease ends or another process tells of them: then all come once more.
        complete = len(self._calls) == reply.calls
        self._synced = max(self._calls.values(), default=0.0) if complete else 0.0

    def _add_calls(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._calls:
                moment = self._calls[name] = float(name.partition("/")[0])
                heapq.heappush(self._oldest_call, (moment, name))

    def _what_to_tell(self, reply: Reply) -> dict[str, Any]:
        now = self._clock()
        # The clock of before the outage, if it is known: that of another server may be behind it.
        ahead = self._ahead if self._ahead is not None else reply.now - now
        self._add_calls(f"{moment + ahead:.6f}/{uuid.uuid4().hex}" for moment in self._calls_without_redis)
        self._calls_without_redis.clear()
        others_called = self.away_at is not None and now - self.away_at >= budget.MINUTE
        return {
            "calls": list(self._calls),
            "under_way": list(self.under_way),
            "at_least": now + ahead,
            "away_since": (self.away_at or 0.0) + ahead if others_called else 0.0,
            "closed": max(self.closed_until - now, 0.0),
        }
