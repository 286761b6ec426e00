"""A retry policy for this provider's tasks, for Airflow 3.3 and newer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_kore import exceptions

if TYPE_CHECKING:
    from airflow.sdk import ExceptionRetryPolicy

PASSING = (exceptions.KoreSourceError, exceptions.KoreConnectionUnreadableError)
"""Exceptions that derive from those that no retry can mend, but which a retry can."""

FINAL = {
    exceptions.KoreInputError: "The arguments are refused, and a retry has the same.",
    exceptions.KoreConfigurationError: "The connection must be corrected first.",
    exceptions.KoreAuthenticationError: "The connection or the app must be corrected first.",
    exceptions.KorePermissionError: "The app must get its scope first.",
    exceptions.KoreRequestError: "Kore.ai would refuse the same request again.",
    exceptions.KoreUnexpectedUsersError: "Ask Kore.ai first which users were touched.",
    exceptions.KoreResumeError: "A person must decide how to proceed.",
}
"""Exceptions that no retry can mend, and why, as Airflow's log shows it."""


def kore_retry_policy(*, delay: timedelta | None = None) -> ExceptionRetryPolicy:
    """
    Make a retry policy that fails a task at once on what no retry can mend.

    The ``retries`` of the task apply to all other exceptions, and no policy can exceed them.

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
    retry = RetryAction.DEFAULT if delay is None else RetryAction.RETRY
    return ExceptionRetryPolicy(
        [
            RetryRule([*PASSING], action=retry, retry_delay=delay, reason="It may be readable a moment later."),
            *(RetryRule(error, action=RetryAction.FAIL, reason=reason) for error, reason in FINAL.items()),
            RetryRule(exceptions.KoreError, action=retry, retry_delay=delay, reason="A retry may succeed."),
        ]
    )
