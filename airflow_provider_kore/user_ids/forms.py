"""The forms of files, by the end of their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO

from airflow_provider_kore.user_ids.columns import ListError
from airflow_provider_kore.user_ids.table_forms import read_excel, read_parquet
from airflow_provider_kore.user_ids.text_forms import Placed, read_csv, read_json, read_json_lines, read_text, read_tsv

Reader = Callable[[IO[bytes], "str | None"], Placed]

TEXT_FORMS: dict[str, Reader] = {
    ".txt": read_text,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
}
"""By the end of a file's name; each may end in ``.gz`` besides."""

TABLE_FORMS: dict[str, Reader] = {".parquet": read_parquet, ".xlsx": read_excel}


def find_reader(uri: str) -> tuple[Reader, bool]:
    """
    Find the reader of a file, and whether the file is packed.

    A query string or a fragment is no part of its name.

    :raises ListError: if its name tells no form.
    """
    name = PurePosixPath(re.split(r"[?#]", uri.rpartition("/")[2])[0].lower())
    is_packed = name.suffix == ".gz"
    suffix = (name.with_suffix("") if is_packed else name).suffix
    reader = TEXT_FORMS.get(suffix) or (None if is_packed else TABLE_FORMS.get(suffix))
    if reader is None:
        end = suffix + (".gz" if is_packed else "")
        raise ListError(
            f"its name {f'ends in {end}' if end else 'has no end that tells its form'}, and what is in it is not known",
            f"Name it by its form: {', '.join(TEXT_FORMS)}, each also with .gz; or {', '.join(TABLE_FORMS)}.",
        )
    return reader, is_packed
