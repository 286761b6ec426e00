"""One table that turns what Kore.ai answers, or fails to answer, into the right exception."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from airflow_provider_kore.api.clock_skew import LONGEST_CORRECTED_SKEW
from airflow_provider_kore.api.exchange import Answer
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile
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
    RECORDINGS = "recordings call"
    LLM_LOGS = "call for logs of LLM usage"
    AUDIT_LOG = "audit log call"

    @property
    def only_reads(self) -> bool:
        """Whether it changes nothing at Kore.ai."""
        return self not in (Call.ERASE, Call.RECORDINGS)

    @property
    def consequence(self) -> Consequence:
        """What a failure of this call means for the erasure, unless it is not known whether Kore.ai accepted it."""
        if self is Call.ERASE:
            return Consequence.NOT_ACCEPTED
        if self is Call.RECORDINGS:
            return Consequence.RECORDINGS_LEFT
        return Consequence.SENT if self is Call.STATUS else Consequence.ONLY_READ


@dataclass(frozen=True, slots=True)
class _Needs:
    deed: str
    scope: str
    check: str
    """What to check when Kore.ai refuses the request itself."""
    app: str = (
        "In Kore.ai's Admin Console, the app must have the scope {scope}; an app made in a bot's own settings does not "
        "work."
    )


_ERASING = _Needs(
    "erase users",
    "Profile Management > Delete Users Data (Bot Analytics > Delete Users Data in versions 7 to 9)",
    "Check the bot ids and the form of the user ids. If the batch contains an owner or member of an account, or a "
    "developer of a bot, Kore.ai cannot erase that user: take the user out, or find them with a smaller batch_size, "
    "and start a new DAG run. If Kore.ai takes fewer users at once, names a channel and the id in it by other keys, or "
    "words a throttle differently, set largest_batch, channel_id_key and channel_user_id_key, or throttle_texts in the "
    "connection's api_profile.",
)
_POLLING = _Needs(
    _ERASING.deed,
    _ERASING.scope,
    "Check that the connection points to the account that the erasure was submitted to. If Kore.ai answers so about a "
    "request id that it does not know, or not yet, set unknown_request_statuses in the connection's api_profile.",
)
_CHECK_HISTORY = (
    "Check the bot ids and the form of the user ids. How Kore.ai answers when it does not know the user is not "
    "documented, and may be this."
)

_NEEDS: dict[Call, _Needs] = {
    Call.ERASE: _ERASING,
    Call.STATUS: _POLLING,
    Call.SESSIONS: _Needs("read users' sessions", "Bot Analytics > Bot Sessions", _CHECK_HISTORY),
    Call.MESSAGES: _Needs("read users' messages", "Bot Analytics > Chat History", _CHECK_HISTORY),
    Call.MESSAGES_LITE: _Needs("read users' messages", "Bot Analytics > Chat History", _CHECK_HISTORY),
    Call.ROLES: _Needs(
        "read the account's members",
        "Profile Management > Role Management (Role Management in version 9)",
        "Check that the connection's base URL is that of your Kore.ai, whose version may not have this call. If it "
        "takes shorter pages, set members_page in the connection's api_profile.",
    ),
    Call.LLM_LOGS: _Needs("read logs of LLM usage", "Gen AI and LLM Usage Logs", "Check the bot id."),
    Call.AUDIT_LOG: _Needs("read the audit log", "Logs > Admin Console Audit Logs", "Check the connection's base URL."),
    Call.RECORDINGS: _Needs(
        "delete call recordings",
        "Delete Recordings",
        "Check the bot ids, and recordings_path in the connection's api_profile, since Kore.ai's own pages name three "
        "paths. How Kore.ai answers when a session has no recordings is not documented, and may be this: if Kore.ai "
        "confirms it, set no_recordings_texts there.",
        app="In the bot's own settings at Kore.ai, the app must have the scope {scope}; an app made in the Admin "
        "Console may not work. Let recordings_conn_id name a connection with such an app.",
    ),
}


def admin_console(call: Call) -> str:
    """Say which scope of the app a call needs, and where to set it."""
    return _NEEDS[call].app.format(scope=_NEEDS[call].scope)


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


_WANTS_ENCRYPTION = re.compile(r"\bjwe\b|\b(de|en)crypt(ed|ing|ion)?\b", re.I)
"""A guess: how Kore.ai refuses a token that is only signed, for an app with *Enforce JWE*. No text is documented."""


_MISSING_SCOPE = re.compile(r"unauthorized to perform", re.I)
"""Documented for a neighbouring call, with HTTP 400: so a missing scope is worded there. A guess for all others."""


def means_missing_scope(status: int, text: str | None) -> bool:
    """Tell whether a refusal says by its text that the app has not the scope; 403 says so without one."""
    return 400 <= status < 500 and _MISSING_SCOPE.search(text or "") is not None


@dataclass(frozen=True, slots=True)
class _Meaning:
    error: type[KoreError]
    problem: str
    remedy: str


_MEANINGS: dict[int, _Meaning] = {
    401: _Meaning(
        KoreAuthenticationError,
        "Kore.ai refused the token",
        "Compare Client ID, Client Secret, algorithm and key of the connection with the app's. {admin_console} Leave "
        "the app's Enforce JWE unticked, since tokens are signed and not encrypted.",
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
_ENCRYPTED = _Meaning(
    KoreAuthenticationError,
    "Kore.ai wants an encrypted token, and tokens are only signed",
    "In Kore.ai's Admin Console, untick Enforce JWE of the app; how Kore.ai wants a token encrypted is not documented.",
)
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


def read_failure(
    call: Call, answer: Answer, text: str | None, code: object, profile: ApiProfile = DEFAULT_PROFILE
) -> KoreError:
    """
    Turn an answer that is neither a success nor a throttle into an exception.

    :param call: the call; it decides what the answer means for the erasure.
    :param answer: the answer.
    :param text: Kore.ai's own text, ``None`` if there is none in the usual shape; matched but never shown.
    :param code: Kore.ai's own code.
    :param profile: how Kore.ai differs from what is guessed.
    """
    # A 408 to a call that may be repeated can be the late goodbye of a kept connection.
    late = call is not Call.ERASE and answer.status == 408
    if means_missing_scope(answer.status, text):
        meaning = _MEANINGS[403]
    elif answer.status in (400, 401, 403) and _WANTS_ENCRYPTION.search(text or ""):
        meaning = _ENCRYPTED
    elif call is Call.STATUS and profile.means_unknown_request(answer.status, text):
        meaning = _UNKNOWN_ID
    elif answer.status >= 500 or answer.status < 300 or late:
        meaning = _FAULT
    elif answer.status < 400:
        meaning = _REDIRECT
    elif call.only_reads and answer.status in (400, 404):
        # An older Kore.ai does not have this call, and may say so in whatever form.
        absent = call is Call.MESSAGES_LITE and answer.status == 404
        meaning = _REFUSED if text is not None or absent else _NOT_KORE
    elif call is Call.RECORDINGS and answer.status in (404, 405):
        meaning = _REFUSED
    else:
        meaning = _MEANINGS.get(answer.status, _REFUSED)
    needs = _NEEDS[call]
    clock = _describe_clock(answer.clock_skew) if answer.status == 401 else ""
    return meaning.error(
        f"{meaning.problem.format(deed=needs.deed)} ({call.value}: {describe(answer, text, code)}).{clock}",
        consequence=call.consequence,
        remedy=meaning.remedy.format(check=needs.check, admin_console=admin_console(call)),
    )


def _describe_clock(skew: float | None) -> str:
    if not skew:
        return ""
    off = f" This machine's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} Kore.ai's"
    if abs(skew) < LONGEST_CORRECTED_SKEW:
        return f"{off}, and a token with Kore.ai's time was refused as well."
    return f"{off}, so that no token that it signs is valid: set its clock."


def unreachable(call: Call, reason: str) -> KoreUnavailableError:
    """Say that Kore.ai was not reached, or gave no answer to a call that may be repeated."""
    return KoreUnavailableError(
        f"Kore.ai could not be reached ({call.value}: {reason}).",
        consequence=call.consequence,
        remedy="Check the connection's base URL, the network, proxy and ca_bundle, or wait for Kore.ai; then clear the "
        "task to continue.",
    )


def unreadable(call: Call, why: str) -> KoreUnreadableAnswerError:
    """Say that the answer to a call that may be repeated is not understood, without anything of it."""
    return KoreUnreadableAnswerError(
        f"Kore.ai answered the {call.value} in a form that is not understood: {why}.",
        consequence=call.consequence,
        remedy="Clear the task to ask again; if it stays so, Kore.ai's answers have changed and this provider must "
        "learn the new form.",
    )
