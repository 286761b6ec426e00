"""Look for people after their erasure: another proof than Kore.ai's word for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, TypedDict, TypeVar

from airflow_provider_kore.api.calls import fetch_history, fetch_history_page
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.history import LiteQuery, Query
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.person_history import LITE_REFUSALS, HistoryRange
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.user_search import UserSearch
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreError,
    KoreFoundError,
    KoreInputError,
    KoreRequestError,
    KoreUnreadableAnswerError,
    KoreVerificationError,
)
from airflow_provider_kore.period import Period
from airflow_provider_kore.resumption import UsageFields, export_usage, import_usage, max_worker_wait, resume_after
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef, show_user_refs, user_ref

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_provider_kore.api.account import KoreAccount
    from airflow_provider_kore.hooks.kore import KoreHook

log = logging.getLogger(__name__)

T = TypeVar("T", int, tuple[int, int])

REPORT_EVERY = 60.0
"""Seconds between two lines about the progress."""


class Finding(StrEnum):
    """What looking for a person after the erasure showed."""

    GONE = "gone"
    FOUND = "found"
    NOT_CHECKABLE = "not_checkable"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Extent:
    """
    Say how many people are looked for.

    :param mode: ``"none"``, ``"sample:N"`` or ``"all"``.
    """

    mode: str

    @property
    def is_asked_for(self) -> bool:
        """Whether anybody is looked for."""
        return self.mode != "none"

    def choose(self, user_count: int, seed: bytes) -> list[int] | None:
        """
        Choose whom to look for, by number from 0 and in order; ``None`` for all.

        :param seed: the same one chooses the same, so that no retry looks away from whom the try before it found.
        """
        if self.mode == "all":
            return None
        wanted = int(self.mode.partition(":")[2] or 0)
        return sorted(random.Random(seed).sample(range(user_count), min(wanted, user_count)))  # noqa: S311


def sample_seed(context: Context, account: KoreAccount) -> bytes:
    """Give what chooses a sample: the same in all tries of a task, foretold by nobody without the account's key."""
    task_instance = context["ti"]
    names = [task_instance.dag_id, task_instance.run_id, task_instance.task_id, task_instance.map_index]
    return hmac.new(account.fingerprint_key(), json.dumps(names).encode(), hashlib.sha256).digest()


def read_extent(verify: object) -> Extent:
    """
    Read how many people are to be looked for.

    :param verify: ``"none"``, ``"sample:N"`` with N of at least 1, or ``"all"``.
    :raises KoreInputError: if it is anything else.
    """
    if not isinstance(verify, str) or not re.fullmatch(r"none|all|sample:[1-9][0-9]{0,8}", verify):
        raise KoreInputError(
            'verify must be "none", "all", or "sample:N" with a number such as "sample:20".', remedy="Correct verify."
        )
    return Extent(verify)


@dataclass(frozen=True, slots=True)
class Person:
    """
    Name somebody to look for.

    :param batch: number of the batch, from 1.
    :param position: in the batch, from 0.
    :param user_id: who it is.
    """

    batch: int
    position: int
    user_id: UserId = field(repr=False)


class VerificationFields(TypedDict):
    """The JSON form of a verification in progress: places and counts, nobody's id."""

    mode: str
    bot_ids: list[str]
    all_bots: bool
    channel_types: list[str]
    since: str
    until: str
    chosen: list[int] | None
    looked_for: int
    calls: int
    refused: list[str]
    found: list[list[int]]
    not_checkable: list[list[int]]
    named: list[UserRef]


