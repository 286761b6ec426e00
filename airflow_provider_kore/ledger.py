"""
What a task has submitted so far, kept in Airflow's task state store so that no retry submits it twice.

Each batch has a record of its own, written before its DELETE and again right after. No record holds a user id: users
are positions in their batch, and a keyed fingerprint tells whether the batch is still the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypedDict, cast

from pydantic import JsonValue

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.erasure import ErasureScope
from airflow_provider_kore.api.users import (
    UserId,
    fingerprint,
    user_id_to_json,
)
from airflow_provider_kore.api.watching import AcceptedErasure, AcceptedErasureFields
from airflow_provider_kore.exceptions import Consequence, KoreResumeError

log = logging.getLogger(__name__)

RETENTION = timedelta(days=180)
"""Longer than any statutory window for an answer (three months under GDPR, 90 days under CCPA, extended)."""

HEADER_RETENTION = RETENTION + timedelta(days=30)
"""The header outlives its records, so that records of another plan are never adopted by a new header."""

HEADER_KEY = "kore_erasure"


class TaskStateStore(Protocol):
    """What is used of Airflow's ``context["task_state_store"]``, which exists since Airflow 3.3."""

    def get(self, key: str, default: JsonValue = None) -> JsonValue:
        """Read a value."""
        ...

    def set(self, key: str, value: JsonValue, *, retention: timedelta | None = None) -> None:
        """Write a value."""
        ...


class BatchState(StrEnum):
    """How far a batch is."""

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SETTLED = "settled"


class BatchFields(TypedDict):
    """The JSON form of a batch's record."""

    number: int
    state: str
    user_count: int
    fingerprint: str
    positions: list[int] | None
    sent_fingerprint: str
    requests: list[AcceptedErasureFields]


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """
    Hold how far one batch is.

    :param number: which batch, from 1.
    :param state: how far it is.
    :param user_count: all users of the batch.
    :param fingerprint: of all users of the batch, in their order, since positions mean nothing in another.
    :param positions: the users, by position from 0, that its latest submission is about, or its next one has to be;
        ``None`` for all. The others are erased.
    :param sent_fingerprint: of the users of its latest submission.
    :param requests: the accepted submissions, the latest one last.
    """

    number: int
    state: BatchState
    user_count: int
    fingerprint: str
    positions: tuple[int, ...] | None = None
    sent_fingerprint: str = ""
    requests: tuple[AcceptedErasure, ...] = ()

    @property
    def unerased(self) -> int:
        """How many of its users are not known to be erased."""
        return self.user_count if self.positions is None else len(self.positions)

    @property
    def must_be_sent(self) -> bool:
        """Whether a submission is due: none was made yet, one ended unclear, or one left users not erased."""
        return self.state in (BatchState.PLANNED, BatchState.SENDING) or (
            self.state is BatchState.SETTLED and self.unerased > 0
        )

    def users_to_send(self, batch: Sequence[UserId]) -> tuple[UserId, ...]:
        """Pick the users that its latest or next submission is about."""
        return tuple(batch) if self.positions is None else tuple(batch[position] for position in self.positions)

    def to_json(self) -> BatchFields:
        """Write the form that the store keeps."""
        return {
            "number": self.number,
            "state": self.state.value,
            "user_count": self.user_count,
            "fingerprint": self.fingerprint,
            "positions": None if self.positions is None else list(self.positions),
            "sent_fingerprint": self.sent_fingerprint,
            "requests": [request.to_json() for request in self.requests],
        }

    @classmethod
    def from_json(cls, fields: BatchFields) -> BatchRecord:
        """Read what :meth:`to_json` wrote."""
        positions = fields["positions"]
        return cls(
            number=fields["number"],
            state=BatchState(fields["state"]),
            user_count=fields["user_count"],
            fingerprint=fields["fingerprint"],
            positions=None if positions is None else tuple(positions),
            sent_fingerprint=fields["sent_fingerprint"],
            requests=tuple(AcceptedErasure(**request) for request in fields["requests"]),
        )


