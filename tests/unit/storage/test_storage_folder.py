"""Files are written whole or not at all, on any file system, also by several tasks at once."""

import gc
import hashlib
import threading
import traceback
import uuid
from importlib.util import find_spec

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from airflow_provider_kore.exceptions import KoreReceiptError, KoreSourceError
from airflow_provider_kore.storage import folder as object_storage
from airflow_provider_kore.storage.folder import StorageFolder, read_sha256

SECRET = "Xq7ZwK9-secret"


class Folder(StorageFolder):
    def _error(self, name, fault):
        return KoreReceiptError(f"The file {name} {fault}.", consequence="", remedy="")


class Upload(AbstractBufferedFile):
    """A file as fsspec writes it to an object store: in parts, of which an object is made at the end."""

    def _initiate_upload(self):
        self.parts = []

    def _upload_chunk(self, final=False):
        self.fs.allow("upload")
        self.parts.append(self.buffer.getvalue())
        if final:
            self.fs.allow("complete")
            self.fs.objects[self.path] = b"".join(self.parts)[: self.fs.keeps]

    def discard(self):
        self.fs.discarded += 1

    def _fetch_range(self, start, end):
        return self.fs.objects[self.path][start:end]


class ObjectStore(AbstractFileSystem):
    """An object store with a cache of listings, as those of S3, Google and Azure have."""

    protocol = ("s3", "s3a")
    cachable = False

    def __init__(self):
        super().__init__()
        self.objects, self.calls, self.fails, self.discarded, self.keeps = {}, [], (), 0, None

    def allow(self, call):
        self.calls.append(call)
        if call in self.fails:
            raise PermissionError(SECRET)

    def _open(self, path, mode="rb", block_size=None, **more):
        return Upload(self, path, mode, block_size, **more)

    def info(self, path, **_):
        self.allow("info")
        if path not in self.dircache:
            if path not in self.objects:
                raise FileNotFoundError(path)
            self.dircache[path] = [{"name": path, "size": len(self.objects[path]), "type": "file"}]
        return self.dircache[path][0]

    def invalidate_cache(self, path=None):
        if path is None:
            self.dircache.clear()

    def rm_file(self, path):
        if self.objects.pop(path, None) is None:
            raise FileNotFoundError(path)

    def mkdir(self, path, create_parents=True, **_):
        raise AssertionError("an object store needs no folders, and would make a bucket")

    makedirs = mkdir

    def cp_file(self, path1, path2, **_):
        raise AssertionError("an object needs no other name while it is written")


@pytest.fixture
def store():
    store = ObjectStore()
    conn_id = uuid.uuid4().hex
    attach("s3", conn_id=conn_id, fs=store)
    store.uri = f"s3://{conn_id}@bucket/receipts"
    return store


@pytest.fixture(params=["file", "memory", "store"])
def uri(request, tmp_path):
    """A folder on a disk, in a file system that copies where a disk renames, and in an object store."""
    if request.param == "store":
        return request.getfixturevalue("store").uri
    attach("memory", fs=MemoryFileSystem())
    return f"file://{tmp_path}/a/b" if request.param == "file" else f"memory://{uuid.uuid4().hex}/b"


def names(uri):
    path = ObjectStoragePath(uri)
    if isinstance(path.fs, ObjectStore):
        return sorted(name.removeprefix("bucket/receipts/") for name in path.fs.objects)
    return sorted(name.rpartition("/")[2] for name in path.fs.ls(path.path, detail=False)) if path.exists() else []


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def fault_of(folder, content=b"new"):
    with pytest.raises(KoreReceiptError) as caught:
        folder.write("eud-1.jws", content)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    return caught.value.problem


# --- what is written and read ----------------------------------------------------------------------------------------

