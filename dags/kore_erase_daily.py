"""
Erase each night the users whose requests came in during the day.

The system that receives requests writes one file a day, named by its date in UTC, with one user id a line. Each run
reads the file of the day before, to which no user is added any more. A day without a file is a day without requests.
After an outage of several nights only the last file is read: pass the others to `kore_erase_on_request`.

Submitting and waiting are two tasks: the first needs a worker for a moment, the second needs none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import ObjectStoragePath, Param, dag, task
from airflow.sdk.types import DagRunProtocol

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor


@dag(
    schedule="30 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    render_template_as_native_obj=True,
    tags=["kore", "privacy"],
    doc_md=__doc__,
    params={
        "folder": Param(
            "file:///data/erasure-requests",
            type="string",
            title="Folder",
            description="URI of the folder with a file a day, such as 2026-11-24.txt.",
        ),
        "bot_ids": Param(
            ["st-1"],
            type="array",
            items={"type": "string"},
            minItems=1,
            title="Bots",
            description="Ids of the bots to erase from (st-…), one a line.",
        ),
    },
)
def kore_erase_daily() -> None:
    """Find the requests, submit them, wait for the proof, keep count."""

    @task
    def find_requests(folder: str, dag_run: DagRunProtocol | None = None) -> str:
        """Hand on the place of the file of the day before; no user id enters Airflow."""
        assert dag_run is not None
        day = (dag_run.run_after - timedelta(days=1)).date()
        requests = ObjectStoragePath(folder) / f"{day}.txt"
        if not requests.exists():
            raise AirflowSkipException(f"There are no requests of {day}.")
        return str(requests)

    submit = KoreEraseUserDataOperator(
        task_id="submit",
        user_ids=find_requests("{{ params.folder }}"),
        bot_ids="{{ params.bot_ids }}",
        wait_for_completion=False,
        on_empty="skip",
        retries=2,
    )
    wait = KoreErasureSensor(task_id="wait", request_id=submit.output, deferrable=True, retries=2)

    @task
    def keep_count(outcome: dict[str, object]) -> int:
        """Run only when every user is erased."""
        erased = outcome["erased"]
        assert isinstance(erased, int)
        return erased

    keep_count(wait.output)


kore_erase_daily()
