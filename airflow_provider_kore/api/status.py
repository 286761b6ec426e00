"""
The status call: its path, and what its answer says of each user. Pure functions, no I/O.

A user is *erased* only where an answer that was understood says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from airflow_provider_kore.api.erase_request import ERASE_PATH, check_request_id
from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.outcome import Outcome, severity
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile, explain_unknown_words
from airflow_provider_kore.api.profile_words import is_code_word
from airflow_provider_kore.api.shown_words import describe_withheld, may_be_shown
from airflow_provider_kore.api.users import UserId, fingerprint, folded, user_id_from_json


def read_outcome(status: object, profile: ApiProfile = DEFAULT_PROFILE) -> Outcome:
    """Read the status of one user: without case; absent is open; anything unknown is not proven erased."""
    if status is None or status == "":
        return Outcome.OPEN
    known = profile.outcome_of(status) if isinstance(status, str) else None
    return known or Outcome.NOT_ERASED


MOST_WORDS = 5
"""How many different unknown words one answer may have for its users; more are no words for an outcome."""

HIDDEN_WORD = (
    "The meaning of a word is not known, and the word is not shown, since it can be a user id, and the users are not "
    "known here. The task that erases them shows it, or airflow kore check --erase-test-user: both say how to set it."
)
"""How to find a word that cannot be shown to who does not know the submitted users."""


@dataclass(frozen=True, slots=True)
class ErasureStatusEntry:
    """
    What an answer says of one user.

    :param user_id: as answered, ``None`` if it was not understood.
    :param outcome: what its status means.
    :param wording: its status, if it is in a list of the profile; else a description of it.
    :param unknown_word: its status, if it is in no list and a profile can name it. It may name a user.
    """

    user_id: UserId | None = field(repr=False)
    outcome: Outcome
    wording: str
    unknown_word: str | None = field(default=None, repr=False)


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

    def wordings(self, user_ids: Collection[UserId] | None = None) -> Counter[str]:
        """
        Count the words of those who are not proven erased, as far as they may be shown.

        :param user_ids: the users of the request; without them, only words of the profile are shown.
        """
        shown = () if user_ids is None else self.unknown_words(user_ids)
        return Counter(
            entry.unknown_word if entry.unknown_word and entry.unknown_word in shown else entry.wording
            for entry in self.entries
            if entry.outcome is Outcome.NOT_ERASED
        )

    def unknown_words(self, user_ids: Iterable[UserId] = ()) -> set[str]:
        """
        List the words whose meaning is not known, without those that may name a user of the answer.

        :param user_ids: further users whom a word may name. Without those of the request, show none of the words.
        """
        words = {entry.unknown_word for entry in self.entries if entry.unknown_word is not None}
        users = [*user_ids, *(entry.user_id for entry in self.entries if entry.user_id is not None)]
        return {word for word in words if may_be_shown(word, users)} if len(words) <= MOST_WORDS else set()

    @property
    def is_understood(self) -> bool:
        """
        Whether the meaning of each word is known.

        Else the request is not settled for good: once the profile names the word, the next attempt polls it again, and
        submits no user a second time who may be erased.
        """
        return not self.unknown_words()

    def explain_unknown_words(self, user_ids: Collection[UserId] | None = None) -> str | None:
        """
        Say how to set what Kore.ai's words mean that are not known; ``None`` if there is none that a profile can name.

        :param user_ids: the users of the request; without them, no such word is shown.
        """
        words = self.unknown_words(user_ids or ())
        if not words:
            return None
        return HIDDEN_WORD if user_ids is None else explain_unknown_words(words)


def status_path(request_id: str) -> str:
    """Give the path of the status call."""
    return f"{ERASE_PATH}/status/{quote(check_request_id(request_id), safe='')}"


def read_status(document: object, request_id: str, profile: ApiProfile = DEFAULT_PROFILE) -> ErasureStatus:
    """
    Read the answer to a status call.

    There is no overall status: how far the erasure is follows from the entries in ``response`` alone.

    :param document: the decoded answer.
    :param request_id: the id that was asked for; an answer about another one is refused.
    :param profile: what Kore.ai's words mean, and how it names a user by channel.
    :raises KoreUnreadableAnswerError: if it is not an answer about this request.
    """
    if not isinstance(document, dict):
        raise unreadable(Call.STATUS, f"it is of type {type(document).__name__}, not an object")
    if document.get("errors") or document.get("error"):
        raise unreadable(Call.STATUS, "it reports errors, although its HTTP status is a success")
    if read_outcome(document.get("status"), profile) is Outcome.NOT_ERASED:
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
        tuple(_worst_of_each_user(_read_entry(value, profile) for value in response)),
        created_on=_read_time(document.get("createdOn")),
        updated_on=_read_time(document.get("lastUpdatedOn")),
    )


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})?")


def _read_time(value: object) -> str | None:
    """Keep a time as Kore.ai wrote it, and nothing that could be anything else; ``{"$date": …}`` is a guess."""
    if isinstance(value, dict) and value.keys() == {"$date"}:
        value = value["$date"]
    return value if isinstance(value, str) and _TIME.fullmatch(value) else None


def _read_entry(value: object, profile: ApiProfile) -> ErasureStatusEntry:
    if not isinstance(value, dict):
        return ErasureStatusEntry(None, Outcome.NOT_ERASED, f"an entry of type {type(value).__name__}")
    user_id = user_id_from_json(value.get("userId"), profile.channel_keys)
    if user_id is None:
        return ErasureStatusEntry(None, Outcome.NOT_ERASED, "an entry without a user id that is understood")
    status = value.get("status")
    is_known = isinstance(status, str) and profile.outcome_of(status) is not None
    wording = str(status) if is_known else describe_withheld(status)
    if value.get("error") or value.get("errors"):
        return ErasureStatusEntry(user_id, Outcome.NOT_ERASED, wording)
    unknown = status if isinstance(status, str) and not is_known and is_code_word(status) else None
    return ErasureStatusEntry(user_id, read_outcome(status, profile), wording, unknown)


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
