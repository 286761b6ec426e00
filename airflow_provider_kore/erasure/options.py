"""What an author of a DAG may ask of a task beside the erasure itself, checked before anything is sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from airflow_provider_kore.api.account import AccountIdentity, KoreAccount
from airflow_provider_kore.api.history import check_channel_types
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.users import text_fault
from airflow_provider_kore.deadlines import StatutoryDeadline, read_deadline, read_received_at
from airflow_provider_kore.erasure.receipt_key import receipt_key_of
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.options import check_choice
from airflow_provider_kore.period import Period, read_period
from airflow_provider_kore.receipts import parts
from airflow_provider_kore.receipts.signing import ReceiptKey
from airflow_provider_kore.storage.folder import read_sha256
from airflow_provider_kore.times import utc_text
from airflow_provider_kore.verification.verification import Extent, read_extent

OLDEST_EXPORT = timedelta(days=31)
"""How long before an erasure the period of its export may end, where it is not told when the request came in."""


class ProvingOperator(Protocol):
    """What an author of a DAG may ask of a task beside the erasure itself, rendered."""

    @property
    def given(self) -> frozenset[str]:
        """The names of arguments that were given, before their templates were rendered."""
        ...

    @property
    def verify(self) -> str:
        """How many of the erased people to look for: ``"none"``, ``"sample:N"`` or ``"all"``."""
        ...

    @property
    def verify_since(self) -> object:
        """From when on."""
        ...

    @property
    def verify_channel_types(self) -> Sequence[str]:
        """Of which channels."""
        ...

    @property
    def on_not_checkable(self) -> str:
        """What to do if it cannot be told whether somebody is gone."""
        ...

    @property
    def receipt_path(self) -> str | None:
        """The folder for receipts."""
        ...

    @property
    def received_at(self) -> object:
        """When the request to erase came in."""
        ...

    @property
    def regime(self) -> object:
        """Under which law."""
        ...

    @property
    def approved_by(self) -> object:
        """Who approved the erasure."""
        ...

    @property
    def export_manifest(self) -> object:
        """What an export returned."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """
    Hold what an export returned.

    :param named: what a receipt says of it.
    :param account: of which account.
    :param scope: from which bots.
    :param user_count: the data of how many people.
    :param people: the fingerprint of who they are.
    :param period: the span of time that was exported.
    :param channel_types: the only channels whose messages were exported; ``None`` for all.
    """

    named: parts.Export
    account: AccountIdentity
    scope: ErasureScope
    user_count: int
    people: str
    period: Period
    channel_types: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Demands:
    """
    Hold what was asked for, checked.

    :param extent: how many of the erased people to look for.
    :param since: from when on to look for their data; read when the end of the period is known.
    :param channel_types: of which channels to look for messages.
    :param fail_if_not_checkable: whether the task fails when it cannot be told whether somebody is gone.
    :param receipt_path: URI of the folder for receipts; ``None`` for none.
    :param receipt_key: what signs them.
    :param received_at: when the request to erase came in.
    :param deadline: by when the law wants it answered.
    :param approved_by: who approved the erasure.
    :param exported: what was made to be handed out.
    """

    extent: Extent
    since: object
    channel_types: tuple[str, ...]
    fail_if_not_checkable: bool
    receipt_path: str | None
    receipt_key: ReceiptKey | None
    received_at: datetime | None
    deadline: StatutoryDeadline | None
    approved_by: str | None
    exported: Exported | None

    @property
    def any_proof(self) -> bool:
        """Whether anything is to be shown beside Kore.ai's word."""
        return self.extent.is_asked_for or self.receipt_path is not None

    def fingerprint(self, *others: object) -> str:
        """
        Tell whether a task that comes back to its worker is still asked for the same.

        :param others: what else must be the same, of types whose ``repr`` tells all.
        """
        regime = None if self.deadline is None else self.deadline.regime
        told = [self.extent, self.channel_types, self.receipt_path, self.received_at, regime, self.approved_by]
        return hashlib.sha256(repr([*told, self.exported, *others]).encode()).hexdigest()[:32]


def read_demands(operator: ProvingOperator, account: KoreAccount) -> Demands:
    """
    Check what was asked for beside the erasure, before anything is sent.

    :param operator: what the author of the DAG asked for, rendered.
    :param account: of the connection.
    :raises KoreInputError: if something cannot be had.
    :raises KoreConfigurationError: if the connection has no key for receipts, or one that cannot be used.
    """
    for name, value in (
        ("receipt_path", operator.receipt_path),
        ("export_manifest", operator.export_manifest),
        ("approved_by", operator.approved_by),
    ):
        if value is None and name in operator.given:
            raise KoreInputError(f"{name} was given, and its template renders to nothing.", remedy=f"Correct {name}.")
    extent = read_extent(operator.verify)
    if extent.is_asked_for:
        read_period(operator.verify_since, None, datetime.now(UTC))
    deadline = read_deadline(operator.received_at, operator.regime)
    return Demands(
        extent=extent,
        since=operator.verify_since,
        channel_types=check_channel_types(operator.verify_channel_types, "verify_channel_types"),
        fail_if_not_checkable=check_choice("on_not_checkable", operator.on_not_checkable, ("fail", "warn")) == "fail",
        receipt_path=_read_receipt_path(operator.receipt_path, account),
        receipt_key=receipt_key_of(account) if operator.receipt_path is not None else None,
        received_at=None if deadline is None else read_received_at(operator.received_at),
        deadline=deadline,
        approved_by=_read_approver(operator.approved_by),
        exported=_read_export(operator.export_manifest),
    )


