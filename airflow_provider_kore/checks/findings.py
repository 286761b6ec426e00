"""What a check finds: a guess is confirmed, different or not tested; a place is used, not seen or not tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What became known of a guess."""

    CONFIRMED = "confirmed"
    DIFFERENT = "different"
    NOT_TESTED = "not tested"
    USED = "used"
    """Of a place that no erasure reaches."""
    NOT_SEEN = "not seen"
    """Likewise; it proves nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Say what became known of a guess, in words that name no user and no secret.

    :param verdict: which of these.
    :param seen: what Kore.ai answered; of a guess that was not tested, why.
    :param remedy: what to do about a difference, or what the test takes.
    :param profile: what to set in the connection's ``api_profile``.
    :param settings: how the sandbox is made to answer so.
    """

    verdict: Verdict
    seen: str
    remedy: str = ""
    profile: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


NOTHING_TO_SET = "Nothing to set: this provider understands both."


def confirmed(seen: str) -> Finding:
    """Say that a guess is right."""
    return Finding(Verdict.CONFIRMED, seen)


def different(
    seen: str,
    remedy: str = NOTHING_TO_SET,
    *,
    profile: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Finding:
    """Say that a guess is wrong, and what to do; see :class:`Finding`."""
    return Finding(Verdict.DIFFERENT, seen, remedy, profile or {}, settings or {})


def not_tested(why: str, takes: str = "") -> Finding:
    """Say that nothing became known of a guess, why, and what the test takes."""
    return Finding(Verdict.NOT_TESTED, why, takes)


def used(seen: str, remedy: str) -> Finding:
    """Say that a place is used that no erasure reaches, and what to do."""
    return Finding(Verdict.USED, seen, remedy)


def not_seen(seen: str) -> Finding:
    """Say that nothing shows the use of a place that no erasure reaches."""
    return Finding(Verdict.NOT_SEEN, seen)


class NotTestedError(Exception):
    """
    End a check that cannot be made.

    :param why: in words that name no user and no secret.
    :param takes: what the test takes.
    """

    def __init__(self, why: str, takes: str = "") -> None:
        super().__init__(why)
        self.finding = not_tested(why, takes)
