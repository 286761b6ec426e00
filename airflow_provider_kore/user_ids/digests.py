"""How programs learn the digests of people: by the key from the environment, and ids from a stream."""

from __future__ import annotations

import getpass
import os
import warnings
from collections.abc import Iterator
from typing import IO

from airflow_provider_kore.api.account import secret_text
from airflow_provider_kore.api.users import check_user_id, digest
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.text_lines import parse_json, read_user_lines

DIGEST_KEY_VARIABLE = "KORE_DIGEST_KEY"


def ask_digest_key() -> str:
    """
    Take the key of digests from the environment, or ask for it at the terminal; empty without both.

    :raises KoreInputError: if it cannot be the key of a connection, which refuses such a one too.
    """
    key, source = os.environ.get(DIGEST_KEY_VARIABLE), f"The environment variable {DIGEST_KEY_VARIABLE}"
    if not key:
        key, source = _ask_at_the_terminal(), "The digest key"
    try:
        return secret_text(key)
    except ValueError as error:
        raise KoreInputError(f"{source} {error}.", remedy="Take the key as it is in the connection.") from None


def _ask_at_the_terminal() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass("digest_key of the connection: ")
        except getpass.GetPassWarning:  # without a terminal it would take the first user id for the key
            return ""


def read_digests(file: IO[bytes], key: str) -> Iterator[str]:
    """
    Give the digest of each user id.

    The text is read and checked as a file of user ids is.

    :param file: UTF-8 text with one id a line, or a JSON object with the keys ``channel_id`` and ``channel_user_id``.
    :param key: of the digests.
    :raises KoreInputError: at the first line that is no user id, naming its number alone.
    """
    for number, line in read_user_lines(file, _fault):
        try:
            value = parse_json(line) if line.startswith("{") else line
        except ValueError:
            raise _fault(f"line {number} is not JSON, or repeats a key") from None
        yield digest(check_user_id(value, f"line {number}"), key)


def _fault(reason: str, remedy: str = "Correct the list.", /) -> KoreInputError:
    return KoreInputError(f"The user ids on standard input cannot be read: {reason}.", remedy=remedy)
