"""Files are written whole or not at all, on any file system."""

import traceback

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.object_storage import write_whole

SECRET = "Xq7ZwK9-secret"


def fault_of(folder, name="eud-1.jws"):
    with pytest.raises(KoreReceiptError) as caught:
        write_whole(folder.as_uri(), name, b"new")
    assert caught.value.consequence is Consequence.SENT
    assert "clear the task" in caught.value.remedy
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown.replace(__file__, "")
    return caught.value.problem


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    folder = tmp_path / "a" / "b"
    uri = write_whole(folder.as_uri(), "eud-1.jws", b"content")
    assert uri == (folder / "eud-1.jws").as_uri()
    assert (folder / "eud-1.jws").read_bytes() == b"content"
    assert [path.name for path in folder.iterdir()] == ["eud-1.jws"]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_slash_at_the_end_of_the_folder_does_not_matter(tmp_path, end):
    uri = write_whole(tmp_path.as_uri() + end, "x", b"content")
    assert uri == (tmp_path / "x").as_uri()


def test_a_percent_sign_in_the_name_stays_one(tmp_path):
    uri = write_whole(tmp_path.as_uri(), "eud%3A1%2F2.jws", b"content")
    assert uri == f"{tmp_path.as_uri()}/eud%3A1%2F2.jws"
    assert (tmp_path / "eud%3A1%2F2.jws").read_bytes() == b"content"


def test_a_file_under_the_same_name_is_replaced_and_others_stay(tmp_path):
    write_whole(tmp_path.as_uri(), "other", b"other")
    for content in (b"a longer one", b"new"):
        write_whole(tmp_path.as_uri(), "name", content)
        assert (tmp_path / "name").read_bytes() == content
    assert (tmp_path / "other").read_bytes() == b"other"


class Store(MemoryFileSystem):
    """A store that copies where it should move; each instance holds its own files."""

    cachable = False

    def __init__(self):
        super().__init__()
        self.store, self.pseudo_dirs = {}, [""]


def test_a_store_that_can_only_copy_is_written_to_through_its_connection():
    stores = {name: Store() for name in (None, "vault")}
    for name, store in stores.items():
        attach("memory", conn_id=name, fs=store)
    uri = write_whole("memory://vault@bucket/receipts", "eud-1.jws", b"content")
    assert uri == "memory://vault@/bucket/receipts/eud-1.jws"
    assert stores["vault"].ls("/bucket/receipts", detail=False) == ["/bucket/receipts/eud-1.jws"]
    assert not stores[None].store
    path = ObjectStoragePath(uri)
    assert path.fs.cat_file(path.path) == b"content"


def test_what_breaks_off_while_it_is_written_leaves_the_name_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "eud-1.jws").write_bytes(b"old")

    def break_off(self, path, value, **_):
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(value[:1])
        raise OSError(SECRET)

    monkeypatch.setattr(LocalFileSystem, "pipe_file", break_off)
    assert fault_of(tmp_path) == "The file eud-1.jws cannot be written: OSError."
    assert (tmp_path / "eud-1.jws").read_bytes() == b"old"


def test_what_reads_otherwise_than_it_was_written_never_gets_the_name(tmp_path, monkeypatch):
    def lose_a_byte(self, path, value, **_):
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(value[:-1])

    monkeypatch.setattr(LocalFileSystem, "pipe_file", lose_a_byte)
    assert "reads otherwise than it was written" in fault_of(tmp_path)
    assert not (tmp_path / "eud-1.jws").exists()


def test_what_the_move_damages_does_not_keep_the_name(tmp_path, monkeypatch):
    def damage(self, source, target, **_):
        with open(target, "wb") as file:  # noqa: PTH123
            file.write(b"ne")

    monkeypatch.setattr(LocalFileSystem, "mv", damage)
    assert "otherwise than before it was moved" in fault_of(tmp_path)
    assert not (tmp_path / "eud-1.jws").exists()


@pytest.mark.parametrize("method", ["makedirs", "pipe_file", "cat_file", "mv"])
@pytest.mark.parametrize("error", [PermissionError(13, SECRET), ValueError(SECRET), RuntimeError(SECRET)])
def test_whatever_a_file_system_raises_is_told_by_its_kind_alone(tmp_path, monkeypatch, method, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(LocalFileSystem, method, fail)
    assert fault_of(tmp_path) == f"The file eud-1.jws cannot be written: {type(error).__name__}."
    assert not (tmp_path / "eud-1.jws").exists()


@pytest.mark.parametrize("uri", ["nosuchscheme://bucket/receipts", "", "file:///proc/nowhere"])
def test_a_folder_that_cannot_be_reached_is_refused(uri):
    with pytest.raises(KoreReceiptError, match="cannot be written"):
        write_whole(uri, "/".join(["no", "where"]), b"content")
