"""Faults on request: what may fail between a caller and Kore."""

import json
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.models import StrictModel
from airflow_provider_kore.sandbox.requests import CallName

FaultKind = Literal[
    "latency",
    "status",
    "throttle-429",
    "throttle-400",
    "reset-before",
    "reset-after",
    "truncated-json",
    "wrong-json",
    "html",
    "no-request-id",
    "redirect",
    "oversized",
    "echo",
    "body",
]

_ON_TOP_OF_THE_ANSWER = {"latency", "reset-after", "truncated-json", "no-request-id"}
_OVERSIZED_BYTES = 11 * 1024 * 1024
_HTML = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


class Fault(StrictModel):
    """
    One scripted fault: which calls it strikes, how often, and how.

    ``accept`` says whether Kore processes the request before the fault strikes. Left out, it follows from
    the kind: faults of an answer strike after that, all others instead of it.
    """

    kind: FaultKind
    call: Literal[CallName, "any"] = "any"
    times: Annotated[int, Field(ge=1)] | None = 1
    after: int = Field(0, ge=0)
    accept: bool | None = None
    seconds: float = Field(1.0, ge=0)
    status: int = Field(500, ge=200, le=599)
    page: Literal["json", "html"] = "json"
    retry_after: int | str | None = None
    location: str = "https://elsewhere.example/api/public/bot/eraseUsersData"
    body: object = None
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_accept(self) -> Self:
        if self.accept is not None and self.kind in _ON_TOP_OF_THE_ANSWER | {"reset-before"}:
            raise ValueError(f"accept follows from the kind {self.kind}")
        return self

    @property
    def accepts(self) -> bool:
        """Return whether Kore processes the request before the fault strikes."""
        return self.kind in _ON_TOP_OF_THE_ANSWER if self.accept is None else self.accept

    def spoil(self, answer: Answer, request_text: bytes) -> Answer:
        """Return what the caller receives instead of the answer of Kore."""
        match self.kind:
            case "latency":
                spoiled = replace(answer, delay=self.seconds)
            case "status" if self.page == "html":
                spoiled = _html(self.status)
            case "status":
                spoiled = RefusedError(self.status, "Something went wrong").answer
            case "throttle-429" | "throttle-400":
                spoiled = self._throttled(429 if self.kind == "throttle-429" else 400)
            case "reset-before" | "reset-after":
                spoiled = replace(answer, reset=True)
            case "truncated-json":
                spoiled = replace(answer, body=answer.body[: len(answer.body) // 2])
            case "wrong-json":
                spoiled = json_answer(200, self.body)
            case "html":
                spoiled = _html(200)
            case "no-request-id":
                spoiled = _without_request_id(answer)
            case "redirect":
                spoiled = Answer(status=302, body=b"", headers={"location": self.location})
            case "oversized":
                content = {"requestId": "eud-oversized", "padding": "x" * _OVERSIZED_BYTES}
                spoiled = replace(json_answer(200, content), streamed=True)
            case "echo":
                spoiled = RefusedError(400, f"Invalid request: {request_text.decode(errors='replace')}").answer
            case "body":
                text = self.body if isinstance(self.body, str) else json.dumps(self.body)
                spoiled = Answer(status=self.status, body=text.encode(errors="backslashreplace"))
        return replace(spoiled, headers={**spoiled.headers, **self.headers})

    def _throttled(self, status: int) -> Answer:
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        text = "You've exceeded the per-minute rate limit. Please try again later."
        return RefusedError(status, text, headers=headers).answer


class FaultQueue:
    """The scripted faults that are still to strike, in order; at most one strikes a request."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []

    def strike(self, call: CallName) -> Fault | None:
        """Return the fault that strikes this call, if any; every fault that waits for such calls counts it."""
        striking: Fault | None = None
        pending = []
        for fault in self.pending:
            left = fault
            if fault.call in (call, "any"):
                if fault.after:
                    left = fault.model_copy(update={"after": fault.after - 1})
                elif striking is None:
                    striking = fault
                    left = fault.model_copy(update={"times": fault.times and fault.times - 1})
            if left.times != 0:
                pending.append(left)
        self.pending = pending
        return striking


def _html(status: int) -> Answer:
    return Answer(status=status, body=_HTML, headers={"content-type": "text/html; charset=utf-8"})


def _without_request_id(answer: Answer) -> Answer:
    content = json.loads(answer.body)
    content.pop("requestId", None)
    return json_answer(answer.status, content, answer.headers)
