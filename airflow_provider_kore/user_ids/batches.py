"""The users of a task in batches, never more than one of which is in memory."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from airflow_provider_kore.api.users import UserId, canonical_name, check_user_count, check_user_id
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.argument import InlineUserIds
from airflow_provider_kore.user_ids.source import Opener, UserIdSource

log = logging.getLogger(__name__)

Batch = tuple[UserId, ...]

USUAL_BATCH_SIZE = 100
"""Most users in one batch by default."""


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


@dataclass
class UserBatches:
    """
    Cut users into batches, in their order, and read them from their source at each iteration.

    Each user id is checked as it is read, so a caller that must not send half of a bad list calls :meth:`plan` first. A
    user who occurs twice is sent once; e-mail addresses that differ in case alone name one user.

    :param user_ids: the source, or a list.
    :param batch_size: most users in one batch.
    :param max_users: how many users there may be in all.
    :param key: makes fingerprints.
    :param opener: opens sealed user ids; without it they are refused.
    :ivar fingerprint: of all users in their order, after the first iteration; the size of batches does not change it.
    """

    user_ids: object = field(repr=False)
    batch_size: int
    max_users: int
    key: bytes = field(repr=False)
    opener: Opener | None = field(default=None, repr=False)
    fingerprint: str = field(default="", init=False)

    def __iter__(self) -> Iterator[tuple[PlannedBatch, Batch]]:
        """
        Read the users, batch by batch.

        :raises KoreSourceError: if they cannot be read just now.
        :raises KoreInputError: if one of them is not a user id, or there are too many.
        """
        source = self.user_ids if isinstance(self.user_ids, UserIdSource) else InlineUserIds(self.user_ids)
        if self.opener is not None:
            source = source.opened_by(self.opener)
        of_all, of_batch = hmac.new(self.key, digestmod="sha256"), hmac.new(self.key, digestmod="sha256")
        batch: list[UserId] = []
        number = user_count = position = 0
        with closing(_SeenUsers()) as seen:
            for position, value in enumerate(source.read(), start=1):
                user_id = check_user_id(value, position)
                name = canonical_name(user_id) + b"\n"
                if not seen.add(name):
                    continue
                user_count += 1
                check_user_count(user_count, self.max_users)
                of_all.update(name)
                of_batch.update(name)
                batch.append(user_id)
                if len(batch) == self.batch_size:
                    number += 1
                    yield PlannedBatch(number, len(batch), of_batch.hexdigest()[:32]), tuple(batch)
                    batch, of_batch = [], hmac.new(self.key, digestmod="sha256")
        if batch:
            number += 1
            yield PlannedBatch(number, len(batch), of_batch.hexdigest()[:32]), tuple(batch)
        if not self.fingerprint:
            log.info("%d users in %d batches.", user_count, number)
            if position > user_count:
                log.info(
                    "%d duplicates among the user ids are left out; the case of an e-mail address does not count.",
                    position - user_count,
                )
        self.fingerprint = f"ku:{of_all.hexdigest()[:32]}"

    def plan(self) -> list[PlannedBatch]:
        """
        Read and check all users, so that no user of a bad list is submitted, and describe each batch.

        :raises KoreInputError: see :meth:`__iter__`.
        """
        return [planned for planned, _ in self]

    def reread(self, batches: Sequence[KnownBatchT]) -> Iterator[tuple[KnownBatchT, Batch]]:
        """
        Read the users of some batches again.

        :param batches: in their order.
        :raises KoreInputError: at the first batch that is not what it was.
        """
        wanted = {batch.number: batch for batch in batches}
        for planned, users in self if wanted else ():
            if (batch := wanted.pop(planned.number, None)) is not None:
                if batch.fingerprint != planned.fingerprint:
                    raise _source_changed(planned.number)
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


def find_user(user_ids: object, batch: int, position: int, batch_size: int) -> UserId:
    """
    Find the user to whom a task refers by a batch and a position in it.

    :param user_ids: the source or the list that the task read.
    :param batch: number of the batch, from 1.
    :param position: in the batch, from 1.
    :param batch_size: of the task.
    :raises KoreInputError: if there is no such user, or one of those before is no user id.
    """
    batch_count = 0
    for planned, users in UserBatches(user_ids, batch_size, sys.maxsize, secrets.token_bytes(32)):
        batch_count = planned.number
        if batch_count == batch and position <= planned.user_count:
            return users[position - 1]
        if batch_count == batch:
            raise _no_such_user(f"Batch {batch} has {planned.user_count} users, and no position {position}.")
    raise _no_such_user(f"There is no batch {batch}: the users fill {batch_count}.")


def _no_such_user(problem: str) -> KoreInputError:
    return KoreInputError(problem, remedy="Pass the source that the task read, and the batch_size of the task.")


class _SeenUsers:
    """
    Remember users outside the memory, and without writing down who they are.

    What is stored are hashes under a random key, in a temporary database that SQLite itself removes.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (user BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, name: bytes) -> bool:
        """Add a user, and return whether it is new."""
        user = hashlib.blake2b(name, key=self._key, digest_size=16).digest()
        try:
            return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (user,)).rowcount == 1
        except sqlite3.Error as error:
            raise KoreSourceError(
                f"The user ids cannot be searched for duplicates ({type(error).__name__}).",
                remedy="Give the worker room in its folder for temporary files: about 40 MB for a million users.",
            ) from None

    def close(self) -> None:
        self._database.close()
