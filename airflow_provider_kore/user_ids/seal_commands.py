"""The commands that seal user ids, and make the key for it. They need no Airflow."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.times import in_utc, read_time
from airflow_provider_kore.user_ids.streams import read_user_ids

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction


def add_seal_commands(commands: _SubParsersAction[ArgumentParser], on_standard_input: str) -> None:
    """
    Add the commands ``seal`` and ``make-seal-key``.

    :param commands: of a parser; its option ``run`` runs the chosen one.
    :param on_standard_input: how user ids are read from there.
    """
    seal = commands.add_parser(
        "seal",
        help="seal the user ids on standard input for a run of a DAG",
        description=f"Seal the user ids on standard input: {on_standard_input}. Print the text to pass as user_ids to "
        "a run of the DAG. Only the private key opens it, and it is personal data for as long as that key exists.",
    )
    seal.add_argument("--key", type=Path, required=True, metavar="PUBLIC.json", help="what make-seal-key printed")
    seal.add_argument("--dag-id", required=True, metavar="ID", help="the DAG that may open the text")
    seal.add_argument(
        "--expires",
        type=_future,
        required=True,
        metavar="TIME",
        help="until when a run may start with the text: ISO 8601, in UTC unless it has an offset. A run that started "
        "in time may end later",
    )
    seal.set_defaults(run=_seal)
    make_key = commands.add_parser(
        "make-seal-key",
        help="make a key that opens sealed user ids, and print its public key",
        description="Make a private key that opens sealed user ids, and print its public key: a JWK, with which user "
        "ids are sealed. What is sealed to it can never be read again once the private key is destroyed.",
    )
    make_key.add_argument(
        "--out", type=Path, required=True, metavar="PRIVATE.pem", help="the file to write; an existing one is kept"
    )
    make_key.set_defaults(run=_make_seal_key)


def _future(text: str) -> datetime:
    try:
        moment = in_utc(read_time(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}".removeprefix("is ")) from None
    if moment <= datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text} is over")
    return moment


def _seal(options: Namespace) -> int:
    from airflow_provider_kore.user_ids.seal_keys import read_public_key
    from airflow_provider_kore.user_ids.sealing import seal_user_ids

    try:
        key = read_public_key(options.key.read_text(errors="replace"))
    except OSError as error:
        raise _no_file(error, "Pass the file with the public key that make-seal-key printed.") from None
    print(seal_user_ids(read_user_ids(sys.stdin.buffer), key, options.dag_id, options.expires))
    return 0


def _make_seal_key(options: Namespace) -> int:
    from airflow_provider_kore.user_ids.seal_keys import make_seal_key, public_jwk

    key = make_seal_key()
    try:
        file = os.open(options.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _no_file(error, "Name a file that does not exist, in a folder that does.") from None
    with os.fdopen(file, "wb") as opened:
        opened.write(key.as_pem(private=True))
    print(json.dumps(public_jwk(key)))
    return 0


def _no_file(error: OSError, remedy: str) -> KoreInputError:
    return KoreInputError(f"{error.filename}: {error.strerror}.", remedy=remedy)
