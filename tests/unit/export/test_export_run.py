"""What one attempt of an export decides without Kore.ai."""

import math
import time
from types import SimpleNamespace

import pytest

from airflow_provider_kore import resumption
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreInputError, KoreWaitError
from airflow_provider_kore.export import run as export_run
from airflow_provider_kore.export.run import _STATE, ExportArguments, ExportRun, ExportState, run_digest

USAGE = {"calls": [[0, 7]], "began": 1.0}
ARGUMENTS = {
    "user_ids": ["a@example.com"],
    "bot_ids": ["st-1"],
    "all_bots": False,
    "destination": "file:///nowhere",
    "since": "2026-01-01",
    "until": None,
    "channel_types": None,
    "max_users": None,
    "on_empty": "fail",
    "deferrable": True,
    "timeout": 3600.0,
    "kore_conn_id": "kore_default",
}


class TaskInstance:
    task_id, map_index = "export", -1

    def __init__(self, kept=None):
        self.kept = kept

    def xcom_pull(self, task_ids, key, map_indexes):
        assert (task_ids, key, map_indexes) == (self.task_id, resumption.STATE_KEY, self.map_index)
        return self.kept


@pytest.fixture
def make(monkeypatch):
    """Make an attempt, of a connection with a digest key."""
    account = SimpleNamespace(
        digest_key="a digest key",
        max_users=1000,
        allow_all_bots=False,
        allowed_bot_ids=None,
        fingerprint_key=lambda: b"key",
    )
    monkeypatch.setattr(export_run, "KoreHook", lambda conn_id: SimpleNamespace(account=account))

    def make(kept=None, resumes=False, **arguments):
        make.account = account
        context = {"ti": TaskInstance(kept)}
        return ExportRun(SimpleNamespace(), ExportArguments(**(ARGUMENTS | arguments)), context, resumes=resumes)

    return make


@pytest.fixture
def left(monkeypatch):
    """What a task keeps when it leaves its worker, instead of leaving it."""
    left = []
    monkeypatch.setattr(export_run, "export_usage", lambda client: USAGE)
    monkeypatch.setattr(export_run, "resume_after", lambda *arguments: left.append(arguments[2:]))
    return left


# --- leaving the worker ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "arguments", "leaves"),
    [
        (0.0, {}, False),
        (resumption.MAX_WORKER_WAIT, {}, False),
        (resumption.MAX_WORKER_WAIT + 1, {}, True),
        (resumption.MAX_WORKER_WAIT + 1, {"deferrable": False}, False),
        (3590.0, {}, True),
        (3600.0, {}, False),  # a turn that comes too late: the call says so
    ],
)
def test_a_task_leaves_its_worker_while_the_budget_is_spent_for_long(make, left, seconds, arguments, leaves):
    make(**arguments)._leave_if_spent(object(), seconds, 3)
    assert bool(left) == leaves


def test_a_task_keeps_when_it_started_and_how_many_users_are_done(make, left):
    run = make({"started": time.time() - 600, "done": 1, "usage": None}, resumes=True)
    run._leave_if_spent(object(), 1000.0, 3)
    [(seconds, state, deadline)] = left
    assert seconds == 1000.0
    assert state == {"started": run._state.started, "done": 3, "usage": USAGE}
    assert math.isclose(deadline, time.time() + 3000, abs_tol=60)
    assert _STATE.validate_python(state) == ExportState(run._state.started, 3, USAGE)


@pytest.mark.parametrize("kept", [None, {}, [], {"started": "soon"}, {"started": 1.0, "done": 1, "usage": {}}])
def test_a_state_that_is_gone_or_has_another_form_fails(make, kept):
    with pytest.raises(KoreWaitError) as caught:
        make(kept, resumes=True)
    assert caught.value.consequence is Consequence.NOTHING_ERASED


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", [None, "", "/data", "s3://", "s3:// a", "file:///a\nb", "s3://b/{{ run_id }}"])
def test_a_destination_must_be_a_uri(make, destination):
    with pytest.raises(KoreInputError, match="destination must be the URI of a folder"):
        make(destination=destination).export()


def test_without_a_digest_key_nothing_is_exported(make):
    run = make()
    make.account.digest_key = ""
    with pytest.raises(KoreConfigurationError, match="digest_key"):
        run.export()


# --- the name of a run -----------------------------------------------------------------------------------------------


def context(dag_id="dag", run_id="run", task_id="task", map_index=-1):
    return {
        "dag_run": SimpleNamespace(dag_id=dag_id, run_id=run_id),
        "ti": SimpleNamespace(task_id=task_id, map_index=map_index),
    }


def test_each_task_instance_has_a_digest_of_its_own():
    contexts = [context(), context("b"), context(run_id="b"), context(task_id="b"), context(map_index=1)]
    assert run_digest(context()) == run_digest(context())
    assert len({run_digest(each) for each in contexts}) == len(contexts)
    assert all(len(run_digest(each)) == 32 for each in contexts)
