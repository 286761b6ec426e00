"""
An account that counts calls strictly, and processes that call it.

The account has two rolling windows, counts a call when it arrives, and refuses one too many. It stands for Kore.ai over
plain TCP, so that what is measured is the budget. A call travels up to 15 ms there, and as long back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar

from airflow_provider_kore.api import budget as budget_module
from airflow_provider_kore.api import redis_account, redis_connection
from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.budget import Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.paced_exchange import SHORT_WAIT
from airflow_provider_kore.api.pacing import shared_budget
from airflow_provider_kore.api.turn_keeper import BUDGET_THREADS

R = TypeVar("R")

PER_MINUTE, PER_HOUR = 60, 1800
TRAVEL = 0.015


class StrictAccount:
    """
    Serve on loopback from ``with`` on, in a thread with an event loop of its own.

    :param minute: seconds of the window that stands for a minute; the other one is thirty times as long.
    :ivar calls: when each call arrived, who made it, and whether it was accepted.
    """

    def __init__(self, minute: float) -> None:
        self._minute, self._hour = minute, 30 * minute
        self.calls: list[tuple[float, str, bool]] = []
        self._accepted: deque[float] = deque()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port: int = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(random.uniform(0, TRAVEL))
            accepted = self._count(line.decode().strip())
            await asyncio.sleep(random.uniform(0, TRAVEL))
            writer.write(b"200\n" if accepted else b"429\n")
        writer.close()

    def _count(self, who: str) -> bool:
        now = time.monotonic()
        while self._accepted and self._accepted[0] <= now - self._hour:
            self._accepted.popleft()
        in_minute = sum(1 for moment in self._accepted if moment > now - self._minute)
        accepted = len(self._accepted) < PER_HOUR and in_minute < PER_MINUTE
        if accepted:
            self._accepted.append(now)
        self.calls.append((now, who, accepted))
        return accepted

    @property
    def accepted(self) -> list[float]:
        """When each accepted call arrived."""
        return [moment for moment, _, accepted in self.calls if accepted]

    @property
    def throttled(self) -> int:
        """How many calls were refused."""
        return sum(not accepted for *_, accepted in self.calls)

    def time_together(self) -> tuple[float, float]:
        """Return when all processes had begun to call, and when the first of them called for the last time."""
        moments: dict[str, list[float]] = defaultdict(list)
        for moment, who, _ in self.calls:
            moments[who.partition("/")[0]].append(moment)
        return max(called[0] for called in moments.values()), min(called[-1] for called in moments.values())

    def share_of_submits(self) -> float:
        """Return how many of the calls submit while all processes call."""
        begin, end = self.time_together()
        begin, end = begin + self._minute, end - self._minute
        kinds = [who.split()[1] for moment, who, _ in self.calls if begin < moment < end]
        return kinds.count("submit") / len(kinds)

    def pace(self) -> float:
        """
        Compare the accepted calls with the fastest schedule: all calls of a window at its beginning.

        Only while all processes call: before, and at the end, there are fewer to call than may.
        """
        begin, end = self.time_together()
        moments = [moment for moment in self.accepted if begin <= moment <= end]
        rounds = (len(moments) - 1) // PER_MINUTE
        return rounds * self._minute / (moments[rounds * PER_MINUTE] - moments[0])


@dataclass(frozen=True)
class Caller:
    """
    A process that calls the account.

    :param name: by which the account knows its calls.
    :param port: of the account.
    :param redis_port: of the Redis that keeps the budget; ``None`` for a local budget.
    :param minute: seconds that stand for a minute.
    :param seconds: how long it calls.
    :param calls: how many calls it makes at most.
    :param waiters: how many wait for a call at once; with one, it is no event loop.
    :param submits: how many of them submit; the others poll.
    :param share: divides the limits.
    :param timeout: seconds to wait for Redis.
    :param client_id: whose account it is.
    :param peer: the library that keeps the budget in Redis; ``None`` for this package.
    """

    name: str
    port: int
    redis_port: int | None
    minute: float
    seconds: float
    calls: int = 1_000_000
    waiters: int = 1
    submits: int = 0
    share: int = 1
    timeout: float = 2.0
    client_id: str = "cs-benchmark"
    peer: str | None = None

    def start(self) -> subprocess.Popen[str]:
        """Start it."""
        command = [sys.executable, "-m", "benchmarks.strict_account", json.dumps(asdict(self))]
        return subprocess.Popen(command, text=True, stderr=subprocess.PIPE)


def wait_for_all(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for all that were not killed, and return what each has logged."""
    logs = [process.communicate(timeout=300)[1] for process in processes]
    failed = [
        log for process, log in zip(processes, logs, strict=True) if process.returncode not in (0, -signal.SIGKILL)
    ]
    if failed:
        raise RuntimeError("A caller failed:\n" + "\n".join(failed))
    return logs