SIZES = [0, 1, object_storage.CHUNK, object_storage.CHUNK + 1, 20_000_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("end", ["", "/"])
def test_what_is_written_can_be_read_and_nothing_else_is_there(uri, end, size):
    content = b"ab\n" * (size // 3) + b"x" * (size % 3)
    folder = Folder(uri + end)
    assert folder.write("eud-1.jws", content) == sha256(content) == folder.sha256("eud-1.jws")
    assert folder.read("eud-1.jws") == content
    assert folder.uri_of("eud-1.jws") == f"{uri}/eud-1.jws"
    assert read_sha256(folder.uri_of("eud-1.jws")) == sha256(content)
    assert names(uri) == ["eud-1.jws"]


def test_what_is_missing_is_none_and_can_be_removed(uri):
    folder = Folder(uri)
    assert folder.read("missing") is None
    assert folder.sha256("missing") is None
    assert read_sha256(folder.uri_of("missing")) is None
    folder.remove("missing", "also missing")


@pytest.mark.parametrize("name", ["eud%3A1%2F2.jws", "a b", "ä"])
def test_a_name_stays_as_it_is(uri, name):
    Folder(uri).write(name, b"content")
    assert names(uri) == [name]
    assert Folder(uri).read(name) == b"content"


def test_a_file_of_the_same_name_is_replaced_and_others_stay(uri):
    folder = Folder(uri)
    folder.write("other", b"other")
    for content in (b"a longer one", b"new"):
        folder.write("name", content)
        assert folder.read("name") == content
    folder.remove("name")
    assert names(uri) == ["other"]


def test_a_connection_of_the_uri_is_used(tmp_path):
    class Store(MemoryFileSystem):
        cachable = False

        def __init__(self):
            super().__init__()
            self.store, self.pseudo_dirs = {}, [""]

    stores = {name: Store() for name in (None, "vault")}
    for name, store in stores.items():
        attach("memory", conn_id=name, fs=store)
    folder = Folder("memory://vault@bucket/receipts")
    folder.write("eud-1.jws", b"content")
    assert stores["vault"].ls("/bucket/receipts", detail=False) == ["/bucket/receipts/eud-1.jws"]
    assert not stores[None].store
    path = ObjectStoragePath(folder.uri_of("eud-1.jws"))
    assert path.fs.cat_file(path.path) == b"content"


def test_what_another_process_changed_is_seen_although_a_listing_is_remembered(store):
    folder = Folder(store.uri)
    folder.write("export.json", b"old")
    assert folder.read("export.json") == b"old"
    store.info("bucket/receipts/export.json")  # remembers the size
    store.objects["bucket/receipts/export.json"] = b"newer and longer"
    assert folder.read("export.json") == b"newer and longer"
    assert folder.sha256("export.json") == sha256(b"newer and longer")
    store.info("bucket/receipts/export.json")
    del store.objects["bucket/receipts/export.json"]
    assert folder.read("export.json") is None


# --- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("call", ["upload", "complete"])
@pytest.mark.parametrize("size", [3, 2 * object_storage.PART + 1])
def test_an_upload_that_fails_leaves_the_name_as_it_was_also_when_python_collects_it(store, old, call, size):
    if old is not None:
        Folder(store.uri).write("eud-1.jws", old)
    store.fails = (call,)
    fault = fault_of(Folder(store.uri), b"x" * size)
    assert fault == "The file eud-1.jws cannot be written: PermissionError: access is denied."
    store.fails = ()
    gc.collect()
    assert store.discarded == 1
    assert store.objects.get("bucket/receipts/eud-1.jws") == old


class EndOfTask(BaseException):
    pass


def test_a_task_that_is_ended_while_it_uploads_leaves_no_object(store, monkeypatch):
    class Content:
        def __init__(self):
            self.left = [b"x" * object_storage.PART, b"y"]

        def read(self, size):
            if not self.left:
                raise EndOfTask
            return self.left.pop(0)

    with pytest.raises(EndOfTask):
        Folder(store.uri).write("kd-1.jsonl", Content())
    gc.collect()
    assert "upload" in store.calls
    assert store.objects == {}


def test_an_object_store_is_asked_for_nothing_but_the_object(store):
    Folder(store.uri).write("eud-1.jws", b"content")
    assert store.calls == ["upload", "complete", "info"]


def damage_file(monkeypatch):
    def write(self, content):
        return self.f.write(content[:-1])

    monkeypatch.setattr(LocalFileOpener, "write", write)


def test_what_a_disk_damages_never_gets_the_name(tmp_path, monkeypatch):
    (tmp_path / "eud-1.jws").write_bytes(b"old")
    damage_file(monkeypatch)
    assert "reads otherwise than it was written" in fault_of(Folder(tmp_path.as_uri()))
    assert (tmp_path / "eud-1.jws").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["eud-1.jws"]


def test_what_an_object_store_damages_is_an_error(store):
    store.keeps = 2
    assert "reads otherwise than it was written" in fault_of(Folder(store.uri))


def test_what_another_task_wrote_at_once_is_an_error_and_stays(store, monkeypatch):
    close = Upload.close

    def overtake(self):
        close(self)
        if self.mode == "wb":
            store.objects[self.path] = b"of the other task"

    monkeypatch.setattr(Upload, "close", overtake)
    assert "another task wrote it at the same time" in fault_of(Folder(store.uri))
    assert store.objects == {"bucket/receipts/eud-1.jws": b"of the other task"}


@pytest.mark.parametrize("method", ["makedirs", "open", "mv"])
@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (PermissionError(13, SECRET), "PermissionError: access is denied: EACCES, Permission denied"),
        (ValueError(SECRET), "ValueError"),
        (RuntimeError(SECRET), "RuntimeError"),
    ],
)
def test_a_failure_is_named_by_its_cause_without_its_text_and_leaves_nothing(
    tmp_path, monkeypatch, method, error, shown
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(LocalFileSystem, method, fail)
    assert fault_of(Folder(tmp_path.as_uri())) == f"The file eud-1.jws cannot be written: {shown}."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["read", "sha256", "remove"])
