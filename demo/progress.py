"""The progress of an erasure, on one line that is rewritten; without a terminal, a new line from time to time."""

import sys
import time

BAR_WIDTH = 25
QUIET_SECONDS = 5.0


class Progress:
    """Shows a bar, a count and what the task is doing."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._last_activity = ""
        self._last_shown = 0.0
        self._is_terminal = sys.stdout.isatty()

    def show(self, erased: int, activity: str) -> None:
        """Show the present state; without a terminal only if the activity is new or some time has passed."""
        now = time.monotonic()
        filled = BAR_WIDTH * erased // self._total
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        line = f"  {now - self._started:4.0f} s  [{bar}]  {erased:3} of {self._total} erased   {activity}"
        if self._is_terminal:
            print(f"\r{line}\x1b[K", end="", flush=True)
        elif activity != self._last_activity or now - self._last_shown >= QUIET_SECONDS:
            print(line, flush=True)
            self._last_activity, self._last_shown = activity, now

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal:
            print()
