"""What operator and sensor share of waiting: how it is handed to the triggerer, and how it ends."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, TypeVar, cast

from airflow_provider_kore import exceptions
from airflow_provider_kore.api.erasure import ErasureOutcome
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome, RequestOutcomeFields
from airflow_provider_kore.compatibility import AirflowSensorTimeout
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreNotErasedError, KoreWaitError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_kore.api.client import KoreClient
    from airflow_provider_kore.statutory_deadline import StatutoryDeadline

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIGGERER_GRACE = timedelta(hours=1)
"""How long after the deadline Airflow ends a wait whose triggerer has not: a last look can wait for its turn."""

STATE_KEY = "kore_resume"
"""The XCom in which a task keeps what it needs to resume."""

SHOWN_IDS = 20

PATIENCE = 120.0
"""Seconds for which a worker is held for the account's next turn."""


class CallsFields(TypedDict):
    """What a task keeps of the account's budget when it leaves its worker."""

    calls: Sequence[Sequence[int]]
    began: float


def calls_from_json(fields: Any) -> CallsFields:  # noqa: ANN401 # whatever JSON there is
    """Read what :func:`recent_calls` gave."""
    return {"calls": [[int(ago), int(calls)] for ago, calls in fields["calls"]], "began": float(fields["began"])}


class FailureFields(TypedDict):
    """The JSON form of an exception of this provider."""

    type: str
    problem: str
    consequence: str
    remedy: str


class ErasureEvent(TypedDict):
    """What the trigger tells the task: ids of requests and counts, never a user id."""

    outcomes: list[RequestOutcomeFields]
    failure: FailureFields | None


def failure_to_json(error: KoreError) -> FailureFields:
    """Write an exception as a trigger event or deferral carries it."""
    return {
        "type": type(error).__name__,
        "problem": error.problem,
        "consequence": error.consequence.name,
        "remedy": error.remedy,
    }


def failure_from_json(fields: FailureFields) -> KoreError:
    """Read what :func:`failure_to_json` wrote."""
    error_type = getattr(exceptions, fields["type"], None)
    if not (isinstance(error_type, type) and issubclass(error_type, KoreError)):
        error_type = KoreWaitError
    return error_type(fields["problem"], consequence=Consequence[fields["consequence"]], remedy=fields["remedy"])


def read_event(event: object, requests: Sequence[AcceptedErasure]) -> tuple[list[RequestOutcome], KoreError | None]:
    """
    Read what the trigger told.

    :param event: the trigger's event.
    :param requests: what was waited for; an event that does not speak of the very same is refused.
    :raises KoreWaitError: if the event is refused, since nothing can be learned from it.
    """
    try:
        fields = cast("ErasureEvent", event)
        outcomes = [RequestOutcome.from_json(outcome) for outcome in fields["outcomes"]]
        failure = failure_from_json(fields["failure"]) if fields["failure"] else None
        understood = len(outcomes) == len(requests) and all(map(_is_about, outcomes, requests))
    except (KeyError, TypeError, ValueError):
        understood = False
    if not understood:
        raise KoreWaitError(
            "The trigger came back with an event that is not understood.",
            consequence=Consequence.SENT,
            remedy="Clear the task to wait again. Make sure that workers and triggerers have the same version of this "
            "provider.",
        )
    return outcomes, failure


def _is_about(outcome: RequestOutcome, request: AcceptedErasure) -> bool:
    counts = outcome.outcome.counts().values()
    if outcome.request_id != request.request_id or not all(type(count) is int and count >= 0 for count in counts):
        return False
    user_count = outcome.outcome.user_count
    return user_count >= 1 if request.user_count is None else user_count == request.user_count


def resume_later(
    operator: BaseOperator, context: Context, trigger: BaseTrigger, state: Mapping[str, object], deadline: float
) -> NoReturn:
    """
    Leave the worker until a trigger fires; the task then resumes in ``resume``.

    What the task needs to resume is kept in an XCom of its own. Airflow keeps it as long as the attempt lasts: through
    each deferral, and also when the trigger fails or is late. What is given to ``defer(kwargs=…)`` is lost then, and in
    ``dag.test()`` up to Airflow 3.3.2 always; and a trigger has room for 64 kB on MySQL.

    :param trigger: fires when it is time.
    :param state: the JSON form of what the task needs; names no user.
    :param deadline: when the whole attempt ends, in seconds since the epoch.
    """
    context["ti"].xcom_push(key=STATE_KEY, value=dict(state))
    operator.defer(trigger=trigger, method_name="resume", timeout=until_triggerer_is_late(deadline))


