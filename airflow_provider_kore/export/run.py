"""One attempt of a task that exports users: check, plan, write one user's data after the other, sum up."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from airflow_provider_kore.api.channels import check_channel_types
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.api.users import ChannelUserId, UserId, digest
from airflow_provider_kore.arguments import check_max_users
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreError, KoreInputError
from airflow_provider_kore.export.folder import ExportFolder, Identity
from airflow_provider_kore.export.manifest import MANIFEST, make_manifest
from airflow_provider_kore.export.selection import Selection
from airflow_provider_kore.export.user_files import UserFiles
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.options import check_destination
from airflow_provider_kore.period import read_period
from airflow_provider_kore.resumption import (
    UsageFields,
    export_usage,
    import_usage,
    kept_state,
    max_worker_wait,
    resume_after,
    state_is_lost,
)
from airflow_provider_kore.user_ids.batches import USUAL_BATCH_SIZE, PlannedBatch, UserBatches
from airflow_provider_kore.user_ids.sealed import seal_opener

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)

PROGRESS_EVERY = 50
"""After how many users the log says how far the export is."""


@dataclass(frozen=True, slots=True)
class ExportArguments:
    """Contain the rendered arguments of :class:`KoreExportUserDataOperator`, which describes them."""

    user_ids: object
    bot_ids: object
    all_bots: object
    destination: object
    since: object
    until: object
    channel_types: object
    max_users: object
    on_empty: str
    deferrable: bool
    timeout: float
    kore_conn_id: str


@dataclass(frozen=True, slots=True)
class ExportState:
    """
    Contain what the task keeps when it leaves its worker; it names no user.

    :param started: when the attempt started, in seconds since the epoch.
    :param done: how many users are exported.
    :param usage: what the worker called that the task left; ``None`` if it has not left one.
    """

    started: float
    done: int = 0
    usage: UsageFields | None = None


_STATE = TypeAdapter(ExportState)


class ExportRun:
    """
    Run one attempt of a task that exports.

    :param operator: leaves the worker.
    :param arguments: of the operator.
    :param context: of the running task.
    :param resumes: whether this attempt has left its worker before.
    """

    def __init__(self, operator: BaseOperator, arguments: ExportArguments, context: Context, *, resumes: bool) -> None:
        state = kept_state(context, _STATE.validate_python) if resumes else ExportState(time.time())
        if state is None:
            raise state_is_lost(Consequence.NOTHING_ERASED)
        self._operator = operator
        self._arguments = arguments
        self._context = context
        self._state = state
        self._deadline = state.started + arguments.timeout
        self._hook = KoreHook(arguments.kore_conn_id)
        self._account = account = self._hook.account
        self._batches = UserBatches(
            arguments.user_ids,
            USUAL_BATCH_SIZE,
            check_max_users(arguments.max_users, account.max_users),
            account.fingerprint_key(),
            seal_opener(account, context),
        )

    def export(self) -> dict[str, object]:
        """
        Check everything, and export the users whose files are not whole yet.

        :return: the result of the task.
        :raises KoreError: if not everything is exported.
        """
        arguments, account = self._arguments, self._account
        _require_digest_key(account.digest_key)
        scope = check_scope(
            arguments.bot_ids,
            arguments.all_bots,
            allow_all_bots=account.allow_all_bots,
            allowed_bot_ids=account.allowed_bot_ids,
        )
        channel_types = None if arguments.channel_types is None else check_channel_types(arguments.channel_types)
        folder = ExportFolder(check_destination(arguments.destination))
        planned = self._plan(all_bots=scope.all_bots)

        dag_run, run = self._context["dag_run"], run_digest(self._context)
        now = folder.read_now(run, dag_run.start_date or dag_run.run_after)
        period = read_period(arguments.since, arguments.until, now)
        selection = Selection(
            host=account.base_url,
            client_id=account.client_id,
            scope=type(scope)(tuple(sorted(scope.bot_ids)), scope.all_bots),
            period=period,
            channel_types=None if channel_types is None else sorted(channel_types),
        )
        identity = Identity(**dict(selection), run=run, users=self._batches.fingerprint)
        folder.claim(identity, now)

        wanted = HistoryRange(scope.bot_ids or (None,), period.since, period.until, channel_types)
        with self._hook.get_conn() as client:
            files = UserFiles(client, folder, wanted, selection, account.digest_key, self._deadline)
            self._write_users(client, folder, files, planned)

        folder.require_claim(identity)
        manifest = make_manifest(selection, ((user, files.summary(name)) for user, _, name in self._users(planned)))
        sha256 = folder.write_document(MANIFEST, manifest)
        totals = manifest.totals
        log.info("%d users exported: %d sessions and %d messages.", totals.users, totals.sessions, totals.messages)
        return {
            "destination": arguments.destination,
            "manifest": folder.uri_of(MANIFEST),
            "manifest_sha256": sha256,
            "user_count": totals.users,
            "people_fingerprint": self._batches.fingerprint,
            "sessions": totals.sessions,
            "messages": totals.messages,
            "host": account.base_url,
            "client_id": account.client_id,
            **scope.to_json(),
            **period.to_json(),
            "channel_types": selection.channel_types,
        }

    def _plan(self, *, all_bots: bool) -> list[PlannedBatch]:
        """Read and check all users, so that Kore.ai is asked about no user of a bad list."""
        planned = []
        for batch, users in self._batches:
            for position, user_id in enumerate(users, start=1):
                if isinstance(user_id, ChannelUserId) and all_bots:
                    raise KoreInputError(
                        f"The user at batch {batch.number} position {position} is named by a channel, and "
                        "messages-lite, the one call of Kore.ai that knows such users, must name a bot.",
                        remedy="List the bots in bot_ids, name this user by an e-mail address, an id that your "
                        "enterprise assigned or a u-… id, or take the user out.",
                    )
            planned.append(batch)
        if not planned and self._arguments.on_empty == "skip" and self._state.usage is None:
            raise AirflowSkipException("There are no users to export.")
        if not planned:
            raise KoreInputError(
                "There are no users to export.",
                remedy="Check the source, or set on_empty='skip' if that can happen.",
            )
        return planned

    def _users(self, planned: Sequence[PlannedBatch]) -> Iterator[tuple[str, UserId, str]]:
        """Read the users again: of each how an error names the user, the id, and what names the files."""
        try:
            for record, batch in self._batches.reread(planned):
                for position, user_id in enumerate(batch, start=1):
                    name = digest(user_id, self._account.digest_key)
                    yield f"Batch {record.number} position {position} ({name})", user_id, name.replace(":", "-")
        except KoreInputError as error:
            raise error.with_consequence(Consequence.NOTHING_ERASED) from None

    def _write_users(
        self, client: KoreClient, folder: ExportFolder, files: UserFiles, planned: Sequence[PlannedBatch]
    ) -> None:
        user_count = sum(batch.user_count for batch in planned)
        import_usage(client, self._state.usage)
        for done, (user, user_id, name) in enumerate(self._users(planned)):
            if done < self._state.done:
                continue
            try:
                if not files.is_whole(name):
                    self._leave_if_spent(client, files.seconds_until_turn(user_id), done)
                    folder.remove(MANIFEST)  # which would speak of a file that is being replaced
                    files.write(user_id, name)
            except KoreError as error:
                raise type(error)(
                    f"{user}: {error.problem}", consequence=error.consequence, remedy=error.remedy
                ) from None
            if (done + 1) % PROGRESS_EVERY == 0:
                log.info("%d of %d users exported.", done + 1, user_count)

    def _leave_if_spent(self, client: KoreClient, seconds: float, done: int) -> None:
        """
        Leave the worker if the account's budget is spent for long.

        A task leaves only between two users: within one it waits in the worker, since a part of a user's data proves
        nothing, and is kept nowhere.
        """
        if seconds <= max_worker_wait(self._arguments.deferrable) or time.time() + seconds >= self._deadline:
            return
        log.info(
            "The account's budget is spent for %.0f s: the task leaves its worker, and resumes with user %d then.",
            seconds,
            done + 1,
        )
        state = _STATE.dump_python(ExportState(self._state.started, done, export_usage(client)), mode="json")
        resume_after(self._operator, self._context, seconds, state, self._deadline)


def run_digest(context: Context) -> str:
    """
    Name the task instance, without the words that an author may have typed.

    Attempts and clears of a task instance share it; other tasks, mapped instances and DAG runs do not.
    """
    dag_run, task_instance = context["dag_run"], context["ti"]
    names = [dag_run.dag_id, dag_run.run_id, task_instance.task_id, task_instance.map_index]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]


def _require_digest_key(digest_key: str) -> None:
    if not digest_key:
        raise KoreConfigurationError(
            "The connection has no digest_key, by which the files of an export are named.",
            consequence=Consequence.NOT_SENT,
            remedy="Put a secret of its own into the connection's field Digest key, and keep it: without it no one can "
            "tell whose file is whose.",
        )
