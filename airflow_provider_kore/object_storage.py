"""Write small files to whatever ``airflow.sdk.ObjectStoragePath`` reaches, whole or not at all."""

from __future__ import annotations

import hashlib

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError


def write_whole(uri_of_folder: str, name: str, content: bytes) -> str:
    """
    Write a file and return its URI; a file that is there under this name is replaced.

    Whoever finds the file finds all of it: it is written under another name, read back, and then moved.

    :param uri_of_folder: such as ``s3://connection@bucket/receipts`` or ``file:///data/receipts``; it is made if it is
        missing.
    :param name: of the file in it.
    :param content: the whole of it.
    :raises KoreReceiptError: if it cannot be written, or reads otherwise than it was written.
    """
    from airflow.sdk import ObjectStoragePath

    try:
        folder = ObjectStoragePath(uri_of_folder)
        part, whole = folder / f"{name}.part", folder / name
        # The path's own methods ask another file system than its connection's, before Airflow 3.3.
        files = folder.fs
        files.makedirs(folder.path, exist_ok=True)
        files.pipe_file(part.path, content)
        if files.cat_file(part.path) != content:
            raise _fault(name, "it reads otherwise than it was written")
        files.mv(part.path, whole.path)
        if files.cat_file(whole.path) != content:
            files.rm_file(whole.path)
            raise _fault(name, "it reads otherwise than before it was moved")
    except KoreReceiptError:
        raise
    except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own, whose text may show secrets
        raise _fault(name, type(error).__name__) from None
    return str(whole)


def _fault(name: str, reason: str) -> KoreReceiptError:
    return KoreReceiptError(
        f"The file {name} cannot be written: {reason}.",
        consequence=Consequence.SENT,
        remedy="Check the folder, the rights of the worker to write there, and that the provider of its file system is "
        "installed. Then clear the task: it writes its receipts anew.",
    )


def read_sha256(uri: str) -> str | None:
    """Give the SHA-256 of a file; ``None`` if it cannot be read."""
    from airflow.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(uri)
        content: bytes = path.fs.cat_file(path.path)
    except Exception:  # noqa: BLE001 # each file system has exceptions of its own
        return None
    return hashlib.sha256(content).hexdigest()
