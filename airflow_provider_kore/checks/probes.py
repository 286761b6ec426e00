"""The calls of checks, and their answers. Pure values, no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeVar

from airflow_provider_kore.api.conversation import Pause
from airflow_provider_kore.api.decoding import NotJsonError, decode_json
from airflow_provider_kore.api.errors import Call, describe, error_message, means_missing_scope
from airflow_provider_kore.api.exchange import Answer
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.profile_words import SHORTEST_PHRASE
from airflow_provider_kore.api.throttle import is_throttle
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.checks.findings import Finding, NotTestedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probe:
    """
    One call of Kore.ai, and how its token differs from a usual one. Equal probes are sent once.

    :param call: which call.
    :param method: of HTTP.
    :param path: with its query.
    :param body: of the request.
    :param ahead: seconds by which the token is issued in the future.
    :param life: seconds that the token lives; ``None`` for the usual time.
    :param jti: of the token; ``None`` for a fresh one, empty for none.
    :param forged: whether the signature is wrong.
    :param number: makes an equal probe another one.
    """

    call: Call
    method: str
    path: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    ahead: int = 0
    life: int | None = None
    jti: str | None = None
    forged: bool = False
    number: int = 0


class Kind(Enum):
    """What an answer is; those from ``THROTTLED`` on are not certainly of Kore.ai."""

    OK = "a success"
    TOKEN = "the token is refused"  # noqa: S105 # no password
    RIGHT = "a scope is missing"
    MAYBE_RIGHT = "a refusal that may be about a missing scope"
    REFUSED = "the request is refused"
    FAULT = "a fault"
    THROTTLED = "the account's budget of calls is spent"
    FOREIGN = "not in the form of Kore.ai's answers"
    NONE = "no answer"


_SPEAKS_OF_RIGHT = re.compile(r"permi(ssion|tted)|authori[sz]|scope|forbid|access|privilege", re.I)
"""Texts that may be about a missing scope, or about something else: Kore.ai documents one wording, of a neighbour."""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    Keep the reply to a probe; its ``repr`` shows nothing of the body.

    :param kind: what it is.
    :param answer: as it came; ``None`` if none came.
    :param headers: of the answer, by their names in lower case.
    :param document: its body, decoded.
    :param text: Kore.ai's own text of a refusal.
    :param why: in words that name no user and no secret.
    :param received: whether Kore.ai may have received the request.
    """

    kind: Kind
    answer: Answer | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    document: object = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    why: str = ""
    received: bool = True

    @property
    def status(self) -> int:
        """The HTTP status; 0 if no answer came."""
        return self.answer.status if self.answer else 0

    @property
    def skew(self) -> float | None:
        """Seconds by which Kore.ai's clock is ahead; ``None`` if that is not known."""
        return self.answer.clock_skew if self.answer else None


def read_reply(answer: Answer, headers: Mapping[str, str], profile: ApiProfile) -> Reply:
    """Tell what an answer is; what has not the form of Kore.ai's answers proves nothing about Kore.ai."""
    try:
        document = decode_json(answer.content)
    except NotJsonError:
        document = None
    text, code = error_message(document)
    kind = _kind_of(answer.status, document, text, profile)
    why = f"HTTP {answer.status}, {kind.value}" if kind is Kind.FOREIGN else describe(answer, text, code)
    return Reply(kind, answer, headers, document, text, why)


def _kind_of(status: int, document: object, text: str | None, profile: ApiProfile) -> Kind:
    if is_throttle(status, text, profile):
        return Kind.THROTTLED
    if 200 <= status < 300 and isinstance(document, dict) and not (document.get("errors") or document.get("error")):
        return Kind.OK
    if status < 400 or text is None:
        return Kind.FOREIGN
    if status == 401:
        return Kind.TOKEN
    if status == 403 or means_missing_scope(status, text):
        return Kind.RIGHT
    if status < 500 and _SPEAKS_OF_RIGHT.search(text):
        return Kind.MAYBE_RIGHT
    return Kind.REFUSED if status < 500 else Kind.FAULT


@dataclass(frozen=True, slots=True)
class Subject:
    """
    What is checked; its ``repr`` shows no user.

    :param profile: how Kore.ai is taken to behave.
    :param bot_id: the bot whose data are read.
    :param user_id: a user who has data there; ``None`` if none is named.
    :param mark: makes what is made up unique: letters and digits.
    :param now: with a time zone.
    """

    profile: ApiProfile
    bot_id: str
    user_id: UserId | None = field(repr=False)
    mark: str
    now: datetime

    @property
    def request_id(self) -> str:
        """A request id that Kore.ai cannot know."""
        return f"eud-kore-check-{self.mark}"

    @property
    def made_up_user(self) -> str:
        """A user id that Kore.ai cannot know."""
        return f"kore-check-{self.mark}"


Steps = Generator[Probe | Pause, "Reply | None", T]
"""A check that runs: it yields probes and is sent the replies, and returns what it found. It does no I/O."""


def ask(probe: Probe, *kinds: Kind) -> Steps[Reply]:
    """
    Make a call.

    :param kinds: the kinds of replies that the check understands; a success if left out.
    :raises NotTestedError: if it is of another kind.
    """
    reply = yield probe
    assert reply is not None, "a probe is answered"  # noqa: S101
    if reply.kind not in (kinds or (Kind.OK,)):
        raise NotTestedError(f"{probe.call.value}: {reply.why}")
    return reply


@dataclass(frozen=True, slots=True)
class Check:
    """
    Ask about one guess.

    :param name: of the guess; that of the sandbox's setting if there is one.
    :param guess: in a sentence.
    :param run: asks, reads the replies, and returns what it found.
    """

    name: str
    guess: str
    run: Callable[[Subject], Steps[Finding]]


_PLAIN_TEXT = re.compile(r"[A-Za-z]{1,20}([ ,.'():-]{1,2}[A-Za-z]{1,20}){0,15}[.!]?")


def plain_text(reply: Reply) -> str | None:
    """
    Give Kore.ai's text if it names no user: a short sentence of words alone.

    For probes without a user only: it has neither digits nor what an address, a token or an id consists of.
    """
    text = (reply.text or "").strip()
    is_short = len(text) <= 120 and sum(map(str.isalpha, text)) >= SHORTEST_PHRASE
    return text if is_short and " " in text and _PLAIN_TEXT.fullmatch(text) else None
