"""Whatever dies of a distributed Airflow, nobody is lost, and no DELETE is sent twice unannounced."""

import re
import time
from collections import Counter

import psutil

from demo.airflow_client import FINISHED_RUN_STATES
from tests.distributed.conftest import RUN_TIMEOUT, People

DAG, TASK = "kore_mapped", "erase"
BATCH = 5
ON_ONE_BUDGET, LARGE_BATCH = "kore_one_budget", 100


def instances(airflow, run_id, dag=DAG):
    """List the mapped task instances, by map index."""
    entries = [entry for entry in airflow.task_instances(dag, run_id) if entry["task_id"] == TASK]
    return sorted(entries, key=lambda entry: entry["map_index"])


def wait_for_requests(airflow, sandbox, people, run_id, number, dag=DAG):
    """Wait until Kore.ai has received so many requests, which are fewer than there are to come."""
    deadline = time.monotonic() + RUN_TIMEOUT
    while len(people.requests(sandbox)) < number:
        assert airflow.run_state(dag, run_id) not in FINISHED_RUN_STATES
        assert time.monotonic() < deadline
        time.sleep(0.1)


def triggerer_of(airflow, job_id):
    """Find the triggerer of a job: it writes its triggers' logs, which are named by its id, as soon as one logs."""
    ending = f".trigger.{job_id}.log"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for process_id in airflow.process_ids():
            if any(path.endswith(ending) for path in open_files(process_id)):
                return airflow.component_of(process_id)
        time.sleep(0.2)
    raise TimeoutError(f"No process has opened a log for the triggerer's job {job_id}")


def open_files(process_id):
    try:
        return [file.path for file in psutil.Process(process_id).open_files()]
    except psutil.NoSuchProcess:
        return []


def announced(airflow, run_id, map_index, tries, dag=DAG):
    """Count how often the log of any attempt calls a batch ambiguous, by the batch's number."""
    logs = [airflow.task_log(dag, run_id, TASK, number, map_index) for number in range(1, tries + 1)]
    return Counter(int(number) for number in re.findall(r"AMBIGUOUS[^\"]*? batch (\d+) of", "\n".join(logs)))


def require_all_erased(airflow, sandbox, people, run_id, dag=DAG, batch=BATCH):
    """Require that all users are erased, and that what Kore.ai received more than once was announced each time."""
    assert airflow.wait_for_end(dag, run_id) == "success"
    assert set(people.erased(sandbox)) == set(people.ids)
    received = Counter(tuple(users) for users in people.requests(sandbox))
    for entry, ids in zip(instances(airflow, run_id, dag), people.of.values(), strict=True):
        ambiguous = announced(airflow, run_id, entry["map_index"], entry["try_number"], dag)
        for number, start in enumerate(range(0, len(ids), batch), start=1):
            assert 1 <= received.pop(tuple(ids[start : start + batch])) <= 1 + ambiguous[number]
        output = airflow.xcom(dag, run_id, TASK, map_index=entry["map_index"])
        assert (output["erased"], output["open"], output["not_erased"]) == (len(ids), 0, 0)
    assert not received, "batches of other users"


def test_a_worker_that_is_killed_while_it_waits_for_an_answer_loses_nobody_and_makes_nobody_be_throttled(
    airflow, limited_sandbox, make_limited_people
):
    sandbox = limited_sandbox
    large = {f"large-{number}.txt": 300 for number in range(4)}
    people = make_limited_people(large | {f"single-{number}.txt": 1 for number in range(8)})
    sandbox.add_fault(kind="latency", call="erase", after=5, seconds=120)
    run_id = airflow.trigger(ON_ONE_BUDGET, {"folder": people.folder})
    wait_for_requests(airflow, sandbox, people, run_id, 6, ON_ONE_BUDGET)
    unanswered = people.requests(sandbox)[5]
    map_index, ids = next((index, ids) for index, ids in enumerate(people.of.values()) if unanswered[0] in ids)
    victim = airflow.component_of(airflow.task_instance(ON_ONE_BUDGET, run_id, TASK, map_index)["pid"])
    assert victim.startswith("worker-")
    airflow.kill_component(victim)
    airflow.start_component(victim)

    require_all_erased(airflow, sandbox, people, run_id, ON_ONE_BUDGET, LARGE_BATCH)
    assert people.requests(sandbox).count(unanswered) == 2
    assert instances(airflow, run_id, ON_ONE_BUDGET)[map_index]["try_number"] == 2
    assert ids.index(unanswered[0]) // LARGE_BATCH + 1 in announced(airflow, run_id, map_index, 2, ON_ONE_BUDGET)


def test_the_other_triggerer_takes_the_triggers_of_one_that_is_killed(airflow, sandbox, people):
    sandbox.change_settings(duration=25)
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    for map_index in range(len(people.of)):
        airflow.wait_for_trigger(DAG, run_id, TASK, timeout=90, map_index=map_index)
    jobs = [entry["triggerer_job"]["id"] for entry in instances(airflow, run_id)]
    victim = triggerer_of(airflow, jobs[0])
    airflow.kill_component(victim)
    try:
        require_all_erased(airflow, sandbox, people, run_id)
    finally:
        airflow.start_component(victim)
    assert {entry["try_number"] for entry in instances(airflow, run_id)} == {1}
    assert len(people.requests(sandbox)) == len(people.ids) / BATCH


def test_a_restart_of_redis_loses_nobody(airflow, bucket, sandbox, people, redis):
    sandbox.add_fault(kind="latency", call="erase", seconds=0.5, times=None)
    others = People(bucket, {name: len(ids) for name, ids in people.of.items()})
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    wait_for_requests(airflow, sandbox, people, run_id, 4)
    redis.stop()
    run_id_of_others = airflow.trigger(DAG, {"folder": others.folder})
    airflow.wait_for_task_state(DAG, run_id_of_others, TASK, {"queued", "up_for_retry"}, map_index=0)
    redis.start()
    require_all_erased(airflow, sandbox, people, run_id)
    require_all_erased(airflow, sandbox, others, run_id_of_others)


def test_a_restart_of_postgres_loses_nobody(airflow, sandbox, people, postgres):
    sandbox.add_fault(kind="latency", call="erase", seconds=0.5, times=None)
    run_id = airflow.trigger(DAG, {"folder": people.folder})
    wait_for_requests(airflow, sandbox, people, run_id, 4)
    postgres.stop()
    postgres.start()
    require_all_erased(airflow, sandbox, people, run_id)
