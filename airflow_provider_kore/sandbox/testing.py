"""Run the sandbox inside a test."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.faults import Fault, FaultKind
from airflow_provider_kore.sandbox.records import LogEntry, State
from airflow_provider_kore.sandbox.server import SandboxServer, connection_to, listen, url_of
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.tokens import with_key_pair

Result = TypeVar("Result")

_TIMEOUT = 10.0  # seconds; only a broken sandbox takes longer than a moment


class RunningSandbox:
    """A sandbox that runs in a thread of this process; only that thread uses its account."""

    def __init__(self, url: str, account: Account, private_key: str | None) -> None:
        self.url = url
        self.connection = connection_to(url, account.settings, private_key)
        self._account = account
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def settings(self) -> Settings:
        """Return the settings in force."""
        return self._account.settings

    def log(self) -> list[LogEntry]:
        """Return every API request so far."""
        return self._run(self._account.log)

    def state(self) -> State:
        """Return the accepted requests, and the users erased so far."""
        return self._run(self._account.state)

    def configure(self, **changes: object) -> Settings:
        """Change some settings."""
        return self._run(lambda: self._account.configure(changes))

    def fail(self, kind: FaultKind, **details: object) -> None:
        """Script a fault; the details are the fields of ``Fault``."""
        fault = Fault.model_validate({"kind": kind, **details})
        self._run(lambda: self._account.faults.pending.append(fault))

    def clear_faults(self) -> None:
        """Drop the faults that are still to strike."""
        self._run(self._account.faults.pending.clear)

    def reset(self) -> None:
        """Forget everything, and go back to the first settings."""
        self._run(self._account.reset)

    def _run(self, function: Callable[[], Result]) -> Result:
        async def run() -> Result:
            return function()

        if self._loop is None:  # stopped: no other thread is left
            return function()
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_TIMEOUT)


@contextmanager
def running_sandbox(settings: Settings | None = None, *, port: int = 0) -> Iterator[RunningSandbox]:
    """Run a sandbox for as long as the context lasts; RS256 and RS512 get a fresh key pair if they have none."""
    settings = settings or Settings()
    private_key = None
    if settings.algorithm.startswith("RS") and not settings.public_key:
        settings, private_key = with_key_pair(settings)
    account = Account(settings)
    ready = threading.Event()
    with listen("127.0.0.1", port) as listener:
        sandbox = RunningSandbox(url_of(listener), account, private_key)

        def on_ready() -> None:
            sandbox._loop = asyncio.get_running_loop()
            ready.set()

        server = SandboxServer(account, on_ready)
        thread = threading.Thread(target=server.run, args=([listener],), name="kore-sandbox", daemon=True)
        thread.start()
        try:
            if not ready.wait(_TIMEOUT):
                raise RuntimeError("the sandbox did not start")
            yield sandbox
        finally:
            server.should_exit = True
            thread.join(_TIMEOUT)
            sandbox._loop = None
