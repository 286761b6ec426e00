"""
What a conversation with Kore.ai consists of.

A conversation is a generator, as in httpx's ``Auth``: it yields a step, and is sent the answer to it. It does no I/O,
and calls no budget, so that a test can play Kore.ai without a network, and both clients run the same conversation.

It asks for a turn before each request. Who runs it ends the call after the exchange, and gives back what the
conversation still has of the budget when it ends; see :class:`~airflow_provider_kore.api.turn_keeper.TurnKeeper`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from airflow_provider_kore.api.budget import Turn, Wait
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request

T = TypeVar("T")
StepT = TypeVar("StepT")
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Pause:
    """Some seconds to wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the account's budget to let the call of a turn begin; answered with a :class:`Wait`."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Leave:
    """Give up waiting for the turn that was asked for last."""


@dataclass(frozen=True, slots=True)
class Close:
    """
    Let no call begin for some seconds, because Kore.ai said that the budget is spent.

    Answered with whether it was open; of many calls that are throttled at once, one tells the log.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class SlowPolls:
    """Delay the next polls a little, because one found its erasure still open."""


BudgetStep = Ask | Leave | Close | SlowPolls
"""A step that the account's budget answers."""

Reply = Answer | NoAnswer | Wait | bool | None
"""The answer to a step: to a request, to :class:`Ask`, to :class:`Close`, or to any other."""

Conversation = Generator[Request | Pause | BudgetStep, Reply, T]


def drive(steps: Generator[StepT, AnswerT | None, T], answer: Callable[[StepT], AnswerT | None]) -> T:
    """Run a generator to its end: send it the answer to each step that it yields, and return what it returns."""
    reply: AnswerT | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result
        reply = answer(step)
