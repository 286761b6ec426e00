"""Very many small tasks on both workers and both triggerers share the calls of one account."""

import time

import pytest

DAG, TASKS = "kore_one_budget", 200
PATIENCE = 1800.0
"""Seconds: the account allows 60 of the 400 calls a minute, and a small machine starts a task in some seconds."""


@pytest.mark.long
def test_two_hundred_tasks_of_one_user_each_are_never_throttled(airflow, limited_sandbox, make_limited_people):
    people = make_limited_people({f"{number}.txt": 1 for number in range(TASKS)})
    begin = time.time()
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    assert airflow.wait_for_end(DAG, run_id, PATIENCE) == "success"
    assert sorted(people.requests(limited_sandbox)) == sorted(people.of.values())
    assert people.erased(limited_sandbox) == sorted(people.ids)

    moments = [entry["time"] for entry in limited_sandbox.log() if entry["time"] >= begin]
    print(f"{len(moments)} calls in {moments[-1] - moments[0]:.0f} s of {time.time() - begin:.0f} s of the run")
