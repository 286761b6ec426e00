"""The command ``airflow kore budget``: show how many calls an account has left, and who waits for one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_kore.command_line import run_command

if TYPE_CHECKING:
    from airflow_provider_kore.api.redis_account import AccountState


def main(arguments: Sequence[str] | None = None, prog: str = "python -m airflow_provider_kore.cli.budget") -> int:
    """Show an account's budget, and return the exit status: 2 if it cannot be read."""
    options = _parser(prog).parse_args(arguments)
    return run_command(partial(_show, options))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Show how many calls an account has left, and who waits for one, over all processes that share a "
        "budget in Redis. It reads Redis, changes nothing there, and does not call Kore.ai. The exit status is 2 if "
        "the connection or Redis cannot be used.",
    )
    parser.add_argument("--conn-id", default="kore_default", help="id of the connection (default: %(default)s)")
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml", "plain"), default="table")
    return parser


def _show(options: argparse.Namespace) -> int:
    from airflow.cli.simple_table import AirflowConsole

    from airflow_provider_kore.compat import set_up_command
    from airflow_provider_kore.hooks.kore import KoreHook

    set_up_command()
    account = KoreHook(options.conn_id).account
    if account.budget_redis is None:
        print(
            f"The connection {options.conn_id} has no budget_conn_id: each process counts its own calls, up to "
            f"{account.requests_per_minute} a minute and {account.requests_per_hour} an hour. No other process sees "
            "how many are left.",
            file=sys.stderr,
        )
        return 0
    from airflow_provider_kore.api.redis_budget import RedisBudget  # redis-py is an extra

    state = RedisBudget(account.budget_redis, account).show()
    AirflowConsole().print_as(_rows(state, datetime.now(UTC)), options.output)
    return 0


def _rows(state: AccountState, now: datetime) -> list[dict[str, str]]:
    facts = {
        "calls in the last minute": _share(state.used[0], state.limits[0]),
        "calls in the last hour": _share(state.used[1], state.limits[1]),
        "calls under way": str(state.under_way),
        "submits that wait": str(state.submits),
        "polls that wait": str(state.polls),
        "closed": _closing(state, now),
        "processes": str(state.processes),
    }
    return [{"budget": name, "state": value} for name, value in facts.items()]


def _share(used: int, limit: int) -> str:
    return f"{used} of {limit}, {max(limit - used, 0)} left"


def _closing(state: AccountState, now: datetime) -> str:
    from airflow_provider_kore.api.redis_budget import REASONS

    if state.closed == 0:
        return "no"
    reason = REASONS[state.why_closed].value
    if state.closes_with_next_call:
        return f"for {state.closed:.0f} s from the next call on: {reason}"
    return f"until {now + timedelta(seconds=state.closed):%H:%M:%S} UTC, for {state.closed:.0f} s: {reason}"


if __name__ == "__main__":
    sys.exit(main())