def kept_state(context: Context, read: Callable[[Any], T]) -> T | None:
    """
    Read what this attempt kept when it last left its worker.

    :param read: reads the JSON form.
    :return: ``None`` if that is gone, or has another form.
    """
    task_instance = context["ti"]
    state = task_instance.xcom_pull(task_ids=task_instance.task_id, key=STATE_KEY, map_indexes=task_instance.map_index)
    try:
        return read(state)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def state_is_lost(consequence: Consequence) -> KoreWaitError:
    """Say that a task cannot resume where it was."""
    return KoreWaitError(
        f"What this task kept in its XCom {STATE_KEY} to resume is gone, or has a form that is not understood.",
        consequence=consequence,
        remedy="Clear the task. Let nothing delete the XComs of running tasks, and let all workers have the same "
        "version of this provider.",
    )


def resume_when_done(
    operator: BaseOperator,
    context: Context,
    requests: Sequence[AcceptedErasure],
    state: Mapping[str, object],
    *,
    kore_conn_id: str,
    started: float,
    first_look: float,
    round_ends: float,
    deadline: float,
    poll_interval: float,
) -> NoReturn:
    """
    Leave the worker until Kore.ai is done with requests.

    :param requests: what to wait for.
    :param state: see :func:`resume_later`.
    :param started: when the waiting began, in seconds since the epoch.
    :param first_look: when to look first, in seconds since the epoch.
    :param round_ends: when the trigger stops, in seconds since the epoch.
    :param deadline: when the whole wait ends, in seconds since the epoch.
    :param poll_interval: longest pause between two looks at one request, in seconds.
    """
    from airflow_provider_kore.triggers.erasure import KoreErasureTrigger

    trigger = KoreErasureTrigger(
        requests=[[request.request_id, request.user_count] for request in requests],
        kore_conn_id=kore_conn_id,
        started=started,
        deadline=round_ends,
        poll_interval=poll_interval,
        first_look=first_look,
    )
    resume_later(operator, context, trigger, state, deadline)


def patience(deferrable: bool) -> float:
    """Say how many seconds a task waits in its worker for the account's next turn."""
    return PATIENCE if deferrable else math.inf


def resume_after(
    operator: BaseOperator, context: Context, seconds: float, state: Mapping[str, object], deadline: float
) -> NoReturn:
    """
    Leave the worker until the account's budget is no longer spent.

    :param seconds: for how long.
    :param state: see :func:`resume_later`.
    :param deadline: when the whole attempt ends, in seconds since the epoch.
    """
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    trigger = DateTimeTrigger(moment=datetime.fromtimestamp(time.time() + seconds, UTC))
    resume_later(operator, context, trigger, state, deadline)


def recent_calls(client: KoreClient) -> CallsFields:
    """List what this process has called, for the process that goes on."""
    pacing = client.pacing
    return {"calls": pacing.budget.recent_calls(pacing.clock()), "began": time.time()}


def take_over_calls(client: KoreClient, pause: CallsFields | None) -> None:
    """Count what the process called that the task has left, so that this one does not begin with a fresh budget."""
    if pause is not None:
        pacing = client.pacing
        pacing.budget.take_over(pause["calls"], pacing.clock() - (time.time() - pause["began"]))


def wait_until(started: float, timeout: float, deadline: StatutoryDeadline | None) -> float:
    """
    Say when a wait ends: a statutory deadline that is still to come is never passed in silence.

    :param started: in seconds since the epoch.
    :param timeout: longest wait in seconds.
    :param deadline: by when the law wants the request answered; one that is over shortens nothing, so that a person can
        let the wait go on.
    """
    end = started + timeout
    if deadline is not None and deadline.ends_at.timestamp() > started:
        end = min(end, deadline.ends_at.timestamp())
    return end


