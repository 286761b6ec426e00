"""Wait for erasures that were submitted before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue

from airflow_provider_kore.api.erasure import ErasureOutcome, check_request_id
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch, RequestOutcome, total
from airflow_provider_kore.compatibility import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError
from airflow_provider_kore.waiting import (
    defer,
    log_remarks,
    push_outcome,
    read_event,
    require_erased,
    waiting_broke_off,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.client import KoreClient
    from airflow_provider_kore.hooks.kore import KoreHook


class KoreErasureSensor(BaseSensorOperator):
    """
    Wait until Kore.ai has erased everybody in one or more erasure requests.

    It only reads: a retry waits on and never submits anything. It succeeds only if everybody is erased. Before it fails
    for any other end, it pushes the counts to the XCom ``return_value``. All modes look with growing pauses, of which
    ``poke_interval`` is the longest, and end alike.

    ``soft_fail`` skips the task when the deadline comes first, and only then: people who are not erased always fail
    it. ``silent_fail`` and ``never_fail`` would hide that, and are refused. ``exponential_backoff`` and ``max_wait``
    change nothing, since the pauses grow anyway.

    :param request_id: a request id, a list of them, or what :class:`KoreEraseUserDataOperator` returned, also of a
        mapped one; templated.
    :param user_count: how many users the one request has; needed only with a bare request id, whose completeness cannot
        be checked otherwise.
    :param kore_conn_id: id of the connection.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poke_interval: longest pause between two looks at one request, in seconds.
    :param timeout: how long to wait, in seconds from the first look.
    :param mode: ``poke`` or ``reschedule``, if not deferrable.
    :raises KoreNotErasedError: if somebody is not proven erased.
    :raises AirflowSensorTimeout: if the deadline comes first.
    """

    template_fields: Sequence[str] = ("request_id", "user_count", "kore_conn_id")
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        request_id: object,
        user_count: int | str | None = None,
        kore_conn_id: str = "kore_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        if self.silent_fail or self.never_fail:
            raise KoreInputError(
                "silent_fail and never_fail would hide that people are not erased.",
                consequence=Consequence.NOT_SENT,
                remedy="Leave them out; passing faults are waited out, and soft_fail skips at the deadline only.",
            )
        self.request_id = request_id
        self.user_count = user_count
        self.kore_conn_id = kore_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, object]:
        """Look once; then wait in the way that was asked for."""
        waited_for = self._read_request_id()
        started = self._started(context)
        deadline = started + self.timeout
        with self._hook.get_conn() as client:
            watch = self._watch(client, waited_for, started)
            failure = self._hold(client, watch, deadline)
        if failure is None and not watch.settled and time.time() < deadline:
            if self.deferrable:
                defer(
                    self,
                    waited_for.requests,
                    kore_conn_id=self.kore_conn_id,
                    started=started,
                    deadline=deadline,
                    poll_interval=self.poke_interval,
                    kwargs={},
                )
            pause = PollSchedule(longest=self.poke_interval).pause(time.time() - started)
            look_again = datetime.fromtimestamp(min(time.time() + pause, deadline), UTC)
            raise AirflowRescheduleException(look_again)  # type: ignore[no-untyped-call]
        return self._finish(context, waited_for, watch.outcomes, failure)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once: done when everybody is erased, an exception when somebody is not."""
        waited_for = self._read_request_id()
        with self._hook.get_conn() as client:
            watch = self._watch(client, waited_for, self._started(context))
            client.hold(watch.check())
        if not watch.settled:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._finish(context, waited_for, watch.outcomes, None))

    def execute_complete(self, context: Context, event: object = None) -> dict[str, object]:
        """Come back from the triggerer."""
        waited_for = self._read_request_id()
        outcomes, failure = read_event(event, [request.request_id for request in waited_for.requests])
        return self._finish(context, waited_for, outcomes, failure)

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Context,
    ) -> Any:  # noqa: ANN401 # Airflow's own signature
        """
        Come back from the triggerer, or from its failure.

        Airflow's own way would show a failed trigger as skipped under ``soft_fail``.
        """
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            waited_for = self._read_request_id()
            with self._hook.get_conn() as client:
                watch = self._watch(client, waited_for, started=0.0)
                failure = self._hold(client, watch, deadline=0.0)
            return self._finish(context, waited_for, watch.outcomes, failure)
        except TaskDeferralError:
            raise waiting_broke_off() from None

    @property
    def _hook(self) -> KoreHook:
        from airflow_provider_kore.hooks.kore import KoreHook

        return KoreHook(self.kore_conn_id)

    def _started(self, context: Context) -> float:
        earlier = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        return earlier.timestamp() if earlier is not None else time.time()

    def _watch(self, client: KoreClient, waited_for: _WaitedFor, started: float) -> ErasureWatch:
        return ErasureWatch(
            waited_for.requests,
            client.pacing,
            fingerprint_key=b"",
            started=started,
            report=lambda outcome: self.log.info(
                "%d erased, %d open, %d not erased.", outcome.erased, outcome.open, outcome.not_erased
            ),
        )

    def _hold(self, client: KoreClient, watch: ErasureWatch, deadline: float) -> KoreError | None:
        """Look until the deadline in mode poke, and else once: at each request if it is the last time."""
        in_worker = not self.deferrable and not self.reschedule
        try:
            if in_worker or time.time() >= deadline:
                client.hold(watch.wait(PollSchedule(longest=self.poke_interval), deadline))
            else:
                client.hold(watch.check())
        except KoreError as error:
            return error
        return None

    def _finish(
        self,
        context: Context,
        waited_for: _WaitedFor,
        outcomes: Sequence[RequestOutcome],
        failure: KoreError | None,
    ) -> dict[str, object]:
        outcome = total(outcomes) + waited_for.never_submitted()
        output: dict[str, object] = {
            "requests": [request.to_json() for request in waited_for.requests],
            "user_count": outcome.user_count,
            "batch_count": len(waited_for.requests),
            **outcome.counts(),
        }
        log_remarks(outcome)
        try:
            require_erased(
                outcome,
                [request.request_id for request in outcomes if not request.settled],
                [failure] if failure is not None else [],
                remedy="Find out why, and submit them again: by a new run, or by clearing the task that submitted "
                "them, if it waits (wait_for_completion=True), since it then submits only those who are not erased.",
            )
        except AirflowSensorTimeout as timeout:
            push_outcome(self, context, output)
            if self.soft_fail:
                raise AirflowSkipException(f"Skipped, since soft_fail is set. {timeout}") from None
            raise
        except KoreError:
            push_outcome(self, context, output)
            raise
        self.log.info("All %d users are erased.", outcome.user_count)
        return output

    def _read_request_id(self) -> _WaitedFor:
        waited_for = _read_requests(self.request_id)
        if self.user_count is not None:
            waited_for = _with_user_count(waited_for, self.user_count)
        if waited_for.dry_run and not waited_for.requests:
            raise AirflowSkipException("A dry run submitted nothing, so there is nothing to wait for.")
        if not waited_for.requests:
            raise _refuse("There is no erasure request to wait for.")
        return waited_for


