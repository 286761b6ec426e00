"""How fast Kore.ai may be called, and how often a waiting erasure is looked at."""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from dataclasses import dataclass

from airflow_provider_kore.api.account import KoreAccount

MINUTE = 60.0
HOUR = 3600.0


class RateBudget:
    """
    Share an account's calls among all that call in its name in this process.

    Kore.ai documents two rolling windows, by the minute and by the hour, that count erase and status calls
    together for the whole account. A turn is booked first come, first served; whoever books waits until it has
    come. Safe for threads.

    :param per_minute: calls in any 60 seconds.
    :param per_hour: calls in any 3,600 seconds.
    :ivar seconds_per_call: the pace that can be kept up for ever.
    """

    def __init__(self, per_minute: int, per_hour: int) -> None:
        self.seconds_per_call = max(MINUTE / per_minute, HOUR / per_hour)
        self._windows = ((per_minute, MINUTE), (per_hour, HOUR))
        self._booked: deque[float] = deque(maxlen=max(per_minute, per_hour))
        self._closed_until = -math.inf
        self._lock = threading.Lock()

    def book(self, now: float) -> float:
        """Book the next free turn and tell how many seconds from ``now`` it comes."""
        with self._lock:
            turn = max(now, self._closed_until, self._booked[-1] if self._booked else -math.inf)
            for calls, seconds in self._windows:
                if len(self._booked) >= calls:
                    turn = max(turn, self._booked[-calls] + seconds)
            self._booked.append(turn)
            return turn - now

    def is_closed(self, now: float) -> bool:
        """Tell whether a throttle answer has come in since a turn was booked."""
        with self._lock:
            return now < self._closed_until

    def close(self, now: float, seconds: float) -> None:
        """Let nobody call for some seconds, because Kore.ai said that the budget is spent."""
        with self._lock:
            self._closed_until = max(self._closed_until, now + seconds)


_budgets: dict[tuple[str, str, int, int], RateBudget] = {}
_budgets_lock = threading.Lock()


def shared_budget(account: KoreAccount) -> RateBudget:
    """Give the one budget of this process for an account."""
    key = (account.base_url, account.client_id, account.requests_per_minute, account.requests_per_hour)
    with _budgets_lock:
        return _budgets.setdefault(key, RateBudget(account.requests_per_minute, account.requests_per_hour))


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """
    Let the looks at an erasure grow apart with its age.

    Quick at first, since an erasure can take half a second; then in proportion to the age, so that the lag stays a
    fraction of the wait; never longer than a cap.

    :param longest: the longest pause in seconds.
    :param shortest: the shortest pause in seconds.
    :param fraction: the pause as a fraction of the age.
    """

    longest: float = MINUTE
    shortest: float = 1.0
    fraction: float = 0.1

    def pause(self, age: float) -> float:
        """Give the seconds until the next look at a request of this age, with a tenth of jitter."""
        pause = min(self.longest, max(self.shortest, self.fraction * age))
        return pause * random.uniform(0.9, 1.0)  # noqa: S311
