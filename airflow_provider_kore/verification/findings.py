"""What a verification found of each user, in a form that another process can read and complete."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.period import Period
from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT, UserRef

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.account import KoreAccount

T = TypeVar("T", int, tuple[int, int])


class Finding(StrEnum):
    """What a verification found of one user."""

    GONE = "gone"
    FOUND = "found"
    NOT_CHECKABLE = "not_checkable"
    NOT_CHECKED = "not_checked"


def sample_seed(context: Context, account: KoreAccount) -> bytes:
    """Make the seed of a sample: all attempts of a task share it, and without the account's key no one can guess it."""
    task_instance = context["ti"]
    names = [task_instance.dag_id, task_instance.run_id, task_instance.task_id, task_instance.map_index]
    return hmac.new(account.fingerprint_key(), json.dumps(names).encode(), hashlib.sha256).digest()


@dataclass(slots=True)
class Verification:
    """
    Record what is found of each user. A pydantic ``TypeAdapter`` writes and reads it; it contains no user id.

    *Gone* means that every query about the user was answered, and each with nothing. An error answer means *not
    checkable*, whatever it says.

    :param people: ``"all"`` or ``"sample:N"``.
    :param scope: the bots that are asked about.
    :param channel_types: the channels whose messages are asked for.
    :param period: of the sessions and messages that are asked for.
    :param chosen: the users of the sample, by ascending number from 0; ``None`` for all.
    :param done: all chosen users before this number have a finding.
    :param answered: how many queries about the next user are answered, each with nothing.
    :param refused: what Kore.ai refused about the next user, see :class:`UserSearch`.
    :param found: batch, and position from 0, of the users who are found; ascending.
    :param not_checkable: the same of the users who are not checkable.
    :param found_users: names the first of the users who are found.
    :param not_checkable_users: names the first of the users who are not checkable.
    """

    people: str
    scope: ErasureScope
    channel_types: tuple[str, ...]
    period: Period
    chosen: list[int] | None
    done: int = 0
    answered: int = 0
    refused: list[str] = field(default_factory=list)
    found: list[tuple[int, int]] = field(default_factory=list)
    not_checkable: list[tuple[int, int]] = field(default_factory=list)
    found_users: list[UserRef] = field(default_factory=list)
    not_checkable_users: list[UserRef] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        people: str,
        scope: ErasureScope,
        channel_types: tuple[str, ...],
        period: Period,
        user_count: int,
        seed: bytes,
    ) -> Verification:
        """
        Choose which users to verify.

        :param people: see :func:`~airflow_provider_kore.options.check_sample`.
        :param user_count: how many users there are.
        :param seed: the same seed chooses the same sample, so that a retry checks again the users who were found.
        """
        chosen = None
        if people != "all":
            size = min(int(people.removeprefix("sample:")), user_count)
            chosen = sorted(random.Random(seed).sample(range(user_count), size))  # noqa: S311
        return cls(people, scope, channel_types, period, chosen)

    def includes(self, number: int) -> bool:
        """Tell whether the user of this number, from 0, is to be verified."""
        return self.chosen is None or _contains(self.chosen, number)

    def record(self, number: int, user: UserRef, finding: Finding) -> None:
        """Record what is found of the user of this number, from 0; numbers ascend."""
        if finding is not Finding.GONE:
            positions, users = (
                (self.found, self.found_users)
                if finding is Finding.FOUND
                else (self.not_checkable, self.not_checkable_users)
            )
            positions.append((user["batch"], user["position"] - 1))
            if len(users) < NAMED_IN_OUTPUT:
                users.append(user)
        self.done, self.answered, self.refused = number + 1, 0, []

    def finding(self, number: int, batch: int, position: int) -> Finding:
        """
        Return what is found of one user.

        :param number: which of all users, from 0.
        :param batch: number of the batch, from 1.
        :param position: in the batch, from 0.
        """
        if _contains(self.found, (batch, position)):
            return Finding.FOUND
        if not self.includes(number):
            return Finding.NOT_CHECKED
        if number >= self.done or _contains(self.not_checkable, (batch, position)):
            return Finding.NOT_CHECKABLE
        return Finding.GONE

    def counts(self, user_count: int) -> dict[str, int]:
        """
        Count the users by finding; the sum is ``user_count``.

        :param user_count: how many users there are.
        """
        if self.chosen is None:
            wanted, checked = user_count, min(self.done, user_count)
        else:
            wanted, checked = len(self.chosen), bisect_left(self.chosen, self.done)
        return {
            Finding.GONE.value: checked - len(self.found) - len(self.not_checkable),
            Finding.FOUND.value: len(self.found),
            # A user for whom there was no time left was asked for, and is not left out silently.
            Finding.NOT_CHECKABLE.value: len(self.not_checkable) + wanted - checked,
            Finding.NOT_CHECKED.value: user_count - wanted,
        }

    def output(self, user_count: int) -> dict[str, object]:
        """
        Return what a task returns of the verification.

        :param user_count: how many users there are.
        """
        users = {"found_users": self.found_users, "not_checkable_users": self.not_checkable_users}
        return {
            **self.counts(user_count),
            **self.period.to_json(),
            **{name: references for name, references in users.items() if references},
        }


def _contains(ascending: Sequence[T], value: T) -> bool:
    index = bisect_left(ascending, value)
    return index < len(ascending) and ascending[index] == value
