"""What the leak test runs: each task takes its users by a way of its own, and erases them or fails."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ObjectStoragePath, Param, dag, get_current_context, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.recordings import KoreDeleteRecordingsOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
from airflow_provider_kore.user_ids import FileUserIds, SqlUserIds

LITERAL = "leak0a4d2f9b71c3@example.com"
MAPPED_LITERAL = "leak7be05c18d2f6@example.com"
DEFAULT_ARGUMENTS = {
    "bot_ids": ["st-leaks"],
    "deferrable": True,
    "poll_interval": 1,
    "poke_interval": 1,
    "retries": 0,
    "retry_delay": timedelta(seconds=1),
    "kore_conn_id": "leaks_kore",
}
PARAMS = {"folder": Param("file:///", type="string"), "users": Param([], type="array")}


def read_file():
    folder = get_current_context()["params"]["folder"]
    return ObjectStoragePath(f"{folder}/called.txt").read_text().split()


@dag(schedule=None, default_args=DEFAULT_ARGUMENTS, params=PARAMS)
def kore_leaks_by_reference():
    def erase(task_id, user_ids=None, **arguments):
        user_ids = user_ids or f"{{{{ params.folder }}}}/{task_id}.txt"
        return KoreEraseUserDataOperator(task_id=task_id, user_ids=user_ids, **arguments)

    erase("text")
    erase("csv", FileUserIds("{{ params.folder }}/csv.csv", column="email"))
    erase("sql", SqlUserIds("leaks_people", "SELECT email FROM people ORDER BY email"))
    erase("called", read_file)
    erase("not_deferred", deferrable=False)
    erase("dry_run", dry_run=True)
    erase("refused", kore_conn_id="leaks_kore_refusing", retries=1)
    erase("echoed", kore_conn_id="leaks_kore_echoing")
    erase("truncated", kore_conn_id="leaks_kore_truncating", retries=1, timeout=8)
    erase("timed_out", kore_conn_id="leaks_kore_slow", timeout=8)
    erase("not_utf8")
    erase("not_json", "{{ params.folder }}/not_json.jsonl")
    submitted = erase("submitted", wait_for_completion=False)
    KoreErasureSensor(task_id="sensor", request_id=submitted.output)

    @task.kore_erase(batch_size=1)
    def decorated(uri):
        return ObjectStoragePath(uri).read_text().split()

    @task.kore_erase
    def decorated_uri(params):
        return f"{params['folder']}/decorated_uri.txt"

    @task.kore_erase
    def decorated_mapped(position, params):
        return ObjectStoragePath(f"{params['folder']}/decorated_mapped.txt").read_text().split()[position::2]

    decorated("{{ params.folder }}/decorated.txt")
    decorated_uri()
    decorated_mapped.expand(position=[0, 1])

    proof = {
        "verify": {"people": "all", "since": timedelta(days=31)},
        "receipt": {"folder": "{{ params.folder }}/receipts"},
        "deadline": {"received_at": "2026-11-01", "regime": "gdpr"},
    }
    receipt = {"receipt": proof["receipt"] | {"approved_by": "Vera"}}
    erase("proven", check_members=True, **proof | receipt)
    erase("left_behind", kore_conn_id="leaks_kore_leaving", **proof)
    erase("member", check_members=True, kore_conn_id="leaks_kore_membered")
    searched = {"since": timedelta(days=31), "bot_ids": ["st-leaks"], "retries": 0}
    for task_id, conn_id in (("found", "leaks_kore"), ("not_checkable", "leaks_kore_echoing_history")):
        user_ids = f"{{{{ params.folder }}}}/{task_id}.txt"
        KoreVerifyErasureOperator(task_id=task_id, user_ids=user_ids, kore_conn_id=conn_id, **searched)
    for task_id, conn_id in (("exported", "leaks_kore"), ("miscounted", "leaks_kore_miscounting")):
        KoreExportUserDataOperator(
            task_id=task_id,
            user_ids=f"{{{{ params.folder }}}}/{task_id}.txt",
            destination=f"{{{{ params.folder }}}}/{task_id}",
            kore_conn_id=conn_id,
            **searched,
        )
    for task_id, conn_id in (("recorded", "leaks_kore"), ("recorded_echoed", "leaks_kore_echoing_recordings")):
        user_ids = f"{{{{ params.folder }}}}/{task_id}.txt"
        KoreDeleteRecordingsOperator(task_id=task_id, user_ids=user_ids, kore_conn_id=conn_id, **searched)


@dag(schedule=None, default_args=DEFAULT_ARGUMENTS, params=PARAMS, render_template_as_native_obj=True)
def kore_leaks_by_value():
    erase = KoreEraseUserDataOperator

    @task
    def find_users():
        return ObjectStoragePath(f"{get_current_context()['params']['folder']}/pulled.txt").read_text().split()

    @task
    def find_chunks():
        users = ObjectStoragePath(f"{get_current_context()['params']['folder']}/mapped.txt").read_text().split()
        return [[user] for user in users]

    erase(task_id="literal", user_ids=[LITERAL])
    erase(task_id="typed", user_ids="{{ params.users }}", kore_conn_id="leaks_kore_refusing", retries=1)
    erase(task_id="pulled", user_ids=find_users())
    erase.partial(task_id="mapped").expand(user_ids=find_chunks())
    erase.partial(task_id="mapped_literal").expand(user_ids=[[MAPPED_LITERAL]])


kore_leaks_by_reference()
kore_leaks_by_value()
