"""What surrounds an erasure, in a real Airflow: retry policy, lineage, asset events, approval, deadline and links."""

import json
import re
import time
import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from airflow_provider_kore.erasures_page import PAGE_ROUTE

TASK = "erase_users"


@pytest.fixture(autouse=True)
def forget_all(sandbox):
    yield
    sandbox.reset()


@pytest.fixture
def people(tmp_path):
    """A file of three people whose ids are nowhere else."""
    ids = [f"around{uuid.uuid4().hex}@example.com" for _ in range(3)]
    file = tmp_path / f"request-{uuid.uuid4().hex[:6]}.txt"
    file.write_text("\n".join(ids) + "\n")
    return file


def wait_until(look, timeout=60):
    """Look until there is something."""
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.25)
    return seen


def wait_until_noted(airflow, run_id, task_id):
    """Wait until the scheduler knows that a task left its worker: it fails one that comes back before."""
    words = ("Received executor event with state success", run_id, f"task_id='{task_id}'")
    wait_until(lambda: any(all(word in line for word in words) for line in airflow.all_log_text().splitlines()))


def run(airflow, dag_id, file, **fields):
    airflow.wait_for_dag(dag_id)
    airflow.unpause(dag_id)
    body = {"logical_date": None, "conf": {"users_from": file.as_uri()}} | fields
    return airflow.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]


# --- retry policy ---------------------------------------------------------------------------------------------------


def test_a_task_that_is_asked_for_what_is_refused_fails_on_its_first_try(airflow, people):
    people.write_text("u-1\n\nu-2\n")
    run_id = run(airflow, "kore_with_retry_policy", people)
    assert airflow.wait_for_run("kore_with_retry_policy", run_id) == "failed"
    entry = airflow.task_instance("kore_with_retry_policy", run_id, TASK)
    assert (entry["try_number"], entry["max_tries"]) == (1, 3)
    assert "KoreInputError" in airflow.task_log("kore_with_retry_policy", run_id, TASK)


def test_a_task_that_is_refused_after_it_came_back_from_the_triggerer_fails_on_its_first_try(airflow, sandbox, people):
    sandbox.change_settings(duration=600)
    run_id = run(airflow, "kore_with_retry_policy", people)
    airflow.wait_for_trigger("kore_with_retry_policy", run_id, TASK)
    wait_until_noted(airflow, run_id, TASK)
    sandbox.change_settings(scope_granted=False)
    assert airflow.wait_for_run("kore_with_retry_policy", run_id) == "failed"
    assert airflow.task_instance("kore_with_retry_policy", run_id, TASK)["try_number"] == 1
    assert "KorePermissionError" in airflow.task_log("kore_with_retry_policy", run_id, TASK)


def test_a_source_that_cannot_be_read_just_now_is_read_by_the_next_try_after_the_delay_of_the_policy(
    airflow, sandbox, people
):
    content = people.read_text()
    people.unlink()
    run_id = run(airflow, "kore_with_retry_policy", people)
    airflow.wait_for_task_state("kore_with_retry_policy", run_id, TASK, "up_for_retry")
    people.write_text(content)
    assert airflow.wait_for_run("kore_with_retry_policy", run_id) == "success"
    assert airflow.task_instance("kore_with_retry_policy", run_id, TASK)["try_number"] == 2
    assert "KoreSourceError" in airflow.task_log("kore_with_retry_policy", run_id, TASK)


# --- lineage and asset events ---------------------------------------------------------------------------------------


def test_openlineage_and_the_asset_event_tell_the_counts_of_a_task_that_was_deferred(
    airflow, sandbox, people, lineage_events
):
    run_id = run(airflow, "kore_accountable", people)
    airflow.wait_for_trigger("kore_accountable", run_id, TASK)
    assert airflow.wait_for_run("kore_accountable", run_id) == "success"
    counts = {"request_count": 1, "user_count": 3, "batch_count": 1, "erased": 3, "open": 0, "not_erased": 0}
    target = {"host": sandbox.url, "all_bots": False, "bot_ids": ["st-system"]}

    events = airflow.call("GET", "/assets/events", params={"source_run_id": run_id})["asset_events"]
    noted = [(event["name"], event["extra"]) for event in events]
    assert noted == [("kore-people", target | counts)] * 2  # by the asset itself, and by its name

    told = wait_until(
        lambda: [e for e in lineage_events() if e["eventType"] == "COMPLETE" and TASK in e["job"]["name"]]
    )
    assert len(told) == 1
    assert told[0]["run"]["facets"]["kore_erasure"].items() >= counts.items()
    assert told[0]["job"]["facets"]["kore_erasure"].items() >= target.items()
    assert [(data["namespace"], data["name"]) for data in told[0]["outputs"]] == [(sandbox.url, "st-system")]
    everything = json.dumps([events, lineage_events()])
    assert all(person not in everything for person in people.read_text().split())


