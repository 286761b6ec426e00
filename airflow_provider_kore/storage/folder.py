"""Read and write files in whatever ``airflow.sdk.ObjectStoragePath`` reaches, each whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_kore.exceptions import KoreError, KoreSourceError
from airflow_provider_kore.storage.errors import describe_storage_error

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

CHUNK = 1024 * 1024

PART = 8 * 1024 * 1024
"""In bytes: what an object store is sent at once. S3 takes no less than 5 MiB but for the last one."""

BEING_WRITTEN = ".part"
"""How the name of a file ends until all of it is there, where a file system shows it before."""

_OBJECT_STORES = {"s3", "gs", "abfs"}
"""
How fsspec names the file systems of S3, Google Cloud Storage and Azure Blob Storage.

An object is there when its upload is complete, or not at all, so that it needs no temporary name. A move would be a
copy and a deletion: two more rights, impossible where objects are locked, and on Azure done later than it says.
"""


class StorageFolder:
    """
    Read and write the files of a folder.

    Only the file system of ``ObjectStoragePath`` is used: before Airflow 3.3 the path's own methods use another one
    than its connection's. What fsspec remembers of listings is dropped before each read, since another process may
    have changed what is there.

    :param uri: such as ``s3://connection@bucket/receipts`` or ``file:///data/receipts``. A folder of a file system is
        made when a file is written; a bucket or container is not.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def uri_of(self, name: str) -> str:
        """Build the URI of a file in it."""
        return f"{self._uri.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """Read a file; ``None`` if there is none."""
        with self._failures(name, "read"), suppress(FileNotFoundError):
            return b"".join(_chunks(self._files, self._path(name)))
        return None

    def sha256(self, name: str) -> str | None:
        """Compute the SHA-256 of a file in hex; ``None`` if there is none."""
        with self._failures(name, "read"):
            return _sha256(self._files, self._path(name))

    def remove(self, *names: str) -> None:
        """Remove the files that are there."""
        for name in names:
            with self._failures(name, "removed"), suppress(FileNotFoundError):
                self._files.rm_file(self._path(name))

    def write(self, name: str, content: bytes | IO[bytes]) -> str:
        """
        Write a file whole, read it back, and return its SHA-256 in hex. A file of this name is replaced.

        Whoever finds the file finds all of it, also if two tasks write it at once: one of them wins, and the other one
        can fail. If the content is not what was written, an error says so and the file stays, since it can be another
        task's.

        :param name: of the file.
        :param content: all of it, or a file that is read to its end.
        """
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        with self._failures(name, "written"):
            files, path = self._files, self._path(name)
            protocols = {files.protocol} if isinstance(files.protocol, str) else {*files.protocol}
            sha256 = _upload(files, path, stream) if protocols & _OBJECT_STORES else self._rename(name, stream)
            self._check(name, path, sha256)
        return sha256

    def _rename(self, name: str, content: IO[bytes]) -> str:
        """Write a file under a temporary name, and rename it."""
        files, path = self._files, self._path(name)
        part = f"{path}.{uuid4().hex}{BEING_WRITTEN}"  # no other task writes or removes it
        files.makedirs(self._path(""), exist_ok=True)
        try:
            with closing(files.open(part, "wb")) as file:
                sha256 = _copy(content, file)
                file.flush()
                with suppress(AttributeError, io.UnsupportedOperation):  # of a file that is not on a disk
                    os.fsync(file.fileno())  # outlasts a power failure
            self._check(name, part, sha256)
            files.mv(part, path)
        except BaseException:
            with suppress(Exception):
                files.rm_file(part)
            raise
        return sha256

    def _check(self, name: str, path: str, sha256: str) -> None:
        if _sha256(self._files, path) != sha256:
            raise self._error(
                name,
                "cannot be written: it reads otherwise than it was written. The storage damaged it, or another task "
                "wrote it at the same time",
            )

    @cached_property
    def _folder(self) -> ObjectStoragePath:
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(self._uri)

    @property
    def _files(self) -> AbstractFileSystem:
        return self._folder.fs

    def _path(self, name: str) -> str:
        return f"{self._folder.path.rstrip('/')}/{name}"

    @contextmanager
    def _failures(self, name: str, action: str) -> Iterator[None]:
        """Turn whatever a file system raises into an error without its text, which can contain anything."""
        try:
            yield
        except KoreError:
            raise
        except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own
            raise self._error(name, f"cannot be {action}: {describe_storage_error(error)}") from None

    def _error(self, name: str, fault: str) -> KoreError:
        """Build the error to raise: who uses the folder knows what a fault means for the erasure."""
        raise NotImplementedError


def read_sha256(uri: str) -> str | None:
    """
    Compute the SHA-256 of the manifest of an export in hex; ``None`` if there is none.

    :raises KoreSourceError: if it cannot be read.
    """
    from airflow.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(uri)
        return _sha256(path.fs, path.path)
    except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own
        raise KoreSourceError(
            f"The manifest of the export cannot be read: {describe_storage_error(error)}.",
            remedy="Check the rights of the worker to read it, and that the provider of its file system is installed; "
            "then clear the task.",
        ) from None


def _chunks(files: AbstractFileSystem, path: str) -> Iterator[bytes]:
    files.invalidate_cache()  # of a single path does not reach the listing of its folder on Azure
    with closing(files.open(path, "rb")) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sha256(files: AbstractFileSystem, path: str) -> str | None:
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(files, path):
            digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _copy(content: IO[bytes], file: Any) -> str:  # noqa: ANN401 # fsspec has no type for its files
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        file.write(chunk)
        digest.update(chunk)
    return digest.hexdigest()


def _upload(files: AbstractFileSystem, path: str, content: IO[bytes]) -> str:
    file = files.open(path, "wb", block_size=PART)
    try:
        sha256 = _copy(content, file)
        file.close()
    except BaseException:
        # Otherwise fsspec completes the upload when it collects the file: a part would appear complete.
        file.closed = True
        for undo in (file.discard, file.close):
            with suppress(Exception):
                undo()
        raise
    return sha256
