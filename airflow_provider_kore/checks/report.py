"""What all checks found: rows of a table, the extra to set, and a report for others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.checks.findings import Finding, Verdict

ALL_CONFIRMED, SOMETHING_DIFFERENT, NOT_CHECKABLE = range(3)
"""The exit statuses."""

_PUBLIC_HOSTS = ("platform.kore.ai", "bots.kore.ai")


@dataclass(frozen=True, slots=True)
class Row:
    """
    One guess, and what became known of it.

    :param name: of the guess.
    :param guess: in a sentence.
    :param finding: what became known.
    """

    name: str
    guess: str
    finding: Finding

    def to_table(self) -> dict[str, str]:
        """Write it as a row of the table."""
        finding = self.finding
        return {
            "guess": self.guess,
            "verdict": finding.verdict.value,
            "seen": finding.seen,
            "what to do": finding.remedy,
        }

    def to_json(self) -> dict[str, object]:
        """Write it for the report."""
        finding = self.finding
        return {
            "name": self.name,
            "guess": self.guess,
            "verdict": finding.verdict.value,
            "seen": finding.seen,
            "remedy": finding.remedy,
            "api_profile": dict(finding.profile),
        }


def exit_status(rows: Sequence[Row]) -> int:
    """Give the exit status: without an accepted token, nothing was checked."""
    verdicts = {row.name: row.finding.verdict for row in rows}
    if verdicts.get("token") is not Verdict.CONFIRMED:
        return NOT_CHECKABLE
    return SOMETHING_DIFFERENT if Verdict.DIFFERENT in verdicts.values() else ALL_CONFIRMED


def profile_to_set(rows: Sequence[Row], profile: ApiProfile) -> dict[str, object] | None:
    """
    Write the ``api_profile`` of the connection with all that was found; ``None`` if nothing is to be set.

    :param profile: what the connection has now.
    """
    changes = {name: value for row in rows for name, value in row.finding.profile.items()}
    if not changes:
        return None
    return ApiProfile.model_validate(profile.model_dump(exclude_defaults=True) | changes, strict=False).model_dump(
        mode="json", exclude_defaults=True
    )


def to_report(rows: Sequence[Row], account: KoreAccount, version: str) -> str:
    """
    Write a report that names no user, bot, app or secret, and no host but Kore.ai's own.

    :param version: of this provider.
    """
    host = urlsplit(account.base_url).hostname or ""
    document = {
        "format": "kore-check/1",
        "provider": version,
        "host": host if host in _PUBLIC_HOSTS else "another one",
        "algorithm": account.algorithm,
        "checks": [row.to_json() for row in rows],
        "api_profile": profile_to_set(rows, account.api_profile),
        "sandbox": {name: value for row in rows for name, value in row.finding.settings.items()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
