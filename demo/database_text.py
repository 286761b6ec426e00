"""A metadata database as text, to look for what must not be in it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cryptography.fernet import Fernet
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

FERNET_PREFIX = "gAAAA"


def database_text(url: str, fernet_key: str) -> str:
    """
    Write out every column of every table, encrypted values in the clear, and then the files of SQLite as they are.

    A table shows what is there; the files also show what was there and is deleted.
    """
    lines = [f"{table}.{column}: {text}" for table, column, text in database_values(url, fernet_key)]
    lines += [file.read_bytes().decode(errors="replace") for file in _sqlite_files(url)]
    return "\n".join(lines)


def database_values(url: str, fernet_key: str) -> Iterator[tuple[str, str, str]]:
    """
    Read every value of every table: its table, its column, and the value as text, in the clear if encrypted.

    :param url: of the database, as SQLAlchemy writes it.
    :param fernet_key: the key by which Airflow encrypts values.
    """
    fernet = Fernet(fernet_key)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        for table in inspect(connection).get_table_names():
            with closing(connection.exec_driver_sql(f'SELECT * FROM "{table}"')) as rows:  # noqa: S608 - its own name
                columns = list(rows.keys())
                for row in rows:
                    for column, value in zip(columns, row, strict=True):
                        if value is not None:
                            yield table, column, _clear_text(value, fernet)


def _sqlite_files(url: str) -> list[Path]:
    """List the files of a database if it is SQLite's; a server keeps its files to itself."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or parts.database is None:
        return []
    path = Path(parts.database)
    return sorted(path.parent.glob(f"{path.name}*"))


def _clear_text(value: object, fernet: Fernet) -> str:
    match value:
        case bytes() | memoryview():
            text = bytes(value).decode(errors="replace")
        case dict() | list():  # as the driver of Postgres reads JSON
            text = json.dumps(value, ensure_ascii=False, default=str)
        case _:
            text = str(value)
    return fernet.decrypt(text).decode(errors="replace") if text.startswith(FERNET_PREFIX) else text
