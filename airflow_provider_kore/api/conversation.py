"""
What a conversation with Kore.ai consists of.

A conversation is a generator, as in httpx's ``Auth``: it yields a :class:`Request` or a :class:`Pause`, and is sent the
answer. It does no I/O, so that a test can play Kore.ai without a network, and both clients run the same conversation.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP exchange to make; the answer to it is an :class:`Answer` or a :class:`NoAnswer`."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Some seconds to wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An HTTP answer.

    :param status: HTTP status.
    :param retry_after: the header ``Retry-After`` as it came.
    :param content: the body; never shown, since it may name a user.
    :param clock_skew: seconds by which the header ``Date`` is ahead of this machine's clock; ``None`` without such a
        header.
    """

    status: int
    retry_after: str | None
    content: bytes
    clock_skew: float | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """
    No answer came that can be used.

    :param received: whether Kore.ai may have received the request.
    :param reason: what happened, without anything of the request or the answer.
    """

    received: bool
    reason: str


Conversation = Generator[Request | Pause, Answer | NoAnswer | None, T]
