"""The outcome of an erasure: of one user, or as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What is known of one user."""

    ERASED = "erased"
    OPEN = "open"
    NOT_ERASED = "not_erased"


def severity(outcome: Outcome) -> int:
    """Order outcomes; where an answer contradicts itself, the one of the largest severity counts."""
    return (Outcome.ERASED, Outcome.OPEN, Outcome.NOT_ERASED).index(outcome)


@dataclass(frozen=True, slots=True)
class ErasureOutcome:
    """
    Count the outcomes of the users of one or more requests; the three counts always add up to all of them.

    :param erased: proven erased.
    :param open: not known yet.
    :param not_erased: not erased, or not proven to be.
    :param remarks: what the reader of the log should know, without a user id.
    """

    erased: int = 0
    open: int = 0
    not_erased: int = 0
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> ErasureOutcome:
        """Count outcomes."""
        counts = Counter(outcomes)
        return cls(counts[Outcome.ERASED], counts[Outcome.OPEN], counts[Outcome.NOT_ERASED])

    @property
    def user_count(self) -> int:
        """All users that are counted."""
        return self.erased + self.open + self.not_erased

    def __add__(self, other: ErasureOutcome) -> ErasureOutcome:
        return ErasureOutcome(
            self.erased + other.erased,
            self.open + other.open,
            self.not_erased + other.not_erased,
            tuple(dict.fromkeys(self.remarks + other.remarks)),
        )

    def counts(self) -> dict[str, int]:
        """Give the three counts by name, as tasks return them."""
        return {"erased": self.erased, "open": self.open, "not_erased": self.not_erased}
