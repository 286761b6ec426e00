"""The options of a task that erases, read and checked before anything is sent."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from airflow_provider_kore.api.account import AccountIdentity, KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.arguments import refuse_nothing
from airflow_provider_kore.deadlines import Regime, StatutoryDeadline
from airflow_provider_kore.erasure.receipt_key import receipt_key_of
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.options import (
    Receipt,
    check_approved_plan,
    check_deadline,
    check_receipt,
    check_verify,
)
from airflow_provider_kore.period import Period
from airflow_provider_kore.receipts import parts
from airflow_provider_kore.receipts.signing import ReceiptKey


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """
    Describe how to search for the erased users.

    :param people: ``"all"`` or ``"sample:N"``.
    :param since: from when on; read when the end of the period is known.
    :param channel_types: the channels of the messages to search for.
    :param fail_if_not_checkable: whether the task fails if Kore.ai cannot be asked about a user.
    """

    people: str
    since: object
    channel_types: tuple[str, ...]
    fail_if_not_checkable: bool


@dataclass(frozen=True, slots=True)
class ReceiptOptions:
    """
    Describe where receipts are written.

    :param folder: URI of the folder.
    :param key: signs them.
    :param approved_by: who approved the erasure.
    """

    folder: str
    key: ReceiptKey
    approved_by: str | None


@dataclass(frozen=True, slots=True)
class Exported:
    """
    Describe the output of an export.

    :param named: what a receipt says of it.
    :param account: the account.
    :param scope: the bots.
    :param user_count: how many users it contains.
    :param people: the fingerprint of these users.
    :param period: the span of time that was exported.
    :param channel_types: the only channels whose messages were exported; ``None`` for all.
    """

    named: parts.Export
    account: AccountIdentity
    scope: ErasureScope
    user_count: int
    people: str
    period: Period
    channel_types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ErasureOptions:
    """
    Contain the options of a task that erases; an option that is not set is ``None``.

    :param deadline: the last day on which the request may be answered.
    :param verify: how the erased users are searched for.
    :param receipt: where receipts are written.
    :param exported: the export of the users.
    :param approved_plan: the fingerprint of the only plan that may be carried out.
    """

    deadline: StatutoryDeadline | None
    verify: VerifyOptions | None
    receipt: ReceiptOptions | None
    exported: Exported | None
    approved_plan: str | None

    def fingerprint(self) -> str:
        """Digest the options, so that a task that resumes notices when they have changed."""
        # A key has no repr that stays the same, and since may be rendered anew from the clock.
        verify = None if self.verify is None else replace(self.verify, since=None)
        receipt = None if self.receipt is None else (self.receipt.folder, self.receipt.approved_by)
        options = [self.deadline, verify, receipt, self.exported, self.approved_plan]
        return hashlib.sha256(repr(options).encode()).hexdigest()[:32]


def read_options(
    account: KoreAccount,
    *,
    deadline: object,
    verify: object = None,
    receipt: object = None,
    exported: object = None,
    approved_plan: object = None,
) -> ErasureOptions:
    """
    Read the rendered options of a task that erases.

    :param account: of the connection.
    :raises KoreInputError: if an option is refused.
    :raises KoreConfigurationError: if the connection has no key for receipts, or one that cannot be used.
    """
    return ErasureOptions(
        deadline=read_deadline_option(deadline),
        verify=_read_verify(verify),
        receipt=_read_receipt(check_receipt(receipt), account),
        exported=read_exported(exported),
        approved_plan=check_approved_plan(approved_plan),
    )


def read_deadline_option(deadline: object) -> StatutoryDeadline | None:
    """
    Read the rendered option ``deadline``.

    :raises KoreInputError: if it is refused.
    """
    checked = check_deadline(deadline)
    if checked is None:
        return None
    return StatutoryDeadline(cast("datetime", checked["received_at"]), Regime(checked["regime"]))


def _read_verify(verify: object) -> VerifyOptions | None:
    checked = check_verify(verify)
    if checked is None:
        return None
    return VerifyOptions(
        people=checked["people"],
        since=checked["since"],
        channel_types=tuple(checked["channel_types"]),
        fail_if_not_checkable=checked["on_not_checkable"] == "fail",
    )


def _read_receipt(checked: Receipt | None, account: KoreAccount) -> ReceiptOptions | None:
    if checked is None:
        return None
    if not account.digest_key:
        raise KoreInputError(
            "A receipt names users by digests, and the connection has no digest_key.",
            remedy="Have the connection's owner set digest_key, or leave out receipt.",
        )
    approved_by = cast("str | None", checked.get("approved_by"))
    return ReceiptOptions(checked["folder"], receipt_key_of(account), approved_by)


def read_exported(value: object) -> Exported | None:
    """
    Read the output of an export.

    :raises KoreInputError: if it is anything else.
    """
    if value is None:
        return None
    refuse_nothing("exported", value)
    match value:
        case {
            "manifest": str(manifest),
            "manifest_sha256": str(sha256),
            "user_count": int(user_count),
            "people_fingerprint": str(people),
            "host": str(host),
            "client_id": str(client_id),
            "bot_ids": list(bot_ids),
            "all_bots": bool(all_bots),
            "since": str(since),
            "until": str(until),
            "channel_types": (None | [*_]) as channel_types,
        }:
            with suppress(ValueError):  # of a time, or of what a receipt cannot name
                period = Period(datetime.fromisoformat(since), datetime.fromisoformat(until))
                named = parts.Export(
                    manifest=manifest,
                    manifest_sha256=sha256,
                    since=period.since,
                    until=period.until,
                )
                channels = None if channel_types is None else tuple(sorted(map(str, channel_types)))
                scope = ErasureScope(tuple(map(str, bot_ids)), all_bots)
                account: AccountIdentity = {"base_url": host, "client_id": client_id}
                return Exported(named, account, scope, user_count, people, period, channels)
    raise KoreInputError(
        f"exported is of type {type(value).__name__} and not what an export returned.",
        remedy="Pass the output of the task that exported, as it is.",
    )
