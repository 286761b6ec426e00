"""An export that the tests of this folder are about."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.export.selection import Selection
from airflow_provider_kore.period import Period

SELECTION = Selection(
    host="https://kore.example.com",
    client_id="cs-1",
    scope=ErasureScope(("st-1", "st-2"), all_bots=False),
    period=Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
    channel_types=None,
)