@dataclass(slots=True)
class Verification:
    """
    Look for people, and keep what that showed; it can be put aside and gone on with in another process.

    *Gone* is said of somebody only when every query about them was answered, and each with nothing. An error answer is
    *not checkable*, whatever it says.

    :param mode: how many people are looked for, see :class:`Extent`.
    :param scope: the bots to look at.
    :param channel_types: the channels whose messages are asked for.
    :param period: of which sessions and messages are asked for.
    :param chosen: the people to look for, by number from 0 and in order; ``None`` for all.
    :param looked_for: how many of all people are done with, looked for or passed over.
    :param calls: how many queries about the next person are answered, each with nothing.
    :param refused: what Kore.ai refused about the next person, see :class:`UserSearch`.
    :param found: batch and position, from 0, of those who were found.
    :param not_checkable: of those of whom it could not be told.
    :param named: the places of the first of both.
    """

    mode: str
    scope: ErasureScope
    channel_types: Sequence[str]
    period: Period
    chosen: list[int] | None
    looked_for: int = 0
    calls: int = 0
    refused: list[str] = field(default_factory=list)
    found: list[tuple[int, int]] = field(default_factory=list)
    not_checkable: list[tuple[int, int]] = field(default_factory=list)
    named: list[UserRef] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        extent: Extent,
        scope: ErasureScope,
        channel_types: Sequence[str],
        period: Period,
        user_count: int,
        seed: bytes,
    ) -> Verification:
        """
        Choose whom to look for.

        :param user_count: of how many people.
        :param seed: see :func:`sample_seed`.
        """
        return cls(extent.mode, scope, channel_types, period, extent.choose(user_count, seed))

    def go_on(
        self, client: KoreClient, people: Iterator[Person], digest_key: str, *, max_worker_wait: float, deadline: float
    ) -> float:
        """
        Look for one person after the other.

        :param people: all people, from the first one on, in the same order each time.
        :param digest_key: names people without showing them; empty if there is none.
        :param max_worker_wait: longest wait for a turn, in seconds.
        :param deadline: until when turns are waited for, in seconds since the epoch.
        :return: 0.0 at the end; else the account's budget is spent, and there is no turn for so many seconds.
        :raises KoreError: on what concerns more than one person; what was found so far is kept.
        """
        chosen = None if self.chosen is None else set(self.chosen)
        reported_at = time.time()
        for number, person in enumerate(people):
            if number < self.looked_for:
                continue
            if chosen is None or number in chosen:
                finding = self._look_for(client, person.user_id, max_worker_wait, deadline)
                if not isinstance(finding, Finding):
                    return finding
                self._note(person, finding, digest_key)
            self.looked_for = number + 1
            self.calls, self.refused = 0, []
            if time.time() - reported_at >= REPORT_EVERY:
                reported_at = time.time()
                log.info("Looked for %d people so far: %d found.", self.looked_for, len(self.found))
        return 0.0

    def _look_for(
        self, client: KoreClient, user_id: UserId, max_worker_wait: float, deadline: float
    ) -> Finding | float:
        """Look for one person; seconds if there is no turn for so long."""
        search = UserSearch(user_id, self._wanted, self.refused)
        if not search.is_possible:
            return Finding.NOT_CHECKABLE
        queries = islice(search.queries(), self.calls, None)
        while (query := next(queries, None)) is not None:
            if time.time() >= deadline:
                raise KoreVerificationError(
                    "The time of the task was over before everybody was looked for.",
                    consequence=Consequence.NOT_VERIFIED,
                    remedy="Clear the task to look again, give it more time (timeout), or look for a sample only.",
                )
            pause = client.pacing.budget.seconds_until_turn(client.pacing.clock(), query.call)
            if pause > max_worker_wait and time.time() + pause < deadline:
                return pause
            finding = client.run(_look(query, client.pacing, max(deadline - time.time(), 0.0)))
            if finding is Finding.FOUND:
                return finding
            if finding is Finding.GONE:
                self.calls += 1
            elif (instead := search.replace(query)) is not None:
                self.calls, self.refused = instead, sorted(search.refused)
                queries = islice(search.queries(), self.calls, None)
            else:
                return finding
        return Finding.GONE

    @property
    def _wanted(self) -> HistoryRange:
        period, bot_ids = self.period, self.scope.bot_ids or (None,)
        return HistoryRange(bot_ids, period.since, period.until, tuple(self.channel_types))

    def _note(self, person: Person, finding: Finding, digest_key: str) -> None:
        if finding is not Finding.GONE:
            places = self.found if finding is Finding.FOUND else self.not_checkable
            places.append((person.batch, person.position))
            if len(places) <= NAMED_IN_OUTPUT:
                self.named.append(user_ref(person.batch, person.position, person.user_id, digest_key))

    def counts(self, user_count: int) -> dict[str, int]:
        """
        Give the four counts by name; they add up.

        :param user_count: of how many people.
        """
        checked = min(self.looked_for, user_count)
        if self.chosen is not None:
            checked = bisect_left(self.chosen, self.looked_for)
        gone = checked - len(self.found) - len(self.not_checkable)
        wanted = user_count if self.chosen is None else len(self.chosen)
        return {
            Finding.GONE.value: gone,
            Finding.FOUND.value: len(self.found),
            # Whom the time was too short for, although asked for, is not left out in silence.
            Finding.NOT_CHECKABLE.value: len(self.not_checkable) + wanted - checked,
            Finding.NOT_CHECKED.value: user_count - wanted,
        }

    def output(self, user_count: int) -> dict[str, object]:
        """
        Write what a task returns: the counts, and the places of those who are not gone.

        :param user_count: of how many people.
        """
        return {
            **self.counts(user_count),
            **self.period.to_json(),
            **{
                f"{finding.value}_users": places
                for finding in (Finding.FOUND, Finding.NOT_CHECKABLE)
                if (places := self._places(finding))
            },
        }

    def _places(self, finding: Finding) -> list[UserRef]:
        wanted = self.found if finding is Finding.FOUND else self.not_checkable
        return [place for place in self.named if _holds(wanted, (place["batch"], place["position"] - 1))]

    def show(self, finding: Finding, count: int) -> str:
        """Write where those are of whom this was found, and how many more there are."""
        return show_user_refs(self._places(finding), count)

    def finding(self, number: int, batch: int, position: int) -> Finding:
        """
        Tell what was found of one person.

        :param number: which one of all, from 0.
        :param batch: number of the batch, from 1.
        :param position: in the batch, from 0.
        """
        place = (batch, position)
        if _holds(self.found, place):
            return Finding.FOUND
        if self.chosen is not None and not _holds(self.chosen, number):
            return Finding.NOT_CHECKED
        if _holds(self.not_checkable, place) or number >= self.looked_for:
            return Finding.NOT_CHECKABLE
        return Finding.GONE

    def to_json(self) -> VerificationFields:
        """Write the form that a deferral carries."""
        return {
            "mode": self.mode,
            "bot_ids": list(self.scope.bot_ids),
            "all_bots": self.scope.all_bots,
            "channel_types": list(self.channel_types),
            "since": self.period.since.isoformat(),
            "until": self.period.until.isoformat(),
            "chosen": self.chosen,
            "looked_for": self.looked_for,
            "calls": self.calls,
            "refused": self.refused,
            "found": [list(place) for place in self.found],
            "not_checkable": [list(place) for place in self.not_checkable],
            "named": self.named,
        }

    @classmethod
    def from_json(cls, fields: VerificationFields) -> Verification:
        """Read what :meth:`to_json` wrote."""
        return cls(
            mode=fields["mode"],
            scope=ErasureScope(tuple(fields["bot_ids"]), fields["all_bots"]),
            channel_types=tuple(fields["channel_types"]),
            period=Period(datetime.fromisoformat(fields["since"]), datetime.fromisoformat(fields["until"])),
            chosen=fields["chosen"],
            looked_for=fields["looked_for"],
            calls=fields["calls"],
            refused=list(fields["refused"]),
            found=[(batch, position) for batch, position in fields["found"]],
            not_checkable=[(batch, position) for batch, position in fields["not_checkable"]],
            named=list(fields["named"]),
        )


