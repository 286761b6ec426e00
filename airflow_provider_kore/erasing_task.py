"""What an erasing task does in one try: check, submit what is due, wait, and settle what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, cast

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.calls import submit_erasure
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.erasure import (
    ErasureOutcome,
    ErasureRequest,
    ErasureScope,
    ErasureStatus,
    MatchedOutcome,
    check_scope,
    match_outcome,
    split_into_batches,
)
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.users import UserId, digest
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch, RequestOutcome, assess_by_count
from airflow_provider_kore.arguments import check_flag, check_whole_number
from airflow_provider_kore.compatibility import AirflowSkipException
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreError,
    KoreInputError,
    KoreRequestError,
    KoreResumeError,
    KoreUnexpectedUsersError,
)
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.ledger import BatchFields, BatchRecord, BatchState, ErasureLedger, TaskStateStore, make_plan
from airflow_provider_kore.user_ids import read_user_ids
from airflow_provider_kore.waiting import (
    FailureFields,
    defer,
    failure_from_json,
    failure_to_json,
    log_progress,
    log_remarks,
    push_outcome,
    read_event,
    require_erased,
    waiting_broke_off,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

log = logging.getLogger(__name__)

SHOWN_USERS = 50

Batches = list[tuple[UserId, ...]]


class ErasingTask:
    """
    Conduct one try of a task that erases.

    :param operator: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    """

    def __init__(self, operator: KoreEraseUserDataOperator, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._hook = KoreHook(operator.kore_conn_id)
        self._started = time.time()
        self._failures: list[KoreError] = []
        self._matched: dict[str, MatchedOutcome] = {}
        self._batches: Batches = []

    # --- the ways into a try -----------------------------------------------------------------------------------------

    def start(self) -> dict[str, object]:
        """Check everything, submit what is due, and wait if asked to."""
        scope = check_scope(
            self._operator.bot_ids,
            self._operator.remove_data_from_all_bots,
            allow_all_bots=self._account.allow_all_bots,
            allowed_bot_ids=self._account.allowed_bot_ids,
        )
        dry_run = check_flag("dry_run", self._operator.is_dry_run)
        batches = self._read_batches()
        if not batches:
            return self._end_empty()
        with self._hook.get_conn() as client:
            if dry_run:
                return self._show_plan(batches, scope)
            self._ledger = self._open_ledger(batches, scope)
            self._submit(client, batches, scope)
            if self._operator.wait_for_completion and any(record.requests for record in self._ledger.records):
                return self._wait(client, batches)
            return self._end_submission()

    def come_back(
        self, event: object, started: float, records: Sequence[BatchFields], failures: Sequence[FailureFields]
    ) -> dict[str, object]:
        """Come back from the triggerer, with what the task gave along when it deferred."""
        self._started = started
        self._ledger = ErasureLedger([BatchRecord.from_json(fields) for fields in records], self._store)
        self._failures = [failure_from_json(fields) for fields in failures]
        waiting = self._waiting()
        try:
            outcomes, failure = read_event(event, [record.requests[-1] for record in waiting])
        except KoreError as error:
            outcomes, failure = self._unseen(), error
        if failure is not None:
            self._failures.append(failure)
        unclear = [
            record
            for record, outcome in zip(waiting, outcomes, strict=True)
            if outcome.understood
            and outcome.settled
            and (outcome.outcome.not_erased or outcome.fingerprint != record.sent_fingerprint)
        ]
        if unclear and (batches := self._read_batches_again()) is not None:
            # By count alone it cannot be told who is not erased, nor whether these are the very users that were sent.
            seen = {outcome.request_id: outcome for outcome in self._look(unclear, batches)}
            outcomes = [seen.get(outcome.request_id, outcome) for outcome in outcomes]
            if not self._failures and not all(outcome.settled for outcome in outcomes) and time.time() < self._deadline:
                self._defer()
        return self._finish(outcomes)

    def miss_deadline(self) -> dict[str, object]:
        """Come back after the triggerer missed the deadline: look for the last time."""
        if not self._load_ledger():
            raise waiting_broke_off()
        return self._finish(self._look(self._waiting(), None))

    def break_off(self) -> dict[str, object]:
        """Come back after the trigger failed, which says nothing about the erasure."""
        if not self._load_ledger():
            raise waiting_broke_off()
        self._failures = [waiting_broke_off()]
        return self._finish(self._unseen())

    # --- what is asked for -------------------------------------------------------------------------------------------

    @cached_property
    def _account(self) -> KoreAccount:
        return self._hook.account

    @property
    def _key(self) -> bytes:
        return self._account.fingerprint_key()

    @property
    def _store(self) -> TaskStateStore | None:
        return cast("TaskStateStore | None", self._context.get("task_state_store"))

    @property
    def _deadline(self) -> float:
        return self._started + self._operator.timeout

    def _read_batches(self) -> Batches:
        most = self._account.max_users
        if self._operator.max_users is not None:
            most = min(most, check_whole_number("max_users", self._operator.max_users))
        user_ids, duplicates = read_user_ids(self._operator.user_ids, most)
        if duplicates:
            log.info("%d exact duplicates among the user ids were folded.", duplicates)
        batches = split_into_batches(user_ids, self._operator.batch_size)
        log.info("%d users in %d batches.", len(user_ids), len(batches))
        self._batches = batches
        return batches

    def _read_batches_again(self) -> Batches | None:
        """Read the users once more after waiting, unless the source has changed in between."""
        try:
            batches = self._read_batches()
        except KoreInputError as error:
            log.warning("The user ids cannot be read any more: %s", error.problem)
            batches = []
        if self._ledger.matches(batches, self._key):
            return batches
        self._batches = []
        log.warning(
            "The source of the user ids has changed since they were submitted: counts decide, and who is not erased "
            "cannot be told."
        )
        return None

    def _end_empty(self) -> dict[str, object]:
        if self._operator.on_empty == "skip":
            raise AirflowSkipException("There are no users to erase.")
        raise KoreInputError(
            "There are no users to erase.",
            remedy="Check the source, or set on_empty='skip' if that can happen.",
        )

    def _show_plan(self, batches: Batches, scope: ErasureScope) -> dict[str, object]:
        user_count = sum(map(len, batches))
        log.info(
            "Dry run: %d users would be erased from %s, in %d requests of %s users. Nothing was sent.",
            user_count,
            "all bots" if scope.all_bots else f"the bots {', '.join(scope.bot_ids)}",
            len(batches),
            ", ".join(str(len(batch)) for batch in batches[:20]) + (", …" if len(batches) > 20 else ""),
        )
        return {"requests": [], "user_count": user_count, "batch_count": len(batches), "dry_run": True}

    # --- what earlier tries did --------------------------------------------------------------------------------------

    def _open_ledger(self, batches: Batches, scope: ErasureScope) -> ErasureLedger:
        if self._store is None:
            log.warning(
                "This Airflow has no task state store (it came with 3.3): a retry of this task will submit all users "
                "anew."
            )
        task_instance = self._context["ti"]
        # Airflow counts tries on over clearings, and grants as many more as the task has retries.
        first_try = (task_instance.max_tries or 0) - (self._operator.retries or 0) + 1
        plan = make_plan(
            self._account,
            scope,
            user_count=sum(map(len, batches)),
            batch_size=self._operator.batch_size,
            forced_by_try=task_instance.try_number if self._operator.force else 0,
        )
        anew = self._operator.force and ErasureLedger.forced_by_try(self._store) < first_try
        return ErasureLedger.open(self._store, plan, batches, self._key, anew=anew)

    def _load_ledger(self) -> bool:
        ledger = ErasureLedger.load(self._store)
        if ledger is not None:
            self._ledger = ledger
        return ledger is not None

    def _waiting(self) -> list[BatchRecord]:
        return [record for record in self._ledger.records if record.state is BatchState.ACCEPTED]

    # --- submitting --------------------------------------------------------------------------------------------------

    def _submit(self, client: KoreClient, batches: Batches, scope: ErasureScope) -> None:
        """Submit every batch that is due; give up the rest at the first error that concerns more than its batch."""
        for record in list(self._ledger.records):
            if not record.must_be_sent:
                continue
            name = f"batch {record.number} of {len(batches)}"
            if record.state is BatchState.SENDING and self._operator.on_ambiguous_submit == "fail":
                self._failures.append(_ambiguous_before(name))
                continue
            self._announce(record, name)
            users = record.users_to_send(batches[record.number - 1])
            sending = self._ledger.sending(record, users, self._key)
            give_up_at = client.pacing.clock() + max(self._deadline - time.time(), 0.0)
            try:
                request_id = client.hold(submit_erasure(ErasureRequest(users, scope), client.pacing, give_up_at))
                if self._ledger.has_request(request_id):
                    raise _not_a_new_request(request_id)
            except KoreError as error:
                self._failures.append(_of_batch(error, name))
                log.error("%s", self._failures[-1])
                if not isinstance(error, KoreAmbiguousSubmitError):
                    self._ledger.not_accepted(sending)
                if not isinstance(error, KoreRequestError):
                    break
            else:
                self._ledger.accepted(sending, request_id)
                log.info("Submitted %d users of %s as %s.", len(users), name, request_id)

    @staticmethod
    def _announce(record: BatchRecord, name: str) -> None:
        if record.state is BatchState.SENDING:
            log.warning(
                "AMBIGUOUS: an earlier try sent %s, and whether Kore.ai accepted it is not known. Its %d users are "
                "submitted again; erasing twice ends in the same state.",
                name,
                record.unerased,
            )
        elif record.state is BatchState.SETTLED:
            log.info("%d users of %s were not erased and are submitted again.", record.unerased, name)

    def _end_submission(self) -> dict[str, object]:
        output = self._output()
        if self._failures:
            if self._operator.wait_for_completion:
                output |= ErasureOutcome(not_erased=sum(record.user_count for record in self._ledger.records)).counts()
            push_outcome(self._operator, self._context, output)
            raise self._failures[0]
        return output

    def _output(self) -> dict[str, object]:
        records = self._ledger.records
        return {
            "requests": [request.to_json() for record in records for request in record.requests],
            "user_count": sum(record.user_count for record in records),
            "batch_count": len(records),
        }

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _wait(self, client: KoreClient, batches: Batches) -> dict[str, object]:
        watch = self._watch(client, self._waiting(), batches)
        try:
            if self._operator.deferrable:
                client.hold(watch.check())
            else:
                client.hold(watch.wait(PollSchedule(longest=self._operator.poll_interval), self._deadline))
        except KoreError as error:
            self._failures.append(error)
        else:
            if self._operator.deferrable and not watch.settled:
                self._defer()
        return self._finish(watch.outcomes)

    def _defer(self) -> NoReturn:
        defer(
            self._operator,
            [record.requests[-1] for record in self._waiting()],
            kore_conn_id=self._operator.kore_conn_id,
            started=self._started,
            deadline=self._deadline,
            poll_interval=self._operator.poll_interval,
            kwargs={
                "started": self._started,
                "records": [record.to_json() for record in self._ledger.records],
                "failures": [failure_to_json(failure) for failure in self._failures],
            },
        )

    def _watch(self, client: KoreClient, records: Sequence[BatchRecord], batches: Batches | None) -> ErasureWatch:
        """Watch requests, and keep what was matched last of each whose users are at hand."""
        users = {
            record.requests[-1].request_id: record.users_to_send(batches[record.number - 1])
            for record in records
            if batches is not None
        }

        def assess(request: AcceptedErasure, status: ErasureStatus) -> ErasureOutcome:
            if request.request_id not in users:
                return assess_by_count(request, status)
            self._matched[request.request_id] = match_outcome(status, users[request.request_id])
            return self._matched[request.request_id].outcome

        return ErasureWatch(
            [record.requests[-1] for record in records],
            client.pacing,
            fingerprint_key=self._key,
            started=self._started,
            assess=assess,
            report=log_progress,
        )

    def _look(self, records: Sequence[BatchRecord], batches: Batches | None) -> list[RequestOutcome]:
        """Look once at each request."""
        with self._hook.get_conn() as client:
            watch = self._watch(client, records, batches)
            try:
                client.hold(watch.wait(PollSchedule(), deadline=0.0))
            except KoreError as error:
                self._failures.append(error)
        return watch.outcomes

    def _unseen(self) -> list[RequestOutcome]:
        return [RequestOutcome.unseen(record.requests[-1]) for record in self._waiting()]

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self, outcomes: Sequence[RequestOutcome]) -> dict[str, object]:
        """Settle what is settled, and let the task succeed only if everybody is erased."""
        result = ErasureOutcome()
        by_id = {outcome.request_id: outcome for outcome in outcomes}
        for record in list(self._ledger.records):
            result += ErasureOutcome(erased=record.user_count - record.unerased)
            if record.state is BatchState.ACCEPTED:
                outcome = by_id[record.requests[-1].request_id]
                result += outcome.outcome
                self._settle(record, outcome)
            else:
                result += ErasureOutcome(not_erased=record.unerased)
        log_remarks(result)
        output = self._output() | result.counts()
        try:
            require_erased(
                result,
                [outcome.request_id for outcome in outcomes if not outcome.settled],
                self._failures,
                remedy="Clear the task, or let it retry: it submits only those who are not erased. Owners and members "
                "of an account and developers of a bot must first lose that role in Kore.ai.",
            )
        except Exception:
            push_outcome(self._operator, self._context, output)
            raise
        log.info("All %d users are erased.", result.user_count)
        return output

    def _settle(self, record: BatchRecord, outcome: RequestOutcome) -> None:
        """Record a submission as ended, if it is known who must be submitted again, and nothing is alarming."""
        if not outcome.settled or not outcome.understood:
            return
        matched = self._matched.get(outcome.request_id)
        if matched is not None and matched.alarm:
            self._failures.append(_unexpected_users(record))
        elif outcome.outcome.not_erased == 0:
            self._ledger.settled(record, ())
        elif matched is not None and matched.to_repeat:
            self._name_not_erased(record, matched)
            self._ledger.settled(record, matched.to_repeat)

    def _name_not_erased(self, record: BatchRecord, matched: MatchedOutcome) -> None:
        """Tell the log who is not erased: by position, and by digest if the connection has a key for it."""
        within = record.positions
        positions = [position if within is None else within[position] for position in matched.to_repeat]
        shown = [self._name(record, position) for position in positions[:SHOWN_USERS]]
        log.error(
            "Not erased in batch %d (request %s): the users at position %s of the batch%s.",
            record.number,
            record.requests[-1].request_id,
            ", ".join(shown) + (", …" if len(positions) > SHOWN_USERS else ""),
            ""
            if not matched.suspect_positions
            else f", of whom {matched.outcome.not_erased} are not; since Kore.ai names them by other ids, it cannot be "
            "told which",
        )

    def _name(self, record: BatchRecord, position: int) -> str:
        key = self._account.digest_key
        user_id = self._batches[record.number - 1][position] if key and self._batches else None
        return str(position + 1) if user_id is None else f"{position + 1} ({digest(user_id, key)})"


def _of_batch(error: KoreError, name: str) -> KoreError:
    return type(error)(f"{name.capitalize()}: {error.problem}", consequence=error.consequence, remedy=error.remedy)


def _not_a_new_request(request_id: str) -> KoreAmbiguousSubmitError:
    return KoreAmbiguousSubmitError(
        f"Kore.ai answered with {request_id}, the request id of an earlier submission, so that the two cannot be told "
        "apart.",
        consequence=Consequence.UNKNOWN,
        remedy="Clear the task to submit this batch again; if it stays so, ask Kore.ai.",
    )


def _unexpected_users(record: BatchRecord) -> KoreUnexpectedUsersError:
    return KoreUnexpectedUsersError(
        f"ALARM: the answer for {record.requests[-1].request_id} names users that were not submitted.",
        consequence=Consequence.SENT,
        remedy="Ask Kore.ai which users were touched. To submit these users again after that, set force=True.",
    )


def _ambiguous_before(name: str) -> KoreResumeError:
    return KoreResumeError(
        f"An earlier try sent {name}, and whether Kore.ai accepted it is not known.",
        consequence=Consequence.UNKNOWN,
        remedy="Ask Kore.ai what became of it, then clear the task with on_ambiguous_submit='resubmit'.",
    )
