"""The order in which a task waits for any number of requests: in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.matching import count_outcome
from airflow_provider_kore.api.watching import AcceptedErasure, Assess, ErasureWatch, RequestOutcome
from airflow_provider_kore.deadlines import StatutoryDeadline
from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.triggers.event import log_progress

REQUESTS_AT_ONCE = 500
"""How many requests one trigger takes: it rests in a column of Airflow's database of at most 64 kB on MySQL."""

POLLED_FIRST = 20
"""Up to how many requests are polled before a trigger takes them, since an erasure can take half a second."""

ROUND = timedelta(hours=1)
"""How long a trigger keeps its requests while others wait for one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    Say how a task waits.

    :param deferrable: in the triggerer.
    :param reschedule: by leaving the worker and starting again.
    :param poll_interval: longest pause between two polls of a request, in seconds.
    :param timeout: longest wait, in seconds.
    """

    deferrable: bool
    reschedule: bool
    poll_interval: float
    timeout: float


@dataclass(slots=True)
class WaitQueue:
    """
    Keep the order of the batches whose requests are waited for.

    The triggerer takes some hundreds at a time. Those that are open when their round ends go to the back of the queue.
    At the deadline each is polled once more.

    :param numbers: of the batches; those that come first are in the present round.
    :param round_size: how many batches are in the present round.
    :param round_ends: when the present round ends, in seconds since the epoch.
    """

    numbers: list[int] = field(default_factory=list)
    round_size: int = 0
    round_ends: float = 0.0

    def start_round(self, deadline: float, most: int | None = None) -> list[int]:
        """
        Start a round and return its batches.

        :param deadline: when the whole wait ends, in seconds since the epoch.
        :param most: how many batches a round can take; ``None`` for any number.
        """
        rounds_follow = most is not None and len(self.numbers) > most
        self.round_ends = min(deadline, time.time() + ROUND.total_seconds()) if rounds_follow else deadline
        self.round_size = len(self.numbers[:most])
        return self.round

    @property
    def round(self) -> list[int]:
        """The batches of the present round."""
        return self.numbers[: self.round_size]

    def end_round(self, outcomes: Mapping[int, RequestOutcome], deadline: float) -> None:
        """
        Take out what is settled, and at the deadline also what is open.

        :param outcomes: of the batches of the round, by number.
        :param deadline: when the whole wait ends, in seconds since the epoch.
        """
        is_last = min(self.round_ends, time.time()) >= deadline
        still_open = [number for number, outcome in outcomes.items() if not (outcome.settled or is_last)]
        self.numbers = [number for number in self.numbers if number not in outcomes] + still_open
        self.round_size = 0


def end_of_wait(started: float, timeout: float, deadline: StatutoryDeadline | None) -> float:
    """
    Return when a wait ends: the statutory deadline ends it too, unless that has passed before it started.

    :param started: in seconds since the epoch.
    :param timeout: longest wait, in seconds.
    :param deadline: by when the law requires an answer.
    """
    end = started + timeout
    if deadline is not None and deadline.ends_at.timestamp() > started:
        end = min(end, deadline.ends_at.timestamp())
    return end


class Poller:
    """
    Poll requests in the worker.

    :param hook: the connection.
    :param started: when the attempt started, in seconds since the epoch; the pauses grow with the time since.
    :param request_of: returns the request of a batch, by its number.
    """

    def __init__(self, hook: KoreHook, started: float, request_of: Callable[[int], AcceptedErasure]) -> None:
        self._hook = hook
        self._started = started
        self._request_of = request_of

    def watch(self, client: KoreClient, numbers: Sequence[int], assess: Assess = count_outcome) -> ErasureWatch:
        """Make a watch of the requests of some batches."""
        return ErasureWatch(
            [self._request_of(number) for number in numbers],
            client.pacing,
            fingerprint_key=self._hook.account.fingerprint_key(),
            started=self._started,
            assess=assess,
            report=log_progress,
        )

    def poll(
        self, numbers: Sequence[int], conversation: Callable[[ErasureWatch], Conversation[object]]
    ) -> tuple[dict[int, RequestOutcome], KoreError | None]:
        """
        Poll the requests of some batches.

        :param conversation: how.
        :return: the outcomes by number, and what ended the polling early.
        """
        failure: KoreError | None = None
        with self._hook.get_conn() as client:
            watch = self.watch(client, numbers)
            try:
                client.run(conversation(watch))
            except KoreError as error:
                failure = error
        return dict(zip(numbers, watch.outcomes, strict=True)), failure
