"""The last lines of a task's log: what became of each request, for people who do not read the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.outcome import ErasureOutcome

ROWS = 20
"""How many requests are listed; those that are not wholly erased come first."""

HEADINGS = ("request", "users", "erased", "open", "not erased")


@dataclass(frozen=True, slots=True)
class Row:
    """
    Tell of one request.

    :param name: its id, or what stands for it.
    :param outcome: the counts.
    """

    name: str
    outcome: ErasureOutcome


def outcome_table(rows: Sequence[Row], total: ErasureOutcome, output: Mapping[str, object]) -> str:
    """
    Write what became of each request, and of all together.

    :param rows: one for each request.
    :param total: of all people.
    :param output: what the task returns, for what was found beside the counts.
    """
    shown = sorted(rows, key=lambda row: row.outcome.erased == row.outcome.user_count)[:ROWS]
    cells = [HEADINGS, *(_cells(row.name, row.outcome) for row in shown)]
    if len(rows) > len(shown):
        cells.append((f"… and {len(rows) - len(shown)} more", "", "", "", ""))
    cells.append(_cells("all", total))
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [_line(line, widths) for line in cells]
    return "\n".join(["What came of it:", *lines, *_notes(output)])


def _cells(name: str, outcome: ErasureOutcome) -> tuple[str, ...]:
    counts = (outcome.user_count, outcome.erased, outcome.open, outcome.not_erased)
    return (name, *map(str, counts))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *counts = cells
    columns = [name.ljust(widths[0]), *(count.rjust(width) for count, width in zip(counts, widths[1:], strict=True))]
    return "  ".join(columns).rstrip()


def _notes(output: Mapping[str, object]) -> list[str]:
    notes = []
    match output.get("deadline"):
        case {"regime": str(regime), "due_on": str(due_on), "days_left": int(days)}:
            notes.append(f"Deadline ({regime.upper()}): {due_on}, days left: {days}")
    match output.get("verification"):
        case {"gone": int(gone), "found": int(found), "not_checkable": int(unclear), "not_checked": int(unchecked)}:
            notes.append(
                f"Looked for again: {gone} gone, {found} found, {unclear} not checkable, {unchecked} not checked"
            )
    match output.get("receipt"):
        case {"uri": str(uri)}:
            notes.append(f"Evidence: {uri}")
    return notes
