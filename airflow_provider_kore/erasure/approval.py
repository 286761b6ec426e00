"""What a person approves before an erasure, so that nothing else is erased on that approval."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence

from airflow_provider_kore.erasure.ledger import BatchRecord, Plan
from airflow_provider_kore.exceptions import KoreInputError


def plan_fingerprint(plan: Plan, batches: Sequence[BatchRecord], key: bytes) -> str:
    """
    Tell whether two tasks are about to do the same: for the same users in the same batches, at the same bots.

    :param plan: account, scope and numbers.
    :param batches: a record for each batch, which knows the fingerprint of its users.
    :param key: without it, the fingerprint can neither be made nor matched to a person.
    """
    document = json.dumps([plan, [batch.fingerprint for batch in batches]], sort_keys=True)
    return f"kp:{hmac.new(key, document.encode(), hashlib.sha256).hexdigest()[:32]}"


def check_approved(approved: str, fingerprint: str) -> None:
    """
    Refuse to do anything else than what was approved.

    :param approved: the fingerprint of the plan that was approved.
    :param fingerprint: of the plan at hand.
    :raises KoreInputError: if they differ.
    """
    if not hmac.compare_digest(approved, fingerprint):
        raise KoreInputError(
            "What this task would erase is not what was approved: the fingerprints of the plans differ.",
            remedy="Users, their order, bots, batch_size, connection and its digest_key must be those of the dry run. "
            "Find out what has changed since, then run the dry run and the approval again.",
        )
