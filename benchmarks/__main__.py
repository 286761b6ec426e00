"""Run all benchmarks, also after one that does not hold, and print at the end which ratios hold."""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.report import BROKEN, HOLDS

ALL = ("import_time", "schedule", "shared_budget", "http_clients", "triggerer", "large_list", "page")
QUICK = ("import_time", "http_clients", "triggerer")


def run(name: str, options: list[str]) -> tuple[int, list[str]]:
    """Run one benchmark, show its output as it comes, and return its status and what it says of its claims."""
    print(f"\n## {name}\n", flush=True)
    claims = []
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith((HOLDS, BROKEN)):
                claims.append(line.strip())
    return process.returncode, claims


def main() -> int:
    """Run them in turn; return 1 if something does not hold, or one of them ended with an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"only {', '.join(QUICK)}, shorter, and with a wide margin"
    )
    quick = parser.parse_args().quick
    results = {name: run(name, ["--quick"] if quick else []) for name in (QUICK if quick else ALL)}

    print("\n## Summary\n")
    for name, (status, claims) in results.items():
        broken = any(claim.startswith(BROKEN) for claim in claims)
        for claim in claims:
            print(f"{name}: {claim}")
        if status and not broken:
            print(f"{name}: {BROKEN}: it ended with status {status}")
    return 1 if any(status for status, _ in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
