"""Which words, texts and paths a profile may contain, so that a mistake in it makes nothing *erased*."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, Strict

from airflow_provider_kore.api.outcome import Outcome

DOCUMENTED_WORDS = {"success": Outcome.ERASED, "inprogress": Outcome.OPEN}
"""Kore.ai publishes ``SUCCESS`` of a user and ``in-progress`` of a request; no profile gives them another meaning."""

ERASED_WORDS = frozenset({"success", "completed"})
"""``completed`` is guessed from neighbour APIs; case does not count."""

OPEN_WORDS = frozenset({"inprogress", "pending", "queued", "processing", "running"})
"""Guessed from neighbour APIs; case, hyphens, underscores and spaces do not count."""

NOT_ERASED_WORDS = frozenset({"failed", "failure", "error"})
"""Guessed from neighbour APIs. Any word that is in no list counts as not erased too; the error then says so."""

RECORDINGS_PATH = "/api/public/bot/{bot_id}/v2/recordings"
"""
As Kore.ai's page names it. Its sample calls ``/api/1.1/public/bot/{bot_id}/recordings``, and an older page
``/api/public/bot/{bot_id}/recordings``.
"""

DELETED_TEXTS = frozenset({"call recordings deleted successfully"})
"""Documented: what a success of the recordings call says; case and a full stop do not count."""

NO_RECORDINGS_TEXTS = frozenset(
    {
        "no recording found",
        "no recordings found",
        "no call recording found",
        "no call recordings found",
        "recording not found",
        "recordings not found",
        "call recording not found",
        "call recordings not found",
    }
)
"""A guess: what Kore.ai says of a session without recordings, in a success or in an error."""

CODE_WORD = re.compile(r"[A-Za-z]+([-_][A-Za-z]+){0,4}")
"""Text that can only be a code: letters, and single hyphens or underscores between them."""

LONGEST_CODE_WORD = 40

SHORTEST_PHRASE = 5
"""Letters of a phrase that is searched in Kore.ai's texts; fewer are in texts about anything."""

_NOT_DONE = (
    # It failed.
    r"abort|bad|block|broke|bypass|cancel|conflict|corrupt|crash|dead|declin|denied|deny|died|duplicat|err|except|exceed|"
    r"exclud|exempt|expire|fail|fault|forbid|halt|h[eo]ld|hung|ignor|illegal|invalid|kill|limit|lost|omit|reject|refus|"
    r"restor|return|revert|roll|skip|stop|stuck|terminat|throttl|time|veto|void|withdr|wrong|"
    # It was done in part, or something weaker was.
    r"almost|archiv|backup|copied|disabl|flag|half|hidden|incomplete|kept|keep|lock|mark|mask|mixed|moved(?<!removed)|"
    r"part|preserv|quarantin|remain|retain|saved|soft|some|stored|suppress|warn|"
    # It is yet to be done.
    r"able|accept|acknowledg|activ|approv|assign|await|begin|busy|creat|defer|delay|dispatch|draft|escalat|forward|idle|"
    r"ing(?![a-z])|init|later|logged|new|open|paus|pend|plan|process(?!ed)|progress|queue|ready|receiv|recorded|regist|"
    r"request|retr|review|(?<!p)run|schedul|sent(?![a-z])|start|submit|suspend|tobe|todo|valid|verif|wait|work|"
    # It is not for all to do.
    r"admin|agent|develop|member|owner|protect|unsupport"
)
_NOTHING = (
    r"absent|exist|false|miss|never|nil|none|not|null|undefined|unknown|"
    r"(?<![a-z])(for|in|no|non|to)(?![a-z])|(?<![a-z])(un(?!til)|no(data|record|such|thing|user))"
)
_ONLY_IN_SENTENCES = (
    r"n't|allow|author|access|permi|zero|\b(be|but|can|cannot|could|if|may|might|must|once|only|shall|should|soon|"
    r"unless|when|will|would|yet)\b"
)
_NOT_OF_AN_END = re.compile(f"{_NOT_DONE}|{_NOTHING}|empty|found")
"""What no word for *erased* contains, so that a mistake in the connection proves nothing."""

_OF_AN_END = re.compile(r"anonymi|clear|complet|delet|done|eras|finish|forgot|gone|purg|remov|success|wip")

_NOT_OF_A_DELETION = re.compile(f"{_NOT_DONE}|{_NOTHING}|{_ONLY_IN_SENTENCES}")
"""What no text contains that says that recordings were deleted, beside the word *recordings*."""

