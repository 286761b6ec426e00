"""Read user ids from a column of Parquet or of an Excel workbook, each value with its place."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import astuple
from itertools import islice
from typing import IO, Any

from airflow_provider_kore.api.users import CHANNEL_KEYS, ChannelUserId
from airflow_provider_kore.user_ids.columns import ListError, find_columns
from airflow_provider_kore.user_ids.text_forms import Placed

ROWS_AT_ONCE = 1000


def read_parquet(file: IO[bytes], column: str | None) -> Placed:
    """Read a column of Parquet, and no other, a thousand rows at a time."""
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    except ImportError:
        raise _lacks("pyarrow", "parquet") from None
    wanted = list(CHANNEL_KEYS) if column is None else [column]
    try:
        table = parquet.ParquetFile(file, pre_buffer=False)
        find_columns(table.schema_arrow.names, column)
        pick = find_columns(wanted, column)
        rows = (
            row
            for batch in table.iter_batches(ROWS_AT_ONCE, columns=wanted, use_threads=False)
            for row in zip(*(batch.column(name).to_pylist() for name in wanted), strict=True)
        )
        for number, row in enumerate(rows, start=1):
            yield f"row {number}", pick(row)
    except (ArrowException, OSError):  # those of the storage are no OSErrors here
        raise ListError("it is not Parquet, or not whole, or of a kind that pyarrow does not read") from None


def read_excel(file: IO[bytes], column: str | None) -> Placed:
    """
    Read a column of the one worksheet of a workbook that is not empty; its first row is the header.

    Only cells with text are user ids: Excel changes what it takes for a number. Hidden rows are refused, since a filter
    may hide users who are not meant, and so are several worksheets.
    """
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped]
    except ImportError:
        raise _lacks("openpyxl", "excel") from None
    try:
        with zipfile.ZipFile(file) as archive:
            if _has_hidden_rows(archive):
                raise ListError(
                    "it has hidden rows, as a filter makes them, and whether those users are meant is not known",
                    "Show all rows, or copy those that are meant into a workbook of their own.",
                )
    except zipfile.BadZipFile:
        raise ListError(
            "it is no Excel workbook, or not whole, or protected by a password", "Save it as .xlsx without a password."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl's show cells
        workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    sheets = [sheet for sheet in workbook.worksheets if any(_read_rows(sheet))]
    if len(sheets) > 1:
        raise ListError(
            f"it has {len(sheets)} worksheets that are not empty",
            "Leave one worksheet in the workbook, which contains all users.",
        )
    if not sheets:
        raise ListError("it has no worksheet that is not empty")
    rows = _read_rows(sheets[0])
    header = next(rows)
    pick = find_columns(header, column)
    empty_since: str | None = None
    for number, row in enumerate(rows, start=2):
        place = f"row {number}"
        if not row:
            empty_since = empty_since or place
            continue  # below the last row Excel leaves empty ones, which are no users
        if empty_since:
            raise ListError(f"{empty_since} is empty")
        if len(row) > len(header):
            raise ListError(f"{place} has {len(row)} fields and not {len(header)}")
        value = pick(row + (None,) * (len(header) - len(row)))
        for part in astuple(value) if isinstance(value, ChannelUserId) else (value,):
            if isinstance(part, str) and _ESCAPED.search(part):
                raise ListError(f"{place} contains a control character", "Enter the user id again in this cell.")
        yield place, value


def _read_rows(sheet: Any) -> Iterator[tuple[object, ...]]:  # noqa: ANN401 # openpyxl has no types
    """Read the rows of a worksheet, each without the empty cells at its end."""
    sheet.reset_dimensions()  # what a program wrote there may be less than there is
    rows = sheet.iter_rows(values_only=True)
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's show cells
            at_once = list(islice(rows, ROWS_AT_ONCE))
        if not at_once:
            return
        for cells in at_once:
            filled = len(cells)
            while filled and cells[filled - 1] is None:
                filled -= 1
            yield cells[:filled]


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


def _lacks(module: str, extra: str) -> ListError:
    return ListError(
        f"the module {module} is not installed on the worker", f"Install airflow-provider-kore[{extra}] there."
    )
