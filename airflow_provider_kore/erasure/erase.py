"""The run of a task that submits: what it checks before, and the phase SUBMIT."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.arguments import check_flag
from airflow_provider_kore.erasure.export_gate import require_exported
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.opening import open_ledger
from airflow_provider_kore.erasure.options import read_deadline_option, read_options
from airflow_provider_kore.erasure.plan import (
    Plan,
    PlannedTask,
    batches_of,
    describe_members,
    describe_plan,
    find_members,
    make_plan,
    require_approved,
    require_no_members,
)
from airflow_provider_kore.erasure.run import ErasureRun, Result
from airflow_provider_kore.erasure.state import Phase, RunState
from airflow_provider_kore.erasure.store import RecordStore
from airflow_provider_kore.erasure.submit import Submission
from airflow_provider_kore.erasure.wait import Waiting
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError, KoreResumeError, KoreWaitError
from airflow_provider_kore.reporting.page_report import Stage, publish
from airflow_provider_kore.resumption import export_usage, import_usage, max_worker_wait
from airflow_provider_kore.triggers.event import waiting_broke_off
from airflow_provider_kore.user_ids.sealed import seal_opener
from airflow_provider_kore.user_ids.source import Opener

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)


class EraseTask(PlannedTask, Protocol):
    """The arguments of a task that erases, rendered."""

    kore_conn_id: str
    wait_for_completion: bool
    deferrable: bool
    poll_interval: float
    timeout: float
    is_dry_run: bool | str
    check_members: bool
    on_ambiguous_submit: str
    approved_plan: object
    exported: object
    deadline: object
    verify: object
    receipt: object


class EraseRun(ErasureRun):
    """
    Carry out one attempt of a task that erases.

    :param task: the operator; its arguments are rendered.
    :param context: of the running task.
    :param resumes: whether this attempt has left its worker before.
    """

    submits = True

    def __init__(self, task: EraseTask, context: Context, *, resumes: bool = False) -> None:
        waiting = Waiting(task.deferrable, reschedule=False, poll_interval=task.poll_interval, timeout=task.timeout)
        super().__init__(cast("BaseOperator", task), context, task.kore_conn_id, waiting, resumes=resumes)
        self._arguments = task
        self._waits = task.wait_for_completion
        self._attempt = context["ti"].try_number
        self._may_skip = False
        self._may_have_expired = resumes

    # --- SUBMIT ------------------------------------------------------------------------------------------------------

    def _submit(self, rest: RunState | None = None) -> Result:
        if rest is not None:
            return self._submit_rest(rest)
        dry_run = check_flag("dry_run", self._arguments.is_dry_run)
        earlier = self._find_earlier(dry_run=dry_run)
        plan = self._plan(may_skip=self._may_skip)
        require_approved(self._options.approved_plan, plan)
        with self._hook.get_conn() as client:
            if dry_run:
                return self._describe(plan, client)
            self._ledger = self._open_ledger(plan, earlier)
            self._require_sendable(plan, client)
            self._ledger.note(options=self._fingerprint)
            self._report.publish(Stage.SUBMITTING)
            self._submit_due(plan, client, next_batch=1)
        return self._start_to_wait()

    def _submit_rest(self, state: RunState) -> Result:
        submission = self._submission(state.next_batch)
        try:
            plan = self._plan(may_skip=False)
            ledger = self._open_ledger(plan, self._ledger)
            if plan.fingerprint != state.plan:
                raise KoreInputError(
                    "What this task would erase is not what was checked before it left its worker.",
                    remedy="Put users, bots and connection back as they were.",
                )
        except (KoreInputError, KoreResumeError) as error:
            submission.fail(error)
            self._failures += submission.failures
        else:
            self._ledger = ledger
            with self._hook.get_conn() as client:
                import_usage(client, state.usage)
                self._submit_due(plan, client, next_batch=state.next_batch)
        return self._start_to_wait()

    def _submit_due(self, plan: Plan, client: KoreClient, *, next_batch: int) -> None:
        """Submit what is due, and leave the worker if the account's budget is spent for long."""
        submission = self._submission(next_batch)
        seconds = submission.submit_due(client, max_worker_wait(self._waiting.deferrable))
        self._failures += submission.failures
        if seconds > 0:
            next_batch = submission.next_batch
            log.info(
                "The account's budget is spent for %.0f s: the task leaves its worker, and resumes with batch %d then.",
                seconds,
                next_batch,
            )
            self._leave(Phase.SUBMIT, seconds, plan=plan.fingerprint, next_batch=next_batch, usage=export_usage(client))

    def _submission(self, next_batch: int) -> Submission:
        assert self._batches is not None  # noqa: S101 # set with the options
        return Submission(
            self._ledger,
            self._batches,
            self._hook.account.fingerprint_key(),
            deadline=self._deadline,
            resubmit_ambiguous=self._arguments.on_ambiguous_submit == "resubmit",
            next_batch=next_batch,
        )

    # --- what is checked before --------------------------------------------------------------------------------------

    def _read_options(self) -> None:
        task, account = self._arguments, self._hook.account
        self._options = read_options(
            account,
            deadline=task.deadline,
            verify=task.verify,
            receipt=task.receipt,
            exported=task.exported,
            approved_plan=task.approved_plan,
        )
        self._batches = batches_of(task, account, self._opener)

    @property
    def _opener(self) -> Opener:
        """Open sealed user ids, also expired ones if it is to complete what was submitted."""
        return seal_opener(self._hook.account, self._context, may_have_expired=self._may_have_expired)

    def _find_earlier(self, *, dry_run: bool) -> ErasureLedger | None:
        """Load what earlier attempts sent, and publish it, since Airflow has deleted what they published."""
        ledger = ErasureLedger.load(self._store)
        if ledger is None or ledger.consequence is Consequence.NOT_SENT:
            self._may_skip = self._arguments.on_empty == "skip" and not self._store.is_forgotten(self._attempt)
            return ledger
        self._ledger = ledger
        self._may_have_expired = True
        self._report.publish(Stage.SUBMITTING)
        if dry_run:
            raise KoreResumeError(
                "This is to be a dry run, and an earlier attempt of this task has submitted users.",
                consequence=ledger.consequence,
                remedy="Clear the task without dry_run to resume that, and start a new DAG run for a dry run.",
            )
        return ledger

    def _plan(self, *, may_skip: bool) -> Plan:
        plan = make_plan(self._arguments, self._hook.account, self._opener, may_skip=may_skip)
        self._batches = plan.batches
        return plan

    def _describe(self, plan: Plan, client: KoreClient) -> Result:
        """Return what would be done."""
        self._ledger = ErasureLedger(plan.records, plan.scope, RecordStore(None))
        result = describe_plan(plan)
        if self._arguments.check_members:
            result |= describe_members(find_members(plan, self._hook.account, client, self._deadline))
        result |= self._report.deadline_fields
        self._report.publish(Stage.ENDED, result | ErasureOutcome().counts())
        return result

    def _open_ledger(self, plan: Plan, earlier: ErasureLedger | None) -> ErasureLedger:
        if not self._store.survives_the_attempt:
            log.warning(
                "This Airflow has no task state store (it came with 3.3): a retry of this task will submit all users "
                "anew."
            )
        return open_ledger(self._store, plan.identity, plan.records, earlier)

    def _require_sendable(self, plan: Plan, client: KoreClient) -> None:
        """
        Refuse to send anything as long as Kore.ai would refuse a user, or a user's data were not exported.

        If nothing is left to be sent, nothing is refused but an export that was not checked before it was.
        """
        exported = self._options.exported
        checked = None if exported is None else exported.named.manifest_sha256
        if not any(record.is_due for record in self._ledger.records):
            if checked is not None and checked != self._ledger.header.get("exported"):
                raise KoreInputError(
                    "All users were submitted before, and with another export or none.",
                    remedy="Give the same exported as then, or leave it out.",
                )
            return
        account = self._hook.account
        require_exported(self._options, account, self._ledger.scope, self._ledger.user_count, plan.batches.fingerprint)
        if self._arguments.check_members:
            require_no_members(find_members(plan, account, client, self._deadline))
        self._ledger.note(exported=checked)

    # --- coming back -------------------------------------------------------------------------------------------------

    def _first_start(self) -> float:
        return time.time()

    def _load_ledger(self) -> ErasureLedger:
        ledger = ErasureLedger.load(self._store)
        if ledger is None:
            raise KoreWaitError(
                "The task resumes after the triggerer, and there is no record of what it had submitted.",
                consequence=Consequence.UNKNOWN,
                remedy="Find the request ids in the task's earlier log, and wait for them with a KoreErasureSensor. "
                "Clearing this task submits all users anew.",
            )
        return ledger

    @property
    def _fingerprint(self) -> str:
        return self._options.fingerprint()

    def _interrupted(self) -> KoreError:
        unsent = self._ledger.unsent
        if not unsent:
            return waiting_broke_off()
        return KoreWaitError(
            f"The triggerer did not bring back the task, which had {unsent} batches left to submit; its log says why.",
            consequence=self._ledger.consequence_of_stopping,
            remedy="Clear the task to resume.",
        )

    def _refuse(self) -> Consequence:
        ledger = ErasureLedger.load(self._store)
        consequence = Consequence.NOT_SENT if ledger is None else ledger.consequence
        if consequence is Consequence.NOT_SENT and self._store.is_forgotten(self._attempt):
            consequence = Consequence.UNCLEAR_BEFORE
        if consequence is Consequence.NOT_SENT:
            self._publish_refusal(None, Stage.REFUSED)
        else:
            self._publish_refusal(ledger, Stage.SUBMITTING)
        return consequence

    def _publish_refusal(self, ledger: ErasureLedger | None, stage: Stage) -> None:
        base_url = deadline = None
        with suppress(Exception):  # what was refused can be the connection itself
            base_url = self._hook.account.base_url
        with suppress(KoreError):
            deadline = read_deadline_option(self._arguments.deadline)
        publish(
            self._task,
            self._context,
            stage,
            {} if ledger is None else {"user_count": ledger.user_count} | ledger.outcome.counts(),
            base_url=base_url,
            scope=None if ledger is None else ledger.scope,
            submits=True,
            started=(ledger and ledger.first_submitted_at) or time.time(),
            deadline=deadline,
        )
