"""Times as Kore writes them: UTC, in ISO 8601, to the millisecond or to the day."""

import re
from datetime import UTC, datetime

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment_at(seconds: float) -> datetime:
    """Return the moment so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def write_time(moment: datetime) -> str:
    """Write a time as Kore does; what is finer than a millisecond is dropped."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: object, form: re.Pattern[str]) -> datetime:
    """Read a time in the form that Kore documents; raise ``ValueError`` on any other."""
    if not isinstance(text, str) or not form.fullmatch(text):
        raise ValueError("not a time as Kore writes it")
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
