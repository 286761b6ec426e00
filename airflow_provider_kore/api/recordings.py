"""Ask for the deletion of a session's call recordings, and read the answer. Pure functions, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from airflow_provider_kore.api.errors import Call, error_message, unreadable
from airflow_provider_kore.api.exchange import Request
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.exceptions import KoreInputError

# --- what Kore.ai does not document well: all of it stands here -----------------------------------------------------

RECORDINGS_PATH = "/api/public/bot/{bot_id}/v2/recordings"
"""
As Kore.ai's page names it. Its sample calls ``/api/1.1/public/bot/{bot_id}/recordings``, and an older page
``/api/public/bot/{bot_id}/recordings``, so that the connection's ``recordings_path`` can name another one.
"""

DELETED_TEXTS = frozenset({"call recordings deleted successfully"})
"""Documented: what a success says in its ``message``. In small letters, without a full stop."""

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
"""A guess: what Kore.ai says of a session without recordings, in a success or in an error. Written as above."""


@dataclass(frozen=True, slots=True)
class RecordingsGuesses:
    """
    How Kore.ai is taken to answer the recordings call.

    :param recordings_path: of the call, with ``{bot_id}`` in it.
    :param deleted_texts: what says that recordings were deleted, in small letters and without a full stop.
    :param no_recordings_texts: what says that there are none, likewise.
    """

    recordings_path: str = RECORDINGS_PATH
    deleted_texts: frozenset[str] = DELETED_TEXTS
    no_recordings_texts: frozenset[str] = NO_RECORDINGS_TEXTS


DEFAULT_GUESSES = RecordingsGuesses()

_SAYS_NOTHING_OF_THE_SESSION = frozenset({401, 403, 407, 408, 429})
"""Refusals of the caller, whatever their text."""

# --------------------------------------------------------------------------------------------------------------------

_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~-]+|\{bot_id\}))+")
_LONGEST_SESSION_ID = 256


def recordings_path(text: str) -> str:
    """
    Accept the path of the recordings call.

    :raises ValueError: if it is no path with ``{bot_id}`` in it once, or has a query.
    """
    if not _PATH.fullmatch(text) or text.count("{bot_id}") != 1:
        raise ValueError(f"must be a path with {{bot_id}} as one of its parts, such as {RECORDINGS_PATH}")
    return text


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """
    Name a session whose recordings are to be deleted; its ``repr`` does not show the session.

    :param bot_id: the bot at which it was found.
    :param session_id: its id at Kore.ai.
    """

    bot_id: str
    session_id: str = field(repr=False)

    def deletion(self, path: str) -> Request:
        """
        Write the request that deletes its recordings. The URL contains the session id.

        :param path: of the call, see :func:`recordings_path`.
        """
        path = path.replace("{bot_id}", quote(self.bot_id, safe=""))
        return Request("DELETE", f"{path}?sessionId={quote(self.session_id, safe='')}")


def check_recorded_bots(bot_ids: object, allowed_bot_ids: Sequence[str] | None = None) -> ErasureScope:
    """
    Accept the bots whose recordings to delete.

    :param bot_ids: a list of bot ids.
    :param allowed_bot_ids: the bots that the connection allows; ``None`` for any.
    :raises KoreInputError: if there are none, it is no list of ids, or the connection does not allow one of them.
    """
    if bot_ids is None or (isinstance(bot_ids, list | tuple) and not bot_ids):
        raise KoreInputError("There are no bot_ids.", remedy="List the bots: recordings are deleted bot by bot.")
    return check_scope(bot_ids, False, allow_all_bots=False, allowed_bot_ids=allowed_bot_ids)


def is_session_id(value: object) -> bool:
    """Tell whether a value of an answer can be sent as a session id."""
    return isinstance(value, str) and value.isprintable() and bool(value.strip()) and len(value) <= _LONGEST_SESSION_ID


def read_deletion(document: object, session: RecordedSession, guesses: RecordingsGuesses = DEFAULT_GUESSES) -> bool:
    """
    Read the answer of a success.

    :param document: the decoded answer.
    :return: whether recordings were deleted; ``False`` if there were none.
    :raises KoreUnreadableAnswerError: if it says neither, or names another session.
    """
    if not isinstance(document, dict):
        raise unreadable(Call.RECORDINGS, f"it is of type {type(document).__name__}, not an object")
    if document.get("errors") or document.get("error"):
        raise unreadable(Call.RECORDINGS, "it reports errors, although its HTTP status is a success")
    if document.get("sessionId", session.session_id) != session.session_id:
        raise unreadable(Call.RECORDINGS, "it names another session than the one that was asked for")
    text = _plain(document.get("message"))
    if text in guesses.no_recordings_texts:
        return False
    if text not in guesses.deleted_texts:
        raise unreadable(Call.RECORDINGS, "its message is none that is known")
    return True


def says_no_recordings(status: int, document: object, guesses: RecordingsGuesses = DEFAULT_GUESSES) -> bool:
    """Tell whether an answer that is no success says that the session has no recordings."""
    if not 400 <= status < 500 or status in _SAYS_NOTHING_OF_THE_SESSION:
        return False
    text = error_message(document)[0]
    if text is None and isinstance(document, Mapping):
        text = document.get("message")
    return _plain(text) in guesses.no_recordings_texts


def _plain(text: object) -> str | None:
    return text.strip().removesuffix(".").lower() if isinstance(text, str) else None
