"""Servers in temporary folders, on free ports of loopback; each can be restarted with what it has stored."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import psycopg2
import redis

from demo.local_airflow import free_port
from demo.process_sessions import ProcessSessions, clean_environment

START_TIMEOUT = 60.0


class LocalServer:
    """
    A server that runs from ``with`` on until its end.

    A subclass says with which ``command()`` it starts, what to ``prepare()`` before, whether it ``answers()``, and with
    ``ending_signal`` how it is asked to end.
    """

    name: str
    ending_signal: signal.Signals

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"local-{self.name}-"))
        self.port = free_port()
        with ExitStack() as cleanup:
            self._sessions = cleanup.enter_context(ProcessSessions(self.folder))
            self.prepare()
            self.start()
            cleanup.callback(self.stop)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_):
        self._cleanup.close()

    def prepare(self):
        pass

    def start(self):
        """Start, and wait until it answers."""
        self._process = self._sessions.start(self.command(), clean_environment(), self.log_file)
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start\n{self.log_file.read_text(errors='replace')}")
            time.sleep(0.05)

    def stop(self):
        """Ask it to end, and wait until it has."""
        self._process.send_signal(self.ending_signal)
        self._process.wait(START_TIMEOUT)

    @property
    def log_file(self):
        return self.folder / "server.log"


class Postgres(LocalServer):
    """A cluster of its own, whatever Debian's package has started; root gives way to the user ``postgres``."""

    name = "postgres"
    ending_signal = signal.SIGINT  # it does not wait for its clients

    @cached_property
    def _binaries(self):
        def version(folder):
            return [int(number) for number in re.findall(r"\d+", folder.parent.name)]

        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version)
        if not found:
            raise RuntimeError("postgres is missing. On Debian: apt-get install postgresql")
        return found[-1]

    @property
    def _as_its_user(self):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    def prepare(self):
        self._password = secrets.token_hex(16)
        password_file = self.folder / "password"
        password_file.write_text(self._password)
        if self._as_its_user:
            for path in (self.folder, password_file):
                shutil.chown(path, "postgres", "postgres")
        initdb = [self._binaries / "initdb", "--pgdata", self._data, "--username=postgres", "--encoding=UTF8"]
        options = ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
        subprocess.run([*self._as_its_user, *initdb, *options], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def command(self):
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            # Nothing of it may stay behind in the memory that processes share.
            "dynamic_shared_memory_type": "mmap",
            "fsync": "off",  # the machine is not going to crash
            # What was deleted stays in the files, for those who look there.
            "autovacuum": "off",
            "full_page_writes": "off",
            "max_connections": 200,
            "log_line_prefix": "%d ",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*self._as_its_user, str(self._binaries / "postgres"), "-D", str(self._data), *options]

    def answers(self):
        try:
            psycopg2.connect(self.uri("postgres"), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def uri(self, database):
        """Name a database as SQLAlchemy and Airflow's connections do."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name):
        """Create a database and return its URI."""
        self.execute("postgres", f'CREATE DATABASE "{name}"')
        return self.uri(name)

    def execute(self, database, statement, values=()):
        """Run a statement outside transactions, once for each of ``values`` if there are any; return its rows."""
        connection = psycopg2.connect(self.uri(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.executemany(statement, values) if values else cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def database_bytes(self, name):
        """Read the files of a database as they are, which also show what was deleted from its tables."""
        self.execute(name, "CHECKPOINT")
        [(number,)] = self.execute(name, "SELECT oid FROM pg_database WHERE datname = current_database()")
        files = [path for path in (self._data / "base" / str(number)).iterdir() if path.is_file()]
        return b"\n".join(path.read_bytes() for path in files)

    @property
    def _data(self):
        return self.folder / "data"


class Redis(LocalServer):
    """A Redis that writes every command that it ever gets to a file, and reads them again after a restart."""

    name = "redis"
    ending_signal = signal.SIGTERM

    def command(self):
        if shutil.which("redis-server") is None:
            raise RuntimeError("redis-server is missing. On Debian: apt-get install redis-server")
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self.folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "auto-aof-rewrite-percentage": 0,
        }
        return ["redis-server", *[word for name, value in settings.items() for word in (f"--{name}", str(value))]]

    def answers(self):
        try:
            return self.client.ping()
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def written(self):
        """Read all keys and values that were ever written."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("appendonlydir/*.aof")))

    @cached_property
    def client(self):
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)


class S3(LocalServer):
    """An S3 that keeps its objects in memory."""

    name = "s3"
    ending_signal = signal.SIGTERM

    def command(self):
        return [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(self.port)]

    def answers(self):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.url, timeout=5):
                return True
        except OSError:
            return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def connection(self):
        """An Airflow connection, which is also the arguments of a client."""
        return {
            "conn_type": "aws",
            "login": "made-up",
            "password": "made-up",
            "extra": {"endpoint_url": self.url, "region_name": "us-east-1"},
        }
