"""
The one record of what a task has sent, and of what came back.

Each batch has a record, written before its DELETE and again right after, so that no retry sends it twice. What the log,
the page, receipts and the task's result say is computed from here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import cast

from pydantic import JsonValue

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.users import UserId, fingerprint
from airflow_provider_kore.api.watching import RequestOutcome
from airflow_provider_kore.erasure.plan_identity import changed_plan
from airflow_provider_kore.erasure.record import RECORDS, BatchRecord, BatchState, RequestRecord
from airflow_provider_kore.erasure.store import HEADER_KEY, HEADER_RETENTION, RecordStore
from airflow_provider_kore.exceptions import Consequence
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef

log = logging.getLogger(__name__)

BATCHES_TOGETHER = 50
"""
How many records one value of the store has: few enough for the 64 kB from which Airflow warns, many enough that a retry
reads ten thousand batches by two hundred calls.
"""


class ErasureLedger:
    """
    Keep the records of a task's batches, and write each change through to the store.

    :param records: one for each batch, in order.
    :param scope: the bots of all batches.
    :param store: where the records are kept.
    :param header: what is kept beside them.
    """

    def __init__(
        self,
        records: Sequence[BatchRecord],
        scope: ErasureScope,
        store: RecordStore,
        header: Mapping[str, object] | None = None,
    ) -> None:
        self._records = list(records)
        self.scope = scope
        self._store = store
        self.header = dict(header or {})
        self._request_ids = {request.request_id for record in records for request in record.requests}

    # --- what is recorded --------------------------------------------------------------------------------------------

    @property
    def records(self) -> Sequence[BatchRecord]:
        """The records, in order."""
        return self._records

    @property
    def user_count(self) -> int:
        """All users."""
        return sum(record.user_count for record in self._records)

    @property
    def outcome(self) -> ErasureOutcome:
        """What all users add up to."""
        return sum((record.outcome for record in self._records), ErasureOutcome())

    @property
    def accepted(self) -> list[BatchRecord]:
        """The batches that Kore.ai accepted and that are not settled."""
        return [record for record in self._records if record.state is BatchState.ACCEPTED]

    @property
    def open_request_ids(self) -> list[str]:
        """The requests of which some user is open."""
        return [record.request.request_id for record in self.accepted if record.outcome.open]

    @property
    def not_erased_users(self) -> list[UserRef]:
        """The first of those users who are known by position not to be erased."""
        settled = (record for record in self._records if record.state is BatchState.SETTLED)
        refs = (
            UserRef(batch=record.number, position=position + 1)
            for record in settled
            for position in record.positions or ()
        )
        return list(islice(refs, NAMED_IN_OUTPUT))

    @property
    def unsent(self) -> int:
        """How many batches are in no accepted request."""
        return sum(record.is_unsent for record in self._records)

    @property
    def unsent_users(self) -> int:
        """How many users are in no accepted request, or were to be submitted again and are in no further one."""
        return sum(record.unerased for record in self._records if record.is_unsent)

    @property
    def first_submitted_at(self) -> int | None:
        """When the first request was accepted, in seconds since the epoch; ``None`` if none was."""
        times = [record.requests[0].submitted_at for record in self._records if record.requests]
        return min(filter(None, times), default=None)

    @property
    def anything_accepted(self) -> bool:
        """Whether Kore.ai has accepted any request."""
        return bool(self._request_ids)

    @property
    def anything_sent(self) -> bool:
        """Whether Kore.ai has accepted any request, or may have."""
        return self.anything_accepted or any(record.is_ambiguous for record in self._records)

    @property
    def consequence(self) -> Consequence:
        """What it means for the erasure if an attempt ends without sending anything."""
        if self.anything_accepted:
            return Consequence.SENT_BEFORE
        return Consequence.UNCLEAR_BEFORE if self.anything_sent else Consequence.NOT_SENT

    @property
    def consequence_of_stopping(self) -> Consequence:
        """What it means for the erasure if its submission ends here."""
        if not self.unsent:
            return Consequence.SENT
        if self.anything_accepted:
            return Consequence.PARTLY_DONE
        return Consequence.UNKNOWN if self.anything_sent else Consequence.NOT_SENT

    def has_request(self, request_id: str) -> bool:
        """Return whether some batch has this request id, which then cannot be another one's too."""
        return request_id in self._request_ids

    # --- reading what earlier attempts recorded ----------------------------------------------------------------------

    @classmethod
    def load(cls, store: RecordStore) -> ErasureLedger | None:
        """
        Read what was recorded, without the users.

        :return: ``None`` if nothing was recorded.
        :raises KoreResumeError: if the record cannot be read.
        """
        match store.get(HEADER_KEY):
            case None:
                return None
            case {
                "user_count": int(user_count),
                "batch_size": int(batch_size),
                "bot_ids": list(bot_ids),
                "all_bots": bool(all_bots),
            } if batch_size > 0:
                sizes = [min(batch_size, user_count - start) for start in range(0, user_count, batch_size)]
            case _:
                raise changed_plan("something, but its record cannot be read")
        unread = [BatchRecord(number, BatchState.PLANNED, size) for number, size in enumerate(sizes, start=1)]
        ledger = cls(unread, ErasureScope(tuple(map(str, bot_ids)), all_bots), store)
        ledger.read()
        return ledger

    def read(self) -> None:
        """
        Read the header and all records of the store.

        :raises KoreResumeError: if one cannot be read.
        """
        self.header = cast("dict[str, object]", self._store.get(HEADER_KEY))
        for first in range(1, len(self._records) + 1, BATCHES_TOGETHER):
            key = _key(first)
            try:
                for record in RECORDS.validate_python(self._store.get(key) or []):
                    if _key(record.number) != key:
                        raise ValueError("a record at the wrong place")
                    self._records[record.number - 1] = record
            except (IndexError, ValueError):
                raise changed_plan(f"batches from {first} on, but their record cannot be read") from None
        self._request_ids = {request.request_id for record in self._records for request in record.requests}

    # --- writing -----------------------------------------------------------------------------------------------------

    def note(self, **facts: str | None) -> None:
        """Write the header, and into it what this attempt was asked to do."""
        self.header |= facts
        self._store.set(HEADER_KEY, cast("JsonValue", self.header), HEADER_RETENTION)

    def forget_unaccepted(self) -> None:
        """Remove the records of requests that Kore.ai did not accept, before another plan gets a header."""
        for key in {_key(record.number) for record in self._records if record.was_sent}:
            self._store.set(key, [])

    def write_intent(self, record: BatchRecord, users: Sequence[UserId], key: bytes) -> BatchRecord:
        """
        Write that a batch is about to be sent, before its DELETE.

        :raises Exception: whatever the store raises: what is not recorded is not sent.
        """
        sending = replace(record, state=BatchState.SENDING, sent_fingerprint=fingerprint(users, key))
        self._put(sending, required=True)
        return sending

    def write_not_accepted(self, record: BatchRecord) -> None:
        """Write that Kore.ai certainly did not accept a request, nor any earlier one whose fate is not known."""
        self._put(replace(record, state=BatchState.PLANNED))

    def write_accepted(self, record: BatchRecord, request_id: str) -> BatchRecord:
        """Write the request id, right after the DELETE."""
        self._request_ids.add(request_id)
        request = RequestRecord(request_id, record.unerased, submitted_at=int(time.time()))
        accepted = replace(record, state=BatchState.ACCEPTED, requests=(*record.requests, request))
        self._put(accepted)
        return accepted

    def note_polls(self, outcomes: Mapping[int, RequestOutcome], *, by_id: bool = False) -> None:
        """
        Note what polls showed of batches that are not settled; it is written with their next change.

        :param outcomes: by number of the batch.
        :param by_id: whether the answers were matched to the users by their ids.
        """
        for number, outcome in outcomes.items():
            record = self._records[number - 1]
            if record.state is BatchState.ACCEPTED:
                *earlier, latest = record.requests
                names_users = by_id or outcome.fingerprint == record.sent_fingerprint
                self._records[number - 1] = replace(
                    record, requests=(*earlier, latest.polled(outcome, names_users=names_users))
                )

    def write_open(self, numbers: Iterable[int]) -> None:
        """Write what polls showed of batches that are not settled, since another process may continue."""
        records = (self._records[number - 1] for number in numbers)
        self._put(*(record for record in records if record.state is BatchState.ACCEPTED))

    def write_settled(self, record: BatchRecord, not_erased: Sequence[int] | None) -> None:
        """
        Write the end of a request.

        :param not_erased: who of its users must be submitted again, by position among them; ``None`` for all.
        """
        positions = record.positions
        if not_erased is not None:
            positions = tuple(record.sent_positions[position] for position in not_erased)
        self._put(replace(record, state=BatchState.SETTLED, positions=positions))

    def write_erased(self, records: Sequence[BatchRecord]) -> None:
        """Write the end of requests after which all users are erased."""
        self._put(*(replace(record, state=BatchState.SETTLED, positions=()) for record in records))

    def write_found(self, found: Mapping[int, tuple[int, ...]]) -> None:
        """
        Write which users verification found, so that a later attempt that does not check them does not forget them.

        :param found: positions by the number of the batch.
        """
        records = (replace(record, found=found[record.number]) for record in self._records if record.number in found)
        self._put(*(record for record in records if record != self._records[record.number - 1]))

    def _put(self, *records: BatchRecord, required: bool = False) -> None:
        changed: dict[str, list[BatchRecord]] = {}
        for record in records:
            self._records[record.number - 1] = record
            changed.setdefault(_key(record.number), []).append(record)
        for key, some in changed.items():
            first = (some[0].number - 1) // BATCHES_TOGETHER * BATCHES_TOGETHER
            together = self._records[first : first + BATCHES_TOGETHER]
            written = [record for record in together if record.was_sent]
            value: JsonValue = RECORDS.dump_python(written, mode="json", exclude_defaults=True)
            if required:
                self._store.set(key, value)
            elif not self._store.set_or_carry(key, value):
                _report_not_stored(some)


def _key(number: int) -> str:
    return f"{HEADER_KEY}_batches_{(number - 1) // BATCHES_TOGETHER + 1}"


def _report_not_stored(records: Sequence[BatchRecord]) -> None:
    for record in records:
        log.error(
            "The record of batch %d could not be stored. It is %s, its requests are %s. A retry of this task would "
            "submit it again.",
            record.number,
            record.state,
            [request.request_id for request in record.requests],
        )
