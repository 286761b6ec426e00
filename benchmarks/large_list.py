"""
Erase a large list from a compressed CSV file, and measure what memory the task takes over one with 100 users.

Each task runs in a process of its own against a sandbox without rate limits, so that the figures are those of the
provider alone. Its records go to a file, as Airflow's go to its database.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import logging
import os
import resource
import shelve
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.report import Report, arguments
from demo.local_sandbox import LocalSandbox

FEW = 100
MOST_MEMORY = 1.25
"""What memory a task may take at its peak with a large list, of that with a small one."""


def write_people(path: Path, user_count: int) -> None:
    """Write a compressed CSV of made-up people."""
    with gzip.open(path, "wt", newline="", compresslevel=1) as file:
        rows = csv.writer(file)
        rows.writerow(["name", "email"])
        rows.writerows((f"Person {number}", f"person-{number:07}@example.com") for number in range(user_count))


class FileStore:
    """Stand in for Airflow's task state store, outside the memory of the task."""

    def __init__(self, path: Path) -> None:
        self._values = shelve.open(str(path))  # noqa: SIM115 # for as long as the process lives

    def get(self, key: str, default: object = None) -> object:
        """Read a value."""
        return json.loads(self._values[key]) if key in self._values else default

    def set(self, key: str, value: object, **_: object) -> None:
        """Write a value; how long it is kept does not matter here."""
        self._values[key] = json.dumps(value)

    def sizes(self) -> list[int]:
        """Return the bytes of each value."""
        return [len(text) for text in self._values.values()]


def run_task(uri: str, batch_size: int, folder: Path) -> dict[str, Any]:
    """Run the operator as a task does, and return when it began and ended, and what it took."""
    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
    from airflow_provider_kore.user_ids import FileUserIds

    operator = KoreEraseUserDataOperator(
        task_id="erase",
        user_ids=FileUserIds(uri, column="email"),
        bot_ids=["st-1"],
        batch_size=batch_size,
    )
    store = FileStore(folder / "store")
    context: Any = {
        "ti": SimpleNamespace(try_number=1, max_tries=0, xcom_push=lambda **_: None),
        "task": operator,
        "task_state_store": store,
    }
    began = time.time()
    output: Any = operator.execute(context)
    return {
        "began": began,
        "ended": time.time(),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "counts": [output["user_count"], output["erased"], output["open"], output["not_erased"]],
        "store_values": len(store.sizes()),
        "store_largest": max(store.sizes()),
        "store_all": sum(store.sizes()),
        "xcom": len(json.dumps(output)),
    }


def phases(result: dict[str, Any], log: list[dict[str, Any]]) -> dict[str, float]:
    """Return how long each phase of the task took, by the calls that the sandbox received."""
    first = next(entry["time"] for entry in log if entry["call"] == "erase")
    polled = next(entry["time"] for entry in log if entry["call"] == "status")
    return {
        "checking": first - result["began"],
        "submitting": polled - first,
        "waiting": result["ended"] - polled,
        "all": result["ended"] - result["began"],
    }


def measure(user_count: int, batch_size: int) -> dict[str, Any]:
    """Run a task in a process of its own, beside a sandbox of its own."""
    limits = ("--requests-per-minute", "0", "--requests-per-hour", "0", "--duration", "0")
    with tempfile.TemporaryDirectory() as name, LocalSandbox(*limits) as sandbox:
        folder = Path(name)
        people = folder / "people.csv.gz"
        write_people(people, user_count)
        connection = sandbox.connection
        connection["extra"] = (connection.get("extra") or {}) | {
            "requests_per_minute": 1_000_000,
            "requests_per_hour": 1_000_000,
            "max_users": user_count,
        }
        environment = os.environ | {
            "AIRFLOW_HOME": name,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(connection),
        }
        command = [
            sys.executable,
            "-m",
            "benchmarks.large_list",
            "--task",
            people.as_uri(),
            "--batch-size",
            str(batch_size),
        ]
        result = subprocess.run(command, env=environment, cwd=Path.cwd(), stdout=subprocess.PIPE, check=True, text=True)
        measured: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return measured | {"seconds": phases(measured, sandbox.log())}


def main() -> int:
    """Run both tasks and print the table."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--users", type=int, help="users of the large list (default 1,000,000, or 50,000 in a quick run)"
    )
    parser.add_argument("--batch-size", type=int, default=100, help="users in a request (default: %(default)s)")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        logging.disable(logging.INFO)
        print(json.dumps(run_task(options.task, options.batch_size, Path(os.environ["AIRFLOW_HOME"]))))
        return 0

    many_users = options.users or (50_000 if options.quick else 1_000_000)
    results = {count: measure(count, options.batch_size) for count in (FEW, many_users)}
    report = Report(quick=options.quick)
    report.table(
        "A task with a large list, and one with a small",
        "users", "peak MB", "checking s", "submitting s", "waiting s", "users/s",
        "store values", "largest B", "all B", "XCom B",
    )  # fmt: skip
    for user_count, result in results.items():
        seconds = result["seconds"]
        report.row(
            f"{user_count:,}",
            f"{result['memory']:.0f}",
            *(f"{seconds[name]:.1f}" for name in ("checking", "submitting", "waiting")),
            f"{user_count / seconds['all']:,.0f}",
            *(f"{result[name]:,}" for name in ("store_values", "store_largest", "store_all", "xcom")),
        )
        report.require(f"all of {user_count:,} users are erased", result["counts"] == [user_count, user_count, 0, 0])
    ratio = results[many_users]["memory"] / results[FEW]["memory"]
    report.at_most("peak memory with the large list, of that with the small one", ratio, MOST_MEMORY)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
