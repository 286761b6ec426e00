"""The budget of an account that Redis keeps for all processes, and what a process does while Redis is away."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from airflow_provider_kore.api import budget
from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.budget import Reason, Turn, Wait
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.redis_account import AccountInRedis, AccountState, Reply
from airflow_provider_kore.api.redis_connection import RedisConnection
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

PROCESSES = 32
"""How many processes are supposed to share an account whose Redis was never reached; as many tasks as Airflow runs at
once by default."""

_FAULTS = (RedisError, OSError)

REASONS = {
    "throttled": Reason.THROTTLED,
    "new": Reason.BUDGET_NEW,
    "minute": Reason.MINUTE,
    "hour": Reason.HOUR,
    "polls": Reason.POLLS_SLOWED,
}


class RedisBudget:
    """
    The :class:`~airflow_provider_kore.api.budget.Budget` that all processes share which name the same Redis.

    Nothing fails for want of Redis: while it is away, this process makes no call for one window, since others may just
    have called, and then uses its part of the limits. So all together still keep to them. Once Redis is back, it
    learns what was called meanwhile.

    One question is asked at a time, over one connection, so that answers come in order, and 500 threads need no more.

    :param connection: where Redis is.
    :param account: whose calls they are; ``requests_per_minute`` and ``requests_per_hour`` are those of all processes.
    :param clock: monotonic seconds.
    """

    does_io = True

    def __init__(
        self, connection: RedisConnection, account: KoreAccount, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.connection = connection
        self._clock = clock
        self._limits = (account.requests_per_minute, account.requests_per_hour)
        # A call connects, sends and waits for its answer, each for as long as its timeout at most.
        self._account = AccountInRedis(connection, account.identity(), self._limits, 3 * account.timeout + 30, clock)
        self._begin_process()

    def _begin_process(self) -> None:
        self._lock = threading.Lock()
        self._share: LocalBudget | None = None
        self._retry_at = 0.0
        self._narrowed_to = self._limits

    def narrow(self, per_minute: int, per_hour: int) -> None:
        """Allow no more than this; of several connections to one account the strictest counts, in all processes."""
        self._limits = min(per_minute, self._limits[0]), min(per_hour, self._limits[1])
        self._account.narrow(*self._limits)

    def ask(self, turn: Turn) -> Wait:
        """Begin the call of a turn, or let it wait in the queue."""
        reply = self._try("ask", turn=turn.id, reads=turn.call.only_reads, age=self._clock() - turn.since)
        if reply is None:
            return self._ask_share(turn)
        if reply.seconds > 0:
            return Wait(reply.seconds, reply.ahead, reply.left, REASONS[reply.reason])
        turn.began = self._clock()
        self._account.under_way.add(turn.id)
        return Wait(0.0, left=reply.left)

    def leave(self, turn: Turn) -> None:
        """Take a turn out of the queue, if it waits there."""
        if turn.id not in self._account.under_way:
            if (share := self._share) is not None:
                share.leave(turn)
            self._try("leave", turn=turn.id)

    def end(self, turn: Turn) -> None:
        """Count the call of a turn from now on, if it is under way."""
        if turn.id in self._account.under_way:
            self._account.under_way.discard(turn.id)
            if (share := self._share) is not None:
                share.end(turn)
            if self._try("end", turn=turn.id) is None:
                self._account.note_call()

    def close(self, seconds: float) -> bool:
        """Let no call of any process begin for some seconds, and tell whether it was open."""
        self._account.closed_until = max(self._account.closed_until, self._clock() + seconds)
        reply = self._try("close", seconds=seconds)
        if reply is not None:
            return reply.reason == "open"
        share = self._share
        return share is not None and share.close(seconds)

    def slow_polls(self) -> None:
        """Delay the next polls of all processes a little."""
        if self._try("slow_polls") is None and (share := self._share) is not None:
            share.slow_polls()

    def seconds_until_turn(self, call: Call) -> float:
        """Tell how many seconds a call that came now would wait at least, without entering the queue."""
        reply = self._try("peek", reads=call.only_reads)
        if reply is not None:
            return reply.seconds
        share = self._share
        return 0.0 if share is None else share.seconds_until_turn(call)

    def export_usage(self) -> list[tuple[int, int]]:
        """List nothing: other processes learn of the calls from Redis."""
        return []

    def import_usage(self, calls: Sequence[Sequence[int]], listed_seconds_ago: float) -> None:
        """Count calls that were made without Redis, before the connection named one."""
        for seconds, count in calls:
            for _ in range(count):
                self._account.note_call(seconds + listed_seconds_ago)

    def check(self) -> None:
        """
        Do all that a call needs of Redis, without a call.

        :raises KoreConfigurationError: if Redis cannot be used, with the reason.
        """
        turn = Turn(Call.STATUS, self._clock())
        self._require(lambda: self._account.run("ask", turn=turn.id, reads=True, age=0.0))
        self._require(lambda: self._account.run("leave", turn=turn.id))

    def show(self) -> AccountState:
        """
        Read how the account is, in all processes, and change nothing.

        :raises KoreConfigurationError: if Redis cannot be used, with the reason.
        """
        return self._require(self._account.show)

    def _require(self, question: Callable[[], Answer]) -> Answer:
        with self._lock:
            try:
                return question()
            except _FAULTS as error:
                fault = _explain(error, self.connection)
        raise fault

    def _try(self, what: str, **question: object) -> Reply | None:
        """Ask Redis; ``None`` while it is away, and then this process has a share of its own."""
        if os.getpid() != self._account.pid:  # forked: another thread of the parent may have had the lock
            self._account.begin_process()
            self._begin_process()
        if self._share is None:
            self._lock.acquire()
        elif self._clock() < self._retry_at or not self._lock.acquire(blocking=False):
            return None
        try:
            if self._share is not None and self._clock() < self._retry_at:  # it went away while this thread waited
                return None
            reply = self._account.run(what, **question)
            self._note_answer(reply)
        except _FAULTS as error:
            self._note_fault(error)
            return None
        finally:
            self._lock.release()
        return reply

    def _note_answer(self, reply: Reply) -> None:
        if self._share is not None:
            self._share = None
            log.warning("Redis answers again: this process shares the budget of calls with the others again.")
        if reply.limits != self._narrowed_to:
            self._narrowed_to = reply.limits
            log.warning(
                "Connections to this account have other limits: the strictest count, %d calls a minute and %d an hour.",
                *reply.limits,
            )

    def _note_fault(self, error: Exception) -> None:
        self._account.note_outage()
        self._retry_at = self._clock() + budget.MINUTE / 12
        if self._share is None:
            processes = self._account.processes or PROCESSES
            per_minute, per_hour = (max(limit // processes, 1) for limit in self._account.limits)
            share = LocalBudget(per_minute, per_hour, self._clock)
            # Of what all have called, each process counts its part, beginning with the newest.
            share.import_usage([(int(age), 1) for age in self._account.ages()[::processes]], 0.0)
            # In more processes than there are calls a minute, one call each would be too many at once.
            crowd = max(processes / self._account.limits[0] - 1, 0.0)
            closed = budget.MINUTE * (7 / 6 + random.uniform(0, crowd))  # noqa: S311
            share.close(closed)
            self._share = share
            log.error(
                "The budget of calls in Redis cannot be used (%s). Nothing fails for that: this process makes no call "
                "for %.0f s, and then at most %d a minute and %d an hour, its part of %d, until Redis answers again.",
                _name(error),
                closed,
                per_minute,
                per_hour,
                processes,
            )

    def _ask_share(self, turn: Turn) -> Wait:
        share = self._share
        if share is None:  # Redis has just come back
            return Wait(0.001, reason=Reason.REDIS_AWAY)
        wait = share.ask(turn)
        if wait.seconds > 0:
            return replace(wait, reason=Reason.REDIS_AWAY)
        self._account.under_way.add(turn.id)
        return wait


def _name(error: Exception) -> str:
    """Name an error of Redis, with the code that Redis gives; no more, since texts of servers are not known."""
    code = str(error).partition(" ")[0]
    name = type(error).__name__
    return f"{name}, {code}" if isinstance(error, ResponseError) and code.isupper() else name


def _explain(error: Exception, connection: RedisConnection) -> KoreConfigurationError:
    where = f"Redis at {connection.host}:{connection.port}"
    if isinstance(error, NoPermissionError):
        problem = f"{where} refuses the user of the connection that budget_conn_id names a command or key (NOPERM)."
        remedy = "Give its ACL the rights that the documentation names."
    elif isinstance(error, AuthenticationError) or "unauthenticated" in str(error):  # so it calls a long question
        problem = f"{where} does not accept login and password of the connection that budget_conn_id names."
        remedy = "Correct Login and Password there."
    else:
        problem = f"{where} cannot be used ({_name(error)})."
        remedy = (
            "Check host, port, db and the ssl fields of the connection that budget_conn_id names, and that Redis runs."
        )
    return KoreConfigurationError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)
