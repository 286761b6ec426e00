"""What the system tests run around an erasure: retry policy, lineage, asset events, approval, deadline and links."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.openlineage.utils.selective_enable import enable_lineage
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, AssetAlias, AsyncCallback, DeadlineAlert, DeadlineReference, Param, dag, task

from airflow_provider_kore.deadlines import announce_deadline
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.retry_policy import kore_retry_policy
from airflow_provider_kore.sensors.erasure import KoreErasureSensor

USERS_FROM = {"users_from": Param("file:///", type="string")}
BY_URI = {
    "task_id": "erase_users",
    "user_ids": "{{ params.users_from }}",
    "bot_ids": ["st-system"],
    "deferrable": True,
    "poll_interval": 1,
}


@dag(schedule=None, params=USERS_FROM)
def kore_with_retry_policy():
    KoreEraseUserDataOperator(
        **BY_URI, retries=3, retry_delay=timedelta(hours=1), retry_policy=kore_retry_policy(delay=timedelta(seconds=3))
    )


@dag(schedule=None, params=USERS_FROM)
def kore_accountable():
    outlets = [Asset("kore-people"), AssetAlias("kore-alias"), Asset.ref(name="kore-people"), "odd"]
    KoreEraseUserDataOperator(**BY_URI, outlets=outlets)


@dag(schedule=None, render_template_as_native_obj=True, params=USERS_FROM)
def kore_approved():
    preview = KoreEraseUserDataOperator(**BY_URI | {"task_id": "preview"}, dry_run=True)
    approve = ApprovalOperator(
        task_id="approve",
        subject="Erase {{ ti.xcom_pull(task_ids='preview')['user_count'] }} people?",
        body="From `{{ params.users_from }}`",
    )

    @task
    def tell(approved_by):
        return approved_by

    told = tell("{{ ti.xcom_pull(task_ids='approve')['responded_by_user']['name'] }}")
    erase = KoreEraseUserDataOperator(**BY_URI)
    preview >> approve >> told >> erase


@dag(
    schedule=None,
    params=USERS_FROM,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=timedelta(seconds=2),
        callback=AsyncCallback(announce_deadline),
    ),
)
def kore_late():
    KoreEraseUserDataOperator(**BY_URI)


@dag(schedule=None, params=USERS_FROM | {"conn_id": Param("kore_default", type="string")})
def kore_by_connection():
    KoreEraseUserDataOperator(**BY_URI, kore_conn_id="{{ params.conn_id }}")


@dag(schedule=None, params=USERS_FROM)
def kore_linked():
    KoreEraseUserDataOperator(**BY_URI)
    submitted = KoreEraseUserDataOperator(**BY_URI | {"task_id": "submitted", "wait_for_completion": False})
    KoreErasureSensor(task_id="sensor", request_id=submitted.output, deferrable=True, poke_interval=1)
    KoreEraseUserDataOperator(**BY_URI | {"task_id": "without_file", "user_ids": "{{ params.users_from }}.missing"})


kore_by_connection()
kore_linked()
kore_with_retry_policy()
enable_lineage(kore_accountable())
kore_approved()
kore_late()
