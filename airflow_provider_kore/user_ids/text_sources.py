"""Which text is a source of user ids by itself."""

from __future__ import annotations

from airflow_provider_kore.api.id_text import SEALED_PREFIX
from airflow_provider_kore.user_ids.files import URI, FileUserIds


def source_of_text(value: object) -> object:
    """Make a source of the URI of a file or of sealed user ids, and return all else as it is."""
    if isinstance(value, str) and URI.match(value):
        return FileUserIds(value)
    if isinstance(value, str) and value.startswith(SEALED_PREFIX):
        from airflow_provider_kore.user_ids.sealed import SealedUserIds  # few DAGs have a literal of it

        return SealedUserIds(value)
    return value
