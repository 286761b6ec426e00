"""What httpx and httpcore log of a call, against a server of Python's own that repeats the URL in its answer."""

import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.exchange import Request
from airflow_provider_kore.api.http_logs import without_http_logs

PRIVATE = Request("DELETE", "/recordings?sessionId=Xq7ZwK9")


class Echo(BaseHTTPRequestHandler):
    def do_DELETE(self):
        self.send_response(302)
        self.send_header("Location", f"https://elsewhere.example{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@contextmanager
def client():
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = KoreAccount(f"http://127.0.0.1:{server.server_address[1]}", "cs-1", client_secret="s" * 64)
        try:
            with KoreClient(account) as client:
                yield client
        finally:
            server.shutdown()


def ask(request):
    answer = yield request
    return answer


@pytest.fixture
def at_debug(caplog):
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def test_a_url_is_in_no_log_while_that_is_wanted_and_in_the_logs_before_and_after(at_debug):
    with client() as kore:
        kore.run(ask(PRIVATE))
        assert at_debug.text.count("Xq7ZwK9") >= 2  # of the request by httpx, of the answer by httpcore
        at_debug.clear()
        with without_http_logs():
            assert kore.run(ask(PRIVATE)).status == 302
        assert at_debug.text == ""
        kore.run(ask(PRIVATE))
        assert "Xq7ZwK9" in at_debug.text


def test_only_the_thread_that_wants_it_is_silent(at_debug):
    with client() as kore, without_http_logs():
        other = threading.Thread(target=lambda: kore.run(ask(Request("DELETE", "/other"))))
        other.start()
        other.join()
        kore.run(ask(PRIVATE))
    assert "/other" in at_debug.text
    assert "Xq7ZwK9" not in at_debug.text


def test_it_ends_with_an_exception(at_debug):
    with pytest.raises(KeyError), without_http_logs():
        raise KeyError
    logging.getLogger("httpx").warning("heard")
    assert "heard" in at_debug.text
