"""The digests of users whose ids come from a stream, by the key from the environment."""

from __future__ import annotations

import getpass
import os
import warnings
from collections.abc import Iterator
from typing import IO

from airflow_provider_kore.api.account import secret_text
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.streams import read_user_ids

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

    :param file: as :func:`~airflow_provider_kore.user_ids.streams.read_user_ids` reads it.
    :param key: of the digests.
    :raises KoreInputError: at the first line that is no user id, naming its number alone.
    """
    return (digest(user_id, key) for user_id in read_user_ids(file))
