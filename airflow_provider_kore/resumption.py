"""How a task leaves its worker, and resumes later in another process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

from typing_extensions import TypedDict  # pydantic reads that of typing from Python 3.12 on

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreWaitError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_kore.api.client import KoreClient

T = TypeVar("T")

TRIGGERER_GRACE = timedelta(hours=1)
"""How long after the deadline Airflow ends a wait whose triggerer has not: the last polls can wait for their turns."""

STATE_KEY = "kore_resume"
"""The XCom in which a task keeps what it needs to resume."""

MAX_WORKER_WAIT = 120.0
"""Seconds for which a deferrable task waits in its worker for the account's next turn."""


def max_worker_wait(deferrable: bool) -> float:
    """Return how many seconds a task waits in its worker for the account's next turn."""
    return MAX_WORKER_WAIT if deferrable else math.inf


def resume_later(
    task: BaseOperator, context: Context, trigger: BaseTrigger, state: Mapping[str, object], deadline: float
) -> NoReturn:
    """
    Leave the worker until a trigger fires; the task then resumes in its method ``resume``.

    What the task needs to resume is kept in an XCom of its own. Airflow keeps it as long as the attempt lasts: through
    each deferral, and also when the trigger fails or is late. What is passed to ``defer(kwargs=…)`` is lost then, and
    in ``dag.test()`` up to Airflow 3.3.2 always; and a trigger has room for 64 kB on MySQL.

    :param trigger: fires when it is time.
    :param state: the JSON form of what the task needs; names no user.
    :param deadline: when the whole attempt ends, in seconds since the epoch.
    """
    context["ti"].xcom_push(key=STATE_KEY, value=dict(state))
    until_late = timedelta(seconds=max(deadline - time.time(), 0.0)) + TRIGGERER_GRACE
    task.defer(trigger=trigger, method_name="resume", timeout=until_late)


def resume_after(
    task: BaseOperator, context: Context, seconds: float, state: Mapping[str, object], deadline: float
) -> NoReturn:
    """
    Leave the worker until the account's budget is no longer spent.

    :param seconds: for how long.
    :param state: see :func:`resume_later`.
    :param deadline: when the whole attempt ends, in seconds since the epoch.
    """
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    trigger = DateTimeTrigger(moment=datetime.fromtimestamp(time.time() + seconds, UTC))
    resume_later(task, context, trigger, state, deadline)


def kept_state(context: Context, read: Callable[[object], T]) -> T | None:
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


class UsageFields(TypedDict):
    """
    The calls that count in the account's budget when a task leaves its worker.

    ``calls`` lists pairs: how many seconds ago, and how many calls. ``began`` is when that was, since the epoch.
    """

    calls: list[list[int]]
    began: float


def export_usage(client: KoreClient) -> UsageFields:
    """List what this process has called, for the process that continues."""
    return {"calls": [list(call) for call in client.pacing.budget.export_usage()], "began": time.time()}


def import_usage(client: KoreClient, usage: UsageFields | None) -> None:
    """Count what the process called that the task has left, so that this one does not start with a fresh budget."""
    if usage is not None:
        client.pacing.budget.import_usage(usage["calls"], time.time() - usage["began"])


class FailureFields(TypedDict):
    """The JSON form of an exception of this provider."""

    type: str
    problem: str
    consequence: str
    remedy: str


def failure_to_json(error: KoreError) -> FailureFields:
    """Write an exception as an event or a kept state has it."""
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


def push_outcome(task: BaseOperator, context: Context, result: Mapping[str, object]) -> None:
    """Push what a task would return, before it fails, for tasks that run whatever its end."""
    if task.do_xcom_push:
        context["ti"].xcom_push(key="return_value", value=dict(result))
