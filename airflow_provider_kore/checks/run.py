"""Run all checks, one after the other."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.checks.erasing import confirm_erasure, require_test_user
from airflow_provider_kore.checks.findings import Finding, Verdict, not_tested
from airflow_provider_kore.checks.history_checks import HISTORY_CHECKS
from airflow_provider_kore.checks.observing import Observer
from airflow_provider_kore.checks.probes import Reply, Subject
from airflow_provider_kore.checks.reach_checks import check_reach
from airflow_provider_kore.checks.report import Row
from airflow_provider_kore.checks.surface_checks import SURFACE_CHECKS
from airflow_provider_kore.checks.token_checks import TOKEN, TOKEN_CHECKS, read_throttles
from airflow_provider_kore.checks.trial import Trial, read_data
from airflow_provider_kore.checks.trial_checks import ERASURE_CHECKS
from airflow_provider_kore.checks.trial_seen import TrialSeen, describe_erasures

_CHECKS = (*TOKEN_CHECKS, *HISTORY_CHECKS, *SURFACE_CHECKS)

_INTERRUPTED = not_tested("The check was interrupted.")

_NO_BOT = "st-none"

_LARGEST_BATCH = 100
"""Users of a request by default."""

_LONGEST_SILENCE = 10.0
"""Seconds that are waited without a word."""


class CheckRun:
    """
    Check each guess, and keep what is found, so that a run that is interrupted is reported too.

    :param account: the connection.
    :param bot_id: the bot; ``None`` for the first one that the connection allows.
    :param users: the user whose data are read, and one who is named by channel; both may be missing.
    :param erases: whether these users are to be erased.
    :param interval: seconds between two status calls.
    :param longest: seconds after which an erasure is polled no more.
    :raises KoreInputError: if the users or the bot are refused; nothing was sent.
    """

    def __init__(
        self,
        account: KoreAccount,
        bot_id: str | None,
        users: Sequence[UserId],
        *,
        erases: bool,
        interval: float,
        longest: float,
    ) -> None:
        self._account = account
        self._pair = require_test_user(account, bot_id, users) if erases else None
        self._erases = erases
        self._interval = interval
        self._longest = longest
        bot_id = bot_id or next(iter(account.allowed_bot_ids or ()), _NO_BOT)
        user_id = users[0] if users else None
        self._subject = Subject(account.api_profile, bot_id, user_id, secrets.token_hex(6), datetime.now(UTC))
        self._reach: list[Row] = []
        self._found: dict[str, Finding] = {}
        self._throttles: Sequence[Reply] = ()
        self._trial: Trial | None = None

    def run(self) -> None:
        """Check all, as far as the connection allows it."""
        self._reach = [Row(*found) for found in check_reach(self._account)]
        with closing(Observer(self._account, _sleep)) as observer:
            self._throttles = observer.throttles
            for check in _CHECKS:
                self._found[check.name] = observer.find(check.run(self._subject))
                if not self._is_accepted:
                    return
            if self._erases:
                self._erase(observer)

    @property
    def _is_accepted(self) -> bool | None:
        """Whether the token is accepted; ``None`` if that was not checked yet."""
        token = self._found.get(TOKEN.name)
        return None if token is None else token.verdict is Verdict.CONFIRMED

    def _erase(self, observer: Observer) -> None:
        before = observer.run(read_data(self._subject, 0))
        if not confirm_erasure(self._subject, self._pair, before):
            print("Nothing was erased.", file=sys.stderr)
            return
        self._trial = Trial(
            self._subject,
            self._pair,
            interval=self._interval,
            longest=self._longest,
            largest_batch=min(
                self._account.api_profile.largest_batch or _LARGEST_BATCH, _LARGEST_BATCH, self._account.max_users
            ),
            before=before,
        )
        try:
            observer.run(self._trial.run())
        except KeyboardInterrupt:
            self._trial.note_interruption(observer.sent)
            raise

    @property
    def _seen(self) -> TrialSeen | None:
        return self._trial.seen if self._trial is not None else None

    def describe_erasures(self) -> str | None:
        """Say what is known of the erasures, after an interruption; ``None`` if none was wanted."""
        return describe_erasures(self._seen) if self._erases else None

    @property
    def rows(self) -> list[Row]:
        """What is found so far."""
        missing = not_tested("", "An accepted token.") if self._is_accepted is False else _INTERRUPTED
        rows = [Row(check.name, check.guess, self._found.get(check.name, missing)) for check in _CHECKS]
        for check in ERASURE_CHECKS:
            found = check.find(self._seen, self._subject) if self._is_accepted else missing
            rows.append(Row(check.name, check.guess, found))
        throttles = read_throttles(self._throttles) if self._is_accepted else missing
        return [*self._reach, *rows, Row("throttle_status", "A spent budget is answered with HTTP 429", throttles)]


def _sleep(seconds: float) -> None:
    if seconds > _LONGEST_SILENCE:
        print(f"Waiting {seconds:.0f} s for the account's budget of calls.", file=sys.stderr)
    time.sleep(seconds)
