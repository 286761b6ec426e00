"""A worker or triggerer whose clock is off erases all the same, or says by how much it is off."""

import asyncio

import pytest

from airflow_provider_kore.api import auth
from airflow_provider_kore.exceptions import KoreAuthenticationError, KoreUnknownRequestError
from airflow_provider_kore.hooks.kore import KoreHook

ASK = {
    "worker": lambda: KoreHook().get_erasure_status("eud-unknown"),
    "triggerer": lambda: asyncio.run(KoreHook().aget_erasure_status("eud-unknown")),
}
USERS = ["anna@example.com", "u-2"]


@pytest.fixture(autouse=True)
def _no_corrections(monkeypatch):
    monkeypatch.setattr(auth, "_clock_corrections", {})


@pytest.mark.parametrize("client", ASK)
@pytest.mark.parametrize("offset", [-240, -61, 240])
def test_both_clients_sign_by_the_clock_of_kore_after_one_refusal(sandbox, connection, client, offset):
    sandbox.configure(clock_offset=offset, clock_leeway=0)
    connection(extra__token_ttl=60)
    for _ in range(2):
        with pytest.raises(KoreUnknownRequestError):
            ASK[client]()
    assert [entry.outcome for entry in sandbox.log()] == [401, 400, 400]


@pytest.mark.parametrize("deferrable", [False, True])
def test_users_are_erased_by_one_request_although_the_clock_is_off(erase, sandbox, connection, deferrable):
    sandbox.configure(clock_offset=-200)
    end = erase(USERS, deferrable=deferrable).run()
    assert end.state == "success", end.text
    assert [entry.call for entry in sandbox.log() if entry.accepted] == ["erase"]


@pytest.mark.parametrize("client", ASK)
@pytest.mark.parametrize(("offset", "words"), [(3600, "3600 s behind"), (-3600, "3600 s ahead of")])
def test_a_clock_that_is_off_by_too_much_is_named(sandbox, connection, client, offset, words):
    sandbox.configure(clock_offset=offset)
    with pytest.raises(KoreAuthenticationError, match=f"clock is {words} Kore.ai's, so that no token"):
        ASK[client]()
    assert len(sandbox.log()) == 2


def test_the_connection_test_tells_of_the_clock(sandbox, connection):
    sandbox.configure(clock_offset=3600)
    good, message = KoreHook().test_connection()
    assert not good
    assert "clock is 3600 s behind" in message


@pytest.mark.parametrize("client", ASK)
@pytest.mark.parametrize("date", ["", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_date_changes_nothing(sandbox, connection, client, date):
    refusal = {"status": 401, "body": {"errors": [{"msg": "Invalid SDK credentials", "code": 4002}]}}
    sandbox.fail("body", call="status", times=2, headers={"date": date}, **refusal)
    with pytest.raises(KoreAuthenticationError) as caught:
        ASK[client]()
    assert "clock" not in caught.value.problem
    assert auth._clock_corrections == {}


def test_a_wrong_secret_is_no_matter_of_the_clock(sandbox, connection):
    connection(password="another-secret-" * 5)
    with pytest.raises(KoreAuthenticationError) as caught:
        ASK["worker"]()
    assert "clock" not in caught.value.problem


@pytest.mark.parametrize("client", ASK)
def test_where_encryption_is_enforced_the_error_says_to_untick_it(sandbox, connection, client):
    sandbox.configure(enforce_jwe=True)
    with pytest.raises(KoreAuthenticationError, match="untick Enforce JWE"):
        ASK[client]()
