"""Exchange one request for its answer, within the account's budget."""

from __future__ import annotations

import logging

from airflow_provider_kore.api.acceptance import leaves_open
from airflow_provider_kore.api.budget import Turn, Wait
from airflow_provider_kore.api.conversation import Ask, Close, Conversation, Leave, Pause
from airflow_provider_kore.api.decoding import NotJsonError, decode_json
from airflow_provider_kore.api.errors import Call, error_message
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.throttle import is_throttle, throttle_pause
from airflow_provider_kore.exceptions import KoreThrottledError

log = logging.getLogger(__name__)

SHORT_WAIT = 10.0
"""Seconds that a conversation waits in the queue without asking again how long it still takes."""


def exchange(request: Request, turn: Turn, pacing: Pacing, give_up_at: float | None) -> Conversation[Answer | NoAnswer]:
    """
    Wait for a turn and make one call, again and again while the budget is spent, and once more after one 401.

    :param turn: the call's turn, which it keeps over all of them.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :raises KoreThrottledError: if the budget left no turn before ``give_up_at``; nothing was sent.
    """
    signed_again = False
    while True:
        yield from _wait_for(turn, pacing, give_up_at)
        answer = yield request
        assert isinstance(answer, Answer | NoAnswer), "a request is answered"  # noqa: S101
        if isinstance(answer, NoAnswer):
            return answer
        text = _text_of(answer)
        # Whatever its text, after some statuses an erasure may have been accepted: it is not sent again.
        may_be_done = turn.call is Call.ERASE and leaves_open(answer.status)
        if not may_be_done and is_throttle(answer.status, text, pacing.profile):
            seconds = throttle_pause(answer, text, profile=pacing.profile)
            if (yield Close(seconds)):
                log.warning("Kore.ai says that the account's rate limit is reached; pausing for %.0f s.", seconds)
        elif answer.status == 401 and not signed_again:
            signed_again = True
        else:
            return answer


def _wait_for(turn: Turn, pacing: Pacing, give_up_at: float | None) -> Conversation[None]:
    """Wait in the queue until the call begins; leave it if the turn comes too late, since others wait behind."""
    while True:
        wait = yield Ask(turn)
        assert isinstance(wait, Wait), "a wish for a turn is answered"  # noqa: S101
        if wait.seconds <= 0:
            return
        if give_up_at is not None and pacing.clock() + wait.seconds > give_up_at:
            yield Leave()
            raise KoreThrottledError(
                f"The account's rate limit left no turn for a {turn.call.value} before the deadline.",
                consequence=turn.call.consequence,
                remedy="Clear the task to continue, or give it more time.",
            )
        # After half of a long wait it asks again, since those before may have left the queue.
        yield Pause(wait.seconds if wait.seconds <= SHORT_WAIT else wait.seconds / 2)


def exchange_once(
    request: Request, call: Call, pacing: Pacing, give_up_at: float | None = None
) -> Conversation[Answer | NoAnswer]:
    """
    Make one call, and return whatever is answered; for who wants to see the answer itself.

    :param call: which call the request is.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :raises KoreThrottledError: if the budget left no turn before ``give_up_at``; nothing was sent.
    """
    yield from _wait_for(Turn(call, pacing.clock()), pacing, give_up_at)
    answer = yield request
    assert isinstance(answer, Answer | NoAnswer), "a request is answered"  # noqa: S101
    if isinstance(answer, Answer) and is_throttle(answer.status, text := _text_of(answer), pacing.profile):
        yield Close(throttle_pause(answer, text, profile=pacing.profile))
    return answer


def _text_of(answer: Answer) -> str | None:
    """Give Kore.ai's own text of an answer that is no success, also where its shape is not the usual one."""
    if 200 <= answer.status < 300:
        return None
    message, _ = error_message(decoded(answer))
    return message if message is not None else answer.content[:2000].decode(errors="replace") or None


def decoded(answer: Answer) -> object:
    """Decode an answer; ``None`` if it is not JSON."""
    try:
        return decode_json(answer.content)
    except NotJsonError:
        return None
