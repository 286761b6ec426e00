"""What surrounds a call: proxies, certificates, secrets. Where they allow the call it is made, else a task says why."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import pytest
from airflow.sdk import Variable

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.async_client import AsyncKoreClient
from airflow_provider_kore.erasure.receipt_key import receipt_key_of
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreConfigurationError,
    KoreConnectionUnreadableError,
    KoreError,
    KoreUnknownRequestError,
)
from airflow_provider_kore.hooks import kore as kore_hook
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from tests.integration.provider.conftest import connect
from tests.integration.provider.task_runner import TaskRunner
from tests.integration.provider.test_hook_and_clients import (
    certificate,  # noqa: F401 # a fixture
    first_event,
    https_server,
    trigger,
)

SECRET = "Xq7ZwK9"
ASK = {
    "worker": lambda: KoreHook().get_erasure_status("eud-unknown"),
    "triggerer": lambda: asyncio.run(KoreHook().aget_erasure_status("eud-unknown")),
}


@pytest.fixture(params=sorted(ASK))
def ask(request):
    """Ask for a status by the client of a worker or of a triggerer."""
    return ASK[request.param]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Set variables of an environment that has none else of proxies and certificates."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)

    def environment(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return environment


# --- proxies ----------------------------------------------------------------------------------------------------------


class Proxy(ThreadingTCPServer):
    """Passes each call on, and keeps what it was asked for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, status=None):
        self.heads = []
        self.status = status
        super().__init__(("127.0.0.1", 0), _ProxyHandler)

    @property
    def address(self):
        return f"127.0.0.1:{self.server_address[1]}"

    def credentials(self):
        for head in self.heads:
            for line in head.split("\r\n"):
                if line.lower().startswith("proxy-authorization: basic "):
                    yield base64.b64decode(line.split()[-1]).decode()


class _ProxyHandler(StreamRequestHandler):
    def handle(self):
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        head = b"".join(lines).decode()
        self.server.heads.append(head)
        if self.server.status:
            self.wfile.write(f"HTTP/1.1 {self.server.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        method, target, _ = head.split(" ", 2)
        place = urlsplit(f"//{target}" if method == "CONNECT" else target)
        with socket.create_connection((place.hostname, place.port), 5) as upstream:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                kept = [line for line in lines[1:] if not line.lower().startswith((b"proxy-", b"connection"))]
                first = head.split("\r\n")[0].replace(target, f"{place.path}?{place.query}".rstrip("?"), 1)
                upstream.sendall(b"".join([f"{first}\r\nConnection: close\r\n".encode(), *kept, b"\r\n"]))
            back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
            back.start()
            _pump(self.rfile, upstream)
            back.join(5)


def _pump(source, sink):
    read = source.recv if isinstance(source, socket.socket) else source.read1
    try:
        while data := read(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def running_proxy(status=None):
    with Proxy(status) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.mark.parametrize("credentials", ["", "me%40x:p%3A%20w@", "\u20ac:\u00fc@"])
def test_both_clients_go_through_the_same_proxy_with_the_same_credentials(
    sandbox,
    connection,
    environment,
    certificate,  # noqa: F811
    credentials,
):
    sent = {"": set(), "me%40x:p%3A%20w@": {"me@x:p: w"}, "\u20ac:\u00fc@": {"\u20ac:\u00fc"}}[credentials]
    with running_proxy() as proxy, https_server(certificate) as url:
        environment(HTTP_PROXY=f"http://{credentials}{proxy.address}", HTTPS_PROXY=f"{credentials}{proxy.address}")
        for fields in ({}, {"host": url, "extra__ca_bundle": str(certificate)}):
            connection(**fields)
            for ask in ASK.values():
                with pytest.raises(KoreUnknownRequestError):
                    ask()
        assert [head.split()[0] for head in proxy.heads] == ["GET", "GET", "CONNECT", "CONNECT"]
        assert set(proxy.credentials()) == sent
        assert len(list(proxy.credentials())) == (4 if credentials else 0)
    assert not [name for entry in sandbox.log() for name in entry.headers if name.lower().startswith("proxy")]


def test_an_erasure_goes_through_the_proxy_too(sandbox, connection, environment):
    with running_proxy() as proxy:
        environment(http_proxy=f"http://{proxy.address}")
        assert KoreHook().erase_user_data(["u-1"], bot_ids=["st-1"])
        assert [head.split()[0] for head in proxy.heads] == ["DELETE"]
    assert len(sandbox.state().requests) == 1


DEAD = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "127.0.0.1"},
        {"ALL_PROXY": "socks5://127.0.0.1:1", "no_proxy": "127.0.0.0/8"},
        {"HTTP_PROXY": DEAD, "NO_PROXY": "*"},
        {"HTTPS_PROXY": "socks5://127.0.0.1:1"},
        {"HTTP_PROXY": DEAD, "http_proxy": ""},
        {"SSL_CERT_FILE": "/missing.pem", "SSL_CERT_DIR": "/missing"},
    ],
)
def test_where_the_surroundings_allow_the_call_it_is_made(sandbox, connection, environment, ask, variables):
    environment(**variables)
    with pytest.raises(KoreUnknownRequestError):
        ask()
    assert KoreHook().test_connection()[0]


