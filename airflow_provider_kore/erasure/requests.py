"""The ledger of a task that only waits: every batch is a request that another task submitted."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow_provider_kore.api.erase_request import check_request_id
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.watching import AcceptedErasure
from airflow_provider_kore.arguments import check_whole_number
from airflow_provider_kore.compat import AirflowSensorTimeout, AirflowSkipException
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.options import read_options
from airflow_provider_kore.erasure.record import BatchRecord, BatchState, RequestRecord
from airflow_provider_kore.erasure.run import ErasureRun, Result
from airflow_provider_kore.erasure.state import RunState
from airflow_provider_kore.erasure.wait import Waiting
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError
from airflow_provider_kore.reporting.page_report import Stage
from airflow_provider_kore.triggers.event import waiting_broke_off

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

UNKNOWN_SCOPE = ErasureScope((), all_bots=False)
"""Stands where the requests do not come with their bots."""


@dataclass(frozen=True, slots=True)
class SubmittedElsewhere:
    """
    Contain the requests for which a sensor waits.

    :param requests: each once.
    :param unsent_users: users of the operator's output who are in none of its requests, or whose latest request was
        not accepted.
    :param dry_run: whether one of the outputs is of a dry run.
    :param scope: the bots; ``None`` if that is not known.
    """

    requests: tuple[AcceptedErasure, ...]
    unsent_users: int = 0
    dry_run: bool = False
    scope: ErasureScope | None = None

    @property
    def records(self) -> list[BatchRecord]:
        """A record for each request, and one that is not erased for users who are in no request."""
        records = [
            BatchRecord(
                number,
                BatchState.ACCEPTED,
                request.user_count or 1,
                sent_fingerprint="unknown",
                requests=(RequestRecord(request.request_id, request.user_count),),
            )
            for number, request in enumerate(self.requests, start=1)
        ]
        if self.unsent_users:
            records.append(BatchRecord(len(records) + 1, BatchState.PLANNED, self.unsent_users))
        return records


def read_requests(request_id: object, user_count: object = None) -> SubmittedElsewhere:
    """
    Read what a sensor waits for.

    :param request_id: a request id, a list of them, what the operator returned, or several of that.
    :param user_count: the number of users of the one request, if it comes without.
    :raises KoreInputError: if it is none of these, or there is nothing to wait for.
    :raises AirflowSkipException: if it is what a dry run returned.
    """
    submitted = _read(request_id)
    if user_count is not None:
        if len(submitted.requests) != 1 or submitted.requests[0].user_count is not None:
            raise _refuse("user_count goes with one bare request id only.")
        count = check_whole_number("user_count", user_count)
        submitted = SubmittedElsewhere((AcceptedErasure(submitted.requests[0].request_id, count),))
    if submitted.dry_run and submitted.requests:
        raise _refuse("Beside erasure requests there is what a dry run returned, whose users were never submitted.")
    if submitted.dry_run:
        raise AirflowSkipException("A dry run submitted nothing, so there is nothing to wait for.")
    if not submitted.requests:
        raise _refuse("There is no erasure request to wait for.")
    return submitted


def _read(value: object) -> SubmittedElsewhere:
    match value:
        case str():
            return SubmittedElsewhere((AcceptedErasure(check_request_id(value), None),))
        case {"requests": requests, **output}:
            return _read_output(requests, output)
        case {"request_id": request_id, **output}:
            user_count = output.get("user_count")
            count = None if user_count is None else check_whole_number("user_count", user_count)
            return SubmittedElsewhere((AcceptedErasure(check_request_id(request_id), count),))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return _join([_read(item) for item in value])
    raise _refuse(f"request_id is of type {type(value).__name__}, and not what the operator returns.")


def _read_output(requests: object, output: Mapping[object, object]) -> SubmittedElsewhere:
    submitted = _read(requests)
    if output.get("dry_run") is True:
        return replace(submitted, dry_run=True)
    scope = None
    match output.get("bot_ids"), output.get("all_bots"):
        case list(bot_ids), bool(all_bots) if bool(bot_ids) != all_bots:
            scope = ErasureScope(tuple(map(str, bot_ids)), all_bots)
    expected = check_whole_number("user_count", output.get("user_count"))
    missing = expected - sum(request.user_count or 0 for request in submitted.requests)
    # Users of two requests are counted twice, and would hide others who are in none.
    stated = check_whole_number("unsent", output["unsent"]) if "unsent" in output else 0
    return replace(submitted, unsent_users=max(submitted.unsent_users, missing, stated), scope=scope)


def _join(parts: Sequence[SubmittedElsewhere]) -> SubmittedElsewhere:
    by_id: dict[str, AcceptedErasure] = {}
    for request in (request for part in parts for request in part.requests):
        if by_id.setdefault(request.request_id, request) != request:
            raise _refuse(f"{request.request_id} is listed twice, with different numbers of users.")
    scopes = {part.scope for part in parts}
    return SubmittedElsewhere(
        tuple(by_id.values()),
        sum(part.unsent_users for part in parts),
        any(part.dry_run for part in parts),
        scopes.pop() if len(scopes) == 1 else None,
    )


def _refuse(problem: str) -> KoreInputError:
    return KoreInputError(
        problem, remedy="Pass a request id, a list of them, or the operator's output as it is (operator.output)."
    )


class SensorTask(Protocol):
    """The arguments of a task that only waits, rendered."""

    request_id: object
    user_count: object
    deadline: object
    kore_conn_id: str
    deferrable: bool
    poke_interval: float
    timeout: float
    soft_fail: bool

    @property
    def reschedule(self) -> bool:
        """Whether the task leaves its worker between polls and starts again."""
        ...


class WaitRun(ErasureRun):
    """
    Carry out one attempt of a task that only waits.

    :param task: the sensor; its arguments are rendered.
    :param context: of the running task.
    :param resumes: whether this attempt has left its worker before.
    """

    submits = False

    def __init__(self, task: SensorTask, context: Context, *, resumes: bool = False) -> None:
        waiting = Waiting(task.deferrable, task.reschedule, task.poke_interval, task.timeout)
        self._arguments = task
        super().__init__(cast("BaseOperator", task), context, task.kore_conn_id, waiting, resumes=resumes)

    def _submit(self, rest: RunState | None = None) -> Result:  # noqa: ARG002 # nothing is ever left to submit
        """Submit nothing: make the ledger of what others submitted, and wait."""
        self._ledger = self._new_ledger()
        self._ledger.note(options=self._fingerprint)
        self._report.publish(Stage.WAITING)
        return self._start_to_wait()

    def _conclude(self) -> Result:
        try:
            return super()._conclude()
        except AirflowSensorTimeout as timeout:
            # A statutory deadline that has passed must never appear as a skipped task.
            deadline = self._options.deadline
            overdue = deadline is not None and deadline.is_over(datetime.now(UTC))
            if self._arguments.soft_fail and not overdue:
                raise AirflowSkipException(f"Skipped, since soft_fail is set. {timeout}") from None
            raise

    # --- coming back -------------------------------------------------------------------------------------------------

    def _first_start(self) -> float:
        task_instance: Any = self._context["ti"]
        earlier = task_instance.get_first_reschedule_date(self._context) if self._arguments.reschedule else None
        return time.time() if earlier is None else earlier.timestamp()

    def _read_options(self) -> None:
        self._submitted = read_requests(self._arguments.request_id, self._arguments.user_count)
        self._options = read_options(self._hook.account, deadline=self._arguments.deadline)

    def _new_ledger(self) -> ErasureLedger:
        scope = self._submitted.scope or UNKNOWN_SCOPE
        return ErasureLedger(self._submitted.records, scope, self._store, self._hook.account.identity())

    def _load_ledger(self) -> ErasureLedger:
        ledger = self._new_ledger()
        if self._state is None:
            ledger.note(options=self._fingerprint)
        else:
            ledger.read()
        return ledger

    @property
    def _fingerprint(self) -> str:
        waited_for = repr((self._options.fingerprint(), self._submitted))
        return hashlib.sha256(waited_for.encode()).hexdigest()[:32]

    def _interrupted(self) -> KoreError:
        return waiting_broke_off()

    @property
    def _consequence(self) -> Consequence:
        return Consequence.ONLY_WAITS

    def _refuse(self) -> Consequence:
        return Consequence.ONLY_WAITS
