"""What must be the same in each attempt of a task, and the refusal of what is not."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from airflow_provider_kore.api.account import AccountIdentity, KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.exceptions import Consequence, KoreResumeError

_OF_ACCOUNT = {
    "base_url": "to another base URL",
    "client_id": "with another Client ID",
}
_OF_PLAN = {
    "version": "by another version of this provider",
    **_OF_ACCOUNT,
    "key_check": "with another digest_key or Client Secret, so that the users cannot be compared",
    "bot_ids": "for other bots",
    "all_bots": "for another scope",
    "user_count": "for another number of users: the source of the user ids has changed",
    "batch_size": "with another batch_size",
}


class PlanIdentity(AccountIdentity):
    """What must be the same in each attempt. The ledger's header is its JSON form."""

    version: int
    key_check: str
    bot_ids: list[str]
    all_bots: bool
    user_count: int
    batch_size: int


def identify_plan(account: KoreAccount, scope: ErasureScope, *, user_count: int, batch_size: int) -> PlanIdentity:
    """Identify what a task is about to do, without naming a user."""
    return {
        "version": 1,
        **account.identity(),
        "key_check": hmac.new(account.fingerprint_key(), b"which key", hashlib.sha256).hexdigest()[:16],
        "bot_ids": list(scope.bot_ids),
        "all_bots": scope.all_bots,
        "user_count": user_count,
        "batch_size": batch_size,
    }


def difference_of_plans(earlier: Mapping[str, object], present: Mapping[str, object]) -> str | None:
    """Return in what two plans differ; ``None`` if in nothing."""
    return _difference(earlier, present, _OF_PLAN)


def _difference(earlier: Mapping[str, object], present: Mapping[str, object], fields: Mapping[str, str]) -> str | None:
    return next((text for name, text in fields.items() if earlier.get(name) != present[name]), None)


def changed_plan(what: str, consequence: Consequence = Consequence.UNKNOWN) -> KoreResumeError:
    """
    Refuse to send anything else than an earlier attempt sent.

    :param what: what it sent.
    """
    return KoreResumeError(
        f"An earlier attempt of this task submitted {what}.",
        consequence=consequence,
        remedy="Put back what was changed and clear the task, or wait for the earlier requests with a "
        "KoreErasureSensor (their ids are in the earlier log). To submit all users anew, start a new DAG run.",
    )


def require_same_account(header: Mapping[str, object], account: KoreAccount) -> None:
    """
    Refuse to continue at another account than the one at which the task started.

    :param header: has the identity of that account.
    :raises KoreResumeError: if the connection means another account now.
    """
    if difference := _difference(header, account.identity(), _OF_ACCOUNT):
        raise KoreResumeError(
            f"The connection was changed while this task waited: it had submitted {difference}.",
            consequence=Consequence.SENT_BEFORE,
            remedy="Put the connection back as it was, and clear the task to resume.",
        )


def require_same_options(header: Mapping[str, object], options: str, consequence: Consequence) -> None:
    """
    Refuse to continue with other options than those with which the attempt started.

    :param header: has the fingerprint of those.
    :param options: the fingerprint of the present ones.
    :param consequence: what a refusal means for the erasure.
    :raises KoreResumeError: if they differ.
    """
    if header.get("options") != options:
        raise KoreResumeError(
            "While this task waited, something that it was asked for beside the erasure has changed: deadline, verify, "
            "receipt, exported or approved_plan, or the requests that a sensor waits for.",
            consequence=consequence,
            remedy="Clear the task: it then checks everything anew, and resumes what was submitted.",
        )
