"""
What is guessed about Kore.ai, and can be set on the connection where Kore.ai turns out to be different.

The owner of the connection sets it, not the author of a DAG. No setting turns an answer that is not understood into
*erased*: a profile can only name further words of which the owner knows the meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile_words import (
    DELETED_TEXTS,
    DOCUMENTED_WORDS,
    ERASED_WORDS,
    NO_RECORDINGS_TEXTS,
    NOT_ERASED_WORDS,
    OPEN_WORDS,
    RECORDINGS_PATH,
    ErasedWords,
    Key,
    Pause,
    PhraseOrBlank,
    Phrases,
    RecordingsPath,
    Statuses,
    TextsOfAbsence,
    TextsOfDeletion,
    Words,
    letters_of,
    may_mean_erased,
    plain_text,
    sounds_erased,
)


class ApiProfile(BaseModel):
    """
    How Kore.ai is taken to behave where it documents nothing. Each field has a guess as its default.

    :param erased_words: further words that mean that a user is erased, beside :data:`ERASED_WORDS`.
    :param open_words: further words that mean that a user is not erased yet, beside :data:`OPEN_WORDS`.
    :param not_erased_words: further words that mean that a user will not be erased, beside :data:`NOT_ERASED_WORDS`.
    :param channel_id_key: the key of the channel, where an object names a user by channel and id in that channel.
    :param channel_user_id_key: the key of the id in that channel.
    :param largest_batch: most users that Kore.ai takes in one request; larger batches are cut to it. ``None`` if any.
    :param unknown_request_statuses: HTTP statuses that say that a request id is not known, with a text of Kore.ai.
    :param unknown_request_text: what that text contains, without case; blank for any text. A status from 500 on needs
        one, since it usually is a fault that passes.
    :param unknown_request_grace: seconds for which a request id may be unknown although it was accepted.
    :param throttle_texts: further phrases by which a status from 400 to 499 says that the budget of calls is spent,
        beside "rate limit"; without case.
    :param minute_throttle_pause: seconds to stay away after a throttle that does not say for how long.
    :param hour_throttle_pause: the same, where its text speaks of the hour.
    :param members_page: members of the account that one call asks for.
    :param recordings_path: of the call that deletes call recordings, with ``{bot_id}`` in it.
    :param recordings_deleted_texts: further texts of that call that say that the recordings of a session were deleted,
        beside :data:`DELETED_TEXTS`; case and a full stop at the end do not count.
    :param no_recordings_texts: further texts that say that a session has none, beside :data:`NO_RECORDINGS_TEXTS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    erased_words: ErasedWords = ()
    open_words: Words = ()
    not_erased_words: Words = ()
    channel_id_key: Key = "channel_id"
    channel_user_id_key: Key = "channel_user_id"
    largest_batch: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None
    unknown_request_statuses: Statuses = (400, 404)
    unknown_request_text: PhraseOrBlank = ""
    unknown_request_grace: Annotated[float, Strict(), Field(ge=0, le=86_400)] = 120.0
    throttle_texts: Phrases = ()
    minute_throttle_pause: Pause = 60.0
    hour_throttle_pause: Pause = 300.0
    members_page: Annotated[int, Strict(), Field(ge=1, le=1000)] = 50
    recordings_path: RecordingsPath = RECORDINGS_PATH
    recordings_deleted_texts: TextsOfDeletion = ()
    no_recordings_texts: TextsOfAbsence = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if fault := self._fault_of_words() or self._fault_of_keys():
            raise ValueError(fault)
        if not self.unknown_request_text and max(self.unknown_request_statuses) >= 500:
            raise ValueError("unknown_request_statuses: a status from 500 on needs unknown_request_text beside it")
        return self

    def _fault_of_words(self) -> str | None:
        lists = {
            "erased_words": (Outcome.ERASED, self.erased_words),
            "open_words": (Outcome.OPEN, self.open_words),
            "not_erased_words": (Outcome.NOT_ERASED, self.not_erased_words),
        }
        listed: dict[str, str] = {}
        for name, (outcome, words) in lists.items():
            for word in words:
                letters = letters_of(word)
                if DOCUMENTED_WORDS.get(letters, outcome) is not outcome:
                    return f"{name}: the meaning of {word} is documented by Kore.ai, and is another one"
                if listed.setdefault(letters, name) != name:
                    return f"{word} is in both {listed[letters]} and {name}"
        return None

    def _fault_of_keys(self) -> str | None:
        channel, user = letters_of(self.channel_id_key), letters_of(self.channel_user_id_key)
        if channel == user:
            return "channel_id_key and channel_user_id_key must differ"
        # The id of a channel in the place of a user's would name another user.
        if "user" in channel or "uid" in channel:
            return "channel_id_key names a user, and not a channel"
        if user in ("channelid", "channel", "channeltype"):
            return "channel_user_id_key names a channel, and not a user"
        return None

    @cached_property
    def _words(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """The words of each outcome: a word that the owner moves to a list is in no other."""
        not_erased, open_ = _letters(self.not_erased_words), _letters(self.open_words)
        erased = {word for word in ERASED_WORDS if word not in not_erased | open_}
        return (
            frozenset(erased | {word.lower() for word in self.erased_words}),
            frozenset((OPEN_WORDS - not_erased) | open_),
            frozenset((NOT_ERASED_WORDS - open_) | not_erased),
        )

    @property
    def channel_keys(self) -> tuple[str, str]:
        """The keys of an object that names a user by channel."""
        return self.channel_id_key, self.channel_user_id_key

    def outcome_of(self, word: str) -> Outcome | None:
        """Tell what a word of Kore.ai means, without case; ``None`` if that is not known."""
        erased, open_, not_erased = self._words
        letters = letters_of(word)
        if not word.isascii():
            return None
        if letters in not_erased:
            return Outcome.NOT_ERASED
        if letters in open_:
            return Outcome.OPEN
        return Outcome.ERASED if word.lower() in erased else None

    def means_unknown_request(self, status: int, text: str | None) -> bool:
        """Tell whether the answer to a status call says that the request id is not known."""
        return (
            status in self.unknown_request_statuses
            and text is not None
            and self.unknown_request_text.casefold() in text.casefold()
        )

    def speaks_of_throttle(self, text: str) -> bool:
        """Tell whether a text contains one of the further phrases for a spent budget."""
        return any(phrase.casefold() in text.casefold() for phrase in self.throttle_texts)

    def means_recordings_deleted(self, text: object) -> bool | None:
        """Tell whether a text says that recordings were deleted, or that there are none; ``None`` if neither."""
        plain = plain_text(text) if isinstance(text, str) else None
        if plain in (*DELETED_TEXTS, *self.recordings_deleted_texts):
            return True
        return False if plain in (*NO_RECORDINGS_TEXTS, *self.no_recordings_texts) else None


DEFAULT_PROFILE = ApiProfile()


def _letters(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(letters_of, words))


def explain_unknown_words(words: Iterable[str]) -> str:
    """Say how to set what words of Kore.ai mean, in an error; the words are shown, so each must be a code."""
    spellings: dict[str, list[str]] = {}
    for word in sorted(words):
        spellings.setdefault(word.lower(), []).append(word)
    names = sorted(spellings)
    lists: dict[str, list[str]] = {}
    for name in names:  # a word is offered for erased only if it sounds so: a wrong open word only makes the task wait
        # In small letters alone, ToBeDeleted is one word.
        may_be_offered = sounds_erased(name) and all(map(may_mean_erased, (name, *spellings[name])))
        lists.setdefault("erased_words" if may_be_offered else "open_words", []).append(name)
    return (
        f"The meaning of {' and '.join(names)} is not known. Ask Kore.ai for it, and if it confirms this, set "
        f"{json.dumps({'api_profile': lists})} in the extra of the connection. The lists are erased_words, open_words "
        "(not erased yet) and not_erased_words."
    )


def _decoded(value: object) -> object:
    """Decode a profile that is text, as in a connection URI or a form, and refuse keys that are not known."""
    if isinstance(value, ApiProfile):
        return value
    try:
        document = json.loads(value, object_pairs_hook=_unique_keys) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("must be a JSON object, each key of which is there once")
    if unknown := [str(key) for key in document if key not in ApiProfile.model_fields]:
        known = ", ".join(ApiProfile.model_fields)
        raise ValueError(f"has keys that are not known: {', '.join(sorted(unknown))}; the known ones are {known}")
    return document


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is there twice")
    return document


Profile = Annotated[ApiProfile, BeforeValidator(_decoded)]
"""A profile, read from a JSON object or its text."""
