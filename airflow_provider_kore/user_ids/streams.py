"""User ids from a stream, such as standard input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from airflow_provider_kore.api.users import UserId, check_user_id
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.columns import ListError
from airflow_provider_kore.user_ids.text_forms import parse_json, read_text


def read_user_ids(file: IO[bytes]) -> Iterator[UserId]:
    """
    Read and check user ids, as those of a text file are.

    :param file: UTF-8 text with one id a line, or a JSON object with the keys ``channel_id`` and ``channel_user_id``.
    :raises KoreInputError: at the first line that is no user id, naming its number alone.
    """
    try:
        for place, line in read_text(file):
            yield check_user_id(parse_json(line, place) if line.startswith("{") else line, place)
    except ListError as error:
        raise KoreInputError(
            f"The user ids on standard input cannot be read: {error.reason}.",
            remedy=error.remedy or "Correct the list.",
        ) from None
