"""Ask for the deletion of a session's call recordings, and read the answer. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from airflow_provider_kore.api.errors import Call, error_message, unreadable
from airflow_provider_kore.api.exchange import Request
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.exceptions import KoreInputError

_SAYS_NOTHING_OF_THE_SESSION = frozenset({401, 403, 407, 408, 429})
"""Refusals of the caller, whatever their text."""

_LONGEST_SESSION_ID = 256


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

        :param path: of the call, with ``{bot_id}`` in it.
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


def read_deletion(document: object, session: RecordedSession, profile: ApiProfile = DEFAULT_PROFILE) -> bool:
    """
    Read the answer of a success.

    :param document: the decoded answer.
    :param profile: what its texts mean.
    :return: whether recordings were deleted; ``False`` if there were none.
    :raises KoreUnreadableAnswerError: if it says neither, or names another session.
    """
    if not isinstance(document, dict):
        raise unreadable(Call.RECORDINGS, f"it is of type {type(document).__name__}, not an object")
    if document.get("errors") or document.get("error"):
        raise unreadable(Call.RECORDINGS, "it reports errors, although its HTTP status is a success")
    if document.get("sessionId", session.session_id) != session.session_id:
        raise unreadable(Call.RECORDINGS, "it names another session than the one that was asked for")
    deleted = profile.means_recordings_deleted(document.get("message"))
    if deleted is None:
        raise unreadable(
            Call.RECORDINGS,
            "its message is in neither recordings_deleted_texts nor no_recordings_texts of the connection's "
            "api_profile, nor among the known ones",
        )
    return deleted


def says_no_recordings(status: int, document: object, profile: ApiProfile = DEFAULT_PROFILE) -> bool:
    """Tell whether an answer that is no success says that the session has no recordings."""
    if not 400 <= status < 500 or status in _SAYS_NOTHING_OF_THE_SESSION:
        return False
    text = error_message(document)[0]
    if text is None and isinstance(document, Mapping):
        text = document.get("message")
    return profile.means_recordings_deleted(text) is False