@dataclass(frozen=True, slots=True)
class _WaitedFor:
    """What a sensor waits for: requests, and how many users the tasks before it should have submitted."""

    requests: tuple[AcceptedErasure, ...]
    expected_users: int = 0
    dry_run: bool = False

    def never_submitted(self) -> ErasureOutcome:
        missing = self.expected_users - sum(request.user_count or 0 for request in self.requests)
        if missing <= 0:
            return ErasureOutcome()
        return ErasureOutcome(not_erased=missing, remarks=(f"{missing} users were never submitted to Kore.ai.",))


def _refuse(problem: str) -> KoreInputError:
    return KoreInputError(
        problem,
        consequence=Consequence.NOT_SENT,
        remedy="Pass a request id, a list of them, or the operator's output as it is (operator.output).",
    )


def _read_requests(value: object) -> _WaitedFor:
    """Read every form that the argument ``request_id`` may have."""
    if isinstance(value, str):
        return _WaitedFor((AcceptedErasure(check_request_id(value), None),))
    if isinstance(value, Mapping):
        if "requests" in value:
            inner = _read_requests(value["requests"])
            dry_run = value.get("dry_run") is True
            expected = 0 if dry_run else _check_user_count(value.get("user_count"))
            return _WaitedFor(inner.requests, expected, dry_run)
        if "request_id" in value:
            user_count = value.get("user_count")
            request_id = check_request_id(value["request_id"])
            return _WaitedFor(
                (AcceptedErasure(request_id, None if user_count is None else _check_user_count(user_count)),)
            )
        raise _refuse("A mapping was given as request_id, and it is not what the operator returns.")
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        parts = [_read_requests(item) for item in value]
        requests = {request.request_id: request for part in parts for request in part.requests}
        return _WaitedFor(
            tuple(requests.values()),
            sum(part.expected_users for part in parts),
            any(part.dry_run for part in parts),
        )
    raise _refuse(f"request_id is of type {type(value).__name__}.")


def _check_user_count(value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refuse("user_count must be a whole number of at least 1.")
    return value


def _with_user_count(waited_for: _WaitedFor, user_count: int | str) -> _WaitedFor:
    if len(waited_for.requests) != 1 or waited_for.requests[0].user_count is not None:
        raise _refuse("user_count goes with one bare request id only.")
    return _WaitedFor((AcceptedErasure(waited_for.requests[0].request_id, _check_user_count(user_count)),))
