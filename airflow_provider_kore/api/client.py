"""The client of a worker: it runs the conversations of :mod:`~airflow_provider_kore.api.calls` over httpx."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar

import httpx

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.conversation import Conversation, Pause, drive
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request
from airflow_provider_kore.api.pacing import Pacing, shared_budget
from airflow_provider_kore.api.route import client_faults, find_route
from airflow_provider_kore.api.turn_keeper import with_turns

T = TypeVar("T")

LARGEST_ANSWER = 10 * 1024 * 1024
"""In bytes; an honest answer about a batch is thousands of times smaller."""

_NOT_RECEIVED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def _no_answer(error: httpx.HTTPError) -> NoAnswer:
    # The exception's own text is left out: it could contain bytes of the answer of an unknown server.
    return NoAnswer(received=not isinstance(error, _NOT_RECEIVED), reason=type(error).__name__)


TOO_LARGE = NoAnswer(received=True, reason=f"an answer of more than {LARGEST_ANSWER // 1024**2} MB, which is refused")


class KoreClient:
    """
    Run conversations with Kore.ai in a worker, blocking.

    Each request has a connection of its own: on a kept one that the server has just closed, it could not be known
    whether an erasure was received.

    :param account: whose calls they are.
    :param sleep: waits for seconds.
    :param auth: signs; ``None`` to sign as usual.
    :raises KoreConfigurationError: if the account's key, or a proxy or certificates of the connection or the
        environment, cannot be used.
    """

    def __init__(
        self, account: KoreAccount, *, sleep: Callable[[float], None] = time.sleep, auth: KoreAuth | None = None
    ) -> None:
        self.pacing = Pacing(shared_budget(account), profile=account.api_profile)
        self._sleep = sleep
        self._auth, route = auth or KoreAuth(account), find_route(account)
        proxy = None
        with client_faults():
            if route.proxy is not None:
                tls = route.tls if route.proxy.url.startswith("https:") else None
                proxy = httpx.Proxy(route.proxy.url, headers=route.proxy.headers, ssl_context=tls)
            self._http = httpx.Client(
                base_url=account.base_url,
                auth=self._auth,
                verify=route.tls,
                timeout=account.timeout,
                follow_redirects=False,  # the token would go along
                limits=httpx.Limits(max_keepalive_connections=0),
                proxy=proxy,
                trust_env=False,  # the route already says what the environment wants
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def run(self, conversation: Conversation[T], record: Callable[[T], object] = lambda _: None) -> T:
        """
        Do what a conversation asks for, to its end, and return what it returns.

        :param record: receives the result before anything else is done that can take seconds.
        """
        with closing(with_turns(conversation, self.pacing, record)) as steps:
            return drive(steps, self._answer)

    def _answer(self, step: Request | Pause) -> Answer | NoAnswer | None:
        if isinstance(step, Request):
            return self._exchange(step)
        self._sleep(step.seconds)
        return None

    def _exchange(self, request: Request) -> Answer | NoAnswer:
        content = bytearray()
        headers = {"Content-Type": "application/json"} if request.body is not None else {}
        try:
            response = self._http.send(
                self._http.build_request(request.method, request.path, content=request.body, headers=headers),
                stream=True,
            )
            try:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > LARGEST_ANSWER:
                        return TOO_LARGE
            finally:
                response.close()
        except httpx.HTTPError as error:
            return _no_answer(error)
        skew = self._auth.compare_clocks(response.status_code, response.headers.get("date"))
        return Answer(response.status_code, response.headers.get("retry-after"), bytes(content), skew)
