"""
An erasure in Kore.ai's words: build the request, read the answers. Pure functions, no I/O.

The one rule of this module: *erased* is said of a person only when an answer that was understood says so.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import quote

from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.users import (
    UserId,
    fingerprint,
    folded_address,
    text_fault,
    user_id_from_json,
    user_id_to_json,
)
from airflow_provider_kore.exceptions import KoreInputError

ERASE_PATH = "/api/public/bot/eraseUsersData"
"""Documented by Kore.ai: the path of the erase call; the status call hangs below it."""


@dataclass(frozen=True, slots=True)
class ErasureScope:
    """
    Say from which bots people are erased: the listed ones, or all bots of the organisation.

    :param bot_ids: the bots; empty when ``all_bots``.
    :param all_bots: every bot of the organisation.
    """

    bot_ids: tuple[str, ...]
    all_bots: bool

    def __str__(self) -> str:
        return "all bots" if self.all_bots else f"the bots {', '.join(self.bot_ids)}"

    def covers(self, other: ErasureScope) -> bool:
        """Tell whether it holds all bots of another one."""
        return self.all_bots or (not other.all_bots and set(other.bot_ids) <= set(self.bot_ids))

    def to_json(self) -> dict[str, object]:
        """Write the form that tasks return."""
        return {"bot_ids": list(self.bot_ids), "all_bots": self.all_bots}


def check_scope(
    bot_ids: object,
    all_bots: object,
    *,
    allow_all_bots: bool,
    allowed_bot_ids: Sequence[str] | None,
    flag: str = "remove_data_from_all_bots",
) -> ErasureScope:
    """
    Accept one explicit scope, within what the connection allows.

    :param bot_ids: a list of bot ids, or ``None``.
    :param all_bots: a real bool; a rendered ``"False"`` would be truthy and is refused.
    :param allow_all_bots: whether the connection allows the scope of all bots.
    :param allowed_bot_ids: the bots that the connection allows; ``None`` for any.
    :param flag: how the task calls ``all_bots``.
    :raises KoreInputError: if both scopes or neither are given, or the connection does not allow this one.
    """
    if not isinstance(all_bots, bool):
        raise KoreInputError(
            f"{flag} must be True or False, and is of type {type(all_bots).__name__}.",
            remedy="Pass a real bool; a template needs render_template_as_native_obj=True on the DAG to render one.",
        )
    bots = _check_bot_ids(bot_ids)
    if all_bots and bots:
        raise KoreInputError(
            f"Both bot_ids and {flag}=True were given, and Kore.ai would ignore the bot_ids.",
            remedy=f"Give one of the two: bot_ids for these bots, {flag}=True for all bots.",
        )
    if not all_bots and not bots:
        raise KoreInputError(
            f"Neither bot_ids nor {flag}=True was given, so there is no scope.",
            remedy=f"Give bot_ids, or {flag}=True for all bots of the organisation.",
        )
    if all_bots:
        if not allow_all_bots:
            raise KoreInputError(
                f"{flag}=True is not allowed by the connection.",
                remedy="Name the bots in bot_ids, or have the connection's owner set allow_all_bots.",
            )
        return ErasureScope(bot_ids=(), all_bots=True)
    if allowed_bot_ids is not None and (outside := [bot for bot in bots if bot not in allowed_bot_ids]):
        raise KoreInputError(
            f"{len(outside)} of the {len(bots)} bots are outside the connection's allowed_bot_ids: "
            f"{', '.join(outside[:5])}{', …' if len(outside) > 5 else ''}.",
            remedy="Correct bot_ids, or have the connection's owner extend allowed_bot_ids.",
        )
    return ErasureScope(bot_ids=bots, all_bots=False)


_AS_TEXT = (
    "Write each id as text. With render_template_as_native_obj=True Airflow makes numbers of a template that renders "
    "to a text such as [1, 2]: pass a list with a template for each id, or the XCom as it is (task.output)."
)


def _check_bot_ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise KoreInputError(
            f"bot_ids must be a list of bot ids, and is of type {type(value).__name__}.",
            remedy="Pass a list, also for one bot; a template needs render_template_as_native_obj=True on the DAG.",
        )
    for position, bot_id in enumerate(value, start=1):
        if not isinstance(bot_id, str):
            fault: str | None = f"is of type {type(bot_id).__name__}, not a string"
        else:
            fault = text_fault(bot_id)
        if fault:
            raise KoreInputError(f"The bot id at position {position} {fault}.", remedy=_AS_TEXT)
    return tuple(dict.fromkeys(value))


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """
    Hold one erase call: the users of a batch, and the scope.

    Never empty; its ``repr`` shows a count, not the users.

    :param user_ids: the users, checked.
    :param scope: the bots, checked.
    """

    user_ids: tuple[UserId, ...] = field(repr=False)
    scope: ErasureScope

    def __post_init__(self) -> None:
        if not self.user_ids:
            raise KoreInputError("An erasure without users is never sent.", remedy="Give at least one user id.")

    def body(self) -> bytes:
        """Write the JSON body; Kore.ai documents the three keys, the flag's capital R among them."""
        document: dict[str, object] = {"userIds": [user_id_to_json(user_id) for user_id in self.user_ids]}
        if not self.scope.all_bots:
            document["botIds"] = list(self.scope.bot_ids)
        document["RemoveDataFromAllBots"] = self.scope.all_bots
        return json.dumps(document).encode()


