"""Write the receipts of one try, and a manifest if there are several."""

from __future__ import annotations

from typing import Protocol, TypedDict

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest, Receipt
from airflow_provider_kore.receipts.parts import Counts, Head
from airflow_provider_kore.receipts.signing import ReceiptKey


class ReceiptFields(TypedDict):
    """Say where the evidence of one try is: its receipt, or the manifest of its receipts."""

    uri: str
    sha256: str
    count: int


class Folder(Protocol):
    """Where receipts are written."""

    def write(self, name: str, content: bytes) -> str:
        """Write a file whole, and return its SHA-256 in hex."""
        ...

    def uri_of(self, name: str) -> str:
        """Return the URI of a file."""
        ...


class ReceiptBook:
    """
    Write the receipts of one try into a folder, of which one at a time is in memory.

    :param folder: where to write.
    :param key: signs them.
    :param head: what is common to them.
    """

    def __init__(self, folder: Folder, key: ReceiptKey, head: Head) -> None:
        self.head = head
        self._folder = folder
        self._key = key
        self._listed: list[ListedReceipt] = []
        self._vendor_reported = Counts()
        self._does_not_cover: dict[str, None] = {}
        self._uri = ""

    def add(self, receipt: Receipt) -> None:
        """
        Sign a receipt and write it; one of an earlier try about the same request is replaced.

        :param receipt: with the head of this book.
        :raises KoreReceiptError: if it cannot be written.
        """
        if receipt.head != self.head:
            raise KoreReceiptError(
                "The receipt is not about the try that this book is about.",
                consequence=Consequence.SENT,
                remedy="This is a fault of the provider; report it.",
            )
        content = self._key.sign(receipt).encode()
        self._folder.write(receipt.file_name, content)
        self._uri = self._folder.uri_of(receipt.file_name)
        self._listed.append(ListedReceipt.of(receipt, content))
        self._vendor_reported += receipt.vendor_reported
        self._does_not_cover |= dict.fromkeys(receipt.does_not_cover)

    def close(self, *, never_submitted: int = 0, unclear: int = 0) -> ReceiptFields | None:
        """
        Write the manifest if one receipt does not tell all, and say where the evidence is.

        :param never_submitted: people of whom there is no receipt, since nothing was accepted.
        :param unclear: people of whom there is none, since it is not known whether anything was accepted.
        :return: ``None`` if there is no receipt.
        :raises KoreReceiptError: if it cannot be written, or lists one request twice.
        """
        if not self._listed:
            return None
        if len(self._listed) == 1 and not never_submitted and not unclear:
            return {"uri": self._uri, "sha256": self._listed[0].sha256, "count": 1}
        manifest = Manifest.of(
            self.head,
            receipts=self._listed,
            vendor_reported=self._vendor_reported,
            does_not_cover=tuple(self._does_not_cover),
            never_submitted=never_submitted,
            unclear=unclear,
        )
        content = self._key.sign(manifest).encode()
        sha256 = self._folder.write(manifest.file_name, content)
        return {"uri": self._folder.uri_of(manifest.file_name), "sha256": sha256, "count": len(self._listed)}
