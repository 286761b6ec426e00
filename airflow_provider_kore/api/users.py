"""Users in Kore.ai's words: how they are named, what is no name, and how to speak of them without naming them."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from airflow_provider_kore.api.id_text import AS_TEXT, Fault, id_text_fault
from airflow_provider_kore.exceptions import KoreInputError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class ChannelUserId:
    """
    Name a user by the channel and by the user's id in that channel.

    Its ``repr`` does not show the user.

    :param channel_id: the channel, as Kore.ai names it.
    :param channel_user_id: the user's id in that channel.
    """

    channel_id: str
    channel_user_id: str

    def __repr__(self) -> str:
        return "ChannelUserId(…)"

    def serialize(self) -> NoReturn:
        """
        Keep this user out of Airflow's database; Airflow calls this to make an XCom.

        :raises KoreInputError: always.
        """
        raise KoreInputError(
            "A ChannelUserId does not go into an XCom: it names a person, and Airflow keeps XComs.",
            remedy="Write the users to a file and return its URI, or use @task.kore_erase, whose result is no XCom.",
        )


UserId = str | ChannelUserId
CHANNEL_KEYS = frozenset({"channel_id", "channel_user_id"})


def user_id_to_json(user_id: UserId) -> str | dict[str, str]:
    """
    Write a user id as the erase call takes it.

    A guess: Kore.ai documents that a channel id together with a channel user id is accepted, but not the form.
    This is the one place to change it.
    """
    if isinstance(user_id, ChannelUserId):
        return {"channel_id": user_id.channel_id, "channel_user_id": user_id.channel_user_id}
    return user_id


def user_id_from_json(value: object) -> UserId | None:
    """Read a user id in any form that is understood; ``None`` for all else."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, Mapping) and value.keys() == CHANNEL_KEYS:
        channel_id, channel_user_id = value["channel_id"], value["channel_user_id"]
        both_named = all(isinstance(part, str) and part.strip() for part in (channel_id, channel_user_id))
        return ChannelUserId(channel_id, channel_user_id) if both_named else None
    return None


def folded_address(user_id: UserId | None) -> str | None:
    """
    Give the one form of an e-mail address, which names the same person in any case; ``None`` for other ids.

    No more than case is folded: ``straße@…`` and ``strasse@…`` can be two people.
    """
    return user_id.lower() if isinstance(user_id, str) and "@" in user_id else None


def is_kore_id(user_id: UserId) -> bool:
    """Tell whether a user id is Kore.ai's own, by which alone the user is named in an answer."""
    return isinstance(user_id, str) and user_id.startswith("u-")


def folded(user_id: UserId) -> UserId:
    """Give the one form of all spellings of a user id: of an e-mail address the folded one, else the id itself."""
    return folded_address(user_id) or user_id


# --- What may be asked for -----------------------------------------------------------------------------------

_TEMPLATE_LEFTOVER = re.compile(r"\{\{|\}\}|\{%|%\}")
_RENDERED_NOTHING = frozenset({"none", "null", "nan", "undefined"})


def text_fault(text: str) -> str | None:
    """Say what is wrong with a text that should name a user or something, without showing it."""
    if not text.strip():
        return "is blank"
    if text.strip().lower() in _RENDERED_NOTHING or _TEMPLATE_LEFTOVER.search(text):
        return "is what is left of a template that was not rendered, or rendered to nothing"
    return None


def _part_fault(value: object) -> Fault | None:
    if not isinstance(value, str):
        return Fault(f"is of type {type(value).__name__}", AS_TEXT if isinstance(value, int | float) else _AS_STRING)
    if fault := text_fault(value):
        return Fault(fault)
    return id_text_fault(value)


_AS_STRING = (
    "Give each user as a string, or as a ChannelUserId. Of a row, give the one field that is the user id, such as "
    'row["email"].'
)


def _user_id_fault(value: object) -> Fault | None:
    if isinstance(value, ChannelUserId):
        parts: tuple[object, ...] = (value.channel_id, value.channel_user_id)
    elif isinstance(value, Mapping):
        if value.keys() != CHANNEL_KEYS:
            return Fault("is a mapping, but not one with exactly the keys channel_id and channel_user_id", _AS_STRING)
        parts = (value["channel_id"], value["channel_user_id"])
    else:
        return _part_fault(value)
    for part in parts:
        if fault := _part_fault(part):
            return Fault(f"has a part that {fault.problem}", fault.remedy)
    return None


