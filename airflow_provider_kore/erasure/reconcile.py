"""Bring the outcomes of polls into the ledger: by count where that proves enough, by user id where it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.matching import MatchedOutcome, match_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.status import ErasureStatus
from airflow_provider_kore.api.watching import Assess, ErasureWatch, RequestOutcome
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError, KoreUnexpectedUsersError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.user_ids.batches import Batch, UserBatches
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef, show_user_ref, user_ref

log = logging.getLogger(__name__)

NAMED_IN_LOG = 50
"""How many users of a batch the log names who are not erased."""

Watch = Callable[[KoreClient, Sequence[int], Assess], ErasureWatch]
"""Makes a watch of the requests of some batches, by number."""


def reconcile_by_count(ledger: ErasureLedger, outcomes: Mapping[int, RequestOutcome]) -> None:
    """Settle each batch by the number of its users, where the users are not known."""
    ledger.note_polls(outcomes)
    for number, outcome in outcomes.items():
        if outcome.settled:
            ledger.write_settled(ledger.records[number - 1], None if outcome.outcome.not_erased else ())
    ledger.write_open(outcomes)


class Reconciler:
    """
    Settle batches in the ledger, and keep which of their users are not erased.

    :param hook: the connection.
    :param ledger: the batches.
    :param batches: their users, who are read only where counts do not prove enough.
    :param watch: see :data:`Watch`.
    :param not_erased_users: users who are known not to be erased; this class adds to them.
    :ivar alarms: answers that name users who were not submitted.
    """

    def __init__(
        self,
        hook: KoreHook,
        ledger: ErasureLedger,
        batches: UserBatches,
        watch: Watch,
        not_erased_users: list[UserRef],
    ) -> None:
        self._hook = hook
        self._ledger = ledger
        self._batches = batches
        self._watch = watch
        self._key = hook.account.fingerprint_key()
        self.not_erased_users = not_erased_users
        self.alarms: list[KoreError] = []

    def reconcile(self, outcomes: dict[int, RequestOutcome], *, by_id: bool) -> None:
        """
        Settle what is settled.

        Counts prove that a batch is erased only if the answer names the very users that were sent.

        :param outcomes: of each polled batch, by number; replaced where a poll by user id shows more.
        :param by_id: whether to poll again by user id where counts do not prove enough.
        :raises KoreError: if such a poll fails.
        """
        self._ledger.note_polls(outcomes)
        erased: list[BatchRecord] = []
        unclear: list[BatchRecord] = []
        for number, outcome in outcomes.items():
            record = self._ledger.records[number - 1]
            names_users = outcome.fingerprint == record.sent_fingerprint
            if outcome.settled and outcome.understood and names_users and not outcome.outcome.not_erased:
                erased.append(record)
            elif outcome.settled and (outcome.understood or outcome.seen_at):
                unclear.append(record)  # also for an unknown word, which only a poll that knows the users may show
        self._ledger.write_erased(erased)
        try:
            if unclear and by_id:
                self._poll_by_id(unclear, outcomes)
        finally:
            self._ledger.write_open(outcomes)

    def _poll_by_id(self, records: Sequence[BatchRecord], outcomes: dict[int, RequestOutcome]) -> None:
        try:
            with self._hook.get_conn() as client:
                for record, batch in self._batches.reread(records):
                    outcomes[record.number] = self._poll_batch(client, record, batch)
        except KoreInputError as error:
            raise type(error)(
                f"Which users are not erased, and whether all are, is not known: {error.problem}",
                consequence=Consequence.SENT,
                remedy=error.remedy,
            ) from None

    def _poll_batch(self, client: KoreClient, record: BatchRecord, batch: Batch) -> RequestOutcome:
        matched: MatchedOutcome | None = None

        def assess(status: ErasureStatus, _: int | None) -> ErasureOutcome:
            nonlocal matched
            matched = match_outcome(status, record.users_to_send(batch))
            return matched.outcome

        watch = self._watch(client, [record.number], assess)
        client.run(watch.wait(PollSchedule(), deadline=0.0))
        (outcome,) = watch.outcomes
        self._ledger.note_polls({record.number: outcome}, by_id=matched is not None and outcome.understood)
        record = self._ledger.records[record.number - 1]
        if outcome.settled and matched is not None and matched.alarm:
            self.alarms.append(_unexpected_users(record))
        elif outcome.settled and matched is not None and outcome.understood:
            if outcome.outcome.not_erased:
                self._name_not_erased(record, batch, matched)
                self._ledger.write_settled(record, matched.resubmit)
            else:
                self._ledger.write_erased([record])
        return outcome

    def _name_not_erased(self, record: BatchRecord, batch: Batch, matched: MatchedOutcome) -> None:
        """Name users who are not erased: by position, and by digest if the connection has a key for it."""
        key = self._hook.account.digest_key
        positions = [record.sent_positions[position] for position in matched.not_erased]
        users = [user_ref(record.number, position, batch[position], key) for position in positions]
        request_id, count = record.request.request_id, matched.outcome.not_erased
        if matched.resubmit is None:
            log.error(
                "Not erased in batch %d (request %s): %d users. Kore.ai does not name them by the ids that were "
                "submitted, so the whole request is to be submitted again.",
                record.number,
                request_id,
                count,
            )
        else:
            log.error(
                "Not erased in batch %d (request %s): the users at position %s of the batch.",
                record.number,
                request_id,
                ", ".join(map(show_user_ref, users[:NAMED_IN_LOG])) + (", …" if count > NAMED_IN_LOG else ""),
            )
        self.not_erased_users += users
        del self.not_erased_users[NAMED_IN_OUTPUT:]


def _unexpected_users(record: BatchRecord) -> KoreUnexpectedUsersError:
    return KoreUnexpectedUsersError(
        f"ALARM: the answer for {record.request.request_id} names users that were not submitted.",
        consequence=Consequence.SENT,
        remedy="Ask Kore.ai which users were touched. To submit these users again after that, start a new DAG run.",
    )
