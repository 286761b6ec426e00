"""Run the sandbox on a loopback address."""

import asyncio
import functools
import ipaddress
import json
import shlex
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.app import RESET_EXTENSION, create_app
from airflow_provider_kore.sandbox.settings import Settings

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 seconds: closing sends RST, not FIN


def connection_to(url: str, settings: Settings, private_key: str | None = None) -> dict[str, Any]:
    """Return the connection to a sandbox at this URL, as Airflow reads it from JSON."""
    extra: dict[str, str] = {} if settings.algorithm == "HS256" else {"algorithm": settings.algorithm}
    if private_key:
        extra["private_key"] = private_key
    return {
        "conn_type": "kore",
        "host": url,
        "login": settings.client_id,
        "password": settings.client_secret,
        "extra": extra,
    }


def export_command(connection: Mapping[str, object]) -> str:
    """Return the shell command that makes it the connection ``kore_default``."""
    return f"export AIRFLOW_CONN_KORE_DEFAULT={shlex.quote(json.dumps(connection))}"


def listen(host: str, port: int) -> socket.socket:
    """Listen on a loopback address; refuse any other, for its control API needs no token."""
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host} is not an IP address") from None
    if not address.is_loopback:
        raise ValueError(f"{host} is not a loopback address, and the sandbox listens on no other")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=256)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class SandboxServer(uvicorn.Server):
    """A uvicorn server for one account, which reports when it is ready and stops without delay."""

    def __init__(self, account: Account, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(account),
                http=_ResettableProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # neither access log nor traceback: both may contain a user id
                access_log=False,
                server_header=False,
                date_header=False,  # the account has a clock of its own
                timeout_graceful_shutdown=0,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and report that the server accepts connections."""
        await super().startup(sockets)
        self._on_ready()


class _ResettableProtocol(H11Protocol):
    """HTTP over a connection that the application may reset."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        application = self.app

        async def with_reset(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), RESET_EXTENSION: functools.partial(_reset, transport)}
            await application({**scope, "extensions": extensions}, receive, send)

        self.app = with_reset


def _reset(transport: asyncio.Transport) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
