"""DAG files are parsed every few seconds, so what they import must not bring what only a worker needs."""

import json
import subprocess
import sys

HEAVY = {"httpx", "aiohttp", "jwt", "starlette", "cryptography", "joserfc"}
ONLY_FOR_WORKERS = {
    "airflow_provider_kore.api.auth",
    "airflow_provider_kore.api.client",
    "airflow_provider_kore.hooks.kore",
}
MODULES = [
    "airflow_provider_kore.decorators.erasure",
    "airflow_provider_kore.reporting.links",
    "airflow_provider_kore.operators.erasure",
    "airflow_provider_kore.operators.export",
    "airflow_provider_kore.operators.recordings",
    "airflow_provider_kore.operators.verification",
    "airflow_provider_kore.sensors.erasure",
]

PROGRAM = """
import json, sys, time
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
before = set(sys.modules)
start = time.perf_counter()
for module in sys.argv[1:]:
    __import__(module)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "new": sorted(set(sys.modules) - before)}))
"""


def test_what_a_dag_file_imports_brings_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROGRAM, *MODULES], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    print(f"{measured['seconds'] * 1000:.0f} ms for {len(measured['new'])} modules")
    new = measured["new"]
    assert set(MODULES) <= set(new)
    assert HEAVY.isdisjoint(name.split(".")[0] for name in new)
    assert ONLY_FOR_WORKERS.isdisjoint(new)
