"""What a waiting task does in one try: look, hand over to the triggerer or come back later, and end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

from airflow_provider_kore.api.calls import Conversation
from airflow_provider_kore.api.erasure import ErasureOutcome, check_request_id
from airflow_provider_kore.api.pacing import MINUTE, PollSchedule
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch, RequestOutcome
from airflow_provider_kore.arguments import check_whole_number
from airflow_provider_kore.compatibility import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_kore.exceptions import KoreError, KoreInputError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.progress import LOOKED_AT_FIRST, REQUESTS_AT_ONCE, Progress, ProgressFields
from airflow_provider_kore.waiting import (
    defer,
    log_progress,
    push_outcome,
    require_erased,
    waiting_broke_off,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.sensors.erasure import KoreErasureSensor

log = logging.getLogger(__name__)


class CarriedFields(TypedDict):
    """What a task takes along when it defers."""

    started: float
    progress: ProgressFields


class WaitingTask:
    """
    Conduct one try of a task that waits.

    :param sensor: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    :param carried: what the task took along when it deferred before.
    """

    def __init__(self, sensor: KoreErasureSensor, context: Context, carried: CarriedFields | None = None) -> None:
        self._sensor = sensor
        self._context = context
        self._hook = KoreHook(sensor.kore_conn_id)
        self._waited_for = read_requests(sensor.request_id, sensor.user_count)
        if carried is not None:
            self._started = carried["started"]
            self._progress = Progress.from_json(carried["progress"])
        else:
            earlier: Any = context["ti"].get_first_reschedule_date(context) if sensor.reschedule else None
            self._started = earlier.timestamp() if earlier is not None else time.time()
            self._progress = Progress(list(range(len(self._requests))), self._waited_for.never_submitted())
        self._deadline: float = self._started + sensor.timeout

    def start(self) -> dict[str, object]:
        """Look, and then wait in the way that was asked for."""
        in_worker = not self._sensor.deferrable and not self._sensor.reschedule
        if in_worker or time.time() >= self._deadline:
            return self._wait()
        if self._sensor.reschedule or len(self._requests) <= LOOKED_AT_FIRST:
            # The triggerer can wait for turns without a worker's slot.
            patience = 0.0 if self._sensor.deferrable else MINUTE
            outcomes, failure, settled = self._look(lambda watch: watch.check(patience))
            if failure is not None or settled:
                return self._end(outcomes, failure)
        # Even if the deadline has come meanwhile: this look has not seen every request, and the next one will.
        if self._sensor.deferrable:
            self._defer()
        pause = PollSchedule(longest=self._sensor.poke_interval).pause(time.time() - self._started)
        look_again = datetime.fromtimestamp(min(time.time() + pause, self._deadline), UTC)
        raise AirflowRescheduleException(look_again)  # type: ignore[no-untyped-call]

    def poke(self) -> dict[str, object] | None:
        """Look once, and return the outcome if there is one."""
        outcomes, failure, settled = self._look(ErasureWatch.check)
        if failure is not None:
            raise failure
        return self._end(outcomes, None) if settled else None

    def come_back(self, event: object) -> dict[str, object]:
        """Come back from the triggerer, and hand over the next requests if there are more."""
        seen, failure = self._progress.read_round(event, self._requests.__getitem__)
        self._progress.end_round(seen, self._deadline)
        if failure is not None:
            self._progress.give_up(lambda number: seen.get(number) or self._unseen(number))
        if self._progress.left:
            self._defer()
        return self._finish(failure)

    def miss_deadline(self) -> dict[str, object]:
        """Come back after the triggerer missed the deadline: look for the last time."""
        self._deadline = 0.0
        return self._wait()

    def break_off(self) -> dict[str, object]:
        """Come back after the trigger failed, which says nothing about the erasure."""
        self._progress.give_up(self._unseen)
        return self._finish(waiting_broke_off())

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
            watch = ErasureWatch(
                self._requests,
                client.pacing,
                fingerprint_key=self._hook.account.fingerprint_key(),
                started=self._started,
                report=log_progress,
            )
            try:
                client.hold(conversation(watch))
            except KoreError as error:
                failure = error
        return watch.outcomes, failure, watch.settled

    def _defer(self) -> NoReturn:
        numbers = self._progress.begin_round(self._deadline, REQUESTS_AT_ONCE)
        carried: CarriedFields = {"started": self._started, "progress": self._progress.to_json()}
        defer(
            self._sensor,
            [self._requests[number] for number in numbers],
            kore_conn_id=self._sensor.kore_conn_id,
            started=self._started,
            first_look=time.time() + 1.0,
            round_ends=self._progress.round_ends,
            deadline=self._deadline,
            poll_interval=self._sensor.poke_interval,
            kwargs={"carried": carried},
        )

    def _unseen(self, number: int) -> RequestOutcome:
        return RequestOutcome.unseen(self._requests[number])

    def _end(self, outcomes: Sequence[RequestOutcome], failure: KoreError | None) -> dict[str, object]:
        """End the waiting with what was seen last of each request."""
        self._progress.give_up(outcomes.__getitem__)
        return self._finish(failure)

    def _finish(self, failure: KoreError | None) -> dict[str, object]:
        """Let the task succeed only if everybody is erased."""
        outcome = self._progress.outcome
        output: dict[str, object] = {
            "requests": [request.to_json() for request in self._requests],
            "user_count": outcome.user_count,
            "batch_count": len(self._requests),
            **outcome.counts(),
        }
        try:
            require_erased(
                outcome,
                self._progress.open_ids,
                [failure] if failure is not None else [],
                remedy="Find out why, and submit them again: by a new run, or by clearing the task that submitted "
                "them, if it waits (wait_for_completion=True), since it then submits only those who are not erased.",
            )
        except AirflowSensorTimeout as timeout:
            push_outcome(self._sensor, self._context, output)
            if self._sensor.soft_fail:
                raise AirflowSkipException(f"Skipped, since soft_fail is set. {timeout}") from None
            raise
        except KoreError:
            push_outcome(self._sensor, self._context, output)
            raise
        log.info("All %d users are erased.", outcome.user_count)
        return output


@dataclass(frozen=True, slots=True)
class WaitedFor:
    """
    Hold what a sensor waits for.

    :param requests: the requests, each once.
    :param missing_users: users that the tasks before it should have submitted, and did not.
    :param dry_run: whether one of those tasks was a dry run.
    """

    requests: tuple[AcceptedErasure, ...]
    missing_users: int = 0
    dry_run: bool = False

    def never_submitted(self) -> ErasureOutcome:
        """Count the missing users as not erased."""
        if not self.missing_users:
            return ErasureOutcome()
        remark = f"{self.missing_users} users were never submitted to Kore.ai."
        return ErasureOutcome(not_erased=self.missing_users, remarks=(remark,))


def read_requests(request_id: object, user_count: object = None) -> WaitedFor:
    """
    Read what a sensor was told to wait for.

    :param request_id: a request id, a list of them, what the operator returned, or several of that.
    :param user_count: the number of users of the one request, if it comes without.
    :raises KoreInputError: if it is none of these, or there is nothing to wait for.
    :raises AirflowSkipException: if it is what a dry run returned.
    """
    waited_for = _read(request_id)
    if user_count is not None:
        if len(waited_for.requests) != 1 or waited_for.requests[0].user_count is not None:
            raise _refuse("user_count goes with one bare request id only.")
        request = AcceptedErasure(waited_for.requests[0].request_id, check_whole_number("user_count", user_count))
        waited_for = WaitedFor((request,))
    if waited_for.dry_run and not waited_for.requests:
        raise AirflowSkipException("A dry run submitted nothing, so there is nothing to wait for.")
    if not waited_for.requests:
        raise _refuse("There is no erasure request to wait for.")
    return waited_for


def _read(value: object) -> WaitedFor:
    if isinstance(value, str):
        return WaitedFor((AcceptedErasure(check_request_id(value), None),))
    if isinstance(value, Mapping) and "requests" in value:
        requests = _read(value["requests"]).requests
        if value.get("dry_run") is True:
            return WaitedFor(requests, dry_run=True)
        expected = check_whole_number("user_count", value.get("user_count"))
        submitted = sum(request.user_count or 0 for request in requests)
        return WaitedFor(requests, missing_users=max(expected - submitted, 0))
    if isinstance(value, Mapping) and "request_id" in value:
        user_count = value.get("user_count")
        count = None if user_count is None else check_whole_number("user_count", user_count)
        return WaitedFor((AcceptedErasure(check_request_id(value["request_id"]), count),))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        parts = [_read(item) for item in value]
        by_id: dict[str, AcceptedErasure] = {}
        for request in (request for part in parts for request in part.requests):
            if by_id.setdefault(request.request_id, request) != request:
                raise _refuse(f"{request.request_id} was given twice, with different numbers of users.")
        missing = sum(part.missing_users for part in parts)
        return WaitedFor(tuple(by_id.values()), missing, any(part.dry_run for part in parts))
    raise _refuse(f"request_id is of type {type(value).__name__}, and not what the operator returns.")


def _refuse(problem: str) -> KoreInputError:
    return KoreInputError(
        problem, remedy="Pass a request id, a list of them, or the operator's output as it is (operator.output)."
    )
