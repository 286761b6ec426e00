"""Wait for erasures that were submitted before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue

from airflow_provider_kore.compatibility import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_kore.exceptions import KoreInputError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.waiting_task import CarriedFields, WaitingTask


class KoreErasureSensor(BaseSensorOperator):
    """
    Wait until Kore.ai has erased everybody in one or more erasure requests.

    It only reads: a retry waits on and never submits anything. It succeeds only if everybody is erased. Before it fails
    for any other end, it pushes the counts to the XCom ``return_value``. All modes look with growing pauses, of which
    ``poke_interval`` is the longest, and end alike.

    ``soft_fail`` skips the task when the deadline comes first, and only then: people who are not erased always fail
    it. ``silent_fail`` and ``never_fail`` would hide that, and are refused. ``exponential_backoff`` and ``max_wait``
    change nothing, since the pauses grow anyway.

    :param request_id: a request id, a list of them, or what :class:`KoreEraseUserDataOperator` returned, also of a
        mapped one; templated.
    :param user_count: how many users the one request has; needed only with a bare request id, whose completeness cannot
        be checked otherwise.
    :param kore_conn_id: id of the connection.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poke_interval: longest pause between two looks at one request, in seconds or as ``timedelta``.
    :param timeout: how long to wait, in seconds from the first look.
    :param mode: ``poke`` or ``reschedule``, if not deferrable.
    :raises KoreNotErasedError: if somebody is not proven erased.
    :raises AirflowSensorTimeout: if the deadline comes first.
    """

    template_fields: Sequence[str] = ("request_id", "user_count", "kore_conn_id")
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        request_id: object,
        user_count: int | str | None = None,
        kore_conn_id: str = "kore_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 30.0,
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if self.silent_fail or self.never_fail:
            raise KoreInputError(
                "silent_fail and never_fail would hide that people are not erased.",
                remedy="Leave them out; passing faults are waited out, and soft_fail skips at the deadline only.",
            )
        self.request_id = request_id
        self.user_count = user_count
        self.kore_conn_id = kore_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, object]:
        """Look once; then wait in the way that was asked for."""
        return self._waiting(context).start()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once: done when everybody is erased, an exception when somebody is not."""
        output = self._waiting(context).poke()
        return PokeReturnValue(is_done=output is not None, xcom_value=output)

    def execute_complete(self, context: Context, event: object = None, *, carried: CarriedFields) -> dict[str, object]:
        """Come back from the triggerer."""
        return self._waiting(context, carried).come_back(event)

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Context,
    ) -> Any:  # noqa: ANN401 # Airflow's own signature
        """
        Come back from the triggerer, or from its failure.

        Airflow's own way would show a failed trigger as skipped under ``soft_fail``.
        """
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            return self._waiting(context).miss_deadline()
        except TaskDeferralError:
            return self._waiting(context).break_off()

    def _waiting(self, context: Context, carried: CarriedFields | None = None) -> WaitingTask:
        from airflow_provider_kore.waiting_task import WaitingTask  # what waits is not needed to read a DAG

        return WaitingTask(self, context, carried)
