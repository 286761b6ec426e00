"""Accepted erasures: whom they erase, when each user is done, and what Kore answers about it."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.requests import EraseRequest, UserId
from airflow_provider_kore.sandbox.settings import Settings

Fate = Literal["erased", "refused", "unknown"]

_ISODATE_STRING = re.compile(rb'"ISODate\(([^()"]+)\)"')


@dataclass(frozen=True)
class Erasure:
    """One accepted erase request; what becomes of each user is settled, and shows when its time comes."""

    request_id: str
    request: EraseRequest
    fates: tuple[Fate, ...]
    accepted_at: float
    duration: float

    @property
    def finishes_at(self) -> float:
        """Return the time at which the last user is done."""
        return self.accepted_at + self.duration

    def fates_at(self, now: float, settings: Settings) -> list[Fate | None]:
        """Return what became of each user by now; ``None`` where that is still open."""
        done = len(self.fates) if now >= self.finishes_at else 0
        if settings.while_running in ("trickle", "growing") and now < self.finishes_at:
            done = int((now - self.accepted_at) / self.duration * len(self.fates))
        return [fate if index < done else None for index, fate in enumerate(self.fates)]


def accept(request: EraseRequest, settings: Settings, now: float, duration: float) -> Erasure:
    """Accept an erase request, or refuse it as a whole where the settings say so."""
    fates = tuple(_fate(user_id, settings) for user_id in request.user_ids)
    if settings.refusal == "whole-request" and "refused" in fates:
        refused = [_name(user_id) for user_id, fate in zip(request.user_ids, fates, strict=True) if fate == "refused"]
        raise RefusedError(400, f"Account or bot owners cannot be erased: {', '.join(refused)}")
    return Erasure(f"eud-{uuid.uuid4()}", request, fates, now, duration)


def accept_answer(erasure: Erasure, settings: Settings) -> Answer:
    """Answer an erase request that was accepted."""
    content = {"requestId": erasure.request_id, "status": settings.accept_word}
    return json_answer(settings.accept_status, content)


def status_answer(erasure: Erasure, settings: Settings, now: float) -> Answer:
    """Answer how far an erasure has come; there is no status of the whole, as with Kore."""
    words = {
        None: settings.running_word,
        "erased": settings.erased_word,
        "refused": settings.refused_word,
        "unknown": settings.unknown_word,
    }
    fates = erasure.fates_at(now, settings)
    entries = [
        {"userId": _shown(user_id, settings), "status": words[fate]}
        for user_id, fate in zip(erasure.request.user_ids, fates, strict=True)
        if not (settings.while_running == "growing" and fate is None)
    ]
    content: dict[str, object] = {
        "_id": erasure.request_id,
        "createdOn": _timestamp(erasure.accepted_at, settings),
        "lastUpdatedOn": _timestamp(min(now, erasure.finishes_at), settings),
        "RemoveDataFromAllBots": erasure.request.all_bots,
    }
    running = now < erasure.finishes_at
    if running and settings.while_running == "empty":
        content["response"] = []
    elif not (running and settings.while_running == "missing"):
        content["response"] = entries
    answer = json_answer(200, content)
    if settings.timestamps == "isodate":
        body = _ISODATE_STRING.sub(rb'ISODate("\1")', answer.body)
        return Answer(status=answer.status, body=body, headers=answer.headers)
    return answer


def resolved_id(user_id: UserId) -> str:
    """Return the ``u-…`` id that a user id stands for; the same one each time."""
    name = _name(user_id)
    return name if name.startswith("u-") else f"u-{uuid.uuid5(uuid.NAMESPACE_OID, name)}"


def _shown(user_id: UserId, settings: Settings) -> UserId:
    return resolved_id(user_id) if settings.user_id_form == "resolved" else user_id


def _name(user_id: UserId) -> str:
    return user_id if isinstance(user_id, str) else f"{user_id['channel_id']}:{user_id['channel_user_id']}"


def _fate(user_id: UserId, settings: Settings) -> Fate:
    names = {_name(user_id), user_id if isinstance(user_id, str) else user_id["channel_user_id"]}
    if _matches(names, settings.refuse):
        return "refused"
    return "unknown" if _matches(names, settings.unknown_users) else "erased"


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _timestamp(seconds: float, settings: Settings) -> object:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"iso": text, "date-object": {"$date": text}, "isodate": f"ISODate({text})"}[settings.timestamps]
