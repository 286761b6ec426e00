"""The members of an account, whom Kore.ai does not erase, in its words. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.listing import read_listing
from airflow_provider_kore.api.users import UserId, folded

MEMBERS_PAGE = 50
"""Members a call; a guess, from the most that a neighbouring call documents."""


def members_path(offset: int) -> str:
    """
    Give the path of the call.

    :param offset: how many members come before the page.
    """
    return f"/api/public/alluserroles?limit={MEMBERS_PAGE}&offset={offset}"


@dataclass(frozen=True, slots=True)
class MembersPage:
    """
    Hold one page of an account's members; its ``repr`` shows none of them.

    :param total: how many members there are in all.
    :param more_available: whether there are pages behind this one.
    :param members: all names of each member.
    """

    total: int
    more_available: bool
    members: tuple[frozenset[str], ...] = field(repr=False)


def read_members(document: object) -> MembersPage:
    """
    Read one page of members.

    :param document: the decoded answer.
    :raises KoreUnreadableAnswerError: if anything in it is not understood.
    """
    listing = read_listing(document, Call.ROLES, more_key="availableMore", items_key="users")
    return MembersPage(listing.total, listing.more_available, tuple(map(_names_of, listing.items)))


def _names_of(member: dict[str, object]) -> frozenset[str]:
    values = (member.get(key) for key in ("username", "orgUserId", "userId"))
    names = frozenset(value for value in values if isinstance(value, str) and value.strip())
    if not names:
        raise unreadable(Call.ROLES, "one of its users has no name")
    return names


class MemberNames:
    """
    Know who is a member of the account, as far as the names tell.

    An e-mail address is the same in any case. A channel user id is no name that members have, so it matches nobody.

    :param members: all names of each member.
    """

    def __init__(self, members: Iterable[frozenset[str]]) -> None:
        self._names = {folded(name) for names in members for name in names}

    def __contains__(self, user_id: UserId) -> bool:
        return folded(user_id) in self._names
