"""Search for users after their erasure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_kore.api.channels import check_channel_types
from airflow_provider_kore.arguments import check_choice, check_flag, check_seconds
from airflow_provider_kore.options import (
    check_literal,
    check_literal_period,
    check_literal_scope,
    check_on_not_checkable,
    check_sample,
)
from airflow_provider_kore.user_ids.argument import UserIdsMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.verification.run import VerifyRun


class KoreVerifyErasureOperator(UserIdsMixin, BaseOperator):
    """
    Search Kore.ai for sessions and messages of users after their erasure, and fail if a user is found.

    It only reads. A user is *gone* if Kore.ai answered every query without data. An answer with an error counts as
    *not checkable*, whatever it says. Gone means that Kore.ai's interfaces for reading show nothing under this id in
    this period: neither backups nor other ids of the user are checked.

    A user takes two or three calls for each bot, whatever the period: messages by ``messages-lite``, which is asked by
    the user id and, unless that is a ``u-…`` id, by the user's id in a channel; and sessions. Each further channel
    takes one more. Where Kore.ai refuses these calls, or for all bots, a user takes a call for each week of the period,
    bot and kind of data. All count in the account's rate limit. A user who is named by a channel id and a channel user
    id is searched for on all channels, by ``messages-lite`` alone: without it, or for all bots, such a user is *not
    checkable*.

    Returns a dict: ``user_count``, ``gone``, ``found``, ``not_checkable`` and ``not_checked``, which add up to it; the
    period and the bots; and, unless there are none, the positions of ``found_users`` and ``not_checkable_users``, at
    most 1,000 of each. Before the task fails, the same dict is pushed to the XCom ``return_value``, unless it is
    refused before it calls Kore.ai.

    :param user_ids: the users to search for, as :class:`KoreEraseUserDataOperator` takes them. Templated.
    :param bot_ids: the bots to search. Templated.
    :param all_bots: ``True`` to search all bots of the organisation instead. A real bool; templated.
    :param since: begin of the period: a date or time, its ISO text, or a ``timedelta`` before the start of the task;
        use the time for which Kore.ai keeps your conversations. Templated.
    :param until: end of the period; default: the present. Set it to the time of the erasure if users may have
        returned since. Templated.
    :param people: how many of the users to search for: ``"all"`` (default), or ``"sample:N"`` for N users chosen by
        chance. Templated.
    :param channel_types: the channels of the messages to search for; any names, such as ``korevg`` for voice.
        ``messages-lite`` searches all others too.
    :param on_not_checkable: ``"fail"`` or ``"warn"`` if it cannot be checked whether a user is gone.
    :param on_empty: ``"fail"`` or ``"skip"`` the task when there are no users.
    :param deferrable: leave the worker while the account's rate limit is spent for long.
    :param timeout: how long to wait for turns to call, from the start of the attempt, in seconds or as ``timedelta``.
    :param kore_conn_id: id of the connection; templated.
    :raises KoreInputError: if users, bots or period are refused; nothing was sent.
    :raises KoreFoundError: if a user was found.
    :raises KoreVerificationError: if a user cannot be checked.
    """

    template_fields: Sequence[str] = (
        "user_ids",
        "bot_ids",
        "all_bots",
        "since",
        "until",
        "people",
        "kore_conn_id",
    )
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        user_ids: object,
        bot_ids: object = None,
        all_bots: bool | str = False,
        since: object,
        until: object = None,
        people: str = "all",
        channel_types: Sequence[str] = ("rtm",),
        on_not_checkable: Literal["fail", "warn"] = "fail",
        on_empty: Literal["fail", "skip"] = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: float | timedelta = timedelta(days=2),
        kore_conn_id: str = "kore_default",
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        check_literal_scope(bot_ids, all_bots)
        check_literal_period(since, until)
        check_literal(check_sample, people)
        check_channel_types(channel_types)
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.all_bots = all_bots
        self.since = since
        self.until = until
        self.people = people
        self.channel_types = channel_types
        self.on_not_checkable = check_on_not_checkable(on_not_checkable)
        self.on_empty = check_choice("on_empty", on_empty, ("fail", "skip"))
        self.deferrable = check_flag("deferrable", deferrable)
        self.timeout = check_seconds("timeout", timeout)
        self.kore_conn_id = kore_conn_id

    def execute(self, context: Context) -> dict[str, object]:
        """Check everything, and search for one user after the other."""
        return self._run(context).start()

    def resume(self, context: Context, event: object = None) -> dict[str, object]:
        """
        Resume where the task left its worker.

        :param event: what its trigger fired; it only says that it is time.
        """
        del event
        return self._run(context).resume()

    def _run(self, context: Context) -> VerifyRun:
        from airflow_provider_kore.verification.run import VerifyRun  # not needed to read a DAG

        return VerifyRun(self, context)
