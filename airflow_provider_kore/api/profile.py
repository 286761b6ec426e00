"""
What is guessed about Kore.ai, and can be set on the connection where Kore.ai turns out to be different.

The owner of the connection sets it, not the author of a DAG. No setting turns an answer that is not understood into
*erased*: a profile can only name further words of which the owner knows the meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from airflow_provider_kore.api.outcome import Outcome

DOCUMENTED_WORDS = {"success": Outcome.ERASED, "inprogress": Outcome.OPEN}
"""Kore.ai publishes ``SUCCESS`` of a user and ``in-progress`` of a request; no profile gives them another meaning."""

ERASED_WORDS = frozenset({"success", "completed"})
"""``completed`` is guessed from neighbour APIs; case does not count."""

OPEN_WORDS = frozenset({"inprogress", "pending", "queued", "processing", "running"})
"""Guessed from neighbour APIs; case, hyphens, underscores and spaces do not count."""

NOT_ERASED_WORDS = frozenset({"failed", "failure", "error"})
"""Guessed from neighbour APIs. Any word that is in no list counts as not erased too; the error then says so."""

CODE_WORD = re.compile(r"[A-Za-z]+([-_][A-Za-z]+){0,4}")
"""Text that can only be a code: letters, and single hyphens or underscores between them."""

LONGEST_CODE_WORD = 40

SHORTEST_PHRASE = 5
"""Letters of a phrase that is searched in Kore.ai's texts; fewer are in texts about anything."""

_NOT_OF_AN_END = re.compile(
    # It failed, or was not done.
    r"abort|absent|bad|block|broke|bypass|cancel|conflict|corrupt|crash|dead|declin|denied|deny|died|duplicat|empty|"
    r"err|except|exceed|exclud|exempt|expire|fail|fault|forbid|halt|h[eo]ld|hung|ignor|illegal|invalid|kill|limit|"
    r"lost|miss|never|not|omit|reject|refus|restor|return|revert|roll|skip|stop|stuck|terminat|throttl|time|veto|void|"
    r"withdr|wrong|"
    # It was done in part, or something weaker was.
    r"almost|archiv|backup|copied|disabl|flag|half|hidden|incomplete|kept|keep|lock|mark|mask|mixed|moved(?<!removed)|"
    r"part|preserv|quarantin|remain|retain|saved|soft|some|stored|suppress|warn|"
    # It is yet to be done.
    r"able|accept|acknowledg|activ|approv|assign|await|begin|busy|creat|defer|delay|dispatch|draft|escalat|forward|"
    r"idle|ing(?![a-z])|init|later|logged|new|open|paus|pend|plan|process(?!ed)|progress|queue|ready|receiv|recorded|"
    r"regist|request|retr|review|(?<!p)run|schedul|sent(?![a-z])|start|submit|suspend|tobe|todo|valid|verif|wait|work|"
    # It says who the user is, or nothing.
    r"admin|agent|develop|exist|false|found|member|nil|none|null|owner|protect|undefined|unknown|unsupport|"
    r"(?<![a-z])(for|in|no|non|to)(?![a-z])|(?<![a-z])(un(?!til)|no(data|record|such|thing|user))"
)
"""What no word for *erased* contains, so that a mistake in the connection proves nothing."""

_OF_AN_END = re.compile(r"anonymi|clear|complet|delet|done|eras|finish|forgot|gone|purg|remov|success|wip")
"""What a word contains that an error may offer for *erased*: no list of what means something else is complete."""


def is_code_word(text: str) -> bool:
    """Tell whether a text can only be a code, which may be shown; free text of Kore.ai may name a user."""
    return len(text) <= LONGEST_CODE_WORD and CODE_WORD.fullmatch(text) is not None


def may_mean_erased(word: str) -> bool:
    """Tell whether a profile may say that a word means erased."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", word).lower()
    guessed = OPEN_WORDS | NOT_ERASED_WORDS
    return is_code_word(word) and letters_of(word) not in guessed and not _NOT_OF_AN_END.search(words)


def letters_of(word: str) -> str:
    """Fold the spellings of a word: case, hyphens, underscores and spaces do not count."""
    return re.sub("[-_ ]", "", word.lower())


def _code_word(word: str) -> str:
    if not is_code_word(word):
        raise ValueError(
            f"must be a word of letters, with hyphens or underscores between them, of at most {LONGEST_CODE_WORD}"
        )
    return word


def _word_for_erased(word: str) -> str:
    if not may_mean_erased(word):
        raise ValueError(f"cannot be {word}, which says that something else than an erasure is done")
    return word


def _phrase(text: str) -> str:
    if sum(map(str.isalpha, text)) < SHORTEST_PHRASE:
        raise ValueError(f"must be a phrase of at least {SHORTEST_PHRASE} letters")
    return text.strip()


def _phrase_or_blank(text: str) -> str:
    return _phrase(text) if text.strip() else ""


def _status(status: int) -> int:
    if status in (401, 403, 407, 408, 429):
        raise ValueError(f"cannot be {status}, which is about the caller and not about the request id")
    return status


def _once(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(dict.fromkeys(values))


CodeWord = Annotated[str, Strict(), AfterValidator(_code_word)]
Words = Annotated[tuple[CodeWord, ...], AfterValidator(_once), Field(max_length=50)]
ErasedWords = Annotated[
    tuple[Annotated[CodeWord, AfterValidator(_word_for_erased)], ...], AfterValidator(_once), Field(max_length=50)
]
Key = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]
Phrase = Annotated[str, Strict(), AfterValidator(_phrase), Field(max_length=200)]
Status = Annotated[int, Strict(), Field(ge=400, le=599), AfterValidator(_status)]
Pause = Annotated[float, Strict(), Field(ge=1, le=3600)]


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    erased_words: ErasedWords = ()
    open_words: Words = ()
    not_erased_words: Words = ()
    channel_id_key: Key = "channel_id"
    channel_user_id_key: Key = "channel_user_id"
    largest_batch: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None
    unknown_request_statuses: Annotated[tuple[Status, ...], AfterValidator(_once), Field(min_length=1)] = (400, 404)
    unknown_request_text: Annotated[str, Strict(), AfterValidator(_phrase_or_blank), Field(max_length=200)] = ""
    unknown_request_grace: Annotated[float, Strict(), Field(ge=0, le=86_400)] = 120.0
    throttle_texts: Annotated[tuple[Phrase, ...], AfterValidator(_once), Field(max_length=20)] = ()
    minute_throttle_pause: Pause = 60.0
    hour_throttle_pause: Pause = 300.0
    members_page: Annotated[int, Strict(), Field(ge=1, le=1000)] = 50

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
        sounds_erased = _OF_AN_END.search(name) and all(map(may_mean_erased, (name, *spellings[name])))
        lists.setdefault("erased_words" if sounds_erased else "open_words", []).append(name)
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