class Plan(TypedDict):
    """What must be the same in each try; the JSON form of a ledger's header."""

    version: int
    base_url: str
    client_id: str
    bot_ids: list[str]
    all_bots: bool
    key_check: str
    user_count: int
    batch_size: int
    forced_by_try: int


def make_plan(
    account: KoreAccount, scope: ErasureScope, *, user_count: int, batch_size: int, forced_by_try: int
) -> Plan:
    """
    Write down what a task is about to do, without naming anybody.

    :param forced_by_try: the try that began anew on the author's word; 0 for none.
    """
    return {
        "version": 1,
        "base_url": account.base_url,
        "client_id": account.client_id,
        "bot_ids": list(scope.bot_ids),
        "all_bots": scope.all_bots,
        "key_check": hmac.new(account.fingerprint_key(), b"which key", hashlib.sha256).hexdigest()[:16],
        "user_count": user_count,
        "batch_size": batch_size,
        "forced_by_try": forced_by_try,
    }


_DIFFERENCES: tuple[tuple[str, str], ...] = (
    ("version", "by another version of this provider"),
    ("base_url", "to another base URL"),
    ("client_id", "with another Client ID"),
    ("bot_ids", "for other bots"),
    ("all_bots", "for another scope"),
    ("key_check", "with another digest_key or Client Secret, so that it cannot be told whether the users are the same"),
    ("user_count", "for another number of users: the source of the user ids has changed"),
    ("batch_size", "with another batch_size"),
)


def _changed(what: str) -> KoreResumeError:
    return KoreResumeError(
        f"An earlier try of this task submitted {what}. This try sends nothing.",
        consequence=Consequence.UNKNOWN,
        remedy="Put back what was changed and clear the task, wait for the earlier requests with a KoreErasureSensor "
        "(their ids are in the earlier log), or set force=True to submit everything anew.",
    )


