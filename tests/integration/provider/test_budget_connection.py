"""The connection that names a budget in Redis, from Airflow to the first call."""

import asyncio
import json
import shutil

import pytest

from airflow_provider_kore.cli.budget import main
from airflow_provider_kore.exceptions import KoreConfigurationError, KoreUnknownRequestError
from airflow_provider_kore.hooks import kore
from airflow_provider_kore.hooks.kore import KoreHook
from demo.local_redis import LocalRedis
from tests.integration.provider.conftest import connect

PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="module")
def redis():
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is missing. On Debian: apt-get install redis-server")
    with LocalRedis(requirepass=PASSWORD) as server:
        yield server


@pytest.fixture
def connect_budget(monkeypatch, sandbox):
    def connect_budget(budget, **fields):
        connection = sandbox.connection
        connect(monkeypatch, connection | {"extra": connection["extra"] | {"budget_conn_id": "calls"}})
        if budget is not None:
            monkeypatch.setenv("AIRFLOW_CONN_CALLS", budget if isinstance(budget, str) else json.dumps(budget))

    return connect_budget


@pytest.fixture
def masked(monkeypatch):
    secrets = []
    monkeypatch.setattr(kore, "mask_secret", secrets.extend)
    return secrets


def of(redis, **more):
    return {"conn_type": "redis", "host": redis.host, "port": redis.port, "password": PASSWORD, **more}


@pytest.mark.parametrize("conn_type", ["redis", "valkey"])
def test_calls_of_worker_and_event_loop_count_in_redis(connect_budget, redis, masked, conn_type):
    connect_budget(of(redis, conn_type=conn_type, extra={"db": 1}))
    hook = KoreHook()
    redis.client.flushall()
    assert "budget in Redis is new" in hook.test_connection()[1]
    budget = hook.get_conn().pacing.budget
    (state,) = in_db_1(redis).keys("*:state")
    in_db_1(redis).hset(state, mapping={"closed": 0, "next_poll": 0})
    with pytest.raises(KoreUnknownRequestError):
        hook.get_erasure_status("eud-1")
    with pytest.raises(KoreUnknownRequestError):
        asyncio.run(hook.aget_erasure_status("eud-1"))
    assert in_db_1(redis).zcard(state.replace("state", "calls")) == 2
    assert hook.test_connection() == (True, "Kore.ai accepts the key and the scope.")
    assert budget.does_io
    assert PASSWORD in masked
    assert PASSWORD not in repr(hook.account)
    asyncio.run(KoreHook().aget_account())
    assert masked.count(PASSWORD) == 2


def test_the_budget_is_shown_without_a_call(connect_budget, redis, sandbox, capsys):
    connect_budget(of(redis))
    redis.client.flushall()
    KoreHook().get_conn().pacing.budget.check()
    before = {key: redis.client.dump(key) for key in redis.client.keys("*")}
    assert main(["-o", "json"]) == 0
    state = {row["budget"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert (state["calls in the last minute"], state["processes"]) == ("0 of 60, 60 left", "1")
    assert "the budget in Redis is new" in state["closed"]
    assert {key: redis.client.dump(key) for key in redis.client.keys("*")} == before
    assert not sandbox.log()

    connect_budget(of(redis, port=1))
    assert main([]) == 2
    assert "127.0.0.1:1 cannot be used" in capsys.readouterr().err


def in_db_1(redis):
    client = redis.client
    client.select(1)
    client.connection_pool.connection_kwargs["db"] = 1
    return client


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (None, "no Airflow connection with the id calls"),
        ("{", "cannot read the environment variable AIRFLOW_CONN_CALLS"),
        ({"conn_type": "http", "host": "a"}, "which is of type http"),
        ({"conn_type": "redis"}, "has no host"),
        ({"conn_type": "redis", "host": "a", "extra": "[]"}, "extra"),
    ],
)
def test_a_connection_that_cannot_be_used_is_an_error_before_anything_is_sent(connect_budget, sandbox, budget, said):
    connect_budget(budget)
    for read in (lambda: KoreHook().account, lambda: asyncio.run(KoreHook().aget_account())):
        with pytest.raises(KoreConfigurationError, match="Nothing was sent") as raised:
            read()
        assert said in str(raised.value)
    assert not KoreHook().test_connection()[0]
    assert not sandbox.log()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": "wrong"}, "does not accept login and password"),
        ({"password": None}, "does not accept login and password"),
        ({"port": 1}, "127.0.0.1:1 cannot be used (ConnectionError)"),
        ({"extra": {"ssl": True}}, "cannot be used"),
    ],
)
def test_the_test_button_says_why_redis_cannot_be_used(connect_budget, redis, sandbox, fields, said):
    connect_budget({name: value for name, value in of(redis, **fields).items() if value is not None})
    passed, text = KoreHook().test_connection()
    assert not passed
    assert said in text
    assert "wrong" not in text
    assert not sandbox.log()
