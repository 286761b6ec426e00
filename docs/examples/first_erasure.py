"""Erase the users in a file from one bot."""

from airflow.sdk import dag

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator


@dag(schedule=None)
def first_erasure():
    KoreEraseUserDataOperator(task_id="erase", user_ids="file:///tmp/1234.txt", bot_ids=["st-1"])


first_erasure()
