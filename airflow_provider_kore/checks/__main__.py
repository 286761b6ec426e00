"""The command ``airflow kore check``: compare what is guessed about Kore.ai with what it answers."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import KoreError, KoreInputError

if TYPE_CHECKING:
    from airflow_provider_kore.api.account import KoreAccount
    from airflow_provider_kore.api.users import UserId
    from airflow_provider_kore.checks.report import Row


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
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for an erasure (default: %(default)s)",
    )
    parser.add_argument(
        "--poll-interval",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="between two status calls (default: %(default)s)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write what was seen as JSON, without ids and secrets"
    )
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml", "plain"), default="table")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _check(options: argparse.Namespace) -> int:
    from airflow_provider_kore.checks.report import exit_status, to_report
    from airflow_provider_kore.checks.run import run_checks
    from airflow_provider_kore.compat import set_up_command
    from airflow_provider_kore.hooks.kore import KoreHook

    set_up_command()
    account = KoreHook(options.conn_id).account
    users = _read_users(options)
    if options.report is not None:
        options.report.touch()  # if it cannot be written, that is known before anything is sent
    rows = run_checks(
        account,
        options.bot_id,
        users,
        erases=options.erase_test_user,
        interval=options.poll_interval,
        longest=options.wait,
    )
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


def _show(rows: Sequence[Row], account: KoreAccount, output: str) -> None:
    from airflow.cli.simple_table import AirflowConsole

    from airflow_provider_kore.checks.report import profile_to_set

    AirflowConsole().print_as([row.to_table() for row in rows], output)
    if (profile := profile_to_set(rows, account.api_profile)) is not None and output == "table":
        print("Set in the extra of the connection, beside what is there already:")
        print(json.dumps({"api_profile": profile}))


if __name__ == "__main__":
    sys.exit(main())
