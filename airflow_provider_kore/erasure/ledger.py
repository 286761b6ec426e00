"""
What a task has submitted so far, kept in Airflow's task state store so that no retry submits it twice.

Each batch has a record, written before its DELETE and again right after. No record holds a user id: users are positions
in their batch, and a keyed fingerprint tells whether the batch is still the same.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypedDict, cast

from pydantic import JsonValue

from airflow_provider_kore.api.account import AccountIdentity, KoreAccount
from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.users import UserId, fingerprint
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome
from airflow_provider_kore.exceptions import Consequence, KoreResumeError
from airflow_provider_kore.user_ids.batches import PlannedBatch

log = logging.getLogger(__name__)

RETENTION = timedelta(days=180)
"""Longer than any statutory window for an answer (three months under GDPR, 90 days under CCPA, extended)."""

HEADER_RETENTION = RETENTION + timedelta(days=30)
"""The header outlives its records, so that records of another plan are never adopted by a new header."""

HEADER_KEY = "kore_erasure"

FIRST_TRY_KEY = "kore_erasure_first_try"

BATCHES_TOGETHER = 50
"""
How many batches have their records in one value of the store: few enough for the 64 kB from which Airflow warns, many
enough that a retry finds ten thousand batches in two hundred reads.
"""


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
    Keep values in Airflow's task state store, and at hand what that does not hold.

    That is everything before Airflow 3.3, which has no such store, and later on what could not be written to it. The
    task carries it along when it defers; a retry does not see it.

    :param store: Airflow's; ``None`` if there is none.
    :param carried: what is not in it.
    """

    def __init__(self, store: TaskStateStore | None, carried: Mapping[str, JsonValue] | None = None) -> None:
        self._store = store
        self.carried = dict(carried or {})

    @property
    def survives_the_try(self) -> bool:
        """Whether a retry will find what is written."""
        return self._store is not None

    def get(self, key: str) -> JsonValue:
        """Read a value; ``None`` if there is none."""
        if key in self.carried or self._store is None:
            return self.carried.get(key)
        return self._store.get(key)

    def set(self, key: str, value: JsonValue, retention: timedelta) -> None:
        """Write a value, to where a retry finds it."""
        if self._store is None:
            self.carried[key] = value
        else:
            self._store.set(key, value, retention=retention)
            self.carried.pop(key, None)


def is_forgotten(store: RecordStore, try_number: int) -> bool:
    """
    Tell whether earlier tries may have sent what Airflow has kept no record of.

    That is so before Airflow 3.3, and where records have expired or were cleaned up. The first try that asks leaves a
    mark, so that later ones know whether there was anything before.
    """
    if not store.survives_the_try:
        return try_number > 1
    if store.get(HEADER_KEY) is not None:
        return False
    mark = store.get(FIRST_TRY_KEY)
    if mark is None:
        mark = "seen" if try_number <= 1 else "missed"
        store.set(FIRST_TRY_KEY, mark, HEADER_RETENTION)
    return mark == "missed"


class BatchState(StrEnum):
    """How far a batch is."""

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SETTLED = "settled"


class SubmittedErasureFields(TypedDict):
    """The JSON form of a submission in a batch's record."""

    request_id: str
    user_count: int | None
    submitted_at: int
    completed_at: int | None
    created_on: str | None
    updated_on: str | None
    reported: list[int] | None


@dataclass(frozen=True, slots=True)
class SubmittedErasure(AcceptedErasure):
    """
    Hold what is known of a submission of this task: beside its id, when it was what.

    :param submitted_at: when Kore.ai accepted it, in seconds since the epoch.
    :param completed_at: when it was first seen to be settled, in seconds since the epoch.
    :param created_on: when Kore.ai says that it was made, verbatim.
    :param updated_on: when Kore.ai says that it was last changed, verbatim.
    :param reported: how many users were erased, open and not erased when it was looked at last.
    """

    submitted_at: int = 0
    completed_at: int | None = None
    created_on: str | None = None
    updated_on: str | None = None
    reported: tuple[int, int, int] | None = None

    def seen(self, outcome: RequestOutcome) -> SubmittedErasure:
        """Add what was seen of it."""
        counts = outcome.outcome
        return replace(
            self,
            completed_at=(self.completed_at or outcome.seen_at) if outcome.settled and outcome.understood else None,
            created_on=outcome.created_on or self.created_on,
            updated_on=outcome.updated_on or self.updated_on,
            reported=(counts.erased, counts.open, counts.not_erased) if outcome.was_answered else self.reported,
        )

    def to_record(self) -> SubmittedErasureFields:
        """Write the form that the store keeps; :meth:`to_json` writes what tasks return."""
        return {
            "request_id": self.request_id,
            "user_count": self.user_count,
            "submitted_at": self.submitted_at,
            "completed_at": self.completed_at,
            "created_on": self.created_on,
            "updated_on": self.updated_on,
            "reported": None if self.reported is None else list(self.reported),
        }

    @classmethod
    def from_record(cls, fields: SubmittedErasureFields) -> SubmittedErasure:
        """Read what :meth:`to_record` wrote."""
        reported = fields["reported"]
        return cls(**{**fields, "reported": None if reported is None else tuple(reported)})  # type: ignore[arg-type]


