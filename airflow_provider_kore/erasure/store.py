"""Where the ledger is kept: Airflow's task state store, or the task itself where there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from pydantic import JsonValue

log = logging.getLogger(__name__)

HEADER_KEY = "kore_erasure"

FIRST_ATTEMPT_KEY = "kore_erasure_first_attempt"

RETENTION = timedelta(days=180)
"""Longer than any statutory window for an answer (three months under GDPR, 90 days under CCPA, extended)."""

HEADER_RETENTION = RETENTION + timedelta(days=30)
"""The header outlives its records, so that records of another plan are never adopted by a new header."""


class TaskStateStore(Protocol):
    """What is used of Airflow's ``context["task_state_store"]``, which exists since Airflow 3.3."""

    def get(self, key: str, default: JsonValue = None) -> JsonValue:
        """Read a value."""
        ...

    def set(self, key: str, value: JsonValue, *, retention: timedelta | None = None) -> None:
        """Write a value."""
        ...


class RecordStore:
    """
    Keep values in Airflow's task state store, and carry along what is not in it.

    That is everything before Airflow 3.3, and later what could not be written. The task carries it when it leaves its
    worker; a retry does not find it.

    :param store: Airflow's; ``None`` if there is none.
    :param carried: what is not in it.
    """

    def __init__(self, store: TaskStateStore | None, carried: Mapping[str, JsonValue] | None = None) -> None:
        self._store = store
        self.carried = dict(carried or {})

    @property
    def survives_the_attempt(self) -> bool:
        """Whether a retry finds what is written."""
        return self._store is not None

    def get(self, key: str) -> JsonValue:
        """Read a value; ``None`` if there is none."""
        if key in self.carried or self._store is None:
            return self.carried.get(key)
        return self._store.get(key)

    def set(self, key: str, value: JsonValue, retention: timedelta = RETENTION) -> None:
        """Write a value to where a retry finds it."""
        if self._store is None:
            self.carried[key] = value
        else:
            self._store.set(key, value, retention=retention)
            self.carried.pop(key, None)

    def set_or_carry(self, key: str, value: JsonValue) -> bool:
        """
        Write what was done at Kore.ai and cannot be undone by failing here: the task continues without a store.

        :return: whether it is written; if not, the task carries it.
        """
        for attempt in range(4):
            if attempt:
                time.sleep(2.0 ** (attempt - 1))
            try:
                self.set(key, value)
                return True
            except Exception:
                log.warning("Records could not be stored.", exc_info=True)
        self.carried[key] = value
        return False

    def is_forgotten(self, attempt: int) -> bool:
        """
        Return whether earlier attempts may have sent what Airflow has kept no record of.

        That is so before Airflow 3.3, and where records have expired or were cleaned up. The first attempt that asks
        leaves a mark, by which later ones know whether there was anything before.

        :param attempt: Airflow's ``try_number``.
        """
        if not self.survives_the_attempt:
            return attempt > 1
        if self.get(HEADER_KEY) is not None:
            return False
        mark = self.get(FIRST_ATTEMPT_KEY)
        if mark is None:
            mark = "seen" if attempt <= 1 else "missed"
            self.set(FIRST_ATTEMPT_KEY, mark, HEADER_RETENTION)
        return mark == "missed"
