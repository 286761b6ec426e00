"""What may be told to other systems about an erasure: numbers, the host and the bots, and no person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from airflow_provider_kore.api.scope import ErasureScope

COUNTS = ("user_count", "batch_count", "erased", "open", "not_erased")


def summarize(output: Mapping[str, object], base_url: str | None, scope: ErasureScope) -> dict[str, JsonValue]:
    """
    Sum up what a task returned, by an allow list.

    :param output: what the task returns; of its requests only their number is told.
    :param base_url: where Kore.ai is; ``None`` if that is not known.
    :param scope: the bots.
    """
    requests = output.get("requests")
    counts = {name: value for name in COUNTS if type(value := output.get(name)) is int}
    return {
        "host": base_url,
        "all_bots": scope.all_bots,
        "bot_ids": list(scope.bot_ids),
        "request_count": len(requests) if isinstance(requests, Sequence) else 0,
        **counts,
    }
