"""A list, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.settings import Settings


@dataclass(frozen=True)
class Page:
    """Which part of a list a request wants."""

    skip: int
    limit: int

    def answer(self, items: Sequence[object], settings: Settings, *, more_key: str, items_key: str) -> Answer:
        """Answer with this part of the list, the length of the whole, and whether more follows."""
        end = self.skip + self.limit
        content = {
            "total": len(items) + settings.wrong_total,
            more_key: end < len(items),
            items_key: items[self.skip : end],
        }
        return json_answer(200, content)


def read_page(skip: object, limit: object, *, longest: int) -> Page:
    """Read which part of a list a request wants; refuse a part that cannot exist."""
    if type(skip) is not int or skip < 0:
        raise RefusedError(400, "The number of items to skip must be an integer, and not negative")
    if type(limit) is not int or not 1 <= limit <= longest:
        raise RefusedError(400, f"limit must be an integer from 1 to {longest}")
    return Page(skip, limit)
