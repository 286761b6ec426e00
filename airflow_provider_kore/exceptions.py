"""
What can go wrong with an erasure, and what that means for the people to be erased.

All derive from :class:`Exception`, not from Airflow's own base: ``soft_fail`` turns Airflow's exceptions into
"skipped", and a failed erasure must never look skipped.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Self


class Consequence(StrEnum):
    """What an error means for the erasure that was asked for."""

    NOT_SENT = "Nothing was sent to Kore.ai."
    SENT_BEFORE = "Nothing more was sent. What was submitted before goes on at Kore.ai."
    UNCLEAR_BEFORE = "Nothing more was sent. Whether Kore.ai accepted what was sent before is not known."
    NOT_ACCEPTED = "Kore.ai did not accept this request: nobody in it is being erased."
    SENT = "The erasure was already accepted by Kore.ai and goes on there: do not submit it again."
    ONLY_WAITS = "This task only waits: what was submitted before goes on at Kore.ai."
    UNKNOWN = "It is not known whether Kore.ai accepted the erasure."
    PARTLY_DONE = "The erasure is only partly done."
    NOT_VERIFIED = "Kore.ai reports the erasure as done, and nothing else shows it."
    ONLY_READ = "This call only reads: it changed nothing at Kore.ai."
    NOT_EVIDENT = "It proves nothing about the erasure."
    NOTHING_ERASED = "Nobody is erased by this task."


class KoreError(Exception):
    """
    Something that keeps an erasure from a proven end.

    :param problem: what happened, one or more sentences, without a user id, token or secret.
    :param consequence: what it means for the erasure.
    :param remedy: what the reader should do next.
    """

    def __init__(self, problem: str, *, consequence: Consequence, remedy: str) -> None:
        super().__init__(f"{problem} {consequence} {remedy}".strip())
        self.problem = problem
        self.consequence = consequence
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Let ``pickle`` and ``copy`` make it anew, which by default pass no keyword arguments."""
        make = partial(type(self), consequence=self.consequence, remedy=self.remedy)
        return make, (self.problem,), self.__dict__

    def with_consequence(self, consequence: Consequence) -> Self:
        """Say the same where it means something else for the erasure."""
        return type(self)(self.problem, consequence=consequence, remedy=self.remedy)


class KoreConfigurationError(KoreError):
    """The Airflow connection, or the place it points to, cannot be used as it is."""


class KoreConnectionUnreadableError(KoreConfigurationError):
    """Airflow cannot read the connection, or what it refers to, just now: a matter of its secrets backends."""


class KoreInputError(KoreError):
    """What the task was asked to do is refused before the first request."""

    def __init__(self, problem: str, *, consequence: Consequence = Consequence.NOT_SENT, remedy: str) -> None:
        super().__init__(problem, consequence=consequence, remedy=remedy)


class KoreSourceError(KoreInputError):
    """The source of the user ids cannot be read just now: a matter of storage, database or network, not of the ids."""


class KoreAuthenticationError(KoreError):
    """Kore.ai does not accept the token: wrong Client ID, secret or key, clock, or kind of app."""


class KorePermissionError(KoreError):
    """Kore.ai knows the app, but the app lacks the scope for what it was asked to do."""


class KoreRequestError(KoreError):
    """Kore.ai refused the request itself, so that sending it again unchanged is of no use."""


class KoreUnknownRequestError(KoreError):
    """Kore.ai does not know the request id whose status was asked for."""


class KoreThrottledError(KoreError):
    """The account's budget of calls stayed spent until there was no time left."""


class KoreUnavailableError(KoreError):
    """Kore.ai could not be reached, or answered with a fault that usually passes."""


class KoreUnreadableAnswerError(KoreError):
    """Kore.ai answered in a form that this provider does not understand, so nothing is proven."""


class KoreUnexpectedUsersError(KoreError):
    """Kore.ai's answer names users that were not submitted: somebody else may have been erased."""


class KoreAmbiguousSubmitError(KoreError):
    """An erasure was sent, and whether Kore.ai accepted it cannot be known."""


class KoreResumeError(KoreError):
    """What an earlier try of the task recorded does not allow this try to go on safely."""


class KoreWaitError(KoreError):
    """The waiting broke off, while the erasure goes on at Kore.ai."""


class KoreExportError(KoreError):
    """What Kore.ai has of a person could not be exported whole."""

    def __init__(self, problem: str, *, consequence: Consequence = Consequence.NOTHING_ERASED, remedy: str) -> None:
        super().__init__(problem, consequence=consequence, remedy=remedy)


class KoreNotErasedError(KoreError):
    """At least one person is not proven to be erased."""


class KoreFoundError(KoreError):
    """Somebody whom Kore.ai reports as erased still has data there."""


class KoreVerificationError(KoreError):
    """It cannot be told whether somebody whom Kore.ai reports as erased is gone."""


class KoreReceiptError(KoreError):
    """A receipt could not be made or written, or what is given as one is not to be trusted."""
