"""What a verifying task does in one try: look for people, leave the worker for a while, and end."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api.account import AccountIdentity
from airflow_provider_kore.api.history import check_channel_types
from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.erasure.ledger import require_same_account
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.period import read_period
from airflow_provider_kore.resumption import UsageFields, kept_state, push_outcome, state_is_lost, usage_from_json
from airflow_provider_kore.user_ids.batches import USUAL_BATCH_SIZE, UserBatches
from airflow_provider_kore.verification.verification import (
    Person,
    Verification,
    judge,
    look_for_people,
    read_extent,
    sample_seed,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator

log = logging.getLogger(__name__)

USERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class VerifyingState:
    """
    Hold what a task that verifies keeps when it leaves its worker; it names no user.

    :param account: at which account it looks for people.
    :param started: when the attempt started, in seconds since the epoch.
    :param users: the fingerprint of all users.
    :param verification: how far it is.
    :param calls: what the worker called that the task left; ``None`` if it did not leave one yet.
    """

    account: AccountIdentity
    started: float
    users: str
    verification: Verification
    calls: UsageFields | None = None

    def to_json(self) -> dict[str, object]:
        """Write the form that is kept."""
        return {
            "account": self.account,
            "started": self.started,
            "users": self.users,
            "verification": self.verification.to_json(),
            "calls": self.calls,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> VerifyingState:
        """Read what :meth:`to_json` wrote."""
        return cls(
            account=fields["account"],
            started=float(fields["started"]),
            users=str(fields["users"]),
            verification=Verification.from_json(fields["verification"]),
            calls=None if fields["calls"] is None else usage_from_json(fields["calls"]),
        )


class VerifyingTask:
    """
    Carry out one attempt of a task that verifies.

    :param operator: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    """

    def __init__(self, operator: KoreVerifyErasureOperator, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._hook = KoreHook(operator.kore_conn_id)

    def start(self) -> dict[str, object]:
        """Check everything, and look for one person after the other."""
        now = datetime.now(UTC)
        scope = check_scope(
            self._operator.bot_ids,
            self._operator.all_bots,
            allow_all_bots=True,  # only reads
            allowed_bot_ids=None,
            flag="all_bots",
        )
        channel_types = check_channel_types(self._operator.channel_types)
        period = read_period(self._operator.since, self._operator.until, now)
        extent = read_extent(self._operator.verify)
        if not extent.is_asked_for:
            raise KoreInputError("A task that verifies nobody is of no use.", remedy='Set verify to "all".')
        self._read_users()
        if not self._user_count:
            return self._end_empty()
        log.info("Looking for %d users at %s.", self._user_count, scope)
        seed = sample_seed(self._context, self._hook.account)
        verification = Verification.begin(extent, scope, channel_types, period, self._user_count, seed)
        return self._look(VerifyingState(self._hook.account.identity(), now.timestamp(), self._users, verification))

    def resume(self) -> dict[str, object]:
        """Resume once the account's budget is no longer spent."""
        state = kept_state(self._context, VerifyingState.from_json)
        if state is None:
            raise state_is_lost(Consequence.NOT_VERIFIED)
        require_same_account(state.account, self._hook.account)
        self._read_users()
        if self._users != state.users:
            raise KoreInputError(
                "The source of the user ids has changed while the task waited for the account's rate limit.",
                consequence=Consequence.NOT_VERIFIED,
                remedy="Put it back as it was, and clear the task.",
            )
        return self._look(state)

    # --- the users ---------------------------------------------------------------------------------------------------

    @cached_property
    def _batches(self) -> UserBatches:
        return UserBatches(self._operator.user_ids, USUAL_BATCH_SIZE, sys.maxsize, self._hook.account.fingerprint_key())

    def _read_users(self) -> None:
        """Read and check all users, so that nobody is looked for of a bad list."""
        planned = self._planned = self._batches.plan()
        self._user_count = sum(record.user_count for record in planned)
        self._users = hashlib.sha256("".join(record.fingerprint for record in planned).encode()).hexdigest()

    def _people(self) -> Iterator[Person]:
        for record, batch in self._batches.reread(self._planned):
            for position, user_id in enumerate(batch):
                yield Person(record.number, position, user_id)

    def _end_empty(self) -> dict[str, object]:
        if self._operator.on_empty == "skip":
            raise AirflowSkipException("There are no users to look for.")
        raise KoreInputError(
            "There are no users to look for.", remedy="Check the source, or set on_empty='skip' if that can happen."
        )

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self, state: VerifyingState) -> dict[str, object]:
        verification = state.verification
        failure = look_for_people(
            self._operator,
            self._context,
            self._hook,
            verification,
            self._people(),
            state.calls,
            deferrable=self._operator.deferrable,
            deadline=state.started + self._operator.timeout,
            state=lambda verification, calls: replace(state, verification=verification, calls=calls).to_json(),
        )
        output = {
            "user_count": self._user_count,
            **verification.scope.to_json(),
            **verification.output(self._user_count),
        }
        fail = self._operator.on_not_checkable == "fail"
        failures = [failure] if failure is not None else []
        for error in judge(verification, self._user_count, failures, fail_if_not_checkable=fail):
            push_outcome(self._operator, self._context, output)
            raise error
        return output