def _holds(ascending: Sequence[T], value: T) -> bool:
    """Tell whether a value is in a list that ascends; people are looked for in their order."""
    place = bisect_left(ascending, value)
    return place < len(ascending) and ascending[place] == value


def _look(query: Query, pacing: Pacing, seconds: float) -> Conversation[Finding]:
    if isinstance(query, LiteQuery):
        return (yield from _look_by_lite(query, pacing, seconds))
    try:
        page = yield from fetch_history_page(query, 0, pacing, pacing.clock() + seconds)
    except (KoreRequestError, KoreUnreadableAnswerError) as error:
        log.warning("Somebody cannot be looked for: %s", error.problem)
        return Finding.NOT_CHECKABLE
    return Finding.FOUND if page.total or page.items or page.more_available else Finding.GONE


StateOfVerification = Callable[[Verification, UsageFields], Mapping[str, object]]
"""Gives the JSON form of what a task needs to resume, from how far the verification is and what the worker called."""


def _look_by_lite(query: LiteQuery, pacing: Pacing, seconds: float) -> Conversation[Finding]:
    """Read on until a message is in the period: this call takes whole days, of which parts lie outside."""
    found = False

    def take(message: dict[str, object]) -> bool:
        nonlocal found
        found = query.covers(message)
        return found

    try:
        why = yield from fetch_history(query, take, pacing, pacing.clock() + seconds)
    except LITE_REFUSALS as error:
        why = error.problem
    if why is not None:
        log.warning("messages-lite does not tell whether there are messages: %s", why)
        return Finding.NOT_CHECKABLE
    return Finding.FOUND if found else Finding.GONE


