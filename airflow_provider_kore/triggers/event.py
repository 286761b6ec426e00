"""What the trigger and its task say to each other: request ids and counts, never a user id."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome, RequestOutcomeFields
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreWaitError
from airflow_provider_kore.resumption import FailureFields, failure_from_json

log = logging.getLogger(__name__)


class ErasureEvent(TypedDict):
    """
    Contain the outcome of each request, and what ended the wait early.

    The keys are read by workers of the same version of this provider.
    """

    outcomes: list[RequestOutcomeFields]
    failure: FailureFields | None


def read_event(
    event: object, requests: Mapping[int, AcceptedErasure]
) -> tuple[dict[int, RequestOutcome], KoreError | None]:
    """
    Read what the trigger fired.

    :param event: the trigger's event. One that is not about the very requests proves nothing: all are open then.
    :param requests: what was waited for, by number.
    :return: the outcomes by number, and what ended the wait early, if anything.
    """
    try:
        fields = cast("ErasureEvent", event)
        outcomes = [RequestOutcome.from_json(outcome) for outcome in fields["outcomes"]]
        failure = failure_from_json(fields["failure"]) if fields["failure"] else None
        understood = len(outcomes) == len(requests) and all(map(_is_about, outcomes, requests.values()))
    except (KeyError, TypeError, ValueError):
        understood = False
    if not understood:
        outcomes, failure = [RequestOutcome.unseen(request) for request in requests.values()], _not_understood()
    return dict(zip(requests, outcomes, strict=True)), failure


def _is_about(outcome: RequestOutcome, request: AcceptedErasure) -> bool:
    counts = outcome.outcome.counts().values()
    if outcome.request_id != request.request_id or not all(type(count) is int and count >= 0 for count in counts):
        return False
    user_count = outcome.outcome.user_count
    return user_count >= 1 if request.user_count is None else user_count == request.user_count


def _not_understood() -> KoreWaitError:
    return KoreWaitError(
        "The trigger fired an event that is not understood.",
        consequence=Consequence.SENT,
        remedy="Clear the task to wait again. Make sure that workers and triggerers have the same version of this "
        "provider.",
    )


def waiting_broke_off(cause: Exception | None = None) -> KoreWaitError:
    """
    Say that the triggerer failed, which says nothing about the erasure.

    :param cause: the exception; only its type and line are shown, since its text can contain part of an answer.
    """
    why = "the triggerer's log says why"
    if cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)[-1:]
        why = " at ".join([type(cause).__name__, *(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)])
    return KoreWaitError(
        f"The wait in Airflow's triggerer broke off; {why}.",
        consequence=Consequence.SENT,
        remedy="Clear the task to wait again.",
    )


def log_progress(outcome: ErasureOutcome, next_poll: float | None) -> None:
    """
    Log how far the requests are that are waited for.

    :param next_poll: in how many seconds Kore.ai is asked again; ``None`` if it is not.
    """
    log.info(
        "%d of %d users erased, %d open, %d not erased.%s",
        outcome.erased,
        outcome.user_count,
        outcome.open,
        outcome.not_erased,
        "" if next_poll is None else f" Next poll in {next_poll:.0f} s.",
    )
