"""What an erasing task does in one try: check, submit what is due, wait, and settle what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, NotRequired, TypedDict, cast

from pydantic import JsonValue

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
)
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.api.watching import AcceptedErasure, Assess, ErasureWatch, RequestOutcome, assess_by_count
from airflow_provider_kore.arguments import check_flag, check_whole_number
from airflow_provider_kore.batches import Batch, UserBatches
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
from airflow_provider_kore.ledger import (
    BatchRecord,
    BatchState,
    ErasureLedger,
    RecordStore,
    TaskStateStore,
    make_plan,
)
from airflow_provider_kore.progress import LOOKED_AT_FIRST, REQUESTS_AT_ONCE, Progress, ProgressFields
from airflow_provider_kore.waiting import (
    FailureFields,
    defer,
    failure_from_json,
    failure_to_json,
    log_progress,
    push_outcome,
    read_event,
    require_erased,
    waiting_broke_off,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

log = logging.getLogger(__name__)

NAMED_IN_LOG = 50
"""How many users of a batch the log names who are not erased."""

NAMED_IN_OUTPUT = 1000

NAMED_IN_ERROR = 20


class NotErasedUserFields(TypedDict):
    """Name a user who is not erased, for those who hold the source or the key of digests; both count from 1."""

    batch: int
    position: int
    digest: NotRequired[str]


class CarriedFields(TypedDict):
    """What a task takes along when it defers."""

    started: float
    failures: list[FailureFields]
    records: dict[str, JsonValue]
    not_erased_users: list[NotErasedUserFields]


class ErasingTask:
    """
    Conduct one try of a task that erases.

    :param operator: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    :param carried: what the task took along when it deferred before.
    """

    def __init__(
        self, operator: KoreEraseUserDataOperator, context: Context, carried: CarriedFields | None = None
    ) -> None:
        self._operator = operator
        self._context = context
        self._hook = KoreHook(operator.kore_conn_id)
        store = cast("TaskStateStore | None", context.get("task_state_store"))
        self._store = RecordStore(store, carried["records"] if carried else None)
        self._started = carried["started"] if carried else time.time()
        self._deadline = self._started + operator.timeout
        self._failures = [failure_from_json(fields) for fields in carried["failures"]] if carried else []
        self._not_erased_users = list(carried["not_erased_users"]) if carried else []
        self._first_look = 0.0

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
        planned = self._plan_batches()
        if not planned:
            return self._end_empty()
        with self._hook.get_conn() as client:
            if dry_run:
                return self._show_plan(planned, scope)
            self._ledger = self._open_ledger(planned, scope)
            self._submit(client, scope)
        if self._operator.wait_for_completion and any(record.requests for record in self._ledger.records):
            self._progress = self._begin_to_wait()
            return self._wait(look_first=True)
        return self._end_submission()

    def come_back(self, event: object, progress: ProgressFields) -> dict[str, object]:
        """Come back from the triggerer, with how far the wait was when it was handed over."""
        if not self._load_ledger():
            raise waiting_broke_off()
        self._progress = Progress.from_json(progress)
        numbers = self._progress.left[:REQUESTS_AT_ONCE]
        try:
            outcomes, failure = read_event(event, [self._request(number) for number in numbers])
        except KoreError as error:
            outcomes, failure = [self._unseen(number) for number in numbers], error
        self._end_round(numbers, outcomes, failure)
        return self._wait()

    def miss_deadline(self) -> dict[str, object]:
        """Come back after the triggerer missed the deadline: look for the last time."""
        if not self._load_ledger():
            raise waiting_broke_off()
        self._deadline = 0.0
        self._progress = self._begin_to_wait()
        self._wait_in_worker()
        return self._finish()

    def break_off(self) -> dict[str, object]:
        """Come back after the trigger failed, which says nothing about the erasure."""
        if not self._load_ledger():
            raise waiting_broke_off()
        self._failures = [waiting_broke_off()]
        self._progress = self._begin_to_wait()
        self._progress.give_up(self._unseen)
        return self._finish()

    # --- what is asked for -------------------------------------------------------------------------------------------

    @cached_property
    def _account(self) -> KoreAccount:
        return self._hook.account

    @property
    def _key(self) -> bytes:
        return self._account.fingerprint_key()

    @cached_property
    def _batches(self) -> UserBatches:
        most = self._account.max_users
        if self._operator.max_users is not None:
            most = min(most, check_whole_number("max_users", self._operator.max_users))
        return UserBatches(self._operator.user_ids, self._operator.batch_size, most)

    def _plan_batches(self) -> list[BatchRecord]:
        """Read and check all users, so that nobody of a bad list is submitted."""
        planned = [BatchRecord.planned(number, batch, self._key) for number, batch in enumerate(self._batches, start=1)]
        if self._batches.duplicates:
            log.info("%d exact duplicates among the user ids were folded.", self._batches.duplicates)
        log.info("%d users in %d batches.", sum(record.user_count for record in planned), len(planned))
        return planned

    def _users_of(self, records: Sequence[BatchRecord]) -> Iterator[tuple[BatchRecord, Batch]]:
        """
        Read the users of some batches again, one batch at a time.

        :raises KoreInputError: at the first that is not what it was.
        """
        wanted = {record.number: record for record in records}
        for number, batch in enumerate(self._batches if wanted else (), start=1):
            if (record := wanted.pop(number, None)) is not None:
                if not record.is_about(batch, self._key):
                    raise _source_changed(number)
                yield record, batch
            if not wanted:
                return
        if wanted:
            raise _source_changed(min(wanted))

    def _end_empty(self) -> dict[str, object]:
        if self._operator.on_empty == "skip":
            raise AirflowSkipException("There are no users to erase.")
        raise KoreInputError(
            "There are no users to erase.",
            remedy="Check the source, or set on_empty='skip' if that can happen.",
        )

    def _show_plan(self, planned: Sequence[BatchRecord], scope: ErasureScope) -> dict[str, object]:
        user_count = sum(record.user_count for record in planned)
        log.info(
            "Dry run: %d users would be erased from %s, in %d requests of %s users. Nothing was sent.",
            user_count,
            "all bots" if scope.all_bots else f"the bots {', '.join(scope.bot_ids)}",
            len(planned),
            ", ".join(str(record.user_count) for record in planned[:20]) + (", …" if len(planned) > 20 else ""),
        )
        return {"requests": [], "user_count": user_count, "batch_count": len(planned), "dry_run": True}

    # --- what earlier tries did --------------------------------------------------------------------------------------

    def _open_ledger(self, planned: Sequence[BatchRecord], scope: ErasureScope) -> ErasureLedger:
        if not self._store.survives_the_try:
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
            user_count=sum(record.user_count for record in planned),
            batch_size=self._operator.batch_size,
            forced_by_try=task_instance.try_number if self._operator.force else 0,
        )
        anew = self._operator.force and ErasureLedger.forced_by_try(self._store) < first_try
        return ErasureLedger.open(self._store, plan, planned, anew=anew)

    def _load_ledger(self) -> bool:
        ledger = ErasureLedger.load(self._store)
        if ledger is not None:
            self._ledger = ledger
        return ledger is not None

    # --- submitting --------------------------------------------------------------------------------------------------

    def _submit(self, client: KoreClient, scope: ErasureScope) -> None:
        """Submit every batch that is due; give up the rest at the first error that concerns more than its batch."""
        due = []
        for record in self._ledger.records:
            if record.state is BatchState.SENDING and self._operator.on_ambiguous_submit == "fail":
                self._failures.append(_ambiguous_before(self._name(record)))
            elif record.must_be_sent:
                due.append(record)
        number = due[0].number if due else 0
        try:
            for record, batch in self._users_of(due):
                number = record.number
                if not self._submit_batch(client, scope, record, batch):
                    break
                number += 1
        except KoreInputError as error:
            self._failures.append(self._reading_broke_off(error, number))
            log.error("%s", self._failures[-1])

    def _reading_broke_off(self, error: KoreInputError, number: int) -> KoreInputError:
        sent = any(record.requests for record in self._ledger.records)
        return KoreInputError(
            f"{error.problem} All user ids had been read and checked before. No batch from number {number} on was sent "
            "in this try.",
            consequence=Consequence.PARTLY_DONE if sent else Consequence.NOT_SENT,
            remedy="Put the source back as it was and clear the task, which then goes on where this try ended.",
        )

    def _submit_batch(self, client: KoreClient, scope: ErasureScope, record: BatchRecord, batch: Batch) -> bool:
        """Submit one batch, and tell whether to go on with the next."""
        name = self._name(record)
        self._announce(record, name)
        users = record.users_to_send(batch)
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
            return isinstance(error, KoreRequestError)
        self._ledger.accepted(sending, request_id)
        log.info("Submitted %d users of %s as %s.", len(users), name, request_id)
        return True

    def _name(self, record: BatchRecord) -> str:
        return f"batch {record.number} of {len(self._ledger.records)}"

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
                output |= ErasureOutcome(not_erased=self._ledger.user_count).counts()
            push_outcome(self._operator, self._context, output)
            raise self._failures[0]
        return output

    def _output(self) -> dict[str, object]:
        records = self._ledger.records
        return {
            "requests": [request.to_json() for record in records for request in record.requests],
            "user_count": self._ledger.user_count,
            "batch_count": len(records),
        }

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _begin_to_wait(self) -> Progress:
        """Count those who are not waited for, and wait for all others."""
        waiting, erased, not_erased = [], 0, 0
        for record in self._ledger.records:
            erased += record.user_count - record.unerased
            if record.state is BatchState.ACCEPTED:
                waiting.append(record.number)
            else:
                not_erased += record.unerased
        return Progress(waiting, ErasureOutcome(erased=erased, not_erased=not_erased))

    def _wait(self, *, look_first: bool = False) -> dict[str, object]:
        """Wait in rounds until nothing is left to wait for."""
        if self._operator.deferrable:
            if look_first and len(self._progress.left) <= LOOKED_AT_FIRST:
                self._look_first()
            if self._progress.left:
                self._defer()
        while self._progress.left:
            self._wait_in_worker()
        return self._finish()

    def _look_first(self) -> None:
        """Look once before anything is handed over, since an erasure can take half a second."""
        numbers = self._progress.begin_round(self._deadline)
        failure: KoreError | None = None
        with self._hook.get_conn() as client:
            watch = self._watch(client, numbers)
            try:
                client.hold(watch.check())
            except KoreError as error:
                failure = error
        if failure is not None or watch.settled:
            self._end_round(numbers, watch.outcomes, failure)

    def _wait_in_worker(self) -> None:
        numbers = self._progress.begin_round(self._deadline)
        schedule = PollSchedule(longest=self._operator.poll_interval)
        failure: KoreError | None = None
        with self._hook.get_conn() as client:
            watch = self._watch(client, numbers)
            try:
                client.hold(watch.wait(schedule, self._deadline, self._first_look))
            except KoreError as error:
                failure = error
        self._end_round(numbers, watch.outcomes, failure)

    def _defer(self) -> NoReturn:
        numbers = self._progress.begin_round(self._deadline, REQUESTS_AT_ONCE)
        carried: CarriedFields = {
            "started": self._started,
            "failures": [failure_to_json(failure) for failure in self._failures],
            "records": self._store.carried,
            "not_erased_users": self._not_erased_users,
        }
        defer(
            self._operator,
            [self._request(number) for number in numbers],
            kore_conn_id=self._operator.kore_conn_id,
            started=self._started,
            first_look=max(self._first_look, time.time() + 1.0),
            round_ends=self._progress.round_ends,
            deadline=self._deadline,
            poll_interval=self._operator.poll_interval,
            kwargs={"carried": carried, "progress": self._progress.to_json()},
        )

    def _watch(self, client: KoreClient, numbers: Sequence[int], assess: Assess = assess_by_count) -> ErasureWatch:
        return ErasureWatch(
            [self._request(number) for number in numbers],
            client.pacing,
            fingerprint_key=self._key,
            started=self._started,
            assess=assess,
            report=log_progress,
        )

    def _record(self, number: int) -> BatchRecord:
        return self._ledger.records[number - 1]

    def _request(self, number: int) -> AcceptedErasure:
        return self._record(number).requests[-1]

    def _unseen(self, number: int) -> RequestOutcome:
        return RequestOutcome.unseen(self._request(number))

    def _end_round(self, numbers: Sequence[int], outcomes: Sequence[RequestOutcome], failure: KoreError | None) -> None:
        """Settle what is settled of a round; a failure ends the waiting."""
        by_number = dict(zip(numbers, outcomes, strict=True))
        erased: list[BatchRecord] = []
        unclear: list[BatchRecord] = []
        for number, outcome in by_number.items():
            if outcome.settled and outcome.understood:
                record = self._record(number)
                very_users = outcome.fingerprint == record.sent_fingerprint
                (erased if very_users and not outcome.outcome.not_erased else unclear).append(record)
        self._ledger.erased(erased)
        if unclear and failure is None:
            failure = self._look_by_name(unclear, by_number)
        self._progress.end_round(by_number, self._deadline)
        if failure is not None:
            self._failures.append(failure)
            self._progress.give_up(lambda number: by_number.get(number) or self._unseen(number))

    def _look_by_name(self, records: Sequence[BatchRecord], outcomes: dict[int, RequestOutcome]) -> KoreError | None:
        """
        Look again where numbers do not tell who is not erased, or whether the very users are named that were sent.

        :param records: the batches.
        :param outcomes: is given what was seen; what came of a batch that cannot be looked at stays as it is.
        """
        unseen = {record.number for record in records}
        failure: KoreError | None = None
        try:
            with self._hook.get_conn() as client:
                for record, batch in self._users_of(records):
                    outcomes[record.number] = self._look_at_batch(client, record, batch)
                    unseen.remove(record.number)
        except KoreInputError as error:
            log.warning(
                "Counts decide, and who is not erased cannot be told, since the users cannot be read any more as they "
                "were submitted: %s",
                error.problem,
            )
            self._ledger.erased([self._record(number) for number in unseen if not outcomes[number].outcome.not_erased])
        except KoreError as error:
            failure = error
        return failure

    def _look_at_batch(self, client: KoreClient, record: BatchRecord, batch: Batch) -> RequestOutcome:
        matched: MatchedOutcome | None = None

        def assess(_: AcceptedErasure, status: ErasureStatus) -> ErasureOutcome:
            nonlocal matched
            matched = match_outcome(status, record.users_to_send(batch))
            return matched.outcome

        watch = self._watch(client, [record.number], assess)
        client.hold(watch.wait(PollSchedule(), deadline=0.0))
        outcome = watch.outcomes[0]
        if not outcome.settled:
            # By number it was settled: only time can tell, and not at once.
            self._first_look = time.time() + self._operator.poll_interval
        elif outcome.understood and matched is not None:
            if matched.alarm:
                self._failures.append(_unexpected_users(record))
            elif not outcome.outcome.not_erased:
                self._ledger.erased([record])
            elif matched.to_repeat:
                self._name_not_erased(record, batch, matched)
                self._ledger.settled(record, matched.to_repeat)
        return outcome

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, object]:
        """Let the task succeed only if everybody is erased."""
        result = self._progress.outcome
        output = self._output() | result.counts()
        if self._not_erased_users:
            output["not_erased_users"] = self._not_erased_users
        try:
            require_erased(
                result,
                self._progress.open_ids,
                self._failures,
                named=[_named(user) for user in self._not_erased_users[:NAMED_IN_ERROR]],
                remedy="Clear the task, or let it retry: it submits only those who are not erased. Owners and members "
                "of an account and developers of a bot must first lose that role in Kore.ai.",
            )
        except Exception:
            push_outcome(self._operator, self._context, output)
            raise
        log.info("All %d users are erased.", result.user_count)
        return output

    def _name_not_erased(self, record: BatchRecord, batch: Batch, matched: MatchedOutcome) -> None:
        """Tell who is not erased: by position, and by digest if the connection has a key for it."""

        def users(positions: Sequence[int], most: int) -> list[NotErasedUserFields]:
            within = record.positions
            in_batch = (position if within is None else within[position] for position in positions[:most])
            return [self._not_erased_user(record.number, batch, position) for position in in_batch]

        shown = users(matched.to_repeat, NAMED_IN_LOG)
        log.error(
            "Not erased in batch %d (request %s): the users at position %s of the batch%s.",
            record.number,
            record.requests[-1].request_id,
            ", ".join(map(_place, shown)) + (", …" if len(matched.to_repeat) > NAMED_IN_LOG else ""),
            ""
            if not matched.suspect_positions
            else f", of whom {matched.outcome.not_erased} are not; since Kore.ai names them by other ids, it cannot be "
            "told which",
        )
        room = NAMED_IN_OUTPUT - len(self._not_erased_users)
        self._not_erased_users += users(matched.not_erased_positions, max(room, 0))

    def _not_erased_user(self, number: int, batch: Batch, position: int) -> NotErasedUserFields:
        user: NotErasedUserFields = {"batch": number, "position": position + 1}
        if key := self._account.digest_key:
            user["digest"] = digest(batch[position], key)
        return user


def _place(user: NotErasedUserFields) -> str:
    return f"{user['position']} ({user['digest']})" if "digest" in user else str(user["position"])


def _named(user: NotErasedUserFields) -> str:
    return f"batch {user['batch']} position {_place(user)}"


def _source_changed(number: int) -> KoreInputError:
    return KoreInputError(
        f"The source of the user ids has changed: batch {number} is not what it was.",
        remedy="Put the source back as it was and clear the task.",
    )


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
