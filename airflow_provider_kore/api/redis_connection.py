"""Where the Redis is that keeps a shared budget, read from the fields of an Airflow connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, TypeAdapter, ValidationError

from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

if TYPE_CHECKING:
    from redis import Redis, RedisCluster

CONNECTION_TYPES = ("redis", "valkey")

_NODES = r"^\s*[^:,\s]+(:\d{1,5})?(\s*,\s*[^:,\s]+(:\d{1,5})?)*\s*$"

TIMEOUT = 2.0
"""Seconds to wait for Redis: it answers within milliseconds, and who waits for it makes no call meanwhile."""


@dataclass(frozen=True, slots=True)
class RedisConnection:
    """
    How to reach one Redis or Valkey, with the fields that Airflow's own provider of Redis reads.

    Its ``repr`` shows no secret.

    :param host: name or address.
    :param port: 1 to 65,535.
    :param username: of an ACL; ``None`` for the default user.
    :param password: of the user; ``None`` if there is none.
    :param db: number of the database; 0 in a cluster.
    :param cluster: whether it is a Redis Cluster.
    :param startup_nodes: further nodes of a cluster, as ``host:port`` with commas between.
    :param ssl: whether to use TLS.
    :param ssl_cert_reqs: ``required``, ``optional`` or ``none``.
    :param ssl_ca_certs: a file of certificates to trust.
    :param ssl_keyfile: a file with the client's key.
    :param ssl_certfile: a file with the client's certificate.
    :param ssl_check_hostname: whether the certificate must be the host's.
    """

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 6379
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: Annotated[int, Field(ge=0)] = 0
    cluster: bool = False
    startup_nodes: Annotated[str, Field(pattern=_NODES)] | None = None
    ssl: bool = False
    ssl_cert_reqs: Literal["required", "optional", "none"] | None = None
    ssl_ca_certs: str | None = None
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    ssl_check_hostname: bool | None = None

    def connect(self) -> Redis | RedisCluster:
        """Make a client that waits for no longer than :data:`TIMEOUT`, and never repeats a question by itself."""
        from redis import Redis, RedisCluster
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        tls = {
            name: value
            for name in ("ssl_cert_reqs", "ssl_ca_certs", "ssl_keyfile", "ssl_certfile", "ssl_check_hostname")
            if self.ssl and (value := getattr(self, name)) is not None
        }
        options: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "protocol": 2,
            "ssl": self.ssl,
            **tls,
        }
        if self.cluster:
            return RedisCluster(startup_nodes=self._startup_nodes(), **options)  # type: ignore[arg-type]
        return Redis(db=self.db, **options)  # type: ignore[arg-type]

    def _startup_nodes(self) -> list[object]:
        from redis.cluster import ClusterNode

        nodes = [node.strip().partition(":") for node in (self.startup_nodes or "").split(",") if node.strip()]
        return [cast(Any, ClusterNode)(host, int(port or 6379)) for host, _, port in nodes]  # not typed


def read_redis_connection(
    conn_id: str,
    *,
    conn_type: str | None,
    host: str | None,
    port: int | None,
    login: str | None,
    password: str | None,
    extra: Mapping[str, object],
) -> RedisConnection:
    """
    Check the fields of a connection to Redis.

    :param conn_id: its id, for errors.
    :param conn_type: must be ``redis`` or ``valkey``.
    :param host: name or address.
    :param port: 6379 if left out.
    :param login: user of an ACL, if any.
    :param password: password, if any.
    :param extra: the further fields; those that Airflow's provider of Redis does not know are left alone, as there.
    :raises KoreConfigurationError: naming the field, never its value; also if the package redis is missing.
    """
    if conn_type not in CONNECTION_TYPES:
        raise _fault(
            f"budget_conn_id names the connection {conn_id}, which is of type {conn_type or 'unknown'}.",
            "Name a connection of type redis or valkey, or leave budget_conn_id empty.",
        )
    try:
        import redis  # noqa: F401
    except ImportError:
        raise _fault(
            "A budget in Redis needs the package redis, which is not installed.",
            "Install airflow-provider-kore[redis] on each worker and triggerer, and on the API server for the Test "
            "button, or leave budget_conn_id empty.",
        ) from None
    if not (host or "").strip():
        raise _fault(f"The connection {conn_id} has no host.", "Put the name or address of the Redis into its Host.")
    known = {name: extra[name] for name in _EXTRA_FIELDS if extra.get(name) not in (None, "")}
    try:
        connection = _CONNECTION.validate_python(
            {
                **known,
                "host": (host or "").strip(),
                "port": port or 6379,
                "username": login or None,
                # As Airflow's provider of Redis reads it: a URI cannot leave the password out, where there is a user.
                "password": None if str(password).lower() in ("none", "false", "") else password,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # Raised below, so that the exception has no context: that one contains the value.
        name, problem = str(first["loc"][0]), first["msg"].replace("Input should", "should")
    else:
        if connection.cluster and connection.db:
            raise _fault(
                f"The connection {conn_id} is of a cluster, and has a db.",
                "Remove db from its extra: a cluster has only the database 0.",
            )
        return connection
    raise _fault(f"The field {name} of the connection {conn_id} {problem}.", f"Correct the field {name}.")


def _fault(problem: str, remedy: str) -> KoreConfigurationError:
    return KoreConfigurationError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)


_CONNECTION = TypeAdapter(RedisConnection)
_EXTRA_FIELDS = (
    "db",
    "cluster",
    "startup_nodes",
    "ssl",
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_keyfile",
    "ssl_certfile",
    "ssl_check_hostname",
)
