"""
Measure what importing operator and sensor adds to a DAG file that has imported airflow.sdk, beside other providers.

Each import runs in a fresh interpreter, several times over, in turn; the best counts. See benchmarks/README.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile

MODULES = {
    "airflow-provider-kore": ("airflow_provider_kore.operators.erasure", "airflow_provider_kore.sensors.erasure"),
    "apache-airflow-providers-http": ("airflow.providers.http.operators.http", "airflow.providers.http.sensors.http"),
    "apache-airflow-providers-databricks": (
        "airflow.providers.databricks.operators.databricks",
        "airflow.providers.databricks.sensors.databricks",
    ),
}
OURS = "airflow-provider-kore"
MOST_MILLISECONDS = 10.0

PROGRAM = """
import importlib, sys, time
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
known = len(sys.modules)
began = time.perf_counter()
for module in sys.argv[1:]:
    importlib.import_module(module)
print((time.perf_counter() - began) * 1000, len(sys.modules) - known)
"""


def import_once(modules: tuple[str, ...], environment: dict[str, str]) -> tuple[float, int]:
    """Import in a fresh interpreter, and tell the milliseconds and the number of modules."""
    command = [sys.executable, "-c", PROGRAM, *modules]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    milliseconds, count = done.stdout.splitlines()[-1].split()
    return float(milliseconds), int(count)


def main() -> int:
    """Measure, print the table, and tell whether ours takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="fresh interpreters for each provider (default 5)")
    arguments = parser.parse_args()

    best: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment["AIRFLOW_HOME"] = home
        for _ in range(arguments.rounds):
            for provider, modules in MODULES.items():
                measured = import_once(modules, environment)
                best[provider] = min(measured, best.get(provider, measured))

    ours, _ = best[OURS]
    print("| importing operator and sensor of | adds to `airflow.sdk` | modules | ours takes, of that |")
    print("|---|---|---|---|")
    for provider, (milliseconds, count) in best.items():
        ratio = "" if provider == OURS else f"**{ours / milliseconds:.3f}**"
        print(f"| {provider} | {milliseconds:.1f} ms | {count} | {ratio} |")
    if ours > MOST_MILLISECONDS:
        print(f"\nDoes not hold: importing ours adds at most {MOST_MILLISECONDS:g} ms.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
