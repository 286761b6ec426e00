"""The folder that an export goes to, in any storage that Airflow reaches; nothing in it looks whole before it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import IO, TYPE_CHECKING

from airflow_provider_kore.exceptions import KoreExportError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

CHUNK = 1024 * 1024

BEING_WRITTEN = ".part"
"""How the name of a file ends until all of it is there."""

SET_ASIDE = ".begun"
"""How the name of a file ends that the task left unfinished, to go on with later."""


class ExportFolder:
    """
    Write into a folder, and read from it.

    :param uri: where it is.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def create(self) -> None:
        """Make the folder if it is not there yet."""
        with _using("made"):
            self._path().mkdir(parents=True, exist_ok=True)

    def uri_of(self, name: str) -> str:
        """Give the URI of a file in it."""
        return f"{self._uri.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """Read a file; ``None`` if there is none."""
        with _using("read"):
            try:
                with closing(self._open(name, "rb")) as file:
                    return file.read()
            except FileNotFoundError:
                return None

    def read_document(self, name: str) -> dict[str, object] | None:
        """Read a file that holds a JSON object; ``None`` if there is none, or it holds anything else."""
        try:
            document = json.loads(self.read(name) or b"")
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def sha256(self, name: str) -> str | None:
        """Give the SHA-256 of a file in hex; ``None`` if there is none."""
        found = hashlib.sha256()
        with _using("read"):
            try:
                with closing(self._open(name, "rb")) as file:
                    while chunk := file.read(CHUNK):
                        found.update(chunk)
            except FileNotFoundError:
                return None
        return found.hexdigest()

    def lines(self, name: str) -> Iterator[bytes]:
        """Read a file line by line."""
        with _using("read"), closing(self._open(name, "rb")) as file:
            while line := file.readline():
                yield line

    def remove(self, *names: str) -> None:
        """Remove files, as far as they are there."""
        for name in names:
            with _using("written"):
                self._path(name).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        """Give a file another name; one that has the name already is replaced."""
        self.remove(to)  # not every storage lets a file be moved over another
        with _using("written"):
            self._path(name).move(self._path(to))

    def write(self, name: str, content: bytes) -> str:
        """
        Write a whole file, and return its SHA-256 in hex.

        :raises KoreExportError: if it cannot be written; then there is no file of this name.
        """
        file = self.begin(name)
        try:
            file.write(content)
            return file.finish()
        except BaseException:
            file.discard()
            raise

    def write_document(self, name: str, document: object) -> str:
        """Write a JSON document, always in the same form, and return the file's SHA-256 in hex."""
        return self.write(name, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())

    def begin(self, name: str) -> GrowingFile:
        """Begin to write a file."""
        with _using("written"):
            return GrowingFile(self, name, self._open(name + BEING_WRITTEN, "wb"))

    def size(self, name: str) -> int:
        """Give the size of a file in bytes."""
        with _using("read"):
            return int(self._path(name).stat().st_size)

    def _open(self, name: str, mode: str) -> IO[bytes]:
        file: IO[bytes] = self._path(name).open(mode)  # type: ignore[no-untyped-call]
        return file

    def _path(self, name: str = "") -> ObjectStoragePath:
        from airflow.sdk import ObjectStoragePath

        folder = ObjectStoragePath(self._uri)
        return folder / name if name else folder


class GrowingFile:
    """
    Write a file piece by piece, under another name until it is whole.

    Whoever begins one must :meth:`finish` it, :meth:`set_aside` or :meth:`discard` it.

    :ivar size: bytes so far.
    """

    def __init__(self, folder: ExportFolder, name: str, file: IO[bytes]) -> None:
        self._folder = folder
        self._name = name
        self._file = file
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, content: bytes) -> None:
        """Write more."""
        with _using("written"):
            self._file.write(content)
        self._sha256.update(content)
        self.size += len(content)

    def finish(self) -> str:
        """Let it be whole, and return its SHA-256 in hex."""
        return self._end(self._name)

    def set_aside(self) -> str:
        """Keep it for later under a name of its own, and return its SHA-256 in hex."""
        return self._end(self._name + SET_ASIDE)

    def discard(self) -> None:
        """Forget it, and what was set aside of it. An error is not told, since there is another one already."""
        with suppress(Exception):
            self._file.close()
        for ending in (BEING_WRITTEN, SET_ASIDE):
            with suppress(KoreExportError):
                self._folder.remove(self._name + ending)

    def _end(self, name: str) -> str:
        with _using("written"):
            self._file.close()
        self._folder.move(self._name + BEING_WRITTEN, name)
        if self._folder.size(name) != self.size:
            self._folder.remove(name)
            raise KoreExportError(
                "The export cannot be written: a file is not as long as what was written to it.", remedy=_REMEDY
            )
        return self._sha256.hexdigest()


_REMEDY = (
    "Check the destination, the rights of the worker there and the room, and that the provider of its file system is "
    "installed; then clear the task to go on."
)


@contextmanager
def _using(deed: str) -> Iterator[None]:
    """Turn whatever a file system raises into an error that does not show its text, which can hold anything."""
    try:
        yield
    except KoreExportError:
        raise
    except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own
        raise KoreExportError(f"The export cannot be {deed}: {type(error).__name__}.", remedy=_REMEDY) from None
