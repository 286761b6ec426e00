"""The calls, each as one conversation, so that sync and async retry, wait and fail alike."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_kore.api.acceptance import leaves_open
from airflow_provider_kore.api.budget import Turn
from airflow_provider_kore.api.conversation import Conversation, Pause
from airflow_provider_kore.api.decoding import NotJsonError, decode_json
from airflow_provider_kore.api.erase_request import ERASE_PATH, ErasureRequest, read_request_id
from airflow_provider_kore.api.errors import Call, error_message, read_failure, unreachable, unreadable
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request
from airflow_provider_kore.api.history import Query, read_page
from airflow_provider_kore.api.listing import Page, fetch_all
from airflow_provider_kore.api.members import members_path, read_members
from airflow_provider_kore.api.paced_exchange import decoded, exchange
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.recordings import RecordedSession, read_deletion, says_no_recordings
from airflow_provider_kore.api.status import ErasureStatus, read_status, status_path
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreError,
    KoreUnreadableAnswerError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 4
"""Attempts of a call that certainly was not received, or may be repeated, before its error is raised."""


def _failure(call: Call, answer: Answer, pacing: Pacing) -> KoreError:
    message, code = error_message(decoded(answer))
    return read_failure(call, answer, message, code, pacing.profile)


def _back_off(attempt: int) -> Pause:
    return Pause(random.uniform(0.5, 1.0) * 2**attempt)  # noqa: S311


def submit_erasure(request: ErasureRequest, pacing: Pacing, give_up_at: float | None = None) -> Conversation[str]:
    """
    Submit one erasure and return its request id.

    Sent again only where Kore.ai certainly did not receive it, or answered that the budget is spent.

    :param request: users and scope.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :raises KoreThrottledError: if the budget left no turn before ``give_up_at``; nothing was sent.
    :raises KoreAmbiguousSubmitError: if it was sent and no usable answer came.
    :raises KoreError: if it was not accepted; the exception says so.
    """
    http_request = Request("DELETE", ERASE_PATH, request.body(pacing.profile))
    turn = Turn(Call.ERASE, pacing.clock())
    for attempt in range(ATTEMPTS):
        answer = yield from exchange(http_request, turn, pacing, give_up_at)
        if isinstance(answer, NoAnswer):
            if answer.received:
                raise _ambiguous(answer.reason)
            if attempt + 1 == ATTEMPTS:
                raise unreachable(Call.ERASE, answer.reason)
            log.warning("Kore.ai was not reached (%s); nothing was sent, trying again.", answer.reason)
            yield _back_off(attempt)
            continue
        if 200 <= answer.status < 300:
            request_id = read_request_id(decoded(answer))
            if request_id is None:
                raise _ambiguous(f"HTTP {answer.status} without a request id that can be read")
            return request_id
        if leaves_open(answer.status):
            raise _ambiguous(f"HTTP {answer.status}")
        raise _failure(Call.ERASE, answer, pacing)
    raise AssertionError("the last attempt returns or raises")


def _ambiguous(reason: str) -> KoreAmbiguousSubmitError:
    return KoreAmbiguousSubmitError(
        f"An erasure was sent to Kore.ai and no usable answer came ({reason}).",
        consequence=Consequence.UNKNOWN,
        remedy="Erasing twice ends in the same state: clear the task to submit this batch again, unless "
        "on_ambiguous_submit='fail'; then first ask Kore.ai what became of it.",
    )


def fetch_status(
    request_id: str, pacing: Pacing, give_up_at: float | None = None, turn: Turn | None = None
) -> Conversation[ErasureStatus]:
    """
    Ask for the status of one erasure request.

    A call that only reads is repeated after a passing fault.

    :param request_id: what the erase call answered.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :param turn: its turn, if it has one since earlier; a new one if left out.
    :raises KoreUnavailableError: if the fault did not pass; asking again later is right.
    :raises KoreThrottledError: if the budget left no turn before ``give_up_at``.
    :raises KoreError: on any other failure.
    """
    http_request = Request("GET", status_path(request_id))
    if turn is None:
        turn = Turn(Call.STATUS, pacing.clock())
    return _read(http_request, turn, pacing, give_up_at, lambda answer: read_status(answer, request_id, pacing.profile))


def fetch_history_page(
    query: Query, skip: int, pacing: Pacing, give_up_at: float | None = None
) -> Conversation[Page[dict[str, object]]]:
    """
    Fetch one page of what Kore.ai has of a user.

    :param query: whose data, of what kind, bot and time.
    :param skip: how many items come before the page.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :raises KoreRequestError: if Kore.ai refuses the query.
    :raises KoreError: on any other failure, see :func:`fetch_status`.
    """
    turn = Turn(query.call, pacing.clock())
    http_request = Request("POST", query.path, query.body(skip))
    return _read(http_request, turn, pacing, give_up_at, lambda answer: read_page(answer, query))


def fetch_history(
    query: Query, consume: Callable[[dict[str, object]], bool], pacing: Pacing, give_up_at: float | None = None
) -> Conversation[str | None]:
    """
    Fetch all pages of what Kore.ai has of a user.

    :param query: whose data, of what kind, bot and time.
    :param consume: is called with each item as it comes; returns ``True`` to stop there.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :return: why the items cannot be all; ``None`` if they are, or ``consume`` stopped.
    :raises KoreError: see :func:`fetch_history_page`.
    """
    return fetch_all(
        lambda skip: fetch_history_page(query, skip, pacing, give_up_at), consume, lambda item: item[query.kind.id_key]
    )


def fetch_members(pacing: Pacing, give_up_at: float | None = None) -> Conversation[tuple[frozenset[str], ...]]:
    """
    Fetch the members of the account, each as the set of its names.

    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :raises KoreUnreadableAnswerError: if the pages do not add up.
    :raises KoreError: on any other failure, see :func:`fetch_status`.
    """
    members: list[frozenset[str]] = []

    def fetch_page(skip: int) -> Conversation[Page[frozenset[str]]]:
        turn = Turn(Call.ROLES, pacing.clock())
        request = Request("GET", members_path(skip, pacing.profile.members_page))
        return _read(request, turn, pacing, give_up_at, read_members)

    why = yield from fetch_all(fetch_page, members.append, key=lambda member: member)
    if why is not None:
        raise unreadable(Call.ROLES, why)
    return tuple(members)


def delete_recordings(session: RecordedSession, pacing: Pacing, give_up_at: float | None = None) -> Conversation[bool]:
    """
    Delete the recordings of one session.

    It is no erasure, and is repeated also where no answer came: deleting twice ends in the same state. If the first
    answer was lost, the second may say that there are none.

    :param session: the session. The request's URL contains its id: run this within
        :func:`~airflow_provider_kore.api.http_logs.without_http_logs`.
    :param give_up_at: moment of the pacing's clock after which no turn is waited for; ``None`` for ever.
    :return: whether there were recordings.
    :raises KoreError: if it is not known that the recordings are gone.
    """
    profile = pacing.profile
    return _read(
        session.deletion(profile.recordings_path),
        Turn(Call.RECORDINGS, pacing.clock()),
        pacing,
        give_up_at,
        lambda document: read_deletion(document, session, profile),
        lambda answer: False if says_no_recordings(answer.status, decoded(answer), profile) else None,
    )


def _read(
    request: Request,
    turn: Turn,
    pacing: Pacing,
    give_up_at: float | None,
    read: Callable[[object], T],
    read_refusal: Callable[[Answer], T | None] = lambda _: None,
) -> Conversation[T]:
    """
    Make a call that may be repeated, and make it again after a fault.

    The answers are unreadable only if each attempt got a whole answer in a form that is not understood. One attempt
    with a fault that passes, such as a gateway's error or JSON that is cut off, makes all of them such a fault.

    :param read: reads the decoded answer; raises :class:`KoreUnreadableAnswerError`.
    :param read_refusal: reads an answer that is no success; ``None`` if that is a failure.
    :raises KoreUnavailableError: if an attempt got no answer, an answer that is not whole, or a fault of the server.
    :raises KoreUnreadableAnswerError: if all attempts got answers that ``read`` does not understand.
    """
    passing: KoreError | None = None
    unreadable_answer: KoreUnreadableAnswerError | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            yield _back_off(attempt - 1)
        answer = yield from exchange(request, turn, pacing, give_up_at)
        if isinstance(answer, NoAnswer):
            passing = unreachable(turn.call, answer.reason)
        elif 200 <= answer.status < 300:
            try:
                document = decode_json(answer.content)
            except NotJsonError:
                passing = unreachable(turn.call, f"HTTP {answer.status} with a body that is not JSON")
                continue
            try:
                return read(document)
            except KoreUnreadableAnswerError as error:
                unreadable_answer = error
        elif (meant := read_refusal(answer)) is not None:
            return meant
        elif answer.status >= 500:
            passing = _failure(turn.call, answer, pacing)
        else:
            raise _failure(turn.call, answer, pacing)
    failure = passing or unreadable_answer
    assert failure is not None, "each attempt fails or returns"  # noqa: S101
    raise failure
