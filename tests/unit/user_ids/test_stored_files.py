"""Files of file systems that are not local: what is asked of them, and what is shown of their failures."""

import errno
import gzip
import io
import json
from typing import ClassVar

import openpyxl
import pyarrow
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile
from pyarrow import parquet

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import FileUserIds

MARKER = "Xq7ZwK9"
USERS = [f"person-{number}@example.com" for number in range(5000)]


class BufferedFile(AbstractBufferedFile):
    """As those of S3, GCS and Azure are: ``readline`` has no size."""

    def _fetch_range(self, start, end):
        return self.fs.content_of(self.path, self.version)[start:end]

    def __init__(self, fs, path, mode, block_size=None, version=None, **options):
        self.version = version
        super().__init__(fs, path, mode, block_size=block_size, size=len(fs.content_of(path, version)), **options)


class Bucket(AbstractFileSystem):
    """An object store with versions, which reads the newest unless it is told to mind them, as s3fs does."""

    protocol = ("s3",)
    objects: ClassVar[dict[str, list[bytes]]] = {}
    blocks: ClassVar[list[int]] = []

    def __init__(self, version_aware=False, **options):
        super().__init__(**options)
        self.version_aware = version_aware

    def content_of(self, path, version):
        return self.objects[path][-1 if version is None else int(version)]

    def _open(self, path, mode="rb", block_size=None, **options):
        self.blocks.append(block_size)
        key, _, version = self._strip_protocol(path).partition("?versionId=")
        if key not in self.objects:
            raise FileNotFoundError(path)
        return BufferedFile(self, key, mode, block_size, version=version if self.version_aware and version else None)


