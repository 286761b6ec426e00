"""What the sandbox answers, and how Kore words a refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer, and what may go wrong on its way to the caller."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    streamed: bool = False


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with JSON."""
    return Answer(
        status=status,
        # half a surrogate pair, which JSON may carry but UTF-8 may not, becomes an escape again
        body=json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace"),
        headers={"content-type": "application/json; charset=utf-8"} | dict(headers or {}),
    )


class RefusedError(Exception):
    """Kore refuses a request; carries the answer that says so."""

    def __init__(
        self, status: int, message: str, code: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        # the code inside the body is often, but not always, the HTTP status
        error = {"msg": message, "code": status if code is None else code}
        self.answer = json_answer(status, {"errors": [error]}, headers)
