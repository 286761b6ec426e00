"""The command ``airflow kore check``: compare what is guessed about Kore.ai with what it answers."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import KoreError, KoreInputError

if TYPE_CHECKING:
    from airflow_provider_kore.api.account import KoreAccount
    from airflow_provider_kore.api.users import UserId
    from airflow_provider_kore.checks.report import Row

_NO_BOT = "st-none"

_LONGEST_SILENCE = 10.0
"""Seconds that are waited without a word."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m airflow_provider_kore.checks") -> int:
    """Run the checks, and return the exit status: 0 if all is confirmed, 1 if something differs, 2 if not checkable."""
    options = _parser(prog).parse_args(arguments)
    try:
        return _check(options)
    except KoreError as error:
        print(f"{error.problem} {error.remedy}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compare what is guessed about Kore.ai with what it answers. It only reads, within the account's "
        "budget of calls. The exit status is 0 if all is confirmed, 1 if something is different, and 2 if nothing "
        "could be checked.",
    )
    parser.add_argument("--conn-id", default="kore_default", help="id of the connection (default: %(default)s)")
    parser.add_argument(
        "--bot-id", help="the bot whose sessions and messages are read; left out: the first of allowed_bot_ids"
    )
    parser.add_argument(
        "--user",
        action="store_true",
        help="read the id of a user with recent messages from standard input, for the guesses that need one",
    )
    parser.add_argument(
        "--erase-test-user",
        action="store_true",
        help="ERASE the user whose id is on standard input from the bot. Use a throw-away user. A second line may name "
        "one by channel: a JSON object with channel_id and channel_user_id. Asks twice, at the terminal",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for an erasure (default: %(default)s)",
    )
    parser.add_argument(
        "--poll-interval",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="between two status calls (default: %(default)s)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write what was seen as JSON, without ids and secrets"
    )
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml", "plain"), default="table")
    return parser


def _check(options: argparse.Namespace) -> int:
    from airflow_provider_kore.checks.report import exit_status, to_report
    from airflow_provider_kore.compat import set_up_command
    from airflow_provider_kore.hooks.kore import KoreHook

    set_up_command()
    account = KoreHook(options.conn_id).account
    users = _read_users(options)
    rows = _run(account, options, users)
    _show(rows, account, options.output)
    if options.report is not None:
        options.report.write_text(to_report(rows, account, version("airflow-provider-kore")), encoding="utf-8")
    return exit_status(rows)


def _read_users(options: argparse.Namespace) -> list[UserId]:
    from airflow_provider_kore.user_ids.streams import read_user_ids

    if not (options.user or options.erase_test_user):
        return []
    most = 2 if options.erase_test_user else 1
    users = list(islice(read_user_ids(sys.stdin.buffer), most + 1))
    if not 1 <= len(users) <= most:
        raise KoreInputError(
            f"There are {'no' if not users else 'more than ' + str(most)} user ids on standard input.",
            remedy="Name one user, and for --erase-test-user a second one by channel at most.",
        )
    return users


def _run(account: KoreAccount, options: argparse.Namespace, users: Sequence[UserId]) -> list[Row]:
    from airflow_provider_kore.checks.erasing import erase_test_user, require_test_user
    from airflow_provider_kore.checks.erasure_checks import ERASURE_CHECKS
    from airflow_provider_kore.checks.findings import Verdict, not_tested
    from airflow_provider_kore.checks.history_checks import HISTORY_CHECKS
    from airflow_provider_kore.checks.observing import Observer
    from airflow_provider_kore.checks.probes import Subject
    from airflow_provider_kore.checks.reach_checks import check_reach
    from airflow_provider_kore.checks.report import Row
    from airflow_provider_kore.checks.token_checks import TOKEN, TOKEN_CHECKS

    bot_id = options.bot_id or next(iter(account.allowed_bot_ids or ()), _NO_BOT)
    subject = Subject(account.api_profile, bot_id, users[0] if users else None, secrets.token_hex(6), datetime.now(UTC))
    pair = require_test_user(account, options.bot_id, users) if options.erase_test_user else None
    rows = [Row(*found) for found in check_reach(account)]
    with Observer(account, _sleep) as observer:
        rows.append(Row(TOKEN.name, TOKEN.guess, observer.find(TOKEN.run(subject))))
        if rows[-1].finding.verdict is not Verdict.CONFIRMED:
            remaining = [(check.name, check.guess) for check in (*TOKEN_CHECKS[1:], *HISTORY_CHECKS, *ERASURE_CHECKS)]
            return [*rows, *(Row(*each, not_tested("", "A token that is accepted.")) for each in remaining)]
        for check in (*TOKEN_CHECKS[1:], *HISTORY_CHECKS):
            rows.append(Row(check.name, check.guess, observer.find(check.run(subject))))
        seen = None
        if options.erase_test_user:
            seen = erase_test_user(observer, subject, pair, options.poll_interval, options.wait)
    return [*rows, *(Row(check.name, check.guess, check.find(seen, subject)) for check in ERASURE_CHECKS)]


def _sleep(seconds: float) -> None:
    if seconds > _LONGEST_SILENCE:
        print(f"Waiting {seconds:.0f} s for the account's budget of calls.", file=sys.stderr)
    time.sleep(seconds)


def _show(rows: Sequence[Row], account: KoreAccount, output: str) -> None:
    from airflow.cli.simple_table import AirflowConsole

    from airflow_provider_kore.checks.report import profile_to_set

    AirflowConsole().print_as([row.to_table() for row in rows], output)
    if (profile := profile_to_set(rows, account.api_profile)) is not None and output == "table":
        print("Set in the extra of the connection, beside what is there already:")
        print(json.dumps({"api_profile": profile}))


if __name__ == "__main__":
    sys.exit(main())
