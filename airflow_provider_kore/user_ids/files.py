"""User ids in a file."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, cast

from airflow_provider_kore.api.users import UserId, check_user_id
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.columns import ListError
from airflow_provider_kore.user_ids.source import UserIdSource, check_texts

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from airflow.sdk import ObjectStoragePath

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
"""How the URI of a file begins."""

BLOCK = 4 * 1024 * 1024
"""Bytes of one request to an object store, whose own sizes are up to 50 MB."""


class FileUserIds(UserIdSource):
    """
    Read user ids from a file, of which Airflow stores the URI and none of the ids.

    The end of the name tells the form, and a name with another end is refused:

    - ``.txt``: one user id a line, without a header;
    - ``.csv``, ``.tsv``: a table with a header, of which ``column`` is read; fields of CSV may be separated by
      semicolons, as Excel writes them in Europe;
    - ``.jsonl``, ``.ndjson``: a JSON value a line; ``.json``: an array of values, each of them a user id, or an object
      with the key ``column``;
    - ``.parquet``: needs ``airflow-provider-kore[parquet]``;
    - ``.xlsx``: needs ``airflow-provider-kore[excel]``; the one worksheet that is not empty, with a header. Its user
      ids must be cells of text.

    All but the last two may end in ``.gz`` besides, and are UTF-8 with any line ends. A blank line is refused. The file
    is read as a stream; only the texts of a workbook are in memory as a whole.

    Without ``column``, a table must have the columns ``channel_id`` and ``channel_user_id``, and a JSON value must be a
    user id by itself: a string, or an object with exactly these two keys.

    :param uri: where the file is, such as ``s3://bucket/people.txt`` or ``file:///data/people.csv``; anything that
        ``airflow.sdk.ObjectStoragePath`` reads. A version of an object, as in ``?versionId=…``, is read as such.
        Templated.
    :param column: the column, or the key of each JSON object, that contains the user id. Templated.
    """

    template_fields: Sequence[str] = ("uri", "column")

    def __init__(self, uri: str, column: str | None = None) -> None:
        self.uri = uri
        self.column = column

    def __repr__(self) -> str:
        return f"user ids in {self.uri}" + (f", column {self.column}" if self.column is not None else "")

    def read(self) -> Iterator[UserId]:
        """
        Read the file, and check each user id by its line, row or item.

        :raises KoreSourceError: if it cannot be read just now, or is not there.
        :raises KoreInputError: if it is not what its name says it is, or contains what is no user id; the error names
            the place in the file, never its content.
        """
        # What reads is not needed to read a DAG.
        from airflow_provider_kore.storage.errors import describe_storage_error
        from airflow_provider_kore.user_ids.forms import find_reader

        check_texts(self)
        place = ""
        try:
            reader, is_packed = find_reader(self.uri)
            with closing(io.BufferedReader(_StoredFile(self.uri))) as file:
                content = cast("IO[bytes]", gzip.GzipFile(fileobj=file) if is_packed else file)
                for place, value in reader(content, self.column):
                    yield check_user_id(value, place)
        except KoreInputError:
            raise
        except ListError as error:
            raise _refuse(error.reason, error.remedy) from None
        except _StorageError as error:
            raise _unreadable(describe_storage_error(error.of_storage) + _after(place)) from None
        except EOFError:
            raise _unreadable(f"it is not a whole gzip file{_after(place)}") from None
        except (gzip.BadGzipFile, zlib.error):
            raise _refuse(f"it is not a whole gzip file{_after(place)}") from None
        except Exception as error:  # noqa: BLE001 # of whatever kind, its text may show the ids
            raise _refuse(f"it is not what its name says it is ({type(error).__name__}){_after(place)}") from None


def _after(place: str) -> str:
    return f", after {place}" if place else ""


class _StorageError(Exception):
    """An error of the file system, apart from those of what reads the file's form."""

    def __init__(self, of_storage: Exception) -> None:
        super().__init__()
        self.of_storage = of_storage


class _StoredFile(io.RawIOBase):
    """
    A file of any file system, which may be able to do no more than to read, and to seek if it can.

    Files of object stores have no readline() with a size, and their read() may give less than it was asked for.
    """

    def __init__(self, uri: str) -> None:
        from airflow.sdk import ObjectStoragePath

        try:
            path = ObjectStoragePath(uri)
            self._file = _file_system(path).open(path.path, "rb", block_size=BLOCK)
        except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own
            raise _StorageError(error) from None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer).cast("B")
        try:
            content = self._file.read(len(into))
        except Exception as error:  # noqa: BLE001 # each file system has exceptions of its own
            raise _StorageError(error) from None
        into[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)  # to before the start is an error of whoever asks for it
        return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


_VERSION = re.compile(r"\?versionId=[^/]+|#\d+", re.IGNORECASE)
"""How object stores name one version of an object: S3 and Azure in a query string, GCS in a fragment."""


def _file_system(path: ObjectStoragePath) -> Any:  # noqa: ANN401 # fsspec has no types
    """Get the file system of a path, one that knows versions if the path names one; others read the newest instead."""
    files = path.fs
    if getattr(files, "version_aware", None) is False and _VERSION.search(path.path):
        return type(files)(*files.storage_args, **{**files.storage_options, "version_aware": True})
    return files


def _refuse(reason: str, remedy: str | None = None) -> KoreInputError:
    return KoreInputError(
        f"The file of user ids cannot be read: {reason}.", remedy=remedy or "Check its URI and its form."
    )


def _unreadable(reason: str) -> KoreSourceError:
    return KoreSourceError(
        f"The file of user ids cannot be read: {reason}.",
        remedy="Check its URI, the rights of the worker to read it, and that the provider of its file system is "
        "installed; then try again.",
    )
