"""How fast Kore.ai may be called, and how often an open erasure is polled."""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile

MINUTE = 60.0
HOUR = 3600.0

SUBMITS_PER_POLL = 4
"""How many submits go before a poll that waits; a poll can wait, but not for ever."""


class RateBudget:
    """
    Share an account's calls among all that call in its name in this process.

    Kore.ai documents two rolling windows, by the minute and by the hour, that count erase and status calls
    together for the whole account. To be careful, all other calls are counted in them too. Each call waits in one of
    two queues, see :meth:`turn`: submits go before polls, which are all calls that only read, yet after some submits in
    a row a poll goes. Within a queue the call that has waited longest is first. So a long queue by itself makes the
    polls of each request rarer, for all requests alike. Safe for threads.

    A call counts from its answer on, and until then as just made, since Kore.ai counts it at a moment in between.

    :param per_minute: calls in any 60 seconds.
    :param per_hour: calls in any 3,600 seconds.
    :ivar seconds_per_call: the pace that can be kept up for ever.
    """

    def __init__(self, per_minute: int, per_hour: int) -> None:
        self._limits = (per_minute, per_hour)
        self._ended: deque[float] = deque(maxlen=max(per_minute, per_hour))
        self._in_flight = 0
        self._closed_until = -math.inf
        self._next_poll = -math.inf
        self._submits_in_a_row = 0
        self._submits: list[tuple[float, int]] = []
        self._polls: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.narrow(per_minute, per_hour)

    def narrow(self, per_minute: int, per_hour: int) -> None:
        """Allow no more than this; of several connections to one account the strictest counts."""
        with self._lock:
            self._limits = per_minute, per_hour = min(per_minute, self._limits[0]), min(per_hour, self._limits[1])
            self._windows = ((per_minute, MINUTE), (per_hour, HOUR))
            self.seconds_per_call = max(MINUTE / per_minute, HOUR / per_hour)
            self._slow_down = 2 * self.seconds_per_call
            self._longest_credit = per_minute / 2 * self._slow_down

    def turn(self, call: Call, since: float) -> Turn:
        """
        Make a turn for one conversation; it enters the queue when it first asks.

        :param call: which queue.
        :param since: when the wish to call came up, which decides the position in the queue.
        """
        return Turn(self, call, (since, next(self._numbers)))

    def seconds_until_turn(self, now: float, call: Call = Call.ERASE) -> float:
        """Tell how many seconds a call that came now would wait at least, without entering the queue."""
        with self._lock:
            return max(self._next_turn(call, len(self._queue(call)), now) - now, 0.0)

    def close(self, now: float, seconds: float) -> bool:
        """
        Let no call begin for some seconds, because Kore.ai said that the budget is spent.

        :return: whether it was open; of many calls that are throttled at once, one tells the log.
        """
        with self._lock:
            was_open = self._closed_until <= now
            self._closed_until = max(self._closed_until, now + seconds)
            self._next_poll = max(self._next_poll, self._closed_until)
            return was_open

    def slow_polls(self, now: float) -> None:
        """
        Delay the next polls a little, because one found its erasure still open.

        Such polls may use half of the account's calls, so that the hour is not burnt on answers "not yet". Polls that
        find an end may follow each other as the windows allow.
        """
        with self._lock:
            self._next_poll = max(self._next_poll, now - self._longest_credit) + self._slow_down

    def export_usage(self, now: float) -> list[tuple[int, int]]:
        """
        List the calls that still count, for :meth:`import_usage` in another process.

        :return: pairs of seconds ago, rounded down to the minute, and the number of calls.
        """
        with self._lock:
            ages = [now - ended for ended in self._ended]
            minutes = Counter({0: self._in_flight}) + Counter(int(age // MINUTE) for age in ages if age < HOUR)
            return [(int(minute * MINUTE), calls) for minute, calls in sorted(minutes.items(), reverse=True)]

    def import_usage(self, calls: Sequence[Sequence[int]], listed_at: float) -> None:
        """
        Count calls that the task made in the process that it has left.

        Changes nothing if this process has called already: then it is no new one, and knows its share.

        :param calls: what :meth:`export_usage` gave there.
        :param listed_at: when that was, by this process's clock.
        """
        with self._lock:
            if not self._ended and not self._in_flight:
                self._ended.extend(sorted(listed_at - seconds for seconds, count in calls for _ in range(count)))

    # --- for turns ---------------------------------------------------------------------------------------------------

    def _queue(self, call: Call) -> list[tuple[float, int]]:
        return self._polls if call.only_reads else self._submits

    def _ask(self, turn: Turn, now: float) -> float:
        with self._lock:
            queue = self._queue(turn.call)
            position = bisect_left(queue, turn.position)
            if not turn.queued:
                queue.insert(position, turn.position)
                turn.queued = True
            seconds = self._next_turn(turn.call, position, now) - now
            if seconds > 0:
                return seconds
            del queue[position]
            turn.queued = False
            turn.began = now
            self._in_flight += 1
            self._submits_in_a_row = 0 if turn.call.only_reads else min(self._submits_in_a_row + 1, SUBMITS_PER_POLL)
            return 0.0

    def _leave(self, turn: Turn) -> None:
        with self._lock:
            if turn.queued:
                queue = self._queue(turn.call)
                del queue[bisect_left(queue, turn.position)]
                turn.queued = False

    def _end(self, now: float) -> None:
        with self._lock:
            self._in_flight -= 1
            # Threads can come here in another order than they read the clock.
            self._ended.append(max(now, self._ended[-1]) if self._ended else now)

    def _next_turn(self, call: Call, position: int, now: float) -> float:
        """Say when the turn of a position comes at the earliest; right if all before it take theirs then."""
        if call.only_reads:
            ahead = position + min(len(self._submits), (position + 1) * SUBMITS_PER_POLL - self._submits_in_a_row)
            moment = max(self._closed_until, self._next_poll + position * self._slow_down)
        else:
            ahead = position + min(len(self._polls), (self._submits_in_a_row + position) // SUBMITS_PER_POLL)
            moment = self._closed_until
        known = len(self._ended) + self._in_flight
        for calls, seconds in self._windows:
            rounds, ahead_in_round = divmod(ahead, calls)
            leaving = known + ahead_in_round - calls  # the call that must have left the window by then
            free = now if leaving < 0 else (self._ended[leaving] if leaving < len(self._ended) else now) + seconds
            moment = max(moment, free + rounds * seconds)
        return moment


class Turn:
    """
    The turn of one conversation in the queue of its account.

    Its owner must :meth:`end` each call, and :meth:`leave` when it gives up waiting. A call that is repeated gets its
    old position.

    :ivar began: when its last call began; ``None`` before the first.
    """

    __slots__ = ("_budget", "began", "call", "position", "queued")

    def __init__(self, budget: RateBudget, call: Call, position: tuple[float, int]) -> None:
        self._budget = budget
        self.call = call
        self.position = position
        self.queued = False
        self.began: float | None = None

    def ask(self, now: float) -> float:
        """Begin a call and return 0, or wait in the queue and return how many seconds the turn is away at least."""
        return self._budget._ask(self, now)

    def leave(self) -> None:
        """Leave the queue, if it waits there."""
        self._budget._leave(self)

    def end(self, now: float) -> None:
        """Say that the call was answered, or will not be."""
        self._budget._end(now)


_budgets: dict[tuple[str, str], RateBudget] = {}
_budgets_lock = threading.Lock()


def shared_budget(account: KoreAccount) -> RateBudget:
    """Give the one budget of this process for an account, by whatever connection it is reached."""
    shares = (account.requests_per_minute, account.requests_per_hour)
    with _budgets_lock:
        budget = _budgets.setdefault((account.base_url, account.client_id), RateBudget(*shares))
    budget.narrow(*shares)
    return budget


@dataclass(frozen=True, slots=True)
class Pacing:
    """
    Say how fast conversations may go.

    :param budget: the account's share of calls.
    :param clock: monotonic seconds.
    :param profile: how Kore.ai differs from what is guessed.
    """

    budget: RateBudget
    clock: Callable[[], float] = time.monotonic
    profile: ApiProfile = DEFAULT_PROFILE


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """
    Let the polls of an erasure grow apart with its age.

    Quick at first, since an erasure can take half a second; then in proportion to the age, so that the lag stays a
    fraction of the wait; never longer than a cap. That is for a request that waits alone: where many do, the queue of
    :class:`RateBudget` makes the pauses longer.

    :param longest: the longest pause in seconds.
    :param shortest: the shortest pause in seconds.
    :param fraction: the pause as a fraction of the age.
    """

    longest: float = 30.0
    shortest: float = 1.25
    fraction: float = 0.09

    def pause(self, age: float) -> float:
        """Give the seconds until the next poll of a request of this age, with a tenth of jitter."""
        pause = min(self.longest, max(self.shortest, self.fraction * age))
        return pause * random.uniform(0.9, 1.0)  # noqa: S311
