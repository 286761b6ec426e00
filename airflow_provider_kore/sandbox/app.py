"""Serve an account over HTTP: Kore's API, and beside it the control API of the sandbox."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus

from pydantic_core import to_jsonable_python
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.faults import Fault
from airflow_provider_kore.sandbox.models import explain
from airflow_provider_kore.sandbox.requests import ReceivedRequest
from airflow_provider_kore.sandbox.settings import Settings

RESET_EXTENSION = "sandbox.reset"  # the server puts a function here that resets the connection

_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


def create_app(account: Account) -> Starlette:
    """Create the application; what is not the control API is a call of Kore's API."""
    return Starlette(routes=[Mount("/sandbox", routes=_control_routes(account)), Mount("/", app=KoreApi(account))])


class KoreApi:
    """Kore's API as an ASGI application, which may also reset a connection."""

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
                method=request.method,
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                headers=request.headers.items(),
                body=body,
            )
        )
        reset: Callable[[], None] = scope["extensions"][RESET_EXTENSION]
        try:
            await asyncio.sleep(answer.delay)
        except asyncio.CancelledError:  # the server stops: a caller that still waits gets no answer
            reset()
            raise
        if answer.reset:
            reset()
            return
        headers = {"date": self._account.date()} | dict(answer.headers)
        response = Response(b"" if answer.status in _WITHOUT_BODY else answer.body, answer.status, headers)
        if answer.streamed:
            del response.headers["content-length"]
        await response(scope, receive, send)


def _control_routes(account: Account) -> list[Route]:
    def settings(content: object) -> Settings:
        if not isinstance(content, dict):
            raise ValueError("settings are an object")
        return account.configure(content)

    def add_faults(content: object) -> list[Fault]:
        faults = content if isinstance(content, list) else [content]
        account.faults.pending += [Fault.model_validate(fault) for fault in faults]
        return account.faults.pending

    return [
        _route("GET", "/health", lambda _: {"status": "ok"}),
        _route("GET", "/log", lambda _: account.log()),
        _route("GET", "/state", lambda _: account.state()),
        _route("GET", "/settings", lambda _: account.settings),
        _route("PUT", "/settings", settings),
        _route("GET", "/faults", lambda _: account.faults.pending),
        _route("POST", "/faults", add_faults, HTTPStatus.CREATED),
        _route("DELETE", "/faults", lambda _: account.faults.pending.clear(), HTTPStatus.NO_CONTENT),
        _route("POST", "/reset", lambda _: account.reset(), HTTPStatus.NO_CONTENT),
    ]


def _route(method: str, path: str, reply: Callable[[object], object], status: int = HTTPStatus.OK) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            content = reply(json.loads(await request.body() or b"null"))
        except ValueError as error:
            return _json({"error": explain(error)}, HTTPStatus.BAD_REQUEST)
        return Response(status_code=status) if content is None else _json(content, status)

    return Route(path, endpoint, methods=[method])


def _json(content: object, status: int) -> Response:
    return Response(json.dumps(content, default=to_jsonable_python), status, media_type="application/json")
