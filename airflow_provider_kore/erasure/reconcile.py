"""What came of submitted batches: told by number where that tells all, and by name where it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.matching import MatchedOutcome, match_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.status import ErasureStatus
from airflow_provider_kore.api.watching import Assess, ErasureWatch, RequestOutcome
from airflow_provider_kore.erasure.ledger import BatchRecord, BatchState, ErasureLedger
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreError,
    KoreInputError,
    KoreUnexpectedUsersError,
)
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.user_ids.batches import Batch, UserBatches
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef, show_user_ref, user_ref

log = logging.getLogger(__name__)

NAMED_IN_LOG = 50
"""How many users of a batch the log names who are not erased."""


Watching = Callable[[KoreClient, Sequence[int], Assess], ErasureWatch]


class Settling:
    """
    Settle batches in the ledger, and keep who of them is not erased.

    :param hook: the connection.
    :param ledger: the batches.
    :param batches: their users, who are read only where numbers do not tell enough.
    :param watching: makes a watch of the requests of some batches, by number.
    :param not_erased_users: those who are known already.
    :ivar alarms: answers that name users who were not submitted.
    """

    def __init__(
        self,
        hook: KoreHook,
        ledger: ErasureLedger,
        batches: UserBatches,
        watching: Watching,
        not_erased_users: Sequence[UserRef],
    ) -> None:
        self._hook = hook
        self._ledger = ledger
        self._batches = batches
        self._watching = watching
        self._key = hook.account.fingerprint_key()
        self.not_erased_users = list(not_erased_users)
        self.alarms: list[KoreError] = []

    def settle(self, outcomes: dict[int, RequestOutcome], *, by_name: bool) -> bool:
        """
        Record what is settled.

        :param outcomes: what was seen of each batch, by number; replaced where looking by name shows more, and where
            it was needed and is not done.
        :param by_name: whether to look by name where numbers do not tell enough.
        :return: whether some batch is settled by number and still open by name, so that only time can tell.
        :raises KoreError: if looking again fails.
        """
        self._ledger.seen(outcomes)
        erased: list[BatchRecord] = []
        unclear: list[BatchRecord] = []
        for number, outcome in outcomes.items():
            if outcome.settled and outcome.understood:
                record = self._ledger.records[number - 1]
                very_users = outcome.fingerprint == record.sent_fingerprint
                (erased if very_users and not outcome.outcome.not_erased else unclear).append(record)
        self._ledger.erased(erased)
        try:
            if unclear and by_name:
                self._look_by_name(unclear, outcomes)
        except KoreError:
            self._doubt(unclear, outcomes)
            raise
        finally:
            self._ledger.write_open(outcomes)
        if not by_name:
            self._doubt(unclear, outcomes)
        return any(not outcomes[record.number].settled for record in unclear)

    def _doubt(self, records: Sequence[BatchRecord], outcomes: dict[int, RequestOutcome]) -> None:
        """Take those for open whom numbers alone call erased, where it is not known whether they are the very users."""
        for number in (record.number for record in records):
            outcome, record = outcomes[number], self._ledger.records[number - 1]
            very_users = outcome.fingerprint == record.sent_fingerprint
            if record.state is BatchState.ACCEPTED and outcome.settled and not very_users:
                doubted = ErasureOutcome(
                    open=outcome.outcome.erased + outcome.outcome.open, not_erased=outcome.outcome.not_erased
                )
                outcomes[number] = replace(outcome, outcome=doubted)

    def _look_by_name(self, records: Sequence[BatchRecord], outcomes: dict[int, RequestOutcome]) -> None:
        """Look again where numbers do not tell who is not erased, or whether those are named that were sent."""
        try:
            with self._hook.get_conn() as client:
                for record, batch in self._batches.reread(records):
                    outcomes[record.number] = self._look_at_batch(client, record, batch)
        except KoreInputError as error:
            raise type(error)(
                f"Who is not erased cannot be told, nor whether all are: {error.problem}",
                consequence=Consequence.SENT,
                remedy=error.remedy,
            ) from None

    def _look_at_batch(self, client: KoreClient, record: BatchRecord, batch: Batch) -> RequestOutcome:
        matched: MatchedOutcome | None = None

        def assess(status: ErasureStatus, _: int | None) -> ErasureOutcome:
            nonlocal matched
            matched = match_outcome(status, record.users_to_send(batch))
            return matched.outcome

        watch = self._watching(client, [record.number], assess)
        client.run(watch.wait(PollSchedule(), deadline=0.0))
        (outcome,) = watch.outcomes
        self._ledger.seen({record.number: outcome})
        record = self._ledger.records[record.number - 1]
        if outcome.settled and outcome.understood and matched is not None:
            if matched.alarm:
                self.alarms.append(_unexpected_users(record))
            elif not outcome.outcome.not_erased:
                self._ledger.erased([record])
            else:
                resubmit = range(record.unerased) if matched.resubmit is None else matched.resubmit
                self._name_not_erased(record, batch, matched, resubmit)
                self._ledger.settled(record, resubmit)
        return outcome

    def _name_not_erased(
        self, record: BatchRecord, batch: Batch, matched: MatchedOutcome, resubmit: Sequence[int]
    ) -> None:
        """Tell who is not erased: by position, and by digest if the connection has a key for it."""

        def users(positions: Sequence[int], most: int) -> list[UserRef]:
            within = record.positions
            in_batch = (position if within is None else within[position] for position in positions[:most])
            key = self._hook.account.digest_key
            return [user_ref(record.number, position, batch[position], key) for position in in_batch]

        shown = users(resubmit, NAMED_IN_LOG)
        log.error(
            "Not erased in batch %d (request %s): the users at position %s of the batch%s.",
            record.number,
            record.requests[-1].request_id,
            ", ".join(map(show_user_ref, shown)) + (", …" if len(resubmit) > NAMED_IN_LOG else ""),
            ""
            if matched.resubmit is not None
            else f", of whom {matched.outcome.not_erased} are not; since Kore.ai names them by other ids, it cannot be "
            "told which",
        )
        room = NAMED_IN_OUTPUT - len(self.not_erased_users)
        self.not_erased_users += users(matched.not_erased, max(room, 0))


def _unexpected_users(record: BatchRecord) -> KoreUnexpectedUsersError:
    return KoreUnexpectedUsersError(
        f"ALARM: the answer for {record.requests[-1].request_id} names users that were not submitted.",
        consequence=Consequence.SENT,
        remedy="Ask Kore.ai which users were touched. To submit these users again after that, set force=True.",
    )
