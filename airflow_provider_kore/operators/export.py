"""Export the users' data from Kore.ai, before an erasure or on their request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_kore.api.channels import check_channel_types
from airflow_provider_kore.arguments import check_choice, check_flag, check_max_users, check_seconds
from airflow_provider_kore.options import check_destination, check_literal, check_literal_period, check_literal_scope
from airflow_provider_kore.user_ids.argument import UserIdsMixin

if TYPE_CHECKING:
    from airflow.sdk import Context


class KoreExportUserDataOperator(UserIdsMixin, BaseOperator):
    """
    Export the sessions and messages that Kore.ai has of users, a file for each user.

    A user's file is ``kd-….jsonl``, by the digest of the user id, with a line for each session and message:
    ``{"kind": "session" or "message", "bot_id": the bot that was asked about or null, "data": as Kore.ai gave it}``.
    Beside it, ``kd-….json`` describes it, with its SHA-256; it exists only if the file is complete.
    ``manifest.json`` is written last and lists all files. Only the data themselves name a user. File names are digests,
    and only the owner of the connection's ``digest_key``, which is required, can match them to users.

    Sessions and messages come from Kore.ai's full calls, and are compared with ``messages-lite``: a message that only
    this lists fails the task. Where Kore.ai refuses that call, as for all bots, ``compared`` beside the file is
    ``false`` and the log says so. A user who is named by a channel id and a channel user id is exported by
    ``messages-lite`` alone: all messages in all channels under this channel user id, with fewer fields, and no
    sessions.

    No user is erased. A retry, or a run of the cleared task, resumes with the users whose files are not complete. A
    destination belongs to one task instance and its users: another task, mapped instance or DAG run, or other users,
    are refused there, so give each export a destination of its own.

    Returns a dict: ``destination``, ``manifest`` (its URI), ``manifest_sha256``, ``user_count`` (exact duplicates
    folded), ``people_fingerprint``, ``sessions``, ``messages``, ``host``, ``client_id``, ``bot_ids``, ``all_bots``,
    ``since``, ``until`` and ``channel_types`` (``None`` for all).

    :param user_ids: as :class:`KoreEraseUserDataOperator` takes them; with ``all_bots``, a user who is named
        by a channel id and a channel user id is refused. Templated.
    :param bot_ids: the bots whose data to export; templated.
    :param all_bots: ``True`` for all bots of the organisation instead; the connection must allow it with
        ``allow_all_bots``. A real bool; templated.
    :param destination: URI of a folder, such as ``s3://conn_id@bucket/exports/{{ run_id }}``; anything that
        ``airflow.sdk.ObjectStoragePath`` writes. Put no user's name into it. Templated.
    :param since: begin of the period, which should be as long as you keep conversations: a ``datetime``, a ``date``,
        either of them as ISO 8601 text (UTC unless it says otherwise), or a ``timedelta`` before the start of the DAG
        run. Each week takes calls of its own; Kore.ai keeps conversations for 7 years by default. Templated.
    :param until: end of the period, likewise; ``None`` for the start of the DAG run, the same for all attempts.
        Templated.
    :param channel_types: the channels whose messages to export, of any name; ``None`` for ``rtm`` and all that the
        user's own sessions name. Templated.
    :param max_users: refuse more users than this; can only narrow the connection's limit. Templated.
    :param on_empty: ``"fail"`` or ``"skip"`` the task when there are no users.
    :param deferrable: leave the worker while the account's budget of calls is spent for long.
    :param timeout: how long an attempt may take, in seconds or as ``timedelta``.
    :param kore_conn_id: id of the connection; templated.
    :raises KoreInputError: if users, scope, period or destination are refused; nothing was sent.
    :raises KoreConfigurationError: if the connection has no ``digest_key``; nothing was sent.
    :raises KoreExportError: if a user's data cannot be exported completely, or are mixed with another user's.
    :raises KoreError: if Kore.ai cannot be asked, or refuses to answer.
    """

    template_fields: Sequence[str] = (
        "user_ids",
        "bot_ids",
        "all_bots",
        "destination",
        "since",
        "until",
        "channel_types",
        "max_users",
        "kore_conn_id",
    )
    ui_color = "#e4ebf0"

    def __init__(
        self,
        *,
        user_ids: object,
        bot_ids: object = None,
        all_bots: bool | str = False,
        destination: str,
        since: object,
        until: object = None,
        channel_types: object = None,
        max_users: int | str | None = None,
        on_empty: Literal["fail", "skip"] = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: float | timedelta = timedelta(days=2),
        kore_conn_id: str = "kore_default",
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        check_literal_scope(bot_ids, all_bots)
        check_literal(check_destination, destination)
        check_literal_period(since, until)
        if channel_types is not None:
            check_literal(check_channel_types, channel_types)
        check_literal(check_max_users, max_users)
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.all_bots = all_bots
        self.destination = destination
        self.since = since
        self.until = until
        self.channel_types = channel_types
        self.max_users = max_users
        self.on_empty = check_choice("on_empty", on_empty, ("fail", "skip"))
        self.deferrable = check_flag("deferrable", deferrable)
        self.timeout = check_seconds("timeout", timeout)
        self.kore_conn_id = kore_conn_id

    def execute(self, context: Context) -> dict[str, object]:
        """Check everything, and export one user after the other."""
        return self._export(context, resumes=False)

    def resume(self, context: Context, event: object = None) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: what its trigger fired; it only says that it is time.
        """
        del event
        return self._export(context, resumes=True)

    def _export(self, context: Context, *, resumes: bool) -> dict[str, object]:
        # What exports is not needed to read a DAG.
        from airflow_provider_kore.export.run import ExportArguments, ExportRun
        from airflow_provider_kore.reporting.page_report import Stage, reported_failure

        arguments = ExportArguments(**{field.name: getattr(self, field.name) for field in fields(ExportArguments)})
        with reported_failure(self, context, Stage.EXPORTING, self.kore_conn_id):
            return ExportRun(self, arguments, context, resumes=resumes).export()
