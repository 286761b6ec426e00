"""The gate before an erasure: it opens only if the data of the users were exported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.erasure.options import ErasureOptions
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.period import Period, read_period
from airflow_provider_kore.storage.folder import read_sha256
from airflow_provider_kore.times import utc_text

OLDEST_EXPORT = timedelta(days=31)
"""How long before an erasure the period of its export may end, where it is not known when the request came in."""


def require_exported(
    options: ErasureOptions, account: KoreAccount, scope: ErasureScope, user_count: int, people: str
) -> None:
    """
    Refuse to erase users whose data are not in the export, if there is the option ``exported``.

    Only the author of the DAG knows how far back the data of users reach. So an export is compared with the period and
    the channels in which the task verifies the erasure. If it verifies nothing, the export must have all channels.

    :param account: the account in which users are erased.
    :param scope: the bots from which users are erased.
    :param user_count: how many users are erased.
    :param people: the fingerprint of these users.
    :raises KoreInputError: if the export is of another account or of other users, leaves out bots, time or channels of
        what is erased, or its manifest is not what it was.
    """
    exported = options.exported
    if exported is None:
        return
    if exported.account != account.identity():
        raise KoreInputError(
            "The export is of another account: it has another base URL or Client ID.",
            remedy="Export and erase by the same connection.",
        )
    if (exported.user_count, exported.people) != (user_count, people):
        raise KoreInputError(
            f"The export is not of the same users: it has {exported.user_count}, and there are {user_count} here.",
            remedy="Export and erase the same users, in the same order, by the same connection.",
        )
    if not exported.scope.covers(scope):
        raise KoreInputError(
            f"The export is of {exported.scope}, and the erasure is of {scope}.",
            remedy="Export from all the bots from which you erase.",
        )
    _require_period(options, exported.period)
    _require_channels(options, exported.channel_types)
    if read_sha256(exported.named.manifest) != exported.named.manifest_sha256:
        raise KoreInputError(
            "The manifest of the export cannot be read, or has changed since.",
            remedy="Export again: once erased, nothing can be handed out any more.",
        )


def _require_period(options: ErasureOptions, period: Period) -> None:
    now, until = datetime.now(UTC), utc_text(period.until)
    if options.deadline is not None:
        received_at = options.deadline.received_at
        zone = received_at.tzinfo
        day = min(received_at, now.astimezone(zone)).date()  # by another clock it can be in the future
        if period.until.astimezone(zone).date() < day:
            raise KoreInputError(
                f"The export ends at {until}, before the day on which the request came in ({day}).",
                remedy="Export again, until that day or later.",
            )
    elif period.until < now - OLDEST_EXPORT:
        raise KoreInputError(
            f"The export ends at {until}, more than {OLDEST_EXPORT.days} days ago: what came later is in no export.",
            remedy="Export again, shortly before you erase.",
        )
    if options.verify is None:
        return
    wanted = read_period(options.verify.since, None, now)
    if wanted.since < period.since:
        raise KoreInputError(
            f"The export begins at {utc_text(period.since)}, and the erasure is verified from {utc_text(wanted.since)} "
            "on.",
            remedy="Export from the same day on, or earlier.",
        )


def _require_channels(options: ErasureOptions, exported: tuple[str, ...] | None) -> None:
    if exported is None:
        return
    if options.verify is None:
        raise KoreInputError(
            f"The export is of the channels {', '.join(exported)} alone, and the erasure is of all channels.",
            remedy="Export without channel_types. Or verify the erasure: then the export must have the channels in "
            "which it is verified.",
        )
    if missing := sorted(set(options.verify.channel_types) - set(exported)):
        raise KoreInputError(
            f"The export leaves out channels in which the erasure is verified: {', '.join(missing)}.",
            remedy="Export these channels too, or leave out channel_types of the export.",
        )
