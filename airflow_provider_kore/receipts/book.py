"""Write the receipts of one attempt, and a manifest if there are several."""

from __future__ import annotations

from typing import Protocol, TypedDict

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest, Receipt
from airflow_provider_kore.receipts.parts import Head
from airflow_provider_kore.receipts.signing import ReceiptKey


class ReceiptFields(TypedDict):
    """Say where the evidence of one attempt is: its receipt, or the manifest of its receipts."""

    uri: str
    sha256: str
    count: int


class Folder(Protocol):
    """Where receipts are written. Its errors are :class:`KoreReceiptError`."""

    def write(self, name: str, content: bytes, /) -> str:
        """Write a file whole and return its SHA-256 in hex; a file of this name is replaced."""
        ...

    def uri_of(self, name: str, /) -> str:
        """Build the URI of a file in it."""
        ...


class ReceiptBook:
    """
    Write the receipts of one attempt into a folder; one at a time is in memory.

    :param folder: the folder.
    :param key: signs them.
    :param head: what is common to them.
    """

    def __init__(self, folder: Folder, key: ReceiptKey, head: Head) -> None:
        self.head = head
        self._folder = folder
        self._key = key
        self._listed: list[ListedReceipt] = []
        self._does_not_cover: dict[str, None] = {}

    def add(self, receipt: Receipt) -> None:
        """
        Sign a receipt and write it; one of an earlier attempt about the same request is replaced.

        :param receipt: with the head of this book.
        :raises KoreReceiptError: if it cannot be written.
        """
        if receipt.head != self.head:
            raise KoreReceiptError(
                "The receipt is not about the attempt that this book is about.",
                consequence=Consequence.SENT,
                remedy="This is a fault of the provider; report it.",
            )
        content = self._key.sign(receipt)
        self._folder.write(receipt.file_name, content)
        self._listed.append(ListedReceipt.of(receipt, content))
        self._does_not_cover |= dict.fromkeys(receipt.does_not_cover)

    def close(self, *, never_submitted: int = 0, unclear: int = 0) -> ReceiptFields | None:
        """
        Write the manifest if one receipt does not cover all users, and say where the evidence is.

        :param never_submitted: users of whom there is no receipt, since nothing was accepted.
        :param unclear: users of whom there is none, since it is not known whether anything was accepted.
        :return: ``None`` if there is no receipt.
        :raises KoreReceiptError: if it cannot be written, or lists one request twice.
        """
        if not self._listed:
            return None
        name, sha256 = self._listed[0].name, self._listed[0].sha256
        if len(self._listed) > 1 or never_submitted or unclear:
            manifest = Manifest.of(
                self.head,
                receipts=self._listed,
                does_not_cover=self._does_not_cover,
                never_submitted=never_submitted,
                unclear=unclear,
            )
            name = manifest.file_name
            sha256 = self._folder.write(name, self._key.sign(manifest))
        return {"uri": self._folder.uri_of(name), "sha256": sha256, "count": len(self._listed)}
