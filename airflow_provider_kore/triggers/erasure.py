"""Wait for erasures in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch, RequestOutcome
from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.resumption import failure_to_json
from airflow_provider_kore.triggers.event import ErasureEvent, log_progress, waiting_broke_off


class KoreErasureTrigger(BaseTrigger):
    """
    Poll erasure requests until Kore.ai is done with all, or the deadline comes, and then fire once.

    It only reads: a restart of the triggerer, which starts it anew, submits nothing and loses nothing. Its arguments
    rest in Airflow's database, so there is no user id among them.

    :param requests: a pair for each request: its id, and its number of users or ``None``.
    :param kore_conn_id: id of the connection.
    :param started: when the attempt started, in seconds since the epoch; the pauses grow with the time since.
    :param deadline: when it ends, in seconds since the epoch: wall-clock time, since it crosses processes.
    :param poll_interval: longest pause between two polls of a request, in seconds.
    :param first_poll: when to poll first, in seconds since the epoch; default: at once.
    """

    def __init__(
        self,
        requests: list[list[str | int | None]],
        kore_conn_id: str,
        started: float,
        deadline: float,
        poll_interval: float,
        first_poll: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.requests = requests
        self.kore_conn_id = kore_conn_id
        self.started = started
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.first_poll = first_poll

    def serialize(self) -> tuple[str, dict[str, object]]:
        """Return class path and arguments, all of them primitives."""
        return (
            "airflow_provider_kore.triggers.erasure.KoreErasureTrigger",
            {
                "requests": self.requests,
                "kore_conn_id": self.kore_conn_id,
                "started": self.started,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "first_poll": self.first_poll,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event, with the outcome of each request and what ended the wait early, if anything."""
        from airflow_provider_kore.hooks.kore import KoreHook

        requests = [AcceptedErasure(str(request_id), _count(count)) for request_id, count in self.requests]
        watch: ErasureWatch | None = None
        failure: KoreError | None = None
        try:
            hook = KoreHook(self.kore_conn_id)
            async with hook.aget_conn() as client:
                account = await hook.aget_account()
                watch = ErasureWatch(
                    requests,
                    client.pacing,
                    fingerprint_key=account.fingerprint_key(),
                    started=self.started,
                    report=log_progress,
                )
                schedule = PollSchedule(longest=self.poll_interval)
                await client.run(watch.wait(schedule, self.deadline, self.first_poll))
        except KoreError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 # a trigger that crashes would lose the outcomes that it has
            failure = waiting_broke_off(error)
        outcomes = watch.outcomes if watch is not None else [RequestOutcome.unseen(request) for request in requests]
        event: ErasureEvent = {
            "outcomes": [outcome.to_json() for outcome in outcomes],
            "failure": failure_to_json(failure) if failure is not None else None,
        }
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]


def _count(value: str | int | None) -> int | None:
    return None if value is None else int(value)