class Turns(Protocol):
    """What lets the calls of one process begin: in a thread, as in a worker, or on an event loop, as in a triggerer."""

    def begin(self, call: Call, until: float) -> Turn | None:
        """Wait until a call may begin; ``None`` if that comes after a moment of the monotonic clock."""

    def end(self, turn: Turn, *, accepted: bool) -> None:
        """Hear that a call was answered."""

    async def begin_on_the_loop(self, call: Call, until: float) -> Turn | None:
        """Do the same as :meth:`begin`."""

    async def end_on_the_loop(self, turn: Turn, *, accepted: bool) -> None:
        """Do the same as :meth:`end`."""


class OurTurns:
    """The package's budgets: in Redis, or of the process."""

    def __init__(self, caller: Caller) -> None:
        connection = caller.redis_port and redis_connection.RedisConnection("127.0.0.1", caller.redis_port)
        account = KoreAccount(
            "https://a",
            caller.client_id,
            timeout=0.1,
            requests_per_minute=PER_MINUTE // caller.share,
            requests_per_hour=PER_HOUR // caller.share,
            budget_redis=connection or None,
        )
        self._budget = shared_budget(account)
        self._threads = ThreadPoolExecutor(BUDGET_THREADS)

    def begin(self, call: Call, until: float) -> Turn | None:
        """Wait until a call may begin."""
        turn = Turn(call, time.monotonic())
        while (pause := self._pause(turn, until)) is not None and pause > 0:
            time.sleep(pause)
        return None if pause is None else turn

    def end(self, turn: Turn, *, accepted: bool) -> None:
        """End a call, and close the account if it was refused."""
        self._budget.end(turn)
        if not accepted:
            self._budget.close(budget_module.MINUTE)

    async def begin_on_the_loop(self, call: Call, until: float) -> Turn | None:
        """Wait until a call may begin."""
        turn = Turn(call, time.monotonic())
        while (pause := await self._in_thread(partial(self._pause, turn, until))) is not None and pause > 0:  # noqa: ASYNC110
            await asyncio.sleep(pause)
        return None if pause is None else turn

    async def end_on_the_loop(self, turn: Turn, *, accepted: bool) -> None:
        """End a call, and close the account if it was refused."""
        await self._in_thread(partial(self.end, turn, accepted=accepted))

    async def _in_thread(self, ask_budget: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask_budget)

    def _pause(self, turn: Turn, until: float) -> float | None:
        """Ask, and return how long to wait before the next question; ``None`` if the time is over."""
        seconds = self._budget.ask(turn).seconds
        if seconds > 0 and time.monotonic() + seconds > until:
            self._budget.leave(turn)
            return None
        return seconds if seconds <= SHORT_WAIT else seconds / 2


class _Waiters:
    """All that wait for calls in one process: on an event loop, as in a triggerer, or alone, as in a worker."""

    def __init__(self, caller: Caller, turns: Turns) -> None:
        self._caller = caller
        self._turns = turns
        self._left = caller.calls
        self._until = time.monotonic() + caller.seconds

    def call_alone(self) -> None:
        with (
            socket.create_connection(("127.0.0.1", self._caller.port)) as connection,
            connection.makefile("rw") as file,
        ):
            while self._is_next() and (turn := self._turns.begin(self._call_of(0), self._until)):
                file.write(self._line(0))
                file.flush()
                self._turns.end(turn, accepted=file.readline() == "200\n")

    async def call_on_the_loop(self) -> None:
        await asyncio.gather(*map(self._call, range(self._caller.waiters)))

    async def _call(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._caller.port)
        while self._is_next() and (turn := await self._turns.begin_on_the_loop(self._call_of(number), self._until)):
            writer.write(self._line(number).encode())
            await self._turns.end_on_the_loop(turn, accepted=await reader.readline() == b"200\n")
        writer.close()

    def _is_next(self) -> bool:
        self._left -= 1
        return self._left >= 0 and time.monotonic() < self._until

    def _call_of(self, number: int) -> Call:
        return Call.ERASE if number < self._caller.submits else Call.STATUS

    def _line(self, number: int) -> str:
        return f"{self._caller.name}/{number} {'submit' if number < self._caller.submits else 'poll'}\n"


def _make_turns(caller: Caller) -> Turns:
    if caller.peer is None:
        return OurTurns(caller)
    from benchmarks.peer_limiters import PEERS  # the tests of the budget have no peers installed

    return PEERS[caller.peer](caller)


def main() -> None:
    """Be a caller."""
    caller = Caller(**json.loads(sys.argv[1]))
    budget_module.MINUTE, budget_module.HOUR = caller.minute, 30 * caller.minute
    redis_connection.TIMEOUT = redis_account.TIMEOUT = caller.timeout  # type: ignore[attr-defined]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    waiters = _Waiters(caller, _make_turns(caller))
    if caller.waiters == 1:
        waiters.call_alone()
    else:
        asyncio.run(waiters.call_on_the_loop())


if __name__ == "__main__":
    main()
