"""Two rolling windows over the requests of one account, as Kore limits them."""

import math
from bisect import bisect_right
from collections import deque
from email.utils import formatdate

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.settings import Settings

_FORUM_TEXT = "Rate limit for this API has been reached. Please try again later"
_OTHER_TEXT = "Too many calls from this account"


class RateWindows:
    """Remembers when requests came, and refuses those beyond either limit."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def admit(self, settings: Settings, now: float) -> None:
        """Count a request, or refuse it with Kore's throttle answer."""
        while self._times and self._times[0] <= now - max(settings.hour_seconds, settings.minute_seconds):
            self._times.popleft()
        # A spent hour blocks everything, even with the minute free, so it comes first.
        windows = (
            ("hourly", settings.requests_per_hour, settings.hour_seconds),
            ("per-minute", settings.requests_per_minute, settings.minute_seconds),
        )
        full = [
            (name, self._times[-limit] + seconds - now)
            for name, limit, seconds in windows
            if limit and len(self._times) - bisect_right(self._times, now - seconds) >= limit
        ]
        if settings.count_throttled or not full:
            self._times.append(now)
        if full:
            raise _throttled(full[0][0], max(wait for _, wait in full), settings, now)


def _throttled(window: str, wait: float, settings: Settings, now: float) -> RefusedError:
    texts = {
        "documented": f"You've exceeded the {window} rate limit. Please try again later.",
        "forum": _FORUM_TEXT,
        "other": _OTHER_TEXT,
    }
    seconds = max(1, math.ceil(wait))
    headers = {
        "none": {},
        "seconds": {"retry-after": str(seconds)},
        "date": {"retry-after": formatdate(math.ceil(now) + seconds, usegmt=True)},
    }
    return RefusedError(
        settings.throttle_status,
        texts[settings.throttle_text],
        headers=headers[settings.retry_after],
    )
