"""The commands, and the modules that run them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Command:
    """
    Name a command and the module that runs it.

    The module is imported when the command runs, and reads the arguments with a parser of its own: listing the
    commands imports none of them, and receipts are verified without Airflow.

    :param name: of the command.
    :param help: what it does, in a few words.
    :param module: has ``main(arguments, prog)``, which returns the exit status, or ``None`` for 0.
    :param is_of_module: whether the module has this command among others, by the same name.
    """

    name: str
    help: str
    module: str
    is_of_module: bool = False

    def run(self, arguments: Sequence[str], group: str) -> NoReturn:
        """
        Run the command, and end the program with its exit status.

        :param arguments: what follows the name of the command.
        :param group: what precedes the name, for the help.
        """
        main = import_module(self.module).main
        if self.is_of_module:
            sys.exit(main([self.name, *arguments], group))
        sys.exit(main(arguments, f"{group} {self.name}"))


_USER_IDS = "airflow_provider_kore.user_ids.__main__"

COMMANDS = (
    Command("budget", "Show how many calls an account has left, and who waits", "airflow_provider_kore.cli.budget"),
    Command(
        "check", "Compare what is guessed about Kore.ai with what it answers", "airflow_provider_kore.checks.__main__"
    ),
    Command("digest", "Print the digests by which logs name users", _USER_IDS, is_of_module=True),
    Command("make-seal-key", "Make a key that opens sealed user ids", _USER_IDS, is_of_module=True),
    Command("receipts", "Verify receipts, and make the key that signs them", "airflow_provider_kore.receipts.__main__"),
    Command("sandbox", "Run a local stand-in for Kore.ai", "airflow_provider_kore.sandbox.__main__"),
    Command("seal", "Seal user ids for a run of a DAG", _USER_IDS, is_of_module=True),
    Command("who", "Print the id of the user at a position of a batch", _USER_IDS, is_of_module=True),
)


def accept_all_arguments(parser: argparse.ArgumentParser) -> None:
    """Let the parser of a command's name pass all that follows, also ``--help``, to the command's own parser."""
    parser.prefix_chars = "\0"  # no argument begins with it, so none is a flag here
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
