"""A whole Airflow of one's own: started in a temporary folder, broken on purpose, gone afterwards."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import httpx
import psutil  # type: ignore[import-untyped]
from cryptography.fernet import Fernet

from demo.airflow_client import NOT_MAPPED, POLL_INTERVAL, AirflowClient
from demo.database_text import database_text, database_values
from demo.process_sessions import ProcessSessions, clean_environment

COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
START_TIMEOUT = 180.0
LOG_TAIL_LINES = 40


class Worker(NamedTuple):
    """The two processes that run a task: the task's own, and the executor's that supervises it."""

    task: int
    supervisor: int


class LocalAirflow(AirflowClient):
    """
    The components of an Airflow, each a process that can be killed and restarted. Starts within ``with``.

    :param dag_folders: the folders of DAG files, which are read where they are.
    :param environment: variables for every component: connections as ``AIRFLOW_CONN_…``, settings as ``AIRFLOW__…``.
    :param components: the arguments of ``airflow`` for each component, by the component's name.
    :param database_url: the metadata database as SQLAlchemy writes it, which exists and is empty; without it, a file of
        SQLite.
    """

    def __init__(
        self,
        *dag_folders: Path,
        environment: Mapping[str, str] | None = None,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
        database_url: str | None = None,
    ) -> None:
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}", "admin", secrets.token_urlsafe(12))
        self._dag_folders = [folder.resolve() for folder in dag_folders]
        self._extra_environment = dict(environment or {})
        self._commands = components
        self._database_url = database_url
        self._fernet_key = Fernet.generate_key().decode()
        self._components: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.home = Path(tempfile.mkdtemp(prefix="local-airflow-"))
        with ExitStack() as cleanup:
            self._sessions = cleanup.enter_context(ProcessSessions(self.home))
            cleanup.callback(self.close)
            self._start()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def start_component(self, name: str) -> None:
        """Start a component that is not running; does not wait until it is ready."""
        self._components[name] = self._airflow(name, self._commands[name])

    def kill_component(self, name: str) -> None:
        """Kill a component with all that it runs, as a crash of its machine would."""
        self._sessions.kill(self._components.pop(name))

    def restart_ended_components(self) -> list[str]:
        """Start again what has ended by itself, as systemd or Kubernetes does; return the names of these components."""
        ended = [name for name, process in self._components.items() if process.poll() is not None]
        for name in ended:
            self._sessions.kill(self._components[name])
            self.start_component(name)
        return ended

    def component_of(self, process_id: int) -> str:
        """Find the component that a process belongs to."""
        session = os.getsid(process_id)
        return next(name for name, process in self._components.items() if process.pid == session)

    def component_log(self, name: str) -> str:
        """Read the log of a component, from its first start on."""
        return self._log_file(name).read_text(errors="replace")

    def worker(self, dag_id: str, run_id: str, task_id: str, map_index: int = NOT_MAPPED) -> Worker:
        """Find the processes of a task that is running."""
        task: int = self.task_instance(dag_id, run_id, task_id, map_index)["pid"]
        return Worker(task, supervisor=psutil.Process(task).ppid())

    def kill_worker(self, dag_id: str, run_id: str, task_id: str, map_index: int = NOT_MAPPED) -> None:
        """
        Kill a running task and its supervisor, as a crash of their machine would.

        No process is left to report the end, so the scheduler notices by the missing heartbeats, which takes
        ``[scheduler] task_instance_heartbeat_timeout``. To have the task fail at once, kill only
        ``worker(…).task``, as the kernel does when memory runs out.
        """
        worker = self.worker(dag_id, run_id, task_id, map_index)
        os.kill(worker.supervisor, signal.SIGKILL)
        os.kill(worker.task, signal.SIGKILL)

    def process_ids(self) -> list[int]:
        """List all processes of this Airflow."""
        return self._sessions.members()

    def all_log_text(self) -> str:
        """Read all log files, of the tasks and of the components."""
        files = sorted(path for path in self.home.joinpath("logs").rglob("*") if path.is_file())
        return "\n".join(file.read_text(errors="replace") for file in files)

    def log_tails(self) -> str:
        """Read the end of each component's log, for a report of what went wrong."""
        return "\n\n".join(f"{name}:\n{self._log_tail(name)}" for name in self._commands)

    def database_dump(self) -> str:
        """Write out the metadata database, every column of every table, and the files of SQLite."""
        return database_text(self.database_url, self._fernet_key)

    def database_values(self) -> Iterator[tuple[str, str, str]]:
        """Read every value of the metadata database: its table, its column, and the value as text."""
        return database_values(self.database_url, self._fernet_key)

    def file_texts(self) -> Iterator[tuple[str, str]]:
        """Read all files that this Airflow has written, its logs and its database among them: name and text."""
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.home)), path.read_text(errors="replace")

    def add_connection(self, conn_id: str, **fields: object) -> None:
        """Add a connection, as the form of the UI does."""
        self.call("POST", "/connections", json={"connection_id": conn_id, **fields})

    @property
    def database_url(self) -> str:
        """The metadata database, as SQLAlchemy writes it."""
        # Writers wait for each other instead of failing with "database is locked".
        return self._database_url or f"sqlite:///{self.home / 'airflow.db'}?timeout=30"

    def _settings(self) -> dict[str, str]:
        bundles = [
            {
                "name": f"{number}-{folder.name}",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder), "refresh_interval": 5},
            }
            for number, folder in enumerate(self._dag_folders)
        ]
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            # A task that fails is tried again at once, not after five minutes.
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": self._fernet_key,
            # No name server is asked who this machine is, and no other machine is asked for logs.
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "urllib.request.localhost",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # A slot for each task at once, and a few to lose: a killed worker's slot stays taken.
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.username}:admin",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database_url,
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            # No component serves logs, all read them from the folder; nor is anybody else's server asked.
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            # What was killed is noticed in seconds instead of minutes.
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            # Sandbox and API server are on this machine.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def _start(self) -> None:
        self._environment = clean_environment() | self._settings() | self._extra_environment
        self.home.joinpath("logs").mkdir()
        self.home.joinpath("passwords.json").write_text(json.dumps({self.username: self.password}))
        migration = self._airflow("migration", ("db", "migrate"))
        if migration.wait(START_TIMEOUT):
            raise RuntimeError(f"The database could not be made\n{self._log_tail('migration')}")
        for name in self._commands:
            self.start_component(name)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            for name, component in self._components.items():
                if component.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start\n{self._log_tail(name)}")
            time.sleep(POLL_INTERVAL)

    def _is_ready(self) -> bool:
        try:
            if "Authorization" not in self._http.headers:
                self.log_in()
            return all(status == "healthy" for status in self.health().values())
        except httpx.TransportError:
            return False

    def _airflow(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "airflow", *arguments]
        return self._sessions.start(command, self._environment, self._log_file(name))

    def _log_file(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _log_tail(self, name: str) -> str:
        return "\n".join(self.component_log(name).splitlines()[-LOG_TAIL_LINES:])


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
