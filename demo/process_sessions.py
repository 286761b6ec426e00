"""Processes that never outlive the one that started them, however that one ends."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]

FOREIGN_SETTINGS = ("AIRFLOW", "KORE", "_AIRFLOW")


def session_members(session: int) -> list[int]:
    """Find the processes of a session. Airflow's tasks leave their process group, but never their session."""
    members = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
    return members


def kill_session(session: int) -> None:
    """Kill every process of a session, also those that it starts meanwhile."""
    while members := session_members(session):
        for process_id in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        time.sleep(0.02)


class ProcessSessions:
    """
    Starts each process in a session of its own; on exit kills them all and removes ``folders``.

    The killing is done by a guard, a process that waits for its input to close. That happens when this
    context ends, and also when this process is killed.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._guard = subprocess.Popen(
            [sys.executable, __file__, *map(str, self._folders)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a process that writes to ``log``."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        assert self._guard.stdin is not None  # noqa: S101 - it was opened as a pipe
        self._guard.stdin.write(b"%d\n" % process.pid)
        self._guard.stdin.flush()
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill one process with all that it started."""
        kill_session(process.pid)
        process.wait()

    def members(self) -> list[int]:
        """List what is running."""
        return [member for process in self._processes for member in session_members(process.pid)]

    def __exit__(self, *_: object) -> None:
        assert self._guard.stdin is not None  # noqa: S101 - it was opened as a pipe
        self._guard.stdin.close()
        self._guard.wait()
        for process in self._processes:
            process.wait()


def clean_environment() -> dict[str, str]:
    """Copy the environment without the settings of any other Airflow or of Kore."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}


def guard(folders: Sequence[str]) -> None:
    """Read session ids until the input closes, then kill those sessions and remove the folders."""
    sessions = [int(line) for line in sys.stdin]
    for session in sessions:
        kill_session(session)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(sys.argv[1:])
