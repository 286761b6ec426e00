"""One distributed Airflow for all tests of a session, with the servers that it needs, and a sandbox of Kore.ai."""

import base64
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import boto3
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from redis import Redis as RedisClient

from airflow_provider_kore.api.account import read_account
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.redis_budget import RedisBudget
from airflow_provider_kore.api.redis_connection import RedisConnection
from demo.airflow_client import FINISHED_RUN_STATES
from demo.local_airflow import COMPONENTS, LocalAirflow
from demo.local_sandbox import LocalSandbox
from tests.distributed.servers import S3, Postgres, Redis

WORKER = ("celery", "worker", "--skip-serve-logs", "--without-gossip", "--without-mingle", "--concurrency", "2")
DISTRIBUTED = {
    **{name: COMPONENTS[name] for name in ("api-server", "scheduler", "dag-processor")},
    **dict.fromkeys(("triggerer-1", "triggerer-2"), COMPONENTS["triggerer"]),
    **{name: (*WORKER, "--celery-hostname", name) for name in ("worker-1", "worker-2")},
}
METADATA, DIRECTORY = "airflow", "directory"
MARK = re.compile(rb"mark[0-9a-f]{10}")
BODY = re.compile(rb'"body": "([A-Za-z0-9+/=]+)"')
RUN_TIMEOUT = 300.0


class DistributedAirflow(LocalAirflow):
    """An Airflow whose workers, triggerers, broker and metadata database are processes of their own."""

    def __init__(self, *dag_folders: Path, postgres: Postgres, redis: Redis, environment: dict[str, str]) -> None:
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": redis.url,
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            # No slot of the executor may run short because a killed worker's stay taken.
            "AIRFLOW__CORE__PARALLELISM": "32",
            # What a killed worker has fetched and not begun is sent to another.
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        }
        database_url = postgres.create_database(METADATA).replace("postgresql:", "postgresql+psycopg2:")
        super().__init__(
            *dag_folders, environment=settings | environment, components=DISTRIBUTED, database_url=database_url
        )
        self._postgres = postgres
        self._redis = redis

    def wait_for_end(self, dag_id: str, run_id: str, timeout: float = RUN_TIMEOUT) -> str:
        """Wait until a run has ended, start again what ends by itself meanwhile, and return the run's state."""
        deadline = time.monotonic() + timeout
        while True:
            self.restart_ended_components()
            try:
                state = self.run_state(dag_id, run_id)
            except (httpx.TransportError, RuntimeError):  # the API server has lost its database, or is gone
                state = "unknown"
            if state in FINISHED_RUN_STATES:
                return state
            if time.monotonic() > deadline:
                raise TimeoutError(f"The run of {dag_id} is still {state} after {timeout:.0f} s")
            time.sleep(0.5)

    def task_errors(self, dag_id: str) -> str:
        """Write out the error of each attempt that failed, in all runs of a DAG."""
        lines = []
        for run in self.runs(dag_id):
            for entry in self.task_instances(dag_id, run_id := run["dag_run_id"]):
                place = entry["task_id"], entry["map_index"]
                for number in range(1, entry["try_number"] + 1):
                    log = self.task_log_entries(dag_id, run_id, place[0], number, place[1])
                    errors = [detail for message in log for detail in message.get("error_detail") or []]
                    lines += [
                        f"{place}, attempt {number}: {error['exc_type']}: {error['exc_value']}" for error in errors
                    ]
                lines.append(f"{place}: {entry['state']} in attempt {entry['try_number']}")
        return "\n".join(lines)

    def all_kept(self) -> Iterator[tuple[str, bytes]]:
        """Read all that is kept of any run, and where: tables, what was deleted from them, Redis, logs."""
        for table, column, text in self.database_values():
            yield f"{table}.{column}", text.encode(errors="replace")
        yield "files of the database", self._postgres.database_bytes(METADATA)
        written = self._redis.written()
        yield "Redis", written
        for body in BODY.findall(written):
            yield "Celery message", base64.b64decode(body)
        for name, text in self.file_texts():
            for line in text.splitlines():
                yield f"{name}: {line}", line.encode()

    def places(self, pattern: re.Pattern[bytes]) -> set[str]:
        """Find where something is kept."""
        return {place for place, content in self.all_kept() if pattern.search(content)}


class People:
    """Made-up people, in files on S3 with one a line: so many in each file, by its name."""

    def __init__(self, bucket: "Bucket", sizes: Mapping[str, int]) -> None:
        self.mark = f"mark{uuid.uuid4().hex[:10]}"
        self.folder = bucket.uri(uuid.uuid4().hex)
        self.of = {name: self.make_up(name, size) for name, size in sizes.items()}
        for name, ids in self.of.items():
            bucket.put(f"{self.folder}/{name}", "".join(f"{user_id}\n" for user_id in ids))

    def make_up(self, place: str, number: int) -> list[str]:
        """Make up the ids of the people at one place."""
        return [
            f"{self.mark}-{re.sub('[^a-z0-9]', '-', place)}-{position:04}@example.com" for position in range(number)
        ]

    @property
    def ids(self) -> list[str]:
        return [user_id for ids in self.of.values() for user_id in ids]

    def requests(self, sandbox: LocalSandbox) -> list[list[str]]:
        """List the erase calls about these people that Kore.ai received, each a list of ids."""
        calls = [entry["body"]["userIds"] for entry in sandbox.log() if entry["call"] == "erase" and entry["body"]]
        return [users for users in calls if self.mark in users[0]]

    def erased(self, sandbox: LocalSandbox) -> list[str]:
        return sorted(user["user_id"] for user in sandbox.state()["erased"] if self.mark in user["user_id"])


