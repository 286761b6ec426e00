"""What the tests of the verification share: its arguments, users, and JSON."""

import json
from datetime import UTC, datetime

from pydantic import TypeAdapter

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.period import Period
from airflow_provider_kore.verification.findings import Finding, Verification

BATCH_SIZE = 3
PERIOD = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 12, 0, 0, 0, 5, tzinfo=UTC))
SCOPE = ErasureScope(("st-1", "st-2"), all_bots=False)
FINDINGS = (Finding.GONE, Finding.FOUND, Finding.NOT_CHECKABLE)

_ADAPTER = TypeAdapter(Verification)


def start(people, user_count):
    return Verification.start(people, SCOPE, ("rtm",), PERIOD, user_count, b"seed")


def place(number):
    """Return batch, from 1, and position, from 0, of a user."""
    return number // BATCH_SIZE + 1, number % BATCH_SIZE


def record(verification, number, finding):
    batch, position = place(number)
    verification.record(number, {"batch": batch, "position": position + 1}, finding)


def findings_of(verification, user_count):
    return [verification.finding(number, *place(number)) for number in range(user_count)]


def reread(verification):
    """Write it as JSON, and read it as another process does."""
    kept = _ADAPTER.validate_python(json.loads(json.dumps(_ADAPTER.dump_python(verification, mode="json"))))
    assert kept == verification
    return kept
