"""The sandbox as a program of its own."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

COMMAND = [sys.executable, "-m", "airflow_provider_kore.sandbox"]


@contextmanager
def program(tmp_path, *arguments):
    ready_file = tmp_path / "ready.json"
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--ready-file", str(ready_file), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 20
        while (
            not (ready_file.exists() and "url" in ready_file.read_text())
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        assert ready_file.exists(), process.communicate()
        yield process, json.loads(ready_file.read_text())
    finally:
        process.kill()
        process.wait()


def refused(*arguments):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_how_to_connect_and_ends_when_told_to(tmp_path, caller_of, number):
    with program(tmp_path, "--refuse", "secret-user") as (process, ready):
        assert ready["pid"] == process.pid
        caller = caller_of(ready["connection"])
        body = {"userIds": ["secret-user"], "RemoveDataFromAllBots": True}
        assert caller.erase(body).status_code == 200
        assert caller.client.get("/sandbox/log").status_code == 200

        started = time.monotonic()
        os.kill(process.pid, number)
        output, errors = process.communicate(timeout=10)

        assert time.monotonic() - started < 2
        assert process.returncode == 0
        assert errors == ""
        assert output.splitlines()[0] == f"Kore sandbox at {ready['url']}"
        export, assignment = shlex.split(output.splitlines()[1])
        name, _, value = assignment.partition("=")
        assert (export, name) == ("export", "AIRFLOW_CONN_KORE_DEFAULT")
        assert json.loads(value) == ready["connection"]
        assert output.count("secret-user") == 0


def test_flags_files_and_faults_are_heeded(tmp_path, caller_of):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"duration": 0, "erased_word": "done", "bots": ["st-1"]}))
    private_key = tmp_path / "key.pem"
    arguments = ["--config", str(config), "--erased-word", "gone", "--no-enforce-jti", "--retry-after", "date"]
    arguments += ["--algorithm", "RS256", "--write-private-key", str(private_key)]
    arguments += ["--accept-status", "202", "--fault", '{"kind": "html"}']
    (tmp_path / "ready.json").write_text("{}")
    with program(tmp_path, *arguments) as (_, ready):
        assert ready["connection"]["extra"] == {"algorithm": "RS256", "private_key": private_key.read_text()}
        assert private_key.stat().st_mode & 0o777 == 0o600
        caller = caller_of(ready["connection"])
        assert caller.erase().text.startswith("<!DOCTYPE html>")
        accepted = caller.erase()
        assert accepted.status_code == 202
        finished = caller.status(accepted.json()["requestId"]).json()
        assert [entry["status"] for entry in finished["response"]] == ["gone", "gone"]
        settings = caller.client.get("/sandbox/settings").json()
        assert (settings["bots"], settings["enforce_jti"], settings["retry_after"]) == (["st-1"], False, "date")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_it_listens_on_no_address_but_loopback(host):
    assert host in refused("--host", host)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--duration", "soon"], "duration"),
        (["--algorithm", "RS256"], "public_key"),
        (["--write-private-key", "key.pem"], "HS256 has no private key"),
        (["--fault", '{"kind": "flood"}'], "kind"),
        (["--config", "missing.json"], "missing.json"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(arguments, reason):
    assert reason in refused("--port", "0", *arguments)


def test_a_report_of_a_check_is_replayed(tmp_path):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"checks": [], "sandbox": {"erased_word": "Purged", "accept_status": 202}}))
    with program(tmp_path, "--replay", str(report), "--accept-status", "200") as (_, ready):
        settings = json.load(urlopen(ready["url"] + "/sandbox/settings"))
    assert (settings["erased_word"], settings["accept_status"]) == ("Purged", 200)
    for content in ("[]", '{"sandbox": []}', '{"erased_word": "x"}', '{"sandbox": {"no_such": 1}}'):
        report.write_text(content)
        refused("--replay", str(report))
