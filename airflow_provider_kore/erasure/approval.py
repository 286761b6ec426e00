"""What a person approves before an erasure, so that nothing else is erased on that approval."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence

from airflow_provider_kore.erasure.ledger import BatchRecord, Plan
from airflow_provider_kore.exceptions import KoreInputError

# The prefix keeps a template that renders native objects from taking digits for a number.
_FINGERPRINT = re.compile(r"kp:[0-9a-f]{32}")


def plan_fingerprint(plan: Plan, batches: Sequence[BatchRecord], key: bytes) -> str:
    """
    Tell whether two tasks are about to do the same: for the same users in the same batches, at the same bots.

    :param plan: account, scope and numbers.
    :param batches: a record for each batch, which knows the fingerprint of its users.
    :param key: without it, the fingerprint can neither be made nor matched to a person.
    """
    what = {name: value for name, value in plan.items() if name != "forced_within"}
    document = json.dumps([what, [batch.fingerprint for batch in batches]], sort_keys=True)
    return f"kp:{hmac.new(key, document.encode(), hashlib.sha256).hexdigest()[:32]}"


def check_approved(approved: object, fingerprint: str) -> None:
    """
    Refuse to do anything else than what was approved.

    :param approved: the fingerprint of the plan that was approved.
    :param fingerprint: of the plan at hand.
    :raises KoreInputError: if they differ, or what was approved is no fingerprint.
    """
    if not isinstance(approved, str) or not _FINGERPRINT.fullmatch(approved):
        raise KoreInputError(
            f"plan_fingerprint is of type {type(approved).__name__} and not the fingerprint of a plan.",
            remedy="Pass the plan_fingerprint that the dry run returned; leave the argument out where nobody approves.",
        )
    if not hmac.compare_digest(approved, fingerprint):
        raise KoreInputError(
            "What this task would erase is not what was approved: the fingerprints of the plans differ.",
            remedy="Users, their order, bots, batch_size, connection and its digest_key must be those of the dry run. "
            "Find out what has changed since, then run the dry run and the approval again.",
        )
