"""Users, exports and receipts in object stores that are not ours: S3, Google Cloud Storage and Azure Blob Storage."""

import asyncio
import gc
import gzip
import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from airflow.sdk import ObjectStoragePath
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore.api import pacing
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.exceptions import KoreError, KoreExportError, KoreInputError, KoreSourceError
from airflow_provider_kore.export.folder import ExportFolder
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.receipts.auditing import audit
from airflow_provider_kore.receipts.signing import ReceiptKey
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from airflow_provider_kore.storage.folder import PART
from airflow_provider_kore.user_ids import FileUserIds
from tests.distributed.servers import S3
from tests.distributed.stores import (
    AZURE_ACCOUNT,
    AZURE_KEY,
    BUCKET,
    Store,
    define_connection,
    object_store,
    s3_client,
    store,
    store_servers,
)
from tests.integration.provider.task_runner import FakeStore, TaskRunner

__all__ = ["object_store", "store", "store_servers"]

MARK = "mark5e1f77"
PEOPLE = [f"{MARK}-{number}@example.com" for number in range(1, 4)]
CALLS = 12
"""For each user: 31 days are 5 windows, each asked for sessions and for messages; and two calls of messages-lite."""
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def kore(monkeypatch):
    """A sandbox of Kore.ai behind the default connection, which can export and sign."""
    monkeypatch.setattr(pacing, "_budgets", {})
    with running_sandbox(Settings(duration=0.1, requests_per_minute=0, requests_per_hour=0)) as kore:
        extra = {"digest_key": "a digest key", "receipt_key": PEM, "max_users": 1000}
        extra |= {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000}
        fields = {**kore.connection, "extra": {**(kore.connection.get("extra") or {}), **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(fields))
        yield kore


def export_task(destination, user_ids=PEOPLE):
    return TaskRunner(
        lambda: KoreExportUserDataOperator(
            task_id="export",
            user_ids=user_ids,
            bot_ids=["st-1"],
            destination=destination,
            since=timedelta(days=31),
            timeout=120,
            deferrable=False,
        )
    )


def erase_task(user_ids=PEOPLE, **arguments):
    arguments = {"bot_ids": ["st-1"], "batch_size": 2, "poll_interval": 0.1, "timeout": 60} | arguments
    return TaskRunner(
        lambda: KoreEraseUserDataOperator(task_id="erase", user_ids=user_ids, **arguments),
        store=FakeStore(),
    )


def calls(kore):
    return [entry for entry in kore.log() if entry.call in ("sessions", "messages", "messages-lite")]


def sha256(content):
    return hashlib.sha256(content).hexdigest()


# --- users -----------------------------------------------------------------------------------------------------------

FORMS = {
    "txt": lambda people: "\n".join(people),
    "csv": lambda people: "email\n" + "\n".join(people),
    "jsonl": lambda people: "\n".join(json.dumps({"email": person}) for person in people),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("form", FORMS)
def test_users_are_read_from_every_form(store, form, packed):
    people = [f"person{number}@example.com" for number in range(30_000)]
    content = FORMS[form](people).encode()
    uri = store.put(f"people.{form}" + ".gz" * packed, gzip.compress(content) if packed else content)
    assert list(FileUserIds(uri, column=None if form == "txt" else "email").read()) == people


def test_users_in_a_store_are_erased(object_store, kore):
    uri = object_store.put("people.txt", "\n".join(PEOPLE).encode())
    end = erase_task(FileUserIds(uri)).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 3


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, 2 * PART + 1])
def test_a_file_of_any_size_is_written_whole_and_nothing_else_is_left(store, size):
    folder, content = ExportFolder(store.uri), bytes(size)
    for _ in range(2):  # the second replaces the first
        assert folder.write("kd-1.jsonl", content) == sha256(content) == folder.sha256("kd-1.jsonl")
    assert folder.read("kd-1.jsonl") == content
    assert folder.read("kd-1") is None
    assert list(store.contents) == ["kd-1.jsonl"]
    assert store.unfinished_uploads == 0
    folder.remove("kd-1.jsonl", "kd-2.jsonl")
    assert store.contents == {}


class EndOfWorker(BaseException):
    """The end of a worker."""


class CutContent:
    """Content that ends with the worker."""

    def __init__(self, size):
        self.left = size

    def read(self, size):
        if self.left <= 0:
            raise EndOfWorker
        self.left -= size
        return b"x" * size


