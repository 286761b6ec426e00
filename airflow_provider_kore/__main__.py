"""The commands of ``airflow kore``, for Airflow 3.1 and for machines without Airflow."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_provider_kore.cli.commands import COMMANDS, accept_all_arguments

PROG = "python -m airflow_provider_kore"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, and end the program with its exit status."""
    parser = argparse.ArgumentParser(prog=PROG, description="Check and operate the erasure of users from Kore.ai.")
    names = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        of_name = names.add_parser(command.name, help=command.help)
        accept_all_arguments(of_name)
        of_name.set_defaults(command=command)
    options = parser.parse_args(arguments)
    options.command.run(options.arguments, PROG)


if __name__ == "__main__":
    main()
