"""The users of a task in batches, never more than one of which is in memory."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from airflow_provider_kore.api.users import UserId, canonical_name, check_user_count, check_user_id
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids import source_of

Batch = tuple[UserId, ...]


class UserBatches:
    """
    Cut users into batches, in their order, and read them from their source each time they are gone through.

    Each user id is checked as it is read, so whoever must not send half of a bad list goes through all of it first.
    Exact duplicates are folded into the first of them.

    :param user_ids: what an operator was given: a source, the URI of a file, a function or a list.
    :param batch_size: most users in one batch.
    :param most: how many users there may be in all.
    :ivar duplicates: how many were folded when the users were last gone through.
    """

    def __init__(self, user_ids: object, batch_size: int, most: int) -> None:
        self._source = source_of(user_ids)
        self._batch_size = batch_size
        self._most = most
        self.duplicates = 0

    def __iter__(self) -> Iterator[Batch]:
        """
        Read the users, batch by batch.

        :raises KoreInputError: if they cannot be read, one of them is not a user id, or there are too many.
        """
        self.duplicates = 0
        batch: list[UserId] = []
        user_count = 0
        with closing(_UsersRead()) as users_read:
            for position, value in enumerate(self._source.read(), start=1):
                user_id = check_user_id(value, position)
                if not users_read.add(user_id):
                    self.duplicates += 1
                    continue
                user_count += 1
                check_user_count(user_count, self._most)
                batch.append(user_id)
                if len(batch) == self._batch_size:
                    yield tuple(batch)
                    batch.clear()
        if batch:
            yield tuple(batch)


class _UsersRead:
    """
    Remember which users were read, outside the memory, and without writing down who they are.

    What is kept are hashes under a key that is forgotten, in a temporary database that SQLite itself removes.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE users_read (mark BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, user_id: UserId) -> bool:
        """Add a user, and tell whether it is a new one."""
        mark = hashlib.blake2b(canonical_name(user_id), key=self._key, digest_size=16).digest()
        try:
            return self._database.execute("INSERT OR IGNORE INTO users_read VALUES (?)", (mark,)).rowcount == 1
        except sqlite3.Error as error:
            raise KoreInputError(
                f"The user ids cannot be searched for duplicates ({type(error).__name__}).",
                remedy="Give the worker room in its folder for temporary files: about 30 MB for a million users.",
            ) from None

    def close(self) -> None:
        self._database.close()
