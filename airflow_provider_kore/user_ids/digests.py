"""The digests of users whose ids come from a stream, by the key from the environment."""

from __future__ import annotations

import getpass
import os
import warnings
from collections.abc import Iterator
from typing import IO

from airflow_provider_kore.api.account import secret_text
from airflow_provider_kore.api.users import check_user_id, digest
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.columns import ListError
from airflow_provider_kore.user_ids.text_forms import parse_json, read_text

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
    try:
        for place, line in read_text(file):
            value = parse_json(line, place) if line.startswith("{") else line
            yield digest(check_user_id(value, place), key)
    except ListError as error:
        raise KoreInputError(
            f"The user ids on standard input cannot be read: {error.reason}.",
            remedy=error.remedy or "Correct the list.",
        ) from None
