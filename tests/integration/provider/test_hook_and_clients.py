"""The hook and its clients over real HTTP."""

import asyncio
import json
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from airflow_provider_kore.api import async_client
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.checks.reach_checks import check_reach
from airflow_provider_kore.exceptions import (
    KoreAmbiguousSubmitError,
    KoreAuthenticationError,
    KoreConfigurationError,
    KoreInputError,
    KoreUnavailableError,
    KoreUnknownRequestError,
)
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from airflow_provider_kore.triggers.erasure import KoreErasureTrigger
from airflow_provider_kore.user_ids import ChannelUserId
from tests.integration.provider.conftest import connect


@pytest.fixture
def hook(sandbox, connection):
    return KoreHook()


# --- calls ----------------------------------------------------------------------------------------------------------


def test_an_erasure_is_submitted_and_its_status_read(hook, sandbox):
    sandbox.configure(duration=0)
    request_id = hook.erase_user_data(["a@example.com", ChannelUserId("slack", "U1")], bot_ids=["st-1"])
    status = hook.get_erasure_status(request_id)
    assert [entry.outcome.name for entry in status.entries] == ["ERASED", "ERASED"]
    assert asyncio.run(hook.aget_erasure_status(request_id)) == status


def test_a_delete_with_a_body_arrives_with_type_and_length(hook, sandbox):
    hook.erase_user_data(["u-1"], bot_ids=["st-1"])
    (entry,) = sandbox.log()
    assert (entry.method, entry.outcome) == ("DELETE", 200)
    assert {"content-type", "content-length", "auth"} <= set(entry.headers)
    assert "authorization" not in entry.headers
    assert entry.body == {"userIds": ["u-1"], "botIds": ["st-1"], "RemoveDataFromAllBots": False}
    assert entry.content_length == len(json.dumps(entry.body))


def test_a_202_is_an_acceptance_too(hook, sandbox):
    sandbox.configure(accept_status=202)
    assert hook.erase_user_data(["u-1"], bot_ids=["st-1"]).startswith("eud-")


def test_every_request_has_a_token_of_its_own(hook, sandbox):
    for _ in range(3):
        hook.erase_user_data(["u-1"], bot_ids=["st-1"])
    assert len({entry.jti for entry in sandbox.log()}) == 3


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "RS512"])
def test_every_algorithm_is_accepted(monkeypatch, algorithm):
    with running_sandbox(Settings(algorithm=algorithm)) as sandbox:
        connect(monkeypatch, sandbox.connection)
        assert KoreHook().test_connection() == (True, "Kore.ai accepts the key and the scope.")
        with pytest.raises(KoreUnknownRequestError):
            asyncio.run(KoreHook().aget_erasure_status("eud-1"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"user_ids": [], "bot_ids": ["st-1"]}, KoreInputError),
        ({"user_ids": "u-1", "bot_ids": ["st-1"]}, KoreInputError),
        ({"user_ids": ["u-1"]}, KoreInputError),
        ({"user_ids": ["u-1"], "all_bots": True}, KoreInputError),
        ({"user_ids": [f"u-{number}" for number in range(6)], "bot_ids": ["st-1"]}, KoreInputError),
    ],
)
def test_the_hook_keeps_the_guards(hook, sandbox, connection, arguments, error):
    connection(extra__max_users=5)
    with pytest.raises(error):
        hook.erase_user_data(**arguments)
    assert sandbox.log() == []


def test_an_unknown_request_id_is_told_apart(hook, sandbox):
    for status in (400, 404):
        sandbox.configure(unknown_request_status=status)
        with pytest.raises(KoreUnknownRequestError):
            hook.get_erasure_status("eud-unknown")


def test_a_first_401_is_signed_again_and_a_second_one_is_final(hook, sandbox):
    refusal = {"status": 401, "body": {"errors": [{"msg": "Invalid SDK credentials", "code": 4002}]}}
    sandbox.fail("body", call="erase", **refusal)
    assert hook.erase_user_data(["u-1"], bot_ids=["st-1"])
    sandbox.fail("body", call="erase", times=2, **refusal)
    with pytest.raises(KoreAuthenticationError):
        hook.erase_user_data(["u-1"], bot_ids=["st-1"])
    assert len(sandbox.log()) == 4


@pytest.mark.parametrize("call", ["erase", "status"])
def test_a_redirect_is_never_followed(hook, sandbox, call):
    with running_sandbox(Settings()) as elsewhere:
        sandbox.fail("redirect", call=call, location=f"{elsewhere.url}/api/public/bot/eraseUsersData")
        calls = {
            "erase": lambda: hook.erase_user_data(["u-1"], bot_ids=["st-1"]),
            "status": lambda: hook.get_erasure_status("eud-1"),
        }
        with pytest.raises(KoreConfigurationError, match="never followed"):
            calls[call]()
        assert elsewhere.log() == []


