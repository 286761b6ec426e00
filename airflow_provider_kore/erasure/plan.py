"""What an erasure is about to do: read and checked as a whole before anything is sent."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.calls import fetch_members
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.members import MemberNames
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.arguments import check_max_users
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.erasure.plan_identity import PlanIdentity, identify_plan
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreInputError
from airflow_provider_kore.user_ids.batches import UserBatches
from airflow_provider_kore.user_ids.source import Opener
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef, show_user_refs, user_ref

log = logging.getLogger(__name__)


class PlannedTask(Protocol):
    """Contain the rendered arguments that name the users to erase, and the bots."""

    user_ids: object
    bot_ids: object
    all_bots: bool | str
    batch_size: int
    max_users: int | str | None
    on_empty: str


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Describe what the task would submit.

    :param scope: the bots.
    :param records: one for each batch, of which nothing was sent.
    :param identity: what must be the same in each attempt.
    :param fingerprint: what an approval is about.
    :param batches: the users.
    """

    scope: ErasureScope
    records: Sequence[BatchRecord]
    identity: PlanIdentity
    fingerprint: str
    batches: UserBatches

    @property
    def user_count(self) -> int:
        """All users."""
        return self.identity["user_count"]


def make_plan(task: PlannedTask, account: KoreAccount, opener: Opener | None = None, *, may_skip: bool) -> Plan:
    """
    Check the bots, and read and check all users.

    :param task: the arguments.
    :param account: the connection.
    :param opener: opens sealed user ids.
    :param may_skip: whether the task may be skipped if there are no users.
    :raises KoreInputError: if any of that is refused, or there are no users.
    :raises AirflowSkipException: if there are no users, and that is to skip the task.
    """
    scope = check_scope(
        task.bot_ids, task.all_bots, allow_all_bots=account.allow_all_bots, allowed_bot_ids=account.allowed_bot_ids
    )
    batches = batches_of(task, account, opener)
    records = [BatchRecord.of(batch) for batch in batches.plan()]
    if not records:
        if may_skip and task.on_empty == "skip":
            raise AirflowSkipException("There are no users to erase.")
        raise KoreInputError(
            "There are no users to erase.", remedy="Check the source, or set on_empty='skip' if that can happen."
        )
    identity = identify_plan(
        account, scope, user_count=sum(record.user_count for record in records), batch_size=batches.batch_size
    )
    return Plan(scope, records, identity, fingerprint_plan(identity, records, account.fingerprint_key()), batches)


def batches_of(task: PlannedTask, account: KoreAccount, opener: Opener | None) -> UserBatches:
    """Return the users of a task in batches, unread; none is larger than Kore.ai takes."""
    most = check_max_users(task.max_users, account.max_users)
    batch_size = min(task.batch_size, account.api_profile.largest_batch or task.batch_size)
    return UserBatches(task.user_ids, batch_size, most, account.fingerprint_key(), opener)


def fingerprint_plan(identity: PlanIdentity, records: Sequence[BatchRecord], key: bytes) -> str:
    """
    Return what is the same for two tasks that are about to do the same: the same users in the same batches and bots.

    :param key: without it, the fingerprint can neither be made nor matched to a user.
    """
    document = json.dumps([identity, [record.fingerprint for record in records]], sort_keys=True)
    # The prefix keeps a template that renders native objects from reading digits as a number.
    return f"kp:{hmac.new(key, document.encode(), hashlib.sha256).hexdigest()[:32]}"


def require_approved(approved: str | None, plan: Plan) -> None:
    """
    Refuse to do anything else than what was approved.

    :param approved: the fingerprint of the approved plan; ``None`` if no approval is asked for.
    :raises KoreInputError: if the plan is another one.
    """
    if approved is not None and not hmac.compare_digest(approved, plan.fingerprint):
        raise KoreInputError(
            "What this task would erase is not what was approved: the fingerprints of the plans differ.",
            remedy="Users, their order, bots, batch_size, connection and its digest_key must be those of the dry run. "
            "Find out what has changed since, then run the dry run and the approval again.",
        )


def describe_plan(plan: Plan) -> dict[str, object]:
    """Log what would be done, and return it as a dry run does."""
    sizes = [record.user_count for record in plan.records]
    log.info(
        "Dry run: %d users would be erased from %s, in %d requests of %s users. Nothing was sent.",
        plan.user_count,
        plan.scope,
        len(sizes),
        ", ".join(map(str, sizes[:20])) + (", …" if len(sizes) > 20 else ""),
    )
    return {
        "requests": [],
        "user_count": plan.user_count,
        "batch_count": len(sizes),
        **plan.scope.to_json(),
        "dry_run": True,
        "plan_fingerprint": plan.fingerprint,
    }


def describe_members(members: Sequence[UserRef]) -> dict[str, object]:
    """Log which users are members of the account, and return them as a dry run does."""
    if members:
        log.warning("%s", _of_members(members))
    return {"member_count": len(members), "members": members[:NAMED_IN_OUTPUT]}


def require_no_members(members: Sequence[UserRef]) -> None:
    """
    Refuse to send anything as long as Kore.ai would refuse a user.

    :raises KoreInputError: if a user is a member of the account.
    """
    if members:
        raise KoreInputError(
            _of_members(members),
            remedy="Take them out of the account in Kore.ai's Admin Console, or out of the users, and run again.",
        )


def find_members(plan: Plan, account: KoreAccount, client: KoreClient, deadline: float) -> list[UserRef]:
    """
    Ask Kore.ai which users are members of the account, whom it does not erase.

    :param deadline: until when the task waits for its turn to call, in seconds since the epoch.
    """
    try:
        names = MemberNames(client.run(fetch_members(client.pacing, client.pacing.moment_of(deadline))))
    except KoreError as error:
        raise error.with_consequence(Consequence.NOT_SENT) from None
    return [
        user_ref(batch.number, position, user_id, account.digest_key)
        for batch, users in plan.batches
        for position, user_id in enumerate(users)
        if user_id in names
    ]


def _of_members(members: Sequence[UserRef]) -> str:
    return (
        f"{len(members)} of the users are members of the Kore.ai account, whom Kore.ai does not erase: "
        f"{show_user_refs(members, len(members))}."
    )