# --- What Kore.ai answers ------------------------------------------------------------------------------------


class Verdict(IntEnum):
    """What can be said of a user; the larger one wins where an answer contradicts itself."""

    ERASED = 1
    OPEN = 2
    NOT_ERASED = 3


ERASED_WORDS = frozenset({"success", "completed"})
"""``SUCCESS`` is the only value ever published; ``completed`` is seen in neighbour APIs."""

OPEN_WORDS = frozenset({"inprogress", "pending", "queued", "processing", "running"})
"""Guessed from neighbour APIs; hyphens, underscores and spaces do not count."""


def read_verdict(status: object) -> Verdict:
    """Read the status of one user: without case; absent is open; anything unknown is not proven erased."""
    if status is None or status == "":
        return Verdict.OPEN
    if not isinstance(status, str) or not status.isascii():
        return Verdict.NOT_ERASED
    if status.lower() in ERASED_WORDS:
        return Verdict.ERASED
    if re.sub("[-_ ]", "", status.lower()) in OPEN_WORDS:
        return Verdict.OPEN
    return Verdict.NOT_ERASED


_SHOWABLE_WORDING = re.compile(r"[A-Za-z]+([-_][A-Za-z]+){0,4}")


def show_wording(status: object, user_id: UserId) -> str:
    """Show a status verbatim if it can only be a code, since free text of Kore.ai may name the person."""
    if isinstance(status, str) and len(status) <= 40 and _SHOWABLE_WORDING.fullmatch(status):
        named = (user_id,) if isinstance(user_id, str) else (user_id.channel_id, user_id.channel_user_id)
        if not any(name.casefold() in status.casefold() for name in named):
            return status
    return f"a status that is not shown, of type {type(status).__name__}"


@dataclass(frozen=True, slots=True)
class ErasureStatusEntry:
    """
    Hold what an answer says of one user.

    :param user_id: as answered, ``None`` if it was not understood.
    :param verdict: what its status means.
    :param wording: its status, as far as it may be shown.
    """

    user_id: UserId | None = field(repr=False)
    verdict: Verdict
    wording: str


