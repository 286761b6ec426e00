"""What one conversation has of the account's budget, whichever client runs it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar

from airflow_provider_kore.api.budget import Turn, Wait
from airflow_provider_kore.api.conversation import Ask, BudgetStep, Close, Conversation, Leave, Pause, Reply, SlowPolls
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.wait_log import WaitLog

log = logging.getLogger(__name__)

T = TypeVar("T")

BUDGET_THREADS = 2
"""
How many threads of an event loop's client may ask a budget that does I/O: while one of them waits for a Redis that is
silent, the other lets calls begin from the share of the process.
"""


class TurnKeeper:
    """
    Keep the turn that a conversation asked for last: it waits in the queue, or its call is under way.

    Who runs the conversation releases the turn after each exchange, and closes the keeper when the conversation ends,
    however it ends. So a call always ends, and no conversation that has ended stands in the queue. Safe for threads:
    a step that one thread still answers while another closes the keeper leaves nothing behind.

    :param pacing: the account's budget, and the clock.
    """

    def __init__(self, pacing: Pacing) -> None:
        self._budget = pacing.budget
        self._log = WaitLog(pacing.clock)
        self._turn: Turn | None = None
        self._wait: Wait | None = None
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def answer(self, step: BudgetStep) -> Wait | bool | None:
        """Answer a step; a closed keeper asks for no turn, and answers ``None``, which its conversation never gets."""
        match step:
            case Ask(turn):
                return self._ask(turn)
            case Leave():
                self.release()
            case Close(seconds):
                return self._budget.close(seconds)
            case SlowPolls():
                self._budget.slow_polls()
        return None

    def release(self) -> None:
        """End the call that is under way, or leave the queue; does nothing without a turn."""
        with self._lock:
            self._release()

    def close(self) -> None:
        """Release the turn, and ask for no other."""
        with self._lock:
            self._closed = True
            self._release()

    def _ask(self, turn: Turn) -> Wait | None:
        with self._lock:
            if self._closed:
                return None
            self._turn, self._wait = turn, None
            self._wait = self._budget.ask(turn)
            self._log.note(turn, self._wait)
            return self._wait

    def _release(self) -> None:
        try:
            self._give_back()
        except Exception as error:  # noqa: BLE001 # of whatever kind: the answer of Kore.ai must not be lost by it
            log.warning("The budget does not learn that a call has ended (%s).", type(error).__name__)

    def _give_back(self) -> None:
        if self._turn is None:
            return
        # Without an answer, since the question was broken off, the call may have begun or not.
        if self._wait is None or self._wait.seconds > 0:
            self._budget.leave(self._turn)
        if self._wait is None or self._wait.seconds <= 0:
            self._budget.end(self._turn)
        self._turn = None  # last, so that a release that is broken off is made again


def with_turns(
    conversation: Conversation[T], pacing: Pacing, record: Callable[[T], object] = lambda _: None
) -> Generator[Request | Pause, Answer | NoAnswer | None, T]:
    """
    Let the budget answer the steps of a conversation that concern it, and pass on the requests and pauses.

    :param record: receives the result before the budget hears that the last call has ended. That takes seconds if Redis
        is silent, and the process may not live to see the end of it.
    """
    reply: Reply = None
    step: Request | Pause | BudgetStep | None = None
    with closing(conversation), TurnKeeper(pacing) as keeper:
        while True:
            was_exchange = isinstance(step, Request)
            try:
                step = conversation.send(reply)
            except StopIteration as end:
                result: T = end.value
                record(result)
                keeper.release()
                return result
            if was_exchange:
                keeper.release()
            reply = (yield step) if isinstance(step, Request | Pause) else keeper.answer(step)