class Least(io.RawIOBase):
    """A file that can do no more than read, and gives less than it is asked for."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def read(self, size=-1):
        return self._content.read(min(size, 7))


@pytest.fixture
def bucket(monkeypatch):
    """An object store behind the scheme ``s3``, of which the objects are set."""
    Bucket.clear_instance_cache()
    monkeypatch.setattr(Bucket, "objects", {})
    monkeypatch.setattr(Bucket, "blocks", [])
    monkeypatch.setattr(store, "_STORE_CACHE", {})
    store.attach("s3", fs=Bucket())
    return Bucket


def in_each_form():
    objects = [{"id": user_id} for user_id in USERS]
    yield "people.txt", None, "\r\n".join(USERS).encode()
    yield "people.csv", "id", ("id\n" + "\n".join(USERS)).encode()
    yield "people.csv.gz", "id", gzip.compress(("id\n" + "\n".join(USERS)).encode())
    yield "people.jsonl", "id", "\n".join(map(json.dumps, objects)).encode()
    yield "people.json.gz", "id", gzip.compress(json.dumps(objects).encode())
    table = io.BytesIO()
    parquet.write_table(pyarrow.table({"x": USERS, "id": USERS}), table)
    yield "people.parquet", "id", table.getvalue()
    workbook = openpyxl.Workbook()
    for row in (["id"], *([user_id] for user_id in USERS)):
        workbook.active.append(row)
    file = io.BytesIO()
    workbook.save(file)
    yield "people.xlsx", "id", file.getvalue()


each_form = pytest.mark.parametrize(
    ("name", "column", "content"), in_each_form(), ids=lambda value: value if isinstance(value, str) else ""
)


def test_files_of_object_stores_have_a_readline_without_a_size(bucket):
    bucket.objects["b/people.txt"] = [b"u-1\n"]
    with pytest.raises(TypeError):
        ObjectStoragePath("s3://b/people.txt").open("rb").readline(9)


@pytest.mark.parametrize(
    ("name", "column", "content"), in_each_form(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_form_is_read_from_an_object_store_as_a_stream(bucket, read, name, column, content):
    bucket.objects[f"b/{name}"] = [content]
    assert read(FileUserIds(f"s3://b/{name}", column), 9999) == USERS
    assert all(block <= 8 * 1024 * 1024 for block in bucket.blocks)


@pytest.mark.parametrize(
    ("name", "column", "content"), in_each_form(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_form_is_read_from_a_file_system_of_fsspec(monkeypatch, read, name, column, content):
    monkeypatch.setattr(store, "_STORE_CACHE", {})
    files = MemoryFileSystem()
    store.attach("memory", fs=files)
    files.pipe_file(f"/b/{name}", content)
    assert read(FileUserIds(f"memory://b/{name}", column), 9999) == USERS


def test_a_file_that_can_only_read_and_gives_less_than_asked_for_is_read(bucket, read, monkeypatch):
    monkeypatch.setattr(Bucket, "open", lambda *_, **__: Least("\n".join(USERS[:50]).encode()))
    assert read("s3://b/people.txt") == USERS[:50]


@pytest.mark.parametrize(("query", "user_ids"), [("", ["u-3"]), ("?versionId=0", ["u-1"]), ("?versionId=1", ["u-2"])])
def test_the_version_is_read_that_the_uri_names(bucket, read, query, user_ids):
    bucket.objects["b/people.csv"] = [b"id\nu-1\n", b"id\nu-2\n", b"id\nu-3\n"]
    assert read(FileUserIds(f"s3://b/people.csv{query}", "id")) == user_ids


class StoreError(Exception):
    def __init__(self):
        super().__init__(MARKER)
        self.response = {"Error": {"Code": "SlowDown", "Message": MARKER}, "ResponseMetadata": {"HTTPStatusCode": 503}}


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (PermissionError(MARKER), "access is denied"),
        (OSError(errno.EIO, MARKER), "EIO, Input/output error"),
        (StoreError(), "HTTP 503: SlowDown"),
        (TypeError(MARKER), "TypeError"),
        (ValueError(MARKER), "ValueError"),
        (KeyError(MARKER), "KeyError"),
        (EOFError(MARKER), "EOFError"),
        (UnicodeDecodeError("utf-8", MARKER.encode(), 0, 1, MARKER), "UnicodeDecodeError"),
    ],
)
@pytest.mark.parametrize("name", ["people.txt", "people.csv.gz", "people.parquet", "people.xlsx"])
def test_a_failure_of_the_storage_names_its_cause_and_can_be_mended(bucket, refusal, monkeypatch, failure, words, name):
    (content,) = (content for each, _, content in in_each_form() if each == name)
    bucket.objects[f"b/{name}"] = [content]

    def fetch(self, start, end):
        raise failure

    monkeypatch.setattr(BufferedFile, "_fetch_range", fetch)
    error = refusal(FileUserIds(f"s3://b/{name}", None if ".txt" in name else "id"))
    assert isinstance(error, KoreSourceError)
    assert words in error.problem


def test_a_failure_in_the_midst_says_after_which_line(bucket, refusal, monkeypatch):
    bucket.objects["b/people.txt"] = ["\n".join(USERS * 9).encode()]
    monkeypatch.setattr("airflow_provider_kore.user_ids.files.BLOCK", 65536)

    def fetch(self, start, end):
        if end > 200_000:
            raise ConnectionResetError(errno.ECONNRESET, MARKER)
        return self.fs.content_of(self.path, None)[start:end]

    monkeypatch.setattr(BufferedFile, "_fetch_range", fetch)
    error = refusal("s3://b/people.txt", most=10**6)
    assert "ECONNRESET" in error.problem
    assert int(error.problem.split("after line ")[1].split(".")[0]) > 1000


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:///nowhere/people.txt", "FileNotFoundError: there is no such file, folder or bucket: ENOENT"),
        ("nosuchscheme://b/people.txt", "no file system is registered for the scheme nosuchscheme"),
        ("memory://b/people.txt", "no file system is registered for the scheme memory"),
    ],
)
def test_what_cannot_be_opened_says_why(refusal, uri, words):
    error = refusal(uri)
    assert isinstance(error, KoreSourceError)
    assert words in error.problem


def test_an_object_that_is_not_there_is_said_to_be_missing(bucket, refusal):
    assert "there is no such file, folder or bucket" in refusal("s3://b/people.txt").problem


def test_a_folder_says_that_it_is_one(tmp_path, refusal):
    (tmp_path / "people.csv").mkdir()
    assert "it is a folder and no file" in refusal(FileUserIds((tmp_path / "people.csv").as_uri(), "id")).problem


def test_a_file_is_closed_whatever_happens(bucket, monkeypatch):
    bucket.objects["b/people.txt"] = [b"u-1\n\nu-3\n"]
    opened = []
    original = Bucket._open
    monkeypatch.setattr(Bucket, "_open", lambda *given, **more: opened.append(original(*given, **more)) or opened[-1])
    reading = FileUserIds("s3://b/people.txt").read()
    assert next(reading) == "u-1"
    with pytest.raises(KoreInputError):
        next(reading)
    assert opened[0].closed
