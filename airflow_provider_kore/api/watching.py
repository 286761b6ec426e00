"""Poll erasure requests until each is settled or the deadline comes. One conversation for every mode."""

from __future__ import annotations

import heapq
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from airflow_provider_kore.api.budget import MINUTE, Turn
from airflow_provider_kore.api.calls import fetch_status
from airflow_provider_kore.api.conversation import Conversation, Pause, SlowPolls
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.matching import count_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import Pacing, PollSchedule
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

UNREADABLE_POLLS, UNREADABLE_GRACE = 3, 120.0
"""Polls in succession, and seconds between the first and the last, by whose unreadable answers a wait ends. A guess."""

LAST_POLLS = 1200.0
"""Seconds after the deadline for which last polls may still wait for their turns: enough for five hundred of them."""

FEW_REQUESTS = 20
"""Up to how many requests each change of the counts is reported at once; of more, at most one a minute."""

LONGEST_SILENCE = 600.0
"""After how many seconds the counts are reported although nothing has changed."""

Report = Callable[[ErasureOutcome, float | None], None]
"""Receives the counts of all requests, without remarks, and the seconds until the next poll, if there is one."""


@dataclass(frozen=True, slots=True)
class AcceptedErasure:
    """
    An erasure request that Kore.ai accepted.

    :param request_id: Kore.ai's id of it.
    :param user_count: how many users it has; ``None`` if that is not known.
    """

    request_id: str
    user_count: int | None

    def to_json(self) -> dict[str, str | int | None]:
        """Write the form that tasks return and triggers carry."""
        return {"request_id": self.request_id, "user_count": self.user_count}


