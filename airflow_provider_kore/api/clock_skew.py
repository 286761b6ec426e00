"""By how much this machine's clock differs from Kore.ai's, as the header ``Date`` of an answer shows it."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_CORRECTED_SKEW = 300.0
"""In seconds; a clock that is off by more is to be set, and a header that says so is not trusted with tokens."""

SHORTEST_SKEW = 2.0
"""In seconds; ``Date`` has whole seconds, and an answer travels for a while."""

_LONGEST_SKEW = 31 * 86_400.0
"""In seconds; a header that says more is wrong itself."""


def read_clock_skew(date: str | None, now: float) -> float | None:
    """
    Tell by how many seconds Kore.ai's clock is ahead of this machine's.

    :param date: the header ``Date`` as it came.
    :param now: this machine's time when the answer came, in seconds since the epoch.
    :return: 0.0 if the clocks agree; ``None`` if the header is missing, malformed or absurd.
    """
    if date is None or len(date) > 64:
        return None
    try:
        when = parsedate_to_datetime(date)
        skew = when.replace(tzinfo=when.tzinfo or UTC).timestamp() + 0.5 - now
    except (ValueError, OverflowError):
        return None
    if abs(skew) > _LONGEST_SKEW:
        return None
    return skew if abs(skew) >= SHORTEST_SKEW else 0.0
