"""Delete the call recordings of users before their erasure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_kore.api.channels import check_channel_types
from airflow_provider_kore.api.recordings import check_recorded_bots
from airflow_provider_kore.arguments import check_choice, check_flag, check_max_users, check_seconds
from airflow_provider_kore.options import check_literal, check_literal_flag, check_literal_period
from airflow_provider_kore.user_ids.argument import UserIdsMixin

if TYPE_CHECKING:
    from airflow.sdk import Context


class KoreDeleteRecordingsOperator(UserIdsMixin, BaseOperator):
    """
    Delete the call recordings of users; let it run before the task that erases them.

    Kore.ai deletes recordings by session, and the erasure takes away the sessions that lead to them. So the task
    collects all sessions of each user, by the sessions call and by ``messages-lite``, and deletes the recordings of
    each. It fails unless each answer is understood, and then the erasure must not run: connect the tasks, as in
    ``delete_recordings >> erase``.

    This is not the erasure, which is sent once: deleting twice ends in the same state, so that each call is repeated
    where no usable answer came, and the task may be retried and cleared at will. On Airflow 3.3 and newer a retry
    continues with the first user who is not done; before, and in a new run, it begins with the first user.

    A user takes a call for each week of the period and bot, one or two calls of ``messages-lite`` for each bot, and one
    for each session. Sessions that begin after ``until`` are not in it: erase soon after.

    Returns a dict: ``user_count``, ``users_done``, ``people_fingerprint``, ``sessions``, and of these ``deleted``,
    ``without_recordings`` and ``failed``, which add up to it; ``compared``, which is ``False`` if ``messages-lite``
    does not answer; the bots, the period and the channels. Before the task fails on the way, the same dict is pushed to
    the XCom ``return_value``. Where a first answer was lost, or an earlier attempt died, recordings that it deleted
    count as ``without_recordings``.

    :param user_ids: the users, as :class:`KoreEraseUserDataOperator` takes them. Templated.
    :param bot_ids: the bots whose recordings to delete; all bots at once are not possible. Where each bot has an app of
        its own, make a task for each. Templated.
    :param since: begin of the period, as long as Kore.ai keeps your recordings: a ``datetime``, a ``date``, either of
        them as ISO 8601 text (UTC unless it says otherwise), or a ``timedelta`` before the start of the DAG run.
        Templated.
    :param until: end of the period, likewise; ``None`` for the start of the DAG run, the same for all attempts.
        Templated.
    :param channel_types: the channels to ask ``messages-lite`` for; ``None`` for all. The sessions call lists those of
        all channels. Templated.
    :param max_users: refuse more users than this; can only narrow the connections' limits. Templated.
    :param on_empty: ``"fail"`` or ``"skip"`` the task when there are no users.
    :param dry_run: ``True`` to count the sessions and delete nothing; the result then has ``dry_run`` and neither
        ``deleted``, ``without_recordings`` nor ``failed``. A real bool; templated.
    :param deferrable: leave the worker while the budget of calls is spent for long.
    :param timeout: how long an attempt may take, in seconds or as ``timedelta``.
    :param kore_conn_id: id of the connection that reads the sessions. Its app needs the scopes *Bot Sessions* and *Chat
        History*. Templated.
    :param recordings_conn_id: id of the connection that deletes: of type ``kore`` and the same base URL, with an app
        that was made in the bot's own settings and has the scope *Delete Recordings*; ``None`` for ``kore_conn_id``.
        The guards of both connections count. Templated.
    :raises KoreInputError: if users, bots or period are refused; nothing was sent.
    :raises KoreRecordingsError: if not all sessions of a user can be listed, or the time is over.
    :raises KoreError: if Kore.ai cannot be asked, refuses, or answers what is not understood.
    """

    template_fields: Sequence[str] = (
        "user_ids",
        "bot_ids",
        "since",
        "until",
        "channel_types",
        "max_users",
        "is_dry_run",
        "kore_conn_id",
        "recordings_conn_id",
    )
    must_render: ClassVar[Collection[str]] = (*UserIdsMixin.must_render, "recordings_conn_id")
    ui_color = "#f0e8e4"

    def __init__(
        self,
        *,
        user_ids: object,
        bot_ids: object,
        since: object,
        until: object = None,
        channel_types: object = None,
        max_users: int | str | None = None,
        on_empty: Literal["fail", "skip"] = "fail",
        dry_run: bool | str = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: float | timedelta = timedelta(days=2),
        kore_conn_id: str = "kore_default",
        recordings_conn_id: str | None = None,
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        check_literal(check_recorded_bots, bot_ids)
        check_literal_period(since, until)
        if channel_types is not None:
            check_literal(check_channel_types, channel_types)
        check_literal(check_max_users, max_users)
        check_literal_flag("dry_run", dry_run)
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.since = since
        self.until = until
        self.channel_types = channel_types
        self.max_users = max_users
        self.on_empty = check_choice("on_empty", on_empty, ("fail", "skip"))
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.deferrable = check_flag("deferrable", deferrable)
        self.timeout = check_seconds("timeout", timeout)
        self.kore_conn_id = kore_conn_id
        self.recordings_conn_id = kore_conn_id if recordings_conn_id is None else recordings_conn_id

    def execute(self, context: Context) -> dict[str, object]:
        """Check everything, and delete the recordings of one user after the other."""
        return self._run(context, resumes=False)

    def resume(self, context: Context, event: object = None) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: what its trigger fired; it only says that it is time.
        """
        del event
        return self._run(context, resumes=True)

    def _run(self, context: Context, *, resumes: bool) -> dict[str, object]:
        # What deletes is not needed to read a DAG.
        from airflow_provider_kore.recordings.run import RecordingsRun
        from airflow_provider_kore.reporting.page_report import Stage, reported_failure

        with reported_failure(self, context, Stage.DELETING_RECORDINGS, self.kore_conn_id):
            run = RecordingsRun(self, context)
            return run.resume() if resumes else run.start()
