"""Submit erasures to Kore.ai, and wait for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_kore.arguments import check_choice, check_flag, check_max_users, check_seconds, check_whole_number
from airflow_provider_kore.compat import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.options import (
    Deadline,
    Receipt,
    Verify,
    check_approved_plan,
    check_deadline,
    check_literal,
    check_literal_flag,
    check_literal_scope,
    check_receipt,
    check_verify,
    is_rendered_later,
)
from airflow_provider_kore.reporting.lineage import ReportsLineage
from airflow_provider_kore.reporting.links import EXTRA_LINKS
from airflow_provider_kore.user_ids.argument import UserIdsMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.erasure.erase import EraseRun


class KoreEraseUserDataOperator(UserIdsMixin, ReportsLineage, BaseOperator):
    """
    Erase users from Kore.ai: from the listed bots, or from all bots of the organisation.

    The task succeeds only if every user is proven erased. On Airflow 3.3 and newer a retry, or a run of the cleared
    task, resumes from the task's records: it submits the batches that were not sent, waits for those that were, and
    submits again only users who were not erased. Before Airflow 3.3 a retry submits all users again, and a warning says
    so. To erase users again, start a new DAG run.

    Returns a dict: ``requests`` (a list of ``{"request_id", "user_count"}``), ``user_count`` (exact duplicates
    folded), ``batch_count``, ``bot_ids``, ``all_bots``, and after waiting also ``erased``, ``open`` and ``not_erased``,
    which add up to ``user_count``; by option also ``dry_run``, ``plan_fingerprint``, ``members``, ``deadline``,
    ``verification``, ``receipt``. Before the task fails, the same dict is pushed to the XCom ``return_value``, unless
    it is refused before it calls Kore.ai.

    A literal argument is checked when the DAG is parsed, a template when the task runs.

    :param user_ids: a source of user ids from :mod:`airflow_provider_kore.user_ids`, the URI of a file, a text of
        sealed user ids (``jwe:…``), or a function. These are read while the task runs, so that no id enters Airflow's
        database. Or a list of user ids (e-mail addresses, ``u-…`` ids, channel user ids, ``ChannelUserId`` or mappings
        with exactly its two keys), or an XCom or a template that gives one; Airflow keeps such ids wherever the DAG's
        author put them. Templated.
    :param bot_ids: the list of bots to erase from. Templated.
    :param all_bots: ``True`` to erase from all bots of the organisation instead; the connection must allow it with
        ``allow_all_bots``. A real bool; templated. Default: ``False``.
    :param kore_conn_id: id of the connection. Templated. Default: ``"kore_default"``.
    :param wait_for_completion: ``True`` (default) to wait until Kore.ai has erased every user; ``False`` to return
        after the submission, so that a :class:`KoreErasureSensor` waits.
    :param deferrable: wait in the triggerer, without a worker slot. Default: ``[operators] default_deferrable``.
    :param poll_interval: longest pause between two polls of one request, in seconds or as ``timedelta``. Default: 30.
    :param timeout: how long an attempt may wait, in seconds or as ``timedelta``. Default: 2 days.
    :param dry_run: ``True`` to check all arguments, log the plan and send nothing. A real bool; templated. Default:
        ``False``.
    :param check_members: ``True`` to send nothing if a user is a member of the Kore.ai account, since Kore.ai does not
        erase members; a dry run lists them. The app needs the scope Role Management. Default: ``False``.
    :param max_users: refuse more users than this; can only narrow the connection's limit. Templated.
    :param on_empty: ``"fail"`` (default) or ``"skip"`` the task if there are no users; an empty list is never sent.
    :param batch_size: most users in one request. Default: 100, a guess, since Kore.ai publishes no limit.
    :param on_ambiguous_submit: ``"resubmit"`` (default) a batch that an earlier attempt sent without learning whether
        it was accepted, which is guessed to do no harm; or ``"fail"``.
    :param approved_plan: the output of a dry run, or its ``plan_fingerprint``; if the plan has changed since, nothing
        is sent. Templated.
    :param exported: the output of :class:`KoreExportUserDataOperator`; if that is not the export of the same users in
        the same order, or not of all the bots, or its manifest has changed, nothing is sent. Templated.
    :param deadline: a :class:`~airflow_provider_kore.options.Deadline`: when the request came in, and the law. The days
        left are logged and returned, and the wait ends with the last day. Templated.
    :param verify: a :class:`~airflow_provider_kore.options.Verify`: search for the erased users afterwards, and fail if
        one is found. Needs ``wait_for_completion``. Templated.
    :param receipt: a :class:`~airflow_provider_kore.options.Receipt`: write signed receipts, also before the task
        fails. Needs ``wait_for_completion``. Templated.
    :raises KoreInputError: if an argument, a user id or the plan is refused; nothing, or nothing more, was sent.
    :raises KoreResumeError: if the plan is not the one that earlier attempts submitted; nothing more was sent.
    :raises KoreNotErasedError: if a user is not proven erased.
    :raises AirflowSensorTimeout: if ``timeout`` or the deadline is over before Kore.ai is done.
    """

    template_fields: Sequence[str] = (
        "user_ids",
        "bot_ids",
        "all_bots",
        "kore_conn_id",
        "is_dry_run",
        "max_users",
        "approved_plan",
        "exported",
        "deadline",
        "verify",
        "receipt",
    )
    must_not_vanish: ClassVar[Collection[str]] = ("approved_plan", "exported")
    ui_color = "#e8f0e4"
    operator_extra_links = EXTRA_LINKS

    def __init__(
        self,
        *,
        user_ids: object,
        bot_ids: object = None,
        all_bots: bool | str = False,
        kore_conn_id: str = "kore_default",
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta = timedelta(days=2),
        dry_run: bool | str = False,
        check_members: bool = False,
        max_users: int | str | None = None,
        on_empty: Literal["fail", "skip"] = "fail",
        batch_size: int = 100,
        on_ambiguous_submit: Literal["resubmit", "fail"] = "resubmit",
        approved_plan: object = None,
        exported: object = None,
        deadline: Deadline | str | None = None,
        verify: Verify | str | None = None,
        receipt: Receipt | str | None = None,
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        check_literal_scope(bot_ids, all_bots)
        check_literal_flag("dry_run", dry_run)
        check_literal(check_max_users, max_users)
        check_approved_plan(approved_plan, rendered=False)
        check_deadline(deadline, rendered=False)
        check_verify(verify, rendered=False)
        check_receipt(receipt, rendered=False)
        if exported is not None and not is_rendered_later(exported):
            from airflow_provider_kore.erasure.options import read_exported  # hardly ever a literal

            read_exported(exported)
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.all_bots = all_bots
        self.kore_conn_id = kore_conn_id
        self.wait_for_completion = check_flag("wait_for_completion", wait_for_completion)
        self.deferrable = check_flag("deferrable", deferrable)
        self.poll_interval = check_seconds("poll_interval", poll_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.check_members = check_flag("check_members", check_members)
        self.max_users = max_users
        self.on_empty = check_choice("on_empty", on_empty, ("fail", "skip"))
        self.batch_size = check_whole_number("batch_size", batch_size)
        self.on_ambiguous_submit = check_choice("on_ambiguous_submit", on_ambiguous_submit, ("resubmit", "fail"))
        self.approved_plan = approved_plan
        self.exported = exported
        self.deadline: object = deadline
        self.verify: object = verify
        self.receipt: object = receipt
        if not self.wait_for_completion and (verify is not None or receipt is not None):
            raise KoreInputError(
                "verify and receipt need wait_for_completion=True: an erasure that is not waited for proves nothing.",
                remedy="Let the task wait, or leave out verify and receipt.",
            )

    def execute(self, context: Context) -> dict[str, object]:
        """Check everything, submit what is due, and wait if asked to."""
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
        """Resume after the trigger has fired, or has failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            return self._run(context, resumes=True).resume_late()
        except TaskDeferralError:
            return self._run(context, resumes=True).resume_without_trigger()

    def on_kill(self) -> None:
        """Say what killing the task does not do."""
        self.log.warning("The task was killed. Kore.ai continues with every erasure that it has accepted.")

    def _run(self, context: Context, *, resumes: bool = False) -> EraseRun:
        from airflow_provider_kore.erasure.erase import EraseRun  # not needed to read a DAG

        return EraseRun(self, context, resumes=resumes)