def test_another_proxy_of_all_does_not_matter_where_one_is_named(sandbox, connection, environment, ask):
    with running_proxy() as proxy:
        environment(ALL_PROXY="socks5://127.0.0.1:1", HTTP_PROXY=proxy.address)
        with pytest.raises(KoreUnknownRequestError):
            ask()
        assert len(proxy.heads) == 1


def test_a_ca_bundle_counts_before_the_certificates_of_the_environment(connection, environment, certificate, ask):  # noqa: F811
    with https_server(certificate) as url:
        environment(SSL_CERT_FILE="/missing.pem", SSL_CERT_DIR="/missing")
        connection(host=url, extra__ca_bundle=str(certificate))
        with pytest.raises(KoreUnknownRequestError):
            ask()


def test_the_certificates_of_the_environment_are_trusted(connection, environment, certificate, ask):  # noqa: F811
    with https_server(certificate) as url:
        environment(SSL_CERT_FILE=certificate)
        connection(host=url)
        with pytest.raises(KoreUnknownRequestError):
            ask()


@pytest.mark.parametrize("status", [407, 403, 502])
def test_a_proxy_that_refuses_shows_no_credentials(connection, environment, no_back_off, ask, status, caplog):
    with running_proxy(status) as proxy:
        environment(HTTPS_PROXY=f"http://{SECRET}:{SECRET}@{proxy.address}")
        connection(host="https://kore.example")
        with pytest.raises(KoreError) as caught:
            ask()
    assert SECRET not in f"{caught.value}{caplog.text}"


# --- what is at fault is named, by everything that tells of it --------------------------------------------------------

FAULTS = {
    "SSL_CERT_FILE": {"SSL_CERT_FILE": f"/{SECRET}.pem"},
    "SSL_CERT_DIR": {"SSL_CERT_DIR": f"/{SECRET}"},
    "HTTPS_PROXY": {"HTTPS_PROXY": f"socks5://{SECRET}:{SECRET}@proxy"},
    "all_proxy": {"all_proxy": f"http://{SECRET}:{SECRET}"},
    "ALL_PROXY": {"ALL_PROXY": f"{SECRET}://proxy"},
    "SSLKEYLOGFILE": {"SSLKEYLOGFILE": f"/{SECRET}/keys"},
}


@pytest.fixture(params=sorted(FAULTS))
def fault(request, environment, connection):
    """Let a variable be at fault, and give its name."""
    connection(host="https://kore.example")
    environment(**FAULTS[request.param])
    return request.param


def test_both_clients_say_the_same_of_a_faulty_environment(fault):
    said = []
    for ask in ASK.values():
        with pytest.raises(KoreConfigurationError, match=fault) as caught:
            ask()
        assert caught.value.consequence is Consequence.NOT_SENT
        assert SECRET not in str(caught.value)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_connection_test_names_what_is_at_fault(fault):
    good, message = KoreHook().test_connection()
    assert not good
    assert fault in message
    assert SECRET not in message


def test_a_trigger_tells_its_task_what_is_at_fault(fault):
    event = asyncio.run(first_event(trigger("eud-1")))
    assert event["failure"]["type"] == "KoreConfigurationError"
    assert fault in event["failure"]["problem"]
    assert SECRET not in json.dumps(event)
    assert event["outcomes"][0]["open"] == 1


def test_the_page_is_told_of_a_faulty_environment(fault, erase):
    end = erase(["u-1"]).run()
    assert end.state == "failed"
    assert fault in end.text
    assert end.xcoms["kore_erasure"]["stage"] == "refused"
    assert end.xcoms["kore_erasure"]["host"] == "https://kore.example"


def test_an_async_client_that_cannot_even_be_imported_names_what_is_at_fault(sandbox, tmp_path):
    # aiohttp makes a TLS context when it is imported, so this takes a process of its own.
    program = """
import asyncio
from airflow_provider_kore.hooks.kore import KoreHook
try:
    asyncio.run(KoreHook().aget_erasure_status("eud-1"))
except Exception as error:
    print(type(error).__name__, error)
"""
    connection = json.dumps(sandbox.connection)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AIRFLOW_CONN_KORE_DEFAULT": connection, "SSLKEYLOGFILE": str(tmp_path / "no" / "file")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].startswith("KoreConfigurationError SSLKEYLOGFILE")


# --- the connection and its secrets -----------------------------------------------------------------------------------


def break_down(*_, **__):
    raise RuntimeError(SECRET)


