"""The example DAG that takes sealed user ids, with a key of one's own."""

from __future__ import annotations

import re

from airflow_provider_kore.user_ids.seal_keys import ECKey, public_jwk


def sealed_to(key: ECKey, source: str) -> str:
    """Replace the public key in the source of the example."""
    return re.sub(r"SEAL_KEY = \{.*?\n\}", f"SEAL_KEY = {public_jwk(key)}", source, flags=re.DOTALL)
