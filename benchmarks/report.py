"""What a benchmark prints: tables, ratios, and whether they hold."""

from __future__ import annotations

import argparse

HOLDS, BROKEN = "Holds", "Does not hold"
WIDE_MARGIN = 2.0
"""By how much a ratio may be larger in a quick run, which is short and may share its machine."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure less, and judge by twice the limits")
    return parser


class Report:
    """
    Collect the tables of a benchmark, and what must hold.

    :param quick: whether the run is a quick one.
    """

    def __init__(self, *, quick: bool) -> None:
        self._margin = WIDE_MARGIN if quick else 1.0
        self._tables: list[str] = []
        self._claims: list[tuple[bool, str]] = []

    def table(self, title: str, *columns: str) -> None:
        """Begin a table."""
        self._tables += ["", f"**{title}**", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]

    def row(self, *cells: str) -> None:
        """Add a row to it."""
        self._tables.append(f"| {' | '.join(cells)} |")

    def at_most(self, what: str, ratio: float, limit: float) -> None:
        """
        Note a ratio that must not be larger than its limit.

        :param what: what is divided by what.
        :param ratio: the ratio that was measured.
        :param limit: what it may be at most; a quick run allows a wide margin.
        """
        allowed = limit * self._margin
        margin = "" if self._margin == 1.0 else f", and {allowed:g} in a quick run"
        self._claims.append((ratio <= allowed, f"{what}: {ratio:.3f}, at most {limit:g}{margin}"))

    def require(self, what: str, holds: bool) -> None:
        """Note what must hold, whatever the machine."""
        self._claims.append((holds, what))

    def end(self) -> int:
        """Print all, and return the exit status: 1 if something does not hold."""
        print("\n".join(self._tables).strip() + "\n")
        for holds, what in self._claims:
            print(f"{HOLDS if holds else BROKEN}: {what}")
        return 0 if all(holds for holds, _ in self._claims) else 1