_NOT_OF_AN_ABSENCE = re.compile(rf"{_NOT_DONE}|{_ONLY_IN_SENTENCES}|(delet|eras|remov|purg|destroy|clear)ed")
"""What no text contains that says that there are no recordings, beside the words *recordings* and *available*."""

_ABSENCE = re.compile(
    r"\bno (such |(voice|audio|video|call) )*record(ing)?s?\b"
    r"|\brecord(ing)?s? (is |are |was |were |do |does |did )?not (found|exist|present|available)\b"
)
"""What such a text contains: another one, such as "Not Found", may be of a bot or a path that does not exist."""

_DELETION = re.compile(
    r"(delet|eras|remov|purg|destroy|clear|wip)(ed|.*(complete|done|success))|^(done|ok|success(fully|ful)?)$"
)
"""What a text contains that says that recordings were deleted."""

_PATH = re.compile(r"(?=.*(?i:recording))(?:/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\{bot_id\}))+")


def is_code_word(text: str) -> bool:
    """Tell whether a text can only be a code, which may be shown; free text of Kore.ai may name a user."""
    return len(text) <= LONGEST_CODE_WORD and CODE_WORD.fullmatch(text) is not None


def may_mean_erased(word: str) -> bool:
    """Tell whether a profile may say that a word means erased."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", word).lower()
    guessed = OPEN_WORDS | NOT_ERASED_WORDS
    return is_code_word(word) and letters_of(word) not in guessed and not _NOT_OF_AN_END.search(words)


def sounds_erased(word: str) -> bool:
    """Tell whether an error may offer a word for *erased*: no list of what means something else is complete."""
    return _OF_AN_END.search(word) is not None


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


def plain_text(text: str) -> str:
    """Fold the spellings of a text: case, a full stop at its end, and spaces around it do not count."""
    return text.strip().removesuffix(".").lower()


def _recordings_path(path: str) -> str:
    if not _PATH.fullmatch(path) or path.count("{bot_id}") != 1:
        raise ValueError(
            f"must be a path with {{bot_id}} as one of its parts and recordings in another, such as {RECORDINGS_PATH}"
        )
    return path


def _text_of_deletion(text: str) -> str:
    plain = plain_text(text)
    if _NOT_OF_A_DELETION.search(re.sub("recordings?", "", plain)) or not _DELETION.search(plain):
        raise ValueError("must be texts that say that recordings were deleted, and nothing else")
    return plain


def _text_of_absence(text: str) -> str:
    plain = plain_text(text)
    if _NOT_OF_AN_ABSENCE.search(re.sub("recordings?|available", "", plain)) or not _ABSENCE.search(plain):
        raise ValueError("must be texts that say that there are no recordings, and nothing else")
    return plain


def _once(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(dict.fromkeys(values))


CodeWord = Annotated[str, Strict(), AfterValidator(_code_word)]
Words = Annotated[tuple[CodeWord, ...], AfterValidator(_once), Field(max_length=50)]
ErasedWords = Annotated[
    tuple[Annotated[CodeWord, AfterValidator(_word_for_erased)], ...], AfterValidator(_once), Field(max_length=50)
]
Key = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]
Phrases = Annotated[
    tuple[Annotated[str, Strict(), AfterValidator(_phrase), Field(max_length=200)], ...],
    AfterValidator(_once),
    Field(max_length=20),
]
PhraseOrBlank = Annotated[str, Strict(), AfterValidator(_phrase_or_blank), Field(max_length=200)]
Statuses = Annotated[
    tuple[Annotated[int, Strict(), Field(ge=400, le=599), AfterValidator(_status)], ...],
    AfterValidator(_once),
    Field(min_length=1),
]
RecordingsPath = Annotated[str, Strict(), AfterValidator(_recordings_path)]
Sentence = Annotated[str, Strict(), Field(pattern=r"^ *[A-Za-z][A-Za-z ,.'()-]*$", max_length=200)]
TextsOfDeletion = Annotated[
    tuple[Annotated[Sentence, AfterValidator(_text_of_deletion)], ...], AfterValidator(_once), Field(max_length=20)
]
TextsOfAbsence = Annotated[
    tuple[Annotated[Sentence, AfterValidator(_text_of_absence)], ...], AfterValidator(_once), Field(max_length=20)
]
Pause = Annotated[float, Strict(), Field(ge=1, le=3600)]
