"""The sandbox as its callers see it: over a real connection."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox


def test_an_erasure_from_start_to_end(sandbox, caller):
    accepted = caller.erase()
    assert accepted.status_code == 200
    assert accepted.headers["content-type"].startswith("application/json")
    request_id = accepted.json()["requestId"]
    assert {entry["status"] for entry in caller.status(request_id).json()["response"]} == {"in-progress"}
    time.sleep(0.11)
    assert {entry["status"] for entry in caller.status(request_id).json()["response"]} == {"SUCCESS"}
    assert [user.user_id for user in sandbox.state().erased] == ["u-1", "u-2"]


def test_the_body_and_length_of_a_delete_arrive(sandbox, caller):
    sent = caller.erase().request
    (entry,) = sandbox.log()
    assert entry.method == "DELETE"
    assert entry.body == {"userIds": ["u-1", "u-2"], "botIds": ["st-1"], "RemoveDataFromAllBots": False}
    assert entry.content_length == len(sent.content)


def test_a_chunked_body_is_refused(sandbox, caller):
    answer = caller.client.request(
        "DELETE",
        "/api/public/bot/eraseUsersData",
        content=iter([b'{"userIds": ["u-1"], "RemoveDataFromAllBots": true}']),
        headers={"auth": caller.token(), "content-type": "application/json"},
    )
    assert answer.status_code == 411


def test_a_header_that_comes_twice_is_refused(caller):
    headers = [("auth", caller.token()), ("auth", caller.token())]
    answer = caller.client.get("/api/public/bot/eraseUsersData/status/eud-1", headers=headers)
    assert answer.status_code == 401


def test_text_comes_back_as_it_was_sent(sandbox, caller):
    sandbox.configure(duration=0)
    names = ["Zoë Åström", "用户", 'quote"\\', "\ud800"]
    body = b'{"userIds": ["Zo\xc3\xab \\u00c5str\xc3\xb6m", "\xe7\x94\xa8\xe6\x88\xb7", "quote\\"\\\\", "\\ud800"],'
    body += b'"RemoveDataFromAllBots": true}'
    headers = {"auth": caller.token(), "content-type": "application/json"}
    accepted = caller.client.request("DELETE", "/api/public/bot/eraseUsersData", content=body, headers=headers)
    answer = caller.status(accepted.json()["requestId"])
    assert [entry["userId"] for entry in answer.json()["response"]] == names
    assert caller.client.get("/sandbox/log").json()[0]["body"]["userIds"] == names
    assert caller.client.get("/sandbox/state").json()["erased"][1]["user_id"] == names[1]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD"])
def test_another_method_is_not_allowed(caller, method):
    answer = caller.client.request(method, "/api/public/bot/eraseUsersData")
    assert answer.status_code == 405
    if method != "HEAD":
        assert answer.json() == {"errors": [{"msg": "Method Not Allowed", "code": 405}]}


@pytest.mark.parametrize(("kind", "accepted"), [("reset-before", False), ("reset-after", True)])
def test_a_reset_reaches_the_caller_without_any_answer(sandbox, caller, kind, accepted):
    caller.erase()  # so that the connection is one that worked before
    sandbox.fail(kind)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        caller.erase()
    assert sandbox.log()[-1].accepted is accepted
    assert sandbox.log()[-1].outcome == "reset"
    assert len(sandbox.state().requests) == 1 + accepted
    assert caller.erase().status_code == 200


def test_a_reset_sends_not_a_single_byte(sandbox, caller):
    sandbox.fail("reset-after", call="status")
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        path = "/api/public/bot/eraseUsersData/status/eud-1"
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nauth: {caller.token()}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_latency_is_felt_and_the_request_accepted_meanwhile(sandbox, caller):
    sandbox.fail("latency", seconds=0.3)
    thread = threading.Thread(target=caller.erase)
    started = time.monotonic()
    thread.start()
    while not sandbox.log():
        time.sleep(0.01)
    assert sandbox.log()[0].accepted
    thread.join()
    assert time.monotonic() - started >= 0.3


def test_an_oversized_answer_is_streamed(sandbox, caller):
    sandbox.fail("oversized")
    answer = caller.erase()
    assert "content-length" not in answer.headers
    assert len(answer.content) > 10 * 1024 * 1024
    assert answer.json()["requestId"]


def test_a_caller_may_stop_reading_an_oversized_answer(sandbox, caller):
    sandbox.fail("oversized", call="status")
    headers = {"auth": caller.token()}
    with caller.client.stream("GET", "/api/public/bot/eraseUsersData/status/eud-1", headers=headers) as answer:
        next(answer.iter_bytes())
    assert caller.erase().status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ({"kind": "status", "status": 503}, 503, "application/json"),
        ({"kind": "status", "status": 502, "page": "html"}, 502, "text/html"),
        ({"kind": "html"}, 200, "text/html"),
        ({"kind": "throttle-429", "retry_after": 1}, 429, "application/json"),
        ({"kind": "redirect", "location": "https://elsewhere.example/"}, 302, ""),
        ({"kind": "wrong-json", "body": []}, 200, "application/json"),
        ({"kind": "body", "status": 204, "body": "none"}, 204, ""),
        ({"kind": "body", "status": 200, "body": "\ud800", "headers": {"X-Odd": "1"}}, 200, ""),
    ],
)
def test_faults_arrive_over_http(sandbox, caller, fault, status, content_type):
    sandbox.fail(**fault)
    answer = caller.erase()
    assert answer.status_code == status
    assert answer.headers.get("content-type", "").startswith(content_type)
    assert caller.erase().status_code == 200


def test_the_control_api_shows_and_changes_everything(sandbox, caller):
    control = httpx.Client(base_url=f"{sandbox.url}/sandbox")
    assert control.get("/health").json() == {"status": "ok"}
    assert control.put("/settings", json={"erased_word": "done", "bots": ["st-1"], "duration": 60}).json()["bots"] == [
        "st-1"
    ]
    assert control.get("/settings").json()["erased_word"] == sandbox.settings.erased_word == "done"
    faults = [{"kind": "html", "call": "status"}, {"kind": "echo", "after": 5}]
    assert control.post("/faults", json=faults).status_code == 201
    assert control.post("/faults", json={"kind": "html"}).status_code == 201
    assert [fault["kind"] for fault in control.get("/faults").json()] == ["html", "echo", "html"]
    assert control.delete("/faults").status_code == 204
    assert control.get("/faults").json() == []
    request_id = caller.erase().json()["requestId"]
    (entry,) = control.get("/log").json()
    assert (entry["accepted"], entry["outcome"], entry["request_id"]) == (True, 200, request_id)
    (request,) = control.get("/state").json()["requests"]
    assert request["users"][0] == {"user_id": "u-1", "fate": "running"}
    assert control.post("/reset").status_code == 204
    assert control.get("/log").json() == []
    assert control.get("/settings").json()["erased_word"] == "SUCCESS"


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("PUT", "/settings", b"{"),
        ("PUT", "/settings", b"[]"),
        ("PUT", "/settings", b'{"surprise": 1}'),
        ("PUT", "/settings", b'{"duration": "soon"}'),
        ("POST", "/faults", b'{"kind": "flood"}'),
        ("POST", "/faults", b'[{"kind": "html"}, {}]'),
    ],
)
def test_the_control_api_refuses_what_makes_no_sense(sandbox, method, path, content):
    before = sandbox.settings
    answer = httpx.request(method, f"{sandbox.url}/sandbox{path}", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert sandbox.settings == before
    assert httpx.get(f"{sandbox.url}/sandbox/faults").json() == []


def test_the_control_api_is_no_part_of_the_log(sandbox):
    assert httpx.get(f"{sandbox.url}/sandbox/elsewhere").status_code == 404
    assert httpx.get(f"{sandbox.url}/sandbox/state").status_code == 200
    assert sandbox.log() == []
    assert httpx.get(sandbox.url).status_code == 404
    assert [entry.path for entry in sandbox.log()] == ["/"]


def test_faults_can_be_cleared(sandbox, caller):
    sandbox.fail("html", times=None)
    sandbox.clear_faults()
    assert "requestId" in caller.erase().json()


def test_windows_hold_for_callers_at_the_same_time(sandbox, caller_of):
    sandbox.configure(requests_per_minute=10)
    statuses = []

    def call():
        caller = caller_of(sandbox.connection)
        statuses.extend(caller.erase().status_code for _ in range(5))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 10 + [429] * 10
    assert [entry.number for entry in sandbox.log()] == list(range(1, 21))


@pytest.mark.parametrize("algorithm", ["HS512", "RS256", "RS512"])
def test_the_connection_says_all_that_a_caller_needs(caller_of, algorithm):
    with running_sandbox(Settings(algorithm=algorithm)) as sandbox:
        assert sandbox.connection["extra"]["algorithm"] == algorithm
        assert caller_of(sandbox.connection).erase().status_code == 200


def test_a_sandbox_starts_and_stops_quickly_even_with_open_connections(caller_of):
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        with running_sandbox() as sandbox:
            caller = caller_of(sandbox.connection)
            assert caller.erase().status_code == 200
            sandbox.fail("latency", seconds=60)
            waiting = pool.submit(caller.erase)
            while len(sandbox.log()) < 2:
                time.sleep(0.01)
        assert isinstance(waiting.exception(), httpx.ReadError | httpx.RemoteProtocolError)
    assert time.monotonic() - started < 2
    assert len(sandbox.log()) == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.url)