RequestOutcomeFields = dict[str, Any]
"""The JSON form of the outcome of one request, as it travels from trigger to task."""


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """
    The outcome of one request, so far.

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
        fields: RequestOutcomeFields = _REQUEST_OUTCOME.dump_python(self, mode="json")
        return {**fields.pop("outcome"), **fields}

    @classmethod
    def from_json(cls, fields: RequestOutcomeFields) -> RequestOutcome:
        """
        Read what :meth:`to_json` wrote.

        :raises ValueError, TypeError, KeyError: if it is anything else.
        """
        counts = {name: fields[name] for name in ("erased", "open", "not_erased", "remarks")}
        return _REQUEST_OUTCOME.validate_json(json.dumps({**fields, "outcome": counts}), strict=True)


_REQUEST_OUTCOME = TypeAdapter(RequestOutcome)


Assess = Callable[[ErasureStatus, int | None], ErasureOutcome]
"""Judges an answer about a request; knows how many users the request has, if that is known."""


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
    :param report: receives the counts when they change, at the end, and now and then in between.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        requests: Sequence[AcceptedErasure],
        pacing: Pacing,
        *,
        fingerprint_key: bytes,
        started: float,
        assess: Assess = count_outcome,
        report: Report = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._pacing = pacing
        self._fingerprint_key = fingerprint_key
        self._started = started
        self._assess = assess
        self._report = report
        self._clock = clock
        self._outcomes = {request.request_id: RequestOutcome.unseen(request) for request in self._requests}
        self._open = set(self._outcomes)
        self._unreadable: dict[str, list[float]] = {}  # when polls in succession found nothing else
        self._counts = [0, sum(request.outcome.open for request in self.outcomes), 0]
        self._reported: list[int] | None = self._counts
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
        Poll once, and tell whether all requests are settled.

        Begins with the last request, and stops at the first open one, since more polls could not change the answer.

        :param max_wait: seconds that each poll waits for its turn at most.
        """
        for request in reversed(self._requests):
            now = self._pacing.clock()
            yield from self._poll(request, now, now + max_wait)
            if request.request_id in self._open:
                break
        self._report_change(None)
        return self.settled

    def wait(self, schedule: PollSchedule, deadline: float, first_poll: float | None = None) -> Conversation[None]:
        """
        Poll until all requests are settled, or until each open one was polled after the deadline.

        The last polls wait for their turns no longer than :data:`LAST_POLLS` allows. Requests are polled one after the
        other. The one that has been due for longest is the next, and queues for the account's budget since then, so
        that a request fares the same in one watch of many as in a watch of its own.

        :param schedule: how the polls grow apart.
        :param deadline: in seconds since the epoch.
        :param first_poll: when to poll first, in seconds since the epoch; at once if left out.
        """
        begin = max(self._clock(), min(first_poll or 0.0, deadline))
        polls = [(begin, number) for number in range(len(self._requests))]
        last_turn = max(deadline, self._clock()) + LAST_POLLS
        try:
            while polls:
                poll_at, number = heapq.heappop(polls)
                request = self._requests[number]
                while (seconds := poll_at - self._clock()) > 0:
                    yield Pause(seconds)
                now, clock = self._pacing.clock(), self._clock()
                asked = yield from self._poll(request, now - (clock - poll_at), now + (last_turn - clock))
                # What was asked before the deadline and answered after it is no poll at the deadline.
                if request.request_id in self._open and asked < now + (deadline - clock):
                    yield SlowPolls()
                    pause = schedule.pause(self._clock() - self._started)
                    heapq.heappush(polls, (min(self._clock() + pause, deadline), number))
                self._report_now_and_then(max(polls[0][0] - self._clock(), 0.0) if polls else None)
        finally:
            self._report_change(None)

    def _poll(self, request: AcceptedErasure, due: float, give_up_at: float) -> Conversation[float]:
        """Poll a request, and return when it was polled, or its turn expired, by the pacing's clock."""
        turn = Turn(Call.STATUS, due)
        after = None
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
                after = _unproven(request, fault)
        except KoreUnreadableAnswerError as fault:
            polled = self._unreadable.setdefault(request.request_id, [])
            polled.append(self._clock())
            if len(polled) >= UNREADABLE_POLLS and polled[-1] - polled[0] >= UNREADABLE_GRACE:
                after = _unproven(request, fault)
            else:
                log.warning("No readable answer about %s: %s It is asked for again.", request.request_id, fault.problem)
        else:
            self._unreadable.pop(request.request_id, None)
            after = RequestOutcome(
                request.request_id,
                self._assess(status, request.user_count),
                fingerprint=status.fingerprint(self._fingerprint_key),
                understood=True,
                seen_at=int(self._clock()),
                created_on=status.created_on,
                updated_on=status.updated_on,
            )
        if after is not None:
            self._note(after)
        return turn.began if turn.began is not None else self._pacing.clock()

    def _note(self, outcome: RequestOutcome) -> None:
        """Keep the outcome of a request."""
        before = self._outcomes[outcome.request_id].outcome.counts().values()
        after = outcome.outcome.counts().values()
        self._counts = [a - b + c for a, b, c in zip(self._counts, before, after, strict=True)]
        self._outcomes[outcome.request_id] = outcome
        if outcome.settled:
            self._open.discard(outcome.request_id)

    def _report_now_and_then(self, next_poll: float | None) -> None:
        """Report changes, but of many requests not each at once, and after a long silence also that there is none."""
        if self._clock() - max(self._reported_at, self._started) >= LONGEST_SILENCE:
            self._reported = None
        if len(self._requests) <= FEW_REQUESTS or self._clock() - self._reported_at >= MINUTE:
            self._report_change(next_poll)

    def _report_change(self, next_poll: float | None) -> None:
        """Report the counts, if they are others than those reported last."""
        if self._counts != self._reported:
            self._reported = self._counts
            self._reported_at = self._clock()
            erased, open_, not_erased = self._counts
            self._report(ErasureOutcome(erased, open_, not_erased), next_poll)


def _unproven(request: AcceptedErasure, fault: KoreError) -> RequestOutcome:
    outcome = ErasureOutcome(not_erased=request.user_count or 1, remarks=(f"{request.request_id}: {fault}",))
    return RequestOutcome(request.request_id, outcome)
