"""Where user ids come from, and what may be shown of them. They are read inside ``execute`` and nowhere else."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.api.users import ChannelUserId
    from airflow_provider_kore.user_ids.argument import GivenUserIds, TakesUserIds, source_of, wrap_inline_ids
    from airflow_provider_kore.user_ids.files import FileUserIds
    from airflow_provider_kore.user_ids.functions import CallableUserIds
    from airflow_provider_kore.user_ids.source import UserIdSource
    from airflow_provider_kore.user_ids.sql import SqlUserIds

__all__ = [
    "CallableUserIds",
    "ChannelUserId",
    "FileUserIds",
    "GivenUserIds",
    "SqlUserIds",
    "TakesUserIds",
    "UserIdSource",
    "source_of",
    "wrap_inline_ids",
]

# Sources are Airflow's own kind of reference, and the command of this package needs no Airflow.
_MODULES = {
    "CallableUserIds": "airflow_provider_kore.user_ids.functions",
    "ChannelUserId": "airflow_provider_kore.api.users",
    "FileUserIds": "airflow_provider_kore.user_ids.files",
    "GivenUserIds": "airflow_provider_kore.user_ids.argument",
    "SqlUserIds": "airflow_provider_kore.user_ids.sql",
    "TakesUserIds": "airflow_provider_kore.user_ids.argument",
    "UserIdSource": "airflow_provider_kore.user_ids.source",
    "wrap_inline_ids": "airflow_provider_kore.user_ids.argument",
    "source_of": "airflow_provider_kore.user_ids.argument",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
