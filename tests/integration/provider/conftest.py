"""A sandbox that runs, a connection to it, and tasks to run against it."""

import json
from datetime import timedelta

import pytest

from airflow_provider_kore import resumption
from airflow_provider_kore.api import budget, calls, pacing
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.recordings import KoreDeleteRecordingsOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
from tests.integration.provider.task_runner import FakeStore, TaskRunner

RECORDED = [f"person{number}@example.com" for number in range(1, 4)]
MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


@pytest.fixture
def sandbox(monkeypatch):
    """A sandbox without rate limits, that erases in a tenth of a second, behind the connection kore_default."""
    settings = Settings(duration=0.1, requests_per_minute=0, requests_per_hour=0)
    with running_sandbox(settings) as sandbox:
        connect(monkeypatch, sandbox.connection)
        yield sandbox


@pytest.fixture(autouse=True)
def fresh_budgets(monkeypatch):
    monkeypatch.setattr(pacing, "_budgets", {})


@pytest.fixture
def no_back_off(monkeypatch):
    """Repeat a failed call without the pause before."""
    monkeypatch.setattr(calls, "_back_off", lambda attempt: calls.Pause(0.0))


@pytest.fixture
def connection(monkeypatch, sandbox):
    """Change the connection: ``connection(extra__max_users=3, password="x")``."""

    def change(**changes):
        fields = json.loads(json.dumps(sandbox.connection))
        fields["extra"] = fields.get("extra") or {}
        for name, value in changes.items():
            if name.startswith("extra__"):
                fields["extra"][name.removeprefix("extra__")] = value
            else:
                fields[name] = value
        connect(monkeypatch, fields)

    # The sandbox enforces its own limits; those of the provider are tested on their own.
    change(extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000)
    return change


def connect(monkeypatch, fields):
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(fields))


def render(operator, rendered):
    """Set the values that the templates of an operator render to; literals are checked as soon as it is made."""
    for name, value in rendered.items():
        setattr(operator, "is_dry_run" if name == "dry_run" else name, value)
    return operator


@pytest.fixture
def erase(sandbox, connection):
    """Make a runner of an erasing task that waits in the worker. ``rendered``: what its templates render to."""

    def make(user_ids, *, store="new", retries=0, rendered=None, **arguments):
        arguments = {"bot_ids": ["st-1"], "poll_interval": 0.1, "timeout": 20} | arguments

        def make_operator():
            operator = KoreEraseUserDataOperator(task_id="erase", user_ids=user_ids, **arguments)
            return render(operator, rendered or {})

        return TaskRunner(make_operator, store=FakeStore() if store == "new" else store, retries=retries)

    return make


@pytest.fixture
def wait(sandbox, connection):
    """Make a runner of a waiting task."""

    def make(request_id, *, rendered=None, **arguments):
        arguments = {"request_id": request_id, "poke_interval": 0.1, "timeout": 20} | arguments
        return TaskRunner(lambda: render(KoreErasureSensor(task_id="wait", **arguments), rendered or {}))

    return make


@pytest.fixture
def verify(sandbox, connection):
    """Make a runner of a verifying task."""

    def make(user_ids, *, rendered=None, **arguments):
        arguments = {"user_ids": user_ids, "bot_ids": ["st-1"], "since": timedelta(days=31), "timeout": 20} | arguments
        return TaskRunner(lambda: render(KoreVerifyErasureOperator(task_id="verify", **arguments), rendered or {}))

    return make


@pytest.fixture
def delete(sandbox, connection):
    """Make a runner of a task that deletes recordings."""

    def make(user_ids=RECORDED, *, rendered=None, store=None, retries=0, **arguments):
        defaults = {"bot_ids": ["st-1"], "since": timedelta(days=31), "timeout": 60, "deferrable": False}
        arguments = {"user_ids": user_ids} | defaults | arguments

        def make_operator():
            return render(KoreDeleteRecordingsOperator(task_id="recordings", **arguments), rendered or {})

        return TaskRunner(make_operator, store=store, retries=retries)

    return make


@pytest.fixture
def submitted(erase):
    """Submit an erasure and return what the operator returned."""

    def submit(user_ids, **arguments):
        end = erase(user_ids, wait_for_completion=False, **arguments).run()
        assert end.state == "success", end.text
        return end.output

    return submit


@pytest.fixture
def scarce(connection, monkeypatch):
    """Allow four calls in two seconds and six in four, and hold a worker for half a second at most."""
    monkeypatch.setattr(budget, "MINUTE", 2.0)
    monkeypatch.setattr(budget, "HOUR", 4.0)
    monkeypatch.setattr(resumption, "MAX_WORKER_WAIT", 0.5)
    connection(extra__requests_per_minute=4, extra__requests_per_hour=6)


def most_calls_in(seconds, sandbox, since=0):
    times = [entry.time for entry in sandbox.log()[since:]]
    return max(sum(begin <= time < begin + seconds for time in times) for begin in times)


def erasures(sandbox):
    """List the users of each erase call that the sandbox received."""
    return [entry.body["userIds"] for entry in sandbox.log() if entry.call == "erase"]