def test_an_answer_that_is_too_large_is_refused(hook, sandbox, no_back_off):
    sandbox.fail("oversized", call="erase")
    with pytest.raises(KoreAmbiguousSubmitError, match="10 MB"):
        hook.erase_user_data(["u-1"], bot_ids=["st-1"])
    sandbox.fail("oversized", call="status", times=None)
    for read in (hook.get_erasure_status, lambda request_id: asyncio.run(hook.aget_erasure_status(request_id))):
        with pytest.raises(KoreUnavailableError, match="10 MB"):
            read("eud-1")


def test_silence_ends_at_the_timeout_of_the_connection(sandbox, connection):
    connection(extra__timeout=0.2)
    sandbox.fail("latency", call="erase", seconds=5)
    began = time.monotonic()
    with pytest.raises(KoreAmbiguousSubmitError, match="ReadTimeout"):
        KoreHook().erase_user_data(["u-1"], bot_ids=["st-1"])
    assert time.monotonic() - began < 3


# --- test_connection ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "settings", "good", "words"),
    [
        ({}, {}, True, "accepts"),
        ({}, {"unknown_request_status": 404}, True, "accepts"),
        ({"password": "wrong" * 8}, {}, False, "refused the token"),
        ({"login": "cs-other"}, {}, False, "Admin Console"),
        ({}, {"scope_granted": False}, False, "does not let it erase users"),
        ({}, {"scope_granted": False}, False, "Profile Management > Delete Users Data"),
        ({"host": "platform.kore.ai"}, {}, False, "no scheme"),
        ({"host": "http://127.0.0.1:1"}, {}, False, "could not be reached"),
        ({"extra__algorithm": "HS512"}, {}, False, "refused the token"),
        ({"extra__token_ttl": 3601}, {}, False, "token_ttl"),
        ({"extra__ca_bundle": "/nowhere"}, {}, False, "ca_bundle"),
    ],
)
def test_the_connection_test_says_what_to_do(sandbox, connection, no_back_off, changes, settings, good, words):
    connection(**changes)
    sandbox.configure(**settings)
    result, message = KoreHook().test_connection()
    assert result is good
    assert words in message
    assert sandbox.state().requests == ()


def test_the_connection_test_does_not_take_any_web_server_for_kore(hook, sandbox, no_back_off):
    page = {"status": 404, "body": "<h1>Not found</h1>", "headers": {"content-type": "text/html"}}
    sandbox.fail("body", call="status", times=None, **page)
    assert hook.test_connection()[0] is False


def test_the_connection_test_does_not_wait_for_a_spent_budget(hook, sandbox):
    sandbox.fail("throttle-429", call="status", times=None)
    began = time.monotonic()
    result, message = hook.test_connection()
    assert not result
    assert "rate limit" in message
    assert time.monotonic() - began < 3


# --- the connection -------------------------------------------------------------------------------------------------


def test_a_connection_that_does_not_exist_is_said_to_be_missing():
    assert KoreHook("nowhere").test_connection()[0] is False
    with pytest.raises(KoreConfigurationError, match="There is no Airflow connection"):
        _ = KoreHook("nowhere").account
    with pytest.raises(KoreConfigurationError, match="There is no Airflow connection"):
        asyncio.run(KoreHook("nowhere").aget_account())


@pytest.mark.parametrize("extra", ["{not json", "[1]", '"text"'])
def test_an_extra_that_airflow_reads_as_empty_is_refused(monkeypatch, extra):
    connection = {"conn_type": "kore", "host": "https://kore.example", "login": "cs-1", "password": "s" * 40}
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(connection | {"extra": extra}))
    with pytest.raises(KoreConfigurationError):
        _ = KoreHook().account


def test_a_connection_uri_is_understood(monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_KORE_DEFAULT",
        "kore://cs-1:secret%2F1@https%3A%2F%2Fkore.example/?max_users=5&allow_all_bots=true&allowed_bot_ids=st-1%2Cst-2",
    )
    account = KoreHook().account
    assert (account.base_url, account.client_id, account.client_secret) == ("https://kore.example", "cs-1", "secret/1")
    assert (account.max_users, account.allow_all_bots) == (5, True)
    assert account.allowed_bot_ids == ("st-1", "st-2")


def test_no_secret_is_in_what_python_prints(hook):
    secret = hook.account.client_secret
    with hook.get_conn() as client:
        assert not any(
            secret in text for text in (repr(hook.account), str(vars(hook)), repr(client), str(vars(client)))
        )


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody vouches for, with its key, in one file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return path


@contextmanager
def https_server(certificate):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"errors": [{"msg": "Invalid request id", "code": 400}]}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_certificate_that_nobody_vouches_for_is_refused(connection, no_back_off, certificate):
    with https_server(certificate) as url:
        connection(host=url)
        good, message = KoreHook().test_connection()
        assert not good
        assert "ca_bundle" in message
        with pytest.raises(KoreUnavailableError, match="ClientConnectorCertificateError"):
            asyncio.run(KoreHook().aget_erasure_status("eud-1"))


def test_a_certificate_of_another_host_is_refused(connection, no_back_off, certificate):
    with https_server(certificate) as url:
        connection(host=url.replace("localhost", "127.0.0.1"), extra__ca_bundle=str(certificate))
        assert not KoreHook().test_connection()[0]
        with pytest.raises(KoreUnavailableError, match="ClientConnectorCertificateError"):
            asyncio.run(KoreHook().aget_erasure_status("eud-1"))


