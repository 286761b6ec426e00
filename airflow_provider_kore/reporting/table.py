"""The last lines of a task's log: the outcome of each batch, for readers of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.outcome import ErasureOutcome

MAX_ROWS = 20
"""How many batches are listed; those that are not wholly erased come first."""

HEADINGS = ("request", "users", "erased", "open", "not erased")


@dataclass(frozen=True, slots=True)
class Row:
    """
    The outcome of one batch.

    :param name: its request id, or what stands for it.
    :param outcome: the counts.
    """

    name: str
    outcome: ErasureOutcome


def outcome_table(rows: Sequence[Row], output: Mapping[str, object]) -> str:
    """
    Write the outcome of each batch, and of all together.

    :param rows: one for each batch.
    :param output: what the task returns, for what is known beside the counts.
    """
    from tabulate import tabulate  # type: ignore[import-untyped] # parsing a DAG needs no table

    total = Row("all", sum((row.outcome for row in rows), ErasureOutcome()))
    ordered = sorted(rows, key=lambda row: row.outcome.erased == row.outcome.user_count)
    cells = [_cells(row) for row in ordered[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        cells.append([f"… and {len(rows) - MAX_ROWS} more"])
    table = tabulate(
        [*cells, _cells(total)],
        HEADINGS,
        tablefmt="plain",
        disable_numparse=True,  # a request id can be text of digits
        colalign=("left", *["right"] * 4),
    )
    return "\n".join(["Outcome of each request:", table, *_notes(output)])


def _cells(row: Row) -> list[object]:
    outcome = row.outcome
    return [row.name, outcome.user_count, outcome.erased, outcome.open, outcome.not_erased]


def _notes(output: Mapping[str, object]) -> list[str]:
    notes = []
    match output.get("deadline"):
        case {"regime": str(regime), "due_on": str(due_on), "days_left": int(days)}:
            notes.append(f"Deadline ({regime.upper()}): {due_on}, days left: {days}")
    match output.get("verification"):
        case {"gone": int(gone), "found": int(found), "not_checkable": int(unclear), "not_checked": int(unchecked)}:
            notes.append(f"Verification: {gone} gone, {found} found, {unclear} not checkable, {unchecked} not checked")
    match output.get("receipt"):
        case {"uri": str(uri)}:
            notes.append(f"Receipt: {uri}")
    return notes
