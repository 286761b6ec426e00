"""The short account of an erasure that the page in Airflow's UI reads: an XCom of a well-known key."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.reporting.summary import summarize
from airflow_provider_kore.times import utc_text
from airflow_provider_kore.verification.findings import Finding

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_provider_kore.deadlines import StatutoryDeadline
    from airflow_provider_kore.erasure.ledger import ErasureLedger
    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
    from airflow_provider_kore.operators.export import KoreExportUserDataOperator

log = logging.getLogger(__name__)

SUMMARY_KEY = "kore_erasure"

SUMMARY_VERSION = 1


class Stage(StrEnum):
    """How far a task is."""

    EXPORTING = "exporting"
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
    scope: ErasureScope | None,
    submits: bool,
    started: float,
    deadline: StatutoryDeadline | None,
) -> None:
    """
    Tell how far a task is; it names nobody.

    :param output: what the task returns, or what is known of that so far.
    :param base_url: where Kore.ai is; ``None`` if the task does not know it.
    :param scope: the bots; ``None`` if the task does not know them.
    :param submits: whether the task submits by itself, or waits for what others have submitted.
    :param started: when the erasure began, as far as the task knows, in seconds since the epoch.
    :param deadline: by when the law wants the request answered.
    """
    if not operator.do_xcom_push:
        return
    receipt = output.get("receipt")
    try:
        context["ti"].xcom_push(
            key=SUMMARY_KEY,
            value={
                "version": SUMMARY_VERSION,
                "stage": stage.value,
                **summarize(output, base_url, scope or ErasureScope((), all_bots=False)),
                "submits": submits,
                "started": utc_text(started),
                "updated": utc_text(time.time()),
                "deadline": None
                if deadline is None
                else deadline.as_of(datetime.now(UTC)) | {"ends_at": utc_text(deadline.ends_at)},
                "receipt": receipt["uri"] if isinstance(receipt, Mapping) else None,
                "dry_run": output.get("dry_run") is True,
                "verification": _counts(output.get("verification")),
            },
        )
    except Exception as error:  # noqa: BLE001 # an erasure must not look failed for want of a summary
        log.warning("The summary for the page could not be pushed (%s).", type(error).__name__)


def publish_refusal(
    operator: KoreEraseUserDataOperator | KoreExportUserDataOperator,
    context: Context,
    stage: Stage,
    ledger: ErasureLedger | None = None,
    deadline: StatutoryDeadline | None = None,
) -> None:
    """
    Tell that a task ends before it has sent anything in this try; it names nobody.

    :param stage: how far it came.
    :param ledger: what earlier tries did, if that is anything.
    :param deadline: by when the law wants the request answered.
    """
    base_url = None
    with suppress(Exception):  # what was refused can be the connection itself
        base_url = KoreHook(operator.kore_conn_id).account.base_url
    publish(
        operator,
        context,
        stage,
        {} if ledger is None else {"user_count": ledger.user_count} | ledger.outcome.counts(),
        base_url=base_url,
        scope=None if ledger is None else ledger.scope,
        submits=True,
        started=(ledger and ledger.begun_at) or time.time(),
        deadline=deadline,
    )


def _counts(verification: object) -> dict[str, object] | None:
    if not isinstance(verification, Mapping):
        return None
    return {finding.value: verification.get(finding.value) for finding in Finding}
