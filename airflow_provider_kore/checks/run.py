"""Run all checks, one after the other."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.checks.erasing import erase_test_user, require_test_user
from airflow_provider_kore.checks.erasure_checks import ERASURE_CHECKS
from airflow_provider_kore.checks.findings import Verdict, not_tested
from airflow_provider_kore.checks.history_checks import HISTORY_CHECKS
from airflow_provider_kore.checks.observing import Observer
from airflow_provider_kore.checks.probes import Subject
from airflow_provider_kore.checks.reach_checks import check_reach
from airflow_provider_kore.checks.report import Row
from airflow_provider_kore.checks.token_checks import TOKEN, TOKEN_CHECKS

_NO_BOT = "st-none"

_LONGEST_SILENCE = 10.0
"""Seconds that are waited without a word."""


def run_checks(
    account: KoreAccount,
    bot_id: str | None,
    users: Sequence[UserId],
    *,
    erases: bool,
    interval: float,
    longest: float,
) -> list[Row]:
    """
    Check each guess.

    :param account: the connection.
    :param bot_id: the bot; ``None`` for the first one that the connection allows.
    :param users: the user whose data are read, and one who is named by channel; both may be missing.
    :param erases: whether these users are to be erased.
    :param interval: seconds between two status calls.
    :param longest: seconds after which an erasure is polled no more.
    :raises KoreInputError: if the users or the bot are refused; nothing was sent.
    """
    pair = require_test_user(account, bot_id, users) if erases else None
    bot_id = bot_id or next(iter(account.allowed_bot_ids or ()), _NO_BOT)
    user_id = users[0] if users else None
    subject = Subject(account.api_profile, bot_id, user_id, secrets.token_hex(6), datetime.now(UTC))
    rows = [Row(*found) for found in check_reach(account)]
    with Observer(account, _sleep) as observer:
        token = observer.find(TOKEN.run(subject))
        rows.append(Row(TOKEN.name, TOKEN.guess, token))
        if token.verdict is not Verdict.CONFIRMED:
            remaining = (*TOKEN_CHECKS[1:], *HISTORY_CHECKS, *ERASURE_CHECKS)
            return rows + [Row(check.name, check.guess, not_tested("", "An accepted token.")) for check in remaining]
        for check in (*TOKEN_CHECKS[1:], *HISTORY_CHECKS):
            rows.append(Row(check.name, check.guess, observer.find(check.run(subject))))
        seen = erase_test_user(observer, subject, pair, interval, longest) if erases else None
    return rows + [Row(check.name, check.guess, check.find(seen, subject)) for check in ERASURE_CHECKS]


def _sleep(seconds: float) -> None:
    if seconds > _LONGEST_SILENCE:
        print(f"Waiting {seconds:.0f} s for the account's budget of calls.", file=sys.stderr)
    time.sleep(seconds)