@dataclass(slots=True)
class ErasureLedger:
    """
    Keep the records of a task's batches, and write each change through to the store.

    :param records: one for each batch, in order.
    :param store: Airflow's task state store; ``None`` before Airflow 3.3, and then a retry starts from nothing.
    """

    records: list[BatchRecord]
    store: TaskStateStore | None = field(default=None, repr=False)

    @classmethod
    def open(
        cls,
        store: TaskStateStore | None,
        plan: Plan,
        batches: Sequence[Sequence[UserId]],
        key: bytes,
        *,
        anew: bool = False,
    ) -> ErasureLedger:
        """
        Take up the records of earlier tries, or begin new ones.

        :param plan: what this try is about to do.
        :param batches: the users.
        :param key: makes fingerprints.
        :param anew: forget earlier tries.
        :raises KoreResumeError: if an earlier try did something else, above all for other users.
        """
        fresh = [
            BatchRecord(number, BatchState.PLANNED, len(batch), _fingerprint_in_order(batch, key))
            for number, batch in enumerate(batches, start=1)
        ]
        earlier = None if store is None or anew else store.get(HEADER_KEY)
        if earlier is None:
            ledger = cls(fresh, store)
            if store is not None:
                # Records of a forgotten try go first: a header without them would adopt them.
                for record in fresh if anew else ():
                    ledger._write(record)
                store.set(HEADER_KEY, cast("JsonValue", plan), retention=HEADER_RETENTION)
            return ledger
        if not isinstance(earlier, dict):
            raise _changed("something, but its record cannot be read")
        for name, difference in _DIFFERENCES:
            if earlier.get(name) != plan[name]:  # type: ignore[literal-required]
                raise _changed(difference)
        assert store is not None  # noqa: S101
        records = [_read_record(store, record) for record in fresh]
        for record, wanted in zip(records, fresh, strict=True):
            if record.fingerprint != wanted.fingerprint:
                raise _changed(
                    f"other users in batch {record.number}, or in another order: the source of the user ids has changed"
                )
        store.set(HEADER_KEY, earlier, retention=HEADER_RETENTION)
        return cls(records, store)

    @classmethod
    def load(cls, store: TaskStateStore | None) -> ErasureLedger | None:
        """Read what was recorded, where the users are not at hand; ``None`` if nothing was."""
        plan = store.get(HEADER_KEY) if store is not None else None
        if store is None or plan is None:
            return None
        match plan:
            case {"user_count": int(user_count), "batch_size": int(batch_size)} if batch_size > 0:
                sizes = [min(batch_size, user_count - start) for start in range(0, user_count, batch_size)]
            case _:
                raise _changed("something, but its record cannot be read")
        return cls(
            [
                _read_record(store, BatchRecord(number, BatchState.PLANNED, size, fingerprint=""))
                for number, size in enumerate(sizes, start=1)
            ],
            store,
        )

    def has_request(self, request_id: str) -> bool:
        """Tell whether some batch already has this request id, which then cannot be another one's too."""
        return any(request.request_id == request_id for record in self.records for request in record.requests)

    @staticmethod
    def forced_by_try(store: TaskStateStore | None) -> int:
        """Give the try that last began anew on the author's word; 0 for none."""
        header = store.get(HEADER_KEY) if store is not None else None
        number = header.get("forced_by_try") if isinstance(header, dict) else None
        return number if isinstance(number, int) else 0

    def matches(self, batches: Sequence[Sequence[UserId]], key: bytes) -> bool:
        """Tell whether these are the very users that the records are about, in the same order."""
        return [record.fingerprint for record in self.records] == [
            _fingerprint_in_order(batch, key) for batch in batches
        ]

    def sending(self, record: BatchRecord, users: Sequence[UserId], key: bytes) -> BatchRecord:
        """Write the intent to submit, before the DELETE."""
        return self._put(
            replace(record, state=BatchState.SENDING, sent_fingerprint=fingerprint(users, key)), required=True
        )

    def not_accepted(self, record: BatchRecord) -> BatchRecord:
        """Write that a submission certainly was not accepted."""
        return self._put(replace(record, state=BatchState.PLANNED))

    def accepted(self, record: BatchRecord, request_id: str) -> BatchRecord:
        """Write the request id, right after the DELETE."""
        request = AcceptedErasure(request_id, record.unerased)
        return self._put(replace(record, state=BatchState.ACCEPTED, requests=(*record.requests, request)))

    def settled(self, record: BatchRecord, repeat: Sequence[int]) -> BatchRecord:
        """
        Write the end of a submission.

        :param repeat: positions among the submitted users of those who are not erased and must be submitted again.
        """
        within = record.positions
        positions = tuple(repeat) if within is None else tuple(within[position] for position in repeat)
        return self._put(replace(record, state=BatchState.SETTLED, positions=positions))

    def _put(self, record: BatchRecord, *, required: bool = False) -> BatchRecord:
        self.records[record.number - 1] = record
        for attempt in range(4):
            try:
                self._write(record)
                break
            except Exception:
                if required:
                    raise
                # What was done at Kore.ai cannot be undone by failing here, so the task goes on without the record.
                log.warning("The record of batch %d could not be stored; trying again.", record.number, exc_info=True)
                time.sleep(2.0**attempt)
        else:
            log.error(
                "The record of batch %d could not be stored. It is %s, its requests are %s. A retry of this task "
                "would submit it again.",
                record.number,
                record.state,
                [request.request_id for request in record.requests],
            )
        return record

    def _write(self, record: BatchRecord) -> None:
        if self.store is not None:
            self.store.set(_batch_key(record.number), cast("JsonValue", record.to_json()), retention=RETENTION)


def _fingerprint_in_order(users: Sequence[UserId], key: bytes) -> str:
    names = json.dumps([user_id_to_json(user_id) for user_id in users], sort_keys=True)
    return hmac.new(key, names.encode(), hashlib.sha256).hexdigest()[:32]


def _batch_key(number: int) -> str:
    return f"{HEADER_KEY}_batch_{number}"


def _read_record(store: TaskStateStore, fresh: BatchRecord) -> BatchRecord:
    fields = store.get(_batch_key(fresh.number))
    if fields is None:
        return fresh
    try:
        return BatchRecord.from_json(cast("BatchFields", fields))
    except (KeyError, TypeError, ValueError):
        raise _changed(f"batch {fresh.number}, but its record cannot be read") from None