class BatchFields(TypedDict):
    """The JSON form of a batch's record."""

    number: int
    state: str
    user_count: int
    fingerprint: str
    positions: list[int] | None
    sent_fingerprint: str
    requests: list[SubmittedErasureFields]
    found: list[int]


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
    :param found: the users, by position from 0, who are reported as erased and were found afterwards.
    """

    number: int
    state: BatchState
    user_count: int
    fingerprint: str
    positions: tuple[int, ...] | None = None
    sent_fingerprint: str = ""
    requests: tuple[SubmittedErasure, ...] = ()
    found: tuple[int, ...] = ()

    @classmethod
    def of(cls, batch: PlannedBatch) -> BatchRecord:
        """Begin the record of a batch of which nothing was sent."""
        return cls(batch.number, BatchState.PLANNED, batch.user_count, batch.fingerprint)

    @property
    def unerased(self) -> int:
        """How many of its users are not known to be erased."""
        return self.user_count if self.positions is None else len(self.positions)

    def outcome_of(self, position: int) -> Outcome:
        """
        Say what is known of one of its users.

        Erased is said only of whom it is known by name, or where the whole batch is. Where Kore.ai is done and it is
        not known who is erased, nobody is.

        :param position: of the user, from 0.
        """
        if self.positions is not None and position not in self.positions:
            return Outcome.ERASED
        if self.state is not BatchState.ACCEPTED:
            return Outcome.NOT_ERASED
        _, open_, not_erased = self.requests[-1].reported or (0, 0, 0)
        return Outcome.NOT_ERASED if not_erased and not open_ else Outcome.OPEN

    @property
    def reported(self) -> ErasureOutcome:
        """What Kore.ai's answers to all its submissions add up to."""
        latest = self.requests[-1] if self.requests else None
        repeated = self.user_count if latest is None else latest.user_count or self.user_count
        erased, open_, not_erased = (latest.reported if latest else None) or (0, repeated, 0)
        return ErasureOutcome(self.user_count - repeated + erased, open_, not_erased)

    @property
    def name(self) -> str:
        """How the log calls it: by its latest request, if there is one."""
        if self.requests:
            return self.requests[-1].request_id
        fate = "unclear" if self.is_unclear else "not accepted" if self.was_sent else "not sent"
        return f"batch {self.number}, {fate}"

    @property
    def outcome(self) -> ErasureOutcome:
        """What its users add up to; those of whom no submission is known to be accepted are not erased."""
        if self.state in (BatchState.PLANNED, BatchState.SENDING):
            return ErasureOutcome(erased=self.user_count - self.unerased, not_erased=self.unerased)
        reported = self.reported
        if self.state is BatchState.ACCEPTED and not reported.open:
            # Kore.ai is done, and whether with these very users could not be told.
            erased = self.user_count - self.unerased
            return ErasureOutcome(erased, reported.erased - erased, reported.not_erased)
        return reported

    @property
    def is_unclear(self) -> bool:
        """Whether it was sent, and it is not known whether Kore.ai accepted it."""
        return self.state is BatchState.SENDING

    @property
    def was_sent(self) -> bool:
        """Whether it was ever about to be sent, so that there is something to remember."""
        return self.sent_fingerprint != ""

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
            "requests": [request.to_record() for request in self.requests],
            "found": list(self.found),
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
            requests=tuple(map(SubmittedErasure.from_record, fields["requests"])),
            found=tuple(fields.get("found", ())),
        )


