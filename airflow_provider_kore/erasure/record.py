"""One batch of the ledger: how far it is, which requests it has, and what Kore.ai reported of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import TypeAdapter

from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome
from airflow_provider_kore.user_ids.batches import PlannedBatch


class BatchState(StrEnum):
    """How far a batch is."""

    PLANNED = "planned"
    SENDING = "sending"
    """The intent is recorded. Whether Kore.ai accepted the request is not known."""
    ACCEPTED = "accepted"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class RequestRecord(AcceptedErasure):
    """
    Record one accepted request.

    :param submitted_at: when Kore.ai accepted it, in seconds since the epoch; 0 if this task did not submit it.
    :param completed_at: when a poll first saw it settled, in seconds since the epoch.
    :param created_on: when Kore.ai says that it was made, verbatim.
    :param updated_on: when Kore.ai says that it was last changed, verbatim.
    :param reported: how many users were erased, open and not erased at the latest poll.
    :param names_users: whether the answer names the very users of the request.
    :param remarks: what the reader of the log should know of the latest poll.
    """

    submitted_at: int = 0
    completed_at: int | None = None
    created_on: str | None = None
    updated_on: str | None = None
    reported: tuple[int, int, int] | None = None
    names_users: bool = False
    remarks: tuple[str, ...] = ()

    def polled(self, outcome: RequestOutcome, *, names_users: bool) -> RequestRecord:
        """Add the outcome of a poll."""
        counts = outcome.outcome
        if not outcome.was_answered:
            return replace(self, completed_at=None)
        return replace(
            self,
            completed_at=(self.completed_at or outcome.seen_at) if outcome.settled and outcome.understood else None,
            created_on=outcome.created_on or self.created_on,
            updated_on=outcome.updated_on or self.updated_on,
            reported=(counts.erased, counts.open, counts.not_erased),
            names_users=names_users,
            remarks=counts.remarks,
        )


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """
    Record one batch. It contains no user id: users are positions, from 0.

    :param number: which batch, from 1.
    :param state: how far it is.
    :param user_count: all users of the batch.
    :param fingerprint: of all users of the batch in their order, without which positions mean nothing.
    :param positions: the users of its latest request, or of the next one; ``None`` for all. The others are erased.
    :param sent_fingerprint: of the users of its latest request.
    :param requests: its accepted requests, the latest one last.
    :param found: the users that verification found although Kore.ai reports them as erased.
    """

    number: int
    state: BatchState
    user_count: int
    fingerprint: str = ""
    positions: tuple[int, ...] | None = None
    sent_fingerprint: str = ""
    requests: tuple[RequestRecord, ...] = ()
    found: tuple[int, ...] = ()

    @classmethod
    def of(cls, batch: PlannedBatch) -> BatchRecord:
        """Make the record of a batch of which nothing was sent."""
        return cls(batch.number, BatchState.PLANNED, batch.user_count, batch.fingerprint)

    @property
    def request(self) -> RequestRecord:
        """Its latest request."""
        return self.requests[-1]

    @property
    def unerased(self) -> int:
        """How many of its users are not known to be erased."""
        return self.user_count if self.positions is None else len(self.positions)

    @property
    def is_ambiguous(self) -> bool:
        """Whether it was sent, and it is not known whether Kore.ai accepted it."""
        return self.state is BatchState.SENDING

    @property
    def was_sent(self) -> bool:
        """Whether its intent was ever recorded."""
        return bool(self.sent_fingerprint)

    @property
    def is_unsent(self) -> bool:
        """Whether its users are in no request that Kore.ai is known to have accepted."""
        return self.state in (BatchState.PLANNED, BatchState.SENDING)

    @property
    def is_due(self) -> bool:
        """Whether a request is due: none was made yet, one is ambiguous, or one left users not erased."""
        return self.is_unsent or (self.state is BatchState.SETTLED and self.unerased > 0)

    @property
    def name(self) -> str:
        """What the log calls it: its latest request id, if there is one."""
        if self.requests:
            return self.request.request_id
        fate = "ambiguous" if self.is_ambiguous else "not accepted" if self.was_sent else "not sent"
        return f"batch {self.number}, {fate}"

    @property
    def reported(self) -> ErasureOutcome:
        """What Kore.ai's answers to all its requests add up to."""
        latest = self.requests[-1] if self.requests else None
        repeated = (latest and latest.user_count) or self.user_count
        erased, open_, not_erased = (latest and latest.reported) or (0, repeated, 0)
        return ErasureOutcome(self.user_count - repeated + erased, open_, not_erased, latest.remarks if latest else ())

    @property
    def outcome(self) -> ErasureOutcome:
        """What its users add up to; those in no accepted request are not erased."""
        if self.is_unsent:
            return ErasureOutcome(erased=self.user_count - self.unerased, not_erased=self.unerased)
        reported = self.reported
        if self.state is BatchState.ACCEPTED and not reported.open and not self.request.names_users:
            # Kore.ai is done, and it is not known whether with these very users.
            erased = self.user_count - self.unerased
            return ErasureOutcome(erased, reported.erased - erased, reported.not_erased, reported.remarks)
        return reported

    def outcome_of(self, position: int) -> Outcome:
        """
        Return the outcome of one of its users.

        A user is erased only if that is known by id, or if the whole batch is erased. Where Kore.ai is done and does
        not say who is erased, no user is.
        """
        if self.positions is not None and position not in self.positions:
            return Outcome.ERASED
        if self.state is not BatchState.ACCEPTED:
            return Outcome.NOT_ERASED
        reported = self.reported
        return Outcome.NOT_ERASED if reported.not_erased and not reported.open else Outcome.OPEN

    @property
    def sent_positions(self) -> Sequence[int]:
        """The users of its latest or next request, by position in the batch."""
        return range(self.user_count) if self.positions is None else self.positions

    def users_to_send(self, batch: Sequence[UserId]) -> tuple[UserId, ...]:
        """Pick the users of its latest or next request."""
        return tuple(batch) if self.positions is None else tuple(batch[position] for position in self.positions)


RECORDS: TypeAdapter[list[BatchRecord]] = TypeAdapter(list[BatchRecord])
"""Reads and writes the JSON form of records."""
