"""What a waiting task does in one try: look, hand over to the triggerer or come back later, and end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_kore.api.account import AccountIdentity
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.matching import count_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import MINUTE, PollSchedule
from airflow_provider_kore.api.watching import (
    AcceptedErasure,
    Assess,
    ErasureWatch,
    RequestOutcome,
)
from airflow_provider_kore.compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_kore.deadlines import log_deadline
from airflow_provider_kore.erasure.ledger import asked_for_something_else, require_same_account
from airflow_provider_kore.erasure.options import read_demands
from airflow_provider_kore.erasure.people_waited_for import PeopleFields, PeopleWaitedFor
from airflow_provider_kore.erasure.requests import read_requests
from airflow_provider_kore.erasure.wait import LOOKED_AT_FIRST, REQUESTS_AT_ONCE, Progress
from airflow_provider_kore.erasure.waiting import (
    failure_from_json,
    failure_to_json,
    log_progress,
    of_wait,
    only_waiting,
    require_erased,
    resume_when_done,
    wait_until,
    waiting_broke_off,
)
from airflow_provider_kore.exceptions import Consequence, KoreError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.reporting.assets import note_outcome
from airflow_provider_kore.reporting.page_report import Stage, publish
from airflow_provider_kore.reporting.table import ROWS, Row, outcome_table
from airflow_provider_kore.resumption import UsageFields, kept_state, push_outcome, state_is_lost, usage_from_json
from airflow_provider_kore.user_ids.user_refs import show_user_refs
from airflow_provider_kore.verification.verification import Verification

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.client import KoreClient
    from airflow_provider_kore.sensors.erasure import KoreErasureSensor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WaitingState:
    """
    Hold what a task that waits keeps when it leaves its worker; it names no user.

    :param stage: how far the task is.
    :param account: at which account it waits.
    :param demands: the fingerprint of what is asked for beside the wait.
    :param started: when the attempt started, in seconds since the epoch.
    :param progress: how far the wait is.
    :param people: what is known of the users, so that they cannot become others meanwhile.
    :param failures: what went wrong so far.
    :param verification: how far the verification is; ``None`` before it.
    :param calls: what the worker called, where the task left it because the account's budget was spent.
    """

    stage: Stage
    account: AccountIdentity
    demands: str
    started: float
    progress: Progress
    people: PeopleFields | None
    failures: list[KoreError]
    verification: Verification | None = None
    calls: UsageFields | None = None

    def to_json(self) -> dict[str, object]:
        """Write the form that is kept."""
        return {
            "stage": self.stage.value,
            "account": self.account,
            "demands": self.demands,
            "started": self.started,
            "progress": self.progress.to_json(),
            "people": self.people,
            "failures": [failure_to_json(failure) for failure in self.failures],
            "verification": None if self.verification is None else self.verification.to_json(),
            "calls": self.calls,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> WaitingState:
        """Read what :meth:`to_json` wrote."""
        verification = fields["verification"]
        return cls(
            stage=Stage(fields["stage"]),
            account=fields["account"],
            demands=str(fields["demands"]),
            started=float(fields["started"]),
            progress=Progress.from_json(fields["progress"]),
            people=fields["people"],
            failures=[failure_from_json(failure) for failure in fields["failures"]],
            verification=None if verification is None else Verification.from_json(verification),
            calls=None if fields["calls"] is None else usage_from_json(fields["calls"]),
        )


def resume_waiting(sensor: KoreErasureSensor, context: Context, event: object) -> dict[str, object]:
    """
    Resume where a task that waits left its worker.

    :param event: the trigger's; of a wait it says what became of the requests, else only that it is time.
    """
    state = kept_state(context, WaitingState.from_json)
    task = WaitingTask(sensor, context, state)
    if state is None:
        return task.break_off(state_is_lost(Consequence.ONLY_WAITS))
    if state.stage is Stage.VERIFYING:
        return task.verify_rest(state)
    return task.end_round(event)


class WaitingTask:
    """
    Carry out one attempt of a task that waits.

    :param sensor: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    :param state: what this attempt kept when it left its worker; ``None`` if it did not, or if that is lost.
    """

    @only_waiting()
    def __init__(self, sensor: KoreErasureSensor, context: Context, state: WaitingState | None = None) -> None:
        self._sensor = sensor
        self._context = context
        self._hook = KoreHook(sensor.kore_conn_id)
        self._waited_for = read_requests(sensor.request_id, sensor.user_count)
        self._demands = read_demands(sensor, self._hook.account)
        self._people = PeopleWaitedFor(sensor, self._hook, self._demands, self._waited_for, self._watch)
        self._failures: list[KoreError] = []
        if state is not None:
            require_same_account(state.account, self._hook.account)
            if state.demands != self._demands.fingerprint(self._people.asked_for):
                raise asked_for_something_else(Consequence.ONLY_WAITS)
            self._started = state.started
            self._progress = state.progress
            self._people.take_up(state.people)
            self._failures = list(state.failures)
        else:
            earlier: Any = context["ti"].get_first_reschedule_date(context) if sensor.reschedule else None
            self._started = earlier.timestamp() if earlier is not None else time.time()
            self._progress = Progress(list(range(len(self._requests))), self._waited_for.missing())
            listed = len(self._requests) <= ROWS
            self._progress.kept = {} if self._people.needed or listed else None
        self._deadline: float = wait_until(self._started, sensor.timeout, self._demands.deadline)
        self._verification: Verification | None = None

    @only_waiting()
    def start(self) -> dict[str, object]:
        """Look, and then wait in the way that was asked for."""
        if self._demands.deadline is not None:
            log_deadline(self._demands.deadline, datetime.now(UTC))
        self._people.read()
        self._publish(Stage.WAITING)
        in_worker = not self._sensor.deferrable and not self._sensor.reschedule
        if in_worker or time.time() >= self._deadline:
            return self._wait()
        if self._sensor.reschedule or len(self._requests) <= LOOKED_AT_FIRST:
            # The triggerer can wait for turns without a worker's slot.
            max_worker_wait = 0.0 if self._sensor.deferrable else MINUTE
            outcomes, failure, settled = self._look(lambda watch: watch.check(max_worker_wait))
            if failure is not None or settled:
                return self._end(outcomes, failure)
        # Even if the deadline has come meanwhile: this look has not seen every request, and the next one will.
        if self._sensor.deferrable:
            self._defer()
        pause = PollSchedule(longest=self._sensor.poke_interval).pause(time.time() - self._started)
        look_again = datetime.fromtimestamp(min(time.time() + pause, self._deadline), UTC)
        raise AirflowRescheduleException(look_again)  # type: ignore[no-untyped-call]

    @only_waiting()
    def poke(self) -> dict[str, object] | None:
        """Look once, and return the outcome if there is one."""
        self._people.read()
        outcomes, failure, settled = self._look(ErasureWatch.check)
        if failure is not None:
            raise failure
        return self._end(outcomes, None) if settled else None

    @only_waiting()
    def end_round(self, event: object) -> dict[str, object]:
        """
        Take what became of the requests that the triggerer had, and hand over the next ones if there are more.

        :param event: the trigger's.
        """
        seen, failure = self._progress.read_round(event, self._requests.__getitem__)
        self._progress.end_round(seen, self._deadline)
        if failure is not None:
            self._progress.give_up(lambda number: seen.get(number) or self._unseen(number))
        if self._progress.left:
            self._defer()
        return self._finish(failure)

    @only_waiting()
    def verify_rest(self, state: WaitingState) -> dict[str, object]:
        """Look for the rest of the erased people, once the account's budget is no longer spent."""
        self._people.settle(self._kept, by_name=False)
        self._verification = state.verification
        return self._verify(state.calls)

    @only_waiting()
    def miss_deadline(self) -> dict[str, object]:
        """Resume after the triggerer missed the deadline: look for the last time."""
        self._people.read()
        self._deadline = 0.0
        return self._wait()

    @only_waiting()
    def break_off(self, failure: KoreError | None = None) -> dict[str, object]:
        """
        Resume after the trigger failed, or what was kept is lost; neither says anything about the erasure.

        :param failure: what happened; ``None`` if the trigger failed.
        """
        self._people.read()
        self._progress.give_up(self._unseen)
        return self._finish(failure or waiting_broke_off())

    @property
    def _requests(self) -> tuple[AcceptedErasure, ...]:
        return self._waited_for.requests

    def _wait(self) -> dict[str, object]:
        """Look until the deadline, and at each open request once more when it has come."""
        schedule = PollSchedule(longest=self._sensor.poke_interval)
        outcomes, failure, _ = self._look(lambda watch: watch.wait(schedule, self._deadline))
        return self._end(outcomes, failure)

    def _look(
        self, conversation: Callable[[ErasureWatch], Conversation[object]]
    ) -> tuple[list[RequestOutcome], KoreError | None, bool]:
        failure: KoreError | None = None
        with self._hook.get_conn() as client:
            watch = self._watch(client, range(len(self._requests)))
            try:
                client.run(conversation(watch))
            except KoreError as error:
                failure = error
        return watch.outcomes, failure, watch.settled

    def _watch(self, client: KoreClient, numbers: Sequence[int], assess: Assess = count_outcome) -> ErasureWatch:
        return ErasureWatch(
            [self._requests[number] for number in numbers],
            client.pacing,
            fingerprint_key=self._hook.account.fingerprint_key(),
            started=self._started,
            assess=assess,
            report=log_progress,
        )

    def _defer(self) -> NoReturn:
        numbers = self._progress.begin_round(self._deadline, REQUESTS_AT_ONCE)
        self._publish(Stage.WAITING)
        resume_when_done(
            self._sensor,
            self._context,
            [self._requests[number] for number in numbers],
            self._present_state(Stage.WAITING),
            kore_conn_id=self._sensor.kore_conn_id,
            started=self._started,
            first_look=time.time() + 1.0,
            round_ends=self._progress.round_ends,
            deadline=self._deadline,
            poll_interval=self._sensor.poke_interval,
        )

    def _present_state(
        self, stage: Stage, verification: Verification | None = None, calls: UsageFields | None = None
    ) -> dict[str, object]:
        return WaitingState(
            stage=stage,
            account=self._hook.account.identity(),
            demands=self._demands.fingerprint(self._people.asked_for),
            started=self._started,
            progress=self._progress,
            people=self._people.to_json(),
            failures=self._failures,
            verification=verification,
            calls=calls,
        ).to_json()

    def _unseen(self, number: int) -> RequestOutcome:
        return RequestOutcome.unseen(self._requests[number])

    def _end(self, outcomes: Sequence[RequestOutcome], failure: KoreError | None) -> dict[str, object]:
        """End the waiting with what was seen last of each request."""
        self._progress.give_up(outcomes.__getitem__)
        return self._finish(failure)

    def _finish(self, failure: KoreError | None) -> dict[str, object]:
        """Look for the erased people if asked to, and end."""
        self._failures += [of_wait(failure)] if failure is not None else []
        if self._people.needed:
            kept = self._kept
            self._failures += map(of_wait, self._people.settle(kept, by_name=failure is None))
            # What was looked at again by name tells more than the counts did.
            self._progress.outcome = self._waited_for.missing() + sum(
                (request.outcome for request in kept.values()), ErasureOutcome()
            )
            if not self._progress.outcome.open:
                self._verification = self._people.proof.begin_verification(self._context)
        return self._verify(None)

    @property
    def _kept(self) -> dict[int, RequestOutcome]:
        return {} if self._progress.kept is None else self._progress.kept

    def _verify(self, calls: UsageFields | None) -> dict[str, object]:
        if self._verification is not None:
            self._publish(Stage.VERIFYING)
            broke_off = self._people.proof.verify(
                self._sensor,
                self._context,
                self._hook,
                self._verification,
                calls,
                deferrable=self._sensor.deferrable,
                deadline=self._deadline,
                state=lambda verification, calls: self._present_state(Stage.VERIFYING, verification, calls),
            )
            self._failures += [broke_off] if broke_off is not None else []
        return self._conclude()

    def _conclude(self) -> dict[str, object]:
        """Write the evidence, and let the task succeed only if everybody is erased, and nobody was found."""
        outcome, proof = self._progress.outcome, self._people.proof
        output = self._output(outcome)
        if named := self._people.not_erased_users:
            output["not_erased_users"] = named
        failures = proof.judge(self._verification, self._failures)
        failures += proof.complete(output, self._context, self._verification)
        self._publish(Stage.ENDED, output)
        rows = [Row(outcome.request_id, outcome.outcome) for outcome in self._kept.values()]
        log.info("%s", outcome_table(rows, outcome, output))
        self._sensor.told = (output, self._hook.account.base_url, self._people.scope)
        try:
            require_erased(
                outcome,
                self._progress.open_ids,
                failures,
                named=show_user_refs(named, len(named)),
                remedy="Find out why, and submit them again: by a new run, or by clearing the task that submitted "
                "them, if it waits (wait_for_completion=True), since it then submits only those who are not erased.",
                deadline=self._demands.deadline,
            )
        except AirflowSensorTimeout as timeout:
            push_outcome(self._sensor, self._context, output)
            if self._sensor.soft_fail and not self._is_overdue:
                raise AirflowSkipException(f"Skipped, since soft_fail is set. {timeout}") from None
            raise
        except KoreError:
            push_outcome(self._sensor, self._context, output)
            raise
        note_outcome(self._context, *self._sensor.told)
        return output

    @property
    def _is_overdue(self) -> bool:
        """Whether the statutory deadline has passed, which must never look like a skipped task."""
        return self._demands.deadline is not None and self._demands.deadline.is_over(datetime.now(UTC))

    def _output(self, outcome: ErasureOutcome) -> dict[str, object]:
        deadline = self._demands.deadline
        return {
            "requests": [request.to_json() for request in self._requests],
            "user_count": outcome.user_count,
            "batch_count": len(self._requests),
            **self._people.scope.to_json(),
            **({"deadline": deadline.as_of(datetime.now(UTC))} if deadline is not None else {}),
            **outcome.counts(),
        }

    def _publish(self, stage: Stage, output: Mapping[str, object] | None = None) -> None:
        """Tell the page in Airflow's UI how far the task is."""
        publish(
            self._sensor,
            self._context,
            stage,
            output if output is not None else self._output(self._progress.so_far(self._waited_for.user_count)),
            base_url=self._hook.account.base_url,
            scope=self._people.scope,
            submits=False,
            started=self._started,
            deadline=self._demands.deadline,
        )
