"""Read Airflow connections into an account, and list what is secret in them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from airflow.sdk import Connection
from pydantic import JsonValue

from airflow_provider_kore.api.account import KoreAccount, read_account
from airflow_provider_kore.api.redis_connection import read_redis_connection
from airflow_provider_kore.compat import AirflowNotFoundException
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreConfigurationError,
    KoreConnectionUnreadableError,
    KoreError,
)


@contextmanager
def connection_faults(conn_id: str, conn_type: str) -> Iterator[None]:
    """Replace any exception of reading a connection by one without its text, which can contain a secret."""
    try:
        yield
    except KoreError:
        raise
    except AirflowNotFoundException:
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if variable in os.environ:
            problem = f"Airflow cannot read the environment variable {variable} as a connection."
            remedy = "Correct it: a JSON object with conn_type, host, login, password and extra, or a URI."
        else:
            problem = (
                f"There is no Airflow connection with the id {conn_id}, or its secrets backend failed: Airflow does "
                "not distinguish them."
            )
            remedy = (
                f"Make one of type {conn_type} under Admin > Connections, or in the environment as {variable}. If "
                "there is one, check the secrets backend that stores it."
            )
    except Exception as error:  # noqa: BLE001 # each secrets backend has exceptions of its own
        problem = f"The Airflow connection {conn_id} cannot be read ({type(error).__name__})."
        remedy = "Check that the task may read the connection, and the secrets backend that stores it."
    else:
        return
    raise KoreConnectionUnreadableError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)


def account_of(connection: Connection) -> KoreAccount:
    """Read the account of a connection of type ``kore``."""
    return read_account(
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        extra=_read_extra(connection, "The connection's extra"),
    )


def with_budget(account: KoreAccount, connection: Connection) -> KoreAccount:
    """Add to an account the Redis that keeps its budget, from a connection of type ``redis``."""
    redis = read_redis_connection(
        account.budget_conn_id,
        conn_type=connection.conn_type,
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        extra=_read_extra(connection, f"The extra of the connection {account.budget_conn_id}"),
    )
    return replace(account, budget_redis=redis)


def _read_extra(connection: Connection, name: str) -> dict[str, object]:
    # Airflow reads an extra that is not JSON as empty, and silently drops the guards in it.
    extra: object = {}
    if connection.extra:
        try:
            extra = json.loads(connection.extra, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError):
            extra = None
    if not isinstance(extra, dict):
        raise refusal(f"{name} is not a JSON object.", "Correct the field Extra.")
    return extra


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Where a guard is there twice, JSON's readers take the last, and a reader sees the first.
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise refusal(
                f"The connection's extra has the key {name} more than once.", "Keep one of them in the field Extra."
            )
        fields[name] = value
    return fields


def refusal(problem: str, remedy: str) -> KoreConfigurationError:
    """Make the error of a connection that cannot be used; nothing was sent."""
    return KoreConfigurationError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)


def secrets_of(account: KoreAccount) -> list[JsonValue]:
    """List the secrets; Airflow itself masks only the password and fields with certain names."""
    secrets = (account.client_secret, account.private_key, account.digest_key, account.receipt_key, account.seal_key)
    redis_password = account.budget_redis and account.budget_redis.password
    return [secret for secret in (*secrets, redis_password) if secret]
