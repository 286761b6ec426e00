"""DAG files are parsed every few seconds, so what they import must not bring what only a worker needs."""

import json
import subprocess
import sys

import pytest

OPERATOR_AND_SENSOR = """
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor
"""
OTHER_CLASSES = """
from airflow_provider_kore.decorators.erasure import kore_erase_task
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.user_ids import CallableUserIds, ChannelUserId, FileUserIds
"""
TASK = """
KoreEraseUserDataOperator(
    task_id="erase", user_ids="file:///data/people.csv", bot_ids=["st-1"], max_users=100, approved_plan="{{ plan }}",
"""

# Each has what nearly every DAG uses: its classes, or the check of a literal that nearly every task has.
NEEDED = {
    "api",
    "api.id_text",  # for api.users
    "api.scope",  # the check of bot_ids and all_bots, one of which every task has
    "api.users",  # the check of text, for api.scope
    "arguments",
    "compat",  # the exceptions after which operator and sensor resume
    "erasures_page",  # the address for reporting.links
    "exceptions",
    "operators",
    "operators.erasure",
    "options",
    "rendering",  # a base class
    "reporting",
    "reporting.lineage",  # a base class
    "reporting.links",  # Airflow asks the classes for their links
    "sensors",
    "sensors.erasure",
    "user_ids",
    "user_ids.argument",  # a base class
    "user_ids.columns",  # for user_ids.files
    "user_ids.files",  # the source that a URI becomes
    "user_ids.functions",  # the source that a function becomes
    "user_ids.source",
    "user_ids.text_sources",  # tells which text is a URI
}
OF_AIRFLOW = 8
"""Few modules of Airflow's own come too, such as the base class of links; on Airflow 3.1 more than on newer ones."""

HEAVY = {"httpx", "aiohttp", "jwt", "starlette", "cryptography", "openlineage", "redis", "joserfc", "tabulate"}

# Airflow itself takes long to import, so all steps run in one interpreter, and each counts what it adds.
STEPS = {
    "imports": OPERATOR_AND_SENSOR,
    "templates": TASK + "deadline='{{ params.deadline }}', verify='{{ params.verify }}')",
    "deadline": TASK + "deadline={'received_at': '2026-11-24', 'regime': 'gdpr'})",
    "receipt": TASK + "receipt={'folder': 's3://bucket/receipts', 'approved_by': 'A. Person'})",
    "verify": TASK + "verify={'people': 'all', 'since': '2026-01-01'})",
    "other classes": OTHER_CLASSES,
}
PROGRAM = """
import json, sys
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
known = set(sys.modules)
added = {}
for step, code in json.loads(sys.argv[1]).items():
    exec(code)
    added[step] = sorted(set(sys.modules) - known)
    known |= set(sys.modules)
print(json.dumps(added))
"""


@pytest.fixture(scope="module")
def added():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(STEPS)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def ours(modules):
    return {
        name.removeprefix("airflow_provider_kore.") for name in modules if name.startswith("airflow_provider_kore.")
    }


def test_operator_and_sensor_bring_only_what_nearly_every_dag_needs(added):
    new = added["imports"]
    assert ours(new) == NEEDED
    assert len(new) <= len(NEEDED) + OF_AIRFLOW


def test_a_literal_brings_its_check_and_nothing_more(added):
    brought = {step: ours(modules) for step, modules in added.items()}
    assert brought["templates"] == brought["receipt"] == set()
    assert brought["deadline"] == {"deadlines", "times"}
    assert brought["verify"] == {"period", "api.channels"}


def test_what_a_dag_file_imports_brings_nothing_heavy(added):
    new = [name for modules in added.values() for name in modules]
    assert HEAVY.isdisjoint(name.split(".")[0] for name in new)
