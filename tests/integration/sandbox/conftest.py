"""A sandbox that runs, and a caller that signs its requests."""

import time
import uuid

import httpx
import jwt
import pytest

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox

ERASE = "/api/public/bot/eraseUsersData"
BODY = {"userIds": ["u-1", "u-2"], "botIds": ["st-1"], "RemoveDataFromAllBots": False}


class Caller:
    """Calls a sandbox as its connection says."""

    def __init__(self, connection):
        self.connection = connection
        self.client = httpx.Client(base_url=connection["host"], timeout=5)

    def token(self):
        extra = self.connection["extra"]
        now = int(time.time())
        claims = {"appId": self.connection["login"], "sub": "x", "iat": now, "exp": now + 60}
        return jwt.encode(
            claims | {"jti": uuid.uuid4().hex},
            extra.get("private_key", self.connection["password"]),
            extra.get("algorithm", "HS256"),
        )

    def erase(self, body=BODY):
        return self.client.request("DELETE", ERASE, json=body, headers={"auth": self.token()})

    def status(self, request_id):
        return self.client.get(f"{ERASE}/status/{request_id}", headers={"auth": self.token()})

    def sessions(self, body, bot_id="st-1"):
        return self.client.post(f"/api/public/bot/{bot_id}/getSessions", json=body, headers={"auth": self.token()})

    def messages(self, body):
        return self.client.post("/api/public/getMessages", json=body, headers={"auth": self.token()})

    def roles(self, **query):
        return self.client.get("/api/public/alluserroles", params=query, headers={"auth": self.token()})


@pytest.fixture
def caller_of():
    callers = []

    def make(connection):
        callers.append(Caller(connection))
        return callers[-1]

    yield make
    for caller in callers:
        caller.client.close()


@pytest.fixture(scope="module")
def shared_sandbox():
    with running_sandbox(Settings(duration=0.1)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox):
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def caller(sandbox, caller_of):
    return caller_of(sandbox.connection)
