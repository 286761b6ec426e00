"""How far a task is that deletes recordings; nothing in it names a user or a session."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

STORE_KEY = "kore_recordings"

RETENTION = timedelta(days=30)
"""For how long a retry finds it."""


@dataclass(slots=True)
class Progress:
    """
    Count what is done. Users are done in their order, so that a retry continues with the first who is not.

    :param identity: a digest of accounts, users, bots and period; what is stored of another one counts for nothing.
    :param users_done: all users before this number are done.
    :param sessions: how many sessions the users have had who are done.
    :param deleted: how many of these had recordings, which are deleted.
    :param without_recordings: how many had none.
    :param compared: whether ``messages-lite`` was asked for sessions of each user.
    """

    identity: str
    users_done: int = 0
    sessions: int = 0
    deleted: int = 0
    without_recordings: int = 0
    compared: bool = True

    def counts(self) -> dict[str, int]:
        """
        Count all sessions by what is known of their recordings, also those of a user who is not done.

        Sessions whose recordings are not known to be gone are ``failed``: none, once all users are done.
        """
        return {
            "sessions": self.sessions,
            "deleted": self.deleted,
            "without_recordings": self.without_recordings,
            "failed": self.sessions - self.deleted - self.without_recordings,
        }


_PROGRESS = TypeAdapter(Progress)


class _TaskStateStore(Protocol):
    def get(self, key: str, default: JsonValue = None) -> JsonValue: ...

    def set(self, key: str, value: JsonValue, *, retention: timedelta | None = None) -> None: ...


def stored_progress(context: Context, identity: str) -> Progress:
    """
    Read what an earlier attempt has stored, or begin with the first user.

    Without Airflow's task state store, before 3.3, a retry begins with the first user: deleting twice ends in the same
    state.
    """
    store = _store(context)
    try:
        stored = None if store is None else store.get(STORE_KEY)
        progress = None if stored is None else _PROGRESS.validate_python(stored)
    except ValidationError:
        progress = None
    except Exception as error:  # noqa: BLE001 # whatever the store raises, all can be deleted again
        log.warning("What an earlier attempt has done cannot be read (%s).", type(error).__name__)
        progress = None
    return progress if progress is not None and progress.identity == identity else Progress(identity)


def store_progress(context: Context, progress: Progress) -> None:
    """Let a retry find what is done; without it, a retry deletes again what is gone."""
    store = _store(context)
    try:
        if store is not None:
            store.set(STORE_KEY, asdict(progress), retention=RETENTION)
    except Exception as error:  # noqa: BLE001 # see above
        log.warning("What is done cannot be stored for a retry (%s).", type(error).__name__)


def _store(context: Context) -> _TaskStateStore | None:
    store: _TaskStateStore | None = context.get("task_state_store")
    return store
