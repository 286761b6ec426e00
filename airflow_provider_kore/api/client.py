"""The client of a worker: it holds the conversations of :mod:`~airflow_provider_kore.api.calls` over httpx."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.calls import Conversation, Pacing, Pause, Request
from airflow_provider_kore.api.errors import Answer, NoAnswer
from airflow_provider_kore.api.pacing import shared_budget
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

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


def tls_context(account: KoreAccount) -> ssl.SSLContext:
    """
    Make what verifies Kore.ai's certificate; there is no way to turn that off.

    :raises KoreConfigurationError: if ``ca_bundle`` holds no certificates.
    """
    if account.ca_bundle is None:
        return httpx.create_ssl_context()
    folder = Path(account.ca_bundle).is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if folder else account.ca_bundle, capath=account.ca_bundle if folder else None
        )
    except (OSError, ssl.SSLError):
        raise KoreConfigurationError(
            "The connection's ca_bundle cannot be read as certificates.",
            consequence=Consequence.NOT_SENT,
            remedy="Point the field ca_bundle to a file of certificates in PEM form.",
        ) from None


def _no_answer(error: httpx.HTTPError) -> NoAnswer:
    # The exception's own text is left out: of a strange server it could hold bytes of the answer.
    return NoAnswer(received=not isinstance(error, _NOT_RECEIVED), reason=type(error).__name__)


TOO_LARGE = NoAnswer(received=True, reason=f"an answer of more than {LARGEST_ANSWER // 1024**2} MB, which is refused")


class KoreClient:
    """
    Hold conversations with Kore.ai in a worker, blocking.

    Each request has a connection of its own: on a kept one that the server has just closed, it could not be known
    whether an erasure was received.

    :param account: whose calls they are.
    :param sleep: waits for seconds.
    :raises KoreConfigurationError: if key or certificates of the account cannot be used.
    """

    def __init__(self, account: KoreAccount, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.pacing = Pacing(shared_budget(account))
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=account.base_url,
            auth=KoreAuth(account),
            verify=tls_context(account),
            timeout=account.timeout,
            follow_redirects=False,  # the token would go along
            limits=httpx.Limits(max_keepalive_connections=0),
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

    def hold(self, conversation: Conversation[T]) -> T:
        """Do what a conversation asks for, to its end, and return what it returns."""
        reply: Answer | NoAnswer | None = None
        with closing(conversation):  # so that it gives up its turn if this is ended from outside
            while True:
                try:
                    step = conversation.send(reply)
                except StopIteration as end:
                    result: T = end.value
                    return result
                if isinstance(step, Pause):
                    self._sleep(step.seconds)
                    reply = None
                else:
                    reply = self._exchange(step)

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
        return Answer(response.status_code, response.headers.get("retry-after"), bytes(content))
