"""How a task waits for any number of requests: in rounds, and with little to carry from one to the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypedDict

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome, RequestOutcomeFields
from airflow_provider_kore.erasure.waiting import log_remarks, read_event
from airflow_provider_kore.exceptions import KoreError

log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 500
"""How many requests one trigger takes: it rests in a column of Airflow's database that holds 64 kB on MySQL."""

LOOKED_AT_FIRST = 20
"""Up to how many requests are looked at before they are handed to the triggerer."""

ROUND = timedelta(hours=1)
"""How long a trigger holds its requests while others wait to be handed over."""

KEPT_REMARKS = 20


class ProgressFields(TypedDict):
    """The JSON form of a wait's progress."""

    left: list[int]
    erased: int
    open: int
    not_erased: int
    remarks: list[str]
    open_ids: list[str]
    round_size: int
    round_ends: float
    kept: dict[str, RequestOutcomeFields] | None


@dataclass(slots=True)
class Progress:
    """
    Keep how far the wait for any number of requests is, in a form that grows little with their number.

    Requests are waited for in rounds. The triggerer takes some hundreds at a time; those that are still open when their
    round ends go to the back of the queue, and at the deadline each is looked at once more.

    :param left: requests that are waited for, by number; those that come first are in the present round.
    :param outcome: what all others add up to.
    :param open_ids: the ids of those among the others that were open at the deadline.
    :param round_size: how many requests are in the present round.
    :param round_ends: when the present round ends, in seconds since the epoch.
    :param kept: what came of each of the others by number, where somebody needs more than sums; else ``None``.
    """

    left: list[int]
    outcome: ErasureOutcome = field(default_factory=ErasureOutcome)
    open_ids: list[str] = field(default_factory=list)
    round_size: int = 0
    round_ends: float = 0.0
    kept: dict[int, RequestOutcome] | None = None

    def begin_round(self, deadline: float, most: int | None = None) -> list[int]:
        """
        Begin a round and give its requests.

        :param deadline: when the whole wait ends, in seconds since the epoch.
        :param most: how many requests a round can take; ``None`` for any number.
        """
        rounds_follow = most is not None and len(self.left) > most
        self.round_ends = min(deadline, time.time() + ROUND.total_seconds()) if rounds_follow else deadline
        self.round_size = len(self.left[:most])
        return self.left[:most]

    def read_round(
        self, event: object, request_of: Callable[[int], AcceptedErasure]
    ) -> tuple[dict[int, RequestOutcome], KoreError | None]:
        """
        Read what the trigger told of the present round.

        :param event: the trigger's event; of one that is not understood it is as if nobody had looked.
        :param request_of: gives a request by its number.
        :return: the outcomes by number, and what kept the trigger from waiting on, if anything.
        """
        numbers = self.left[: self.round_size]
        requests = [request_of(number) for number in numbers]
        failure: KoreError | None
        try:
            outcomes, failure = read_event(event, requests)
        except KoreError as error:
            outcomes, failure = [RequestOutcome.unseen(request) for request in requests], error
        return dict(zip(numbers, outcomes, strict=True)), failure

    def end_round(self, outcomes: Mapping[int, RequestOutcome], deadline: float) -> None:
        """
        Take what came of a round.

        :param outcomes: of each of its requests, by number.
        :param deadline: when the whole wait ends.
        """
        again = []
        for number, outcome in outcomes.items():
            if outcome.settled or min(self.round_ends, time.time()) >= deadline:
                self._add(number, outcome)
            else:
                again.append(number)
        self.left = [number for number in self.left if number not in outcomes] + again
        if self.left:
            log.info("%d requests are still open; waiting goes on.", len(self.left))

    def give_up(self, unseen: Callable[[int], RequestOutcome]) -> None:
        """
        Stop waiting.

        :param unseen: tells what is said of a request that nobody looked at.
        """
        for number in self.left:
            self._add(number, unseen(number))
        self.left = []

    def so_far(self, user_count: int) -> ErasureOutcome:
        """Count all people, those who are waited for as open."""
        known = self.outcome.user_count
        return ErasureOutcome(self.outcome.erased, self.outcome.open + user_count - known, self.outcome.not_erased)

    def _add(self, number: int, outcome: RequestOutcome) -> None:
        if self.kept is not None:
            self.kept[number] = outcome
        log_remarks(outcome.outcome)
        if not outcome.settled:
            self.open_ids.append(outcome.request_id)
        added = self.outcome + outcome.outcome
        self.outcome = replace(added, remarks=added.remarks[:KEPT_REMARKS])

    def to_json(self) -> ProgressFields:
        """Write the form that a deferral carries."""
        return {
            "left": self.left,
            **self.outcome.counts(),  # type: ignore[typeddict-item]
            "remarks": list(self.outcome.remarks),
            "open_ids": self.open_ids,
            "round_size": self.round_size,
            "round_ends": self.round_ends,
            "kept": None
            if self.kept is None
            else {str(number): outcome.to_json() for number, outcome in self.kept.items()},
        }

    @classmethod
    def from_json(cls, fields: ProgressFields) -> Progress:
        """Read what :meth:`to_json` wrote."""
        outcome = ErasureOutcome(fields["erased"], fields["open"], fields["not_erased"], tuple(fields["remarks"]))
        kept = fields["kept"]
        return cls(
            list(fields["left"]),
            outcome,
            list(fields["open_ids"]),
            fields["round_size"],
            fields["round_ends"],
            None
            if kept is None
            else {int(number): RequestOutcome.from_json(outcome) for number, outcome in kept.items()},
        )
