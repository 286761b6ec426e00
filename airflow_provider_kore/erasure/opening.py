"""Open the ledger of an attempt: with what earlier attempts recorded, or a new one."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.plan_identity import PlanIdentity, changed_plan, difference_of_plans
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.erasure.store import RecordStore


def open_ledger(
    store: RecordStore, plan: PlanIdentity, planned: Sequence[BatchRecord], earlier: ErasureLedger | None
) -> ErasureLedger:
    """
    Continue the ledger of earlier attempts, or start a new one.

    The header is not written before :meth:`~ErasureLedger.note`, so that an attempt that is refused changes nothing.

    :param store: where the records are kept.
    :param plan: what this attempt is about to do.
    :param planned: a record for each batch of which nothing was sent.
    :param earlier: what :meth:`ErasureLedger.load` read from the store.
    :raises KoreResumeError: if an earlier attempt sent something else, above all for other users.
    """
    if earlier is not None:
        difference = difference_of_plans(earlier.header, plan) or _other_users(earlier.records, planned)
        if difference is None:
            records = [
                record if record.was_sent else wanted for record, wanted in zip(earlier.records, planned, strict=True)
            ]
            return ErasureLedger(records, earlier.scope, store, earlier.header)
        if earlier.anything_sent:
            raise changed_plan(difference, earlier.consequence)
        earlier.forget_unaccepted()
    return ErasureLedger(planned, ErasureScope(tuple(plan["bot_ids"]), plan["all_bots"]), store, plan)


def _other_users(recorded: Sequence[BatchRecord], planned: Sequence[BatchRecord]) -> str | None:
    for record, wanted in zip(recorded, planned, strict=True):
        if record.was_sent and record.fingerprint != wanted.fingerprint:
            return f"other users in batch {record.number}, or in another order: the source of the user ids has changed"
    return None
