"""A Redis, or Valkey, of one's own on a free port of loopback, which keeps nothing on disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import redis

from demo.local_airflow import free_port


class LocalRedis:
    """
    Runs from ``with`` on until its end.

    :param program: ``redis-server`` or ``valkey-server``.
    :param options: further options of the server, without ``--``.
    """

    host = "127.0.0.1"

    def __init__(self, program: str = "redis-server", **options: str) -> None:
        self._program = program
        self._options = options

    def __enter__(self) -> Self:
        if shutil.which(self._program) is None:
            raise RuntimeError(f"{self._program} is missing. On Debian: apt-get install redis-server")
        self._folder = tempfile.TemporaryDirectory(prefix="local-redis-")
        self.port = free_port()
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        options = {"port": str(self.port), "bind": self.host, "dir": self._folder.name, "save": "", "appendonly": "no"}
        words = [word for name, value in (options | self._options).items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([self._program, *words], stdout=subprocess.DEVNULL)
        for _ in range(1000):
            with suppress(redis.ConnectionError, redis.TimeoutError):
                self.client.ping()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"{self._program} did not start")

    @property
    def client(self) -> redis.Redis:
        """A new client of it."""
        return redis.Redis(port=self.port, decode_responses=True, password=self._options.get("requirepass"))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again, also what was asked meanwhile."""
        os.kill(self._process.pid, signal.SIGCONT)