def test_the_ca_bundle_is_trusted(connection, no_back_off, certificate):
    with https_server(certificate) as url:
        connection(host=url, extra__ca_bundle=str(certificate))
        assert KoreHook().test_connection() == (True, "Kore.ai accepts the key and the scope.")
        with pytest.raises(KoreUnknownRequestError):
            asyncio.run(KoreHook().aget_erasure_status("eud-1"))


def test_a_check_tells_what_is_wrong_with_a_certificate(connection, certificate, monkeypatch):
    def found():
        return {name: (finding.verdict.value, finding.seen) for name, _, finding in check_reach(KoreHook().account)}

    with https_server(certificate) as url:
        connection(host=url)
        assert found()["tls"] == ("different", "self-signed certificate")
        connection(host=url.replace("localhost", "127.0.0.1"), extra__ca_bundle=str(certificate))
        assert found()["tls"] == ("different", "IP address mismatch")
        connection(host=url, extra__ca_bundle=str(certificate))
        assert found()["tls"] == ("confirmed", "TLSv1.3")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "")
        assert found()["proxy"] == ("confirmed", "a proxy of the environment")
        assert found()["tls"] == ("different", "ConnectionRefusedError")
        monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
        assert found()["proxy"][0] == "different"


def test_a_ca_bundle_without_certificates_is_refused(connection, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    connection(extra__ca_bundle=str(bundle))
    good, message = KoreHook().test_connection()
    assert not good
    assert "ca_bundle" in message


# --- the triggerer --------------------------------------------------------------------------------------------------


def trigger(request_id, **arguments):
    now = time.time()
    defaults = {"kore_conn_id": "kore_default", "started": now, "deadline": now + 20, "poll_interval": 0.1}
    return KoreErasureTrigger(requests=[[request_id, 1]], **(defaults | arguments))


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    raise AssertionError("a trigger fires before it ends")


def test_a_trigger_is_made_of_primitives_and_comes_back_the_same():
    made = trigger("eud-1", started=1.5, deadline=2.5)
    class_path, arguments = made.serialize()
    assert class_path == "airflow_provider_kore.triggers.erasure.KoreErasureTrigger"
    assert arguments == {
        "requests": [["eud-1", 1]],
        "kore_conn_id": "kore_default",
        "started": 1.5,
        "deadline": 2.5,
        "poll_interval": 0.1,
        "first_poll": None,
    }
    assert KoreErasureTrigger(**json.loads(json.dumps(arguments))).serialize() == (class_path, arguments)


def test_triggers_share_one_client_and_the_last_one_closes_it(hook, sandbox, monkeypatch):
    sandbox.configure(duration=0.3)
    made = []
    create = async_client.AsyncKoreClient.create.__func__

    async def count(cls, account, **arguments):
        made.append(await create(cls, account, **arguments))
        return made[-1]

    monkeypatch.setattr(async_client.AsyncKoreClient, "create", classmethod(count))
    request_ids = [hook.erase_user_data([f"u-{number}"], bot_ids=["st-1"]) for number in range(20)]

    async def run_all():
        return await asyncio.gather(*(first_event(trigger(request_id)) for request_id in request_ids))

    events = asyncio.run(run_all())
    assert [event["outcomes"][0]["erased"] for event in events] == [1] * 20
    assert len(made) == 1
    assert made[0]._http.closed
    assert async_client._shared_clients == {}


def test_a_trigger_that_is_cancelled_leaves_nothing_open(hook, sandbox):
    sandbox.configure(duration=60)
    request_id = hook.erase_user_data(["u-1"], bot_ids=["st-1"])

    async def run_and_cancel():
        task = asyncio.create_task(first_event(trigger(request_id)))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run_and_cancel())
    assert async_client._shared_clients == {}


def test_a_trigger_only_reads(hook, sandbox):
    request_id = hook.erase_user_data(["u-1"], bot_ids=["st-1"])
    asyncio.run(first_event(trigger(request_id)))
    assert [entry.method for entry in sandbox.log()].count("DELETE") == 1


def test_a_trigger_without_a_connection_says_so_in_its_event():
    event = asyncio.run(first_event(trigger("eud-1", kore_conn_id="nowhere")))
    assert event["failure"]["type"] == "KoreConnectionUnreadableError"
    assert event["outcomes"][0]["open"] == 1


def test_tokens_name_the_app_and_live_as_long_as_the_connection_says(sandbox, connection, monkeypatch):
    connection(extra__subject="privacy-team", extra__token_ttl=60)
    tokens = []
    sign = KoreAuth.sign

    def keep(self):
        tokens.append(sign(self))
        return tokens[-1]

    monkeypatch.setattr(KoreAuth, "sign", keep)
    KoreHook().test_connection()
    claims = jwt.decode(tokens[0], options={"verify_signature": False})
    assert claims.keys() == {"appId", "sub", "iat", "exp", "jti"}
    assert (claims["appId"], claims["sub"], claims["exp"] - claims["iat"]) == ("cs-sandbox", "privacy-team", 60)
