"""Erase the users in the file of a ticket, by a function."""

from airflow.sdk import dag, task


@dag(schedule=None, params={"folder": "file:///tmp", "ticket": "1234"})
def erase_leavers():
    @task.kore_erase(bot_ids=["st-1"], deferrable=True, retries=2)
    def erase(params):
        return f"{params['folder']}/{params['ticket']}.txt"

    erase()


erase_leavers()
