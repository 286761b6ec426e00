"""What a person does in Airflow's UI, through Airflow's public API."""

import json
import time
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import httpx

FINISHED_RUN_STATES = frozenset({"success", "failed"})
POLL_INTERVAL = 0.25
NOT_MAPPED = -1


class AirflowClient:
    """Triggers runs of DAGs and follows them."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self.username = username
        self.password = password
        # The address is on this machine, so the proxies of the environment do not apply.
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def log_in(self) -> None:
        """Exchange the password for a token, which all further calls carry."""
        answer = self._http.post(
            "/auth/token", json={"username": self.username, "password": self.password}
        ).raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> dict[str, str | None]:
        """Return the status of each component."""
        answer = self.call("GET", "/monitor/health")
        return {component: report.get("status") for component, report in answer.items()}

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until a DAG is parsed."""
        deadline = time.monotonic() + timeout
        while self._http.get(f"/api/v2/dags/{dag_id}").status_code != httpx.codes.OK:
            if time.monotonic() > deadline:
                errors = self.call("GET", "/importErrors")["import_errors"]
                traces = [entry["stack_trace"] for entry in errors]
                raise TimeoutError("\n".join([f"There is no DAG {dag_id} after {timeout:.0f} s", *traces]))
            time.sleep(POLL_INTERVAL)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, object] | None = None) -> str:
        """Start a run of a DAG, unpaused and parsed first if need be, and return the run's id."""
        self.wait_for_dag(dag_id)
        self.unpause(dag_id)
        body = {"logical_date": None, "conf": dict(conf or {})}
        run_id: str = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """List the runs of a DAG."""
        entries: list[dict[str, Any]] = self.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"]
        return entries

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        state: str = self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")["state"]
        return state

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """Wait until a run has ended, and return how."""
        deadline = time.monotonic() + timeout
        while (state := self.run_state(dag_id, run_id)) not in FINISHED_RUN_STATES:
            if time.monotonic() > deadline:
                raise TimeoutError(f"The run of {dag_id} is still {state} after {timeout:.0f} s")
            time.sleep(POLL_INTERVAL)
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the task instances of a run."""
        entries: list[dict[str, Any]] = self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances")[
            "task_instances"
        ]
        return entries

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = NOT_MAPPED) -> dict[str, Any]:
        """Fetch a task instance: its ``state``, ``try_number``, ``pid`` and so on."""
        path = self._task_path(dag_id, run_id, task_id)
        entry: dict[str, Any] = self.call("GET", path if map_index == NOT_MAPPED else f"{path}/{map_index}")
        return entry

    def wait_for_task_state(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str | Collection[str],
        timeout: float = 60,
        map_index: int = NOT_MAPPED,
    ) -> dict[str, Any]:
        """Wait until a task instance is in a state, or in one of several, and return it."""
        wanted = {state} if isinstance(state, str) else set(state)
        deadline = time.monotonic() + timeout
        while (entry := self.task_instance(dag_id, run_id, task_id, map_index))["state"] not in wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{task_id} is {entry['state']} and not {wanted} after {timeout:.0f} s")
            time.sleep(POLL_INTERVAL)
        return entry

    def wait_for_trigger(
        self, dag_id: str, run_id: str, task_id: str, timeout: float = 60, map_index: int = NOT_MAPPED
    ) -> None:
        """Wait until a task is deferred and a triggerer has taken its trigger."""
        deadline = time.monotonic() + timeout
        while not self.task_instance(dag_id, run_id, task_id, map_index)["triggerer_job"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"No triggerer has taken {task_id} after {timeout:.0f} s")
            time.sleep(POLL_INTERVAL)

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = NOT_MAPPED
    ) -> Any:  # noqa: ANN401 - an XCom is any JSON value
        """Fetch what a task pushed."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.call("GET", path, params={"map_index": map_index, "stringify": False})["value"]

    def xcoms(self, dag_id: str, run_id: str, task_id: str, map_index: int = NOT_MAPPED) -> dict[str, Any]:
        """Fetch all that a task pushed, by key."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/xcomEntries"
        keys = [entry["key"] for entry in self.call("GET", path, params={"map_index": map_index})["xcom_entries"]]
        return {key: self.xcom(dag_id, run_id, task_id, key, map_index) for key in keys}

    def task_log_entries(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = NOT_MAPPED
    ) -> list[dict[str, Any]]:
        """Fetch the log of one attempt, an entry for each message."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        entries: list[dict[str, Any]] = self.call("GET", path, params={"map_index": map_index, "full_content": True})[
            "content"
        ]
        return entries

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = NOT_MAPPED) -> str:
        """Fetch the log of one attempt with all its detail, a line for each message."""
        entries = self.task_log_entries(dag_id, run_id, task_id, try_number, map_index)
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Let a task run again, as the Clear button does."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def _task_path(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"

    def call(self, method: str, path: str, **arguments: Any) -> Any:  # noqa: ANN401 - httpx's arguments, JSON
        """Call the public API for what has no method of its own here; the path is the one after its version."""
        answer = self._http.request(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()
