"""The folder of an export, and the files that grow while Kore.ai answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import SpooledTemporaryFile

from airflow_provider_kore.exceptions import KoreExportError
from airflow_provider_kore.storage.errors import describe_storage_error
from airflow_provider_kore.storage.folder import StorageFolder

IN_MEMORY = 8 * 1024 * 1024
"""In bytes: how much of a file that grows is kept in memory."""

SET_ASIDE = ".begun"
"""How the name of a file ends that the task left unfinished, to resume it later."""


class ExportFolder(StorageFolder):
    """
    Read and write the files of an export.

    :param uri: of the folder.
    :raises KoreExportError: by every method, if the storage fails.
    """

    def read_document(self, name: str) -> dict[str, object] | None:
        """Read a file with a JSON object; ``None`` if there is none, or it contains anything else."""
        try:
            document = json.loads(self.read(name) or b"")
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def write_document(self, name: str, document: object) -> str:
        """Write a JSON document, always in the same form, and return the file's SHA-256 in hex."""
        return self.write(name, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())

    def begin(self, name: str) -> GrowingFile:
        """Begin a file whose content comes piece by piece."""
        return GrowingFile(self, name)

    def _error(self, name: str, fault: str) -> KoreExportError:  # noqa: ARG002 # the task names the user
        return _error(fault)


class GrowingFile:
    """
    Collect the content of a file, and write it when it is complete.

    Nothing is in the folder before. Larger content waits on the worker's disk in a file without a name, which nobody
    finds and which ends with the process, however that ends.

    Whoever begins one must :meth:`finish` it, :meth:`set_aside` or :meth:`discard` it.

    :ivar size: bytes so far.
    """

    def __init__(self, folder: ExportFolder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._content = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 # is closed when the file ends
        self.size = 0

    def write(self, content: bytes) -> None:
        """Add content."""
        with _collecting():
            self._content.write(content)
        self.size += len(content)

    def finish(self) -> str:
        """Write the file, and return its SHA-256 in hex."""
        return self._end(self._name)

    def set_aside(self) -> str:
        """Write what there is so far under a name of its own, and return its SHA-256 in hex."""
        return self._end(self._name + SET_ASIDE)

    def discard(self) -> None:
        """Drop the content and what was set aside of it, without an error, since there is another one already."""
        self._content.close()
        with suppress(KoreExportError):
            self._folder.remove(self._name + SET_ASIDE)

    def _end(self, name: str) -> str:
        with _collecting():
            self._content.seek(0)
        sha256 = self._folder.write_from(name, self._content)
        self._content.close()
        return sha256


def _error(fault: str) -> KoreExportError:
    return KoreExportError(
        f"The export {fault}.",
        remedy="Check the destination, the rights of the worker there and the room, and that the provider of its file "
        "system is installed; then clear the task to resume.",
    )


@contextmanager
def _collecting() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _error(f"cannot be collected on the worker: {describe_storage_error(error)}") from None
