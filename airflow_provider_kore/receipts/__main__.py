"""Verify receipts, and make the key that signs them, without Airflow."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore.command_line import run_command
from airflow_provider_kore.exceptions import KoreInputError, KoreReceiptError
from airflow_provider_kore.receipts.auditing import Summary, UserSearch, audit, describe
from airflow_provider_kore.receipts.signing import ReceiptKey, read_public_key
from airflow_provider_kore.user_ids.digests import DIGEST_KEY_VARIABLE, ask_digest_key, read_digests

VALID, NOT_VALID, NOT_USABLE = range(3)
"""The exit statuses; with the last one, nothing was verified."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m airflow_provider_kore.receipts") -> int:
    """Run a command and return the exit status: 0 for valid, 1 for not, 2 if nothing could be verified."""
    options = _parser(prog).parse_args(arguments)
    return run_command(partial(_run, options), NOT_USABLE)


def _run(options: argparse.Namespace) -> int:
    if options.command == "verify":
        return _verify(options.file, options.key, searches=options.persons)
    if options.command == "make-key":
        return _make_key(options.out)
    print(ReceiptKey.from_pem(_read_pem(options.file)).public_key_pem, end="")
    return VALID


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    verify = commands.add_parser(
        "verify",
        help="verify a receipt, or a manifest with the receipts beside it",
        description="Verify a receipt, or a manifest with the receipts beside it, and describe it. The status is "
        "0 if it is valid, 1 if it is not, and 2 if nothing could be verified.",
    )
    verify.add_argument("file", type=Path, metavar="FILE", help="the receipt or the manifest")
    verify.add_argument("--key", type=Path, required=True, metavar="PUBLIC.pem", help="the public key of the issuer")
    verify.add_argument(
        "--persons",
        action="store_true",
        help="search for the users whose ids are on standard input: UTF-8 text with one id a line, or a JSON "
        "object with the keys channel_id and channel_user_id. The key of digests is taken from the environment "
        f"variable {DIGEST_KEY_VARIABLE}, or from the terminal. The status is 1 if one of them is not in the receipt",
    )
    make_key = commands.add_parser("make-key", help="make an Ed25519 key that signs receipts, and print its public key")
    make_key.add_argument(
        "--out", type=Path, required=True, metavar="PRIVATE.pem", help="the file to write; an existing one is kept"
    )
    public_key = commands.add_parser("public-key", help="print the public key of a private one")
    public_key.add_argument("file", type=Path, metavar="PRIVATE.pem", help="the private key")
    return parser


def _verify(file: Path, key: Path, *, searches: bool) -> int:
    public_key_pem = _read_pem(key)
    read_public_key(public_key_pem)  # with a key that cannot be used, a receipt is not wrong
    summary, search = Summary(), UserSearch(_read_digests() if searches else ())
    try:
        statement = audit(file, public_key_pem, summary.add, search.add)
    except KoreReceiptError as error:
        print(f"NOT VALID. {error.text}")
        return NOT_VALID
    print("VALID: it was signed with this key, nothing in it was changed, and it adds up.")
    print(*describe(statement, summary), *search.describe(), sep="\n")
    return VALID if search.found_all else NOT_VALID


def _read_digests() -> list[str]:
    digest_key = ask_digest_key()
    if not digest_key:
        raise KoreInputError("There is no digest key.", remedy=f"Set {DIGEST_KEY_VARIABLE}.")
    digests = list(read_digests(sys.stdin.buffer, digest_key))
    if not digests:
        raise KoreInputError("There are no user ids on standard input.", remedy="Write one a line.")
    return digests


def _read_pem(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace")


def _make_key(path: Path) -> int:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    print(ReceiptKey.from_pem(pem.decode()).public_key_pem, end="")
    return VALID


if __name__ == "__main__":
    sys.exit(main())
