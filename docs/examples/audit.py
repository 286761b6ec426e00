"""Verify a receipt without Airflow and without this provider."""

import sys
from pathlib import Path

import jwt

receipt, public_key = sys.argv[1:]
algorithms = ["EdDSA", "RS256", "ES256"]  # the kind of the key decides which of them can be
claims = jwt.decode(Path(receipt).read_text(), Path(public_key).read_text(), algorithms)
print(claims["outcome"], claims["does_not_cover"])
