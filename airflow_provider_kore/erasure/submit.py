"""Submit the batches of a task that are due, each recorded before and after."""

from __future__ import annotations

import logging
import math
import time

from airflow_provider_kore.api.calls import submit_erasure
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.erasure.ledger import BatchRecord, BatchState, ErasureLedger
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreError,
    KoreInputError,
    KoreRequestError,
    KoreResumeError,
    KoreSourceError,
)
from airflow_provider_kore.user_ids.batches import Batch, UserBatches

log = logging.getLogger(__name__)


class Submission:
    """
    Submit the batches of a task that are due; give up the rest at the first error that concerns more than its batch.

    :param ledger: what earlier tries did, and where this one is recorded.
    :param batches: the users.
    :param scope: the bots.
    :param key: makes fingerprints.
    :param deadline: until when turns are waited for, in seconds since the epoch.
    :param resubmit_ambiguous: whether to submit a batch that an earlier try sent without learning its fate.
    :ivar failures: what kept batches from being submitted.
    :ivar next_batch: the number of the batch to go on with.
    """

    def __init__(
        self,
        ledger: ErasureLedger,
        batches: UserBatches,
        scope: ErasureScope,
        key: bytes,
        *,
        deadline: float,
        resubmit_ambiguous: bool,
    ) -> None:
        self._ledger = ledger
        self._batches = batches
        self._scope = scope
        self._key = key
        self._deadline = deadline
        self._resubmit_ambiguous = resubmit_ambiguous
        self.failures: list[KoreError] = []
        self.next_batch = 1

    def begin(self) -> None:
        """Refuse what must not be submitted again."""
        if not self._resubmit_ambiguous:
            self.failures += [
                _ambiguous_before(self._name(record)) for record in self._ledger.records if record.is_unclear
            ]

    def go_on(self, client: KoreClient, max_worker_wait: float = math.inf) -> float:
        """
        Submit batch after batch.

        :param max_worker_wait: longest wait for a turn, in seconds.
        :return: 0.0 at the end; else the account's budget is spent, and there is no turn for so many seconds.
        """
        due = [record for record in self._ledger.records if self._is_due(record)]
        try:
            for record, batch in self._batches.reread(due):
                self.next_batch = record.number
                pause = client.pacing.budget.seconds_until_turn(client.pacing.clock())
                if pause > max_worker_wait and time.time() + pause < self._deadline:
                    return pause
                if not self._submit(client, record, batch):
                    break
                self.next_batch += 1
        except KoreInputError as error:
            self.failures.append(submission_broke_off(error, self._ledger, self.next_batch))
            log.error("%s", self.failures[-1])
        return 0.0

    def _is_due(self, record: BatchRecord) -> bool:
        return (
            record.number >= self.next_batch
            and record.must_be_sent
            and (self._resubmit_ambiguous or not record.is_unclear)
        )

    def _submit(self, client: KoreClient, record: BatchRecord, batch: Batch) -> bool:
        """Submit one batch, and tell whether to go on with the next."""
        name = self._name(record)
        _announce(record, name)
        users = record.users_to_send(batch)
        sending = self._ledger.sending(record, users, self._key)
        give_up_at = client.pacing.clock() + max(self._deadline - time.time(), 0.0)
        try:
            request_id = client.run(submit_erasure(ErasureRequest(users, self._scope), client.pacing, give_up_at))
            if self._ledger.has_request(request_id):
                raise _not_a_new_request(request_id)
        except KoreError as error:
            self.failures.append(_of_batch(error, name, unclear_before=record.is_unclear))
            log.error("%s", self.failures[-1])
            # What came of an earlier try's call stays unclear, whatever comes of this one.
            if not isinstance(error, KoreAmbiguousSubmitError) and not record.is_unclear:
                self._ledger.not_accepted(sending)
            return isinstance(error, KoreRequestError)
        self._ledger.accepted(sending, request_id)
        log.info("Submitted %d users of %s as %s.", len(users), name, request_id)
        return True

    def _name(self, record: BatchRecord) -> str:
        return f"batch {record.number} of {len(self._ledger.records)}"


def submission_broke_off(error: KoreError, ledger: ErasureLedger, next_batch: int) -> KoreInputError:
    """
    Say how far a submission came whose users could not be read again as they had been checked.

    :param error: why.
    :param ledger: what was submitted.
    :param next_batch: the number of the batch to go on with.
    """
    error_type = KoreSourceError if isinstance(error, KoreSourceError) else KoreInputError
    return error_type(
        f"{error.problem} All user ids had been read and checked before. No batch from number {next_batch} on was sent "
        "in this try.",
        consequence=consequence_of_breaking_off(ledger),
        remedy="Put back what was changed and clear the task, which then goes on where this try ended.",
    )


def consequence_of_breaking_off(ledger: ErasureLedger) -> Consequence:
    """Say what it means for the erasure if its submission ends here."""
    if ledger.anything_accepted:
        return Consequence.PARTLY_DONE
    return Consequence.UNKNOWN if ledger.anything_sent else Consequence.NOT_SENT


def _announce(record: BatchRecord, name: str) -> None:
    if record.is_unclear:
        log.warning(
            "AMBIGUOUS: an earlier try sent %s, and whether Kore.ai accepted it is not known. Its %d users are "
            "submitted again; erasing twice ends in the same state.",
            name,
            record.unerased,
        )
    elif record.state is BatchState.SETTLED:
        log.info("%d users of %s were not erased and are submitted again.", record.unerased, name)


def _of_batch(error: KoreError, name: str, *, unclear_before: bool) -> KoreError:
    problem, consequence = f"{name.capitalize()}: {error.problem}", error.consequence
    if unclear_before:
        problem += " An earlier try sent this batch too, without a usable answer."
        consequence = Consequence.UNKNOWN
    return type(error)(problem, consequence=consequence, remedy=error.remedy)


def _not_a_new_request(request_id: str) -> KoreAmbiguousSubmitError:
    return KoreAmbiguousSubmitError(
        f"Kore.ai answered with {request_id}, the request id of an earlier submission, so that the two cannot be told "
        "apart.",
        consequence=Consequence.UNKNOWN,
        remedy="Clear the task to submit this batch again; if it stays so, ask Kore.ai.",
    )


def _ambiguous_before(name: str) -> KoreResumeError:
    return KoreResumeError(
        f"An earlier try sent {name}, and whether Kore.ai accepted it is not known.",
        consequence=Consequence.UNKNOWN,
        remedy="Ask Kore.ai what became of it, then clear the task with on_ambiguous_submit='resubmit'.",
    )
