"""What an erasing task does in one try: check, submit what is due, wait, and settle what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

from pydantic import JsonValue

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.matching import count_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.watching import AcceptedErasure, Assess, ErasureWatch, RequestOutcome
from airflow_provider_kore.deadlines import log_deadline, read_deadline
from airflow_provider_kore.erasure.approval import check_approved
from airflow_provider_kore.erasure.evidence import Proof
from airflow_provider_kore.erasure.ledger import (
    BatchState,
    ErasureLedger,
    RecordStore,
    TaskStateStore,
    asked_for_something_else,
    is_forgotten,
    require_same_account,
)
from airflow_provider_kore.erasure.options import read_demands
from airflow_provider_kore.erasure.plan import ErasurePlanning, Planned, tries_granted
from airflow_provider_kore.erasure.reconcile import Settling
from airflow_provider_kore.erasure.submit import Submission, consequence_of_breaking_off, submission_broke_off
from airflow_provider_kore.erasure.wait import LOOKED_AT_FIRST, REQUESTS_AT_ONCE, Progress
from airflow_provider_kore.erasure.waiting import (
    failure_from_json,
    failure_to_json,
    log_progress,
    of_wait,
    require_erased,
    resume_when_done,
    wait_until,
    waiting_broke_off,
)
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreError,
    KoreInputError,
    KoreResumeError,
    KoreWaitError,
)
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.options import check_flag
from airflow_provider_kore.reporting.assets import note_outcome
from airflow_provider_kore.reporting.page_report import Stage, publish, publish_refusal
from airflow_provider_kore.reporting.table import Row, outcome_table
from airflow_provider_kore.resumption import (
    UsageFields,
    export_usage,
    import_usage,
    kept_state,
    max_worker_wait,
    push_outcome,
    resume_after,
    state_is_lost,
    usage_from_json,
)
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef, show_user_refs
from airflow_provider_kore.verification.verification import Verification

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ErasingState:
    """
    Hold what a task that erases keeps when it leaves its worker; it names no user.

    :param stage: how far the task is.
    :param started: when the attempt started, in seconds since the epoch.
    :param failures: what went wrong so far.
    :param records: what is in no task state store, see :class:`RecordStore`.
    :param not_erased_users: who is known not to be erased.
    :param progress: how far the wait is; ``None`` before it.
    :param verification: how far the verification is; ``None`` before it.
    :param next_batch: the number of the batch to submit next.
    :param plan_fingerprint: of what was checked before the first batch was submitted.
    :param calls: what the worker called, where the task left it because the account's budget was spent.
    """

    stage: Stage
    started: float
    failures: list[KoreError]
    records: dict[str, JsonValue]
    not_erased_users: list[UserRef]
    progress: Progress | None = None
    verification: Verification | None = None
    next_batch: int = 1
    plan_fingerprint: str = ""
    calls: UsageFields | None = None

    def to_json(self) -> dict[str, object]:
        """Write the form that is kept."""
        return {
            "stage": self.stage.value,
            "started": self.started,
            "failures": [failure_to_json(failure) for failure in self.failures],
            "records": self.records,
            "not_erased_users": self.not_erased_users,
            "progress": None if self.progress is None else self.progress.to_json(),
            "verification": None if self.verification is None else self.verification.to_json(),
            "next_batch": self.next_batch,
            "plan_fingerprint": self.plan_fingerprint,
            "calls": self.calls,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ErasingState:
        """Read what :meth:`to_json` wrote."""
        progress, verification = fields["progress"], fields["verification"]
        return cls(
            stage=Stage(fields["stage"]),
            started=float(fields["started"]),
            failures=[failure_from_json(failure) for failure in fields["failures"]],
            records=dict(fields["records"]),
            not_erased_users=list(fields["not_erased_users"]),
            progress=None if progress is None else Progress.from_json(progress),
            verification=None if verification is None else Verification.from_json(verification),
            next_batch=int(fields["next_batch"]),
            plan_fingerprint=str(fields["plan_fingerprint"]),
            calls=None if fields["calls"] is None else usage_from_json(fields["calls"]),
        )


def run_erasing_task(
    operator: KoreEraseUserDataOperator,
    context: Context,
    step: Callable[[ErasingTask], dict[str, object]],
    *,
    resumes: bool,
) -> dict[str, object]:
    """
    Take one step of a task that erases; a refusal says, also to the page, what was sent before.

    :param step: one of the ways into an attempt.
    :param resumes: whether this attempt has left its worker before.
    """
    state = kept_state(context, ErasingState.from_json) if resumes else None
    airflows = cast("TaskStateStore | None", context.get("task_state_store"))
    store = RecordStore(airflows, None if state is None else state.records)
    try:
        return step(ErasingTask(operator, context, store, state))
    except KoreError as error:
        if error.consequence is not Consequence.NOT_SENT:
            raise
        ledger = ErasureLedger.load(store)
        consequence = Consequence.NOT_SENT if ledger is None else ledger.consequence
        if consequence is Consequence.NOT_SENT and is_forgotten(store, context["ti"].try_number):
            consequence = Consequence.UNCLEAR_BEFORE
        deadline = None
        with suppress(KoreError):
            deadline = read_deadline(operator.received_at, operator.regime)
        if consequence is Consequence.NOT_SENT:
            publish_refusal(operator, context, Stage.REFUSED, deadline=deadline)
            raise
        publish_refusal(operator, context, Stage.SUBMITTING, ledger, deadline=deadline)
        raise error.with_consequence(consequence) from None


def _nothing_recorded() -> KoreWaitError:
    return KoreWaitError(
        "The task came back from the triggerer, and no record of what it had submitted came with it.",
        consequence=Consequence.UNKNOWN,
        remedy="Find the request ids in the task's earlier log, and wait for them with a KoreErasureSensor. Clearing "
        "this task submits everybody anew.",
    )


class ErasingTask:
    """
    Carry out one attempt of a task that erases.

    :param operator: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    :param store: what earlier tries did.
    :param state: what this attempt kept when it left its worker; ``None`` if it did not, or if that is lost.
    """

    _ledger: ErasureLedger

    def __init__(
        self,
        operator: KoreEraseUserDataOperator,
        context: Context,
        store: RecordStore,
        state: ErasingState | None = None,
    ) -> None:
        self._operator = operator
        self._context = context
        self._hook = KoreHook(operator.kore_conn_id)
        self._store = store
        self._state = state
        self._started = time.time() if state is None else state.started
        self._demands = read_demands(operator, self._account)
        self._deadline = wait_until(self._started, operator.timeout, self._demands.deadline)
        self._planning = ErasurePlanning(operator, context, self._account, self._demands, self._deadline)
        self._batches = self._planning.batches
        self._failures = [] if state is None else list(state.failures)
        self._not_erased_users = [] if state is None else list(state.not_erased_users)
        self._first_look = 0.0
        self._verification: Verification | None = None

    @property
    def _account(self) -> KoreAccount:
        return self._hook.account

    @property
    def _key(self) -> bytes:
        return self._account.fingerprint_key()

    # --- the ways into a try -----------------------------------------------------------------------------------------

    def start(self) -> dict[str, object]:
        """Check everything, submit what is due, and wait if asked to."""
        if self._demands.deadline is not None:
            log_deadline(self._demands.deadline, datetime.now(UTC))
        anew = self._must_begin_anew()
        before = self._sent_before(anew)
        if before is not Consequence.NOT_SENT and not anew:
            self._publish(Stage.SUBMITTING)  # Airflow has deleted what the try before told
        dry_run = check_flag("dry_run", self._operator.is_dry_run)
        if dry_run and before is not Consequence.NOT_SENT:
            raise KoreResumeError(
                "This is to be a dry run, and an earlier try of this task has submitted users.",
                consequence=before,
                remedy="Clear the task without dry_run to take that up, and start a new DAG run for a dry run.",
            )
        planned = self._planning.plan(
            may_skip=self._operator.on_empty == "skip"
            and before is Consequence.NOT_SENT
            and not is_forgotten(self._store, self._context["ti"].try_number)
        )
        if self._operator.must_be_approved:
            check_approved(self._operator.plan_fingerprint, planned.fingerprint)
        with self._hook.get_conn() as client:
            if dry_run:
                output = self._planning.show(planned, client) | self._deadline_fields()
                self._ledger = ErasureLedger(planned.records, planned.scope, RecordStore(None))
                self._publish(Stage.ENDED, output | ErasureOutcome().counts())
                return output
            self._ledger = self._open_ledger(planned, anew=anew)
            self._planning.refuse_what_must_not_be_sent(self._ledger, client)
            self._ledger.note(demands=self._asked_for)
            self._publish(Stage.SUBMITTING)
            submission = self._submission()
            submission.begin()
            self._submit(client, submission, planned)
        return self._begin_to_wait()

    def resume(self, event: object) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: the trigger's; of a wait it says what became of the requests, else only that it is time.
        """
        match self._state:
            case ErasingState(stage=Stage.SUBMITTING):
                return self._submit_rest(self._state)
            case ErasingState(stage=Stage.WAITING, progress=Progress() as progress):
                self._take_back()
                self._progress = progress
                self._end_round(*progress.read_round(event, self._request))
                return self._wait()
            case ErasingState(stage=Stage.VERIFYING, progress=Progress() as progress):
                self._take_back()
                self._progress = progress
                self._verification = self._state.verification
                return self._verify(self._state.calls)
        self._rebuild()
        return self._give_up(state_is_lost(self._consequence))

    def miss_deadline(self) -> dict[str, object]:
        """Resume after the triggerer missed the deadline: look for the last time."""
        self._rebuild()
        self._deadline = 0.0
        if self._unsent:
            self._failures.insert(0, self._not_resumed())
        if not self._operator.wait_for_completion:
            return self._end_submission()
        self._wait_in_worker()
        return self._finish()

    def break_off(self) -> dict[str, object]:
        """Resume after the trigger failed, which says nothing about the erasure."""
        self._rebuild()
        return self._give_up(self._not_resumed())

    def _submit_rest(self, state: ErasingState) -> dict[str, object]:
        """Submit what is left, now that the account's budget is no longer spent."""
        self._take_back()
        try:
            planned = self._planning.plan(may_skip=False)
            self._ledger = self._open_ledger(planned)
            if planned.fingerprint != state.plan_fingerprint:
                raise KoreInputError(
                    "What this task would erase is not what was checked before it left its worker.",
                    remedy="Put users, bots and connection back as they were.",
                )
        except (KoreInputError, KoreResumeError) as error:
            self._load_ledger()
            self._failures.append(submission_broke_off(error, self._ledger, state.next_batch))
            log.error("%s", self._failures[-1])
        else:
            with self._hook.get_conn() as client:
                import_usage(client, state.calls)
                submission = self._submission()
                submission.next_batch = state.next_batch
                self._submit(client, submission, planned)
        return self._begin_to_wait()

    def _rebuild(self) -> None:
        """Rebuild from the ledger alone how far the task is, where nothing came back from the triggerer."""
        self._take_back()
        self._progress = self._everybody()
        if self._state is None:
            settled = (record for record in self._ledger.records if record.state is BatchState.SETTLED)
            self._not_erased_users = [
                UserRef(batch=record.number, position=position + 1)
                for record in settled
                for position in record.positions or ()
            ][:NAMED_IN_OUTPUT]

    def _give_up(self, failure: KoreError) -> dict[str, object]:
        """End the task with what is recorded."""
        self._failures.insert(0, failure)
        if not self._operator.wait_for_completion:
            return self._end_submission()
        self._progress.give_up(self._unseen)
        return self._finish()

    def _not_resumed(self) -> KoreWaitError:
        if not self._unsent:
            return waiting_broke_off()
        return KoreWaitError(
            f"The triggerer did not bring back the task, which had {self._unsent} batches left to submit; its log says "
            "why.",
            consequence=self._consequence,
            remedy="Clear the task to go on.",
        )

    @property
    def _consequence(self) -> Consequence:
        """What it means for the erasure if the task does not submit any more."""
        return consequence_of_breaking_off(self._ledger) if self._unsent else Consequence.SENT

    @property
    def _unsent(self) -> int:
        return sum(record.state in (BatchState.PLANNED, BatchState.SENDING) for record in self._ledger.records)

    # --- what earlier tries did --------------------------------------------------------------------------------------

    def _take_back(self) -> None:
        """Take up what this try recorded before it left its worker."""
        if not self._load_ledger():
            raise _nothing_recorded()
        self._require_same()

    def _require_same(self) -> None:
        """Refuse to go on for another account, or to show something else than was checked."""
        require_same_account(self._ledger.header, self._account)
        if self._ledger.header.get("demands") != self._asked_for:
            raise asked_for_something_else(self._ledger.consequence)

    @property
    def _asked_for(self) -> str:
        return self._demands.fingerprint(self._approved_plan)

    def _open_ledger(self, planned: Planned, *, anew: bool = False) -> ErasureLedger:
        if not self._store.survives_the_try:
            log.warning(
                "This Airflow has no task state store (it came with 3.3): a retry of this task will submit all users "
                "anew."
            )
        return ErasureLedger.open(self._store, planned.plan, planned.records, anew=anew)

    def _sent_before(self, anew: bool) -> Consequence:
        """Take up what earlier tries recorded, and say what that means if nothing more is sent."""
        try:
            return self._ledger.consequence if self._load_ledger() else Consequence.NOT_SENT
        except KoreResumeError:
            if not anew:
                raise
            return Consequence.UNCLEAR_BEFORE

    def _must_begin_anew(self) -> bool:
        """Tell whether the author wants to, and no try since the task was last cleared has done so."""
        if not self._operator.force:
            return False
        if ErasureLedger.forced_within(self._store) != tries_granted(self._context):
            return True
        log.info("An earlier try has already begun anew, as force=True wants it: this one takes up what it recorded.")
        return False

    def _load_ledger(self) -> bool:
        ledger = ErasureLedger.load(self._store)
        if ledger is not None:
            self._ledger = ledger
        return ledger is not None

    # --- submitting --------------------------------------------------------------------------------------------------

    def _submission(self) -> Submission:
        return Submission(
            self._ledger,
            self._batches,
            self._ledger.scope,
            self._key,
            deadline=self._deadline,
            resubmit_ambiguous=self._operator.on_ambiguous_submit == "resubmit",
        )

    def _submit(self, client: KoreClient, submission: Submission, planned: Planned) -> None:
        """Submit what is due, and leave the worker if the account's budget is spent for long."""
        seconds = submission.go_on(client, max_worker_wait(self._operator.deferrable))
        self._failures += submission.failures
        if seconds > 0:
            log.info(
                "The account's budget is spent for %.0f s: the task leaves its worker, and goes on with batch %d then.",
                seconds,
                submission.next_batch,
            )
            state = self._present_state(
                Stage.SUBMITTING,
                next_batch=submission.next_batch,
                plan_fingerprint=planned.fingerprint,
                calls=export_usage(client),
            )
            resume_after(self._operator, self._context, seconds, state, self._deadline)

    def _present_state(self, stage: Stage, **more: Any) -> dict[str, object]:  # noqa: ANN401 # as ErasingState has them
        return ErasingState(
            stage=stage,
            started=self._started,
            failures=self._failures,
            records=self._store.carried,
            not_erased_users=self._not_erased_users,
            **more,
        ).to_json()

    def _end_submission(self) -> dict[str, object]:
        output = self._output()
        self._operator.told = (output, self._account.base_url, self._ledger.scope)
        if self._failures:
            if self._operator.wait_for_completion:
                output |= ErasureOutcome(not_erased=self._ledger.user_count).counts()
            self._publish(Stage.ENDED, output)
            push_outcome(self._operator, self._context, output)
            unclear = (failure for failure in self._failures if failure.consequence is Consequence.UNKNOWN)
            raise next(unclear, self._failures[0])
        self._publish(Stage.ENDED, output | ErasureOutcome(open=self._ledger.user_count).counts())
        note_outcome(self._context, *self._operator.told)
        return output

    def _output(self) -> dict[str, object]:
        records = self._ledger.records
        return {
            "requests": [request.to_json() for record in records for request in record.requests],
            "user_count": self._ledger.user_count,
            "batch_count": len(records),
            **self._ledger.scope.to_json(),
            **self._deadline_fields(),
        }

    def _deadline_fields(self) -> dict[str, object]:
        deadline = self._demands.deadline
        return {} if deadline is None else {"deadline": deadline.as_of(datetime.now(UTC))}

    def _publish(self, stage: Stage, output: Mapping[str, object] | None = None) -> None:
        """Tell the page in Airflow's UI how far the task is."""
        if output is None:
            waited_for = self._everybody() if stage is Stage.SUBMITTING else self._progress
            output = self._output() | waited_for.so_far(self._ledger.user_count).counts()
        publish(
            self._operator,
            self._context,
            stage,
            output,
            base_url=self._account.base_url,
            scope=self._ledger.scope,
            submits=True,
            started=min(self._ledger.begun_at or self._started, self._started),
            deadline=self._demands.deadline,
        )

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _begin_to_wait(self) -> dict[str, object]:
        """Wait if asked to, and if there is something to wait for."""
        if not self._operator.wait_for_completion or not self._ledger.anything_accepted:
            return self._end_submission()
        self._progress = self._everybody()
        if self._operator.deferrable and len(self._progress.left) <= LOOKED_AT_FIRST:
            self._look_first()
        return self._wait()

    def _everybody(self) -> Progress:
        """Count those who are not waited for, and put all others into the queue."""
        waiting, erased, not_erased = [], 0, 0
        for record in self._ledger.records:
            erased += record.user_count - record.unerased
            if record.state is BatchState.ACCEPTED:
                waiting.append(record.number)
            else:
                not_erased += record.unerased
        return Progress(waiting, ErasureOutcome(erased=erased, not_erased=not_erased))

    def _wait(self) -> dict[str, object]:
        """Wait in rounds until nothing is left to wait for."""
        if self._progress.left:
            self._publish(Stage.WAITING)
        if self._operator.deferrable and self._progress.left:
            self._defer()
        while self._progress.left:
            self._wait_in_worker()
        return self._finish()

    def _look_first(self) -> None:
        """Look once before anything is handed over, since an erasure can take half a second."""
        outcomes, failure = self._look(lambda watch: watch.check(max_wait=0.0))
        if failure is not None or all(outcome.settled for outcome in outcomes.values()):
            self._end_round(outcomes, failure)

    def _wait_in_worker(self) -> None:
        schedule = PollSchedule(longest=self._operator.poll_interval)
        self._end_round(*self._look(lambda watch: watch.wait(schedule, self._deadline, self._first_look)))

    def _look(
        self, conversation: Callable[[ErasureWatch], Conversation[object]]
    ) -> tuple[dict[int, RequestOutcome], KoreError | None]:
        """Look at all that is left, in a round of its own."""
        numbers = self._progress.begin_round(self._deadline)
        failure: KoreError | None = None
        with self._hook.get_conn() as client:
            watch = self._watch(client, numbers)
            try:
                client.run(conversation(watch))
            except KoreError as error:
                failure = error
        return dict(zip(numbers, watch.outcomes, strict=True)), failure

    def _defer(self) -> NoReturn:
        numbers = self._progress.begin_round(self._deadline, REQUESTS_AT_ONCE)
        resume_when_done(
            self._operator,
            self._context,
            [self._request(number) for number in numbers],
            self._present_state(Stage.WAITING, progress=self._progress),
            kore_conn_id=self._operator.kore_conn_id,
            started=self._started,
            first_look=max(self._first_look, time.time() + 1.0),
            round_ends=self._progress.round_ends,
            deadline=self._deadline,
            poll_interval=self._operator.poll_interval,
        )

    def _watch(self, client: KoreClient, numbers: Sequence[int], assess: Assess = count_outcome) -> ErasureWatch:
        return ErasureWatch(
            [self._request(number) for number in numbers],
            client.pacing,
            fingerprint_key=self._key,
            started=self._started,
            assess=assess,
            report=log_progress,
        )

    def _request(self, number: int) -> AcceptedErasure:
        return self._ledger.records[number - 1].requests[-1]

    def _unseen(self, number: int) -> RequestOutcome:
        return RequestOutcome.unseen(self._request(number))

    def _end_round(self, outcomes: dict[int, RequestOutcome], failure: KoreError | None) -> None:
        """Settle what is settled of a round; a failure ends the waiting."""
        settling = Settling(self._hook, self._ledger, self._batches, self._watch, self._not_erased_users)
        try:
            if settling.settle(outcomes, by_name=failure is None):
                self._first_look = time.time() + self._operator.poll_interval
        except KoreError as error:
            failure = error
        self._not_erased_users = settling.not_erased_users
        self._failures += settling.alarms
        self._progress.end_round(outcomes, self._deadline)
        if failure is not None:
            self._failures.append(of_wait(failure))
            self._progress.give_up(lambda number: outcomes.get(number) or self._unseen(number))

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, object]:
        """Look for the erased people if asked to and nobody is open, and end."""
        if not self._progress.outcome.open:
            self._verification = self._proof.begin_verification(self._context)
        return self._verify(None)

    @property
    def _proof(self) -> Proof:
        ledger = self._ledger
        return Proof(self._demands, self._account, ledger.scope, ledger.records, self._batches, looked_at=ledger.scope)

    def _verify(self, calls: UsageFields | None) -> dict[str, object]:
        """Look for the erased people, and end."""
        if self._verification is not None:
            self._publish(Stage.VERIFYING)
            failure = self._proof.verify(
                self._operator,
                self._context,
                self._hook,
                self._verification,
                calls,
                deferrable=self._operator.deferrable,
                deadline=self._deadline,
                state=lambda verification, calls: self._present_state(
                    Stage.VERIFYING, progress=self._progress, verification=verification, calls=calls
                ),
            )
            self._failures += [failure] if failure is not None else []
        return self._conclude()

    def _conclude(self) -> dict[str, object]:
        """Write the evidence, and let the task succeed only if everybody is erased, and nobody was found."""
        if self._verification is not None:
            self._ledger.looked_for(self._proof.found(self._verification))
        result, proof = self._progress.outcome, self._proof
        output = self._output() | result.counts()
        if self._not_erased_users:
            output["not_erased_users"] = self._not_erased_users
        failures = proof.judge(self._verification, self._failures)
        failures += proof.complete(output, self._context, self._verification, self._approved_plan)
        self._publish(Stage.ENDED, output)
        rows = [Row(record.name, record.outcome) for record in self._ledger.records]
        log.info("%s", outcome_table(rows, result, output))
        self._operator.told = (output, self._account.base_url, self._ledger.scope)
        try:
            require_erased(
                result,
                self._progress.open_ids,
                failures,
                named=show_user_refs(self._not_erased_users, len(self._not_erased_users)),
                remedy=self._remedy,
                deadline=self._demands.deadline,
            )
        except Exception:
            push_outcome(self._operator, self._context, output)
            raise
        note_outcome(self._context, *self._operator.told)
        return output

    @property
    def _remedy(self) -> str:
        """What to do about those who are not erased."""
        if any(record.must_be_sent for record in self._ledger.records):
            return (
                "Clear the task, or let it retry: it submits only those who are not erased. Owners and members of an "
                "account and developers of a bot must first lose that role in Kore.ai."
            )
        return (
            "Ask Kore.ai what became of these requests. Clearing the task looks at them again and submits nobody; to "
            "submit all users anew, start a new DAG run."
        )

    @property
    def _approved_plan(self) -> str | None:
        return self._operator.plan_fingerprint if self._operator.must_be_approved else None
