"""What an export is of, as each of its documents says."""

from __future__ import annotations

from pydantic import BaseModel

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.period import Period

VERSION = 1
"""Of the form of all JSON documents."""


class Selection(BaseModel, frozen=True):
    """
    Say which data of each user are exported.

    :param host: the base URL of Kore.ai.
    :param client_id: the app by which Kore.ai is asked.
    :param scope: the bots, in the order of their ids.
    :param period: the span of time.
    :param channel_types: the channels of messages, in order; ``None`` for all.
    """

    version: int = VERSION
    host: str
    client_id: str
    scope: ErasureScope
    period: Period
    channel_types: list[str] | None

    def differences(self, other: Selection) -> list[str]:
        """List the fields in which another document, with these fields and perhaps more, differs."""
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]