@pytest.mark.parametrize(("name", "size"), [("kd-1.jsonl", 1), ("kd-2.jsonl", 1), ("kd-1.jsonl", 3 * PART)])
def test_a_file_that_is_broken_off_leaves_what_was_there(store, name, size, monkeypatch):
    # The emulator of Google's store knows no end of an upload, and gcsfs would wait half a minute for it.
    monkeypatch.setattr("gcsfs.retry.asyncio", mock.Mock(wraps=asyncio, sleep=mock.AsyncMock()))
    folder = ExportFolder(store.uri)
    folder.write("kd-1.jsonl", b"whole")
    with pytest.raises(EndOfWorker):
        folder.write(name, CutContent(size))
    gc.collect()
    assert store.contents == {"kd-1.jsonl": b"whole"}
    assert store.unfinished_uploads == 0


WRITE = """
import json, os, sys
from airflow_provider_kore.exceptions import KoreExportError
from airflow_provider_kore.export.folder import ExportFolder

letter = sys.argv[1].encode()
for line in sys.stdin:
    uri, size, times, environment = json.loads(line)
    os.environ.update(environment)
    for _ in range(times):
        try:
            ExportFolder(uri).write("eud-1.jws", letter * size)
        except KoreExportError as error:
            # S3 notices while it is read back, Azure when it is completed.
            of_the_other = "another task wrote it at the same time", "HTTP 412: PreconditionFailed", "InvalidBlockList"
            if not any(reason in error.problem for reason in of_the_other):
                raise
    print("written", flush=True)
"""


