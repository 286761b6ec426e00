"""By which names a user goes, and which users a list of ids and patterns means."""

import uuid
from collections.abc import Iterable
from fnmatch import fnmatchcase

from airflow_provider_kore.sandbox.requests import UserId


def name_of(user_id: UserId) -> str:
    """Return a user id as one string."""
    return user_id if isinstance(user_id, str) else f"{user_id['channel_id']}:{user_id['channel_user_id']}"


def names_of(user_id: UserId) -> frozenset[str]:
    """Return the names by which a list of users may mean this one."""
    return frozenset({name_of(user_id), user_id if isinstance(user_id, str) else user_id["channel_user_id"]})


def resolved_id(user_id: UserId) -> str:
    """Return the ``u-…`` id that a user id stands for; the same one each time."""
    name = name_of(user_id)
    if name.startswith("u-"):
        return name
    hashable = name.encode(errors="backslashreplace").decode()  # half a surrogate pair has no UTF-8
    return f"u-{uuid.uuid5(uuid.NAMESPACE_OID, hashable)}"


def matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    """Return whether any of a user's names is among these ids, or fits one of these patterns."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns for name in names)
