"""One attempt of a task that deletes recordings: check, then user after user collect the sessions and delete."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from pydantic import TypeAdapter

from airflow_provider_kore.api.calls import delete_recordings
from airflow_provider_kore.api.channels import check_channel_types
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.http_logs import without_http_logs
from airflow_provider_kore.api.recordings import RecordedSession, check_recorded_bots
from airflow_provider_kore.api.users import UserId
from airflow_provider_kore.arguments import check_flag, check_max_users, refuse_nothing
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreError, KoreInputError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.period import read_period
from airflow_provider_kore.recordings.progress import Progress, store_progress, stored_progress
from airflow_provider_kore.recordings.sessions import find_sessions, require_time
from airflow_provider_kore.resumption import (
    UsageFields,
    export_usage,
    import_usage,
    kept_state,
    max_worker_wait,
    push_outcome,
    resume_after,
    state_is_lost,
)
from airflow_provider_kore.user_ids.batches import USUAL_BATCH_SIZE, UserBatches
from airflow_provider_kore.user_ids.sealed import seal_opener
from airflow_provider_kore.user_ids.user_refs import show_user_ref, user_ref

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)

PROGRESS_EVERY = 50
"""After how many users the log says how far the task is."""


class RecordingsTask(Protocol):
    """The rendered arguments of :class:`KoreDeleteRecordingsOperator`, which describes them."""

    user_ids: object
    bot_ids: object
    since: object
    until: object
    channel_types: object
    max_users: int | str | None
    is_dry_run: bool | str
    on_empty: str
    deferrable: bool
    timeout: float
    kore_conn_id: str
    recordings_conn_id: str


@dataclass(frozen=True, slots=True)
class RecordingsState:
    """
    Contain what the task keeps when it leaves its worker; it names no user and no session.

    :param started: when the attempt started, in seconds since the epoch.
    :param progress: what is done.
    :param usage: what the worker called that the task left, with each of the two connections.
    """

    started: float
    progress: Progress
    usage: tuple[UsageFields, UsageFields]


_STATE = TypeAdapter(RecordingsState)


class RecordingsRun:
    """
    Run one attempt of a task that deletes recordings.

    :param task: the operator; its arguments are rendered.
    :param context: of the running task.
    """

    def __init__(self, task: RecordingsTask, context: Context) -> None:
        self._operator = cast("BaseOperator", task)
        self._task = task
        self._context = context

    def start(self) -> dict[str, object]:
        """Check everything, and begin with the first user whom no earlier attempt has done."""
        try:
            identity = self._plan()
            if not self._user_count and self._task.on_empty == "skip":
                raise AirflowSkipException("There are no users whose recordings to delete.")
            self._require_users()
        except KoreError as error:
            if self._context["ti"].try_number > 1:  # an earlier attempt may have deleted some
                raise error.with_consequence(Consequence.RECORDINGS_LEFT) from None
            raise
        return self._process(time.time(), stored_progress(self._context, identity), None)

    def resume(self) -> dict[str, object]:
        """Continue when the accounts' budgets are no longer spent."""
        state = kept_state(self._context, _STATE.validate_python)
        if state is None:
            raise state_is_lost(Consequence.RECORDINGS_LEFT)
        try:
            identity = self._plan()
            self._require_users()
        except KoreError as error:
            raise error.with_consequence(Consequence.RECORDINGS_LEFT) from None
        # If a source was changed meanwhile, all users are done again.
        progress = state.progress if state.progress.identity == identity else Progress(identity)
        return self._process(state.started, progress, state.usage)

    def _require_users(self) -> None:
        if not self._user_count:
            raise KoreInputError(
                "There are no users whose recordings to delete.",
                remedy="Check the source, or set on_empty='skip' if that can happen.",
            )

    def _plan(self) -> str:
        """Read and check everything, so that nothing is deleted of a bad list; return what tells it from another."""
        task = self._task
        refuse_nothing("recordings_conn_id", task.recordings_conn_id)
        self._hooks = KoreHook(task.kore_conn_id), KoreHook(task.recordings_conn_id)
        accounts = self._account, self._deleting_account = self._hooks[0].account, self._hooks[1].account
        self._batches = UserBatches(
            task.user_ids,
            USUAL_BATCH_SIZE,
            check_max_users(task.max_users, min(account.max_users for account in accounts)),
            self._account.fingerprint_key(),
            seal_opener(self._account, self._context),
        )
        self._is_dry_run = check_flag("dry_run", task.is_dry_run)
        for account in accounts:  # the guards of both connections count
            self._scope = check_recorded_bots(task.bot_ids, account.allowed_bot_ids)
        channel_types = None if task.channel_types is None else check_channel_types(task.channel_types)
        dag_run = self._context["dag_run"]
        self._period = period = read_period(task.since, task.until, dag_run.start_date or dag_run.run_after)
        self._wanted = HistoryRange(self._scope.bot_ids, period.since, period.until, channel_types)
        if self._account.base_url != self._deleting_account.base_url:
            raise KoreConfigurationError(
                "kore_conn_id and recordings_conn_id do not have the same base URL, and another Kore.ai knows nothing "
                "of these sessions.",
                consequence=Consequence.NOT_SENT,
                remedy="Correct the base URL of one of the two connections.",
            )
        self._planned = self._batches.plan()
        self._user_count = sum(batch.user_count for batch in self._planned)
        identity = {
            "accounts": [account.identity() for account in accounts],
            "path": self._deleting_account.api_profile.recordings_path,
            "users": self._batches.fingerprint,
            "dry_run": self._is_dry_run,
            **self._selection(),
        }
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def _selection(self) -> dict[str, object]:
        channel_types = self._wanted.channel_types
        return {
            **self._scope.to_json(),
            **self._period.to_json(),
            "channel_types": None if channel_types is None else list(channel_types),
        }

    def _users(self) -> Iterator[tuple[str, UserId]]:
        """Read the users again: of each how an error names the user, and the id."""
        for record, batch in self._batches.reread(self._planned):
            for position, user_id in enumerate(batch):
                ref = user_ref(record.number, position, user_id, self._account.digest_key)
                yield f"Batch {record.number} position {show_user_ref(ref)}", user_id

    def _process(
        self, started: float, progress: Progress, usage: tuple[UsageFields, UsageFields] | None
    ) -> dict[str, object]:
        log.info(
            "%s the recordings of %d users at %s; %d users are done.",
            "Previewing" if self._is_dry_run else "Deleting",
            self._user_count,
            self._scope,
            progress.users_done,
        )
        deadline = started + self._task.timeout
        with self._hooks[0].get_conn() as reader, self._hooks[1].get_conn() as deleter:
            for client, used in zip((reader, deleter), usage or (), strict=False):
                import_usage(client, used)
            try:
                for number, (user, user_id) in enumerate(self._users()):
                    if number < progress.users_done:
                        continue
                    self._leave_if_spent(reader, deleter, started, deadline, progress)
                    self._process_user(reader, deleter, user, user_id, deadline, progress)
            except KoreError as error:
                push_outcome(self._operator, self._context, self._result(progress))
                raise error.with_consequence(Consequence.RECORDINGS_LEFT) from None
        if not progress.compared:
            log.warning(
                "The sessions of some users were not compared with messages-lite, which does not answer: the sessions "
                "call alone shows that they are all."
            )
        result = self._result(progress)
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self._counts(progress).items())
        log.info("%d users: %s.", self._user_count, counts)
        return result

    def _process_user(
        self,
        reader: KoreClient,
        deleter: KoreClient,
        user: str,
        user_id: UserId,
        deadline: float,
        progress: Progress,
    ) -> None:
        """Collect the sessions of a user and delete their recordings; the user is done only if all of it is."""
        try:
            found = find_sessions(reader, user_id, self._wanted, deadline)
            progress.compared &= found.compared
            progress.sessions += len(found.sessions)
            for session in () if self._is_dry_run else found.sessions:
                if self._delete(deleter, session, deadline):
                    progress.deleted += 1
                else:
                    progress.without_recordings += 1
        except KoreError as error:
            raise type(error)(f"{user}: {error.problem}", consequence=error.consequence, remedy=error.remedy) from None
        progress.users_done += 1
        store_progress(self._context, progress)
        if progress.users_done % PROGRESS_EVERY == 0:
            log.info("%d of %d users done.", progress.users_done, self._user_count)

    def _delete(self, client: KoreClient, session: RecordedSession, deadline: float) -> bool:
        require_time(deadline)
        with without_http_logs():
            return client.run(delete_recordings(session, client.pacing, client.pacing.moment_of(deadline)))

    def _leave_if_spent(
        self, reader: KoreClient, deleter: KoreClient, started: float, deadline: float, progress: Progress
    ) -> None:
        """
        Leave the worker if the budget of one of the accounts is spent for long.

        A task leaves only between two users: the ids of sessions are kept nowhere.
        """
        seconds = max(
            client.pacing.budget.seconds_until_turn(call)
            for client, call in ((reader, Call.SESSIONS), (deleter, Call.RECORDINGS))
        )
        if seconds <= max_worker_wait(self._task.deferrable) or time.time() + seconds >= deadline:
            return
        log.info(
            "The account's budget is spent for %.0f s: the task leaves its worker, and resumes with user %d then.",
            seconds,
            progress.users_done + 1,
        )
        state = RecordingsState(started, progress, (export_usage(reader), export_usage(deleter)))
        resume_after(self._operator, self._context, seconds, _STATE.dump_python(state, mode="json"), deadline)

    def _result(self, progress: Progress) -> dict[str, object]:
        return {
            "user_count": self._user_count,
            "people_fingerprint": self._batches.fingerprint,
            "users_done": progress.users_done,
            **self._counts(progress),
            "compared": progress.compared,
            **self._selection(),
            **({"dry_run": True} if self._is_dry_run else {}),
        }

    def _counts(self, progress: Progress) -> dict[str, int]:
        return {"sessions": progress.sessions} if self._is_dry_run else progress.counts()