class Plan(AccountIdentity):
    """
    What must be the same in each try.

    A ledger's header is the JSON form of it, and holds beside it ``generation``, which is part of the keys of its
    records, so that those of a forgotten try are never adopted; and ``forgotten``, what that try means for the erasure.
    """

    version: int
    key_check: str
    bot_ids: list[str]
    all_bots: bool
    user_count: int
    batch_size: int
    forced_within: int


def make_plan(
    account: KoreAccount, scope: ErasureScope, *, user_count: int, batch_size: int, forced_within: int
) -> Plan:
    """
    Write down what a task is about to do, without naming anybody.

    :param forced_within: how many tries Airflow grants in all, where the author wants to begin anew: a retry has as
        many as the try before it, and a clear grants more; 0 where nothing is forced.
    """
    return {
        "version": 1,
        **account.identity(),
        "key_check": hmac.new(account.fingerprint_key(), b"which key", hashlib.sha256).hexdigest()[:16],
        "bot_ids": list(scope.bot_ids),
        "all_bots": scope.all_bots,
        "user_count": user_count,
        "batch_size": batch_size,
        "forced_within": forced_within,
    }


_OF_ACCOUNT: tuple[tuple[str, str], ...] = (
    ("base_url", "to another base URL"),
    ("client_id", "with another Client ID"),
)
_DIFFERENCES: tuple[tuple[str, str], ...] = (
    ("version", "by another version of this provider"),
    *_OF_ACCOUNT,
    ("key_check", "with another digest_key or Client Secret, so that it cannot be told whether the users are the same"),
    ("bot_ids", "for other bots"),
    ("all_bots", "for another scope"),
    ("user_count", "for another number of users: the source of the user ids has changed"),
    ("batch_size", "with another batch_size"),
)


def _difference(
    earlier: Mapping[str, object], present: Mapping[str, object], fields: tuple[tuple[str, str], ...]
) -> str | None:
    return next((difference for name, difference in fields if earlier.get(name) != present[name]), None)


def _changed(what: str, consequence: Consequence = Consequence.UNKNOWN) -> KoreResumeError:
    return KoreResumeError(
        f"An earlier try of this task submitted {what}.",
        consequence=consequence,
        remedy="Put back what was changed and clear the task, wait for the earlier requests with a KoreErasureSensor "
        "(their ids are in the earlier log), or set force=True to submit everything anew.",
    )


def require_same_account(before: Mapping[str, object], account: KoreAccount) -> None:
    """
    Refuse to go on elsewhere than where the task began.

    :param before: the identity of the account with which it began.
    :raises KoreResumeError: if the connection means another account by now.
    """
    if difference := _difference(before, account.identity(), _OF_ACCOUNT):
        raise KoreResumeError(
            f"The connection was changed while this task waited: it had submitted {difference}.",
            consequence=Consequence.SENT_BEFORE,
            remedy="Put the connection back as it was, and clear the task to go on.",
        )


def asked_for_something_else(consequence: Consequence) -> KoreResumeError:
    """Say that templates render to something else than when the task left its worker."""
    return KoreResumeError(
        "While this task waited, something that it was asked for beside the erasure has changed: the approval, the "
        "export, the day of receipt, the law, what to look for, or receipt_path.",
        consequence=consequence,
        remedy="Clear the task: it then checks everything anew, and takes up what was submitted.",
    )


