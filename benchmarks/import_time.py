"""
Measure what importing operator and sensor adds to a DAG file that has imported airflow.sdk, beside other providers.

Each import runs in a fresh interpreter, several times over, in turn; the best counts. See benchmarks/README.md.
"""

import os
import subprocess
import sys
import tempfile

from benchmarks.report import Report, arguments

MODULES = {
    "airflow-provider-kore": ("airflow_provider_kore.operators.erasure", "airflow_provider_kore.sensors.erasure"),
    "apache-airflow-providers-http": ("airflow.providers.http.operators.http", "airflow.providers.http.sensors.http"),
    "apache-airflow-providers-databricks": (
        "airflow.providers.databricks.operators.databricks",
        "airflow.providers.databricks.sensors.databricks",
    ),
}
OURS, PEER = "airflow-provider-kore", "apache-airflow-providers-http"
MOST_OF_PEER = 0.05

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
    """Import in a fresh interpreter, and return the milliseconds and the number of modules."""
    command = [sys.executable, "-c", PROGRAM, *modules]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    milliseconds, count = done.stdout.splitlines()[-1].split()
    return float(milliseconds), int(count)


def main() -> int:
    """Measure, print the table, and return 1 if ours takes too long."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--rounds", type=int, help="fresh interpreters for each provider (default 5, or 2 in a quick run)"
    )
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 5)

    best: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment["AIRFLOW_HOME"] = home
        for _ in range(rounds):
            for provider, modules in MODULES.items():
                measured = import_once(modules, environment)
                best[provider] = min(measured, best.get(provider, measured))

    report = Report(quick=options.quick)
    report.table(
        f"The best of {rounds} rounds",
        "importing operator and sensor of", "adds to `airflow.sdk`", "modules", "ours takes, of that",
    )  # fmt: skip
    ours, _ = best[OURS]
    for provider, (milliseconds, count) in best.items():
        ratio = "" if provider == OURS else f"**{ours / milliseconds:.3f}**"
        report.row(provider, f"{milliseconds:.1f} ms", str(count), ratio)
    report.at_most("time to import, of the http provider's", ours / best[PEER][0], MOST_OF_PEER)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
