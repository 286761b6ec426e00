"""Erase 250 made-up people from a sandbox of Kore.ai, with the example DAG on a real Airflow."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import Any

from demo.airflow_client import FINISHED_RUN_STATES
from demo.local_airflow import LocalAirflow
from demo.local_sandbox import LocalSandbox
from demo.progress import Progress

DEMO = Path(__file__).parent
PEOPLE = DEMO / "people.txt"
DAGS = DEMO.parent / "dags"
DAG_ID = "kore_erase_on_request"
TASK_ID = "erase_users"
BOT_ID = "st-demo"
ERASURE_SECONDS = 20
RUN_TIMEOUT = 300.0
INTERRUPTED = 130
TEXT_WIDTH = 100
ACTIVITIES = {
    "queued": "the task is queued",
    "running": "the task runs on a worker",
    "deferred": "the task waits in the triggerer and holds no worker",
    "up_for_retry": "the task is to be tried again",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = read_arguments(arguments)
    people = PEOPLE.read_text().split()
    refused = people[: options.refused]
    settings = [
        "--duration",
        str(ERASURE_SECONDS),
        "--while-running",
        "trickle",
        *(f"--refuse={person}" for person in refused),
    ]
    try:
        with LocalSandbox(*settings) as sandbox:
            print(f"A sandbox of Kore.ai runs at {sandbox.url}.")
            print(f"Airflow {version('apache-airflow')} starts, in about a quarter of a minute ...", flush=True)
            with LocalAirflow(DAGS, environment=sandbox.environment) as airflow:
                exit_code = demonstrate(airflow, sandbox, people)
                if options.ui:
                    print(f"\nAirflow stays at {sign_in(airflow)}\nPress Ctrl-C to end it.", flush=True)
                    signal.pause()
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is left running.")
        return INTERRUPTED
    return exit_code


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=__doc__)
    parser.add_argument("--refused", type=int, default=0, metavar="N", help="people whom Kore refuses to erase")
    parser.add_argument("--ui", action="store_true", help="stay up after the run")
    return parser.parse_args(arguments)


def demonstrate(airflow: LocalAirflow, sandbox: LocalSandbox, people: Sequence[str]) -> int:
    """Run the DAG once, and show its outcome."""
    print(f"Airflow runs at {sign_in(airflow)}")
    print(f"\nDAG {DAG_ID} erases the {len(people)} people of {PEOPLE.relative_to(DEMO.parent)}:", flush=True)
    started = time.monotonic()
    conf = {"users_from": PEOPLE.as_uri(), "bot_ids": [BOT_ID], "dry_run": False}
    run_id = airflow.trigger(DAG_ID, conf)
    follow(airflow, sandbox, run_id, len(people))
    seconds = time.monotonic() - started

    state = airflow.run_state(DAG_ID, run_id)
    outcome = read_outcome(airflow, run_id)
    print(f"\nThe run has ended after {seconds:.0f} s: {state}.")
    print(f"  erased       {outcome.get('erased', 0):4}")
    print(f"  open         {outcome.get('open', 0):4}")
    print(f"  not erased   {outcome.get('not_erased', 0):4}")
    print(f"  requests     {len(outcome.get('requests', [])):4}   and {len(sandbox.log())} calls of Kore.ai in all")
    found = count_traces(airflow, people)
    print(f"Ids of people in Airflow's database and logs: {found}.")
    erased = {user["user_id"] for user in sandbox.state()["erased"]}
    print(f"The sandbox confirms that {len(erased.intersection(people))} of {len(people)} are erased.")

    if state == "success" and outcome.get("erased") == len(people) and erased.issuperset(people) and not found:
        print("\nAll are erased.")
        return 0
    print(f"\nNOT ALL ARE ERASED. The task ended with:\n\n{last_error(airflow, run_id)}")
    return 1


def follow(airflow: LocalAirflow, sandbox: LocalSandbox, run_id: str, total: int) -> None:
    """Show the progress until the run has ended."""
    progress = Progress(total)
    deadline = time.monotonic() + RUN_TIMEOUT
    while airflow.run_state(DAG_ID, run_id) not in FINISHED_RUN_STATES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"The run has not ended after {RUN_TIMEOUT:.0f} s")
        task_state = airflow.task_instance(DAG_ID, run_id, TASK_ID)["state"]
        activity = ACTIVITIES.get(task_state, "the scheduler decides what is next")
        progress.show(len(sandbox.state()["erased"]), activity)
        time.sleep(0.5)
    progress.show(len(sandbox.state()["erased"]), "the run has ended")
    progress.end()


def read_outcome(airflow: LocalAirflow, run_id: str) -> dict[str, Any]:
    """Fetch what the task returned; a task that failed early has returned nothing."""
    entries = airflow.xcoms(DAG_ID, run_id, TASK_ID)
    return dict(entries.get("return_value") or {})


def count_traces(airflow: LocalAirflow, people: Sequence[str]) -> int:
    """Count the times that a person's id is written anywhere in the database or in a log file."""
    text = airflow.database_dump() + airflow.all_log_text()
    if DAG_ID not in text:
        raise RuntimeError("The database and the logs could not be searched")
    return sum(text.count(person) for person in people)


def last_error(airflow: LocalAirflow, run_id: str) -> str:
    """Find the message of the error that the task ended with, in its log."""
    try_number = airflow.task_instance(DAG_ID, run_id, TASK_ID)["try_number"]
    entries = airflow.task_log_entries(DAG_ID, run_id, TASK_ID, try_number)
    errors = [error for entry in entries for error in entry.get("error_detail") or []]
    if not errors:
        return "(no error in the task's log)"
    return fill(f"{errors[-1]['exc_type']}: {errors[-1]['exc_value']}", TEXT_WIDTH, break_long_words=False)


def sign_in(airflow: LocalAirflow) -> str:
    """Return how to reach Airflow in a browser."""
    return f"{airflow.url} (user {airflow.username}, password {airflow.password})"


if __name__ == "__main__":
    sys.exit(main())
