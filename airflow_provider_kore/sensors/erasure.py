"""Wait for erasures that were submitted before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_kore.arguments import check_flag, check_whole_number
from airflow_provider_kore.compat import AirflowSkipException, TaskDeferralError, TaskDeferralTimeout
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.options import Deadline, check_deadline, check_literal, is_rendered_later
from airflow_provider_kore.rendering import TextTemplatesMixin
from airflow_provider_kore.reporting.lineage import ReportsLineage
from airflow_provider_kore.reporting.links import EXTRA_LINKS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.erasure.requests import WaitRun


class KoreErasureSensor(TextTemplatesMixin, ReportsLineage, BaseSensorOperator):
    """
    Wait until Kore.ai has erased every user of one or more erasure requests.

    It only polls: it submits nothing, and a retry polls on. It succeeds only if every user is erased. Users of the
    operator's output who are in no request count as not erased. The output of a dry run skips it. Verification and
    receipts belong to the task that erases, which knows the users.

    Returns a dict: ``requests``, ``user_count``, ``batch_count``, ``bot_ids`` and ``all_bots`` (``[]`` and ``False`` if
    they are not known), ``deadline`` by option, and ``erased``, ``open`` and ``not_erased``, which add up to
    ``user_count``. Before the task fails, the same dict is pushed to the XCom ``return_value``, unless it is refused
    before it calls Kore.ai.

    ``soft_fail`` skips the task when ``timeout`` comes first, and only then: users who are not erased always fail it,
    and so does a statutory deadline that has passed. ``silent_fail`` and ``never_fail`` would hide that, and are
    refused. ``exponential_backoff`` and ``max_wait`` change nothing, since the pauses grow anyway.

    :param request_id: a request id, a list of them, or the output of :class:`KoreEraseUserDataOperator`, also of a
        mapped one. Templated.
    :param user_count: the number of users of one bare request id; without it the sensor cannot tell whether Kore.ai's
        answer is complete. Templated.
    :param deadline: a :class:`~airflow_provider_kore.options.Deadline`: when the request came in, and the law. The days
        left are logged and returned, and the wait ends with the last day. Templated.
    :param kore_conn_id: id of the connection. Templated. Default: ``"kore_default"``.
    :param deferrable: wait in the triggerer, without a worker slot. Default: ``[operators] default_deferrable``.
    :param poke_interval: longest pause between two polls of one request, in seconds or as ``timedelta``. Default: 30.
    :param timeout: how long to wait, in seconds from the first poll. Default: ``[sensors] default_timeout``.
    :param mode: ``"poke"`` (default) or ``"reschedule"``, if not deferrable.
    :param soft_fail: skip the task when ``timeout`` comes first. Default: ``False``.
    :raises KoreInputError: if an argument is refused.
    :raises KoreNotErasedError: if a user is not proven erased.
    :raises AirflowSensorTimeout: if ``timeout`` or the deadline is over before Kore.ai is done.
    """

    template_fields: Sequence[str] = ("request_id", "user_count", "deadline", "kore_conn_id")
    ui_color = "#e8f0e4"
    operator_extra_links = EXTRA_LINKS

    def __init__(
        self,
        *,
        request_id: object,
        user_count: int | str | None = None,
        deadline: Deadline | str | None = None,
        kore_conn_id: str = "kore_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 30.0,
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if self.silent_fail or self.never_fail:
            raise KoreInputError(
                "silent_fail and never_fail would hide that users are not erased.",
                remedy="Leave them out; passing faults are waited out, and soft_fail skips at the timeout only.",
            )
        try:
            check_deadline(deadline, rendered=False)
            _check_literals(request_id, user_count)
        except KoreInputError as error:  # in a mapped task it is raised while the task runs
            raise error.with_consequence(Consequence.ONLY_WAITS) from None
        self.request_id = request_id
        self.user_count: object = user_count
        self.deadline: object = deadline
        self.kore_conn_id = kore_conn_id
        self.deferrable = check_flag("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, object]:
        """Poll, and wait until Kore.ai is done."""
        return self._run(context).start()

    def resume(self, context: Context, event: object = None) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: what its trigger fired.
        """
        return self._run(context, resumes=True).resume(event)

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Context,
    ) -> Any:  # noqa: ANN401 # Airflow's own signature
        """
        Resume after the trigger has fired, or has failed.

        Airflow's own way would show a failed trigger as skipped under ``soft_fail``.
        """
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            return self._run(context, resumes=True).resume_late()
        except TaskDeferralError:
            return self._run(context, resumes=True).resume_without_trigger()

    def _run(self, context: Context, *, resumes: bool = False) -> WaitRun:
        from airflow_provider_kore.erasure.requests import WaitRun  # not needed to read a DAG

        return WaitRun(self, context, resumes=resumes)


def _check_literals(request_id: object, user_count: object) -> None:
    if user_count is not None:
        check_literal(partial(check_whole_number, "user_count"), user_count)
    if is_rendered_later(request_id) or is_rendered_later(user_count):
        return
    if isinstance(request_id, list | tuple) and any(map(is_rendered_later, request_id)):
        return
    from airflow_provider_kore.erasure.requests import read_requests  # hardly ever a literal

    with suppress(AirflowSkipException):  # the output of a dry run
        read_requests(request_id, user_count)
