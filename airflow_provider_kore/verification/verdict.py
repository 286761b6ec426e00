"""What is wrong after a verification."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow_provider_kore.exceptions import Consequence, KoreError, KoreFoundError, KoreVerificationError
from airflow_provider_kore.user_ids.user_refs import show_user_refs
from airflow_provider_kore.verification.findings import Finding, Verification

log = logging.getLogger(__name__)


def verification_failures(
    verification: Verification, user_count: int, failures: Sequence[KoreError], *, fail_if_not_checkable: bool
) -> list[KoreError]:
    """
    List what is wrong after a verification, the worst first.

    :param verification: what was found of each user.
    :param user_count: how many users there are.
    :param failures: what else is wrong, which may be why users are not checkable.
    :param fail_if_not_checkable: whether users who are not checkable are an error, or only a warning.
    """
    counts = verification.counts(user_count)
    summary = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) + f", of {user_count}"
    log.info("Verified the erasure: %s.", summary)
    if counts[Finding.FOUND]:
        found = KoreFoundError(
            f"Kore.ai still has data of users whom it reports as erased: {summary}. Found: "
            f"{show_user_refs(verification.found_users, counts[Finding.FOUND])}.",
            consequence=Consequence.PARTLY_DONE,
            remedy="Run the verification again later, in case Kore.ai was not done everywhere. If they are still "
            "found, ask Kore.ai, and erase them again by a new run.",
        )
        return [found, *failures]
    if not counts[Finding.NOT_CHECKABLE]:
        return list(failures)
    not_checkable = KoreVerificationError(
        f"It could not be verified that all users are gone: {summary}. Not checkable: "
        f"{show_user_refs(verification.not_checkable_users, counts[Finding.NOT_CHECKABLE])}.",
        consequence=Consequence.NOT_VERIFIED,
        remedy="Check the scopes and the ids (users named by a channel can be verified at listed bots only, and if "
        'Kore.ai has messages-lite), give it more time, or set on_not_checkable="warn".',
    )
    if fail_if_not_checkable:
        return [*failures, not_checkable]
    log.warning("%s", not_checkable.problem)
    return list(failures)
