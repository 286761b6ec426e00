"""User ids that a query of a database gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.columns import Columns
from airflow_provider_kore.user_ids.source import UserIdSource

ROWS_AT_ONCE = 1000


class SqlUserIds(UserIdSource):
    """
    Read user ids by a query, of which Airflow stores the text and none of the ids.

    Rows are fetched in batches, from a cursor at the server where the database has such. The order must be the same
    each time, or a retry cannot go on where the try before it ended: end the query with ``ORDER BY``.

    :param conn_id: an Airflow connection to a database whose hook is a ``DbApiHook``. Templated.
    :param sql: the query. Templated; put no person's name into it.
    :param column: the column that holds the user id. Without it the query must give that column alone, or the columns
        ``channel_id`` and ``channel_user_id``. Templated.
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

        :raises KoreSourceError: if the query fails; the error names the kind of failure, and not the database's own
            text, which may hold a person's id.
        :raises KoreInputError: if it gives other columns.
        """
        number = 0
        try:
            for number, row in enumerate(self._rows(), start=1):  # noqa: B007 # told if the next row fails
                yield row
        except KoreInputError:
            raise
        except Exception as error:  # noqa: BLE001 # each database has exceptions of its own
            raise KoreSourceError(
                f"The user ids cannot be queried: {type(error).__name__} after row {number}.",
                remedy="Check the connection and the query, and that the database can be reached; then try again.",
            ) from None

    def _rows(self) -> Iterator[object]:
        from airflow.sdk import BaseHook

        hook: Any = BaseHook.get_hook(self.conn_id)
        if not hasattr(hook, "get_sqlalchemy_engine"):
            raise self._fault(f"the connection {self.conn_id} is not one to an SQL database")
        engine = hook.get_sqlalchemy_engine()
        try:
            with engine.connect() as connection:
                result = connection.execution_options(yield_per=ROWS_AT_ONCE, no_parameters=True).exec_driver_sql(self.sql)
                names = list(result.keys())
                # A lone column is the one that is meant; of a file it could be a header that is missing.
                column = names[0] if len(names) == 1 and self.column is None else self.column
                columns = Columns(names, column, self._fault)
                for number, row in enumerate(result, start=1):
                    yield columns.pick(row, f"row {number}")
        finally:
            engine.dispose()

    @staticmethod
    def _fault(reason: str, remedy: str = "Check the connection and the query.") -> KoreInputError:
        return KoreInputError(f"The user ids cannot be queried: {reason}.", remedy=remedy)
