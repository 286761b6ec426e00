"""What a task shows beside Kore.ai's own report: verification of the erased users, and signed receipts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.options import ErasureOptions, ReceiptOptions
from airflow_provider_kore.erasure.receipt_folder import ReceiptFolder
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError, KoreReceiptError
from airflow_provider_kore.period import read_period
from airflow_provider_kore.receipts import parts
from airflow_provider_kore.receipts.book import ReceiptBook, ReceiptFields
from airflow_provider_kore.receipts.documents import Receipt
from airflow_provider_kore.user_ids.batches import Batch, UserBatches
from airflow_provider_kore.verification.findings import Finding, Verification, sample_seed
from airflow_provider_kore.verification.search import CheckedUser
from airflow_provider_kore.verification.verdict import verification_failures

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


class Evidence:
    """
    Show the outcome of each user by other means than Kore.ai's report.

    :param options: what is asked for.
    :param account: the connection.
    :param ledger: the outcome of each batch.
    :param batches: the users.
    """

    def __init__(
        self, options: ErasureOptions, account: KoreAccount, ledger: ErasureLedger, batches: UserBatches
    ) -> None:
        self._options = options
        self._account = account
        self._ledger = ledger
        self._batches = batches

    # --- verification ------------------------------------------------------------------------------------------------

    def start_verification(self, context: Context) -> Verification | None:
        """
        Choose which users to verify; ``None`` if none are asked for, or no user is erased.

        :param context: of the running task, each attempt of which verifies the same users.
        """
        verify = self._options.verify
        if verify is None or not self.erased_count:
            return None
        # What came in after the erasure was submitted is not what the erasure is about.
        now = datetime.now(UTC)
        submitted = max(record.request.submitted_at for record in self._erased_records)
        try:
            period = read_period(verify.since, None, min(_moment(submitted), now))
        except KoreInputError:  # it starts later than this erasure, which an earlier attempt submitted
            period = read_period(verify.since, None, now)
        return Verification.start(
            verify.people,
            self._ledger.scope,
            verify.channel_types,
            period,
            self.erased_count,
            sample_seed(context, self._account),
        )

    @property
    def erased_count(self) -> int:
        """How many users are reported as erased."""
        return sum(record.user_count - record.unerased for record in self._ledger.records)

    @property
    def _erased_records(self) -> list[BatchRecord]:
        return [record for record in self._ledger.records if record.unerased < record.user_count]

    def erased_users(self) -> Iterator[CheckedUser]:
        """Read all users who are reported as erased, in the same order each time."""
        for record, batch in self._batches.reread(self._erased_records):
            for position, user_id in enumerate(batch):
                if record.outcome_of(position) is Outcome.ERASED:
                    yield CheckedUser(record.number, position, user_id)

    def conclude(
        self,
        result: dict[str, object],
        context: Context,
        verification: Verification | None,
        failures: Sequence[KoreError],
    ) -> list[KoreError]:
        """
        Record and return what verification showed, and write the receipts, before the task succeeds or fails.

        :param result: what the task returns; gets ``verification`` and ``receipt``.
        :param context: of the running task.
        :param verification: ``None`` if there was none.
        :param failures: what else went wrong.
        :return: all that went wrong.
        """
        failures = list(failures)
        if verification is not None and self._options.verify is not None:
            self._ledger.write_found(self._found(verification))
            result["verification"] = verification.output(self.erased_count)
            fail = self._options.verify.fail_if_not_checkable
            failures = verification_failures(verification, self.erased_count, failures, fail_if_not_checkable=fail)
        try:
            if receipt := self._write_receipts(context, verification):
                result["receipt"] = receipt
        except KoreError as error:
            log.error("%s", error)
            failures.append(error)
        return failures

    def _findings(
        self, record: BatchRecord, verification: Verification | None, numbers: Iterator[int]
    ) -> Iterator[tuple[Outcome, Finding]]:
        """
        Give outcome and finding of each user of a batch.

        A user who was found, now or by an earlier attempt and is not known to be gone since, is not erased.

        :param numbers: counts the erased users of all batches.
        """
        for position in range(record.user_count):
            outcome, finding = record.outcome_of(position), Finding.NOT_CHECKED
            if outcome is Outcome.ERASED:
                number = next(numbers)
                if verification is not None:
                    finding = verification.finding(number, record.number, position)
                if finding is Finding.FOUND or (position in record.found and finding is not Finding.GONE):
                    outcome, finding = Outcome.NOT_ERASED, Finding.FOUND if verification is not None else finding
            yield outcome, finding

    def _found(self, verification: Verification) -> dict[int, tuple[int, ...]]:
        """Return the positions of the users who were found, by the number of the batch."""
        numbers = count()
        return {
            record.number: tuple(
                position
                for position, (_, finding) in enumerate(self._findings(record, verification, numbers))
                if finding is Finding.FOUND
            )
            for record in self._ledger.records
        }

    # --- receipts ----------------------------------------------------------------------------------------------------

    def _write_receipts(self, context: Context, verification: Verification | None) -> ReceiptFields | None:
        """
        Write a receipt for each batch that Kore.ai accepted, and a manifest if there are several.

        :param context: of the running task.
        :param verification: what verification showed.
        :return: where they are; ``None`` if none are asked for, or nothing was accepted.
        :raises KoreReceiptError: if they cannot be written, or cannot name the users.
        """
        wanted = self._options.receipt
        if wanted is None:
            return None
        book = ReceiptBook(ReceiptFolder(wanted.folder), wanted.key, self._head(context, wanted))
        numbers, unreadable = count(), None
        unwritten = {record.number: record for record in self._ledger.records if record.requests}
        try:
            for record, batch in self._batches.reread(list(unwritten.values())):
                book.add(self._receipt(book, record, batch, verification, numbers))
                del unwritten[record.number]
        except KoreInputError as error:
            unreadable = error
        for record in unwritten.values():
            book.add(self._receipt(book, record, None, verification, numbers))
        without = [record for record in self._ledger.records if not record.requests]
        written = book.close(
            never_submitted=sum(record.user_count for record in without if not record.is_ambiguous),
            unclear=sum(record.user_count for record in without if record.is_ambiguous),
        )
        if written is not None:
            log.info(
                "Evidence is in %s (%d receipts, SHA-256 %s).", written["uri"], written["count"], written["sha256"]
            )
        if unreadable is not None:
            raise KoreReceiptError(
                f"{len(unwritten)} receipts do not name the users, who cannot be read any more: {unreadable.problem}",
                consequence=Consequence.SENT,
                remedy="Put the source of the user ids back as it was, and clear the task: it writes them anew.",
            )
        return written

    def _head(self, context: Context, wanted: ReceiptOptions) -> parts.Head:
        task_instance, options = context["ti"], self._options
        deadline = options.deadline
        return parts.Head(
            host=self._account.base_url,
            client_id=self._account.client_id,
            scope=parts.Scope.of(self._ledger.scope),
            run=parts.Run(
                dag_id=task_instance.dag_id,
                run_id=task_instance.run_id,
                task_id=task_instance.task_id,
                map_index=-1 if task_instance.map_index is None else task_instance.map_index,
                try_number=task_instance.try_number,
            ),
            received_at=None if deadline is None else deadline.received_at,
            deadline=None
            if deadline is None
            else parts.Deadline(
                regime=deadline.regime.value,
                received_on=deadline.received_on,
                due_on=deadline.due_on,
                ends_at=deadline.ends_at,
            ),
            approved_by=wanted.approved_by,
            plan_fingerprint=options.approved_plan,
            export=None if options.exported is None else options.exported.named,
        )

    def _receipt(
        self,
        book: ReceiptBook,
        record: BatchRecord,
        batch: Batch | None,
        verification: Verification | None,
        numbers: Iterator[int],
    ) -> Receipt:
        users = list(self._findings(record, verification, numbers))
        outcomes, findings = [outcome for outcome, _ in users], [finding for _, finding in users]
        return Receipt.about(
            book.head,
            batch=parts.BatchNumber(number=record.number, of=len(self._ledger.records)),
            requests=[
                parts.Request(
                    request_id=request.request_id,
                    user_count=request.user_count or record.user_count,
                    submitted_at=_moment(request.submitted_at),
                    completed_at=None if request.completed_at is None else _moment(request.completed_at),
                    vendor_created_on=request.created_on,
                    vendor_updated_on=request.updated_on,
                )
                for request in record.requests
            ],
            user_count=record.user_count,
            outcome=parts.Counts(**{outcome.value: outcomes.count(outcome) for outcome in Outcome}),
            vendor_reported=parts.Counts(**record.reported.counts()),
            persons=None
            if batch is None
            else [
                parts.Person(
                    digest=digest(user_id, self._account.digest_key), outcome=outcome, verification=finding.value
                )
                for user_id, (outcome, finding) in zip(batch, users, strict=True)
            ],
            verification=None
            if verification is None
            else parts.Verification(
                mode=verification.people,
                scope=parts.Scope.of(verification.scope),
                since=verification.period.since,
                until=verification.period.until,
                channel_types=tuple(verification.channel_types),
                **{finding.value: findings.count(finding) for finding in Finding},
            ),
        )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
