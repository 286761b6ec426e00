"""Run the DAG ``erase_leavers`` against the sandbox."""

import json

import pytest
from erase_leavers import erase_leavers

from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.testing import running_sandbox


@pytest.fixture
def kore(monkeypatch):
    with running_sandbox(Settings(duration=0.2)) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(sandbox.connection))
        yield sandbox


@pytest.fixture
def ticket(tmp_path):
    (tmp_path / "1234.txt").write_text("u-1\nana@example.com\n")
    return {"folder": tmp_path.as_uri(), "ticket": "1234"}


def test_every_user_of_the_file_is_erased(kore, ticket):
    run = erase_leavers().test(run_conf=ticket)
    assert run.state == "success"
    assert [entry.accepted for entry in kore.log() if entry.call == "erase"] == [True]


def test_a_user_whom_kore_refuses_fails_the_run(kore, ticket):
    kore.configure(refuse=["u-1"])
    run = erase_leavers().test(run_conf=ticket)
    assert run.state == "failed"
