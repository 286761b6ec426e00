"""Wait for erasure requests: look, look again, give up at the deadline. One conversation for every mode."""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from airflow_provider_kore.api.calls import Conversation, Pacing, Pause, fetch_status
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.matching import count_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import MINUTE, PollSchedule
from airflow_provider_kore.api.status import ErasureStatus
from airflow_provider_kore.exceptions import (
    KoreError,
    KoreThrottledError,
    KoreUnavailableError,
    KoreUnknownRequestError,
    KoreUnreadableAnswerError,
)

log = logging.getLogger(__name__)

UNKNOWN_ID_GRACE = 120.0
"""Seconds for which an unknown request id may be one that Kore.ai's own parts have not all heard of yet. A guess."""

UNREADABLE_POLLS = 3
"""How many polls in succession must find nothing but answers that are not understood before a wait ends by them."""

UNREADABLE_GRACE = 120.0
"""Seconds that must lie between the first and the last of them: as long as Kore.ai's parts may differ. A guess."""

LAST_LOOKS = 1200.0
"""Seconds after the deadline for which last looks may still wait for their turns: enough for five hundred of them."""

FEW_REQUESTS = 20
"""Up to how many requests each change of the counts is reported at once; of more, at most one a minute."""

LONGEST_SILENCE = 600.0
"""After how many seconds the counts are reported although nothing has changed."""

Report = Callable[[ErasureOutcome, float | None], None]
"""Is told the counts of all requests, without remarks, and in how many seconds the next look is, if there is one."""


class AcceptedErasureFields(TypedDict):
    """The JSON form of an accepted erasure, as tasks return it."""

    request_id: str
    user_count: int | None


@dataclass(frozen=True, slots=True)
class AcceptedErasure:
    """
    Name an erasure request that Kore.ai accepted.

    :param request_id: Kore.ai's id of it.
    :param user_count: how many users it has; ``None`` if that is not known.
    """

    request_id: str
    user_count: int | None

    def to_json(self) -> AcceptedErasureFields:
        """Write the form that tasks return and triggers carry."""
        return {"request_id": self.request_id, "user_count": self.user_count}


class RequestOutcomeFields(TypedDict):
    """The JSON form of what became of one request, as it travels from trigger to task."""

    request_id: str
    erased: int
    open: int
    not_erased: int
    remarks: list[str]
    fingerprint: str | None
    understood: bool
    seen_at: int | None
    created_on: str | None
    updated_on: str | None


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """
    Hold what became of one request, so far.

    :param request_id: the request.
    :param outcome: the counts.
    :param fingerprint: of the users that the last answer names; ``None`` without such an answer.
    :param understood: whether the counts rest on an answer that was understood.
    :param seen_at: when that answer came, in seconds since the epoch.
    :param created_on: when Kore.ai says that the request was made, verbatim.
    :param updated_on: when Kore.ai says that the request was last changed, verbatim.
    """

    request_id: str
    outcome: ErasureOutcome
    fingerprint: str | None = None
    understood: bool = False
    seen_at: int | None = None
    created_on: str | None = None
    updated_on: str | None = None

    @classmethod
    def unseen(cls, request: AcceptedErasure) -> RequestOutcome:
        """Begin with all of a request's users open; of an unknown number, at least one."""
        return cls(request.request_id, ErasureOutcome(open=request.user_count or 1))

    @property
    def was_answered(self) -> bool:
        """Whether Kore.ai has answered anything about it, be it that it is unknown or in a form not understood."""
        return self.understood or self.settled

    @property
    def settled(self) -> bool:
        """Whether nothing about it is open."""
        return self.outcome.open == 0

    def to_json(self) -> RequestOutcomeFields:
        """Write the form that a trigger event carries: ids of requests, counts and fingerprints only."""
        outcome = self.outcome
        return {
            "request_id": self.request_id,
            "erased": outcome.erased,
            "open": outcome.open,
            "not_erased": outcome.not_erased,
            "remarks": list(outcome.remarks),
            "fingerprint": self.fingerprint,
            "understood": self.understood,
            "seen_at": self.seen_at,
            "created_on": self.created_on,
            "updated_on": self.updated_on,
        }

    @classmethod
    def from_json(cls, fields: RequestOutcomeFields) -> RequestOutcome:
        """Read what :meth:`to_json` wrote."""
        outcome = ErasureOutcome(fields["erased"], fields["open"], fields["not_erased"], tuple(fields["remarks"]))
        return cls(
            fields["request_id"],
            outcome,
            fingerprint=fields["fingerprint"],
            understood=fields["understood"],
            seen_at=fields["seen_at"],
            created_on=fields["created_on"],
            updated_on=fields["updated_on"],
        )


