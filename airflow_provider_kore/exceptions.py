"""
What can go wrong with an erasure, and what that means for the users to be erased.

All derive from :class:`Exception`, not from Airflow's own base: ``soft_fail`` turns Airflow's exceptions into
"skipped", and a failed erasure must never seem skipped.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Self

DOCUMENTATION = "https://airflow-provider-kore.readthedocs.io/en/stable"
"""Where this documentation is published, as in the project's metadata."""


def guide_to(exception: str) -> str:
    """
    Give the address of what a user can do about an exception.

    :param exception: the name of its class.
    """
    return f"{DOCUMENTATION}/howto/failed.html#{exception.lower()}"


class Consequence(StrEnum):
    """What an error means for the erasure."""

    NOT_SENT = "Nothing was sent to Kore.ai."
    SENT_BEFORE = "Nothing more was sent. What was submitted before continues at Kore.ai."
    UNCLEAR_BEFORE = "Nothing more was sent. Whether Kore.ai accepted what was sent before is not known."
    NOT_ACCEPTED = "Kore.ai did not accept this request: none of its users is being erased."
    SENT = "Kore.ai already accepted the erasure, and it continues there: do not submit it again."
    ONLY_WAITS = "This task only waits: what was submitted before continues at Kore.ai."
    UNKNOWN = "It is not known whether Kore.ai accepted the erasure."
    PARTLY_DONE = "The erasure is only partly done."
    NOT_VERIFIED = "Kore.ai reports the erasure as done, and nothing else shows it."
    ONLY_READ = "This call only reads: it changed nothing at Kore.ai."
    NOT_EVIDENT = "It proves nothing about the erasure."
    NOTHING_ERASED = "No user is erased by this task."
    RECORDINGS_LEFT = (
        "Recordings may be left at Kore.ai. Do not erase the users yet: with them, the sessions are lost that lead to "
        "the recordings."
    )


class KoreError(Exception):
    """
    An error that keeps an erasure from a proven end.

    Its text ends with the address of its section in the documentation.

    :param problem: what happened, one or more sentences, without a user id, token or secret.
    :param consequence: what it means for the erasure.
    :param remedy: what the reader should do next.
    :ivar text: all three, without the address, to be quoted by another error.
    """

    def __init__(self, problem: str, *, consequence: Consequence, remedy: str) -> None:
        self.text = f"{problem} {consequence} {remedy}".strip()
        super().__init__(f"{self.text} See {guide_to(type(self).__name__)}")
        self.problem = problem
        self.consequence = consequence
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Support ``pickle`` and ``copy``, which by default pass no keyword arguments."""
        make = partial(type(self), consequence=self.consequence, remedy=self.remedy)
        return make, (self.problem,), self.__dict__

    def with_consequence(self, consequence: Consequence) -> Self:
        """Copy this error with another consequence."""
        return type(self)(self.problem, consequence=consequence, remedy=self.remedy)


class KoreConfigurationError(KoreError):
    """The Airflow connection, or what it points to, cannot be used as it is."""


class KoreConnectionUnreadableError(KoreConfigurationError):
    """Airflow cannot read the connection, or what it refers to, at the moment: its secrets backend fails."""


class KoreInputError(KoreError):
    """Users, scope or an argument are refused: nothing, or nothing more, was sent."""

    def __init__(self, problem: str, *, consequence: Consequence = Consequence.NOT_SENT, remedy: str) -> None:
        super().__init__(problem, consequence=consequence, remedy=remedy)


class KoreSourceError(KoreInputError):
    """The source of the user ids cannot be read at the moment: its storage, database or network fails."""


class KoreAuthenticationError(KoreError):
    """Kore.ai does not accept the token: wrong Client ID, secret or key, clock, or kind of app."""


class KorePermissionError(KoreError):
    """Kore.ai knows the app, but the app lacks the scope of the call."""


class KoreRequestError(KoreError):
    """Kore.ai refuses the request itself: sending it again unchanged is of no use."""


class KoreUnknownRequestError(KoreError):
    """Kore.ai does not know the request id of a status call."""


class KoreThrottledError(KoreError):
    """The account's budget of calls stayed spent until there was no time left."""


class KoreUnavailableError(KoreError):
    """Kore.ai cannot be reached, or answers with a fault that usually passes."""


class KoreUnreadableAnswerError(KoreError):
    """Kore.ai's answer has a form that this provider does not understand, so nothing is proven."""


class KoreUnexpectedUsersError(KoreError):
    """Kore.ai's answer names users that were not submitted: other users may have been erased."""


class KoreAmbiguousSubmitError(KoreError):
    """An erasure was sent, and whether Kore.ai accepted it cannot be known."""


class KoreResumeError(KoreError):
    """The records of an earlier attempt do not allow this attempt to resume safely."""


class KoreWaitError(KoreError):
    """The wait ended early, while the erasure continues at Kore.ai."""


class KoreExportError(KoreError):
    """The data of a user cannot be exported whole."""

    def __init__(self, problem: str, *, consequence: Consequence = Consequence.NOTHING_ERASED, remedy: str) -> None:
        super().__init__(problem, consequence=consequence, remedy=remedy)


class KoreRecordingsError(KoreError):
    """The call recordings of a user are not proven to be deleted."""

    def __init__(self, problem: str, *, consequence: Consequence = Consequence.RECORDINGS_LEFT, remedy: str) -> None:
        super().__init__(problem, consequence=consequence, remedy=remedy)


class KoreNotErasedError(KoreError):
    """At least one user is not proven to be erased."""


class KoreFoundError(KoreError):
    """Kore.ai reports a user as erased, and still has data of that user."""


class KoreVerificationError(KoreError):
    """Whether a user whom Kore.ai reports as erased is gone cannot be checked."""


class KoreReceiptError(KoreError):
    """A receipt cannot be made or written, or a receipt to verify cannot be trusted."""
