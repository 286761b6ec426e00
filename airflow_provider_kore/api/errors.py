"""One table that turns what Kore.ai answers, or fails to answer, into the right exception."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from airflow_provider_kore.api.exchange import Answer
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAuthenticationError,
    KoreConfigurationError,
    KoreError,
    KorePermissionError,
    KoreRequestError,
    KoreUnavailableError,
    KoreUnknownRequestError,
    KoreUnreadableAnswerError,
)


class Call(Enum):
    """The calls of Kore.ai that are made."""

    ERASE = "erase call"
    STATUS = "status call"
    SESSIONS = "sessions call"
    MESSAGES = "messages call"
    MESSAGES_LITE = "messages-lite call"
    ROLES = "roles call"

    @property
    def only_reads(self) -> bool:
        """Whether it changes nothing at Kore.ai, so that it may be repeated."""
        return self is not Call.ERASE

    @property
    def consequence(self) -> Consequence:
        """What a failure of this call means for the erasure, unless it is not known whether Kore.ai accepted it."""
        if self is Call.ERASE:
            return Consequence.NOT_ACCEPTED
        return Consequence.SENT if self is Call.STATUS else Consequence.ONLY_READ


@dataclass(frozen=True, slots=True)
class _Needs:
    deed: str
    scope: str
    check: str
    """What to check when Kore.ai refuses the request itself."""


_ERASING = _Needs(
    "erase users",
    "Profile Management > Delete Users Data (Bot Analytics > Delete Users Data in versions 7 to 9)",
    "Check the bot ids and the form of the user ids. If the batch contains an owner or member of an account, or a "
    "developer of a bot, Kore.ai cannot erase that user: take the user out, or find them with a smaller batch_size, "
    "and start a new DAG run.",
)
_CHECK_HISTORY = (
    "Check the bot ids and the form of the user ids. How Kore.ai answers when it does not know the user is not "
    "documented, and may be this."
)

_NEEDS: dict[Call, _Needs] = {
    Call.ERASE: _ERASING,
    Call.STATUS: _ERASING,
    Call.SESSIONS: _Needs("read users' sessions", "Bot Analytics > Bot Sessions", _CHECK_HISTORY),
    Call.MESSAGES: _Needs("read users' messages", "Bot Analytics > Chat History", _CHECK_HISTORY),
    Call.MESSAGES_LITE: _Needs("read users' messages", "Bot Analytics > Chat History", _CHECK_HISTORY),
    Call.ROLES: _Needs(
        "read the account's members",
        "Profile Management > Role Management (Role Management in version 9)",
        "Check that the connection's base URL is that of your Kore.ai, whose version may not have this call.",
    ),
}


def admin_console(call: Call) -> str:
    """Say which scope of the app a call needs, and where to set it."""
    return (
        f"In Kore.ai's Admin Console, the app must have the scope {_NEEDS[call].scope}; an app made in a bot's own "
        "settings does not work."
    )


_KNOWN_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"possibly a replay", re.I), "it takes the token for a replay"),
    (re.compile(r'"exp" must be', re.I), "the token lives too long for it"),
    (re.compile(r"invalid sdk credentials", re.I), "invalid SDK credentials"),
    (re.compile(r"unauthorized to perform", re.I), "it says that the app is not authorized for this"),
    (re.compile(r"invalid streamid", re.I), "it does not know the bot (invalid StreamId)"),
    (re.compile(r"method not allowed", re.I), "method not allowed"),
    (re.compile(r"expired", re.I), "the token has expired: check this machine's clock"),
)
"""Kore.ai's texts that are documented or seen. Any other text is withheld, since it may echo a user id."""


def describe(answer: Answer, message: str | None, code: object) -> str:
    """Tell what Kore.ai answered, in words that name no user."""
    said = [f"HTTP {answer.status}"]
    if isinstance(code, int) and not isinstance(code, bool):
        said.append(f"code {code}")
    if message is not None:
        known = next((meaning for pattern, meaning in _KNOWN_TEXTS if pattern.search(message)), None)
        said.append(known or f"a text of {len(message)} characters that is withheld, since it may name a user")
    return ", ".join(said)


def error_message(document: object) -> tuple[str | None, object]:
    """Read text and code from ``{"errors": [{"msg": …, "code": …}]}``, the usual shape; else nothing."""
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None, None
    message = first.get("msg")
    return (message if isinstance(message, str) else None), first.get("code")


_RATE_LIMIT = re.compile(r"(?<![a-z])rate[ _-]?limit", re.I)


def is_throttle(status: int, text: str | None) -> bool:
    """Tell a spent budget: 429, or a guess: any 4xx that speaks of a rate limit."""
    return status == 429 or (400 <= status < 500 and _RATE_LIMIT.search(text or "") is not None)


_MISSING_SCOPE = re.compile(r"unauthorized to perform", re.I)
"""Documented for a neighbouring call, with HTTP 400: so a missing scope is worded there. A guess for all others."""

_PROVES_NOTHING_WAS_DONE = frozenset(
    {
        *(
            300,
            301,
            302,
            304,
            305,
            307,
            308,
        ),  # go elsewhere with it; 303 is left out: it follows a request that was done
        *(400, 402, 422),  # the request itself is refused
        *(401, 403, 407),  # unknown callers are not let in, neither by Kore.ai nor by a proxy
        *(404, 405, 410, 501),  # there is nothing that could do it
        *(409, 412, 417, 423, 428),  # a condition of doing it is not met
        *(411, 413, 414, 415, 431),  # its form is refused before it is read
        *(421, 425, 426),  # not for this server, this moment or this protocol; by definition not carried out
        *(429, 451),
    }
)
"""
Statuses that by their definition say that a request was not carried out.

All others leave it open: a proxy answers 408, 499 or 460 when it has waited for too long, and may have passed the
request on; a 5xx can follow the acceptance, except for 501, by which no server can do it; 406 is about the form of an
answer; and what no standard defines means nothing.
"""


