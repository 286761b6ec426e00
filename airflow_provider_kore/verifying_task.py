"""What a verifying task does in one try: look for people, leave the worker for a while, and end."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

from airflow_provider_kore.api.account import AccountIdentity
from airflow_provider_kore.api.erasure import check_scope
from airflow_provider_kore.api.history import check_channel_types
from airflow_provider_kore.batches import USUAL_BATCH_SIZE, UserBatches
from airflow_provider_kore.compatibility import AirflowSkipException
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.ledger import require_same_account
from airflow_provider_kore.period import read_period
from airflow_provider_kore.verification import (
    Person,
    Verification,
    VerificationFields,
    judge,
    look_for_people,
    read_extent,
    sample_seed,
)
from airflow_provider_kore.waiting import CallsFields, push_outcome

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator

log = logging.getLogger(__name__)

USERS_AT_ONCE = 100


class CarriedFields(TypedDict):
    """What a task takes along when it leaves its worker."""

    account: AccountIdentity
    started: float
    users: str


class VerifyingTask:
    """
    Conduct one try of a task that verifies.

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
        carried: CarriedFields = {
            "account": self._hook.account.identity(),
            "started": now.timestamp(),
            "users": self._users,
        }
        return self._look(carried, verification, None)

    def go_on(self, carried: CarriedFields, verification: VerificationFields, pause: CallsFields) -> dict[str, object]:
        """
        Go on, once the account's budget is no longer spent.

        :param carried: what the task took along.
        :param verification: how far it is.
        :param pause: with what the task left its worker.
        """
        require_same_account(carried["account"], self._hook.account)
        self._read_users()
        if self._users != carried["users"]:
            raise KoreInputError(
                "The source of the user ids has changed while the task waited for the account's rate limit.",
                consequence=Consequence.NOT_VERIFIED,
                remedy="Put it back as it was, and clear the task.",
            )
        return self._look(carried, Verification.from_json(verification), pause)

    # --- the users ---------------------------------------------------------------------------------------------------

    @cached_property
    def _batches(self) -> UserBatches:
        return UserBatches(self._operator.user_ids, USUAL_BATCH_SIZE, sys.maxsize)

    def _read_users(self) -> None:
        """Read and check all users, so that nobody is looked for of a bad list."""
        planned = self._planned = self._batches.plan(self._hook.account.fingerprint_key())
        self._user_count = sum(record.user_count for record in planned)
        self._users = hashlib.sha256("".join(record.fingerprint for record in planned).encode()).hexdigest()

    def _people(self) -> Iterator[Person]:
        for record, batch in self._batches.again(self._planned, self._hook.account.fingerprint_key()):
            for position, user_id in enumerate(batch):
                yield Person(record.number, position, user_id)

    def _end_empty(self) -> dict[str, object]:
        if self._operator.on_empty == "skip":
            raise AirflowSkipException("There are no users to look for.")
        raise KoreInputError(
            "There are no users to look for.", remedy="Check the source, or set on_empty='skip' if that can happen."
        )

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self, carried: CarriedFields, verification: Verification, pause: CallsFields | None) -> dict[str, object]:
        failure = look_for_people(
            self._operator,
            self._hook,
            verification,
            self._people(),
            pause,
            deferrable=self._operator.deferrable,
            deadline=carried["started"] + self._operator.timeout,
            kwargs=lambda: {"carried": carried},
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
