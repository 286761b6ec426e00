"""
The status call: its path, and what its answer says of each user. Pure functions, no I/O.

A user is *erased* only where an answer that was understood says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from airflow_provider_kore.api.erase_request import ERASE_PATH, check_request_id
from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.outcome import Outcome, severity
from airflow_provider_kore.api.users import UserId, fingerprint, folded, user_id_from_json

ERASED_WORDS = frozenset({"success", "completed"})
"""``SUCCESS`` is the only value ever published; ``completed`` is seen in neighbour APIs."""

OPEN_WORDS = frozenset({"inprogress", "pending", "queued", "processing", "running"})
"""Guessed from neighbour APIs; hyphens, underscores and spaces do not count."""


def read_outcome(status: object) -> Outcome:
    """Read the status of one user: without case; absent is open; anything unknown is not proven erased."""
    if status is None or status == "":
        return Outcome.OPEN
    if not isinstance(status, str) or not status.isascii():
        return Outcome.NOT_ERASED
    if status.lower() in ERASED_WORDS:
        return Outcome.ERASED
    if re.sub("[-_ ]", "", status.lower()) in OPEN_WORDS:
        return Outcome.OPEN
    return Outcome.NOT_ERASED


_SHOWABLE_WORDING = re.compile(r"[A-Za-z]+([-_][A-Za-z]+){0,4}")


def show_wording(status: object, user_id: UserId) -> str:
    """Show a status verbatim if it can only be a code, since free text of Kore.ai may name the user."""
    if isinstance(status, str) and len(status) <= 40 and _SHOWABLE_WORDING.fullmatch(status):
        named = (user_id,) if isinstance(user_id, str) else (user_id.channel_id, user_id.channel_user_id)
        if not any(name.casefold() in status.casefold() for name in named):
            return status
    return f"a status that is not shown, of type {type(status).__name__}"


@dataclass(frozen=True, slots=True)
class ErasureStatusEntry:
    """
    What an answer says of one user.

    :param user_id: as answered, ``None`` if it was not understood.
    :param outcome: what its status means.
    :param wording: its status, as far as it may be shown.
    """

    user_id: UserId | None = field(repr=False)
    outcome: Outcome
    wording: str


@dataclass(frozen=True, slots=True)
class ErasureStatus:
    """
    What Kore.ai says of one erasure request, one entry for each user that it names.

    An answer without entries is an erasure that is still open.

    :param request_id: whose status it is.
    :param entries: at most one for each user; of several for one user the worst was kept. An e-mail address names the
        same user in any case.
    :param created_on: when Kore.ai says that it was made, verbatim; ``None`` if that is no time.
    :param updated_on: when Kore.ai says that it was last changed, likewise.
    """

    request_id: str
    entries: tuple[ErasureStatusEntry, ...]
    created_on: str | None = None
    updated_on: str | None = None

    def fingerprint(self, key: bytes) -> str | None:
        """Give the fingerprint of the users that the answer names; ``None`` if one was not understood."""
        user_ids = [entry.user_id for entry in self.entries if entry.user_id is not None]
        return fingerprint(user_ids, key) if len(user_ids) == len(self.entries) else None

    def wordings(self) -> Counter[str]:
        """Count the wordings of those who are not proven erased."""
        return Counter(entry.wording for entry in self.entries if entry.outcome is Outcome.NOT_ERASED)


def status_path(request_id: str) -> str:
    """Give the path of the status call."""
    return f"{ERASE_PATH}/status/{quote(check_request_id(request_id), safe='')}"


def read_status(document: object, request_id: str) -> ErasureStatus:
    """
    Read the answer to a status call.

    There is no overall status: how far the erasure is follows from the entries in ``response`` alone.

    :param document: the decoded answer.
    :param request_id: the id that was asked for; an answer about another one is refused.
    :raises KoreUnreadableAnswerError: if it is not an answer about this request.
    """
    if not isinstance(document, dict):
        raise unreadable(Call.STATUS, f"it is of type {type(document).__name__}, not an object")
    if document.get("errors") or document.get("error"):
        raise unreadable(Call.STATUS, "it reports errors, although its HTTP status is a success")
    if read_outcome(document.get("status")) is Outcome.NOT_ERASED:
        raise unreadable(Call.STATUS, "it has an overall status that is no success")
    if document.get("_id") not in (None, request_id):
        raise unreadable(Call.STATUS, "it is about another request id")
    response = document.get("response")
    if response is None:
        response = []
    if not isinstance(response, list):
        raise unreadable(Call.STATUS, f"its response is of type {type(response).__name__}, not a list")
    return ErasureStatus(
        request_id,
        tuple(_worst_of_each_user(map(_read_entry, response))),
        created_on=_read_time(document.get("createdOn")),
        updated_on=_read_time(document.get("lastUpdatedOn")),
    )


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})?")


def _read_time(value: object) -> str | None:
    """Keep a time as Kore.ai wrote it, and nothing that could be anything else; ``{"$date": …}`` is a guess."""
    if isinstance(value, dict) and value.keys() == {"$date"}:
        value = value["$date"]
    return value if isinstance(value, str) and _TIME.fullmatch(value) else None


def _read_entry(value: object) -> ErasureStatusEntry:
    if not isinstance(value, dict):
        return ErasureStatusEntry(None, Outcome.NOT_ERASED, f"an entry of type {type(value).__name__}")
    user_id = user_id_from_json(value.get("userId"))
    if user_id is None:
        return ErasureStatusEntry(None, Outcome.NOT_ERASED, "an entry without a user id that is understood")
    status = value.get("status")
    outcome = Outcome.NOT_ERASED if value.get("error") or value.get("errors") else read_outcome(status)
    return ErasureStatusEntry(user_id, outcome, show_wording(status, user_id))


def _worst_of_each_user(entries: Iterable[ErasureStatusEntry]) -> list[ErasureStatusEntry]:
    nameless: list[ErasureStatusEntry] = []
    worst: dict[UserId, ErasureStatusEntry] = {}
    for entry in entries:
        if entry.user_id is None:
            nameless.append(entry)
            continue
        name = folded(entry.user_id)
        if name not in worst or severity(entry.outcome) > severity(worst[name].outcome):
            worst[name] = entry
    return [*worst.values(), *nameless]
