"""The sandbox as a process of its own, so that it survives when a test kills parts of Airflow."""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx

from demo.process_sessions import ProcessSessions, clean_environment

START_TIMEOUT = 60.0


class LocalSandbox:
    """Kore's API on a free port of this machine, with the settings of the sandbox's command line."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="local-sandbox-"))
        with ExitStack() as cleanup:
            sessions = cleanup.enter_context(ProcessSessions(folder))
            ready = self._start(sessions, folder)
            self.url: str = ready["url"]
            self.connection: dict[str, Any] = ready["connection"]
            self._http = cleanup.enter_context(httpx.Client(base_url=self.url, trust_env=False, timeout=60))
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes this sandbox Airflow's default connection to Kore."""
        return {"AIRFLOW_CONN_KORE_DEFAULT": json.dumps(self.connection)}

    def state(self) -> dict[str, Any]:
        """Fetch the accepted requests and the users erased so far."""
        state: dict[str, Any] = self._http.get("/sandbox/state").raise_for_status().json()
        return state

    def log(self) -> list[dict[str, Any]]:
        """Fetch every call of Kore's API so far."""
        entries: list[dict[str, Any]] = self._http.get("/sandbox/log").raise_for_status().json()
        return entries

    def change_settings(self, **settings: object) -> None:
        """Change how the sandbox behaves from now on."""
        self._http.put("/sandbox/settings", json=settings).raise_for_status()

    def add_fault(self, **fault: object) -> None:
        """Script a fault; it strikes a call to come."""
        self._http.post("/sandbox/faults", json=fault).raise_for_status()

    def reset(self) -> None:
        """Forget everything, and return to the first settings."""
        self._http.post("/sandbox/reset").raise_for_status()

    def _start(self, sessions: ProcessSessions, folder: Path) -> dict[str, Any]:
        ready_file, log = folder / "ready.json", folder / "sandbox.log"
        command = [
            sys.executable,
            "-m",
            "airflow_provider_kore.sandbox",
            "--port",
            "0",
            "--ready-file",
            str(ready_file),
        ]
        process = sessions.start([*command, *self._arguments], clean_environment(), log)
        deadline = time.monotonic() + START_TIMEOUT
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The sandbox did not start\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        ready: dict[str, Any] = json.loads(ready_file.read_text())
        return ready
