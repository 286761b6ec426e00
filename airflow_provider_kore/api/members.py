"""The members of an account, whom Kore.ai does not erase, in its words. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.listing import Page, read_listing
from airflow_provider_kore.api.users import UserId, folded


def members_path(offset: int, page: int) -> str:
    """
    Give the path of the call.

    :param offset: how many members come before the page.
    :param page: how many members the page has at most.
    """
    return f"/api/public/alluserroles?limit={page}&offset={offset}"


def read_members(document: object) -> Page[frozenset[str]]:
    """
    Read one page of members, each as the set of its names.

    :param document: the decoded answer.
    :raises KoreUnreadableAnswerError: if anything in it is not understood.
    """
    return read_listing(document, Call.ROLES, more_key="availableMore", items_key="users", read_item=_names_of)


def _names_of(member: dict[str, object]) -> frozenset[str]:
    values = (member.get(key) for key in ("username", "orgUserId", "userId"))
    names = frozenset(value for value in values if isinstance(value, str) and value.strip())
    if not names:
        raise unreadable(Call.ROLES, "one of its users has no name")
    return names


class MemberNames:
    """
    Know who is a member of the account, as far as the names tell.

    An e-mail address is the same in any case. A channel user id is no name that members have, so it matches no member.

    :param members: all names of each member.
    """

    def __init__(self, members: Iterable[frozenset[str]]) -> None:
        self._names = {folded(name) for names in members for name in names}

    def __contains__(self, user_id: UserId) -> bool:
        return folded(user_id) in self._names