def test_what_cannot_be_read_is_named_by_its_cause_without_its_text(tmp_path, monkeypatch, method):
    def fail(*_, **__):
        raise PermissionError(13, SECRET)

    for name in ("open", "rm_file"):
        monkeypatch.setattr(LocalFileSystem, name, fail)
    with pytest.raises(KoreReceiptError, match=r"The file x cannot be (read|removed): PermissionError: ") as caught:
        getattr(Folder(tmp_path.as_uri()), method)("x")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_manifest_that_cannot_be_read_is_named_by_its_cause(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(KoreSourceError, match="manifest of the export cannot be read: IsADirectoryError"):
        read_sha256((tmp_path / "manifest.json").as_uri())


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("nosuchscheme://bucket/receipts", "ValueError"),
        ("s3://bucket/receipts", "install apache-airflow-providers-amazon[s3fs]"),
        ("file:///proc/nowhere", "Error: "),
        ("", "cannot be written"),
    ],
)
def test_a_folder_that_cannot_be_reached_is_refused(uri, shown):
    if uri.startswith("s3:") and find_spec("airflow.providers.amazon"):
        pytest.skip("the provider of S3 is installed")
    with pytest.raises(KoreReceiptError, match="cannot be written") as caught:
        Folder(uri).write("no/where", b"content")
    assert shown in caught.value.problem


# --- several tasks at once -------------------------------------------------------------------------------------------


def test_tasks_that_write_one_file_at_once_leave_a_whole_one_at_every_moment(tmp_path):
    contents = [letter * 300_000 for letter in (b"a", b"b", b"c", b"d")]
    folder = Folder(tmp_path.as_uri())
    folder.write("eud-1.jws", contents[0])
    outcomes, ended = [], threading.Event()

    def write(content):
        for _ in range(20):
            try:
                outcomes.append(Folder(tmp_path.as_uri()).write("eud-1.jws", content) == sha256(content))
            except KoreReceiptError as error:
                outcomes.append("another task wrote it" in error.problem)

    def read():
        while not ended.is_set():
            outcomes.append((tmp_path / "eud-1.jws").read_bytes() in contents)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    reader.join()
    assert len(outcomes) > 80
    assert all(outcomes)
    assert [path.name for path in tmp_path.iterdir()] == ["eud-1.jws"]


def test_a_task_that_fails_leaves_alone_what_another_one_is_writing(tmp_path, monkeypatch):
    folder, seen = Folder(tmp_path.as_uri()), []

    def fail_beside(self, old, new, **_):
        (tmp_path / "eud-1.jws.other.part").write_bytes(b"half")
        seen.extend(path.name for path in tmp_path.iterdir())
        raise OSError(SECRET)

    monkeypatch.setattr(LocalFileSystem, "mv", fail_beside)
    fault_of(folder)
    assert len(seen) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["eud-1.jws.other.part"]
