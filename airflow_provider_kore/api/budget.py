"""What an account's budget of calls does for those that call, wherever it is kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from secrets import token_hex
from typing import Protocol

from airflow_provider_kore.api.errors import Call

MINUTE = 60.0
HOUR = 3600.0

SUBMITS_PER_POLL = 4
"""How many submits go before a poll that waits; a poll can wait, but not for ever."""


def windows(per_minute: int, per_hour: int) -> tuple[tuple[int, float], tuple[int, float]]:
    """Return the two rolling windows of an account, each as calls and seconds."""
    return (per_minute, MINUTE), (per_hour, HOUR)


_numbers = itertools.count()


@dataclass(slots=True, eq=False)
class Turn:
    """
    The wish of one conversation to call. A call that is repeated gets its old position.

    :param call: which queue: that of the polls, which are all calls that only read, or that of the submits.
    :param since: when the wish came up, by the budget's clock; decides the position in the queue.
    :param id: unique over all processes; of turns with one ``since``, the one made first goes first in its process.
    :ivar began: when its last call began, by the budget's clock; ``None`` before the first. The budget sets it.
    """

    call: Call
    since: float
    id: str = field(default_factory=lambda: f"{next(_numbers):012d}-{token_hex(16)}")
    began: float | None = None


class Reason(Enum):
    """Why a call must wait, as the log says it."""

    THROTTLED = "Kore.ai throttled the account"
    MINUTE = "the calls of this minute are used or promised"
    HOUR = "the calls of this hour are used or promised"
    POLLS_SLOWED = "polls that find their erasures open may use half of the calls"
    BUDGET_NEW = "the budget in Redis is new, or has lost calls, and stays closed for a minute"
    REDIS_AWAY = "Redis cannot be used, and this process has only its part of the calls"


@dataclass(frozen=True, slots=True)
class Wait:
    """
    Say when a call may begin.

    :param seconds: how far its turn is away at least; 0.0 if the call has begun, and counts as under way.
    :param ahead: how many calls go before it.
    :param left: how many calls are left this minute and this hour.
    :param reason: why it waits; ``None`` if it does not.
    """

    seconds: float
    ahead: int = 0
    left: tuple[int, int] = (0, 0)
    reason: Reason | None = None


class Budget(Protocol):
    """
    Share an account's calls among all that call in its name.

    Kore.ai documents two rolling windows, by the minute and by the hour, that count erase and status calls
    together for the whole account. To be careful, all other calls are counted in them too. Each call waits in one of
    two queues: submits go before polls, which are all calls that only read, yet after some submits in a row a poll
    goes. Within a queue the call that has waited longest is first. So a long queue by itself makes the polls of each
    request rarer, for all requests alike. Safe for threads.

    A call counts from its answer on, and until then as just made, since Kore.ai counts it at a moment in between.
    """

    @property
    def does_io(self) -> bool:
        """Whether its methods can block, so that an event loop must call them in a thread."""

    def ask(self, turn: Turn) -> Wait:
        """Begin the call of a turn, or let it wait in the queue; asked again, it keeps its position."""

    def leave(self, turn: Turn) -> None:
        """Take a turn out of the queue; safe to call at any time."""

    def end(self, turn: Turn) -> None:
        """Say that the call of a turn was answered, or will not be; safe to call at any time."""

    def close(self, seconds: float) -> bool:
        """
        Let no call begin for some seconds, because Kore.ai said that the budget is spent.

        :return: whether it was open; of many calls that are throttled at once, one tells the log.
        """

    def slow_polls(self) -> None:
        """
        Delay the next polls a little, because one found its erasure still open.

        Such polls may use half of the account's calls, so that the hour is not burnt on answers "not yet". Polls that
        find an end may follow each other as the windows allow.
        """

    def seconds_until_turn(self, call: Call) -> float:
        """Tell how many seconds a call that came now would wait at least, without entering the queue."""

    def export_usage(self) -> list[tuple[int, int]]:
        """
        List the calls that still count and that only this process knows of, for :meth:`import_usage` in another.

        :return: pairs of seconds ago, rounded down to the minute, and the number of calls.
        """

    def import_usage(self, calls: Sequence[Sequence[int]], listed_seconds_ago: float) -> None:
        """
        Count calls that the task made in the process that it has left.

        :param calls: what :meth:`export_usage` gave there.
        :param listed_seconds_ago: how long ago that was.
        """

    def check(self) -> None:
        """
        Find out whether the budget can be used, without a call.

        :raises KoreConfigurationError: if it cannot, with the reason.
        """
