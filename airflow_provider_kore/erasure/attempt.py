"""What an attempt knows, how it leaves its worker, and what it loads when it resumes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_kore.erasure.evidence import Evidence
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.options import ErasureOptions
from airflow_provider_kore.erasure.plan_identity import require_same_account, require_same_options
from airflow_provider_kore.erasure.record import RequestRecord
from airflow_provider_kore.erasure.report import ErasureReport
from airflow_provider_kore.erasure.state import Phase, RunState
from airflow_provider_kore.erasure.store import RecordStore
from airflow_provider_kore.erasure.wait import Poller, Waiting, WaitQueue, end_of_wait
from airflow_provider_kore.exceptions import Consequence, KoreError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.resumption import failure_from_json, failure_to_json, resume_after
from airflow_provider_kore.user_ids.batches import UserBatches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import BaseOperator, Context


class Attempt(ABC):
    """
    Know the task, its ledger, and how far this attempt is.

    :param task: the operator or sensor.
    :param context: of the running task.
    :param kore_conn_id: the connection.
    :param waiting: how the task waits.
    :param resumes: whether this attempt has left its worker before.
    :cvar submits: whether there is a phase SUBMIT.
    """

    submits: bool
    _waits = True
    _ledger: ErasureLedger
    _options: ErasureOptions
    _batches: UserBatches | None = None

    def __init__(
        self, task: BaseOperator, context: Context, kore_conn_id: str, waiting: Waiting, *, resumes: bool
    ) -> None:
        self._task = task
        self._context = context
        self._hook = KoreHook(kore_conn_id)
        self._waiting = waiting
        self._state = RunState.kept(context) if resumes else None
        state = self._state or RunState(Phase.SUBMIT, self._first_start())
        self._started = state.started
        self._failures = [failure_from_json(fields) for fields in state.failures]
        self._not_erased_users = state.not_erased_users
        self._verification = state.verification
        self._queue = state.queue
        self._store = RecordStore(context.get("task_state_store") if self.submits else None, state.records)
        self._next_poll = 0.0

    def _leave(self, phase: Phase, seconds: float, **more: Any) -> NoReturn:  # noqa: ANN401 # fields of RunState
        """Leave the worker for as long as the account's budget is spent."""
        resume_after(self._task, self._context, seconds, self._state_to_keep(phase, **more), self._deadline)

    def _state_to_keep(self, phase: Phase, **more: Any) -> Mapping[str, object]:  # noqa: ANN401
        return RunState(
            phase,
            self._started,
            [failure_to_json(failure) for failure in self._failures],
            self._store.carried,
            self._not_erased_users,
            self._queue,
            self._verification,
            **more,
        ).to_json()

    def _load(self) -> None:
        """Load the ledger, and refuse to continue at another account or with other options."""
        self._read_options()
        self._ledger = self._load_ledger()
        require_same_account(self._ledger.header, self._hook.account)
        consequence = self._ledger.consequence if self.submits else Consequence.ONLY_WAITS
        require_same_options(self._ledger.header, self._fingerprint, consequence)
        if self._state is None:
            self._not_erased_users = self._ledger.not_erased_users

    @abstractmethod
    def _read_options(self) -> None:
        """Check the options of the task."""

    @abstractmethod
    def _load_ledger(self) -> ErasureLedger:
        """Load what this attempt has recorded."""

    @property
    @abstractmethod
    def _fingerprint(self) -> str:
        """What must be the same when the task resumes."""

    @property
    def _consequence(self) -> Consequence:
        """What it means for the erasure if the task submits nothing more."""
        return self._ledger.consequence_of_stopping

    @abstractmethod
    def _first_start(self) -> float:
        """Return when the attempt started, in seconds since the epoch."""

    @abstractmethod
    def _interrupted(self) -> KoreError:
        """Say what it means that the triggerer did not bring back the task."""

    @contextmanager
    def _consequences(self) -> Iterator[None]:
        """Let a refusal that is raised within say what was sent before."""
        try:
            yield
        except KoreError as error:
            if error.consequence is not Consequence.NOT_SENT:
                raise
            consequence = self._refuse()
            if consequence is Consequence.NOT_SENT:
                raise
            raise error.with_consequence(consequence) from None

    @abstractmethod
    def _refuse(self) -> Consequence:
        """Return what it means for the erasure that this attempt is refused, and publish that it is."""

    def _refill_queue(self) -> None:
        self._queue = WaitQueue([record.number for record in self._ledger.accepted])

    def _request(self, number: int) -> RequestRecord:
        return self._ledger.records[number - 1].request

    @cached_property
    def _deadline(self) -> float:
        return end_of_wait(self._started, self._waiting.timeout, self._options.deadline)

    @property
    def _poller(self) -> Poller:
        return Poller(self._hook, self._started, self._request)

    @property
    def _evidence(self) -> Evidence | None:
        if self._batches is None:
            return None
        return Evidence(self._options, self._hook.account, self._ledger, self._batches)

    @property
    def _report(self) -> ErasureReport:
        return ErasureReport(
            self._task,
            self._context,
            self._hook.account.base_url,
            self._ledger,
            self._options.deadline,
            submits=self.submits,
            started=self._started,
        )