def check_user_id(value: object, place: int | str) -> UserId:
    """
    Accept one user id, or refuse it by its place.

    This is the one check of a user id, wherever it comes from.

    :param value: a string, a :class:`ChannelUserId`, or a mapping with exactly the keys ``channel_id`` and
        ``channel_user_id``.
    :param place: its position in its source, counted from 1, or where else it stands, such as ``line 3``; the only
        thing that the error shows.
    :raises KoreInputError: if it is anything else, blank, a leftover of templating, or text that is no user id: see
        :func:`~airflow_provider_kore.api.id_text.id_text_fault`.
    """
    if fault := _user_id_fault(value):
        where = f"position {place}" if isinstance(place, int) else place
        raise KoreInputError(f"The user id at {where} {fault.problem}.", remedy=fault.remedy)
    if isinstance(value, Mapping):
        return ChannelUserId(value["channel_id"], value["channel_user_id"])
    assert isinstance(value, str | ChannelUserId), "all else has a fault"  # noqa: S101
    return value


def check_user_ids(value: object) -> tuple[UserId, ...]:
    """
    Accept a list of user ids, in its order, or refuse the whole of it.

    :param value: a list, a tuple, or another sequence such as a lazy XCom; a bare string is refused, since "12"
        would be read as "1" and "2", and so are a mapping and a set, whose order differs from attempt to attempt.
    :raises KoreInputError: if it is not such a list, or holds anything that is not a user id.
    """
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise KoreInputError(
            f"The user ids must be a list, and are of type {type(value).__name__}.",
            remedy="Pass a list of ids, an XCom that holds one, a template that renders to one (with "
            "render_template_as_native_obj=True on the DAG), or the URI of a file.",
        )
    return tuple(check_user_id(item, position) for position, item in enumerate(value, start=1))


def fold_duplicates(user_ids: Iterable[UserId]) -> tuple[UserId, ...]:
    """
    Keep the first of each user, in order, and log how many others there are.

    E-mail addresses that differ in case alone are one user, as they are where an answer of Kore.ai is read.
    """
    kept: dict[bytes, UserId] = {}
    duplicates = spellings = 0
    for user_id in user_ids:
        name = folded_name(user_id)
        if name not in kept:
            kept[name] = user_id
        elif kept[name] == user_id:
            duplicates += 1
        else:
            spellings += 1
    log_folded(duplicates, spellings)
    return tuple(kept.values())


def log_folded(duplicates: int, spellings: int) -> None:
    """
    Log how many ids name a user who was named before.

    :param duplicates: ids that are the same as an earlier one.
    :param spellings: e-mail addresses that differ from an earlier one in case alone.
    """
    if duplicates:
        log.info("%d exact duplicates among the user ids were folded.", duplicates)
    if spellings:
        log.info(
            "%d e-mail addresses that differ from an earlier one in case alone were folded into it, since they name "
            "the same user. The first spelling is sent.",
            spellings,
        )


def check_user_count(user_count: int, max_users: int) -> None:
    """
    Refuse more users than one task may erase.

    :raises KoreInputError: if there are more.
    """
    if user_count > max_users:
        raise KoreInputError(
            f"There are more users to erase than the {max_users} that are allowed in one task.",
            remedy="If that many are meant, raise max_users of the task and, above it, of the connection.",
        )


def canonical_name(user_id: UserId) -> bytes:
    """Write a user id in the one form of which hashes are made; no line break is in it."""
    return _TO_JSON.encode(user_id_to_json(user_id)).encode()


_TO_JSON = json.JSONEncoder(sort_keys=True)


def folded_name(user_id: UserId) -> bytes:
    """Write a user id in the one form of all spellings of a user: the case of an e-mail address does not count."""
    return canonical_name(folded(user_id))


def digest(user_id: UserId, digest_key: str) -> str:
    """
    Give a short name that stands for a user in logs, and that only the holder of the key can match to the user.

    An e-mail address has the same digest in any case.

    :param digest_key: the secret of the connection; whoever has it can make the digest of a user and look for it.
    """
    return f"kd:{hmac.new(digest_key.encode(), folded_name(user_id), hashlib.sha256).hexdigest()[:16]}"


def fingerprint(user_ids: Iterable[UserId], key: bytes) -> str:
    """
    Tell whether two sets of users are the same, without telling who they are.

    :param user_ids: the users, in any order.
    :param key: without it, the fingerprint can neither be made nor matched to a person.
    """
    return _fingerprint(sorted({canonical_name(user_id) for user_id in user_ids}), key)


def fingerprint_in_order(user_ids: Iterable[UserId], key: bytes) -> str:
    """Tell whether two lists of users are the same, also in their order, without telling who they are."""
    return _fingerprint(map(canonical_name, user_ids), key)


def _fingerprint(names: Iterable[bytes], key: bytes) -> str:
    return hmac.new(key, b"\n".join(names), hashlib.sha256).hexdigest()[:32]