@pytest.fixture(scope="session")
def writers():
    """Let two processes write a file at once: ``writers(uri, size, times)``, whose results are there when they end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", WRITE, letter], **pipes) for letter in "ab"]

    def write(process, order):
        process.stdin.write(order + "\n")
        process.stdin.flush()
        return any(line == "written\n" for line in process.stdout)

    with ThreadPoolExecutor(len(processes)) as threads:

        def write_at_once(uri, size, times):
            environment = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
            order = json.dumps([uri, size, times, environment])
            return [threads.submit(write, process, order) for process in processes]

        yield write_at_once
        for process in processes:
            process.stdin.close()
            process.wait(60)


@pytest.mark.parametrize(("size", "times"), [(5_000, 10), (PART + 1, 3)])
def test_processes_that_write_one_file_at_once_leave_a_whole_one_at_every_moment(store, writers, size, times):
    ExportFolder(store.uri).write("eud-1.jws", b"a" * size)
    whole, seen = {b"a" * size, b"b" * size}, 0
    path = ObjectStoragePath(store.uri)
    results = writers(store.uri, size, times)
    while not all(result.done() for result in results):
        assert path.fs.cat_file(f"{path.path}/eud-1.jws") in whole
        seen += 1
    assert [result.result() for result in results] == [True] * 2
    assert seen
    contents = store.contents
    assert set(contents) == {"eud-1.jws"}
    assert contents["eud-1.jws"] in whole
    assert store.unfinished_uploads == 0


def test_what_another_process_changes_is_seen_although_a_listing_is_remembered(object_store):
    folder = ExportFolder(object_store.uri)
    folder.write("export.json", b"old")
    path = ObjectStoragePath(object_store.uri)
    assert len(path.fs.ls(path.path)) == 1  # remembers the sizes of what is there, and that nothing else is
    object_store.put("export.json", b"newer and longer")
    object_store.put("other.json", b"{}")
    assert path.fs.info(f"{path.path}/export.json")["size"] == 3, "the listing was not remembered"
    assert folder.read("export.json") == b"newer and longer"
    path.fs.ls(path.path)
    object_store.remove("export.json")
    assert folder.sha256("export.json") is None
    assert folder.read("other.json") == b"{}"


# --- a task ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [CALLS + 1, CALLS + 5])
def test_an_export_is_resumed_after_its_worker_was_killed(store, kore, monkeypatch, number):
    task = export_task(store.uri)
    exchange, made = KoreClient._exchange, []

    def die(self, request):
        made.append(None)
        if len(made) == number:
            raise EndOfWorker
        return exchange(self, request)

    with monkeypatch.context() as patch:
        patch.setattr(KoreClient, "_exchange", die)
        with pytest.raises(EndOfWorker):
            task.run()
    assert {name.rpartition(".")[2] for name in store.contents} == {"json", "jsonl"}
    assert len(store.contents) == 3  # what it is for, and one person's files
    before = len(calls(kore))
    end = task.run()
    assert end.state == "success", end.text
    assert len(calls(kore)) - before == 2 * CALLS
    contents = store.contents
    assert len(contents) == 2 * len(PEOPLE) + 2
    manifest = json.loads(contents["manifest.json"])
    assert end.output["manifest_sha256"] == sha256(contents["manifest.json"])
    for file in manifest["files"]:
        assert sha256(contents[file["file"]]) == file["sha256"]
    assert manifest["totals"] == {"users": 3, "sessions": 6, "messages": 18}


def test_an_export_is_erased_with_receipts_that_an_auditor_accepts(store, kore, tmp_path):
    exported = export_task(f"{store.uri}/export").run()
    assert exported.state == "success", exported.text
    end = erase_task(exported=exported.output, receipt={"folder": f"{store.uri}/receipts"}).run()
    assert end.state == "success", end.text
    assert end.output["receipt"]["count"] == 2

    contents = store.contents
    folder = tmp_path / "at the auditor's"
    folder.mkdir()
    for name, content in contents.items():
        if name.startswith("receipts/"):
            (folder / name.removeprefix("receipts/")).write_bytes(content)
    named = folder / Path(end.output["receipt"]["uri"]).name
    assert sha256(named.read_bytes()) == end.output["receipt"]["sha256"]
    receipts = []
    statement = audit(named, ReceiptKey.from_pem(PEM).public_key_pem, receipts.append)
    assert (statement.outcome.erased, len(receipts)) == (3, 2)
    assert statement.export.manifest_sha256 == exported.output["manifest_sha256"]

    path = ObjectStoragePath(end.output["receipt"]["uri"])
    assert path.fs.cat_file(path.path) == named.read_bytes()
    for name, content in contents.items():
        assert MARK not in name
        assert MARK.encode() not in content or (name.startswith("export/") and name.endswith(".jsonl"))
    assert MARK not in json.dumps([exported.output, end.output])


def test_nobody_is_erased_whose_export_was_changed_or_removed_by_another_process(object_store, kore):
    exported = export_task(object_store.uri).run()
    for content in (b"changed", b""):
        object_store.put("manifest.json", content)
        end = erase_task(exported=exported.output).run()
        assert isinstance(end.error, KoreInputError)
        assert "manifest" in end.text
    object_store.remove("manifest.json")
    end = erase_task(exported=exported.output).run()
    assert isinstance(end.error, KoreInputError)
    assert not [entry for entry in kore.log() if entry.call == "submit"]


# --- what fails ------------------------------------------------------------------------------------------------------

NO_BUCKET = {"s3": "NoSuchBucket", "gcs": "no such file, folder or bucket", "azure": "ContainerNotFound"}


def faults_at(uri):
    """Fail in each way in which the provider uses a store."""
    faults = []
    with pytest.raises(KoreSourceError) as caught:
        list(FileUserIds(f"{uri}/{MARK}.txt").read())
    faults.append(caught.value)
    with pytest.raises(KoreExportError) as caught:
        ExportFolder(uri).write("kd-1.json", MARK.encode())
    faults.append(caught.value)
    return faults


def test_a_bucket_that_is_missing_is_named_as_such_and_not_made(object_store, kore):
    uri = object_store.elsewhere(bucket="nosuchbucket")
    reading, writing = faults_at(uri)
    assert "there is no such file, folder or bucket" in reading.problem
    assert NO_BUCKET[object_store.name] in writing.problem
    end = export_task(uri).run()
    assert isinstance(end.error, KoreExportError)
    assert NO_BUCKET[object_store.name] in end.text
    assert not calls(kore)
    assert MARK not in f"{reading}{writing}{end.text}"
    with suppress(FileNotFoundError):
        assert not ObjectStoragePath(object_store.uri).fs.exists("nosuchbucket")


def test_receipts_that_cannot_be_written_fail_the_task_and_name_the_cause(object_store, kore):
    end = erase_task(receipt={"folder": object_store.elsewhere(bucket="nosuchbucket")}).run()
    assert end.state == "failed"
    assert NO_BUCKET[object_store.name] in end.text
    assert "do not submit it again" in end.text
    assert MARK not in end.text


def test_an_object_that_is_missing_is_named_as_such(store):
    with pytest.raises(KoreSourceError, match="there is no such file, folder or bucket") as caught:
        list(FileUserIds(f"{store.uri}/{MARK}.txt").read())
    assert MARK not in str(caught.value)
    assert ExportFolder(store.uri).read("missing.json") is None
    assert ExportFolder(store.uri).sha256("missing.json") is None


# The hook of Amazon uses the credentials of the worker then.
@pytest.mark.parametrize("object_store", ["gcs", "azure"], indirect=True)
def test_a_connection_that_is_missing_is_named_as_such(object_store):
    for fault in faults_at(object_store.elsewhere(conn_id="no_such_connection")):
        assert "the Airflow connection that the URI names is not defined" in fault.problem


@pytest.fixture(scope="session")
def guarded_s3():
    """An S3 that asks who may do what, and makes credentials: ``guarded_s3("s3:GetObject", …)``."""
    with S3() as server:
        iam = s3_client(server, "iam")
        s3_client(server).create_bucket(Bucket=BUCKET)

        @contextmanager
        def allow(conn_id, *actions):
            _guard(server, False)
            iam.create_user(UserName=conn_id)
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=conn_id, PolicyName="rights", PolicyDocument=policy)
            key = iam.create_access_key(UserName=conn_id)["AccessKey"]
            fields = {**server.connection, "login": key["AccessKeyId"], "password": key["SecretAccessKey"]}
            define_connection(conn_id, fields)
            _guard(server, True)
            yield Store("s3", f"s3://{conn_id}@{BUCKET}/{conn_id}", server)

        define_connection("s3_stranger", {**server.connection, "login": "AKIASTRANGER", "password": "SecretOfStranger"})
        yield allow
        _guard(server, False)


def _guard(server, guarded):
    count = b"0" if guarded else b"1000000"
    url, headers = f"{server.url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    request = urllib.request.Request(url, count, headers)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


RIGHTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket")
"""What the README says that a worker needs; neither may it make buckets, nor copy from others."""


def test_a_worker_needs_no_more_rights_than_the_readme_says(guarded_s3, kore):
    with guarded_s3("least_rights", *RIGHTS) as store:
        exported = export_task(f"{store.uri}/export").run()
        assert exported.state == "success", exported.text
        end = erase_task(exported=exported.output, receipt={"folder": f"{store.uri}/receipts"}).run()
        assert end.state == "success", end.text
        assert ExportFolder(store.uri).write("large", bytes(2 * PART + 1))


def test_access_that_s3_denies_is_named_as_such(guarded_s3):
    with guarded_s3("may_list", "s3:ListBucket") as store:
        for fault in faults_at(store.uri):
            assert "access is denied" in fault.problem
            assert "HTTP 403" in fault.problem
        for fault in faults_at(store.elsewhere(conn_id="s3_stranger")):
            assert "HTTP 403" in fault.problem
            assert "InvalidAccessKeyId" in str(fault) or "access is denied" in str(fault)
            assert "Stranger" not in str(fault)
            assert "STRANGER" not in str(fault)


def test_access_that_azure_denies_is_named_as_such(store_servers):
    server = store_servers("azure")
    rights = AccountSasPermissions(read=True, list=True)
    kinds = ResourceTypes(service=True, container=True, object=True)
    until = datetime.now(UTC) + timedelta(hours=1)
    signature = generate_account_sas(AZURE_ACCOUNT, AZURE_KEY, kinds, rights, until)
    define_connection("azure_reader", server.connection_with(f"SharedAccessSignature={signature}"))
    define_connection("azure_stranger", server.connection_with(f"AccountKey={AZURE_KEY[::-1].lstrip('=')}AA=="))
    with pytest.raises(KoreExportError, match="HTTP 403: AuthorizationPermissionMismatch"):
        ExportFolder(f"abfs://azure_reader@{BUCKET}/x").write("kd-1.json", b"{}")
    for fault in faults_at(f"abfs://azure_stranger@{BUCKET}/x"):
        assert "HTTP 403" in fault.problem
        assert MARK not in str(fault)
        assert "AA==" not in str(fault)


def test_a_store_that_is_gone_is_an_error_of_ours_that_names_the_cause(store_servers, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server = store_servers("s3")
    fields = {**server.connection, "extra": {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}}
    define_connection("s3_gone", fields)
    for fault in faults_at(f"s3://s3_gone@{BUCKET}/x"):
        assert isinstance(fault, KoreError)
        assert "the endpoint cannot be reached" in fault.problem
