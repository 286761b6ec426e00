"""Read user ids from a column of Parquet or of an Excel workbook, each value with its place."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from airflow_provider_kore.user_ids.columns import Columns
from airflow_provider_kore.user_ids.text_forms import Placed
from airflow_provider_kore.user_ids.text_lines import FaultMaker

ROWS_AT_ONCE = 1000


def read_parquet(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """Read a column of Parquet, and no other, a thousand rows at a time."""
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    except ImportError:
        raise _lacks("pyarrow", "parquet", fault) from None
    try:
        table = parquet.ParquetFile(file, pre_buffer=False)
        names = table.schema_arrow.names
        positions = Columns(names, column, fault).positions
        wanted = [names[position] for position in positions]
        columns = Columns(wanted, column, fault)
        number = 0
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=wanted, use_threads=False):
            values = {name: batch.column(name).to_pylist() for name in wanted}
            for row in zip(*(values[name] for name in wanted), strict=True):
                number += 1
                yield f"row {number}", columns.pick(row, f"row {number}")
    except (ArrowException, OSError):  # those of the storage are no OSErrors here
        raise fault("it is not Parquet, or not whole, or of a kind that pyarrow does not read") from None


def read_excel(file: IO[bytes], column: str | None, fault: FaultMaker) -> Placed:
    """
    Read a column of the one worksheet of a workbook that is not empty; its first row is the header.

    Only cells with text are user ids: Excel changes what it takes for a number. Hidden rows are refused, since a filter
    may hide people who are not meant, and so are several worksheets.
    """
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped]
    except ImportError:
        raise _lacks("openpyxl", "excel", fault) from None
    try:
        with zipfile.ZipFile(file) as archive:
            if _has_hidden_rows(archive):
                raise fault(
                    "it has hidden rows, as a filter makes them, and whether those people are meant is not known",
                    "Show all rows, or copy those that are meant into a workbook of their own.",
                )
    except zipfile.BadZipFile:
        raise fault(
            "it is no Excel workbook, or not whole, or protected by a password", "Save it as .xlsx without a password."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl's show cells
        workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    sheets = [rows for sheet in workbook.worksheets if (rows := _Rows(sheet)).has_any]
    if len(sheets) > 1:
        raise fault(
            f"it has {len(sheets)} worksheets that are not empty",
            "Leave one worksheet in the workbook, which holds all users.",
        )
    if not sheets:
        raise fault("it has no worksheet that is not empty")
    yield from _read_rows(sheets[0], column, fault)


def _read_rows(rows: _Rows, column: str | None, fault: FaultMaker) -> Placed:
    numbered = enumerate(rows, start=1)
    _, header = next(numbered)
    header = _without_empty_end(header)
    columns = Columns(header, column, fault)
    empty_since: str | None = None
    for number, cells in numbered:
        place = f"row {number}"
        row = _without_empty_end(cells)
        if not row:
            empty_since = empty_since or place
            continue  # below the last row Excel leaves empty ones, which are no users
        if empty_since:
            raise fault(f"{empty_since} is empty")
        row += (None,) * (len(header) - len(row))
        value = columns.pick(row, place)
        for part in value.values() if isinstance(value, dict) else (value,):
            if isinstance(part, str) and _ESCAPED.search(part):
                raise fault(f"{place} holds a control character", "Enter the user id again in this cell.")
        yield place, value


def _without_empty_end(cells: tuple[object, ...]) -> tuple[object, ...]:
    filled = len(cells)
    while filled and cells[filled - 1] is None:
        filled -= 1
    return cells[:filled]


class _Rows:
    """
    The rows of a worksheet, a thousand at a time.

    :ivar has_any: whether any cell is filled.
    """

    def __init__(self, sheet: Any) -> None:  # noqa: ANN401 # openpyxl has no types
        self._sheet = sheet
        sheet.reset_dimensions()  # what a program wrote there may be less than there is
        self.has_any = any(_without_empty_end(cells) for cells in self)

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        rows = self._sheet.iter_rows(values_only=True)
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # openpyxl's show cells
                at_once = list(islice(rows, ROWS_AT_ONCE))
            if not at_once:
                return
            yield from at_once


_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_HIDDEN_ROW = re.compile(rb"""<(?:\w+:)?row\b[^>]*\shidden=["'](?:1|true)["']""")
_ESCAPED = re.compile(r"_x[0-9A-Fa-f]{4}_")
_CHUNK = 256 * 1024
_LONGEST_TAG = 4096


def _has_hidden_rows(archive: zipfile.ZipFile) -> bool:
    """Search the worksheets for hidden rows, which openpyxl does not show where it reads them as a stream."""
    for name in filter(_SHEET.fullmatch, archive.namelist()):
        with archive.open(name) as sheet:
            end = b""
            while chunk := sheet.read(_CHUNK):
                if _HIDDEN_ROW.search(end + chunk):
                    return True
                end = (end + chunk)[-_LONGEST_TAG:]
    return False


def _lacks(module: str, extra: str, fault: FaultMaker) -> Exception:
    return fault(
        f"the module {module} is not installed on the worker", f"Install airflow-provider-kore[{extra}] there."
    )
