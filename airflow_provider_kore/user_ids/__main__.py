"""The command ``python -m airflow_provider_kore.user_ids``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from airflow_provider_kore.command_line import run_command
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.digests import DIGEST_KEY_VARIABLE, ask_digest_key, read_digests
from airflow_provider_kore.user_ids.seal_commands import add_seal_commands
from airflow_provider_kore.user_ids.streams import read_user_ids

_ON_STANDARD_INPUT = "UTF-8 text with one id a line, or a JSON object with the keys channel_id and channel_user_id"


def main(arguments: Sequence[str] | None = None, prog: str = "python -m airflow_provider_kore.user_ids") -> int:
    """
    Match users to the names that logs and results have for them, and seal user ids for a DAG.

    Neither user ids nor the key of digests are arguments, which other users of the machine could see.
    """
    options = _parser(prog).parse_args(arguments)
    return run_command(partial(options.run, options), on_error=1)


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
    who = commands.add_parser(
        "who",
        help='print the id of the user who is "batch 3 position 17" of a source',
        description="Print the id of the user whom a log, an error or a result calls by a batch and a position in it. "
        "The source must be what the task read, in the same order. For a mapped task it is the source of that map "
        "index. If the name comes with a digest, compare it: … who … | … digest.",
    )
    who.add_argument(
        "uri",
        nargs="?",
        metavar="FILE",
        help="path or URI of the file, as FileUserIds reads it; without it, the ids are on standard input: "
        + _ON_STANDARD_INPUT,
    )
    who.add_argument("--column", help="the column, or the key of each JSON object, that contains the user id")
    who.add_argument("--batch", type=_from_1, required=True, metavar="N", help="number of the batch, from 1")
    who.add_argument("--position", type=_from_1, required=True, metavar="N", help="position in the batch, from 1")
    who.add_argument(
        "--batch-size",
        type=_from_1,
        default=100,
        metavar="N",
        help="batch_size of the task, or largest_batch of the api_profile of its connection if that is smaller "
        "(default: %(default)s)",
    )
    who.set_defaults(run=_who)
    return parser


def _from_1(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _digest(_: argparse.Namespace) -> int:
    key = ask_digest_key()
    if not key:
        raise KoreInputError("There is no digest key.", remedy=f"Set {DIGEST_KEY_VARIABLE}.")
    for name in read_digests(sys.stdin.buffer, key):
        print(name)
    return 0


def _who(options: argparse.Namespace) -> int:
    from airflow_provider_kore.compat import set_up_command  # sources need Airflow, and digests do not
    from airflow_provider_kore.user_ids.batches import find_user
    from airflow_provider_kore.user_ids.files import URI, FileUserIds

    set_up_command()
    if options.uri is None and options.column is not None:
        raise KoreInputError("Standard input has no columns.", remedy="Leave out --column, or name a file.")
    if options.uri is None:
        source: object = list(read_user_ids(sys.stdin.buffer))
    else:
        uri = options.uri if URI.match(options.uri) else f"file://{Path(options.uri).absolute()}"
        source = FileUserIds(uri, options.column)
    user_id = find_user(source, options.batch, options.position, options.batch_size)
    print(user_id if isinstance(user_id, str) else json.dumps(asdict(user_id), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