def leaves_open(status: int) -> bool:
    """Tell whether an answer that is no success leaves it open whether an erasure was accepted."""
    return status not in _PROVES_NOTHING_WAS_DONE


LONGEST_THROTTLE_PAUSE = 3600.0


def throttle_pause(answer: Answer, text: str | None, now: datetime | None = None) -> float:
    """
    Give the seconds to stay away after a throttle answer.

    ``Retry-After`` decides, in seconds or as a date; without it a minute, which is the shorter window, or five
    minutes when the text speaks of the hour.
    """
    seconds = _retry_after(answer.retry_after, now or datetime.now(UTC))
    if seconds is None:
        seconds = 300.0 if re.search(r"hour", text or "", re.I) else 60.0
    return min(max(seconds, 1.0), LONGEST_THROTTLE_PAUSE)


def _retry_after(header: str | None, now: datetime) -> float | None:
    if header is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", header):
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds()


@dataclass(frozen=True, slots=True)
class _Meaning:
    error: type[KoreError]
    problem: str
    remedy: str


_MEANINGS: dict[int, _Meaning] = {
    401: _Meaning(
        KoreAuthenticationError,
        "Kore.ai refused the token",
        "Compare Client ID, Client Secret, algorithm and key of the connection with the app's. {admin_console}",
    ),
    403: _Meaning(KorePermissionError, "Kore.ai knows the app, but does not let it {deed}", "{admin_console}"),
    404: _Meaning(
        KoreConfigurationError,
        "Kore.ai has nothing at this address",
        "Check the connection's base URL, which must be the host alone, such as https://platform.kore.ai.",
    ),
    405: _Meaning(
        KoreConfigurationError,
        "Kore.ai does not take this method at this address",
        "Check the connection's base URL, and that no proxy between changes or blocks the method.",
    ),
}

_REDIRECT = _Meaning(
    KoreConfigurationError,
    "A redirect was answered, and it is never followed, since the token would go along",
    "Set the connection's base URL to the address that Kore.ai is really at.",
)
_REFUSED = _Meaning(KoreRequestError, "Kore.ai refused the request", "{check}")
_UNKNOWN_ID = _Meaning(
    KoreUnknownRequestError,
    "Kore.ai does not know the request id",
    "Check that the connection points to the account that the erasure was submitted to. If it does, ask Kore.ai what "
    "became of the request before you submit anything again.",
)
_FAULT = _Meaning(
    KoreUnavailableError,
    "Kore.ai answered with a fault",
    "It usually passes; clear the task to continue.",
)


_NOT_KORE = _Meaning(
    KoreUnavailableError,
    "The answer does not have the form of Kore.ai's errors",
    "If it does not pass, check the connection's base URL, which must be the host alone, such as "
    "https://platform.kore.ai.",
)


def read_failure(call: Call, answer: Answer, text: str | None, code: object) -> KoreError:
    """
    Turn an answer that is neither a success nor a throttle into an exception.

    :param call: the call; it decides what the answer means for the erasure.
    :param answer: the answer.
    :param text: Kore.ai's own text, ``None`` if there is none in the usual shape; matched but never shown.
    :param code: Kore.ai's own code.
    """
    # A 408 to a call that only reads can be the late goodbye of a kept connection.
    late = call.only_reads and answer.status == 408
    if 400 <= answer.status < 500 and _MISSING_SCOPE.search(text or ""):
        meaning = _MEANINGS[403]
    elif answer.status >= 500 or answer.status < 300 or late:
        meaning = _FAULT
    elif answer.status < 400:
        meaning = _REDIRECT
    elif call.only_reads and answer.status in (400, 404):
        understood = _UNKNOWN_ID if call is Call.STATUS else _REFUSED
        # An older Kore.ai does not have this call, and may say so in whatever form.
        absent = call is Call.MESSAGES_LITE and answer.status == 404
        meaning = understood if text is not None or absent else _NOT_KORE
    else:
        meaning = _MEANINGS.get(answer.status, _REFUSED)
    needs = _NEEDS[call]
    return meaning.error(
        f"{meaning.problem.format(deed=needs.deed)} ({call.value}: {describe(answer, text, code)}).",
        consequence=call.consequence,
        remedy=meaning.remedy.format(check=needs.check, admin_console=admin_console(call)),
    )


def unreachable(call: Call, reason: str) -> KoreUnavailableError:
    """Say that Kore.ai was not reached, or gave no answer to a call that may be repeated."""
    return KoreUnavailableError(
        f"Kore.ai could not be reached ({call.value}: {reason}).",
        consequence=call.consequence,
        remedy="Check the connection's base URL, the network, proxy and ca_bundle, or wait for Kore.ai; then clear the "
        "task to continue.",
    )


def unreadable(call: Call, why: str) -> KoreUnreadableAnswerError:
    """Say that the answer to a call that only reads is not understood, without anything of it."""
    return KoreUnreadableAnswerError(
        f"Kore.ai answered the {call.value} in a form that is not understood: {why}.",
        consequence=call.consequence,
        remedy="Clear the task to ask again; if it stays so, Kore.ai's answers have changed and this provider must "
        "learn the new form.",
    )