# --- approval -------------------------------------------------------------------------------------------------------


def answer(airflow, run_id, option):
    """Answer as a person does in the UI."""
    airflow.wait_for_task_state("kore_approved", run_id, "approve", "awaiting_input")
    wait_until_noted(airflow, run_id, "approve")
    path = f"/dags/kore_approved/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    shown = airflow.call("GET", path)
    airflow.call("PATCH", path, json={"chosen_options": [option], "params_input": {}})
    return shown


def test_an_approval_shows_the_plan_names_who_gave_it_and_lets_the_erasure_go_on(airflow, sandbox, people):
    run_id = run(airflow, "kore_approved", people)
    shown = answer(airflow, run_id, "Approve")
    assert shown["subject"] == "Erase 3 people?"
    assert shown["body"] == f"From `{people.as_uri()}`"
    assert airflow.wait_for_run("kore_approved", run_id) == "success"
    assert airflow.xcom("kore_approved", run_id, "approve")["responded_by_user"] == {"id": "admin", "name": "admin"}
    assert airflow.xcom("kore_approved", run_id, "tell") == "admin"
    assert airflow.xcom("kore_approved", run_id, TASK)["erased"] == 3


def test_a_rejection_skips_the_erasure(airflow, sandbox, people):
    run_id = run(airflow, "kore_approved", people)
    answer(airflow, run_id, "Reject")
    assert airflow.wait_for_run("kore_approved", run_id) == "success"
    assert airflow.task_instance("kore_approved", run_id, TASK)["state"] == "skipped"
    assert not [entry for entry in sandbox.log() if entry["call"] == "erase"]


# --- statutory deadline ---------------------------------------------------------------------------------------------


def test_a_run_that_failed_is_announced_before_its_deadline_is_over(airflow, people):
    people.unlink()
    today = datetime.now(UTC)
    conf = {"users_from": people.as_uri(), "received_at": today.date().isoformat(), "regime": "ccpa"}
    run_id = run(airflow, "kore_late", people, logical_date=today.isoformat(), conf=conf)
    assert airflow.wait_for_run("kore_late", run_id) == "failed"
    words = f"Run {run_id} of kore_late has not erased all users yet. Under CCPA the request of {today.date()}"
    announced = wait_until(lambda: [line for line in airflow.all_log_text().splitlines() if words in line])
    assert re.search("Days left: (44|45)[.]", announced[0])


# --- links ----------------------------------------------------------------------------------------------------------


def links_of(airflow, run_id, task_id):
    """Ask for the links of a task until all have addresses, which the worker gives after it has told the state."""
    path = f"/dags/kore_linked/dagRuns/{run_id}/taskInstances/{task_id}/links"

    def look():
        links = airflow.call("GET", path)["extra_links"]
        return links if all(links.values()) else None

    return wait_until(look)


def test_a_task_links_to_page_and_console_when_it_is_deferred_has_failed_and_is_finished(airflow, sandbox, people):
    sandbox.change_settings(duration=20, requests_per_minute=0)  # so that a busy machine sees both deferred
    run_id = run(airflow, "kore_linked", people)

    def check_links(states):
        for task_id, state in states.items():
            airflow.wait_for_task_state("kore_linked", run_id, task_id, state)
            links = links_of(airflow, run_id, task_id)
            assert links.keys() == {"Erasures", "Kore.ai Admin Console"}
            assert links["Kore.ai Admin Console"] == f"{sandbox.url}/Admin"
            page, _, query = links["Erasures"].partition("?")
            assert page == f"{airflow.url}/plugin/{PAGE_ROUTE}"
            assert parse_qs(query) == {"dag_id": ["kore_linked"], "run_id": [run_id], "task_id": [task_id]}

    check_links({"erase_users": "deferred", "sensor": "deferred", "submitted": "success", "without_file": "failed"})
    assert airflow.wait_for_run("kore_linked", run_id) == "failed"
    check_links({"erase_users": "success", "sensor": "success"})
