"""One attempt of the task that verifies an erasure."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, cast

from pydantic import TypeAdapter

from airflow_provider_kore.api.channels import check_channel_types
from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreResumeError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.options import check_sample
from airflow_provider_kore.period import read_period
from airflow_provider_kore.resumption import (
    UsageFields,
    kept_state,
    max_worker_wait,
    push_outcome,
    resume_after,
    state_is_lost,
)
from airflow_provider_kore.user_ids.batches import USUAL_BATCH_SIZE, UserBatches
from airflow_provider_kore.user_ids.sealed import seal_opener
from airflow_provider_kore.verification.findings import Verification, sample_seed
from airflow_provider_kore.verification.search import CheckedUser, search_users
from airflow_provider_kore.verification.verdict import verification_failures

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)


class VerifyTask(Protocol):
    """The arguments of a task that verifies, rendered; :class:`KoreVerifyErasureOperator` describes them."""

    user_ids: object
    bot_ids: object
    all_bots: bool | str
    since: object
    until: object
    people: str
    channel_types: Sequence[str]
    on_not_checkable: str
    on_empty: str
    deferrable: bool
    timeout: float
    kore_conn_id: str


@dataclass(frozen=True, slots=True)
class VerifyState:
    """
    Contain what the task keeps when it leaves its worker; it contains no user id.

    :param identity: the account, and the fingerprint of the users.
    :param started: when the attempt started, in seconds since the epoch.
    :param verification: what is found so far.
    :param usage: what the worker called that the task left; ``None`` if it has not left one.
    """

    identity: dict[str, object]
    started: float
    verification: Verification
    usage: UsageFields | None = None


_STATE = TypeAdapter(VerifyState)


class VerifyRun:
    """
    Run one attempt of a task that verifies.

    :param task: the operator; its arguments are rendered.
    :param context: of the running task.
    """

    def __init__(self, task: VerifyTask, context: Context) -> None:
        self._operator = cast("BaseOperator", task)
        self._task = task
        self._context = context
        self._hook = KoreHook(task.kore_conn_id)
        account = self._hook.account
        self._batches = UserBatches(
            task.user_ids, USUAL_BATCH_SIZE, sys.maxsize, account.fingerprint_key(), seal_opener(account, context)
        )

    def start(self) -> dict[str, object]:
        """Check everything, and verify one user after the other."""
        task, now = self._task, datetime.now(UTC)
        # The task only reads, so that it may ask about bots from which the connection does not let it erase.
        scope = check_scope(task.bot_ids, task.all_bots, allow_all_bots=True, allowed_bot_ids=None)
        channel_types = check_channel_types(task.channel_types)
        period = read_period(task.since, task.until, now)
        people = check_sample(task.people)
        identity = self._read_users()
        if not self._user_count:
            if task.on_empty == "skip":
                raise AirflowSkipException("There are no users to verify.")
            raise KoreInputError(
                "There are no users to verify.", remedy="Check the source, or set on_empty='skip' if that can happen."
            )
        log.info("Verifying the erasure of %d users at %s.", self._user_count, scope)
        seed = sample_seed(self._context, self._hook.account)
        verification = Verification.start(people, scope, channel_types, period, self._user_count, seed)
        return self._verify(VerifyState(identity, now.timestamp(), verification))

    def resume(self) -> dict[str, object]:
        """Continue when the account's budget is no longer spent."""
        state = kept_state(self._context, _STATE.validate_python)
        if state is None:
            raise state_is_lost(Consequence.NOT_VERIFIED)
        if self._read_users() != state.identity:
            raise KoreResumeError(
                "The connection or the source of the user ids was changed while this task waited for the account's "
                "rate limit.",
                consequence=Consequence.NOT_VERIFIED,
                remedy="Put it back as it was, and clear the task.",
            )
        return self._verify(state)

    def _read_users(self) -> dict[str, object]:
        """Read and check all users, so that Kore.ai is asked about no user of a bad list; return whose they are."""
        account = self._hook.account
        self._planned = self._batches.plan()
        self._user_count = sum(batch.user_count for batch in self._planned)
        return {**account.identity(), "users": self._batches.fingerprint}

    def _users(self) -> Iterator[CheckedUser]:
        for planned, batch in self._batches.reread(self._planned):
            for position, user_id in enumerate(batch):
                yield CheckedUser(planned.number, position, user_id)

    def _verify(self, state: VerifyState) -> dict[str, object]:
        verification, task = state.verification, self._task
        deadline = state.started + task.timeout
        end = search_users(
            self._hook,
            verification,
            self._users(),
            state.usage,
            max_worker_wait=max_worker_wait(task.deferrable),
            deadline=deadline,
        )
        if end.seconds > 0:
            kept = _STATE.dump_python(replace(state, usage=end.usage), mode="json")
            resume_after(self._operator, self._context, end.seconds, kept, deadline)
        output = {
            "user_count": self._user_count,
            **verification.scope.to_json(),
            **verification.output(self._user_count),
        }
        failures = verification_failures(
            verification,
            self._user_count,
            [] if end.failure is None else [end.failure],
            fail_if_not_checkable=task.on_not_checkable == "fail",
        )
        if failures:
            push_outcome(self._operator, self._context, output)
            raise failures[0]
        return output
