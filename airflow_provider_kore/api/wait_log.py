"""The lines of a task's log that say why its calls wait."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from airflow_provider_kore.api.budget import Turn, Wait

log = logging.getLogger(__name__)

LONG_WAIT = 10.0
"""From how many seconds on a wait is logged."""

LOG_INTERVAL = 60.0
"""How many seconds lie between two lines of one conversation at least, since a watch of many requests often waits."""


class WaitLog:
    """
    Log why the calls of one conversation wait: one line for each long wait, and not more than one a minute.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged_at = -math.inf
        self._logged: Turn | None = None

    def note(self, turn: Turn, wait: Wait) -> None:
        """Log a wait, if it is long and its line is not there yet."""
        if wait.reason is None:
            self._logged = None  # if the call is repeated, that is another wait
            return
        now = self._clock()
        if wait.seconds < LONG_WAIT or turn is self._logged or now < self._logged_at + LOG_INTERVAL:
            return
        self._logged, self._logged_at = turn, now
        log.info(
            "The next %s waits for its turn, at least %.0f s: %s. "
            "Calls before it: %d. Calls left: %d this minute, %d this hour.",
            turn.call.value,
            wait.seconds,
            wait.reason.value,
            wait.ahead,
            *wait.left,
        )
