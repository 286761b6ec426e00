"""The command that shows an account's budget."""

import json
from datetime import UTC, datetime

import fakeredis
import pytest
import redis

from airflow_provider_kore.api.budget import Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.redis_account import AccountState
from airflow_provider_kore.api.redis_budget import RedisBudget
from airflow_provider_kore.api.redis_connection import RedisConnection
from airflow_provider_kore.cli.budget import _closing, main
from airflow_provider_kore.hooks.kore import KoreHook

SECRETS = ("cs-made-up", "made-up-secret-that-is-long-enough-for-a-key", "correct-horse")
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def connect(monkeypatch):
    def connect(**extra):
        fields = {"conn_type": "kore", "host": "https://kore.example", "login": SECRETS[0], "password": SECRETS[1]}
        monkeypatch.setenv("AIRFLOW_CONN_PRIVACY", json.dumps(fields | {"extra": extra}))
        monkeypatch.setenv("AIRFLOW_CONN_CALLS", f"redis://:{SECRETS[2]}@redis.example:7000/0")
        return KoreHook("privacy").account

    return connect


def show(capsys, *arguments):
    status = main(["--conn-id", "privacy", *arguments])
    out, err = capsys.readouterr()
    assert not any(secret in out + err for secret in SECRETS)
    return status, out, err


def test_the_state_is_shown(connect, monkeypatch, capsys):
    server = fakeredis.FakeRedis(decode_responses=True)
    monkeypatch.setattr(RedisConnection, "connect", lambda _: server)
    account = connect(budget_conn_id="calls", requests_per_minute=7)
    status, out, _ = show(capsys, "-o", "json")
    state = {row["budget"]: row["state"] for row in json.loads(out)}
    assert status == 0
    assert state["closed"].startswith("for 70 s from the next call on")

    budget = RedisBudget(account.budget_redis, account)
    assert budget.ask(Turn(Call.ERASE, 0.0)).seconds > 0
    status, out, _ = show(capsys, "-o", "json")
    state = {row["budget"]: row["state"] for row in json.loads(out)}
    assert status == 0
    assert state.pop("closed").startswith("until ")
    assert state == {
        "calls in the last minute": "0 of 7, 7 left",
        "calls in the last hour": "0 of 1800, 1800 left",
        "calls under way": "0",
        "submits that wait": "1",
        "polls that wait": "0",
        "processes": "1",
    }
    assert "submits that wait" in show(capsys)[1]


def test_without_redis_each_process_counts_for_itself(connect, capsys):
    connect(requests_per_minute=7)
    status, out, err = show(capsys)
    assert (status, out) == (0, "")
    assert "each process counts its own calls, up to 7 a minute and 1800 an hour" in err


def test_redis_that_is_away_is_an_error(connect, monkeypatch, capsys):
    def connect_in_vain(_):
        raise redis.ConnectionError(f"no way to {SECRETS[2]}")

    connect(budget_conn_id="calls")
    monkeypatch.setattr(RedisConnection, "connect", connect_in_vain)
    status, out, err = show(capsys)
    assert (status, out) == (2, "")
    assert "Redis at redis.example:7000 cannot be used (ConnectionError)" in err
    assert "Check host, port, db" in err


def test_a_connection_that_is_not_there_is_an_error(capsys):
    status, _, err = show(capsys)
    assert status == 2
    assert "AIRFLOW_CONN_PRIVACY" in err


@pytest.mark.parametrize(
    ("closed", "why", "later", "said"),
    [
        (0.0, "throttled", False, "no"),
        (43.2, "throttled", False, "until 12:00:43 UTC, for 43 s: Kore.ai throttled the account"),
        (70.0, "new", True, "for 70 s from the next call on: the budget in Redis is new"),
    ],
)
def test_a_closing_is_explained(closed, why, later, said):
    state = AccountState((0, 0), (60, 1800), 0, 0, 0, 0, closed, why, later)
    assert _closing(state, NOON).startswith(said)
