"""Wait for erasures that were submitted before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue

from airflow_provider_kore.compat import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.reporting.links import EXTRA_LINKS
from airflow_provider_kore.user_ids.argument import UserIdsMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.scope import ErasureScope
    from airflow_provider_kore.erasure.waiting_task import WaitingTask
    from airflow_provider_kore.reporting.lineage import Lineage


class KoreErasureSensor(UserIdsMixin, BaseSensorOperator):
    """
    Wait until Kore.ai has erased everybody in one or more erasure requests.

    It only reads: a retry waits on and never submits anything. It succeeds only if everybody is erased. Before it fails
    for any other end, it pushes the counts to the XCom ``return_value``, unless it is refused before it calls Kore.ai.
    All modes look with growing pauses, of which ``poke_interval`` is the longest, and end alike.

    ``soft_fail`` skips the task when the deadline comes first, and only then: people who are not erased always fail
    it. ``silent_fail`` and ``never_fail`` would hide that, and are refused. ``exponential_backoff`` and ``max_wait``
    change nothing, since the pauses grow anyway.

    :param request_id: a request id, a list of them, or what :class:`KoreEraseUserDataOperator` returned, also of a
        mapped one; templated.
    :param user_count: how many users the one request has; needed only with a bare request id, whose completeness cannot
        be checked otherwise. Templated.
    :param user_ids: the users that the requests are about, in the order in which they were submitted, as the operator
        takes them; needed only to name them in receipts and to look for them. If they are not as many as the requests
        have, the task fails at once. Templated.
    :param bot_ids: the bots; needed only to look for people, with request ids that do not come from the operator.
        Templated.
    :param all_bots: whether the requests are about all bots; likewise. Templated.
    :param approved_by: see :class:`KoreEraseUserDataOperator`, also for the arguments from here on. Templated.
    :param received_at: when the request to erase came in. Templated.
    :param regime: ``"gdpr"`` or ``"ccpa"``. Templated.
    :param export_manifest: what :class:`KoreExportUserDataOperator` returned; stands in the receipt. Without
        ``user_ids`` its users are compared by their number only. Templated.
    :param verify: ``"none"``, ``"sample:N"`` or ``"all"``. Templated.
    :param verify_since: from when on to look for data. A ``timedelta`` counts back from when the looking begins, up to
        which it looks, since it does not know when the requests were submitted. Templated.
    :param verify_channel_types: of which channels to look for messages.
    :param on_not_checkable: ``"fail"`` or ``"warn"``.
    :param receipt_path: URI of a folder for signed receipts. Templated.
    :param kore_conn_id: id of the connection; templated.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poke_interval: longest pause between two looks at one request, in seconds or as ``timedelta``.
    :param timeout: how long to wait, in seconds from the first look.
    :param mode: ``poke`` or ``reschedule``, if not deferrable.
    :raises KoreNotErasedError: if somebody is not proven erased.
    :raises AirflowSensorTimeout: if the deadline comes first.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "user_count",
        "user_ids",
        "bot_ids",
        "all_bots",
        "approved_by",
        "received_at",
        "regime",
        "export_manifest",
        "verify",
        "verify_since",
        "receipt_path",
        "kore_conn_id",
    )
    ui_color = "#e8f0e4"
    operator_extra_links = EXTRA_LINKS

    told: tuple[Mapping[str, object], str, ErasureScope] | None = None
    """What the task ended with, for OpenLineage: what it returned, the base URL and the bots."""

    def __init__(
        self,
        *,
        request_id: object,
        user_count: int | str | None = None,
        user_ids: object = None,
        bot_ids: object = None,
        all_bots: bool | str = False,
        approved_by: object = None,
        received_at: object = None,
        regime: str | None = None,
        export_manifest: object = None,
        verify: str = "none",
        verify_since: object = None,
        verify_channel_types: Sequence[str] = ("rtm",),
        on_not_checkable: Literal["fail", "warn"] = "fail",
        receipt_path: str | None = None,
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
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.all_bots = all_bots
        self.approved_by = approved_by
        self.received_at = received_at
        self.regime = regime
        self.export_manifest = export_manifest
        self.verify = verify
        self.verify_since = verify_since
        self.verify_channel_types = verify_channel_types
        self.on_not_checkable = on_not_checkable
        self.receipt_path = receipt_path
        # Noted before templates are rendered: one that renders to nothing must not take away what it stands for.
        told = {"approved_by": approved_by, "export_manifest": export_manifest, "receipt_path": receipt_path}
        self.given = frozenset(name for name, value in told.items() if value is not None)
        self.kore_conn_id = kore_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, object]:
        """Look once; then wait in the way that was asked for."""
        return self._waiting(context).start()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once: done when everybody is erased, an exception when somebody is not."""
        output = self._waiting(context).poke()
        return PokeReturnValue(is_done=output is not None, xcom_value=output)

    def resume(self, context: Context, event: object = None) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: what its trigger fired.
        """
        from airflow_provider_kore.erasure.waiting_task import resume_waiting

        return resume_waiting(self, context, event)

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
            return self._waiting(context).miss_deadline()
        except TaskDeferralError:
            return self._waiting(context).break_off()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:
        """Tell OpenLineage host, bots and counts, and no person."""
        from airflow_provider_kore.reporting.lineage import openlineage_facets

        del task_instance  # the task itself knows more
        return None if self.told is None else openlineage_facets(*self.told)

    def _waiting(self, context: Context) -> WaitingTask:
        from airflow_provider_kore.erasure.waiting_task import WaitingTask  # what waits is not needed to read a DAG

        return WaitingTask(self, context)