def until_triggerer_is_late(deadline: float) -> timedelta:
    """Say after what time Airflow brings a task back whose trigger has not."""
    return timedelta(seconds=max(deadline - time.time(), 0.0)) + TRIGGERER_GRACE


def push_outcome(operator: BaseOperator, context: Context, output: Mapping[str, object]) -> None:
    """Push what a task would return, before it fails, for those who come after it whatever happened."""
    if operator.do_xcom_push:
        context["ti"].xcom_push(key="return_value", value=dict(output))


def log_progress(outcome: ErasureOutcome, next_look: float | None) -> None:
    """
    Write how far the requests that are waited for have come.

    :param next_look: in how many seconds Kore.ai is asked again; ``None`` if it is not.
    """
    log.info(
        "%d of %d users erased, %d open, %d not erased.%s",
        outcome.erased,
        outcome.user_count,
        outcome.open,
        outcome.not_erased,
        "" if next_look is None else f" Next look in {next_look:.0f} s.",
    )


def log_remarks(outcome: ErasureOutcome) -> None:
    """Write what the reader of the log should know."""
    for remark in outcome.remarks:
        log.warning("%s", remark)


def require_erased(
    outcome: ErasureOutcome,
    open_request_ids: Sequence[str],
    failures: Sequence[KoreError],
    *,
    remedy: str,
    named: str = "",
    deadline: StatutoryDeadline | None = None,
) -> None:
    """
    Let a task succeed only if everybody is erased.

    :param outcome: the counts.
    :param open_request_ids: requests that were not settled when the deadline came.
    :param failures: what else went wrong.
    :param remedy: what to do about people who are not erased.
    :param named: who some of them are, by place or digest.
    :param deadline: by when the law wants the request answered.
    :raises KoreNotErasedError: if somebody is not proven erased.
    :raises AirflowSensorTimeout: if nothing is wrong, but the deadline came first.
    """
    counts = f"{outcome.erased} erased, {outcome.open} open, {outcome.not_erased} not erased, of {outcome.user_count}"
    if outcome.not_erased:
        reasons = [*dict.fromkeys(str(failure) for failure in failures), *outcome.remarks]
        if named:
            reasons.insert(0, f"Among them: {named}.")
        raise KoreNotErasedError(
            " ".join([f"Not everybody is proven erased: {counts}.", *reasons[:5]]),
            consequence=Consequence.PARTLY_DONE,
            remedy=remedy,
        )
    for failure in failures:
        raise failure
    if outcome.open:
        shown = ", ".join(open_request_ids[:SHOWN_IDS])
        more = len(open_request_ids) - SHOWN_IDS
        over = deadline is not None and deadline.is_over(datetime.now(UTC))
        raise AirflowSensorTimeout(
            f"The {'statutory deadline passed' if over else 'deadline came'} before Kore.ai was done: {counts}. "
            f"Still open: {shown}{f' and {more} more' if more > 0 else ''}. Kore.ai goes on with them: nothing has to "
            "be submitted again. Clear this task to wait longer, or raise its timeout."
        )


@contextmanager
def only_waiting() -> Iterator[None]:
    """Let what a task refuses that submits nothing itself not sound as if nothing had been submitted."""
    try:
        yield
    except KoreError as error:
        if error.consequence is not Consequence.NOT_SENT:
            raise
        raise error.meaning(Consequence.ONLY_WAITS) from None


def of_wait(error: KoreError) -> KoreError:
    """Let what keeps a task from waiting not sound as if nothing had been submitted."""
    if error.consequence is not Consequence.NOT_SENT:
        return error
    return error.meaning(Consequence.SENT_BEFORE)


def waiting_broke_off(cause: Exception | None = None) -> KoreWaitError:
    """
    Say that the triggerer failed, which says nothing about the erasure.

    :param cause: what it failed by; only its type and place are shown, since its text can hold part of an answer.
    """
    why = "the triggerer's log says why"
    if cause is not None:
        place = traceback.extract_tb(cause.__traceback__)[-1:]
        why = " at ".join([type(cause).__name__, *(f"{Path(frame.filename).name}:{frame.lineno}" for frame in place)])
    return KoreWaitError(
        f"The waiting in Airflow's triggerer broke off; {why}.",
        consequence=Consequence.SENT,
        remedy="Clear the task to wait again.",
    )
