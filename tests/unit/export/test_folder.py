"""The folder of an export: its documents, and files whose content comes piece by piece."""

import errno
import hashlib
import json
import os
import uuid
from tempfile import SpooledTemporaryFile

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kore.exceptions import Consequence, KoreExportError
from airflow_provider_kore.export import folder as export_files
from airflow_provider_kore.export.folder import ExportFolder

SECRET = "Xq7ZwK9 is not allowed"


@pytest.fixture(params=["file", "memory"])
def uri(request, tmp_path):
    """A folder on disk, and one in a storage that copies where a disk renames."""
    attach("memory", fs=MemoryFileSystem())
    return f"file://{tmp_path}/a/b" if request.param == "file" else f"memory://{uuid.uuid4().hex}/b"


@pytest.fixture
def folder(uri):
    return ExportFolder(uri)


@pytest.fixture(params=[export_files.IN_MEMORY, 3])
def in_memory(request, monkeypatch):
    """Content that fits into memory, and content that does not."""
    monkeypatch.setattr(export_files, "IN_MEMORY", request.param)


def names(uri):
    path = ObjectStoragePath(uri)
    return sorted(name.rpartition("/")[2] for name in path.fs.ls(path.path, detail=False)) if path.exists() else []


def test_a_file_is_there_when_it_is_whole_and_nothing_of_it_before(folder, uri, in_memory):
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    file.write(b"two\n")
    assert names(uri) == []
    assert file.finish() == hashlib.sha256(b"one\ntwo\n").hexdigest() == folder.sha256("kd-1.jsonl")
    assert list(folder.lines("kd-1.jsonl")) == [b"one\n", b"two\n"]
    assert file.size == 8
    assert names(uri) == ["kd-1.jsonl"]


def test_an_empty_file_is_a_file(folder, uri):
    assert folder.begin("empty").finish() == hashlib.sha256(b"").hexdigest() == folder.sha256("empty")
    assert names(uri) == ["empty"]


def test_content_that_waits_on_the_disk_of_the_worker_has_no_name_there(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(export_files, "IN_MEMORY", 3)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    file = folder.begin("kd-1.jsonl")
    file.write(b"ann@example.com")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert os.fstat(file._content.fileno()).st_nlink == 0
    file.discard()


def test_a_file_that_is_discarded_leaves_nothing(folder, uri, in_memory):
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    file.discard()
    assert names(uri) == []


def test_a_file_that_is_set_aside_is_not_a_whole_one(folder, uri, in_memory):
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    sha256 = file.set_aside()
    assert folder.read("kd-1.jsonl") is None
    assert folder.sha256("kd-1.jsonl.begun") == sha256
    again = folder.begin("kd-1.jsonl")
    for line in folder.lines("kd-1.jsonl.begun"):
        again.write(line)
    again.write(b"two\n")
    again.set_aside()
    assert folder.read("kd-1.jsonl.begun") == b"one\ntwo\n"
    folder.begin("kd-1.jsonl").discard()
    assert names(uri) == []


def test_an_attempt_that_discards_its_file_leaves_that_of_another_attempt(folder, uri):
    files = [folder.begin("kd-1.jsonl") for _ in range(2)]
    for number, file in enumerate(files):
        file.write(b"%d" % number)
    files[0].finish()
    files[1].discard()
    assert folder.read("kd-1.jsonl") == b"0"


def test_a_document_has_one_form(folder):
    assert folder.write_document("a.json", {"b": 1, "a": [2]}) == folder.write_document("b.json", {"a": [2], "b": 1})
    assert folder.read_document("a.json") == {"a": [2], "b": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_none(folder, content):
    folder.write("a.json", content)
    assert folder.read_document("a.json") is None
    assert folder.read_document("missing.json") is None


def test_documents_can_be_read_by_anybody(folder):
    folder.write_document("a.json", {"a": "é"})
    assert json.loads(folder.read("a.json")) == {"a": "é"}


def test_the_uri_of_a_file_is_below_that_of_the_folder():
    assert ExportFolder("s3://conn@bucket/a/").uri_of("manifest.json") == "s3://conn@bucket/a/manifest.json"


@pytest.mark.parametrize("method", ["makedirs", "open", "mv"])
def test_a_storage_that_fails_leaves_no_file_and_is_named_by_its_cause(tmp_path, monkeypatch, method):
    def fail(*_, **__):
        raise OSError(errno.EDQUOT, SECRET)

    folder = ExportFolder(tmp_path.as_uri())
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    monkeypatch.setattr(LocalFileSystem, method, fail)
    with pytest.raises(KoreExportError) as caught:
        file.finish()
    monkeypatch.undo()
    assert caught.value.problem == "The export cannot be written: OSError: EDQUOT, Disk quota exceeded."
    assert caught.value.consequence is Consequence.NOTHING_ERASED
    assert SECRET not in f"{caught.value}{caught.value!r}"
    assert list(tmp_path.iterdir()) == []


def test_a_worker_without_room_is_named_by_its_cause(folder, uri, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, SECRET)

    monkeypatch.setattr(SpooledTemporaryFile, "write", fail)
    file = folder.begin("kd-1.jsonl")
    with pytest.raises(KoreExportError, match="cannot be collected on the worker: OSError: ENOSPC, No space left"):
        file.write(b"one\n")
    file.discard()
    assert names(uri) == []


def test_a_storage_that_airflow_does_not_know_is_refused():
    with pytest.raises(KoreExportError) as caught:
        ExportFolder("nosuchstorage://a/b").write("x", b"")
    assert "provider of its file system" in caught.value.remedy
