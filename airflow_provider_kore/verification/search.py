"""Ask Kore.ai about the users after their erasure: evidence that does not rest on Kore.ai's own report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_kore.api.calls import fetch_history, fetch_history_page
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.history import LiteQuery, Query
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.user_history import LITE_REFUSALS
from airflow_provider_kore.api.user_search import UserSearch
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreError,
    KoreRequestError,
    KoreUnreadableAnswerError,
    KoreVerificationError,
)
from airflow_provider_kore.resumption import UsageFields, export_usage, import_usage
from airflow_provider_kore.user_ids.user_refs import user_ref
from airflow_provider_kore.verification.findings import Finding, Verification

if TYPE_CHECKING:
    from airflow_provider_kore.hooks.kore import KoreHook

log = logging.getLogger(__name__)

REPORT_INTERVAL = 60.0
"""Seconds between two log lines about the progress."""

REFUSALS = (KoreRequestError, KoreUnreadableAnswerError)
"""Errors about one user; all others concern every user."""


@dataclass(frozen=True, slots=True)
class CheckedUser:
    """
    Name a user to verify.

    :param batch: number of the batch, from 1.
    :param position: in the batch, from 0.
    :param user_id: the user id; ``repr`` does not show it.
    """

    batch: int
    position: int
    user_id: UserId = field(repr=False)


@dataclass(frozen=True, slots=True)
class SearchEnd:
    """
    Say how a search ended. It is complete if ``seconds`` is 0 and ``failure`` is ``None``.

    :param seconds: for how long the account's budget is spent; the caller leaves the worker, and calls again later.
    :param usage: what this process has called, for the process that continues.
    :param failure: the error that ended the search; the verification keeps what was found before it.
    """

    seconds: float = 0.0
    usage: UsageFields | None = None
    failure: KoreError | None = None


def search_users(
    hook: KoreHook,
    verification: Verification,
    users: Iterator[CheckedUser],
    usage: UsageFields | None,
    *,
    max_worker_wait: float,
    deadline: float,
) -> SearchEnd:
    """
    Verify one user after the other, and record what is found of each.

    :param hook: of the connection.
    :param verification: what is found so far; this function changes it.
    :param users: all users from the first one on, in the same order at each call.
    :param usage: what the process called that the task left; ``None`` if it has not left one.
    :param max_worker_wait: longest wait for a turn to call, in seconds.
    :param deadline: when the search ends, in seconds since the epoch.
    """
    try:
        with hook.get_conn() as client:
            import_usage(client, usage)
            seconds = _search(client, verification, users, hook.account.digest_key, max_worker_wait, deadline)
            return SearchEnd(seconds, export_usage(client))
    except KoreError as error:
        log.error("The verification broke off: %s", error)
        if error.consequence is Consequence.NOT_SENT:
            error = error.with_consequence(Consequence.NOT_VERIFIED)
        return SearchEnd(failure=error)


def _search(
    client: KoreClient,
    verification: Verification,
    users: Iterator[CheckedUser],
    digest_key: str,
    max_worker_wait: float,
    deadline: float,
) -> float:
    """Return for how many seconds the account's budget is spent; 0.0 if all users are verified."""
    reported_at = time.time()
    for number, user in islice(enumerate(users), verification.done, None):
        if not verification.includes(number):
            continue
        finding = _search_user(client, verification, user.user_id, max_worker_wait, deadline)
        if not isinstance(finding, Finding):
            return finding
        verification.record(number, user_ref(user.batch, user.position, user.user_id, digest_key), finding)
        if time.time() - reported_at >= REPORT_INTERVAL:
            reported_at = time.time()
            log.info("Verified the first %d users so far: %d found.", verification.done, len(verification.found))
    return 0.0


def _search_user(
    client: KoreClient, verification: Verification, user_id: UserId, max_worker_wait: float, deadline: float
) -> Finding | float:
    """Verify one user, from the first query on that is not answered; return seconds if the budget is spent so long."""
    bot_ids, period = verification.scope.bot_ids or (None,), verification.period
    wanted = HistoryRange(bot_ids, period.since, period.until, verification.channel_types)
    search = UserSearch(user_id, wanted, verification.refused)
    if not search.is_possible:
        return Finding.NOT_CHECKABLE
    queries = list(search.queries())
    while verification.answered < len(queries):
        query = queries[verification.answered]
        now = time.time()
        if now >= deadline:
            raise KoreVerificationError(
                "The time of the task was over before all users were verified.",
                consequence=Consequence.NOT_VERIFIED,
                remedy="Clear the task to verify again, give it more time (timeout), or verify a sample only.",
            )
        pause = client.pacing.budget.seconds_until_turn(query.call)
        if pause > max_worker_wait and now + pause < deadline:
            return pause
        finding = client.run(_ask(query, client.pacing, client.pacing.moment_of(deadline)))
        if finding is Finding.FOUND:
            return finding
        if finding is Finding.GONE:
            verification.answered += 1
        elif (instead := search.replace(query)) is not None:
            verification.answered, verification.refused = instead, sorted(search.refused)
            queries = list(search.queries())
        else:
            return finding
    return Finding.GONE


def _ask(query: Query, pacing: Pacing, give_up_at: float) -> Conversation[Finding]:
    refusals = LITE_REFUSALS if isinstance(query, LiteQuery) else REFUSALS
    try:
        if isinstance(query, LiteQuery):
            return (yield from _ask_lite(query, pacing, give_up_at))
        page = yield from fetch_history_page(query, 0, pacing, give_up_at)
    except refusals as error:
        log.warning("Kore.ai does not answer a query about a user: %s", error.problem)
        return Finding.NOT_CHECKABLE
    return Finding.FOUND if page.total or page.items or page.more_available else Finding.GONE


def _ask_lite(query: LiteQuery, pacing: Pacing, give_up_at: float) -> Conversation[Finding]:
    """Read until a message is in the period: this call takes whole days, parts of which lie outside."""
    found = False

    def take(message: dict[str, object]) -> bool:
        nonlocal found
        found = query.covers(message)
        return found

    problem = yield from fetch_history(query, take, pacing, give_up_at)
    if problem is not None:
        log.warning("Whether there are messages cannot be read from messages-lite: %s", problem)
        return Finding.NOT_CHECKABLE
    return Finding.FOUND if found else Finding.GONE
