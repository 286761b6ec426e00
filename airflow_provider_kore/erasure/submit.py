"""Submit the batches that are due, each recorded before and after."""

from __future__ import annotations

import logging
import time
from functools import partial

from airflow_provider_kore.api.calls import submit_erasure
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.record import BatchRecord, BatchState
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
    Submit batches; stop at the first error that concerns more than its batch.

    :param ledger: what earlier attempts did, and where this one is recorded.
    :param batches: the users.
    :param key: makes fingerprints.
    :param deadline: until when the task waits for its turn to call, in seconds since the epoch.
    :param resubmit_ambiguous: whether to submit a batch that an earlier attempt sent without learning its fate.
    :param next_batch: the number of the batch to start with.
    :ivar failures: what kept batches from being submitted.
    """

    def __init__(
        self,
        ledger: ErasureLedger,
        batches: UserBatches,
        key: bytes,
        *,
        deadline: float,
        resubmit_ambiguous: bool,
        next_batch: int = 1,
    ) -> None:
        self._ledger = ledger
        self._batches = batches
        self._key = key
        self._deadline = deadline
        self._resubmit_ambiguous = resubmit_ambiguous
        self.next_batch = next_batch
        self.failures: list[KoreError] = []
        if next_batch == 1 and not resubmit_ambiguous:
            self.failures += [_ambiguous_before(self._name(record)) for record in ledger.records if record.is_ambiguous]

    def submit_due(self, client: KoreClient, max_worker_wait: float) -> float:
        """
        Submit batch after batch.

        :param max_worker_wait: longest wait for a turn, in seconds.
        :return: 0.0 at the end; else the account's budget is spent, and there is no turn for so many seconds.
        """
        due = [record for record in self._ledger.records if self._is_due(record)]
        try:
            for record, batch in self._batches.reread(due):
                self.next_batch = record.number
                pause = client.pacing.budget.seconds_until_turn(Call.ERASE)
                if pause > max_worker_wait and time.time() + pause < self._deadline:
                    return pause
                if not self._submit(client, record, batch):
                    break
                self.next_batch += 1
        except KoreInputError as error:
            self.fail(error)
        return 0.0

    def fail(self, error: KoreError) -> None:
        """Note that the users could not be read again as they were checked, so that the submission ends here."""
        error_type = KoreSourceError if isinstance(error, KoreSourceError) else KoreInputError
        failure = error_type(
            f"{error.problem} All user ids had been read and checked before. No batch from number {self.next_batch} on "
            "was sent in this attempt.",
            consequence=self._ledger.consequence_of_stopping,
            remedy="Put back what was changed and clear the task, which then resumes where this attempt ended.",
        )
        self.failures.append(failure)
        log.error("%s", failure)

    def _is_due(self, record: BatchRecord) -> bool:
        return (
            record.number >= self.next_batch and record.is_due and (self._resubmit_ambiguous or not record.is_ambiguous)
        )

    def _submit(self, client: KoreClient, record: BatchRecord, batch: Batch) -> bool:
        """Submit one batch, and return whether to continue with the next."""
        name = self._name(record)
        _announce(record, name)
        users = record.users_to_send(batch)
        sending = self._ledger.write_intent(record, users, self._key)
        try:
            request = ErasureRequest(users, self._ledger.scope)
            submission = submit_erasure(request, client.pacing, client.pacing.moment_of(self._deadline))
            request_id = client.run(submission, record=partial(self._record_acceptance, sending))
        except KoreError as error:
            self.failures.append(_of_batch(error, name, ambiguous_before=record.is_ambiguous))
            log.error("%s", self.failures[-1])
            # The fate of an earlier attempt's call stays unknown, whatever the fate of this one.
            if not isinstance(error, KoreAmbiguousSubmitError) and not record.is_ambiguous:
                self._ledger.write_not_accepted(sending)
            return isinstance(error, KoreRequestError)
        log.info("Submitted %d users of %s as %s.", len(users), name, request_id)
        return True

    def _record_acceptance(self, sending: BatchRecord, request_id: str) -> None:
        if self._ledger.has_request(request_id):
            raise _not_a_new_request(request_id)
        self._ledger.write_accepted(sending, request_id)

    def _name(self, record: BatchRecord) -> str:
        return f"batch {record.number} of {len(self._ledger.records)}"


def _announce(record: BatchRecord, name: str) -> None:
    if record.is_ambiguous:
        log.warning(
            "AMBIGUOUS: an earlier attempt sent %s, and whether Kore.ai accepted it is not known. Its %d users are "
            "submitted again; erasing twice ends in the same state.",
            name,
            record.unerased,
        )
    elif record.state is BatchState.SETTLED:
        log.info("%d users of %s were not erased and are submitted again.", record.unerased, name)


def _of_batch(error: KoreError, name: str, *, ambiguous_before: bool) -> KoreError:
    problem, consequence = f"{name.capitalize()}: {error.problem}", error.consequence
    if ambiguous_before:
        problem += " An earlier attempt sent this batch too, without a usable answer."
        consequence = Consequence.UNKNOWN
    return type(error)(problem, consequence=consequence, remedy=error.remedy)


def _not_a_new_request(request_id: str) -> KoreAmbiguousSubmitError:
    return KoreAmbiguousSubmitError(
        f"Kore.ai answered with {request_id}, the request id of an earlier submission, so that the two cannot be "
        "distinguished.",
        consequence=Consequence.UNKNOWN,
        remedy="Clear the task to submit this batch again; if it stays so, ask Kore.ai.",
    )


def _ambiguous_before(name: str) -> KoreResumeError:
    return KoreResumeError(
        f"An earlier attempt sent {name}, and whether Kore.ai accepted it is not known.",
        consequence=Consequence.UNKNOWN,
        remedy="Ask Kore.ai whether it was, then clear the task with on_ambiguous_submit='resubmit'.",
    )
