"""User ids that a query of a database gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.columns import ListError, find_columns
from airflow_provider_kore.user_ids.source import UserIdSource, check_texts

ROWS_AT_ONCE = 1000
_REFUSALS = frozenset({"SQLITE_ERROR", "error 1054", "error 1142", "error 1143"})
"""SQLite refuses a query; MySQL knows no such column, or does not let its user read a table or a column."""
_CODE = re.compile(r"[0-9A-Z]{5}|SQLITE_[A-Z_]+|error [0-9]+")


class SqlUserIds(UserIdSource):
    """
    Read user ids by a query, of which Airflow stores the text and none of the ids.

    Rows are fetched in batches, from a cursor at the server where the database has such. The order must be the same
    each time, or a retry cannot resume where the attempt before it ended: end the query with ``ORDER BY``.

    :param conn_id: an Airflow connection to a database whose hook is a ``DbApiHook``. Templated.
    :param sql: the query, which the database gets as it is written: ``%`` needs no doubling. Templated; put no user's
        name into it.
    :param column: the column that contains the user id. Without it the query must give that column alone, or the
        columns ``channel_id`` and ``channel_user_id``. Templated.
    """

    template_fields: Sequence[str] = ("conn_id", "sql", "column")

    def __init__(self, conn_id: str, sql: str, column: str | None = None) -> None:
        self.conn_id = conn_id
        self.sql = sql
        self.column = column

    def __repr__(self) -> str:
        return f"user ids by a query through {self.conn_id}"

    def read(self) -> Iterator[object]:
        """
        Run the query and read its rows.

        :raises KoreSourceError: if the database cannot be reached or breaks off; a retry may help.
        :raises KoreInputError: if the database refuses the query, or it gives other columns; a retry does not help.
            Both errors name the kind of failure, and not the database's own text, which may contain a user id.
        """
        check_texts(self)
        number = 0
        try:
            for number, row in enumerate(self._rows(), start=1):  # noqa: B007 # said if the next row fails
                yield row
        except KoreInputError:
            raise
        except ListError as error:
            raise _refuse(error.reason) from None
        except Exception as error:  # noqa: BLE001 # each database has exceptions of its own
            cause = f"{_cause_of(error)} after row {number}"
            if _is_refusal(error):
                raise _refuse(
                    cause,
                    remedy="Correct the query, or the rights of the connection's user, and clear the task. Run the "
                    "query by itself to see the database's own text: it is withheld, since it may show user ids.",
                ) from None
            raise KoreSourceError(
                f"The user ids cannot be queried: {cause}.",
                remedy="Check the connection, and that the database can be reached; then run the task again.",
            ) from None

    def _rows(self) -> Iterator[object]:
        from airflow.sdk import BaseHook

        hook: Any = BaseHook.get_hook(self.conn_id)
        if not hasattr(hook, "get_sqlalchemy_engine"):
            raise _refuse(f"the connection {self.conn_id} is not one to an SQL database")
        engine = hook.get_sqlalchemy_engine()
        try:
            with engine.connect() as connection:
                # Without no_parameters many drivers read each % as a place for a parameter.
                options = connection.execution_options(yield_per=ROWS_AT_ONCE, no_parameters=True)
                result = options.exec_driver_sql(self.sql)
                names = list(result.keys())
                # A lone column is the one that is meant; of a file it could be a header that is missing.
                column = names[0] if len(names) == 1 and self.column is None else self.column
                yield from map(find_columns(names, column), result)
        finally:
            engine.dispose()


def _is_refusal(error: Exception) -> bool:
    """Tell whether the database, or SQLAlchemy before it, would refuse the same query again."""
    from sqlalchemy import exc

    if isinstance(error, exc.DBAPIError):
        if error.connection_invalidated:
            return False
        # Some drivers call an unknown table or column an OperationalError, as they call a lost connection.
        codes = _codes_of(error.orig)
        return isinstance(error, exc.ProgrammingError | exc.DataError | exc.NotSupportedError) or bool(
            codes & _REFUSALS or any(code.startswith("42") and len(code) == 5 for code in codes)
        )
    return isinstance(error, exc.ArgumentError | exc.InvalidRequestError)


def _codes_of(error: object) -> set[str]:
    """List the codes that a database's driver gives: of SQLSTATE, of SQLite, of MySQL."""
    codes = {getattr(error, name, None) for name in ("pgcode", "sqlstate", "sqlite_errorname")}
    number = next(iter(getattr(error, "args", ())), None)
    if type(number) is int and 0 < number < 100_000:
        codes.add(f"error {number}")
    return {code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)}


def _cause_of(error: Exception) -> str:
    """Name the kind of failure by classes and codes, which cannot contain an id."""
    original = getattr(error, "orig", None)
    details = [*sorted(_codes_of(original))]
    if original is not None and type(original).__name__ != type(error).__name__:
        details.insert(0, type(original).__name__)
    return type(error).__name__ + (f" ({', '.join(details)})" if details else "")


def _refuse(reason: str, remedy: str = "Check the connection and the query.") -> KoreInputError:
    return KoreInputError(f"The user ids cannot be queried: {reason}.", remedy=remedy)
