"""Accepted erasures: which users they erase, when each is done, and what Kore answers about it."""

import re
import uuid
from collections.abc import Set
from dataclasses import dataclass, replace

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.records import Fate, RequestState, UserState
from airflow_provider_kore.sandbox.requests import EraseRequest, UserId
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.times import moment_at, write_time
from airflow_provider_kore.sandbox.users import matches, name_of, names_of, resolved_id

_ISODATE_STRING = re.compile(rb'"ISODate\(([^()"]+)\)"')


@dataclass(frozen=True)
class Erasure:
    """One accepted erase request; the fate of each user is decided, and shows when its time comes."""

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
        """Return the fate of each user by now; ``None`` while that is open."""
        done = self._done_at(now, settings)
        return [fate if position < done else None for position, fate in enumerate(self.fates)]

    def fate_at(self, position: int, now: float, settings: Settings) -> Fate | None:
        """Return the fate of the user at this position by now."""
        return self.fates[position] if position < self._done_at(now, settings) else None

    def state_at(self, now: float, settings: Settings) -> RequestState:
        """Return what the control API shows of this request by now."""
        fates = zip(self.request.user_ids, self.fates_at(now, settings), strict=True)
        return RequestState(
            request_id=self.request_id,
            bot_ids=self.request.bot_ids,
            all_bots=self.request.all_bots,
            accepted_at=self.accepted_at,
            finishes_at=self.finishes_at,
            finished=now >= self.finishes_at,
            users=tuple(UserState(user_id=user_id, fate=fate or "running") for user_id, fate in fates),
        )

    def _done_at(self, now: float, settings: Settings) -> int:
        if now >= self.finishes_at:
            return len(self.fates)
        if settings.while_running in ("trickle", "growing"):
            return int((now - self.accepted_at) / self.duration * len(self.fates))
        return 0


def accept(request: EraseRequest, settings: Settings, now: float, duration: float) -> Erasure:
    """Accept an erase request, or refuse it as a whole where the settings say so."""
    members = {resolved_id(member) for member in settings.members}
    fates = tuple(_fate(user_id, members, settings) for user_id in request.user_ids)
    if settings.refusal == "whole-request" and "refused" in fates:
        refused = [name_of(user_id) for user_id, fate in zip(request.user_ids, fates, strict=True) if fate == "refused"]
        raise RefusedError(400, f"Account or bot owners cannot be erased: {', '.join(refused)}")
    return Erasure(f"eud-{uuid.uuid4()}", request, fates, now, duration)


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
        return replace(answer, body=body)
    return answer


def _shown(user_id: UserId, settings: Settings) -> UserId:
    if settings.user_id_form == "resolved":
        return resolved_id(user_id)
    if isinstance(user_id, str):
        return user_id
    return {
        settings.channel_id_key: user_id["channel_id"],
        settings.channel_user_id_key: user_id["channel_user_id"],
    }


def _fate(user_id: UserId, members: Set[str], settings: Settings) -> Fate:
    names = names_of(user_id)
    if matches(names, settings.refuse) or (members and any(resolved_id(name) in members for name in names)):
        return "refused"
    return "unknown" if matches(names, settings.unknown_users) else "erased"


def _timestamp(seconds: float, settings: Settings) -> object:
    text = write_time(moment_at(seconds))
    return {"iso": text, "date-object": {"$date": text}, "isodate": f"ISODate({text})"}[settings.timestamps]