@dataclass(frozen=True, slots=True)
class ErasureStatus:
    """
    Hold what Kore.ai says of one erasure request, one entry for each user that it names.

    An answer without entries is an erasure that is still open.

    :param request_id: whose status it is.
    :param entries: at most one for each user; of several for one user the worst was kept. An e-mail address names the
        same user in any case.
    :param created_on: when Kore.ai says that it was made, verbatim; ``None`` if that is not told as a time.
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
        return Counter(entry.wording for entry in self.entries if entry.verdict is Verdict.NOT_ERASED)


class NotJsonError(ValueError):
    """The bytes are no JSON document that can be trusted."""


_ISO_DATE = re.compile(r'ISODate\("([^"\\]*)"\)')


def decode_json(content: bytes) -> object:
    """
    Decode an answer, refusing what two readers could read differently.

    Old samples of Kore.ai print dates as ``ISODate("…")``, which is not JSON; that alone is forgiven.

    :raises NotJsonError: if it is not JSON, not UTF-8, or names a key twice in one object.
    """
    try:
        text = content.decode()
        try:
            return json.loads(text, object_pairs_hook=_object_without_duplicates)
        except json.JSONDecodeError:
            return json.loads(_ISO_DATE.sub(r'"\1"', text), object_pairs_hook=_object_without_duplicates)
    except (ValueError, RecursionError):
        raise NotJsonError("not a JSON document") from None


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise NotJsonError("a key stands twice in one object")
    return document


_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,199}")


def check_request_id(value: object) -> str:
    """
    Accept a request id, as Kore.ai gave it.

    :raises KoreInputError: if it is not a plain id, which could lead the status call to another path.
    """
    if not isinstance(value, str) or not _REQUEST_ID.fullmatch(value):
        raise KoreInputError(
            f"A request id must be a plain id such as eud-123, and this one (of type {type(value).__name__}) is not.",
            remedy="Pass what the operator returned, or the id that Kore.ai gave.",
        )
    return value


def read_request_id(document: object) -> str | None:
    """Read the id from the answer to an erase call; ``None`` if there is none that can be used."""
    request_id = document.get("requestId") if isinstance(document, dict) else None
    return request_id if isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id) else None


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
    if read_verdict(document.get("status")) is Verdict.NOT_ERASED:
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
        return ErasureStatusEntry(None, Verdict.NOT_ERASED, f"an entry of type {type(value).__name__}")
    user_id = user_id_from_json(value.get("userId"))
    if user_id is None:
        return ErasureStatusEntry(None, Verdict.NOT_ERASED, "an entry without a user id that is understood")
    status = value.get("status")
    verdict = Verdict.NOT_ERASED if value.get("error") or value.get("errors") else read_verdict(status)
    return ErasureStatusEntry(user_id, verdict, show_wording(status, user_id))


def _worst_of_each_user(entries: Iterable[ErasureStatusEntry]) -> list[ErasureStatusEntry]:
    nameless: list[ErasureStatusEntry] = []
    worst: dict[UserId, ErasureStatusEntry] = {}
    for entry in entries:
        if entry.user_id is None:
            nameless.append(entry)
            continue
        name = _folded(entry.user_id)
        if name not in worst or entry.verdict > worst[name].verdict:
            worst[name] = entry
    return [*worst.values(), *nameless]


def _folded(user_id: UserId) -> UserId:
    """Give the one form of all spellings of a user id, by which counting and naming take the same users for one."""
    return folded_address(user_id) or user_id


# --- What the answers add up to ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErasureOutcome:
    """
    Count what can be said of the users of one or more requests; the three always add up to all of them.

    :param erased: proven erased.
    :param open: not known yet.
    :param not_erased: not erased, or not proven to be.
    :param remarks: what the reader of the log should know, without a user id.
    """

    erased: int = 0
    open: int = 0
    not_erased: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def user_count(self) -> int:
        """All users that the outcome speaks of."""
        return self.erased + self.open + self.not_erased

    def __add__(self, other: ErasureOutcome) -> ErasureOutcome:
        return ErasureOutcome(
            self.erased + other.erased,
            self.open + other.open,
            self.not_erased + other.not_erased,
            tuple(dict.fromkeys(self.remarks + other.remarks)),
        )

    def counts(self) -> dict[str, int]:
        """Give the three counts by name, as tasks return them."""
        return {"erased": self.erased, "open": self.open, "not_erased": self.not_erased}


def count_outcome(status: ErasureStatus, user_count: int | None) -> ErasureOutcome:
    """
    Say how many are erased, where only the number of submitted users is known.

    :param status: Kore.ai's answer.
    :param user_count: how many users the request had; ``None`` if unknown, and then the request is done only when
        the answer has entries and none is open.
    """
    verdicts = Counter(entry.verdict for entry in status.entries)
    erased, open_, not_erased = (verdicts[verdict] for verdict in Verdict)
    answered = len(status.entries)
    if user_count is None:
        remark = f"How many users {status.request_id} had is not known: completeness could not be checked."
        return ErasureOutcome(erased, open_ if answered else 1, not_erased, (remark,))
    if answered > user_count:
        # Whose the surplus entries are cannot be known, so no entry proves anything about a submitted user.
        still_open = min(open_, user_count)
        return ErasureOutcome(0, still_open, user_count - still_open, (_surplus(status, user_count),))
    return ErasureOutcome(erased, user_count - erased - not_erased, not_erased, _wording_remarks(status))


def _surplus(status: ErasureStatus, user_count: int) -> str:
    return (
        f"ALARM: the answer for {status.request_id} names {len(status.entries)} users where {user_count} were "
        "submitted. Ask Kore.ai which users were touched; nobody in this request is counted as erased on it."
    )


def _wording_remarks(status: ErasureStatus) -> tuple[str, ...]:
    if not (wordings := status.wordings()):
        return ()
    shown = ", ".join(f"{wording} ({count})" for wording, count in sorted(wordings.items()))
    return (f"{status.request_id} has users that are not proven erased. Kore.ai's words: {shown}.",)


@dataclass(frozen=True, slots=True)
class MatchedOutcome:
    """
    Say of each submitted user what the answer says, as far as the answer's ids can be matched.

    :param outcome: the counts.
    :param not_erased_positions: positions in the batch, from 0, of the users that the answer names as not erased.
    :param suspect_positions: positions among which are further users that are not erased, when the answer names
        them by ids that were never submitted, so that it cannot be told who they are.
    :param alarm: whether the answer names users who cannot be the submitted ones.
    """

    outcome: ErasureOutcome
    not_erased_positions: tuple[int, ...]
    suspect_positions: tuple[int, ...] = ()
    alarm: bool = False

    @property
    def to_repeat(self) -> tuple[int, ...]:
        """Positions of all users to submit again; none after an alarm, which a person must look into first."""
        return () if self.alarm else tuple(sorted({*self.not_erased_positions, *self.suspect_positions}))


def match_outcome(status: ErasureStatus, user_ids: Sequence[UserId]) -> MatchedOutcome:
    """
    Say how many are erased and who is not, where the submitted users are known.

    The answer may name users by the id that Kore.ai resolved them to. Entries that match no submitted user then
    count for those submitted users that no entry matches, if there are not more of them, and a remark says so. A
    user submitted by Kore.ai's own ``u-…`` id has nothing to be resolved to, and needs an entry of that name; a user
    submitted by an e-mail address is not resolved to another one.

    :param status: Kore.ai's answer.
    :param user_ids: the users of the request, without duplicates, in the order of submission.
    """
    matched, others = _match_entries(status, user_ids)
    strangers = Counter(entry.verdict for entry in others)
    unmatched = [position for position, verdict in enumerate(matched) if verdict is None]
    resolvable = [position for position in unmatched if not _is_kore_id(user_ids[position])]
    known = Counter(verdict for verdict in matched if verdict is not None)
    refused = tuple(position for position, verdict in enumerate(matched) if verdict is Verdict.NOT_ERASED)
    remarks = list(_wording_remarks(status))

    # An address can be another name of whoever was submitted by some other id, but not of another address.
    addresses = sum(folded_address(entry.user_id) is not None for entry in others)
    not_by_address = sum(folded_address(user_ids[position]) is None for position in resolvable)
    at_most = min(len(resolvable), strangers.total() - addresses + min(addresses, not_by_address))
    if strangers.total() > at_most:
        remarks.append(
            f"ALARM: the answer for {status.request_id} names {strangers.total()} users that were not submitted, where "
            f"at most {at_most} can be other names of submitted ones. Ask Kore.ai which users were touched."
        )
        still_open = min(len(unmatched), strangers[Verdict.OPEN])
        outcome = ErasureOutcome(
            known[Verdict.ERASED],
            known[Verdict.OPEN] + still_open,
            known[Verdict.NOT_ERASED] + len(unmatched) - still_open,
            tuple(remarks),
        )
        return MatchedOutcome(outcome, refused, alarm=True)
    if strangers.total():
        remarks.append(
            f"The answer for {status.request_id} names {strangers.total()} users by ids that were not submitted, "
            "probably Kore.ai's own ids of them: for these users the counts decide."
        )
    outcome = ErasureOutcome(
        known[Verdict.ERASED] + strangers[Verdict.ERASED],
        known[Verdict.OPEN] + len(unmatched) - strangers[Verdict.ERASED] - strangers[Verdict.NOT_ERASED],
        known[Verdict.NOT_ERASED] + strangers[Verdict.NOT_ERASED],
        tuple(remarks),
    )
    return MatchedOutcome(outcome, refused, tuple(resolvable) if strangers[Verdict.NOT_ERASED] else ())


def _is_kore_id(user_id: UserId) -> bool:
    return isinstance(user_id, str) and user_id.startswith("u-")


def _match_entries(
    status: ErasureStatus, user_ids: Sequence[UserId]
) -> tuple[list[Verdict | None], list[ErasureStatusEntry]]:
    """
    Find what is said of each user, and the entries that are about none of them.

    An e-mail address in another case is the same user. So one entry is about the first alone of two submitted addresses
    that differ by case only, which are folded before they are submitted.
    """
    about = {_folded(entry.user_id): entry for entry in status.entries if entry.user_id is not None}
    nameless = [entry for entry in status.entries if entry.user_id is None]
    entries = [about.pop(_folded(user_id), None) for user_id in user_ids]
    return [None if entry is None else entry.verdict for entry in entries], [*about.values(), *nameless]
