"""Tasks on both workers and both triggerers share the calls of one account, whose limits the sandbox enforces."""

import time
from collections import Counter

import pytest

from airflow_provider_kore.api.budget import MINUTE
from airflow_provider_kore.api.errors import Call
from tests.distributed.conftest import MARK, RUN_TIMEOUT, People

DAG, TASK = "kore_one_budget", "erase"
TASKS, USERS, BATCH = 6, 500, 100
SLOTS = 2  # of each worker
ALLOWED = MINUTE + 8
"""Seconds: each batch takes a submit and a poll, which is 60 calls, and some polls find it open; and it takes 8 s."""


@pytest.fixture
def people(airflow, bucket, budget_redis, budget):
    """3,000 users in six files; at the end, no user is in anything that Airflow or the budget's Redis keeps."""
    time.sleep(budget.seconds_until_turn(Call.ERASE))
    people = People(bucket, {f"{number}.txt": USERS for number in range(TASKS)})
    yield people
    assert airflow.places(MARK) == set()
    assert not MARK.search(budget_redis.written())


def require_all_erased(airflow, sandbox, people, run_id):
    """Require that all users are erased, and that nobody was throttled; return how often each batch was received."""
    assert airflow.wait_for_end(DAG, run_id) == "success"
    assert not any(entry["throttled"] for entry in sandbox.log())
    assert set(people.erased(sandbox)) == set(people.ids)
    outputs = [airflow.xcom(DAG, run_id, TASK, map_index=number) for number in range(TASKS)]
    assert [(output["erased"], output["open"], output["not_erased"]) for output in outputs] == [(USERS, 0, 0)] * TASKS
    return Counter(tuple(users) for users in people.requests(sandbox))


def test_mapped_tasks_take_hardly_longer_than_the_account_allows(airflow, limited_sandbox, people):
    begin = time.time()
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    received = require_all_erased(airflow, limited_sandbox, people, run_id)
    assert sorted(received) == sorted(
        tuple(ids[start : start + BATCH]) for ids in people.of.values() for start in range(0, USERS, BATCH)
    )
    assert set(received.values()) == {1}
    assert people.erased(limited_sandbox) == sorted(people.ids)

    moments = [entry["time"] for entry in limited_sandbox.log() if entry["time"] >= begin]
    taken = moments[-1] - moments[0]
    print(f"{len(moments)} calls in {taken:.0f} s of {time.time() - begin:.0f} s of the run")
    assert taken <= 1.2 * ALLOWED


def test_a_worker_that_is_killed_makes_nobody_be_throttled(airflow, limited_sandbox, people):
    limited_sandbox.add_fault(kind="latency", call="erase", seconds=0.5, times=TASKS * USERS // BATCH)
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    deadline = time.monotonic() + RUN_TIMEOUT
    while len(people.requests(limited_sandbox)) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    running = [entry for entry in airflow.task_instances(DAG, run_id) if entry["state"] == "running"]
    victim = airflow.component_of(max(running, key=lambda entry: entry["start_date"])["pid"])
    airflow.kill_component(victim)
    airflow.start_component(victim)
    received = require_all_erased(airflow, limited_sandbox, people, run_id)
    assert len(received) == TASKS * USERS / BATCH
    assert received.total() - len(received) <= SLOTS  # whose answers it did not live to see
    assert {entry["try_number"] for entry in airflow.task_instances(DAG, run_id)} == {1, 2}
