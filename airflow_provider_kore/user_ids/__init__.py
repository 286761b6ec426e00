"""Where user ids come from. They are read inside ``execute`` and nowhere else."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.api.users import ChannelUserId
    from airflow_provider_kore.user_ids.files import FileUserIds
    from airflow_provider_kore.user_ids.functions import CallableUserIds
    from airflow_provider_kore.user_ids.sealed import SealedUserIds
    from airflow_provider_kore.user_ids.source import UserIdSource
    from airflow_provider_kore.user_ids.sql import SqlUserIds

__all__ = ["CallableUserIds", "ChannelUserId", "FileUserIds", "SealedUserIds", "SqlUserIds", "UserIdSource"]

# Imported when they are asked for: sources need Airflow, and the command of this package does not.
_MODULES = {
    "CallableUserIds": "airflow_provider_kore.user_ids.functions",
    "ChannelUserId": "airflow_provider_kore.api.users",
    "FileUserIds": "airflow_provider_kore.user_ids.files",
    "SealedUserIds": "airflow_provider_kore.user_ids.sealed",
    "SqlUserIds": "airflow_provider_kore.user_ids.sql",
    "UserIdSource": "airflow_provider_kore.user_ids.source",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