def _read_receipt_path(value: object, account: KoreAccount) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or "://" not in value:
        raise KoreInputError(
            "receipt_path must be the URI of a folder.",
            remedy="Give one such as s3://connection@bucket/receipts or file:///data/receipts.",
        )
    if not account.digest_key:
        raise KoreInputError(
            "A receipt names people by digests, and the connection has no digest_key.",
            remedy="Have the connection's owner set digest_key, or leave out receipt_path.",
        )
    return value


def _read_approver(value: object) -> str | None:
    """Take a name, or what Airflow's approval tells of who answered."""
    if value is None:
        return None
    if isinstance(value, Mapping) and value.get("chosen_options", ["Approve"]) != ["Approve"]:
        raise KoreInputError("The erasure was not approved.", remedy="Ask again, or leave these users alone.")
    who = value.get("responded_by_user") if isinstance(value, Mapping) else value
    name = who.get("name") or who.get("id") if isinstance(who, Mapping) else who
    if type(name) is int:
        name = str(name)  # a name of digits, as a template renders it that renders native objects
    if not isinstance(name, str) or text_fault(name):
        raise KoreInputError(
            f"approved_by is of type {type(value).__name__} and names nobody.",
            remedy="Give a name, or the XCom of the approval as it is.",
        )
    return name


def _read_export(value: object) -> Exported | None:
    match value:
        case None:
            return None
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
        } if manifest and re.fullmatch("[0-9a-f]{64}", sha256):
            with suppress(ValueError):
                period = Period(datetime.fromisoformat(since), datetime.fromisoformat(until))
                named = parts.Export(
                    manifest=manifest,
                    manifest_sha256=sha256,
                    since=period.since,
                    until=period.until,
                )
                channels = None if channel_types is None else frozenset(map(str, channel_types))
                scope = ErasureScope(tuple(map(str, bot_ids)), all_bots)
                account: AccountIdentity = {"base_url": host, "client_id": client_id}
                return Exported(named, account, scope, user_count, people, period, channels)
    raise KoreInputError(
        f"export_manifest is of type {type(value).__name__} and not what an export returned.",
        remedy="Give the output of the task that exported, as it is.",
    )


def require_exported(
    demands: Demands,
    account: KoreAccount,
    scope: ErasureScope | None,
    user_count: int,
    people: str | None,
    erased_at: datetime | None = None,
) -> None:
    """
    Refuse to erase whose data were not made ready to be handed out, if an export is named.

    How far back people's data reach nobody knows but the author of the DAG. So an export is compared with the period
    and the channels in which the task verifies the erasure, and if it verifies nothing, no channel may be left out.

    :param account: from which people are erased.
    :param scope: the bots from which people are erased; ``None`` if the task does not know them.
    :param user_count: how many people are erased.
    :param people: the fingerprint of who they are; ``None`` if the task does not know them.
    :param erased_at: when people are erased; ``None`` if that was before, and the export is but evidence.
    :raises KoreInputError: if the export is of another account or of other people, leaves out bots, time or channels
        of what is erased, or its manifest is not what it was.
    """
    exported = demands.exported
    if exported is None:
        return
    if exported.account != account.identity():
        raise KoreInputError(
            "The export is of another account: it has another base URL or Client ID.",
            remedy="Export and erase by the same connection.",
        )
    if exported.user_count != user_count or people not in (None, exported.people):
        raise KoreInputError(
            f"The export is not of the same users: it has {exported.user_count}, and there are {user_count} here.",
            remedy="Export and erase the same users, in the same order, by the same connection.",
        )
    if scope is not None and not exported.scope.covers(scope):
        raise KoreInputError(
            f"The export is of {exported.scope}, and the erasure is of {scope}.",
            remedy="Export from all the bots from which you erase.",
        )
    _require_period(demands, exported.period, erased_at)
    _require_channels(demands, exported.channel_types)
    if read_sha256(exported.named.manifest) != exported.named.manifest_sha256:
        raise KoreInputError(
            "The manifest of the export cannot be read, or has changed since.",
            remedy="Export again: once erased, nothing can be handed out any more.",
        )


def _require_period(demands: Demands, period: Period, erased_at: datetime | None) -> None:
    now, until = datetime.now(UTC), utc_text(period.until, "auto")
    if demands.received_at is not None:
        zone = demands.received_at.tzinfo
        day = min(demands.received_at, now.astimezone(zone)).date()  # by another clock it can be in the future
        if period.until.astimezone(zone).date() < day:
            raise KoreInputError(
                f"The export ends at {until}, before the day on which the request came in ({day}).",
                remedy="Export again, until that day or later.",
            )
    elif erased_at is not None and period.until < erased_at - OLDEST_EXPORT:
        raise KoreInputError(
            f"The export ends at {until}, more than {OLDEST_EXPORT.days} days ago: what came later is in no export.",
            remedy="Export again, shortly before you erase.",
        )
    if not demands.extent.is_asked_for:
        return
    wanted = read_period(demands.since, None, now)
    if wanted.since < period.since:
        raise KoreInputError(
            f"The export begins at {utc_text(period.since, 'auto')}, and the erasure is verified from "
            f"{utc_text(wanted.since, 'auto')} on.",
            remedy="Export from the same day on, or earlier.",
        )


def _require_channels(demands: Demands, exported: frozenset[str] | None) -> None:
    if exported is None:
        return
    if not demands.extent.is_asked_for:
        raise KoreInputError(
            f"The export is of the channels {', '.join(sorted(exported))} alone, and the erasure is of all channels.",
            remedy="Export without channel_types. Or verify the erasure: then the export must have the channels in "
            "which it is verified.",
        )
    if missing := sorted(set(demands.channel_types) - exported):
        raise KoreInputError(
            f"The export leaves out channels in which the erasure is verified: {', '.join(missing)}.",
            remedy="Export these channels too, or leave out channel_types of the export.",
        )
