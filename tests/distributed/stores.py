"""Real servers of object stores on free ports of loopback, and folders in each of them and on a disk."""

import contextlib
import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from airflow.sdk import ObjectStoragePath

from tests.distributed.servers import S3, LocalServer

# gcsfs would ask for the kind of a bucket by gRPC, which no emulator speaks.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

BUCKET = "erasures"
AZURITE = Path(sys.prefix, "azurite", "node_modules", ".bin", "azurite-blob")
AZURE_ACCOUNT = "devstoreaccount1"
# Everybody knows the key of this made-up account: it is in Azurite's documentation.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class _HTTPServer(LocalServer):
    ending_signal = signal.SIGTERM

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def answers(self):
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


class GoogleStorage(_HTTPServer):
    """A Google Cloud Storage that keeps its objects in memory."""

    name = "gcs"

    def command(self):
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--in-memory"]
        return [sys.executable, "-m", "gcp_storage_emulator", "start", *options]

    @property
    def connection(self):
        return {
            "conn_type": "google_cloud_platform",
            "extra": {"is_anonymous": True, "project": "made-up", "gcs.endpoint": self.url},
        }


class AzureStorage(_HTTPServer):
    """An Azure Blob Storage."""

    name = "azure"

    def command(self):
        azurite = AZURITE if AZURITE.exists() else shutil.which("azurite-blob")
        if azurite is None:
            raise RuntimeError("azurite is missing: make .venv-distributed/azurite/ready")
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(self.folder)]
        return [str(azurite), *options, "--skipApiVersionCheck", "--silent", "--disableTelemetry"]

    @property
    def connection(self):
        return self.connection_with(f"AccountKey={AZURE_KEY}")

    def connection_with(self, credentials):
        """Connect with other credentials, in the words of a connection string."""
        endpoint = f"BlobEndpoint={self.url}/{AZURE_ACCOUNT}"
        account = f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT}"
        return {"conn_type": "wasb", "extra": {"connection_string": f"{account};{endpoint};{credentials}"}}


SCHEMES = {"s3": (S3, "s3"), "gcs": (GoogleStorage, "gs"), "azure": (AzureStorage, "abfs")}


def define_connection(conn_id, fields):
    """Define an Airflow connection for this process and those that it starts."""
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)


@dataclass(frozen=True)
class Store:
    """
    A folder of its own in a store.

    :ivar uri: of the folder, with the connection.
    :ivar server: ``None`` for a disk.
    """

    name: str
    uri: str
    server: LocalServer | None = None

    def elsewhere(self, bucket=None, conn_id=None):
        """Name the same folder in another bucket, or by another connection."""
        scheme, _, rest = self.uri.partition("://")
        own_conn_id, _, path = rest.rpartition("@")
        own_bucket, _, folder = path.partition("/")
        return f"{scheme}://{conn_id or own_conn_id}@{bucket or own_bucket}/{folder}"

    def put(self, name, content):
        """Put a file there as another worker does, and return its URI."""
        path, files = self._another_worker
        files.makedirs(path, exist_ok=True)
        files.pipe_file(f"{path}/{name}", content)
        return f"{self.uri}/{name}"

    def remove(self, name):
        """Remove a file as another worker does."""
        path, files = self._another_worker
        files.rm_file(f"{path}/{name}")

    @property
    def _another_worker(self):
        """The folder in a file system that remembers nothing of what the provider does, and is not remembered by it."""
        path = ObjectStoragePath(self.uri)
        files = path.fs
        options = {**files.storage_options, "skip_instance_cache": True, "use_listings_cache": False}
        return path.path, type(files)(*files.storage_args, **options)

    @property
    def contents(self):
        """Read all that is there, by name."""
        path, files = self._another_worker
        return {name.removeprefix(path).lstrip("/"): files.cat_file(name) for name in sorted(files.find(path))}

    @property
    def unfinished_uploads(self):
        """Count what S3 keeps of uploads that were broken off, and shows in no listing."""
        if not isinstance(self.server, S3):
            return 0
        uploads = s3_client(self.server).list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return len(uploads)


def s3_client(server, service="s3", **credentials):
    keys = {"aws_access_key_id": "made-up", "aws_secret_access_key": "made-up"} | credentials
    return boto3.client(service, endpoint_url=server.url, region_name="us-east-1", **keys)


@pytest.fixture(scope="session")
def store_servers():
    """Start the server of a store when a test first needs it: ``store_servers("azure")``."""
    with contextlib.ExitStack() as stack:
        running = {}

        def start(name):
            if name not in running:
                kind, scheme = SCHEMES[name]
                running[name] = server = stack.enter_context(kind())
                define_connection(f"{name}_store", server.connection)
                ObjectStoragePath(f"{scheme}://{name}_store@{BUCKET}").fs.mkdir(BUCKET)
            return running[name]

        yield start


@pytest.fixture(params=["file", *SCHEMES])
def store(request, tmp_path):
    """A new folder on a disk, and in each object store."""
    if request.param == "file":
        return Store("file", (tmp_path / "store").as_uri())
    return _folder(request)


@pytest.fixture(params=SCHEMES)
def object_store(request):
    """A new folder in each object store."""
    return _folder(request)


def _folder(request):
    server = request.getfixturevalue("store_servers")(request.param)
    scheme = SCHEMES[request.param][1]
    folder = f"{scheme}://{request.param}_store@{BUCKET}/{uuid.uuid4().hex}/a-b"
    return Store(request.param, folder, server)
