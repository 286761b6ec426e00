"""A SQLite database as text, to look for what must not be in it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cryptography.fernet import Fernet

FERNET_PREFIX = "gAAAA"


def database_text(path: Path, fernet_key: str) -> str:
    """
    Write out every column of every table, encrypted values in the clear, and then the files as they are.

    A table shows what is there; the files also show what was there and is deleted.
    """
    lines = [f"{table}.{column}: {text}" for table, column, text in database_values(path, fernet_key)]
    for file in sorted(path.parent.glob(f"{path.name}*")):
        lines.append(file.read_bytes().decode(errors="replace"))
    return "\n".join(lines)


def database_values(path: Path, fernet_key: str) -> Iterator[tuple[str, str, str]]:
    """Read every value of every table: its table, its column, and the value as text, in the clear if encrypted."""
    fernet = Fernet(fernet_key)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the name is the database's own
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if value is not None:
                        yield table, column, _clear_text(value, fernet)


def _clear_text(value: object, fernet: Fernet) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return fernet.decrypt(text).decode(errors="replace") if text.startswith(FERNET_PREFIX) else text
