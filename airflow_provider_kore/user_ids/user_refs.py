"""Name users so that only the owner of the source or of the key of digests knows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NotRequired

from typing_extensions import TypedDict  # pydantic reads that of typing from Python 3.12 on

from airflow_provider_kore.api.users import UserId, digest

NAMED_IN_OUTPUT = 1000
"""How many users an outcome names."""

NAMED_IN_ERROR = 20


class UserRef(TypedDict):
    """Refer to a user: batch and position in it, both from 1, and the digest if the connection has a key for it."""

    batch: int
    position: int
    digest: NotRequired[str]


def user_ref(batch: int, position: int, user_id: UserId, digest_key: str) -> UserRef:
    """
    Name a user without the id.

    :param batch: number of the batch, from 1.
    :param position: in the batch, from 0.
    :param digest_key: of the connection; empty if it has none.
    """
    ref: UserRef = {"batch": batch, "position": position + 1}
    if digest_key:
        ref["digest"] = digest(user_id, digest_key)
    return ref


def show_user_ref(ref: UserRef) -> str:
    """Write where in its batch a user is."""
    return f"{ref['position']} ({ref['digest']})" if "digest" in ref else str(ref["position"])


def show_user_refs(refs: Iterable[UserRef], count: int) -> str:
    """
    Write where some users are, and that there are more of them.

    :param refs: the users, of whom the first are shown.
    :param count: how many there are in all.
    """
    shown: Sequence[str] = [
        f"batch {ref['batch']} position {show_user_ref(ref)}" for ref in islice(refs, NAMED_IN_ERROR)
    ]
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")
