"""Submit erasures to Kore.ai, and wait for them if asked to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_kore.compat import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.options import check_choice, check_flag, check_seconds, check_whole_number
from airflow_provider_kore.reporting.links import EXTRA_LINKS
from airflow_provider_kore.user_ids.argument import UserIdsMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.scope import ErasureScope
    from airflow_provider_kore.erasure.erasing_task import ErasingTask
    from airflow_provider_kore.reporting.lineage import Lineage


class KoreEraseUserDataOperator(UserIdsMixin, BaseOperator):
    """
    Erase users from Kore.ai: from the listed bots, or from all bots of the organisation.

    What is known to be accepted is not sent again: on Airflow 3.3 and newer a retry, or a run of the cleared task,
    takes up what the tries before it recorded. It submits the batches that were not sent, waits for those that were,
    and submits again only those users who were not erased. Before Airflow 3.3 a retry submits everybody anew, and a
    warning says so.

    Returns a dict: ``requests`` (a list of ``{"request_id", "user_count"}``), ``user_count`` (exact duplicates
    folded), ``batch_count``, ``bot_ids``, ``all_bots``, and after waiting also ``erased``, ``open`` and ``not_erased``,
    which add up to ``user_count``; and what else was asked for: ``plan_fingerprint``, ``members``, ``deadline``,
    ``verification``, ``receipt``. Before the task fails, the same dict is pushed to the XCom ``return_value``, unless
    it is refused before it calls Kore.ai.

    :param user_ids: a source of user ids from :mod:`airflow_provider_kore.user_ids`, the URI of a file, or a function,
        all of which are read while the task runs, so that no id enters Airflow's database. Or a list of user ids
        (e-mail addresses, ``u-…`` ids, channel user ids, ``ChannelUserId`` or mappings with exactly its two keys), an
        XCom or a template that gives one, which stand wherever the DAG's author put them. Templated.
    :param bot_ids: the bots to erase from; templated.
    :param remove_data_from_all_bots: ``True`` to erase from all bots of the organisation instead; the connection must
        allow it with ``allow_all_bots``. A real bool; templated.
    :param batch_size: most users in one request; a guess, since Kore.ai publishes no limit.
    :param wait_for_completion: succeed only when Kore.ai has erased everybody; ``False`` returns after the submission,
        and a :class:`KoreErasureSensor` waits.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poll_interval: longest pause between two looks at one request, in seconds or as ``timedelta``.
    :param timeout: how long to wait, from the start of the try, in seconds or as ``timedelta``.
    :param dry_run: check everything, log the plan of batches, and send nothing. A real bool; templated.
    :param plan_fingerprint: erase only what was approved: the ``plan_fingerprint`` that a dry run returned. If the plan
        at hand is another one, nothing is sent. Templated.
    :param approved_by: who approved the erasure: a name, or the XCom of an ``ApprovalOperator``; stands in the receipt.
        The XCom of a rejection is refused. Templated.
    :param check_members: ask first who is a member of the Kore.ai account, whom Kore.ai does not erase, and send
        nothing if a user is one; a dry run reports them. The app needs the scope Role Management.
    :param received_at: when the request to erase came in: a date or time, or the ISO text of one; without a zone it is
        UTC. Templated.
    :param regime: the law by which it must be answered: ``"gdpr"``, within a calendar month, or ``"ccpa"``, within 45
        days. The days left are logged and returned, and the wait ends with that day. Templated.
    :param export_manifest: what :class:`KoreExportUserDataOperator` returned, as it is; stands in the receipt. If it is
        not of the very same users in the same order or not of all the bots, or its manifest cannot be read or has
        changed, nothing is sent. Templated.
    :param verify: after the erasure, look for the data of ``"all"``, of ``"sample:N"`` people chosen by chance, or of
        nobody (``"none"``). Whoever is found fails the task. Costs many calls. Templated.
    :param verify_since: from when on to look: a date or time, its ISO text, or a ``timedelta`` before the latest batch
        was submitted; how long Kore.ai keeps conversations for you. What came in after that is not looked for. Needed
        if ``verify`` asks for anybody. Templated.
    :param verify_channel_types: of which channels to look for messages.
    :param on_not_checkable: ``"fail"`` or ``"warn"`` if it cannot be told whether somebody is gone.
    :param receipt_path: URI of a folder for signed receipts, written before the task ends, whatever its end; the
        connection needs ``receipt_key`` and ``digest_key``. Templated.
    :param max_users: refuse more users than this; can only narrow the connection's limit. Templated.
    :param on_empty: ``"fail"`` or ``"skip"`` the task when there are no users; an empty list is never sent.
    :param on_ambiguous_submit: what to do about a batch that an earlier try sent without learning whether it was
        accepted: ``"resubmit"`` it, since erasing twice ends in the same state, or ``"fail"``.
    :param force: submit everybody anew, whatever earlier tries recorded. Retries within one run of the task still take
        up what this run submitted.
    :param kore_conn_id: id of the connection; templated.
    :raises KoreInputError: if users, scope or plan are refused; nothing was sent.
    :raises KoreResumeError: if what was asked for is not what earlier tries submitted; nothing was sent.
    :raises KoreNotErasedError: if somebody is not proven erased.
    :raises AirflowSensorTimeout: if the deadline comes first.
    """

    template_fields: Sequence[str] = (
        "user_ids",
        "bot_ids",
        "remove_data_from_all_bots",
        "is_dry_run",
        "plan_fingerprint",
        "approved_by",
        "received_at",
        "regime",
        "export_manifest",
        "receipt_path",
        "verify",
        "verify_since",
        "max_users",
        "kore_conn_id",
    )
    ui_color = "#e8f0e4"
    operator_extra_links = EXTRA_LINKS

    told: tuple[Mapping[str, object], str, ErasureScope] | None = None
    """What the task ended with, for OpenLineage: what it returned, the base URL and the bots."""

    def __init__(
        self,
        *,
        user_ids: object,
        bot_ids: object = None,
        remove_data_from_all_bots: bool | str = False,
        batch_size: int = 100,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta = timedelta(days=2),
        dry_run: bool | str = False,
        plan_fingerprint: str | None = None,
        approved_by: object = None,
        check_members: bool = False,
        received_at: object = None,
        regime: str | None = None,
        export_manifest: object = None,
        verify: str = "none",
        verify_since: object = None,
        verify_channel_types: Sequence[str] = ("rtm",),
        on_not_checkable: Literal["fail", "warn"] = "fail",
        receipt_path: str | None = None,
        max_users: int | str | None = None,
        on_empty: Literal["fail", "skip"] = "fail",
        on_ambiguous_submit: Literal["resubmit", "fail"] = "resubmit",
        force: bool = False,
        kore_conn_id: str = "kore_default",
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.remove_data_from_all_bots = remove_data_from_all_bots
        self.batch_size = check_whole_number("batch_size", batch_size)
        self.wait_for_completion = check_flag("wait_for_completion", wait_for_completion)
        self.deferrable = check_flag("deferrable", deferrable)
        self.poll_interval = check_seconds("poll_interval", poll_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.plan_fingerprint = plan_fingerprint
        # Told before templates are rendered: one that renders to nothing approves nothing.
        self.must_be_approved = plan_fingerprint is not None
        self.approved_by = approved_by
        self.check_members = check_flag("check_members", check_members)
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
        if not self.wait_for_completion and (verify != "none" or receipt_path is not None):
            raise KoreInputError(
                "Nothing can be shown of an erasure that is not waited for.",
                remedy="Set wait_for_completion=True, or give verify and receipt_path to the sensor that waits.",
            )
        self.max_users = max_users
        self.on_empty = check_choice("on_empty", on_empty, ("fail", "skip"))
        self.on_ambiguous_submit = check_choice("on_ambiguous_submit", on_ambiguous_submit, ("resubmit", "fail"))
        self.force = check_flag("force", force)
        self.kore_conn_id = kore_conn_id

    def execute(self, context: Context) -> dict[str, object]:
        """Check everything, submit what is due, and wait if asked to."""
        return self._run(context, lambda task: task.start(), resumes=False)

    def resume(self, context: Context, event: object = None) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: what its trigger fired.
        """
        return self._run(context, lambda task: task.resume(event))

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Context,
    ) -> Any:  # noqa: ANN401 # Airflow's own signature
        """Resume after the trigger has fired, or has failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            return self._run(context, lambda task: task.miss_deadline())
        except TaskDeferralError:
            return self._run(context, lambda task: task.break_off())

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:
        """Tell OpenLineage host, bots and counts, and no person."""
        from airflow_provider_kore.reporting.lineage import openlineage_facets

        del task_instance  # the task itself knows more
        return None if self.told is None else openlineage_facets(*self.told)

    def on_kill(self) -> None:
        """Say what killing the task does not do."""
        self.log.warning("The task was killed. Kore.ai goes on with every erasure that it has accepted.")

    def _run(
        self, context: Context, step: Callable[[ErasingTask], dict[str, object]], *, resumes: bool = True
    ) -> dict[str, object]:
        from airflow_provider_kore.erasure.erasing_task import (
            run_erasing_task,  # what erases is not needed to read a DAG
        )

        return run_erasing_task(self, context, step, resumes=resumes)
