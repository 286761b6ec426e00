"""What other systems may read about an erasure: counts, the host and the bots, and no user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from airflow_provider_kore.api.scope import ErasureScope

COUNTS = ("user_count", "batch_count", "erased", "open", "not_erased")
FINDINGS = ("gone", "found", "not_checkable", "not_checked")


def summarize(output: Mapping[str, object], base_url: str | None, scope: ErasureScope | None) -> dict[str, JsonValue]:
    """
    Sum up what a task returned, by an allow list.

    :param output: what the task returns; of its requests only their number is in the summary.
    :param base_url: where Kore.ai is; ``None`` if that is not known.
    :param scope: the bots; ``None`` if they are not known.
    """
    requests = output.get("requests")
    return {
        "host": base_url,
        "all_bots": scope is not None and scope.all_bots,
        "bot_ids": [] if scope is None else list(scope.bot_ids),
        "request_count": len(requests) if isinstance(requests, Sequence) else 0,
        **{name: value for name in COUNTS if type(value := output.get(name)) is int},
    }