class ErasureLedger:
    """
    Keep the records of a task's batches, and write each change through to the store.

    :param records: one for each batch, in order.
    :param scope: the bots that all batches are about.
    :param store: where they are kept.
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
        self._generation = _generation_of(self.header)
        self._request_ids = {request.request_id for record in records for request in record.requests}

    @property
    def records(self) -> Sequence[BatchRecord]:
        """What is known of each batch, in order."""
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
    def begun_at(self) -> int | None:
        """When the first submission was accepted, in seconds since the epoch; ``None`` if none was."""
        times = [record.requests[0].submitted_at for record in self.records if record.requests]
        return min((moment for moment in times if moment), default=None)

    @property
    def anything_accepted(self) -> bool:
        """Whether Kore.ai has accepted any submission."""
        return bool(self._request_ids)

    @property
    def anything_sent(self) -> bool:
        """Whether Kore.ai has accepted any submission, or may have."""
        return self.anything_accepted or any(record.is_unclear for record in self._records)

    @property
    def consequence(self) -> Consequence:
        """What it means for the erasure if a try ends without sending anything."""
        if self.anything_accepted:
            return Consequence.SENT_BEFORE
        if self.anything_sent:
            return Consequence.UNCLEAR_BEFORE
        return Consequence[str(self.header.get("forgotten", Consequence.NOT_SENT.name))]

    @classmethod
    def open(
        cls, store: RecordStore, plan: Plan, planned: Sequence[BatchRecord], *, anew: bool = False
    ) -> ErasureLedger:
        """
        Take up the records of earlier tries, or begin new ones.

        The header is not written before :meth:`note`, so that nothing is forgotten for a try that is refused.

        :param store: where they are kept.
        :param plan: what this try is about to do.
        :param planned: a record for each batch of which nothing was sent.
        :param anew: forget earlier tries.
        :raises KoreResumeError: if an earlier try sent something else, above all for other users.
        """
        if not anew and (earlier := cls.load(store)) is not None:
            difference = _difference(earlier.header, plan, _DIFFERENCES) or earlier._other_users(planned)
            if difference is None:
                records = [
                    record if record.was_sent else wanted
                    for record, wanted in zip(earlier.records, planned, strict=True)
                ]
                return cls(records, earlier.scope, store, earlier.header)
            if earlier.anything_sent:
                raise _changed(difference, earlier.consequence)
        header = {**plan, "generation": _next_generation(store.get(HEADER_KEY)), "forgotten": _forgotten(store).name}
        return cls(planned, ErasureScope(tuple(plan["bot_ids"]), plan["all_bots"]), store, header)

    def _other_users(self, planned: Sequence[BatchRecord]) -> str | None:
        for record, wanted in zip(self._records, planned, strict=True):
            if record.was_sent and record.fingerprint != wanted.fingerprint:
                return (
                    f"other users in batch {record.number}, or in another order: the source of the user ids has changed"
                )
        return None

    @classmethod
    def load(cls, store: RecordStore) -> ErasureLedger | None:
        """Read what was recorded, where the users are not at hand; ``None`` if nothing was."""
        match header := store.get(HEADER_KEY):
            case None:
                return None
            case {
                "user_count": int(user_count),
                "batch_size": int(batch_size),
                "bot_ids": list(bot_ids),
                "all_bots": bool(all_bots),
                "generation": int(generation),
            } if batch_size > 0:
                sizes = [min(batch_size, user_count - start) for start in range(0, user_count, batch_size)]
            case _:
                raise _changed("something, but its record cannot be read")
        unread = [
            BatchRecord(number, BatchState.PLANNED, size, fingerprint="") for number, size in enumerate(sizes, start=1)
        ]
        scope = ErasureScope(tuple(map(str, bot_ids)), all_bots)
        return cls(_read_records(store, unread, generation), scope, store, cast("dict[str, object]", header))

    def has_request(self, request_id: str) -> bool:
        """Tell whether some batch already has this request id, which then cannot be another one's too."""
        return request_id in self._request_ids

    @staticmethod
    def forced_within(store: RecordStore) -> int:
        """Tell how many tries Airflow granted in all when one last began anew on the author's word; 0 for none."""
        header = store.get(HEADER_KEY)
        number = header.get("forced_within") if isinstance(header, dict) else None
        return number if isinstance(number, int) else 0

    def sending(self, record: BatchRecord, users: Sequence[UserId], key: bytes) -> BatchRecord:
        """Write the intent to submit, before the DELETE."""
        sending = replace(record, state=BatchState.SENDING, sent_fingerprint=fingerprint(users, key))
        self._put(sending, required=True)
        return sending

    def not_accepted(self, record: BatchRecord) -> None:
        """Write that a submission certainly was not accepted, and none before it that is not known to be."""
        self._put(replace(record, state=BatchState.PLANNED))

    def accepted(self, record: BatchRecord, request_id: str) -> BatchRecord:
        """Write the request id, right after the DELETE."""
        self._request_ids.add(request_id)
        request = SubmittedErasure(request_id, record.unerased, submitted_at=int(time.time()))
        accepted = replace(record, state=BatchState.ACCEPTED, requests=(*record.requests, request))
        self._put(accepted)
        return accepted

    def seen(self, outcomes: Mapping[int, RequestOutcome]) -> None:
        """
        Note what was seen of submissions that are not settled yet; it is written with the next change of the batch.

        :param outcomes: by number of the batch.
        """
        for number, outcome in outcomes.items():
            record = self._records[number - 1]
            if record.state is BatchState.ACCEPTED:
                *earlier, latest = record.requests
                self._records[number - 1] = replace(record, requests=(*earlier, latest.seen(outcome)))

    def write_open(self, numbers: Iterable[int]) -> None:
        """Write what was seen of those batches that are not settled, since the task may go on in another process."""
        records = (self._records[number - 1] for number in numbers)
        self._put(*(record for record in records if record.state is BatchState.ACCEPTED))

    def settled(self, record: BatchRecord, repeat: Sequence[int]) -> None:
        """
        Write the end of a submission.

        :param repeat: positions among the submitted users of those who are not erased and must be submitted again.
        """
        within = record.positions
        positions = tuple(repeat) if within is None else tuple(within[position] for position in repeat)
        self._put(replace(record, state=BatchState.SETTLED, positions=positions))

    def erased(self, records: Sequence[BatchRecord]) -> None:
        """Write the end of submissions after which everybody is erased."""
        self._put(*(replace(record, state=BatchState.SETTLED, positions=()) for record in records))

    def looked_for(self, found: Mapping[int, tuple[int, ...]]) -> None:
        """
        Write who was found, so that no later try forgets it without having looked.

        :param found: positions by the number of the batch.
        """
        records = (replace(record, found=found[record.number]) for record in self._records if record.number in found)
        self._put(*(record for record in records if record != self._records[record.number - 1]))

    def note(self, **facts: str | None) -> None:
        """Write the header, and into it what this try is asked for."""
        self.header |= facts
        self._store.set(HEADER_KEY, cast("JsonValue", self.header), HEADER_RETENTION)

    def _put(self, *records: BatchRecord, required: bool = False) -> None:
        written: dict[str, list[BatchRecord]] = {}
        for record in records:
            self._records[record.number - 1] = record
            written.setdefault(_key(self._generation, record.number), []).append(record)
        for key, changed in written.items():
            first = (changed[0].number - 1) // BATCHES_TOGETHER * BATCHES_TOGETHER
            together = self._records[first : first + BATCHES_TOGETHER]
            value = cast("JsonValue", [record.to_json() for record in together if record.was_sent])
            if required:
                self._store.set(key, value, RETENTION)
            elif not self._try_to_store(key, value):
                self._report_not_stored(changed)

    def _try_to_store(self, key: str, value: JsonValue) -> bool:
        """Store what was done at Kore.ai, and so cannot be undone by failing here: the task goes on without."""
        for attempt in range(4):
            try:
                self._store.set(key, value, RETENTION)
                return True
            except Exception:
                log.warning("Records could not be stored; trying again.", exc_info=True)
                time.sleep(2.0**attempt)
        self._store.carried[key] = value
        return False

    @staticmethod
    def _report_not_stored(records: Sequence[BatchRecord]) -> None:
        for record in records:
            log.error(
                "The record of batch %d could not be stored. It is %s, its requests are %s. A retry of this task "
                "would submit it again.",
                record.number,
                record.state,
                [request.request_id for request in record.requests],
            )


