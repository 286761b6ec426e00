"""The command ``python -m airflow_provider_kore.user_ids``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.digests import DIGEST_KEY_VARIABLE, ask_digest_key, read_digests


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Print the digests by which logs name users, for user ids from standard input.

    Neither the ids nor the key are arguments, which other users of the machine could see.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_kore.user_ids", description=main.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser(
        "digest",
        help="print the digest of each user id on standard input",
        description="Print the digest of each user id on standard input: UTF-8 text with one id a line, or a JSON "
        "object with the keys channel_id and channel_user_id. The key is taken from the environment variable "
        f"{DIGEST_KEY_VARIABLE}, or asked for.",
    )
    parser.parse_args(arguments)
    try:
        key = ask_digest_key()
        if not key:
            print("There is no digest key.", file=sys.stderr)
            return 1
        for name in read_digests(sys.stdin.buffer, key):
            print(name)
    except KoreInputError as error:
        print(f"{error.problem} {error.remedy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
