"""Libraries that limit calls over processes with Redis, each used as its documentation says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import redis
import redis.asyncio
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage as AsyncRedisStorage
from limits.aio.strategies import MovingWindowRateLimiter as AsyncMovingWindowRateLimiter
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from pyrate_limiter import Limiter, Rate, RedisBucket

from airflow_provider_kore.api.budget import Turn
from airflow_provider_kore.api.errors import Call
from benchmarks.strict_account import PER_HOUR, PER_MINUTE, Caller, Turns

KEY = "account"
SHORTEST_PAUSE = 0.002


class LimitsTurns:
    """
    ``limits`` with its moving window, the only strategy that never allows more than the limit in any window.

    It has one limit a question. So both windows are tested, and then both are hit; who must wait sleeps until the
    window says that it is reset.
    """

    def __init__(self, caller: Caller) -> None:
        url = f"redis://127.0.0.1:{caller.redis_port}"
        minute = int(caller.minute)
        self._windows = RateLimitItemPerSecond(PER_MINUTE, minute), RateLimitItemPerSecond(PER_HOUR, 30 * minute)
        self._limiter = MovingWindowRateLimiter(RedisStorage(url))
        self._async_limiter = AsyncMovingWindowRateLimiter(AsyncRedisStorage(f"async+{url}", implementation="redispy"))

    def begin(self, call: Call, until: float) -> Turn | None:
        """Wait until a call is allowed."""
        while time.monotonic() < until:
            full = self._full_window()
            if full is None:
                return Turn(call, time.monotonic())
            time.sleep(_until_reset(self._limiter.get_window_stats(full, KEY).reset_time))
        return None

    def _full_window(self) -> RateLimitItemPerSecond | None:
        for ask in (self._limiter.test, self._limiter.hit):
            for window in self._windows:
                if not ask(window, KEY):
                    return window
        return None

    def end(self, turn: Turn, *, accepted: bool) -> None:
        """Do nothing: a call counts from the moment at which it was allowed."""

    async def begin_on_the_loop(self, call: Call, until: float) -> Turn | None:
        """Wait until a call is allowed."""
        while time.monotonic() < until:
            full = await self._full_window_on_the_loop()
            if full is None:
                return Turn(call, time.monotonic())
            await asyncio.sleep(_until_reset((await self._async_limiter.get_window_stats(full, KEY)).reset_time))
        return None

    async def _full_window_on_the_loop(self) -> RateLimitItemPerSecond | None:
        for ask in (self._async_limiter.test, self._async_limiter.hit):
            for window in self._windows:
                if not await ask(window, KEY):
                    return window
        return None

    async def end_on_the_loop(self, turn: Turn, *, accepted: bool) -> None:
        """Do nothing."""


def _until_reset(reset_time: float) -> float:
    return max(reset_time - time.time(), SHORTEST_PAUSE)


class PyrateTurns:
    """``pyrate-limiter`` with its exact algorithm, the default, over both windows in one script; it waits by itself."""

    def __init__(self, caller: Caller) -> None:
        minute = round(caller.minute * 1000)
        self._rates = [Rate(PER_MINUTE, minute), Rate(PER_HOUR, 30 * minute)]
        self._port = caller.redis_port or 0
        self._limiter: Limiter | None = None
        self._making = asyncio.Lock()

    def begin(self, call: Call, until: float) -> Turn | None:
        """Wait until a call is allowed."""
        if self._limiter is None:
            self._limiter = Limiter(RedisBucket.init(self._rates, redis.Redis(port=self._port), KEY))
        allowed = self._limiter.try_acquire(KEY, timeout=max(until - time.monotonic(), 0.0))
        return Turn(call, time.monotonic()) if allowed else None

    def end(self, turn: Turn, *, accepted: bool) -> None:
        """Do nothing: a call counts from the moment at which it was allowed."""

    async def begin_on_the_loop(self, call: Call, until: float) -> Turn | None:
        """Wait until a call is allowed."""
        async with self._making:
            if self._limiter is None:
                client = redis.asyncio.Redis(port=self._port)
                self._limiter = Limiter(await RedisBucket.init(self._rates, client, KEY))
        allowed = await self._limiter.try_acquire_async(KEY, timeout=max(until - time.monotonic(), 0.0))
        return Turn(call, time.monotonic()) if allowed else None

    async def end_on_the_loop(self, turn: Turn, *, accepted: bool) -> None:
        """Do nothing."""


PEERS: dict[str, Callable[[Caller], Turns]] = {"limits": LimitsTurns, "pyrate-limiter": PyrateTurns}
