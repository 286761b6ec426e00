"""The report of an erasure that the page in Airflow's UI reads: an XCom of a well-known key."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.reporting.summary import FINDINGS, summarize
from airflow_provider_kore.times import utc_text

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_provider_kore.api.scope import ErasureScope
    from airflow_provider_kore.deadlines import StatutoryDeadline

log = logging.getLogger(__name__)

SUMMARY_KEY = "kore_erasure"

SUMMARY_VERSION = 1


class Stage(StrEnum):
    """How far a task is."""

    EXPORTING = "exporting"
    DELETING_RECORDINGS = "deleting_recordings"
    REFUSED = "refused"
    SUBMITTING = "submitting"
    WAITING = "waiting"
    VERIFYING = "verifying"
    ENDED = "ended"


def publish(
    operator: BaseOperator,
    context: Context,
    stage: Stage,
    output: Mapping[str, object],
    *,
    base_url: str | None,
    scope: ErasureScope | None = None,
    submits: bool = True,
    started: float | None = None,
    deadline: StatutoryDeadline | None = None,
) -> None:
    """
    Push how far a task is, without a user.

    :param output: what the task returns, or what is known of that so far.
    :param base_url: where Kore.ai is; ``None`` if the task does not know it.
    :param scope: the bots; ``None`` if the task does not know them.
    :param submits: whether the task submits by itself, or waits for what others have submitted.
    :param started: when the erasure began, in seconds since the epoch; default: now.
    :param deadline: by when the law wants the request answered.
    """
    if not operator.do_xcom_push:
        return
    now = time.time()
    try:
        verification, receipt = output.get("verification"), output.get("receipt")
        value = summarize(output, base_url, scope) | {
            "version": SUMMARY_VERSION,
            "stage": stage.value,
            "submits": submits,
            "started": utc_text(now if started is None else started),
            "updated": utc_text(now),
            "deadline": None,
            "receipt": receipt["uri"] if isinstance(receipt, Mapping) else None,
            "dry_run": output.get("dry_run") is True,
            "verification": None,
        }
        if deadline is not None:
            value["deadline"] = deadline.as_of(datetime.now(UTC)) | {"ends_at": utc_text(deadline.ends_at)}
        if isinstance(verification, Mapping):
            value["verification"] = {name: verification.get(name) for name in FINDINGS}
        context["ti"].xcom_push(key=SUMMARY_KEY, value=value)
    except Exception as error:  # noqa: BLE001 # an erasure must not seem failed for want of a report
        log.warning("The report for the page could not be pushed (%s).", type(error).__name__)


@contextmanager
def reported_failure(operator: BaseOperator, context: Context, stage: Stage, kore_conn_id: str) -> Iterator[None]:
    """
    Put the failure of a task that precedes an erasure on the page of erasures, since its users are not erased now.

    :param stage: what the task does.
    :param kore_conn_id: id of its connection.
    """
    try:
        yield
    except KoreError:
        from airflow_provider_kore.hooks.kore import KoreHook  # not needed by a task that succeeds

        publish(operator, context, stage, {}, base_url=KoreHook(kore_conn_id).find_base_url())
        raise
