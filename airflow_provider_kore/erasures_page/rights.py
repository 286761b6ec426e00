"""Answer what the viewer may do, which no call of Airflow's own API does without leaving an audit log."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, status

rights = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@rights.get(
    "/run/{dag_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Depends(requires_access_dag(method="POST", access_entity=DagAccessEntity.RUN))],
)
def may_start_run(dag_id: str) -> None:
    """Answer 204, or as Airflow would answer a viewer who must not start a run: 401 or 403."""
    del dag_id  # the check reads it from the address


@rights.get(
    "/note/{dag_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Depends(requires_access_dag(method="PUT", access_entity=DagAccessEntity.TASK_INSTANCE))],
)
def may_set_note(dag_id: str) -> None:
    """Answer 204, or as Airflow would answer a viewer who must not edit a task instance: 401 or 403."""
    del dag_id
