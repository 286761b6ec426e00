"""Where user ids come from, and what may be shown of them. They are read inside ``execute`` and nowhere else."""

from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.user_ids.argument import GivenUserIds, TakesUserIds, conceal, source_of
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
    "conceal",
    "source_of",
]
