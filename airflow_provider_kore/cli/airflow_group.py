"""The group ``airflow kore``, in Airflow 3.2 and newer. Each ``airflow`` command imports this module."""

from __future__ import annotations

import argparse
from functools import partial

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

from airflow_provider_kore.cli.commands import COMMANDS, Command, accept_all_arguments


def get_commands() -> list[GroupCommand]:
    """Describe the commands to Airflow, which calls this."""
    return [
        GroupCommand(
            name="kore",
            help="Check and operate the erasure of users from Kore.ai",
            subcommands=[
                ActionCommand(command.name, command.help, partial(_run, command), [_AllArguments()])
                for command in COMMANDS
            ],
        )
    ]


class _AllArguments(Arg):
    def __init__(self) -> None:
        super().__init__(("arguments",))  # type: ignore[no-untyped-call] # Airflow sorts by the name

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        accept_all_arguments(parser)


def _run(command: Command, options: argparse.Namespace) -> None:
    command.run(options.arguments, "airflow kore")
