"""The folder of an export: its documents, and to which export it belongs."""

import errno
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.io import attach
from exporting import SELECTION
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.exceptions import Consequence, KoreExportError, KoreInputError
from airflow_provider_kore.export.folder import CLAIM, ExportFolder, Identity
from airflow_provider_kore.period import Period

SECRET = "Xq7ZwK9 is not allowed"
NOW = datetime(2026, 3, 1, 12, 30, 0, 123, tzinfo=UTC)
IDENTITY = Identity(**dict(SELECTION), run="1", users="ku:1")


@pytest.fixture(params=["file", "memory"])
def folder(request, tmp_path):
    """A folder on disk, and one in a storage that copies where a disk renames."""
    attach("memory", fs=MemoryFileSystem())
    return ExportFolder(f"file://{tmp_path}/a/b" if request.param == "file" else f"memory://{uuid.uuid4().hex}/b")


def changed(**fields):
    return IDENTITY.model_copy(update=fields)


# --- documents -------------------------------------------------------------------------------------------------------


def test_a_document_is_read_as_it_was_written_and_always_has_the_same_form(folder):
    assert folder.write_document("a.json", IDENTITY) == folder.write_document("b.json", IDENTITY)
    assert folder.read_document("a.json", Identity) == IDENTITY
    assert folder.read("a.json").endswith(b'"users": "ku:1"\n}\n')


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_a_document_of_another_form_is_none(folder, content):
    folder.write("a.json", content)
    assert folder.read_document("a.json", Identity) is None
    assert folder.read_document("missing.json", Identity) is None


def test_the_uri_of_a_file_is_below_that_of_the_folder():
    assert ExportFolder("s3://conn@bucket/a/").uri_of("manifest.json") == "s3://conn@bucket/a/manifest.json"


# --- to which export it belongs --------------------------------------------------------------------------------------


def test_a_folder_belongs_to_the_export_that_claims_it(folder):
    assert folder.read_now("1", NOW) == NOW
    folder.claim(IDENTITY, NOW)
    folder.claim(IDENTITY, NOW + timedelta(hours=1))  # another attempt, which does not change it
    folder.require_claim(IDENTITY)
    assert folder.read_now("1", NOW + timedelta(hours=1)) == NOW
    assert folder.read_now("2", NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("fields", "other"),
    [
        ({"version": 2}, "version"),
        ({"host": "https://other.example.com"}, "host"),
        ({"client_id": "cs-2"}, "client_id"),
        ({"scope": ErasureScope((), all_bots=True)}, "scope"),
        ({"period": Period(SELECTION.period.since, NOW)}, "period"),
        ({"channel_types": ["rtm"]}, "channel_types"),
        ({"run": "2"}, "run"),
        ({"users": "ku:2"}, "set of users"),
        ({"channel_types": ["rtm"], "users": "ku:2"}, "channel_types and set of users"),
    ],
)
def test_a_folder_of_another_export_is_refused(folder, fields, other):
    folder.claim(IDENTITY, NOW)
    for refuse in (lambda: folder.claim(changed(**fields), NOW), lambda: folder.require_claim(changed(**fields))):
        with pytest.raises(KoreInputError, match=f"contains an export of another {other}\\.") as caught:
            refuse()
        assert caught.value.consequence is Consequence.NOT_SENT
    folder.require_claim(IDENTITY)


def test_a_folder_that_is_not_understood_is_refused_and_left_alone(folder):
    folder.write(CLAIM, b"something else")
    with pytest.raises(KoreInputError, match=f"contains a file {CLAIM} that is not understood"):
        folder.read_now("1", NOW)
    assert folder.read(CLAIM) == b"something else"


def test_a_claim_that_is_gone_is_missed(folder):
    folder.claim(IDENTITY, NOW)
    folder.remove(CLAIM)
    with pytest.raises(KoreInputError, match=f"its file {CLAIM} is gone"):
        folder.require_claim(IDENTITY)


# --- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["makedirs", "open", "mv"])
def test_a_storage_that_fails_leaves_no_file_and_is_named_by_its_cause(tmp_path, monkeypatch, method):
    def fail(*_, **__):
        raise OSError(errno.EDQUOT, SECRET)

    monkeypatch.setattr(LocalFileSystem, method, fail)
    with pytest.raises(KoreExportError) as caught:
        ExportFolder(tmp_path.as_uri()).write_document("a.json", IDENTITY)
    monkeypatch.undo()
    assert caught.value.problem == "The export cannot be written: OSError: EDQUOT, Disk quota exceeded."
    assert caught.value.consequence is Consequence.NOTHING_ERASED
    assert SECRET not in f"{caught.value}{caught.value!r}"
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_airflow_does_not_know_is_refused():
    with pytest.raises(KoreExportError) as caught:
        ExportFolder("nosuchstorage://a/b").write("x", b"")
    assert "provider of its file system" in caught.value.remedy
