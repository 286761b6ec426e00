"""Which of Kore.ai's words for a status may be shown: what stands in the place of a status can name a user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from airflow_provider_kore.api.profile_words import is_code_word
from airflow_provider_kore.api.users import UserId, is_address

SHORTEST_NAME = 3
"""Letters and digits of a name from which on a word that contains it is withheld; shorter ones are in any word."""


def may_be_shown(word: str, user_ids: Iterable[UserId]) -> bool:
    """
    Tell whether a word that is in no list may be shown: it can be a code, and resembles the name of no user.

    :param user_ids: all users whom it could name. Where they are not known, no such word may be shown, since a plain
        name can be a user id.
    """
    return is_code_word(word) and not any(_resembles(word, user_id) for user_id in user_ids)


def describe_withheld(status: object) -> str:
    """Describe a status that is not shown."""
    if isinstance(status, str) and is_code_word(status):
        return f"a word of {len(status)} characters that is not shown"
    return f"a status that is not shown, of type {type(status).__name__}"


def _resembles(word: str, user_id: UserId) -> bool:
    said = _letters(word)
    return any(said in name or (len(name) >= SHORTEST_NAME and name in said) for name in map(_letters, _names(user_id)))


def _names(user_id: UserId) -> Iterator[str]:
    parts = (user_id,) if isinstance(user_id, str) else (user_id.channel_id, user_id.channel_user_id)
    for part in parts:
        yield part
        if is_address(part):
            yield part.partition("@")[0]


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())