@dataclass(slots=True)
class _Unreadable:
    """Count the polls in succession whose answers are not understood, whatever faults lie between them."""

    since: float
    polls: int = 0

    def stays_so(self, now: float) -> bool:
        self.polls += 1
        return self.polls >= UNREADABLE_POLLS and now - self.since >= UNREADABLE_GRACE


Assess = Callable[[AcceptedErasure, ErasureStatus], ErasureOutcome]


def assess_by_count(request: AcceptedErasure, status: ErasureStatus) -> ErasureOutcome:
    """Judge an answer where nothing but the number of users is known."""
    return count_outcome(status, request.user_count)


class ErasureWatch:
    """
    Watch erasure requests until each is settled.

    Passing faults and a spent budget never settle anything: the request is polled again later. Answers that stay
    unreadable for :data:`UNREADABLE_POLLS` polls of :meth:`wait` and :data:`UNREADABLE_GRACE` seconds, or an id that
    stays unknown, settle their request as not proven erased. An answer that is understood begins that count anew, a
    passing fault does neither.

    :param requests: what to watch.
    :param pacing: budget and clock.
    :param fingerprint_key: see :meth:`KoreAccount.fingerprint_key`.
    :param started: when the waiting began, in seconds since the epoch.
    :param assess: judges an answer.
    :param report: is told the counts when they change, at the latest at the end, and now and then in between.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        requests: Sequence[AcceptedErasure],
        pacing: Pacing,
        *,
        fingerprint_key: bytes,
        started: float,
        assess: Assess = assess_by_count,
        report: Report | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = list(requests)
        self._pacing = pacing
        self._fingerprint_key = fingerprint_key
        self._started = started
        self._assess = assess
        self._report = report
        self._clock = clock
        self._outcomes = {request.request_id: RequestOutcome.unseen(request) for request in self._requests}
        self._open = set(self._outcomes)
        self._unreadable: dict[str, _Unreadable] = {}
        self._counts = Counter(total(self.outcomes).counts())
        self._reported = self._counts.copy()
        self._reported_at = -math.inf

    @property
    def outcomes(self) -> list[RequestOutcome]:
        """What is known of each request, in order."""
        return [self._outcomes[request.request_id] for request in self._requests]

    @property
    def settled(self) -> bool:
        """Whether all requests are settled."""
        return not self._open

    def check(self, max_wait: float = MINUTE) -> Conversation[bool]:
        """
        Look once, and tell whether all requests are settled.

        Stops at the first that is open, since more looks could not change the answer; begins with the last one, which
        was submitted last.

        :param max_wait: seconds that each look waits for its turn at most.
        """
        for request in reversed(self._requests):
            now = self._pacing.clock()
            yield from self._look(request, now, now + max_wait)
            if request.request_id in self._open:
                break
        self._report_rest(None)
        return self.settled

    def wait(self, schedule: PollSchedule, deadline: float, first_look: float | None = None) -> Conversation[None]:
        """
        Look until all requests are settled, or until each open one was looked at when the deadline had come.

        The last looks wait for their turns no longer than :data:`LAST_LOOKS` allows. One request is looked at after
        the other. The one that has been due for longest is the next, and takes its place in the account's line by
        that, so that a request fares the same in one watch of many as in a watch of its own.

        :param schedule: how the looks grow apart.
        :param deadline: in seconds since the epoch.
        :param first_look: when to look first, in seconds since the epoch; at once if left out.
        """
        begin = max(self._clock(), min(first_look or 0.0, deadline))
        looks = [(begin, number) for number in range(len(self._requests))]
        last_turn = max(deadline, self._clock()) + LAST_LOOKS
        try:
            while looks:
                look_at, number = heapq.heappop(looks)
                request = self._requests[number]
                while (seconds := look_at - self._clock()) > 0:
                    yield Pause(seconds)
                now, clock = self._pacing.clock(), self._clock()
                asked = yield from self._look(request, now - (clock - look_at), now + (last_turn - clock))
                # What was asked before the deadline and answered after it is no look at the deadline.
                if request.request_id in self._open and asked < now + (deadline - clock):
                    self._pacing.budget.rest(self._pacing.clock())
                    pause = schedule.pause(self._clock() - self._started)
                    heapq.heappush(looks, (min(self._clock() + pause, deadline), number))
                self._report_some(max(looks[0][0] - self._clock(), 0.0) if looks else None)
        finally:
            self._report_rest(None)

    def _look(self, request: AcceptedErasure, due: float, give_up_at: float) -> Conversation[float]:
        """Look at a request, and tell when Kore.ai was asked, or the turn given up, by the pacing's clock."""
        turn = self._pacing.budget.turn(Call.STATUS, due)
        after: RequestOutcome | None = None
        try:
            status = yield from fetch_status(request.request_id, self._pacing, give_up_at, turn)
        except KoreThrottledError as fault:
            log.info("No turn to ask about %s yet: %s", request.request_id, fault.problem)
            return self._pacing.clock()
        except KoreUnavailableError as fault:
            log.warning("No answer about %s yet: %s It is asked for again.", request.request_id, fault.problem)
        except KoreUnknownRequestError as fault:
            if self._clock() - self._started < UNKNOWN_ID_GRACE:
                log.warning("%s is not known yet: %s It is asked for again.", request.request_id, fault.problem)
            else:
                after = self._unproven(request, fault)
        except KoreUnreadableAnswerError as fault:
            seen = self._unreadable.setdefault(request.request_id, _Unreadable(self._clock()))
            if seen.stays_so(self._clock()):
                after = self._unproven(request, fault)
            else:
                log.warning(
                    "No readable answer about %s yet: %s It is asked for again.", request.request_id, fault.problem
                )
        else:
            self._unreadable.pop(request.request_id, None)
            after = RequestOutcome(
                request.request_id,
                self._assess(request, status),
                fingerprint=status.fingerprint(self._fingerprint_key),
                understood=True,
                seen_at=int(self._clock()),
                created_on=status.created_on,
                updated_on=status.updated_on,
            )
        if after is not None:
            self._note(after)
        return turn.began if turn.began is not None else self._pacing.clock()

    def _note(self, after: RequestOutcome) -> None:
        """Keep what became of a request."""
        self._counts.subtract(self._outcomes[after.request_id].outcome.counts())
        self._counts.update(after.outcome.counts())
        self._outcomes[after.request_id] = after
        if after.settled:
            self._open.discard(after.request_id)

    def _report_some(self, next_look: float | None) -> None:
        """Report changes, but of many requests not each at once, and after a long silence also that there is none."""
        silence = self._clock() - max(self._reported_at, self._started)
        if silence >= LONGEST_SILENCE:
            self._reported.clear()
        if len(self._requests) <= FEW_REQUESTS or self._clock() - self._reported_at >= MINUTE:
            self._report_rest(next_look)

    def _report_rest(self, next_look: float | None) -> None:
        """Report the counts, if they are others than those reported last."""
        if self._counts != self._reported:
            self._reported = self._counts.copy()
            self._reported_at = self._clock()
            if self._report is not None:
                counts = self._counts
                outcome = ErasureOutcome(counts["erased"], counts["open"], counts["not_erased"])
                self._report(outcome, next_look)

    @staticmethod
    def _unproven(request: AcceptedErasure, fault: KoreError) -> RequestOutcome:
        outcome = ErasureOutcome(not_erased=request.user_count or 1, remarks=(f"{request.request_id}: {fault}",))
        return RequestOutcome(request.request_id, outcome)


def total(outcomes: Sequence[RequestOutcome]) -> ErasureOutcome:
    """Add up what became of all requests."""
    return sum((request.outcome for request in outcomes), ErasureOutcome())
