"""The folder of an export: what is in it is whole, and what its storage says is not told."""

import builtins
import hashlib
import json
import uuid

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kore.exceptions import Consequence, KoreExportError
from airflow_provider_kore.export_files import ExportFolder


@pytest.fixture(params=["file", "memory"])
def uri(request, tmp_path):
    """A folder on disk, and one in a storage that copies where a disk renames."""
    attach("memory", fs=MemoryFileSystem())
    return f"file://{tmp_path}/a/b" if request.param == "file" else f"memory://{uuid.uuid4().hex}/b/"


@pytest.fixture
def folder(uri):
    folder = ExportFolder(uri)
    folder.create()
    folder.create()
    return folder


def names(uri):
    return sorted(path.name for path in ObjectStoragePath(uri).iterdir())


def test_a_file_is_there_when_it_is_whole_and_not_before(folder, uri):
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    file.write(b"two\n")
    assert folder.read("kd-1.jsonl") is None
    assert file.finish() == hashlib.sha256(b"one\ntwo\n").hexdigest() == folder.sha256("kd-1.jsonl")
    assert folder.read("kd-1.jsonl") == b"one\ntwo\n"
    assert list(folder.lines("kd-1.jsonl")) == [b"one\n", b"two\n"]
    assert (file.size, folder.size("kd-1.jsonl")) == (8, 8)
    assert names(uri) == ["kd-1.jsonl"]


def test_an_empty_file_is_a_file(folder, uri):
    assert folder.write("empty", b"") == hashlib.sha256(b"").hexdigest() == folder.sha256("empty")
    assert names(uri) == ["empty"]


def test_a_file_that_is_given_up_leaves_nothing(folder, uri):
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    file.discard()
    assert names(uri) == []


def test_a_file_that_is_set_aside_is_not_taken_for_a_whole_one(folder, uri):
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


def test_a_file_replaces_another_of_its_name(folder, uri):
    folder.write("manifest.json", b"old")
    folder.write("manifest.json", b"new")
    assert folder.read("manifest.json") == b"new"
    assert names(uri) == ["manifest.json"]


def test_a_document_has_one_form(folder):
    assert folder.write_document("a.json", {"b": 1, "a": [2]}) == folder.write_document("b.json", {"a": [2], "b": 1})
    assert folder.read_document("a.json") == {"a": [2], "b": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_none(folder, content):
    folder.write("a.json", content)
    assert folder.read_document("a.json") is None
    assert folder.read_document("missing.json") is None


def test_what_is_missing_is_none_and_can_be_removed(folder):
    assert folder.read("missing") is None
    assert folder.sha256("missing") is None
    folder.remove("missing", "also missing")


def test_the_uri_of_a_file_is_below_that_of_the_folder():
    assert ExportFolder("s3://conn@bucket/a/").uri_of("manifest.json") == "s3://conn@bucket/a/manifest.json"


SECRET = "Xq7ZwK9 is not allowed"


class FailingFile:
    """Fails in one of its methods, like any file system, with a text that must not be told."""

    def __init__(self, file, fails):
        self._file, self._fails = file, fails

    def __getattr__(self, name):
        if name == self._fails:

            def fail(*arguments):
                self._fails = None
                raise builtins.PermissionError(SECRET)

            return fail
        return getattr(self._file, name)


@pytest.mark.parametrize("fails", ["write", "close", "move", "stat", "unlink", "open"])
def test_a_storage_that_fails_leaves_no_whole_file_and_is_named_by_kind(folder, uri, monkeypatch, fails):
    if fails in ("write", "close"):
        real = ObjectStoragePath.open
        monkeypatch.setattr(
            ObjectStoragePath, "open", lambda self, mode: FailingFile(real(self, mode), fails if "w" in mode else None)
        )
    else:

        def fail(*arguments, **more):
            raise PermissionError(SECRET)

        monkeypatch.setattr(ObjectStoragePath, fails, fail)
    with pytest.raises(KoreExportError) as caught:
        folder.write("kd-1.json", b"{}")
    monkeypatch.undo()
    assert "PermissionError" in caught.value.problem
    assert caught.value.consequence is Consequence.NOTHING_ERASED
    assert "Xq7ZwK9" not in f"{caught.value}{caught.value!r}"
    assert caught.value.__suppress_context__
    if fails != "stat":  # what cannot be looked at may be whole, and nothing beside it says so
        assert folder.read("kd-1.json") is None


def test_a_file_that_was_cut_short_is_removed(folder, monkeypatch):
    file = folder.begin("kd-1.jsonl")
    file.write(b"one\n")
    monkeypatch.setattr(ExportFolder, "size", lambda self, name: 3)
    with pytest.raises(KoreExportError, match="not as long"):
        file.finish()
    assert folder.read("kd-1.jsonl") is None


@pytest.mark.parametrize("deed", ["create", "read", "sha256", "lines", "remove", "size"])
def test_each_deed_names_the_kind_of_failure_alone(folder, monkeypatch, deed):
    def fail(*arguments, **more):
        raise ValueError(SECRET)

    for name in ("open", "mkdir", "unlink", "stat"):
        monkeypatch.setattr(ObjectStoragePath, name, fail)
    with pytest.raises(KoreExportError, match="ValueError") as caught:
        list(getattr(folder, deed)(*([] if deed == "create" else ["kd-1.json"])))
    assert "Xq7ZwK9" not in str(caught.value)


def test_a_storage_that_airflow_does_not_know_is_told_by_kind():
    with pytest.raises(KoreExportError) as caught:
        ExportFolder("nosuchstorage://a/b").create()
    assert "provider of its file system" in caught.value.remedy


def test_documents_can_be_read_by_anybody(folder):
    folder.write_document("a.json", {"a": "é"})
    assert json.loads(folder.read("a.json")) == {"a": "é"}