class Bucket:
    """A bucket on S3, as the tests and Airflow's default AWS connection see it."""

    name = "privacy"

    def __init__(self, server: S3) -> None:
        self._client = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="made-up",
            aws_secret_access_key="made-up",
        )
        self._client.create_bucket(Bucket=self.name)

    def uri(self, key: str) -> str:
        return f"s3://aws_default@{self.name}/{key}"

    def put(self, uri: str, text: str) -> None:
        self._client.put_object(Bucket=self.name, Key=self._key(uri), Body=text.encode())

    def get(self, uri: str) -> str:
        return self._client.get_object(Bucket=self.name, Key=self._key(uri))["Body"].read().decode()

    def list(self, uri: str) -> list[str]:
        found = self._client.list_objects_v2(Bucket=self.name, Prefix=f"{self._key(uri)}/")
        return [self.uri(entry["Key"]) for entry in found.get("Contents", [])]

    def _key(self, uri: str) -> str:
        return uri.removeprefix(self.uri(""))


def open_account(client: RedisClient) -> None:
    """Open the only account of a Redis that keeps budgets."""
    (state,) = client.keys("*:state")
    client.hset(state, mapping={"closed": "0", "next_poll": "0"})


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_uri(postgres: Postgres) -> str:
    """A database that is empty and not Airflow's, as the URI of a connection and of SQLAlchemy."""
    return postgres.create_database("tests")


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with S3() as server:
        yield server


@pytest.fixture(scope="session")
def bucket(s3: S3) -> Bucket:
    return Bucket(s3)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[LocalSandbox]:
    """Kore.ai's API without limits, where an erasure takes eight seconds: tasks may come back from a triggerer then."""
    with LocalSandbox("--duration", "8", "--requests-per-minute", "0", "--requests-per-hour", "0") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def limited_sandbox() -> Iterator[LocalSandbox]:
    """Kore.ai's API of another account, with the limits that it documents: 60 calls a minute and 1,800 an hour."""
    with LocalSandbox("--duration", "8") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def budget_redis() -> Iterator[Redis]:
    """The Redis that keeps that account's budget, and is not the broker."""
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def budget(limited_sandbox: LocalSandbox, budget_redis: Redis) -> RedisBudget:
    """That budget, open at once, since nobody can have called before: a new one is closed for 70 s."""
    fields = {name: limited_sandbox.connection.get(name) for name in ("host", "port", "login", "password", "extra")}
    budget = RedisBudget(RedisConnection("127.0.0.1", budget_redis.port), read_account(**fields))
    budget.check()
    open_account(budget_redis.client)
    return budget


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    """The keys of digests and receipts, as the default connection has them."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"digest_key": secrets.token_hex(16), "receipt_key": pem.decode("ascii")}


@pytest.fixture(scope="session")
def airflow(
    sandbox: LocalSandbox,
    limited_sandbox: LocalSandbox,
    budget_redis: Redis,
    budget: RedisBudget,
    postgres: Postgres,
    redis: Redis,
    s3: S3,
    keys: dict[str, str],
) -> Iterator[DistributedAirflow]:
    """A distributed Airflow that logs all it can."""
    extra = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000, **keys}
    limits = {"budget_conn_id": "kore_budget", "requests_per_minute": 60, "requests_per_hour": 1800}
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(s3.connection),
        "AIRFLOW_CONN_DIRECTORY": postgres.create_database(DIRECTORY),
        "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(sandbox.connection | {"extra": extra}),
        "AIRFLOW_CONN_KORE_LIMITED": json.dumps(limited_sandbox.connection | {"extra": limits}),
        "AIRFLOW_CONN_KORE_BUDGET": budget_redis.url,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    }
    folder = Path(__file__).with_name("dags")
    with DistributedAirflow(folder, postgres=postgres, redis=redis, environment=environment) as airflow:
        yield airflow


@pytest.fixture
def make_limited_people(
    airflow: DistributedAirflow, bucket: Bucket, limited_sandbox: LocalSandbox, budget_redis: Redis, budget: RedisBudget
) -> Iterator[Callable[[dict[str, int]], People]]:
    """Make up users for the account with limits; at the end nobody was throttled, and no user is kept anywhere."""
    time.sleep(budget.seconds_until_turn(Call.ERASE))
    yield lambda sizes: People(bucket, sizes)
    assert not any(entry["throttled"] for entry in limited_sandbox.log())
    assert airflow.places(MARK) == set()
    assert not MARK.search(budget_redis.written())


@pytest.fixture
def people(airflow: DistributedAirflow, bucket: Bucket, sandbox: LocalSandbox) -> Iterator[People]:
    """Twenty users in each of four files; at the end, no user is in anything that Airflow keeps."""
    people = People(bucket, {f"{number}.txt": 20 for number in range(4)})
    yield people
    sandbox.reset()
    assert airflow.places(MARK) == set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what shares the one Airflow, so that the others, which mostly wait, can run meanwhile."""
    for item in items:
        if "airflow" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.airflow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of Airflow's logs below a test that failed with it."""
    report = yield
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and report.when != "teardown" and isinstance(airflow, DistributedAirflow):  # which is gone by then
        report.sections.append(("Airflow", airflow.log_tails()))
        report.sections += [
            (dag_id, airflow.task_errors(dag_id)) for dag_id in ("kore_mapped", "kore_one_budget", "kore_each_way")
        ]
    return report
