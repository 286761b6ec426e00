"""Serve an account over HTTP: Kore's API, and beside it the control API of the sandbox."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.answers import Answer
from airflow_provider_kore.sandbox.faults import Fault
from airflow_provider_kore.sandbox.requests import ReceivedRequest

RESET_EXTENSION = "sandbox.reset"  # the server puts a function here that resets the connection

_CHUNK_BYTES = 64 * 1024
_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


def create_app(account: Account) -> Starlette:
    """Create the application; whatever is not the control API is taken for a call of Kore's API."""
    control = ControlApi(account)
    return Starlette(
        routes=[Mount("/sandbox", routes=control.routes()), Mount("/", app=KoreApi(account))],
    )


class KoreApi:
    """Kore's API as an ASGI application, for the sake of answers that no web framework would give."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one request, and deliver the account's answer."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        answer = self._account.answer(
            ReceivedRequest(
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                headers=Headers(scope=scope).items(),
                body=body,
            )
        )
        reset: Callable[[], None] = scope["extensions"][RESET_EXTENSION]
        try:
            await asyncio.sleep(answer.delay)
        except asyncio.CancelledError:  # the server stops: whoever still waits gets no answer
            reset()
            raise
        if answer.reset:
            reset()
        else:
            await _deliver(answer, send)


async def _deliver(answer: Answer, send: Send) -> None:
    body = b"" if answer.status in _WITHOUT_BODY else answer.body
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    if not answer.streamed and answer.status not in _WITHOUT_BODY:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for start in range(0, len(body), _CHUNK_BYTES):
        chunk = body[start : start + _CHUNK_BYTES]
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


Endpoint = Callable[[Request], Awaitable[Response]]


class ControlApi:
    """What tests and curious people may see and change, under ``/sandbox/``."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        """Return the routes below ``/sandbox``."""
        return [
            Route("/health", self.health, methods=["GET"]),
            Route("/log", self.log, methods=["GET"]),
            Route("/state", self.state, methods=["GET"]),
            Route("/settings", self.settings, methods=["GET"]),
            Route("/settings", _with_json(self.change_settings), methods=["PUT"]),
            Route("/faults", self.faults, methods=["GET"]),
            Route("/faults", _with_json(self.add_faults), methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]

    async def health(self, _request: Request) -> Response:
        """Say that the sandbox runs."""
        return _json({"status": "ok"})

    async def log(self, _request: Request) -> Response:
        """Show every API request so far."""
        return _json([asdict(entry) for entry in self._account.log()])

    async def state(self, _request: Request) -> Response:
        """Show the accepted requests, and the users erased so far."""
        return _json(asdict(self._account.state()))

    async def settings(self, _request: Request) -> Response:
        """Show the settings in force."""
        return _json(asdict(self._account.settings))

    def change_settings(self, content: object) -> Response:
        """Change the settings that are given."""
        if not isinstance(content, dict):
            raise ValueError("settings are an object")
        return _json(asdict(self._account.configure(content)))

    async def faults(self, _request: Request) -> Response:
        """Show the faults that are still to strike."""
        return _json([asdict(fault) for fault in self._account.faults.pending])

    def add_faults(self, content: object) -> Response:
        """Append one fault, or a list of them."""
        faults = [Fault.from_json(item) for item in (content if isinstance(content, list) else [content])]
        self._account.faults.pending += faults
        return _json([asdict(fault) for fault in self._account.faults.pending], 201)

    async def clear_faults(self, _request: Request) -> Response:
        """Drop the faults that are still to strike."""
        self._account.faults.pending = []
        return Response(status_code=204)

    async def reset(self, _request: Request) -> Response:
        """Forget everything, and go back to the first settings."""
        self._account.reset()
        return Response(status_code=204)


def _with_json(change: Callable[[object], Response]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            return change(json.loads(await request.body()))
        except ValueError as error:
            return _json({"error": str(error)}, 400)

    return endpoint


def _json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
