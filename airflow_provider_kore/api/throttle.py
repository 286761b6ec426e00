"""Whether an answer says that the account's budget of calls is spent, and for how long to stay away then."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_kore.api.exchange import Answer
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile

_RATE_LIMIT = re.compile(r"(?<![a-z])rate[ _-]?limit", re.I)


def is_throttle(status: int, text: str | None, profile: ApiProfile = DEFAULT_PROFILE) -> bool:
    """Tell a spent budget: 429, or a guess: any 4xx that speaks of a rate limit."""
    if status == 429:
        return True
    speaks_of_it = _RATE_LIMIT.search(text or "") is not None or profile.speaks_of_throttle(text or "")
    return 400 <= status < 500 and speaks_of_it


LONGEST_THROTTLE_PAUSE = 3600.0


def throttle_pause(
    answer: Answer, text: str | None, now: datetime | None = None, profile: ApiProfile = DEFAULT_PROFILE
) -> float:
    """
    Give the seconds to stay away after a throttle answer.

    ``Retry-After`` decides, in seconds or as a date; without it the profile, by whether the text speaks of the hour.
    """
    seconds = _retry_after(answer.retry_after, now or datetime.now(UTC))
    if seconds is None:
        of_hour = re.search(r"hour", text or "", re.I)
        seconds = profile.hour_throttle_pause if of_hour else profile.minute_throttle_pause
    return min(max(seconds, 1.0), LONGEST_THROTTLE_PAUSE)


def _retry_after(header: str | None, now: datetime) -> float | None:
    if header is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", header):
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds()