def _forgotten(store: RecordStore) -> Consequence:
    """Say what it means for the erasure that what was recorded until now is forgotten."""
    try:
        ledger = ErasureLedger.load(store)
    except KoreResumeError:
        return Consequence.UNCLEAR_BEFORE
    return Consequence.NOT_SENT if ledger is None else ledger.consequence


def _generation_of(header: Mapping[str, object]) -> int:
    generation = header.get("generation")
    return generation if isinstance(generation, int) else 0


def _next_generation(header: JsonValue) -> int:
    """Give what no records have been kept under."""
    match header:
        case None:
            return 0
        case {"generation": int(generation)}:
            return generation + 1
        case _:
            return time.time_ns()


def _key(generation: int, number: int) -> str:
    name = f"{HEADER_KEY}_{generation}" if generation else HEADER_KEY
    return f"{name}_batches_{(number - 1) // BATCHES_TOGETHER + 1}"


def _read_records(store: RecordStore, planned: Sequence[BatchRecord], generation: int) -> list[BatchRecord]:
    records = list(planned)
    for first in range(1, len(planned) + 1, BATCHES_TOGETHER):
        key = _key(generation, first)
        try:
            for fields in cast("list[BatchFields]", store.get(key) or []):
                record = BatchRecord.from_json(fields)
                if _key(generation, record.number) != key:
                    raise ValueError("a record at the wrong place")
                records[record.number - 1] = record
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise _changed(f"batches from {first} on, but their record cannot be read") from None
    return records
