"""The command ``check`` where something else than Kore.ai answers, and where it must not erase."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_kore.checks import erasing, run
from airflow_provider_kore.checks.__main__ import main
from tests.integration.provider.conftest import connect, erasures

SECRET = "Xq7ZwK9-secret-Xq7ZwK9-secret-Xq7ZwK9-secret"

HTML = b"<html><body><h1>Sign in</h1></body></html>"
ANSWERS = {
    "HTML": (200, {"Content-Type": "text/html"}, HTML),
    "an empty object": (200, {"Content-Type": "application/json"}, b"{}"),
    "a listing": (
        200,
        {},
        b'{"total": 0, "moreAvailable": false, "availableMore": false, "sessions": [], "users": []}',
    ),
    "a request": (200, {}, b'{"requestId": "eud-1", "status": "SUCCESS", "response": []}'),
    "an empty body": (204, {}, b""),
    "a redirect": (302, {"Location": "http://127.0.0.1:9/"}, b""),
    "garbage": (200, {"Date": "\x01", "X-RateLimit-Limit": "<script>"}, bytes(range(256)) * 40),
    "not UTF-8": (400, {}, b'{"errors": [{"msg": "\xff\xfe"}]}'),
    "deep JSON": (400, {}, b'{"a":' * 50_000),
    "a list": (400, {}, b"[1, 2]"),
    "strange errors": (400, {}, b'{"errors": {"msg": 7}}'),
    "errors alike": (400, {}, b'{"errors": [{"msg": "Invalid request id", "code": 400}]}'),
    "a gateway": (502, {}, b"<html>Bad gateway</html>"),
    "an error as a success": (200, {}, b'{"errors": [{"msg": "Invalid request id", "code": 400}]}'),
    "forbidden by a firewall": (403, {}, HTML),
    "forbidden in JSON": (403, {}, b'{"errors": [{"msg": "Unauthorized to perform this activity"}]}'),
    "refused by a proxy": (401, {"WWW-Authenticate": "Basic"}, HTML),
    "refused in JSON": (401, {}, b'{"errors": [{"msg": "Invalid SDK credentials", "code": 4002}]}'),
    "throttled": (429, {"Retry-After": "7"}, b""),
    "an echo": None,
    "nothing": b"",
}


@contextmanager
def server(answer):
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if answer == b"":
                self.connection.close()
                return
            token = self.headers.get("auth", "")
            echo = json.dumps({"errors": [{"msg": f"{self.path} {token} {body!r}", "code": token}]}).encode()
            status, headers, content = answer or (400, {"X-RateLimit-Limit": token, "X-RateLimit-Token": token}, echo)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if status != 204:
                self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *arguments):
            pass

        def handle(self):
            with suppress(OSError):
                super().handle()

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()


@pytest.fixture(autouse=True)
def context_of_the_process(monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # which the command changes


@pytest.mark.parametrize("kind", ANSWERS)
def test_nothing_is_confirmed_of_what_is_not_kore(monkeypatch, capsys, caplog, tmp_path, kind):
    with server(ANSWERS[kind]) as url:
        connect(monkeypatch, {"conn_type": "kore", "host": url, "login": "cs-Xq7ZwK9", "password": SECRET})
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Xq7ZwK9@example.org\n")))
        report = tmp_path / "report.json"
        status = main(["--bot-id", "st-1", "--user", "--report", str(report), "-o", "json"])
    printed = capsys.readouterr()
    assert status == 2
    verdicts = {row["name"]: row["verdict"] for row in json.loads(report.read_text())["checks"]}
    assert {name for name, verdict in verdicts.items() if verdict == "confirmed"} <= {"proxy", "dns", "tls"}
    for text in (printed.out, printed.err, report.read_text(), caplog.text):
        assert "Traceback" not in text
        assert "Xq7ZwK9" not in text
        assert "eyJ" not in text


def test_a_host_that_is_not_there_is_named_by_what_fails(monkeypatch, capsys):
    connect(monkeypatch, {"conn_type": "kore", "host": "http://127.0.0.1:9", "login": "cs-1", "password": SECRET})
    assert main(["-o", "json"]) == 2
    rows = {row["guess"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["The host answers, and its certificate is trusted"]["seen"] == "ConnectionRefusedError"


def test_a_connection_that_cannot_be_used_is_an_error_and_no_table(monkeypatch, capsys):
    connect(monkeypatch, {"conn_type": "kore", "host": "http://127.0.0.1:9", "login": "cs-1"})
    assert main([]) == 2
    assert "no Client Secret" in capsys.readouterr().err


# --- what is not erased ---------------------------------------------------------------------------------------------


@pytest.fixture
def erase_test_user(sandbox, connection, monkeypatch, capsys):
    def erase_test_user(*arguments, given="Xq7ZwK9\n", answers=("st-1", "erase")):
        replies = iter(answers)
        monkeypatch.setattr(erasing, "ask_at_the_terminal", lambda _: next(replies))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        status = main(["--erase-test-user", "--poll-interval", "0.1", "--wait", "3", "-o", "json", *arguments])
        printed = capsys.readouterr()
        assert "Xq7ZwK9" not in printed.out + printed.err
        return status, printed.err

    return erase_test_user


BOT = ("--bot-id", "st-1")


@pytest.mark.parametrize("answers", [("", ""), ("st-2", "erase"), ("y", "y"), ("st-1", "no"), ("st-1", "")])
def test_no_user_is_erased_unless_both_questions_are_answered(erase_test_user, sandbox, answers):
    _, errors = erase_test_user(*BOT, answers=answers)
    assert "Nothing was erased." in errors
    assert erasures(sandbox) == []


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        ((), "u-1\n", "No bot is named"),
        (("--bot-id", "st-2"), "u-1\n", "st-2"),
        (BOT, "", "no user ids"),
        (BOT, "u-1\nu-2\n", "must be a text, and the second"),
        (BOT, "u-1\nu-2\nu-3\n", "more than 2"),
        (BOT, '{"channel_id": "a", "channel_user_id": "Xq7ZwK9"}\n', "must be a text"),
        (BOT, " \n", "blank"),
        ((*BOT, "--report", "/no/such/folder/report.json"), "u-1\n", "/no/such/folder"),
    ],
)
def test_what_the_guards_refuse_is_refused_before_the_first_call(
    erase_test_user, connection, sandbox, arguments, given, words
):
    connection(extra__allowed_bot_ids="st-1")
    status, errors = erase_test_user(*arguments, given=given)
    assert status == 2
    assert words in errors
    assert sandbox.log() == []


def test_one_user_and_one_bot_are_erased_and_a_made_up_user(erase_test_user, sandbox):
    sandbox.configure(duration=0.1)
    erase_test_user(*BOT, given='Xq7ZwK9\n{"channel_id": "slack", "channel_user_id": "Xq7ZwK9"}\n')
    first, again, made_up, pair, batch = erasures(sandbox)
    assert first == again == ["Xq7ZwK9"]
    assert made_up[0].startswith("kore-check-")
    assert len({user for user in batch if user.startswith(f"{made_up[0]}-")}) == 100
    assert pair == [{"channel_id": "slack", "channel_user_id": "Xq7ZwK9"}]
    assert {bot for request in sandbox.state().requests for bot in request.bot_ids} == {"st-1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_check_shows_and_writes_what_it_saw(erase_test_user, sandbox, monkeypatch, tmp_path, number):
    sandbox.configure(duration=1000, accept_status=202)
    monkeypatch.setattr(run, "_sleep", lambda _: os.kill(os.getpid(), number))  # after the first poll
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    report = tmp_path / "report.json"
    status, errors = erase_test_user(*BOT, "--report", str(report))
    assert status == 128 + number
    (request,) = sandbox.state().requests
    assert f"Interrupted. The erasure of the test user was accepted (request {request.request_id})" in errors
    assert "Traceback" not in errors
    document = json.loads(report.read_text())
    verdicts = {row["name"]: row["verdict"] for row in document["checks"]}
    assert (verdicts["token"], verdicts["accept_status"], verdicts["running_word"]) == (
        "confirmed",
        "different",
        "confirmed",
    )
    assert verdicts["erased_word"] == "not tested"
    assert request.request_id not in report.read_text()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_a_time_is_a_number_of_seconds(erase_test_user, sandbox, seconds):
    with pytest.raises(SystemExit):
        erase_test_user(*BOT, "--poll-interval", seconds)
    assert sandbox.log() == []


COMMAND = [sys.executable, "-m", "airflow_provider_kore", "check", "--erase-test-user", *BOT, "--poll-interval", "0.1"]


def test_without_a_terminal_no_user_is_erased(sandbox, connection):
    done = subprocess.run(COMMAND, input=b"u-1\n", capture_output=True, start_new_session=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert b"no terminal" in done.stderr
    assert erasures(sandbox) == []


def test_the_questions_are_asked_at_the_terminal(sandbox, connection, tmp_path):
    sandbox.configure(duration=0.1)
    (tmp_path / "ids").write_text("u-1\n")
    process, terminal = pty.fork()
    if process == 0:
        with (tmp_path / "ids").open() as ids, (tmp_path / "out").open("w") as out:
            os.dup2(ids.fileno(), 0)
            os.dup2(out.fileno(), 1)
            os.execv(COMMAND[0], COMMAND)
    shown, answers, deadline = "", ["st-1\n", "erase\n"], time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
        if answers and shown.rstrip().endswith(("Type the id of the bot:", "Type erase:")):
            os.write(terminal, answers.pop(0).encode())
            shown += "\n"
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert erasures(sandbox)[:2] == [["u-1"], ["u-1"]]
    assert "confirmed" in (tmp_path / "out").read_text()
