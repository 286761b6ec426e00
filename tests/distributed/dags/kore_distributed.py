"""What the tests on a distributed Airflow run: erasures of users whose ids are on S3 and in Postgres."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
from airflow_provider_kore.user_ids import SqlUserIds

MAPPED = 4
ARGUMENTS = {
    "bot_ids": ["st-distributed"],
    "deferrable": True,
    "poll_interval": 2,
    "poke_interval": 2,
    "retries": 5,  # a component may be killed at any moment
    "retry_delay": timedelta(seconds=1),
}
PARAMS = {"folder": Param("s3://", type="string")}


@task
def list_files(folder):
    return sorted(str(path) for path in ObjectStoragePath(folder).iterdir())


@dag(schedule=None, default_args=ARGUMENTS, params=PARAMS)
def kore_mapped():
    KoreEraseUserDataOperator.partial(task_id="erase", batch_size=5).expand(
        user_ids=[f"{{{{ params.folder }}}}/{number}.txt" for number in range(MAPPED)]
    )


@dag(schedule=None, default_args=ARGUMENTS, params=PARAMS)
def kore_one_budget():
    KoreEraseUserDataOperator.partial(task_id="erase", kore_conn_id="kore_limited").expand(
        user_ids=list_files("{{ params.folder }}")
    )


@dag(schedule=None, default_args=ARGUMENTS, params=PARAMS)
def kore_each_way():
    KoreEraseUserDataOperator.partial(task_id="mapped").expand(user_ids=list_files("{{ params.folder }}/mapped"))

    submit = KoreEraseUserDataOperator(
        task_id="submit", user_ids="{{ params.folder }}/submit.txt", wait_for_completion=False
    )
    KoreErasureSensor(task_id="wait", request_id=submit.output)

    KoreEraseUserDataOperator(
        task_id="from_postgres",
        user_ids=SqlUserIds("directory", "SELECT email FROM people WHERE email LIKE 'mark%' ORDER BY email"),
        batch_size=500,
    )

    users = {"user_ids": "{{ params.folder }}/prove.txt"}
    export = KoreExportUserDataOperator(
        task_id="export", destination="{{ params.folder }}/export", since=timedelta(days=31), **users
    )
    KoreEraseUserDataOperator(
        task_id="prove",
        exported=export.output,
        verify={"people": "all", "since": timedelta(days=31)},
        receipt={"folder": "{{ params.folder }}/receipts"},
        **users,
    )


kore_mapped()
kore_one_budget()
kore_each_way()