def look_for_people(
    operator: BaseOperator,
    context: Context,
    hook: KoreHook,
    verification: Verification,
    people: Iterator[Person],
    calls: UsageFields | None,
    *,
    deferrable: bool,
    deadline: float,
    state: StateOfVerification,
) -> KoreError | None:
    """
    Look for people, and leave the worker if the account's budget is spent for long.

    :param people: all people, from the first one on, in the same order each time.
    :param calls: what the worker called that the task left before; ``None`` if it did not.
    :param deferrable: whether it may leave.
    :param deadline: until when turns are waited for, in seconds since the epoch.
    :param state: gives what the task needs to resume.
    :return: what the looking broke off by, if it did; what was found so far is kept.
    """
    try:
        with hook.get_conn() as client:
            import_usage(client, calls)
            seconds = verification.go_on(
                client, people, hook.account.digest_key, max_worker_wait=max_worker_wait(deferrable), deadline=deadline
            )
            called = export_usage(client)
    except KoreError as error:
        log.error("Looking for people broke off: %s", error)
        if error.consequence is Consequence.NOT_SENT:
            return error.with_consequence(Consequence.NOT_VERIFIED)
        return error
    if seconds > 0:
        resume_after(operator, context, seconds, state(verification, called), deadline)
    return None


def judge(
    verification: Verification, user_count: int, failures: Sequence[KoreError], *, fail_if_not_checkable: bool
) -> list[KoreError]:
    """
    Say what is wrong after looking for people, the worst first.

    :param verification: what looking showed.
    :param user_count: of how many people.
    :param failures: what else went wrong, which may be why somebody could not be looked for.
    :param fail_if_not_checkable: whether it is wrong too if it cannot be told of somebody.
    """
    counts = verification.counts(user_count)
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) + f", of {user_count}"
    log.info("Looked for people after their erasure: %s.", told)
    if counts[Finding.FOUND]:
        where = verification.show(Finding.FOUND, counts[Finding.FOUND])
        found = KoreFoundError(
            f"Kore.ai still has data of people whom it reports as erased: {told}. Found: {where}.",
            consequence=Consequence.PARTLY_DONE,
            remedy="Run the verification again later, in case Kore.ai was not done everywhere. If they are still "
            "found, ask Kore.ai, and erase them again by a new run.",
        )
        return [found, *failures]
    if not counts[Finding.NOT_CHECKABLE]:
        return list(failures)
    where = verification.show(Finding.NOT_CHECKABLE, counts[Finding.NOT_CHECKABLE])
    unclear = KoreVerificationError(
        f"It could not be verified that people are gone: {told}. Not checkable: {where}.",
        consequence=Consequence.NOT_VERIFIED,
        remedy="Check the scopes and the ids (users named by a channel can be looked for at listed bots only, and if "
        'Kore.ai has messages-lite), give it more time, or set on_not_checkable="warn".',
    )
    if not fail_if_not_checkable:
        log.warning("%s", unclear.problem)
        return list(failures)
    return [*failures, unclear]
