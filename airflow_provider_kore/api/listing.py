"""The form that all of Kore.ai's listings have: pages of items, and how many there are in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from airflow_provider_kore.api.conversation import Conversation
from airflow_provider_kore.api.errors import Call, unreadable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """
    One page of a listing; its ``repr`` shows no item.

    :param total: how many items there are in all.
    :param more_available: whether there are pages behind this one.
    :param items: the items of this page.
    """

    total: int
    more_available: bool
    items: tuple[T, ...] = field(repr=False)


def read_listing(
    document: object, call: Call, *, more_key: str, items_key: str, read_item: Callable[[dict[str, object]], T]
) -> Page[T]:
    """
    Read one page of a listing.

    :param document: the decoded answer.
    :param call: the call that it answers.
    :param more_key: the key that says whether there are pages behind this one.
    :param items_key: the key of the items.
    :param read_item: reads one item.
    :raises KoreUnreadableAnswerError: if it does not have the form of a listing.
    """
    if not isinstance(document, dict):
        raise unreadable(call, f"it is of type {type(document).__name__}, not an object")
    if document.get("errors") or document.get("error"):
        raise unreadable(call, "it reports errors, although its HTTP status is a success")
    total, more_available, items = document.get("total"), document.get(more_key), document.get(items_key)
    if isinstance(total, bool) or not isinstance(total, int) or total < 0:
        raise unreadable(call, "its total is not a number of items")
    if not isinstance(more_available, bool):
        raise unreadable(call, f"its {more_key} is neither true nor false")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unreadable(call, f"its {items_key} are not a list of objects")
    if len(items) > total:
        raise unreadable(call, f"it lists more {items_key} than the total that it names")
    return Page(total, more_available, tuple(map(read_item, items)))


def fetch_all(
    fetch_page: Callable[[int], Conversation[Page[T]]], consume: Callable[[T], bool | None], key: Callable[[T], object]
) -> Conversation[str | None]:
    """
    Fetch page after page, and check that the pages add up.

    :param fetch_page: fetches the page that begins after some items.
    :param consume: is called with each item; returns ``True`` to stop there.
    :param key: gives what makes an item another one.
    :return: why the items cannot be all; ``None`` if they are, or ``consume`` stopped.
    """
    keys: set[object] = set()
    totals: set[int] = set()
    skip, more_available = 0, True
    while more_available:
        page = yield from fetch_page(skip)
        known = len(keys)
        for item in page.items:
            keys.add(key(item))
            if consume(item):
                return None
        if page.more_available and len(keys) == known:
            return "a page brings nothing new, and is not the last"
        totals.add(page.total)
        skip += len(page.items)
        more_available = page.more_available
    if totals != {len(keys)}:
        return f"{len(keys)} came, where Kore.ai speaks of {' and then '.join(map(str, sorted(totals)))}"
    return None
