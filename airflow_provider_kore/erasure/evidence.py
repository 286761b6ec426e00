"""What a task shows beside Kore.ai's word for it: it looks for the people again, and writes signed receipts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.erasure.ledger import BatchRecord
from airflow_provider_kore.erasure.options import Demands
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreError,
    KoreInputError,
    KoreReceiptError,
    KoreVerificationError,
)
from airflow_provider_kore.period import read_period
from airflow_provider_kore.receipts import parts
from airflow_provider_kore.receipts.book import ReceiptBook, ReceiptFields
from airflow_provider_kore.receipts.documents import Receipt
from airflow_provider_kore.resumption import UsageFields
from airflow_provider_kore.user_ids.batches import Batch, UserBatches
from airflow_provider_kore.verification.verification import (
    Finding,
    Person,
    StateOfVerification,
    Verification,
    judge,
    look_for_people,
    sample_seed,
)

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_provider_kore.hooks.kore import KoreHook

log = logging.getLogger(__name__)


class Proof:
    """
    Show what became of the people of a task, batch by batch, by other means than Kore.ai's word.

    :param demands: what was asked for.
    :param account: of the connection.
    :param scope: the bots; ``None`` if the task does not know them.
    :param records: what is known of each batch.
    :param batches: the people; ``None`` if the task does not know them.
    :param looked_at: the bots at which to look for people; ``None`` if the task does not know any.
    :param unconfirmed: numbers of batches of which it is not sure that they hold these very people.
    :param missing_users: how many people are in no batch, since nobody knows of an accepted request.
    """

    def __init__(
        self,
        demands: Demands,
        account: KoreAccount,
        scope: ErasureScope | None,
        records: Sequence[BatchRecord],
        batches: UserBatches | None,
        *,
        looked_at: ErasureScope | None,
        unconfirmed: Collection[int] = (),
        missing_users: int = 0,
    ) -> None:
        self._demands = demands
        self._account = account
        self._scope = scope
        self._records = records
        self._batches = batches
        self._looked_at = looked_at
        self._unconfirmed = unconfirmed
        self._missing_users = missing_users

    # --- looking for people ------------------------------------------------------------------------------------------

    def begin_verification(self, context: Context) -> Verification | None:
        """
        Choose whom to look for; ``None`` if nobody is asked for, or nobody is erased.

        :param context: of the running task, of which each try looks for the same people.
        """
        erased = self.erased_count
        if not self._demands.extent.is_asked_for or not erased or self._looked_at is None:
            return None
        # What came in after the erasure was submitted is not what the erasure is about.
        now = datetime.now(UTC)
        times = [record.requests[-1].submitted_at for record in self._erased_records()]
        submitted = now if 0 in times else min(datetime.fromtimestamp(max(times), UTC), now)
        try:
            period = read_period(self._demands.since, None, submitted)
        except KoreInputError:  # it begins later than this erasure, which an earlier try submitted
            period = read_period(self._demands.since, None, now)
        seed = sample_seed(context, self._account)
        return Verification.begin(
            self._demands.extent, self._looked_at, self._demands.channel_types, period, erased, seed
        )

    @property
    def erased_count(self) -> int:
        """How many people Kore.ai reports as erased, and who they are is known."""
        return sum(record.user_count - record.unerased for record in self._records)

    def _erased_records(self) -> list[BatchRecord]:
        return [record for record in self._records if record.unerased < record.user_count]

    def verify(
        self,
        operator: BaseOperator,
        context: Context,
        hook: KoreHook,
        verification: Verification,
        calls: UsageFields | None,
        *,
        deferrable: bool,
        deadline: float,
        state: StateOfVerification,
    ) -> KoreError | None:
        """
        Look for the erased people, and leave the worker if the account's budget is spent for long.

        :param calls: what the worker called that the task left before; ``None`` if it did not.
        :param deadline: until when turns are waited for, in seconds since the epoch.
        :param state: gives what the task needs to resume.
        :return: what the looking broke off by, if it did.
        """
        return look_for_people(
            operator,
            context,
            hook,
            verification,
            self._people(),
            calls,
            deferrable=deferrable,
            deadline=deadline,
            state=state,
        )

    def _people(self) -> Iterator[Person]:
        """Give all who are reported as erased, in the same order each time."""
        assert self._batches is not None, "people are looked for where they are known"  # noqa: S101
        for record, batch in self._batches.reread(self._erased_records()):
            for position, user_id in enumerate(batch):
                if record.outcome_of(position) is Outcome.ERASED:
                    yield Person(record.number, position, user_id)

    # --- the end -----------------------------------------------------------------------------------------------------

    def complete(
        self,
        output: dict[str, object],
        context: Context,
        verification: Verification | None,
        approved_plan: str | None = None,
    ) -> list[KoreError]:
        """
        Add to what a task returns what else was found, and write the evidence, before the task succeeds or fails.

        :param output: what the task returns.
        :param context: of the running task.
        :param verification: what looking for people showed.
        :param approved_plan: the fingerprint of the plan that was approved.
        :return: what kept the evidence from being written.
        """
        if verification is not None:
            output["verification"] = self._told_of(verification)
        try:
            if receipt := self._write_receipts(context, verification, approved_plan):
                output["receipt"] = receipt
        except KoreError as error:
            log.error("%s", error)
            return [error]
        return []

    def _told_of(self, verification: Verification) -> dict[str, object]:
        """Say of nobody that they are gone if it is not sure that they are those of the requests."""
        told = verification.output(self.erased_count)
        records = [record for record in self._erased_records() if record.number in self._unconfirmed]
        if records:
            counts = verification.counts(self.erased_count)
            unsure = min(counts["gone"], sum(record.user_count - record.unerased for record in records))
            told |= {"gone": counts["gone"] - unsure, "not_checkable": counts["not_checkable"] + unsure}
        return told

    def judge(self, verification: Verification | None, failures: Sequence[KoreError]) -> list[KoreError]:
        """
        Put what looking for people showed among what else went wrong; somebody found comes first.

        :param verification: what looking for people showed.
        :param failures: what else went wrong.
        """
        if verification is None:
            return list(failures)
        fail = self._demands.fail_if_not_checkable
        wrong = judge(verification, self.erased_count, failures, fail_if_not_checkable=fail)
        if self._unconfirmed and fail:
            wrong.append(_whose_is_not_sure(len(self._unconfirmed)))
        return wrong

    # --- receipts ----------------------------------------------------------------------------------------------------

    def _write_receipts(
        self, context: Context, verification: Verification | None, approved_plan: str | None
    ) -> ReceiptFields | None:
        """Write a receipt for each batch that was ever accepted, and a manifest if there are several."""
        if self._demands.receipt_path is None or self._demands.receipt_key is None:
            return None
        book = ReceiptBook(self._demands.receipt_path, self._demands.receipt_key, self._head(context, approved_plan))
        numbers = count()
        nameless: KoreInputError | None = None
        left = {record.number: record for record in self._records if record.requests and self._was_seen(record)}
        if self._batches is not None:
            try:
                for record, batch in self._batches.reread(list(left.values())):
                    book.add(self._receipt(book, record, batch, verification, numbers))
                    del left[record.number]
            except KoreInputError as error:
                nameless = error
        for record in left.values():
            book.add(self._receipt(book, record, None, verification, numbers))
        without = [record for record in self._records if not record.requests]
        written = book.close(
            never_submitted=sum(record.user_count for record in without if not record.is_unclear),
            unclear=self._missing_users + sum(record.user_count for record in without if record.is_unclear),
        )
        if written is not None:
            log.info(
                "Evidence is in %s (%d receipts, SHA-256 %s).", written["uri"], written["count"], written["sha256"]
            )
        if nameless is not None:
            raise KoreReceiptError(
                f"{len(left)} receipts do not name the people, who cannot be read any more: {nameless.problem}",
                consequence=Consequence.SENT,
                remedy="Put the source of the user ids back as it was, and clear the task: it writes them anew.",
            )
        return written

    def _head(self, context: Context, approved_plan: str | None) -> parts.Head:
        task_instance, deadline = context["ti"], self._demands.deadline
        received_at = self._demands.received_at
        return parts.Head(
            host=self._account.base_url,
            client_id=self._account.client_id,
            scope=parts.Scope() if self._scope is None else parts.Scope.of(self._scope),
            run=parts.Run(
                dag_id=task_instance.dag_id,
                run_id=task_instance.run_id,
                task_id=task_instance.task_id,
                map_index=-1 if task_instance.map_index is None else task_instance.map_index,
                try_number=task_instance.try_number,
            ),
            received_at=None if received_at is None else parts.utc_text(received_at),
            deadline=None
            if deadline is None
            else parts.Deadline(
                regime=deadline.regime.value,
                received_on=deadline.received_on.isoformat(),
                due_on=deadline.due_on.isoformat(),
                ends_at=parts.utc_text(deadline.ends_at),
            ),
            approved_by=self._demands.approved_by,
            plan_fingerprint=approved_plan,
            export=None if self._demands.exported is None else self._demands.exported.named,
        )

    def _was_seen(self, record: BatchRecord) -> bool:
        """Tell whether there is anything to say: who only waits does not speak of what Kore.ai was silent about."""
        return record.requests[-1].submitted_at > 0 or record.requests[-1].reported is not None

    def _fates(
        self, record: BatchRecord, verification: Verification | None, numbers: Iterator[int]
    ) -> list[tuple[Outcome, Finding]]:
        """Say of each user of a batch what is held to be true, and what looking for the user showed."""
        fates = []
        found_before = set(record.found)
        if record.number in self._unconfirmed:
            verification = None
        for position in range(record.user_count):
            outcome, finding = record.outcome_of(position), Finding.NOT_CHECKED
            if outcome is Outcome.ERASED:
                number = next(numbers)
                if verification is not None:
                    finding = verification.finding(number, record.number, position)
                if finding is Finding.FOUND or (position in found_before and finding is not Finding.GONE):
                    outcome, finding = Outcome.NOT_ERASED, Finding.FOUND if verification is not None else finding
            fates.append((outcome, finding))
        return fates

    def found(self, verification: Verification) -> dict[int, tuple[int, ...]]:
        """
        Tell who is found, or was found by an earlier try and is not known to be gone since.

        :return: positions from 0, by the number of the batch.
        """
        numbers = count()
        return {
            record.number: tuple(
                position
                for position, (_, finding) in enumerate(self._fates(record, verification, numbers))
                if finding is Finding.FOUND
            )
            for record in self._records
        }

    def _receipt(
        self,
        book: ReceiptBook,
        record: BatchRecord,
        batch: Batch | None,
        verification: Verification | None,
        numbers: Iterator[int],
    ) -> Receipt:
        fates = self._fates(record, verification, numbers)
        outcomes, findings = [outcome for outcome, _ in fates], [finding for _, finding in fates]
        persons = None
        if batch is not None and record.number not in self._unconfirmed:
            persons = [
                parts.Person(
                    digest=digest(user_id, self._account.digest_key), outcome=outcome.value, verification=finding.value
                )
                for user_id, (outcome, finding) in zip(batch, fates, strict=True)
            ]
        looked = None if record.number in self._unconfirmed else verification
        return Receipt.about(
            book.head,
            batch=parts.BatchNumber(number=record.number, of=len(self._records)),
            requests=[
                parts.Request(
                    request_id=request.request_id,
                    user_count=request.user_count or record.user_count,
                    submitted_at=_time_text(request.submitted_at),
                    completed_at=_time_text(request.completed_at),
                    vendor_created_on=request.created_on,
                    vendor_updated_on=request.updated_on,
                )
                for request in record.requests
            ],
            user_count=record.user_count,
            outcome=parts.Counts(**{outcome.value: outcomes.count(outcome) for outcome in Outcome}),
            vendor_reported=parts.Counts(**record.reported.counts()),
            persons=persons,
            verification=None if looked is None else _told(looked, findings),
        )


def _whose_is_not_sure(count: int) -> KoreVerificationError:
    return KoreVerificationError(
        f"In {count} requests Kore.ai's answers do not name the users as user_ids does, so that it is not sure that "
        "those who were looked for are those who were erased.",
        consequence=Consequence.NOT_VERIFIED,
        remedy="Give the very users that were submitted. If Kore.ai names them by ids of its own, let the task verify "
        'that erases them, or set on_not_checkable="warn".',
    )


def _told(verification: Verification, findings: Sequence[Finding]) -> parts.Verification:
    return parts.Verification(
        mode=verification.mode,
        scope=parts.Scope.of(verification.scope),
        since=parts.utc_text(verification.period.since),
        until=parts.utc_text(verification.period.until),
        channel_types=tuple(verification.channel_types),
        **{finding.value: findings.count(finding) for finding in Finding},
    )


def _time_text(seconds: int | None) -> str | None:
    return parts.utc_text(datetime.fromtimestamp(seconds, UTC)) if seconds else None
