"""The sessions and messages that Kore stores, and which of them erasures have removed."""

from collections import defaultdict
from datetime import datetime

from airflow_provider_kore.sandbox.answers import Answer, RefusedError
from airflow_provider_kore.sandbox.conversations import Item, Session, User, sessions_of
from airflow_provider_kore.sandbox.erasures import Erasure
from airflow_provider_kore.sandbox.history_requests import HistoryKind, HistoryRequest
from airflow_provider_kore.sandbox.requests import UserId
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.users import matches, resolved_id

_ONLY_BOT = "st-1"  # where users have data in an account that lists no bots
_OTHER_USER = "another.user@example.com"


class History:
    """
    Describe what Kore stores about users: each has conversations, until erased.

    Nothing of it is stored. Conversations are made up anew for each answer, and what an erasure removes is left out.
    """

    def __init__(self, end: datetime) -> None:
        self._end = end
        self._names: dict[str, str] = {}  # by resolved id, of each user named so far
        self._erasures: dict[str, list[tuple[Erasure, int]]] = defaultdict(list)  # by resolved id, with the position
        self._unread: list[Erasure] = []

    def record(self, erasure: Erasure) -> None:
        """Record an accepted erasure; it is read with the next request for history."""
        self._unread.append(erasure)

    def answer(self, request: HistoryRequest, now: float, settings: Settings) -> Answer:
        """Answer with one page of the sessions or messages that are there now, newest first."""
        self._read_erasures()
        items = [item for item in self._items(request, now, settings) if request.covers(item.time, settings)]
        items.sort(key=lambda item: (item.time, item.item_id), reverse=True)
        contents = [item.content for item in items]
        return request.page.answer(contents, settings, more_key="moreAvailable", items_key=request.kind)

    def session(self, bot_id: str, session_id: str, settings: Settings) -> Session | None:
        """Find a session of the users named so far, also one that was erased since."""
        for user_id in self._names:
            for session in sessions_of(self._user(user_id), bot_id, self._end, settings):
                if session.session_id == session_id:
                    return session
        return None

    def _items(self, request: HistoryRequest, now: float, settings: Settings) -> list[Item]:
        sessions = [
            session
            for user in self._users(request, now, settings)
            for bot_id in _bots(request, settings)
            if not settings.history_bots or bot_id in settings.history_bots
            if not self._is_erased(user, bot_id, request.kind, now, settings)
            for session in sessions_of(user, bot_id, self._end, settings)
            if request.channel in (None, session.channel)
            if request.lite or session.channel not in settings.unlisted_channels
        ]
        if request.kind == "sessions":
            return [session.item() for session in sessions]
        messages_of = Session.lite_messages if request.lite else Session.messages
        return [message for session in sessions for message in messages_of(session, settings)]

    def _users(self, request: HistoryRequest, now: float, settings: Settings) -> list[User]:
        if not request.user_ids:
            users = [self._user(user_id) for user_id in self._names]
        else:
            for user_id in request.user_ids:
                self._learn_name(user_id)
            users = [self._user(user_id) for user_id in request.user_ids]
            if settings.erased_user_answer == "error" and all(
                self._is_erased(user, bot_id, request.kind, now, settings)
                for user in users
                for bot_id in _bots(request, settings)
            ):
                raise RefusedError(400, "Invalid userId")
            if settings.ignore_user_filter:
                users.append(self._user(_OTHER_USER))
        return [user for user in users if not matches(user.names, settings.unknown_users)]

    def _is_erased(self, user: User, bot_id: str, kind: HistoryKind, now: float, settings: Settings) -> bool:
        if settings.leave_behind_kind in (kind, "both") and matches(user.names, settings.leave_behind):
            return False
        return any(
            erasure.fate_at(position, now, settings) == "erased" and erasure.request.reaches(bot_id)
            for erasure, position in self._erasures.get(user.user_id, ())
        )

    def _user(self, user_id: str) -> User:
        resolved = resolved_id(user_id)
        name = self._names.get(resolved, user_id)
        return User(resolved, name, frozenset({name, user_id}))

    def _learn_name(self, user_id: UserId) -> str:
        # A channel user is the user whom the id in the channel names.
        name = user_id if isinstance(user_id, str) else user_id["channel_user_id"]
        resolved = resolved_id(name)
        if name != resolved or resolved not in self._names:
            self._names[resolved] = name
        return resolved

    def _read_erasures(self) -> None:
        for erasure in self._unread:
            for position, user_id in enumerate(erasure.request.user_ids):
                self._erasures[self._learn_name(user_id)].append((erasure, position))
        self._unread.clear()


def _bots(request: HistoryRequest, settings: Settings) -> tuple[str, ...]:
    if request.bot_id is not None:
        return (request.bot_id,)
    return settings.history_bots or settings.bots or (_ONLY_BOT,)