@pytest.fixture(params=["backend", "denied", "masking", "variable", "uri", "absent"])
def unreadable(request, monkeypatch, connection):
    """Let the connection be one that Airflow cannot read, and give words that say so."""
    if request.param in ("backend", "denied"):
        error = RuntimeError(SECRET) if request.param == "backend" else PermissionError(SECRET)

        def fail(*_, **__):
            raise error

        async def fail_later(*_, **__):
            raise error

        monkeypatch.setattr(KoreHook, "get_connection", fail)
        monkeypatch.setattr(kore_hook, "get_async_connection", fail_later)
        return type(error).__name__
    if request.param == "masking":
        monkeypatch.setattr(kore_hook, "mask_secret", break_down)
        return "RuntimeError"
    if request.param == "absent":
        monkeypatch.delenv("AIRFLOW_CONN_KORE_DEFAULT")
        return "There is no Airflow connection"
    text = f'{{"host": "{SECRET}"' if request.param == "variable" else f"kore://{SECRET}@a://b://c"
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", text)
    return "AIRFLOW_CONN_KORE_DEFAULT"


def test_a_connection_that_cannot_be_read_is_told_without_what_it_holds(unreadable, ask):
    with pytest.raises(KoreConnectionUnreadableError, match=unreadable) as caught:
        ask()
    assert caught.value.consequence is Consequence.NOT_SENT
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)


def test_the_connection_test_tells_of_a_connection_that_cannot_be_read(unreadable):
    good, message = KoreHook().test_connection()
    assert not good
    assert unreadable in message
    assert SECRET not in message


def test_the_page_is_told_of_a_connection_that_cannot_be_read(unreadable, erase):
    end = erase(["u-1"]).run()
    assert isinstance(end.error, KoreConnectionUnreadableError)
    assert end.xcoms["kore_erasure"]["stage"] == "refused"
    assert end.xcoms["kore_erasure"]["host"] is None


def test_the_page_is_told_of_an_export_whose_connection_cannot_be_read(unreadable, tmp_path):
    end = TaskRunner(
        lambda: KoreExportUserDataOperator(
            task_id="export", user_ids=["u-1"], bot_ids=["st-1"], destination=tmp_path.as_uri(), since="2026-01-01"
        )
    ).run()
    assert isinstance(end.error, KoreConnectionUnreadableError)
    assert end.xcoms["kore_erasure"]["stage"] == "exporting"


@pytest.mark.parametrize("conn_id", [None, "", " ", 7])
def test_an_id_of_a_connection_that_is_none_is_refused(conn_id):
    with pytest.raises(KoreConfigurationError, match="kore_conn_id"):
        _ = KoreHook(conn_id).account
    with pytest.raises(KoreConfigurationError, match="kore_conn_id"):
        asyncio.run(KoreHook(conn_id).aget_account())


def test_the_connection_test_raises_nothing_whatever_happens(sandbox, connection, monkeypatch):
    monkeypatch.setattr(kore_hook.KoreClient, "run", break_down)
    good, message = KoreHook().test_connection()
    assert not good
    assert "RuntimeError" in message
    assert SECRET not in message


def test_a_trigger_that_fails_by_whatever_fires_an_event_with_what_it_has_seen(sandbox, connection, monkeypatch):
    monkeypatch.setattr(AsyncKoreClient, "run", break_down)
    event = asyncio.run(first_event(trigger("eud-1")))
    assert event["failure"]["type"] == "KoreWaitError"
    assert event["failure"]["consequence"] == Consequence.SENT.name
    assert "RuntimeError at test_environment.py:" in event["failure"]["problem"]
    assert SECRET not in json.dumps(event)
    assert event["outcomes"][0]["open"] == 1


def test_a_variable_with_the_receipt_key_that_cannot_be_read_is_told_by_its_name(monkeypatch):
    monkeypatch.setattr(Variable, "get", break_down)
    account = KoreAccount("https://kore.example", "cs-1", client_secret="s", receipt_key_variable="kore_receipts")
    with pytest.raises(KoreConnectionUnreadableError, match="kore_receipts") as caught:
        receipt_key_of(account)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        (f'{{"max_users": 5, "max_users": 50000, "digest_key": "{SECRET}"}}', "max_users"),
        ('{"allowed_bot_ids": ["st-1"], "subject": "dpo", "allowed_bot_ids": []}', "allowed_bot_ids"),
        ('{"other": {"deep": [{"twice": 1, "twice": 1}]}}', "twice"),
    ],
)
def test_an_extra_with_a_key_twice_is_refused_by_the_key(monkeypatch, extra, key):
    connection = {"conn_type": "kore", "host": "https://kore.example", "login": "cs-1", "password": "s" * 40}
    connect(monkeypatch, connection | {"extra": extra})
    with pytest.raises(KoreConfigurationError, match=f"the key {key} more than once") as caught:
        _ = KoreHook().account
    assert SECRET not in str(caught.value)


def test_an_extra_that_is_nested_too_deep_is_refused(monkeypatch):
    connection = {"conn_type": "kore", "host": "https://kore.example", "login": "cs-1", "password": "s" * 40}
    connect(monkeypatch, connection | {"extra": '{"a":' * 100_000})
    with pytest.raises(KoreConfigurationError, match=r"not a JSON object|cannot read the environment"):
        _ = KoreHook().account
