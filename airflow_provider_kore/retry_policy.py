"""Which failures a retry can mend, as a retry policy for Airflow 3.3 and newer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import KoreError

if TYPE_CHECKING:
    from airflow.sdk import ExceptionRetryPolicy


class Prospect(NamedTuple):
    """Whether a retry can mend an exception, and why, as Airflow's log shows it."""

    exception: type[KoreError]
    mendable: bool
    reason: str


PROSPECTS = (
    Prospect(exceptions.KoreSourceError, True, "The source of the user ids may be readable a moment later."),
    Prospect(exceptions.KoreInputError, False, "What was asked for is refused, and a retry asks for the same."),
    Prospect(exceptions.KoreConnectionUnreadableError, True, "Airflow may read the connection a moment later."),
    Prospect(exceptions.KoreConfigurationError, False, "Somebody must correct the connection first."),
    Prospect(exceptions.KoreAuthenticationError, False, "Somebody must correct the connection or the app first."),
    Prospect(exceptions.KorePermissionError, False, "Somebody must give the app its scope first."),
    Prospect(exceptions.KoreRequestError, False, "Kore.ai would refuse the same request again."),
    Prospect(exceptions.KoreUnexpectedUsersError, False, "Somebody must ask Kore.ai which users were touched."),
    Prospect(exceptions.KoreResumeError, False, "Somebody must decide how to go on."),
    Prospect(exceptions.KoreUnknownRequestError, True, "Kore.ai may know the request a moment later."),
    Prospect(exceptions.KoreThrottledError, True, "The account's budget comes back."),
    Prospect(exceptions.KoreUnavailableError, True, "Kore.ai may be reachable a moment later."),
    Prospect(exceptions.KoreUnreadableAnswerError, True, "A retry looks again, and submits nothing that was accepted."),
    Prospect(exceptions.KoreAmbiguousSubmitError, True, "A retry submits the batch again, if it may."),
    Prospect(exceptions.KoreWaitError, True, "A retry waits again."),
    Prospect(exceptions.KoreNotErasedError, True, "A retry submits only those who are not erased."),
    Prospect(exceptions.KoreFoundError, True, "Kore.ai may not have been done everywhere: a retry looks again."),
    Prospect(exceptions.KoreVerificationError, True, "A retry looks again."),
    Prospect(exceptions.KoreExportError, True, "A retry goes on with those who are not exported yet."),
    Prospect(exceptions.KoreReceiptError, True, "A retry writes the evidence anew, and submits nothing."),
)
"""All exceptions of this provider, each before those that it derives from."""


def kore_retry_policy(*, delay: timedelta | None = None) -> ExceptionRetryPolicy:
    """
    Make a retry policy for this provider's tasks: fail at once on what no retry can mend.

    All else is left to the ``retries`` of the task, which no policy can exceed. Exceptions of others are too.

    :param delay: how long to wait before a retry after an exception of this provider; default: the task's own
        ``retry_delay``.
    :raises AirflowOptionalProviderFeatureException: before Airflow 3.3, which has no retry policies.
    """
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
    except ImportError:
        from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

        raise AirflowOptionalProviderFeatureException(
            "kore_retry_policy() needs Airflow 3.3 or newer, where tasks have retry policies. Leave out retry_policy "
            "here: the task's retries then apply to every failure."
        ) from None
    again = RetryAction.RETRY if delay is not None else RetryAction.DEFAULT
    return ExceptionRetryPolicy(
        [
            RetryRule(exception, action=again, retry_delay=delay, reason=reason)
            if mendable
            else RetryRule(exception, action=RetryAction.FAIL, reason=reason)
            for exception, mendable, reason in PROSPECTS
        ]
    )
