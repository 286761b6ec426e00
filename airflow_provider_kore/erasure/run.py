"""
One attempt of a task that erases users, or that waits for their erasure.

    SUBMIT ──▶ WAIT ──▶ RECONCILE ──▶ VERIFY ──▶ CONCLUDE
                ▲            │
                └─ some open ┘

The ledger decides what happens. It is in Airflow's task state store, which came with Airflow 3.3; before, a task
carries it along when it defers, and a retry finds none and submits all users. Each batch has a record there, written
before its DELETE and again right after:

* *planned*: nothing was sent, or Kore.ai did not accept it. SUBMIT submits the batch.
* *sending*: the worker died between the DELETE and the record of the request id, or got no usable answer. The batch is
  ambiguous. SUBMIT submits it again and logs AMBIGUOUS, or the task fails, as ``on_ambiguous_submit`` says.
* *accepted*: the request id is known. WAIT waits for it, and nothing is submitted.
* *settled*: Kore.ai is done, which RECONCILE finds by count where that proves enough, else by user id. SUBMIT of the
  next attempt submits only those users again who are not erased, or the whole request if Kore.ai does not name them.

An attempt that starts reads all users, refuses a plan that differs from what was sent, and goes through all phases. One
that resumes continues in the phase in which it left its worker; what it keeps beside the ledger is a ``RunState``, in
the XCom ``kore_resume``. ``EraseRun`` (erase.py) submits. ``WaitRun`` (requests.py), of the sensor, submits nothing:
its ledger is made of request ids.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NoReturn

from airflow_provider_kore.api.budget import MINUTE
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.watching import ErasureWatch, RequestOutcome
from airflow_provider_kore.compat import AirflowRescheduleException, AirflowSensorTimeout
from airflow_provider_kore.deadlines import log_deadline
from airflow_provider_kore.erasure.attempt import Attempt
from airflow_provider_kore.erasure.reconcile import Reconciler, reconcile_by_count
from airflow_provider_kore.erasure.state import Phase, RunState
from airflow_provider_kore.erasure.verdict import require_erased
from airflow_provider_kore.erasure.wait import POLLED_FIRST, REQUESTS_AT_ONCE, WaitQueue
from airflow_provider_kore.exceptions import Consequence, KoreError
from airflow_provider_kore.reporting.page_report import Stage
from airflow_provider_kore.resumption import (
    UsageFields,
    max_worker_wait,
    resume_later,
    state_is_lost,
)
from airflow_provider_kore.triggers.event import read_event
from airflow_provider_kore.verification.search import search_users

log = logging.getLogger(__name__)

Result = dict[str, object]


class ErasureRun(Attempt):
    """Carry out one attempt; see the module for its phases."""

    # --- the ways in -------------------------------------------------------------------------------------------------

    def start(self) -> Result:
        """Start the attempt."""
        with self._consequences():
            self._read_options()
            if self._options.deadline is not None:
                log_deadline(self._options.deadline, datetime.now(UTC))
            return self._submit()

    def resume(self, event: object) -> Result:
        """
        Resume in the phase in which the task left its worker.

        :param event: what the trigger fired: in WAIT the outcomes of its polls; else it only says that it is time.
        """
        with self._consequences():
            self._load()
            state = self._state
            if state is None:
                return self._stop(state_is_lost(self._consequence))
            if state.phase is Phase.SUBMIT:
                return self._submit(state)
            if state.phase is Phase.WAIT:
                self._reconcile(*read_event(event, {number: self._request(number) for number in self._queue.round}))
                return self._wait()
            return self._verify(state.usage)

    def resume_late(self) -> Result:
        """Resume although the trigger did not fire in time: poll what is open once more, and conclude."""
        with self._consequences():
            self._load()
            self._refill_queue()
            self._deadline = 0.0
            if self.submits and self._ledger.unsent:
                self._failures.insert(0, self._interrupted())
            return self._wait()

    def resume_without_trigger(self) -> Result:
        """Resume after the trigger failed, which says nothing about the erasure: conclude with what is recorded."""
        with self._consequences():
            self._load()
            return self._stop(self._interrupted())

    # --- SUBMIT ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _submit(self, rest: RunState | None = None) -> Result:
        """
        Check everything, submit what is due, and continue with WAIT.

        :param rest: what this attempt has submitted before the account's budget was spent.
        """

    # --- WAIT --------------------------------------------------------------------------------------------------------

    def _start_to_wait(self) -> Result:
        """Poll once where that may spare the triggerer, and wait for what is open."""
        self._refill_queue()
        few = len(self._queue.numbers) <= POLLED_FIRST
        if (self._waiting.deferrable and few) or (self._waiting.reschedule and time.time() < self._deadline):
            # The triggerer can wait for turns without a worker's slot.
            max_wait = 0.0 if self._waiting.deferrable else MINUTE
            numbers = self._queue.start_round(self._deadline)
            outcomes, failure = self._poller.poll(numbers, lambda watch: watch.check(max_wait))
            if failure is not None or all(outcome.settled for outcome in outcomes.values()):
                self._reconcile(outcomes, failure)
        return self._wait()

    def _wait(self) -> Result:
        """Wait in rounds until nothing is open, or the deadline comes."""
        if not self._waits or not self._ledger.anything_accepted:
            return self._conclude_submission()
        if self._queue.numbers:
            self._report.publish(Stage.WAITING)
        while self._queue.numbers:
            if self._waiting.deferrable and self._deadline:
                self._defer()
            if self._waiting.reschedule and time.time() < self._deadline:
                self._reschedule()
            numbers = self._queue.start_round(self._deadline)
            self._reconcile(*self._poller.poll(numbers, self._poll_until_deadline))
        return self._verify(None)

    def _poll_until_deadline(self, watch: ErasureWatch) -> Conversation[None]:
        return watch.wait(PollSchedule(longest=self._waiting.poll_interval), self._deadline, self._next_poll)

    def _defer(self) -> NoReturn:
        from airflow_provider_kore.triggers.erasure import KoreErasureTrigger

        requests = [self._request(number) for number in self._queue.start_round(self._deadline, REQUESTS_AT_ONCE)]
        trigger = KoreErasureTrigger(
            requests=[[request.request_id, request.user_count] for request in requests],
            kore_conn_id=self._hook.kore_conn_id,
            started=self._started,
            deadline=self._queue.round_ends,
            poll_interval=self._waiting.poll_interval,
            first_poll=max(self._next_poll, time.time() + 1.0),
        )
        resume_later(self._task, self._context, trigger, self._state_to_keep(Phase.WAIT), self._deadline)

    def _reschedule(self) -> NoReturn:
        pause = PollSchedule(longest=self._waiting.poll_interval).pause(time.time() - self._started)
        next_start = datetime.fromtimestamp(min(time.time() + pause, self._deadline), UTC)
        raise AirflowRescheduleException(next_start)  # type: ignore[no-untyped-call]

    # --- RECONCILE ---------------------------------------------------------------------------------------------------

    def _reconcile(self, outcomes: Mapping[int, RequestOutcome], failure: KoreError | None) -> None:
        """Bring the outcomes of a round into the ledger; a failure ends the wait."""
        outcomes = dict(outcomes)
        settled_by_count = [number for number, outcome in outcomes.items() if outcome.settled]
        if self._batches is None:
            reconcile_by_count(self._ledger, outcomes)
        else:
            reconciler = Reconciler(self._hook, self._ledger, self._batches, self._poller.watch, self._not_erased_users)
            try:
                reconciler.reconcile(outcomes, by_id=failure is None)
            except KoreError as error:
                failure = error
            self._failures += reconciler.alarms
        self._queue.end_round(outcomes, self._deadline)
        for number in outcomes.keys() - set(self._queue.numbers):
            for remark in outcomes[number].outcome.remarks:
                log.warning("%s", remark)
        if any(not outcomes[number].settled for number in settled_by_count):
            self._next_poll = time.time() + self._waiting.poll_interval  # only time can settle them by user id too
        if failure is not None:
            self._failures.append(_of_wait(failure))
            self._queue = WaitQueue()
        elif self._queue.numbers:
            log.info("%d requests are still open.", len(self._queue.numbers))

    # --- VERIFY ------------------------------------------------------------------------------------------------------

    def _verify(self, usage: UsageFields | None) -> Result:
        """Verify the erased users if the option is set and no user is open, and conclude."""
        if self._verification is None and self._evidence is not None and not self._ledger.outcome.open:
            self._verification = self._evidence.start_verification(self._context)
        if self._verification is not None and self._evidence is not None:
            self._report.publish(Stage.VERIFYING)
            end = search_users(
                self._hook,
                self._verification,
                self._evidence.erased_users(),
                usage,
                max_worker_wait=max_worker_wait(self._waiting.deferrable),
                deadline=self._deadline,
            )
            if end.seconds > 0:
                self._leave(Phase.VERIFY, end.seconds, usage=end.usage)
            self._failures += [end.failure] if end.failure is not None else []
        return self._conclude()

    # --- CONCLUDE ----------------------------------------------------------------------------------------------------

    def _conclude(self) -> Result:
        """Write the evidence, and succeed only if every user is erased, and none was found."""
        result = self._report.result(self._ledger.outcome)
        if self._not_erased_users:
            result["not_erased_users"] = self._not_erased_users
        failures = self._failures
        if self._evidence is not None:
            failures = self._evidence.conclude(result, self._context, self._verification, failures)
        self._report.publish(Stage.ENDED, result)
        self._report.log_table(result)
        try:
            require_erased(
                self._ledger,
                failures,
                self._not_erased_users,
                submits=self.submits,
                deadline=self._options.deadline,
            )
        except (KoreError, AirflowSensorTimeout):
            self._report.fail(result)
            raise
        self._report.succeed(result)
        return result

    def _conclude_submission(self) -> Result:
        """Conclude where nothing is waited for: succeed if every user is in an accepted request."""
        result = self._report.result()
        users = self._ledger.user_count
        if self._failures:
            if self._waits:
                result |= ErasureOutcome(not_erased=users).counts()
            self._report.publish(Stage.ENDED, result)
            self._report.fail(result)
            unknown = (failure for failure in self._failures if failure.consequence is Consequence.UNKNOWN)
            raise next(unknown, self._failures[0])
        self._report.publish(Stage.ENDED, result | ErasureOutcome(open=users).counts())
        self._report.succeed(result)
        return result

    def _stop(self, failure: KoreError) -> Result:
        """Conclude with what is recorded."""
        self._failures.insert(0, failure)
        self._queue = WaitQueue()
        return self._wait()


def _of_wait(error: KoreError) -> KoreError:
    """Let an error of the wait not say that nothing was sent."""
    return error.with_consequence(Consequence.SENT_BEFORE) if error.consequence is Consequence.NOT_SENT else error
