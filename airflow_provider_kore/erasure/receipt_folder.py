"""The folder in which a task writes its receipts."""

from __future__ import annotations

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.storage.folder import StorageFolder


class ReceiptFolder(StorageFolder):
    """
    Write receipts to any storage that Airflow reaches.

    :param uri: of the folder, such as ``s3://connection@bucket/receipts`` or ``file:///data/receipts``.
    :raises KoreReceiptError: by every method, if the storage fails.
    """

    def _error(self, name: str, fault: str) -> KoreReceiptError:
        return KoreReceiptError(
            f"The file {name} {fault}.",
            consequence=Consequence.SENT,
            remedy="Check the folder, the rights of the worker to write there, and that the provider of its file "
            "system is installed. Then clear the task: it writes its receipts again.",
        )
