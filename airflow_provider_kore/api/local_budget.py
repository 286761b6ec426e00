"""The budget of an account as one process keeps it, for all that call in it."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence

from airflow_provider_kore.api.budget import SUBMITS_PER_POLL, Reason, Turn, Wait, windows
from airflow_provider_kore.api.errors import Call

_FULL = (Reason.MINUTE, Reason.HOUR)
"""Why a call waits for the first window, and for the second."""


class LocalBudget:
    """
    The :class:`~airflow_provider_kore.api.budget.Budget` that all share who call in this process.

    :param per_minute: calls in any 60 seconds.
    :param per_hour: calls in any 3,600 seconds.
    :param clock: monotonic seconds.
    :ivar seconds_per_call: the pace that can be kept up for ever.
    """

    does_io = False

    def __init__(self, per_minute: int, per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = (per_minute, per_hour)
        self._clock = clock
        self._ended: deque[float] = deque(maxlen=max(per_minute, per_hour))
        self._under_way: set[str] = set()
        self._closed_until = -math.inf
        self._next_poll = -math.inf
        self._submits_in_a_row = 0
        self._submits: list[tuple[float, str]] = []
        self._polls: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self.narrow(per_minute, per_hour)

    def narrow(self, per_minute: int, per_hour: int) -> None:
        """Allow no more than this; of several connections to one account the strictest counts."""
        with self._lock:
            self._limits = min(per_minute, self._limits[0]), min(per_hour, self._limits[1])
            self._windows = windows(*self._limits)
            self.seconds_per_call = max(seconds / calls for calls, seconds in self._windows)
            self._slow_down = 2 * self.seconds_per_call
            self._longest_credit = self._limits[0] / 2 * self._slow_down

    def ask(self, turn: Turn) -> Wait:
        """Begin the call of a turn, or let it wait in the queue."""
        with self._lock:
            now = self._clock()
            queue, place = self._queue(turn.call), (turn.since, turn.id)
            position = bisect_left(queue, place)
            if queue[position : position + 1] != [place]:
                queue.insert(position, place)
            moment, ahead, reason = self._next_turn(turn.call, position, now)
            if moment > now:
                return Wait(moment - now, ahead, self._left(now), reason)
            del queue[position]
            turn.began = now
            self._under_way.add(turn.id)
            self._submits_in_a_row = 0 if turn.call.only_reads else min(self._submits_in_a_row + 1, SUBMITS_PER_POLL)
            return Wait(0.0, left=self._left(now))

    def leave(self, turn: Turn) -> None:
        """Take a turn out of the queue, if it waits there."""
        with self._lock:
            queue, place = self._queue(turn.call), (turn.since, turn.id)
            position = bisect_left(queue, place)
            if queue[position : position + 1] == [place]:
                del queue[position]

    def end(self, turn: Turn) -> None:
        """Count the call of a turn from now on, if it is under way."""
        with self._lock:
            if turn.id in self._under_way:
                self._under_way.remove(turn.id)
                now = self._clock()
                # Imported calls of a machine whose clock is ahead can lie in the future.
                self._ended.append(max(now, self._ended[-1]) if self._ended else now)

    def close(self, seconds: float) -> bool:
        """Let no call begin for some seconds, and tell whether it was open."""
        with self._lock:
            now = self._clock()
            was_open = self._closed_until <= now
            self._closed_until = max(self._closed_until, now + seconds)
            self._next_poll = max(self._next_poll, self._closed_until)
            return was_open

    def slow_polls(self) -> None:
        """Delay the next polls a little."""
        with self._lock:
            self._next_poll = max(self._next_poll, self._clock() - self._longest_credit) + self._slow_down

    def seconds_until_turn(self, call: Call) -> float:
        """Tell how many seconds a call that came now would wait at least, without entering the queue."""
        with self._lock:
            now = self._clock()
            moment, _, _ = self._next_turn(call, len(self._queue(call)), now)
            return max(moment - now, 0.0)

    def export_usage(self) -> list[tuple[int, int]]:
        """List the calls that still count, as pairs of seconds ago and number."""
        (_, minute), (_, hour) = self._windows
        with self._lock:
            now = self._clock()
            ages = [now - ended for ended in self._ended]
            minutes = Counter({0: len(self._under_way)}) + Counter(int(age // minute) for age in ages if age < hour)
            return [(int(number * minute), calls) for number, calls in sorted(minutes.items(), reverse=True)]

    def import_usage(self, calls: Sequence[Sequence[int]], listed_seconds_ago: float) -> None:
        """
        Count calls that the task made in the process that it has left.

        Changes nothing if this process has called already: then it is no new one, and knows its share.
        """
        with self._lock:
            if not self._ended and not self._under_way:
                listed_at = self._clock() - listed_seconds_ago
                self._ended.extend(sorted(listed_at - seconds for seconds, count in calls for _ in range(count)))

    def check(self) -> None:
        """Find nothing: a process can always use its own budget."""

    def _queue(self, call: Call) -> list[tuple[float, str]]:
        return self._polls if call.only_reads else self._submits

    def _left(self, now: float) -> tuple[int, int]:
        """Count the calls that are left in each window."""
        known = len(self._ended) + len(self._under_way)
        (per_minute, minute), (per_hour, hour) = self._windows
        return (
            max(per_minute - known + bisect_right(self._ended, now - minute), 0),
            max(per_hour - known + bisect_right(self._ended, now - hour), 0),
        )

    def _next_turn(self, call: Call, position: int, now: float) -> tuple[float, int, Reason]:
        """
        Say when the turn of a position comes at the earliest; right if all before it take theirs then.

        :return: the moment, how many calls go before it, and what it waits for.
        """
        if call.only_reads:
            ahead = position + min(len(self._submits), (position + 1) * SUBMITS_PER_POLL - self._submits_in_a_row)
        else:
            ahead = position + min(len(self._polls), (self._submits_in_a_row + position) // SUBMITS_PER_POLL)
        moment, reason = self._closed_until, Reason.THROTTLED
        known = len(self._ended) + len(self._under_way)
        for full, (calls, seconds) in zip(_FULL, self._windows, strict=True):
            rounds, ahead_in_round = divmod(ahead, calls)
            leaving = known + ahead_in_round - calls  # the call that must have left the window by then
            free = now if leaving < 0 else (self._ended[leaving] if leaving < len(self._ended) else now) + seconds
            free += rounds * seconds
            if free > moment:
                moment, reason = free, full
        if call.only_reads and (slowed := self._next_poll + position * self._slow_down) > moment:
            # After a throttle, polls begin one after the other.
            moment, reason = slowed, Reason.THROTTLED if self._closed_until > now else Reason.POLLS_SLOWED
        return moment, ahead, reason
