"""The command ``airflow kore check``: compare what is guessed about Kore.ai with what it answers."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.command_line import run_command
from airflow_provider_kore.exceptions import KoreInputError

if TYPE_CHECKING:
    from airflow_provider_kore.api.account import KoreAccount
    from airflow_provider_kore.api.users import UserId
    from airflow_provider_kore.checks.report import Row

_INTERRUPTING = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m airflow_provider_kore.checks") -> int:
    """
    Run the checks, and return the exit status.

    It is 0 if all is confirmed, 1 if something differs, 2 if nothing could be checked, and 128 more than the number of
    a signal that interrupted the checks; what was found until then is shown and written.
    """
    options = _parser(prog).parse_args(arguments)
    before = {number: signal.getsignal(number) for number in _INTERRUPTING}
    try:
        return run_command(partial(_check, options))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compare what is guessed about Kore.ai with what it answers. It only reads, within the account's "
        "budget of calls, and erases nothing without --erase-test-user. The exit status is 0 if nothing is different, "
        "1 if something is, 2 if nothing could be checked, and 128 more than its number if a signal interrupted it.",
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
    from airflow_provider_kore.checks.run import CheckRun
    from airflow_provider_kore.compat import set_up_command
    from airflow_provider_kore.hooks.kore import KoreHook

    set_up_command()
    account = KoreHook(options.conn_id).account
    users = _read_users(options)
    if options.report is not None:
        options.report.touch()  # if it cannot be written, that is known before anything is sent
    run = CheckRun(
        account,
        options.bot_id,
        users,
        erases=options.erase_test_user,
        interval=options.poll_interval,
        longest=options.wait,
    )
    interrupted_by = _run_until_interrupted(run.run)
    if interrupted_by is not None:
        print("Interrupted.", run.describe_erasures() or "", file=sys.stderr)
    rows = run.rows
    _show(rows, account, options.output)
    if options.report is not None:
        options.report.write_text(to_report(rows, account, version("airflow-provider-kore")), encoding="utf-8")
    return exit_status(rows) if interrupted_by is None else 128 + interrupted_by


def _run_until_interrupted(run: Callable[[], None]) -> int | None:
    """Run, and return the number of the signal that interrupted it, if any. From then on, signals are ignored."""
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    for number in _INTERRUPTING:
        signal.signal(number, interrupt)
    try:
        run()
    except KeyboardInterrupt:
        return received[0]
    finally:
        for number in _INTERRUPTING:
            signal.signal(number, signal.SIG_IGN)  # until all is shown and written
    return None


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
    from airflow_provider_kore.checks.surface_checks import BY_HAND

    AirflowConsole().print_as([row.to_table() for row in rows], output)
    if output != "table":
        return
    print(f"What to do by hand about what no erasure reaches: {BY_HAND}")
    if (profile := profile_to_set(rows, account.api_profile)) is not None:
        print("Set in the extra of the connection, beside what is there already:")
        print(json.dumps({"api_profile": profile}))


if __name__ == "__main__":
    sys.exit(main())
