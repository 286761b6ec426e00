"""What an erasing task is about to do: read and checked as a whole before anything is sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.calls import fetch_members
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.members import MemberNames
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.erasure.approval import plan_fingerprint
from airflow_provider_kore.erasure.ledger import BatchRecord, ErasureLedger, Plan, make_plan
from airflow_provider_kore.erasure.options import Demands, require_exported
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError
from airflow_provider_kore.options import check_max_users
from airflow_provider_kore.user_ids.batches import UserBatches
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef, show_user_refs, user_ref

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """
    Hold what is about to be done.

    :param scope: the bots.
    :param records: one for each batch, of which nothing was sent.
    :param plan: what must be the same in each try.
    :param fingerprint: what an approval is about.
    """

    scope: ErasureScope
    records: Sequence[BatchRecord]
    plan: Plan
    fingerprint: str


class ErasurePlanning:
    """
    Plan an erasure.

    :param operator: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    :param account: of the connection.
    :param demands: what is asked for beside the erasure.
    :param deadline: until when turns are waited for, in seconds since the epoch.
    :ivar batches: the users.
    """

    def __init__(
        self,
        operator: KoreEraseUserDataOperator,
        context: Context,
        account: KoreAccount,
        demands: Demands,
        deadline: float,
    ) -> None:
        self._operator = operator
        self._context = context
        self._account = account
        self._demands = demands
        self._deadline = deadline
        most = check_max_users(operator.max_users, account.max_users)
        self.batches = UserBatches(operator.user_ids, operator.batch_size, most, account.fingerprint_key())

    def plan(self, *, may_skip: bool) -> Planned:
        """
        Check the bots, and read and check all users.

        :param may_skip: whether the task is skipped if there are no users, and nothing was submitted before.
        :raises KoreInputError: if any of that is refused, or there are no users.
        :raises AirflowSkipException: if there are no users and that is to skip the task.
        """
        scope = check_scope(
            self._operator.bot_ids,
            self._operator.remove_data_from_all_bots,
            allow_all_bots=self._account.allow_all_bots,
            allowed_bot_ids=self._account.allowed_bot_ids,
        )
        key = self._account.fingerprint_key()
        records = [BatchRecord.of(batch) for batch in self.batches.plan()]
        if not records:
            self._end_empty(may_skip)
        plan = make_plan(
            self._account,
            scope,
            user_count=sum(record.user_count for record in records),
            batch_size=self._operator.batch_size,
            forced_within=tries_granted(self._context) if self._operator.force else 0,
        )
        return Planned(scope, records, plan, plan_fingerprint(plan, records, key))

    def _end_empty(self, may_skip: bool) -> NoReturn:
        if may_skip:
            raise AirflowSkipException("There are no users to erase.")
        raise KoreInputError(
            "There are no users to erase.",
            remedy="Check the source, or set on_empty='skip' if that can happen.",
        )

    def show(self, planned: Planned, client: KoreClient) -> dict[str, object]:
        """Tell what would be done, as a dry run returns it."""
        sizes = [record.user_count for record in planned.records]
        log.info(
            "Dry run: %d users would be erased from %s, in %d requests of %s users. Nothing was sent.",
            sum(sizes),
            planned.scope,
            len(sizes),
            ", ".join(map(str, sizes[:20])) + (", …" if len(sizes) > 20 else ""),
        )
        return {
            "requests": [],
            "user_count": sum(sizes),
            "batch_count": len(sizes),
            **planned.scope.to_json(),
            "dry_run": True,
            "plan_fingerprint": planned.fingerprint,
            **(self._show_members(client) if self._operator.check_members else {}),
        }

    def _show_members(self, client: KoreClient) -> dict[str, object]:
        members = self._find_members(client)
        if members:
            log.warning("%s", _of_members(members))
        return {"member_count": len(members), "members": members[:NAMED_IN_OUTPUT]}

    def refuse_what_must_not_be_sent(self, ledger: ErasureLedger, client: KoreClient) -> None:
        """
        Refuse to send anything as long as Kore.ai would refuse somebody, or somebody's data were not exported.

        :param ledger: what earlier tries did; if nothing is left to be sent, nothing is refused but an export that
            nobody looked at before it was.
        :raises KoreInputError: if so.
        """
        exported = self._demands.exported
        checked = None if exported is None else exported.named.manifest_sha256
        if not any(record.must_be_sent for record in ledger.records):
            if checked is not None and checked != ledger.header.get("exported"):
                raise KoreInputError(
                    "All users were submitted before, and with another export or none.",
                    remedy="Give the same export_manifest as then, or leave it out.",
                )
            return
        require_exported(
            self._demands,
            self._account,
            ledger.scope,
            ledger.user_count,
            self.batches.fingerprint,
            erased_at=datetime.now(UTC),
        )
        if self._operator.check_members and (members := self._find_members(client)):
            raise KoreInputError(
                _of_members(members),
                remedy="Take them out of the account in Kore.ai's Admin Console, or out of the users, and run again.",
            )
        ledger.note(exported=checked)

    def _find_members(self, client: KoreClient) -> list[UserRef]:
        """Tell who of the users is a member of the account."""
        give_up_at = client.pacing.clock() + max(self._deadline - time.time(), 0.0)
        try:
            names = MemberNames(client.run(fetch_members(client.pacing, give_up_at)))
        except KoreError as error:
            raise error.with_consequence(Consequence.NOT_SENT) from None
        return [
            user_ref(planned.number, position, user_id, self._account.digest_key)
            for planned, batch in self.batches
            for position, user_id in enumerate(batch)
            if user_id in names
        ]


def tries_granted(context: Context) -> int:
    """Tell how many tries Airflow grants the task in all: the same for all retries, and more after a clear."""
    return (context["ti"].max_tries or 0) + 1


def _of_members(members: Sequence[UserRef]) -> str:
    return (
        f"{len(members)} of the users are members of the Kore.ai account, whom Kore.ai does not erase: "
        f"{show_user_refs(members, len(members))}."
    )
