"""Tasks on both workers and both triggerers share the calls of one account, whose limits the sandbox enforces."""

import time

from airflow_provider_kore.api.budget import MINUTE

DAG, TASK = "kore_one_budget", "erase"
TASKS, USERS, BATCH = 6, 500, 100
ALLOWED = MINUTE + 8
"""Seconds: each batch takes a submit and a poll, which is 60 calls, and some polls find it open; and it takes 8 s."""


def test_mapped_tasks_take_hardly_longer_than_the_account_allows(airflow, limited_sandbox, make_limited_people):
    people = make_limited_people({f"{number}.txt": USERS for number in range(TASKS)})
    begin = time.time()
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    assert airflow.wait_for_end(DAG, run_id) == "success"
    assert sorted(people.requests(limited_sandbox)) == sorted(
        ids[start : start + BATCH] for ids in people.of.values() for start in range(0, USERS, BATCH)
    )
    assert people.erased(limited_sandbox) == sorted(people.ids)
    outputs = [airflow.xcom(DAG, run_id, TASK, map_index=number) for number in range(TASKS)]
    assert [(output["erased"], output["open"], output["not_erased"]) for output in outputs] == [(USERS, 0, 0)] * TASKS

    moments = [entry["time"] for entry in limited_sandbox.log() if entry["time"] >= begin]
    taken = moments[-1] - moments[0]
    print(f"{len(moments)} calls in {taken:.0f} s of {time.time() - begin:.0f} s of the run")
    assert taken <= 1.2 * ALLOWED
