"""The users of a task in batches, never more than one of which is in memory."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from itertools import repeat
from typing import Protocol, TypeVar

from airflow_provider_kore.api.users import (
    UserId,
    canonical_name,
    check_user_count,
    check_user_id,
    fingerprint_in_order,
    folded_name,
    log_folded,
)
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import source_of

log = logging.getLogger(__name__)

Batch = tuple[UserId, ...]

USUAL_BATCH_SIZE = 100
"""Most users in one batch, if nobody says otherwise."""


class KnownBatch(Protocol):
    """What must be known of a batch to read its users again."""

    @property
    def number(self) -> int:
        """Which batch, from 1."""
        ...

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its users in their order."""
        ...


KnownBatchT = TypeVar("KnownBatchT", bound=KnownBatch)


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """
    Describe a batch without its users.

    :param number: which batch, from 1.
    :param user_count: how many users it has.
    :param fingerprint: of its users in their order.
    """

    number: int
    user_count: int
    fingerprint: str

    @classmethod
    def of(cls, number: int, batch: Sequence[UserId], key: bytes) -> PlannedBatch:
        """Describe a batch of these users."""
        return cls(number, len(batch), fingerprint_in_order(batch, key))


class UserBatches:
    """
    Cut users into batches, in their order, and read them from their source each time they are gone through.

    Each user id is checked as it is read, so whoever must not send half of a bad list goes through all of it first.
    Duplicates are folded into the first of them; e-mail addresses that differ in case alone are duplicates.

    :param user_ids: what an operator was given: a source, the URI of a file, a function or a list.
    :param batch_size: most users in one batch; or the size of each batch, of which there are no more then.
    :param most: how many users there may be in all.
    :ivar duplicates: how many exact duplicates were folded when the users were last gone through.
    :ivar spellings: how many e-mail addresses were folded then that differ from an earlier one in case alone.
    :ivar people: the fingerprint of all users in their order, once they were planned; the size of batches is not in it.
    """

    def __init__(self, user_ids: object, batch_size: int | Sequence[int], most: int) -> None:
        self._source = source_of(user_ids)
        self._batch_size = batch_size
        self._most = most
        self.duplicates = self.spellings = 0
        self.people = ""

    def __iter__(self) -> Iterator[Batch]:
        """
        Read the users, batch by batch.

        :raises KoreSourceError: if they cannot be read just now.
        :raises KoreInputError: if one of them is not a user id, or there are too many.
        """
        self.duplicates = self.spellings = 0
        batch: list[UserId] = []
        sizes = repeat(self._batch_size) if isinstance(self._batch_size, int) else iter(self._batch_size)
        size = next(sizes, 0)
        user_count = 0
        with closing(_UsersRead()) as users_read:
            for position, value in enumerate(self._source.read(), start=1):
                user_id = check_user_id(value, position)
                match users_read.add(user_id):
                    case _Read.BEFORE:
                        self.duplicates += 1
                        continue
                    case _Read.IN_OTHER_CASE:
                        self.spellings += 1
                        continue
                user_count += 1
                check_user_count(user_count, self._most)
                batch.append(user_id)
                if len(batch) == size:
                    yield tuple(batch)
                    batch.clear()
                    size = next(sizes, 0)
        if batch:
            yield tuple(batch)

    def plan(self, key: bytes) -> list[PlannedBatch]:
        """
        Read and check all users, so that nobody of a bad list is submitted, and describe each batch.

        :param key: makes fingerprints.
        :raises KoreInputError: see :meth:`__iter__`.
        """
        planned = [PlannedBatch.of(number, batch, key) for number, batch in enumerate(self.known_by(key), start=1)]
        log_folded(self.duplicates, self.spellings)
        log.info("%d users in %d batches.", sum(batch.user_count for batch in planned), len(planned))
        return planned

    def known_by(self, key: bytes) -> Iterator[Batch]:
        """
        Read the users, batch by batch, and make the fingerprint of all.

        :param key: makes fingerprints.
        """
        people = hmac.new(key, digestmod=hashlib.sha256)
        for batch in self:
            for user_id in batch:
                people.update(canonical_name(user_id) + b"\n")
            yield batch
        self.people = f"ku:{people.hexdigest()[:32]}"

    def reread(self, batches: Sequence[KnownBatchT], key: bytes) -> Iterator[tuple[KnownBatchT, Batch]]:
        """
        Read the users of some batches again.

        :param batches: in their order.
        :param key: makes fingerprints.
        :raises KoreInputError: at the first batch that is not what it was.
        """
        wanted = {batch.number: batch for batch in batches}
        for number, users in enumerate(self if wanted else (), start=1):
            if (batch := wanted.pop(number, None)) is not None:
                if batch.fingerprint != fingerprint_in_order(users, key):
                    raise _source_changed(number)
                yield batch, users
            if not wanted:
                return
        if wanted:
            raise _source_changed(min(wanted))


def _source_changed(number: int) -> KoreInputError:
    return KoreInputError(
        f"The source of the user ids has changed: batch {number} is not what it was.",
        remedy="Put the source back as it was and clear the task.",
    )


class _Read(Enum):
    """Whether a user was read before."""

    FIRST = auto()
    BEFORE = auto()
    IN_OTHER_CASE = auto()


class _UsersRead:
    """
    Remember which users were read, outside the memory, and without writing down who they are.

    What is kept are hashes under a key that is forgotten, in a temporary database that SQLite itself removes.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE users_read (user BLOB PRIMARY KEY, spelling BLOB) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, user_id: UserId) -> _Read:
        """Add a user, and return whether there was one before."""
        name, folded = canonical_name(user_id), folded_name(user_id)
        user = self._mark(folded, 16)
        spelling = None if name == folded else self._mark(name, 8)
        try:
            if self._database.execute("INSERT OR IGNORE INTO users_read VALUES (?, ?)", (user, spelling)).rowcount == 1:
                return _Read.FIRST
            first = self._database.execute("SELECT spelling FROM users_read WHERE user = ?", (user,)).fetchone()
        except sqlite3.Error as error:
            raise KoreSourceError(
                f"The user ids cannot be searched for duplicates ({type(error).__name__}).",
                remedy="Give the worker room in its folder for temporary files: about 40 MB for a million users.",
            ) from None
        return _Read.BEFORE if first == (spelling,) else _Read.IN_OTHER_CASE

    def _mark(self, name: bytes, size: int) -> bytes:
        return hashlib.blake2b(name, key=self._key, digest_size=size).digest()

    def close(self) -> None:
        self._database.close()
