"""One HTTP exchange with Kore.ai: what is sent, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP exchange to make; the answer to it is an :class:`Answer` or a :class:`NoAnswer`."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An HTTP answer.

    :param status: HTTP status.
    :param retry_after: the header ``Retry-After`` as it came.
    :param content: the body; never shown, since it may name a user.
    """

    status: int
    retry_after: str | None
    content: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """
    No answer came that can be used.

    :param received: whether Kore.ai may have received the request.
    :param reason: what happened, without anything of the request or the answer.
    """

    received: bool
    reason: str
