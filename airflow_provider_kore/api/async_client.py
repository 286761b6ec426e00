"""The client of an event loop: the twin of :mod:`~airflow_provider_kore.api.client` that only reads, over aiohttp."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from typing import Self, TypeVar

import aiohttp
from yarl import URL

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.client import LARGEST_ANSWER, TOO_LARGE
from airflow_provider_kore.api.conversation import Conversation, Pause, Reply
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request
from airflow_provider_kore.api.pacing import Pacing, shared_budget
from airflow_provider_kore.api.route import Proxy, client_faults, find_route
from airflow_provider_kore.api.turn_keeper import BUDGET_THREADS, TurnKeeper

R = TypeVar("R")
T = TypeVar("T")

MOST_CONNECTIONS = 10
"""Ten calls at once are more than the account's rate limit lets last for long."""

KEPT_FOR = 60.0
"""Seconds for which an idle connection is kept."""

_NOT_RECEIVED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class AsyncKoreClient:
    """
    Run conversations with Kore.ai on an event loop; the twin of :class:`KoreClient`.

    Made by :meth:`create`, which keeps slow work off the loop. Connections are kept. Therefore nothing may be submitted
    here: on a kept connection it could not be known whether an erasure was received, and aiohttp would send it again.

    :param account: whose calls they are.
    :param auth: signs each request.
    :param http: the session to use.
    :param proxy: the proxy to use; ``None`` for none.
    :param sleep: waits for seconds.
    """

    def __init__(
        self,
        account: KoreAccount,
        auth: KoreAuth,
        http: aiohttp.ClientSession,
        proxy: Proxy | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.pacing = Pacing(shared_budget(account), profile=account.api_profile)
        self._base_url = account.base_url
        self._auth = auth
        self._http = http
        self._proxy = proxy
        self._sleep = sleep
        # Not the threads of the loop, which resolve host names and do the work of others: a Redis may be silent.
        self._threads = ThreadPoolExecutor(BUDGET_THREADS, "kore-budget")

    @classmethod
    async def create(cls, account: KoreAccount, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Self:
        """
        Make a client.

        :raises KoreConfigurationError: if the account's key, or a proxy or certificates of the connection or the
            environment, cannot be used.
        """
        # The TLS context alone takes 50 to 100 ms of CPU.
        auth, route = await asyncio.to_thread(lambda: (KoreAuth(account), find_route(account)))
        with client_faults():
            http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEPT_FOR, ssl=route.tls),
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=account.timeout, sock_connect=account.timeout, sock_read=account.timeout
                ),
                headers={"Accept": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return cls(account, auth, http, route.proxy, sleep=sleep)

    async def close(self) -> None:
        """Close what is open. A thread that still speaks with the budget is not waited for, and says all it has to."""
        self._threads.shutdown(wait=False)
        await self._http.close()

    async def run(self, conversation: Conversation[T]) -> T:
        """
        Do what a conversation asks for, to its end, and return what it returns.

        :raises ValueError: if it asks for anything but to read.
        """
        reply: Reply = None
        with closing(conversation), self._closing(keeper := TurnKeeper(self.pacing)):
            while True:
                try:
                    step = conversation.send(reply)
                except StopIteration as end:
                    result: T = end.value
                    return result
                if isinstance(step, Pause):
                    await self._sleep(step.seconds)
                    reply = None
                elif isinstance(step, Request):
                    reply = await self._exchange(step)
                    await self._off_the_loop(keeper.release)
                else:
                    reply = await self._off_the_loop(partial(keeper.answer, step))

    @contextmanager
    def _closing(self, keeper: TurnKeeper) -> Iterator[None]:
        """
        Close a keeper at the end, in a thread if that can block.

        The thread is not waited for, so that a task that is cancelled, even twice, ends at once, and its call ends all
        the same: Python lets the threads end before the process does.
        """
        try:
            yield
        finally:
            if self.pacing.budget.does_io:
                try:
                    self._threads.submit(keeper.close)
                except RuntimeError:  # the client is closed, so that this blocks no other task
                    keeper.close()
            else:
                keeper.close()

    async def _off_the_loop(self, ask_budget: Callable[[], R]) -> R:
        """Ask the budget something, in a thread if it can block."""
        if not self.pacing.budget.does_io:
            return ask_budget()
        # Airflow knows by the context to which trigger a log line belongs.
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, ask_budget)

    async def _exchange(self, request: Request) -> Answer | NoAnswer:
        if request.method != "GET":
            raise ValueError("on an event loop nothing is submitted")
        content = bytearray()
        headers = {"auth": await self._auth.sign_off_the_loop()}
        url = URL(self._base_url + request.path, encoded=True)
        proxy = self._proxy
        if proxy is not None and url.scheme == "http":
            headers |= proxy.headers  # aiohttp gives them only to a proxy that makes a tunnel
        try:
            # A redirect is not followed, since the token would go along.
            async with self._http.get(
                url,
                headers=headers,
                allow_redirects=False,
                proxy=proxy.url if proxy else None,
                proxy_headers=proxy.headers if proxy else None,
            ) as response:
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) > LARGEST_ANSWER:
                        response.close()
                        return TOO_LARGE
        except (aiohttp.ClientError, TimeoutError) as error:
            # The exception's own text is left out: it could contain bytes of the answer of an unknown server.
            return NoAnswer(received=not isinstance(error, _NOT_RECEIVED), reason=type(error).__name__)
        skew = self._auth.compare_clocks(response.status, response.headers.get("date"))
        return Answer(response.status, response.headers.get("retry-after"), bytes(content), skew)


class _Shared:
    def __init__(self) -> None:
        self.client: AsyncKoreClient | None = None
        self.users = 0
        self.lock = asyncio.Lock()


_shared_clients: dict[tuple[int, KoreAccount], _Shared] = {}


@asynccontextmanager
async def shared_async_client(account: KoreAccount) -> AsyncIterator[AsyncKoreClient]:
    """
    Lend the one async client of an account on the running event loop; the last to leave closes it.

    A client for each trigger would cost its TLS context and its connections over again.
    """
    key = (id(asyncio.get_running_loop()), account)
    shared = _shared_clients.setdefault(key, _Shared())
    shared.users += 1
    try:
        async with shared.lock:
            if shared.client is None:
                shared.client = await AsyncKoreClient.create(account)
        yield shared.client
    finally:
        shared.users -= 1
        if shared.users == 0:
            del _shared_clients[key]
            if shared.client is not None:
                await shared.client.close()
