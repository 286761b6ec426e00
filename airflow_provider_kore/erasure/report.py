"""What an erasure reports while it runs and at its end; all of it is computed from the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.deadlines import StatutoryDeadline
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.reporting.assets import note_outcome
from airflow_provider_kore.reporting.lineage import ReportsLineage
from airflow_provider_kore.reporting.page_report import Stage, publish
from airflow_provider_kore.reporting.table import Row, outcome_table
from airflow_provider_kore.resumption import push_outcome

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)


class ErasureReport:
    """
    Report a run to the page, the log, XCom, assets and OpenLineage.

    :param task: the operator or sensor.
    :param context: of the running task.
    :param base_url: of Kore.ai.
    :param ledger: of the run.
    :param deadline: by when the law requires an answer.
    :param submits: whether the task submits, or waits for what others submitted.
    :param started: when the attempt started, in seconds since the epoch.
    """

    def __init__(
        self,
        task: BaseOperator,
        context: Context,
        base_url: str,
        ledger: ErasureLedger,
        deadline: StatutoryDeadline | None,
        *,
        submits: bool,
        started: float,
    ) -> None:
        self._task = task
        self._context = context
        self._base_url = base_url
        self._ledger = ledger
        self._deadline = deadline
        self._submits = submits
        self._started = started

    def result(self, outcome: ErasureOutcome | None = None) -> dict[str, object]:
        """
        Write what the task returns.

        :param outcome: the counts; ``None`` if the task does not wait.
        """
        records, unsent = self._ledger.records, self._ledger.unsent_users
        return {
            "requests": [request.to_json() for record in records for request in record.requests],
            "user_count": self._ledger.user_count if outcome is None else outcome.user_count,
            **({"unsent": unsent} if unsent else {}),
            "batch_count": len(records),
            **self._ledger.scope.to_json(),
            **self.deadline_fields,
            **({} if outcome is None else outcome.counts()),
        }

    @property
    def deadline_fields(self) -> dict[str, object]:
        """The deadline as the task returns it."""
        return {} if self._deadline is None else {"deadline": self._deadline.as_of(datetime.now(UTC))}

    def publish(self, stage: Stage, result: Mapping[str, object] | None = None) -> None:
        """
        Publish to the page how far the task is.

        :param result: what the task returns; default: what the ledger shows by now.
        """
        first_submitted = self._ledger.first_submitted_at
        publish(
            self._task,
            self._context,
            stage,
            self.result(self._ledger.outcome) if result is None else result,
            base_url=self._base_url,
            scope=self._ledger.scope,
            submits=self._submits,
            started=min(first_submitted or self._started, self._started),
            deadline=self._deadline,
        )

    def log_table(self, result: Mapping[str, object]) -> None:
        """Write the outcome of each request as the last lines of the log."""
        rows = [Row(record.name, record.outcome) for record in self._ledger.records]
        log.info("%s", outcome_table(rows, result))

    def fail(self, result: Mapping[str, object]) -> None:
        """Push what the task would return, before it fails, for tasks that run whatever its end."""
        self._end(result)
        push_outcome(self._task, self._context, result)

    def succeed(self, result: Mapping[str, object]) -> None:
        """Note the outcome at the task's assets."""
        self._end(result)
        note_outcome(self._context, result, self._base_url, self._ledger.scope)

    def _end(self, result: Mapping[str, object]) -> None:
        cast("ReportsLineage", self._task).ended = (result, self._base_url, self._ledger.scope)
