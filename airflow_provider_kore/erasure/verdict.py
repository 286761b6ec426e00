"""How a task ends: it succeeds only if every user is proven erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.compat import AirflowSensorTimeout
from airflow_provider_kore.deadlines import StatutoryDeadline
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreNotErasedError, guide_to
from airflow_provider_kore.user_ids.user_refs import UserRef, show_user_refs

SHOWN_REQUEST_IDS = 20

SHOWN_REASONS = 5


def require_erased(
    ledger: ErasureLedger,
    failures: Sequence[KoreError],
    not_erased_users: Sequence[UserRef] = (),
    *,
    submits: bool,
    deadline: StatutoryDeadline | None = None,
) -> None:
    """
    Let a task succeed only if every user is erased.

    :param ledger: the outcome of all batches.
    :param failures: what else went wrong.
    :param not_erased_users: users who are known not to be erased.
    :param submits: whether a retry of the task can submit users.
    :param deadline: by when the law requires an answer.
    :raises KoreNotErasedError: if a user is not proven erased.
    :raises KoreError: the first failure, if there is one.
    :raises AirflowSensorTimeout: if nothing is wrong, but the deadline came first.
    """
    outcome = ledger.outcome
    if outcome.not_erased:
        raise _not_erased(ledger, outcome, failures, not_erased_users, submits=submits)
    for failure in failures:
        raise failure
    if outcome.open:
        raise _too_late(outcome, ledger.open_request_ids, deadline)


def _not_erased(
    ledger: ErasureLedger,
    outcome: ErasureOutcome,
    failures: Sequence[KoreError],
    not_erased_users: Sequence[UserRef],
    *,
    submits: bool,
) -> KoreNotErasedError:
    reasons = [*dict.fromkeys(failure.text for failure in failures), *outcome.remarks]
    if not_erased_users:
        reasons.insert(0, f"Among them: {show_user_refs(not_erased_users, len(not_erased_users))}.")
    if ledger.unsent_users and not submits:
        reasons.append(f"{ledger.unsent_users} users are in no request that Kore.ai is known to have accepted.")
    return KoreNotErasedError(
        " ".join([f"Not every user is proven erased: {show_counts(outcome)}.", *reasons[:SHOWN_REASONS]]),
        consequence=Consequence.PARTLY_DONE,
        remedy=_remedy(ledger, submits=submits),
    )


def _remedy(ledger: ErasureLedger, *, submits: bool) -> str:
    if not submits:
        return (
            "Find out why, and start a new DAG run for these users. Clearing the task that submitted them submits only "
            "users who are in no accepted request."
        )
    if any(record.is_due for record in ledger.records):
        return (
            "Clear the task, or let it retry: it submits only those who are not erased; before Airflow 3.3, all users. "
            "Owners and members of an account and developers of a bot must first lose that role in Kore.ai."
        )
    return (
        "Ask Kore.ai what became of these requests. Clearing the task polls them again and submits no user; before "
        "Airflow 3.3, it submits all users. To submit all users anew, start a new DAG run."
    )


def _too_late(
    outcome: ErasureOutcome, request_ids: Sequence[str], deadline: StatutoryDeadline | None
) -> AirflowSensorTimeout:
    shown = ", ".join(request_ids[:SHOWN_REQUEST_IDS])
    more = len(request_ids) - SHOWN_REQUEST_IDS
    over = deadline is not None and deadline.is_over(datetime.now(UTC))
    return AirflowSensorTimeout(
        f"The {'statutory deadline passed' if over else 'deadline came'} before Kore.ai was done: "
        f"{show_counts(outcome)}. Still open: {shown}{f' and {more} more' if more > 0 else ''}. Kore.ai continues with "
        "them: nothing has to be submitted again. Clear this task to wait longer, or raise its timeout. Before Airflow "
        "3.3, do not clear a task that erases, since it submits all users again: wait for the requests in a sensor. "
        f"See {guide_to('AirflowSensorTimeout')}"
    )


def show_counts(outcome: ErasureOutcome) -> str:
    """Write the counts of users by outcome."""
    return f"{outcome.erased} erased, {outcome.open} open, {outcome.not_erased} not erased, of {outcome.user_count}"
