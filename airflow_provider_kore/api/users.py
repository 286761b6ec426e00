"""Users in Kore.ai's words: how they are named, what is no name, and how to speak of them without naming them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn, cast

from airflow_provider_kore.api.id_text import AS_TEXT, USUAL_ID, Fault, id_text_fault
from airflow_provider_kore.exceptions import KoreInputError


@dataclass(frozen=True, slots=True, repr=False)
class ChannelUserId:
    """
    Name a user by the channel and by the user's id in that channel; its ``repr`` does not show the user.

    The erase call gets an object with these two fields as keys. A guess: Kore.ai documents that a channel id together
    with a channel user id is accepted, but not the form.

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
            "A ChannelUserId does not go into an XCom: it names a user, and Airflow keeps XComs.",
            remedy="Write the users to a file and return its URI, or use @task.kore_erase, whose result is no XCom.",
        )


UserId = str | ChannelUserId
CHANNEL_KEYS = ("channel_id", "channel_user_id")


def user_id_from_json(value: object, channel_keys: tuple[str, str] = CHANNEL_KEYS) -> UserId | None:
    """
    Read a user id in any form that is understood; ``None`` for all else.

    :param channel_keys: the keys of the channel and of the user's id in it.
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, Mapping) and value.keys() == set(channel_keys):
        channel_id, channel_user_id = map(value.__getitem__, channel_keys)
        both_named = all(isinstance(part, str) and part.strip() for part in (channel_id, channel_user_id))
        return ChannelUserId(channel_id, channel_user_id) if both_named else None
    return None


def is_address(user_id: UserId) -> bool:
    """Tell whether a user id is an e-mail address."""
    return isinstance(user_id, str) and "@" in user_id


def is_kore_id(user_id: UserId) -> bool:
    """Tell whether a user id is Kore.ai's own, by which alone the user is named in an answer."""
    return isinstance(user_id, str) and user_id.startswith("u-")


def folded(user_id: UserId) -> UserId:
    """
    Return the one form of all spellings of a user id: the case of an e-mail address does not count.

    No more than case is folded: ``straße@…`` and ``strasse@…`` can be two users.
    """
    return user_id.lower() if isinstance(user_id, str) and "@" in user_id else user_id


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


_AS_STRING = (
    "Give each user as a string, or as a ChannelUserId. Of a row, give the one field that is the user id, such as "
    'row["email"].'
)


def _fault(value: object) -> Fault | None:
    if isinstance(value, Mapping):
        return Fault("is a mapping, but not one with exactly the keys channel_id and channel_user_id", _AS_STRING)
    if not isinstance(value, str):
        return Fault(f"is of type {type(value).__name__}", AS_TEXT if isinstance(value, int | float) else _AS_STRING)
    if problem := text_fault(value):
        return Fault(problem)
    return id_text_fault(value)


def check_user_id(value: object, place: int | str) -> UserId:
    """
    Return a user id as it is written, or refuse it by its place. This is the one check of a user id.

    :param value: a string, a :class:`ChannelUserId`, or a mapping with exactly the keys ``channel_id`` and
        ``channel_user_id``.
    :param place: its position in its source, counted from 1, or where else it stands, such as ``line 3``; the error
        shows nothing else.
    :raises KoreInputError: if it is anything else, blank, a leftover of templating, or text that is no user id: see
        :func:`~airflow_provider_kore.api.id_text.id_text_fault`.
    """
    if isinstance(value, str) and USUAL_ID.fullmatch(value):
        return value
    if isinstance(value, Mapping) and value.keys() == set(CHANNEL_KEYS):
        value = ChannelUserId(*map(value.__getitem__, CHANNEL_KEYS))
    is_pair = isinstance(value, ChannelUserId)
    for part in (value.channel_id, value.channel_user_id) if isinstance(value, ChannelUserId) else (value,):
        if fault := _fault(part):
            where = f"position {place}" if isinstance(place, int) else place
            problem = f"has a part that {fault.problem}" if is_pair else fault.problem
            raise KoreInputError(f"The user id at {where} {problem}.", remedy=fault.remedy)
    return cast("UserId", value)


def check_list(value: object) -> Sequence[object]:
    """
    Return a list of user ids, whose items are not checked.

    :param value: a list, a tuple, or another sequence such as a lazy XCom.
    :raises KoreInputError: if it is anything else: a bare string, since "12" would be read as "1" and "2", a mapping,
        or a set, whose order differs between attempts.
    """
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise KoreInputError(
            f"The user ids must be a list, and are of type {type(value).__name__}.",
            remedy="Pass a list of ids, an XCom that contains one, a template that renders to one (with "
            "render_template_as_native_obj=True on the DAG), or the URI of a file.",
        )
    return value


def check_user_ids(value: object, max_users: int) -> tuple[UserId, ...]:
    """
    Return the users of a list in its order, the first spelling of each.

    :raises KoreInputError: if it is no list, contains anything that is not a user id, or too many users.
    """
    users: dict[bytes, UserId] = {}
    for position, item in enumerate(check_list(value), start=1):
        user_id = check_user_id(item, position)
        users.setdefault(canonical_name(user_id), user_id)
    check_user_count(len(users), max_users)
    return tuple(users.values())


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
    """Write the one form of all spellings of a user, of which digests are made; no line break is in it."""
    return _CANONICAL.encode(folded(user_id)).encode()


_CANONICAL = json.JSONEncoder(sort_keys=True, default=asdict)


def digest(user_id: UserId, digest_key: str) -> str:
    """
    Give a short name that stands for a user in logs, and that only the holder of the key can match to the user.

    An e-mail address has the same digest in any case.

    :param digest_key: the secret of the connection; whoever has it can make the digest of a user and search for it.
    """
    return f"kd:{hmac.new(digest_key.encode(), canonical_name(user_id), hashlib.sha256).hexdigest()[:16]}"


def fingerprint(user_ids: Iterable[UserId], key: bytes) -> str:
    """
    Return a digest that is the same for the same set of users, and does not tell who they are.

    :param user_ids: the users, in any order.
    :param key: without it, the fingerprint can neither be made nor matched to a user.
    """
    return hmac.new(key, b"\n".join(sorted(set(map(canonical_name, user_ids)))), hashlib.sha256).hexdigest()[:32]
