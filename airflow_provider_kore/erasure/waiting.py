"""What operator and sensor share of waiting: how it is handed to the triggerer, and how it ends."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypedDict, cast

from airflow_provider_kore import exceptions
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome, RequestOutcomeFields
from airflow_provider_kore.compat import AirflowSensorTimeout
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreNotErasedError, KoreWaitError
from airflow_provider_kore.resumption import resume_later

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_provider_kore.deadlines import StatutoryDeadline

log = logging.getLogger(__name__)

SHOWN_IDS = 20


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
        raise error.with_consequence(Consequence.ONLY_WAITS) from None


def of_wait(error: KoreError) -> KoreError:
    """Let what keeps a task from waiting not sound as if nothing had been submitted."""
    if error.consequence is not Consequence.NOT_SENT:
        return error
    return error.with_consequence(Consequence.SENT_BEFORE)


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
