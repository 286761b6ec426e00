"""The command ``python -m airflow_provider_kore.user_ids``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.digests import DIGEST_KEY_VARIABLE, ask_digest_key, read_digests
from airflow_provider_kore.user_ids.seal_commands import add_seal_commands

_ON_STANDARD_INPUT = (
    "UTF-8 text with one id a line, or a JSON object with the keys channel_id and channel_user_id"  # never an argument
)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m airflow_provider_kore.user_ids") -> int:
    """
    Match users to the names that logs and results have for them, and seal user ids for a DAG.

    Neither user ids nor the key of digests are arguments, which other users of the machine could see.
    """
    options = _parser(prog).parse_args(arguments)
    try:
        status: int = options.run(options)
    except KoreInputError as error:
        print(f"{error.problem} {error.remedy}", file=sys.stderr)
        return 1
    return status


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=main.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    digest = commands.add_parser(
        "digest",
        help="print the digest of each user id on standard input",
        description=f"Print the digest of each user id on standard input: {_ON_STANDARD_INPUT}. The key is taken from "
        f"the environment variable {DIGEST_KEY_VARIABLE}, or asked for.",
    )
    digest.set_defaults(run=_digest)
    add_seal_commands(commands, _ON_STANDARD_INPUT)
    return parser


def _digest(_: argparse.Namespace) -> int:
    key = ask_digest_key()
    if not key:
        print("There is no digest key.", file=sys.stderr)
        return 1
    for name in read_digests(sys.stdin.buffer, key):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
