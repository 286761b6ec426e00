"""Whose sessions and messages Kore holds, and which of them erasures have taken away."""

from collections import defaultdict
from datetime import datetime

from airflow_provider_kore.sandbox.answers import Answer, RefusedError
from airflow_provider_kore.sandbox.conversations import Item, Person, sessions_of
from airflow_provider_kore.sandbox.erasures import Erasure
from airflow_provider_kore.sandbox.history_requests import HistoryKind, HistoryRequest
from airflow_provider_kore.sandbox.requests import UserId
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.users import matches, resolved_id

_ONLY_BOT = "st-1"  # where people have data in an account that lists no bots
_SOMEBODY_ELSE = "somebody.else@example.com"


class History:
    """
    What Kore holds about people: everybody has conversations, until erased.

    Nothing of it is stored. Conversations are made up anew for each answer, and what an erasure takes is left out.
    """

    def __init__(self, end: datetime) -> None:
        self._end = end
        self._names: dict[str, str] = {}  # by resolved id, of everybody heard of
        self._erasures: dict[str, list[tuple[Erasure, int]]] = defaultdict(list)  # by resolved id, with the position
        self._unread: list[Erasure] = []

    def record(self, erasure: Erasure) -> None:
        """Take note of an accepted erasure; it is looked into when somebody's history is asked for."""
        self._unread.append(erasure)

    def answer(self, request: HistoryRequest, now: float, settings: Settings) -> Answer:
        """Answer with one page of the sessions or messages that are there now, newest first."""
        self._read_erasures()
        items = [item for item in self._items(request, now, settings) if request.covers(item.time, settings)]
        items.sort(key=lambda item: (item.time, item.item_id), reverse=True)
        contents = [item.content for item in items]
        return request.page.answer(contents, settings, more_key="moreAvailable", items_key=request.kind)

    def _items(self, request: HistoryRequest, now: float, settings: Settings) -> list[Item]:
        sessions = [
            session
            for person in self._people(request, now, settings)
            for bot_id in _bots(request, settings)
            if not settings.history_bots or bot_id in settings.history_bots
            if not self._is_erased(person, bot_id, request.kind, now, settings)
            for session in sessions_of(person, bot_id, self._end, settings)
        ]
        if request.lite:
            return [
                message
                for session in sessions
                if request.channel in (None, session.channel)
                for message in session.lite_messages(settings)
            ]
        sessions = [session for session in sessions if session.channel not in settings.unlisted_channels]
        if request.kind == "sessions":
            return [session.item() for session in sessions]
        return [
            message
            for session in sessions
            if session.channel == request.channel
            for message in session.messages(settings)
        ]

    def _people(self, request: HistoryRequest, now: float, settings: Settings) -> list[Person]:
        if not request.user_ids:
            people = [self._person(user_id) for user_id in self._names]
        else:
            for user_id in request.user_ids:
                self._hear_of(user_id)
            people = [self._person(user_id) for user_id in request.user_ids]
            if settings.erased_user_answer == "error" and all(
                self._is_erased(asked, bot_id, request.kind, now, settings)
                for asked in people
                for bot_id in _bots(request, settings)
            ):
                raise RefusedError(400, "Invalid userId")
            if settings.ignore_user_filter:
                people.append(self._person(_SOMEBODY_ELSE))
        return [person for person in people if not matches(person.names, settings.unknown_users)]

    def _is_erased(self, person: Person, bot_id: str, kind: HistoryKind, now: float, settings: Settings) -> bool:
        if settings.leave_behind_kind in (kind, "both") and matches(person.names, settings.leave_behind):
            return False
        return any(
            erasure.fate_at(position, now, settings) == "erased" and erasure.request.reaches(bot_id)
            for erasure, position in self._erasures.get(person.user_id, ())
        )

    def _person(self, user_id: str) -> Person:
        resolved = resolved_id(user_id)
        name = self._names.get(resolved, user_id)
        return Person(resolved, name, frozenset({name, user_id}))

    def _hear_of(self, user_id: UserId) -> str:
        # Whoever is named by a channel too is the person that the id in the channel names.
        name = user_id if isinstance(user_id, str) else user_id["channel_user_id"]
        resolved = resolved_id(name)
        if name != resolved or resolved not in self._names:
            self._names[resolved] = name
        return resolved

    def _read_erasures(self) -> None:
        for erasure in self._unread:
            for position, user_id in enumerate(erasure.request.user_ids):
                self._erasures[self._hear_of(user_id)].append((erasure, position))
        self._unread.clear()


def _bots(request: HistoryRequest, settings: Settings) -> tuple[str, ...]:
    if request.bot_id is not None:
        return (request.bot_id,)
    return settings.history_bots or settings.bots or (_ONLY_BOT,)
