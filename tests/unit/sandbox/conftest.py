"""An account with a clock that tests turn, and a caller whose requests are right unless a test changes them."""

import json
import uuid
from datetime import UTC, datetime

import jwt
import pytest

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.requests import ReceivedRequest
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.tokens import with_key_pair

START = 1_800_000_000.0
ERASE = "/api/public/bot/eraseUsersData"
BODY = {"userIds": ["u-1", "u-2"], "botIds": ["st-1"], "RemoveDataFromAllBots": False}


class Caller:
    def __init__(self, settings, key=None):
        self.now = START
        self.key = key or settings.client_secret
        self.account = Account(settings, lambda: self.now)

    def token(self, *, key=None, algorithm=None, **claims):
        settings = self.account.settings
        payload = {
            "appId": settings.client_id,
            "sub": "airflow",
            "iat": int(self.now),
            "exp": int(self.now) + 300,
            "jti": uuid.uuid4().hex,
        } | claims
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, key or self.key, algorithm or settings.algorithm)

    def call(self, method, path, headers, body=b"", query=""):
        return self.account.answer(ReceivedRequest(method, path, query, list(headers.items()), body))

    def send(self, method, path, body, *, token=None, headers=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "auth": token or self.token(),
            "content-type": "application/json",
            "content-length": str(len(content)),
        } | (headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        return self.call(method, path, sent, content)

    def erase(self, body=BODY, *, token=None, method="DELETE", path=ERASE, headers=None):
        return self.send(method, path, body, token=token, headers=headers)

    def accept(self, body=BODY):
        answer = self.erase(body)
        assert answer.status == 200, answer.body
        return content_of(answer)["requestId"]

    def status(self, request_id, *, token=None):
        return self.call("GET", f"{ERASE}/status/{request_id}", {"auth": token or self.token()})

    def history(self, kind, body, bot_id="st-1", *, token=None, headers=None):
        return self.send("POST", history_path(kind, bot_id), body, token=token, headers=headers)

    def history_of(self, kind, user_id, bot_id="st-1", **more):
        """All that is there, from the start of the made-up history on, week by week."""
        items = {}
        for since, until in weeks(self.now, self.account.settings.history_days):
            content = content_of(self.history(kind, {"userId": user_id, **window(since, until), **more}, bot_id))
            assert not content["moreAvailable"]
            items |= {item[ITEM_ID[kind]]: item for item in content[kind]}
        return list(items.values())

    def roles(self, query="", *, token=None):
        return self.call("GET", "/api/public/alluserroles", {"auth": token or self.token()}, query=query)


ITEM_ID = {"sessions": "sessionId", "messages": "_id"}


def history_path(kind, bot_id):
    bot = "" if bot_id is None else f"bot/{bot_id}/"
    return f"/api/public/{bot}get{kind.capitalize()}"


def written(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def window(since, until):
    return {"dateFrom": written(since), "dateTo": written(until)}


def weeks(now, days):
    week, since = 6.5 * 86_400, now - (days + 1) * 86_400
    while since < now:
        yield since, min(since + week, now)
        since += week


def content_of(answer):
    return json.loads(answer.body)


@pytest.fixture(scope="session")
def new_caller():
    return Caller


@pytest.fixture
def caller(new_caller):
    def make(**settings):
        return new_caller(Settings(**settings))

    return make


@pytest.fixture(scope="session")
def key_pair():
    return with_key_pair(Settings())


@pytest.fixture
def rsa_caller(key_pair):
    def make(**settings):
        with_public_key, private_key = key_pair
        return Caller(with_public_key.changed(settings), private_key)

    return make


@pytest.fixture
def content():
    return content_of


@pytest.fixture
def error():
    def error_of(answer):
        (error,) = content_of(answer)["errors"]
        return answer.status, error["msg"], error["code"]

    return error_of
