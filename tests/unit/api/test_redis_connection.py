"""Which Redis the fields of an Airflow connection name, and which are refused."""

import builtins
import sys

import pytest

from airflow_provider_kore.api import pacing
from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.redis_connection import RedisConnection, read_redis_connection
from airflow_provider_kore.exceptions import KoreConfigurationError

SECRET = "correct-horse-battery"


def read(**fields):
    given = {"conn_type": "redis", "host": "a-host", "port": None, "login": None, "password": None, "extra": {}}
    return read_redis_connection("budget", **(given | fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"conn_type": "valkey"}, {}),
        ({"host": " a-host "}, {}),
        ({"port": 6380}, {"port": 6380}),
        ({"login": "kore", "password": SECRET}, {"username": "kore", "password": SECRET}),
        ({"login": "", "password": "None"}, {}),
        ({"extra": {"db": "3"}}, {"db": 3}),
        ({"extra": {"db": None, "ssl": "", "unknown": 1}}, {}),
        ({"extra": {"ssl": "true", "ssl_cert_reqs": "none"}}, {"ssl": True, "ssl_cert_reqs": "none"}),
        ({"extra": {"ssl_check_hostname": False}}, {"ssl_check_hostname": False}),
        ({"extra": {"cluster": True, "startup_nodes": "b:1, c"}}, {"cluster": True, "startup_nodes": "b:1, c"}),
    ],
)
def test_the_fields_are_read_as_by_airflows_own_provider(fields, expected):
    assert read(**fields) == RedisConnection("a-host", **expected)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"conn_type": "http"}, "budget, which is of type http"),
        ({"conn_type": None}, "of type unknown"),
        ({"host": " "}, "has no host"),
        ({"port": 70000}, "The field port of the connection budget"),
        ({"extra": {"db": SECRET}}, "The field db"),
        ({"extra": {"ssl": SECRET}}, "The field ssl"),
        ({"extra": {"ssl_cert_reqs": SECRET}}, "The field ssl_cert_reqs"),
        ({"extra": {"startup_nodes": f"a:{SECRET}"}}, "The field startup_nodes"),
        ({"extra": {"cluster": True, "db": 1}}, "is of a cluster, and has a db"),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_value(fields, said):
    with pytest.raises(KoreConfigurationError, match="Nothing was sent") as raised:
        read(**fields)
    assert said in str(raised.value)
    assert SECRET not in repr(raised.value)
    assert raised.value.__context__ is None


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    original = builtins.__import__

    def without_redis(name, *arguments, **more):
        if name == "redis":
            raise ImportError(name)
        return original(name, *arguments, **more)

    monkeypatch.delitem(sys.modules, "redis")
    monkeypatch.setattr(builtins, "__import__", without_redis)
    with pytest.raises(KoreConfigurationError, match=r"Nothing was sent.*airflow-provider-kore\[redis\]"):
        read()


def test_no_repr_shows_the_password():
    connection = read(password=SECRET)
    assert SECRET not in repr(connection)
    assert SECRET not in repr(KoreAccount("https://a", "cs-1", budget_redis=connection))


def test_a_client_gives_up_soon_and_repeats_nothing():
    options = read(password=SECRET, extra={"db": 2}).connect().connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"], options["db"]) == (2.0, 2.0, 2)
    assert options["retry"]._retries == 0


# --- One budget for an account ------------------------------------------------------------------------------------


@pytest.fixture
def budgets(monkeypatch):
    monkeypatch.setattr(pacing, "_budgets", {})


def account(redis=None, **more):
    return KoreAccount("https://a", "cs-1", budget_redis=redis, **more)


def test_all_connections_to_an_account_share_the_budget_that_one_of_them_names(budgets, caplog):
    local = pacing.shared_budget(account())
    local.import_usage([(100, 3)], 0.0)
    shared = pacing.shared_budget(account(read(), requests_per_minute=30))
    assert shared.does_io
    assert "set budget_conn_id alike in all of them" in caplog.text
    assert sum(age < 3600 for age in shared._account.ages()) >= 3
    assert pacing.shared_budget(account()) is shared
    assert pacing.shared_budget(account(read())) is shared
    assert shared._limits == (30, 1800)


def test_a_connection_that_was_corrected_gets_a_budget_of_its_own(budgets):
    wrong = pacing.shared_budget(account(read(password="wrong")))
    right = pacing.shared_budget(account(read(password=SECRET)))
    assert right is not wrong
    assert pacing.shared_budget(account(read(password=SECRET))) is right


def test_budget_redis_is_no_field_of_a_connection():
    from airflow_provider_kore.api.account import read_account

    with pytest.raises(KoreConfigurationError, match="budget_redis"):
        read_account(host="https://a", login="cs-1", password="x", extra={"budget_redis": {"host": "b"}})
