"""What an exporting task does in one try: check, write person after person what Kore.ai has, and sum it up."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.history import HistoryKind, check_channel_types
from airflow_provider_kore.api.person_history import HistoryRange
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.api.users import ChannelUserId, UserId, digest, text_fault
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreConfigurationError,
    KoreError,
    KoreExportError,
    KoreInputError,
)
from airflow_provider_kore.export.folder import ExportFolder
from airflow_provider_kore.export.person_files import Begun, PersonFiles
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.options import check_max_users
from airflow_provider_kore.period import Period, read_period
from airflow_provider_kore.resumption import (
    UsageFields,
    export_usage,
    import_usage,
    kept_state,
    max_worker_wait,
    resume_after,
    state_is_lost,
    usage_from_json,
)
from airflow_provider_kore.user_ids.batches import USUAL_BATCH_SIZE, PlannedBatch, UserBatches

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.operators.export import KoreExportUserDataOperator

log = logging.getLogger(__name__)

VERSION = 1
"""Of the form of all JSON files beside the data."""

PROGRESS_EVERY = 50
"""After how many users the log tells how far the export is."""

BEGUN = "export.json"
"""The first file in the folder: what it is for."""

_NAMES = {"users": "set of users"}
"""How an error names a part of what a folder is for, where its key alone would be wrong English."""

MANIFEST = "manifest.json"
"""The last file in the folder: what all others hold."""


@dataclass(frozen=True, slots=True)
class ExportState:
    """
    Hold what a task that exports keeps when it leaves its worker; it names no user.

    :param started: when the attempt started, in seconds since the epoch.
    :param done: how many users are done with.
    :param begun: how far the file of the next one is.
    :param calls: what the worker called that the task left.
    """

    started: float
    done: int
    begun: Begun
    calls: UsageFields

    def to_json(self) -> dict[str, object]:
        """Write the form that is kept."""
        return {
            "started": self.started,
            "done": self.done,
            "query": self.begun.query,
            "begun_sha256": self.begun.sha256,
            "calls": self.calls,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ExportState:
        """Read what :meth:`to_json` wrote."""
        begun = Begun(int(fields["query"]), fields["begun_sha256"])
        return cls(float(fields["started"]), int(fields["done"]), begun, usage_from_json(fields["calls"]))


def export(operator: KoreExportUserDataOperator, context: Context, *, resumes: bool) -> dict[str, object]:
    """
    Carry out one attempt of a task that exports.

    :param resumes: whether this attempt has left its worker before.
    :raises KoreError: if not everything is exported.
    """
    if not resumes:
        return ExportingTask(operator, context).export()
    state = kept_state(context, ExportState.from_json)
    if state is None:
        raise state_is_lost(Consequence.NOTHING_ERASED)
    return ExportingTask(operator, context, state).export()


class ExportingTask:
    """
    Carry out one attempt of a task that exports.

    :param operator: what the author of the DAG asked for, rendered.
    :param context: of the running task.
    :param state: what this attempt kept when it left its worker; ``None`` if it did not.
    """

    def __init__(
        self, operator: KoreExportUserDataOperator, context: Context, state: ExportState | None = None
    ) -> None:
        self._operator = operator
        self._context = context
        self._state = state
        self._hook = KoreHook(operator.kore_conn_id)
        self._deadline = (time.time() if state is None else state.started) + operator.timeout
        self._identity: dict[str, object] = {}

    def export(self) -> dict[str, object]:
        """Check everything, write what is not whole yet, person after person, and sum it up."""
        self._require_digest_key()
        scope = self._check_scope()
        channel_types = None
        if self._operator.channel_types is not None:
            channel_types = check_channel_types(self._operator.channel_types)
        folder = ExportFolder(_check_destination(self._operator.destination))
        planned = self._plan(scope)
        if not planned:
            return self._end_empty()
        period, asked = self._begin(folder, scope, channel_types)
        wanted = HistoryRange(scope.bot_ids or (None,), period.since, period.until, channel_types)
        with self._hook.get_conn() as client:
            files = PersonFiles(
                client,
                folder,
                wanted,
                asked,
                self._account.digest_key,
                deadline=self._deadline,
                max_worker_wait=max_worker_wait(self._operator.deferrable),
            )
            self._write_all(client, folder, files, planned)
        self._require_own_folder(folder)
        output = self._sum_up(folder, files, asked, planned) | scope.to_json() | period.to_json()
        return output | {"channel_types": asked["channel_types"]}

    # --- what is asked for -------------------------------------------------------------------------------------------

    @cached_property
    def _account(self) -> KoreAccount:
        return self._hook.account

    @cached_property
    def _batches(self) -> UserBatches:
        most = check_max_users(self._operator.max_users, self._account.max_users)
        return UserBatches(self._operator.user_ids, USUAL_BATCH_SIZE, most, self._account.fingerprint_key())

    def _require_digest_key(self) -> None:
        if not self._account.digest_key:
            raise KoreConfigurationError(
                "The connection has no digest_key, by which the files of an export are named.",
                consequence=Consequence.NOT_SENT,
                remedy="Put a secret of its own into the connection's field Digest key, and keep it: without it nobody "
                "can tell whose file is whose.",
            )

    def _check_scope(self) -> ErasureScope:
        return check_scope(
            self._operator.bot_ids,
            self._operator.all_bots,
            allow_all_bots=self._account.allow_all_bots,
            allowed_bot_ids=self._account.allowed_bot_ids,
            flag="all_bots",
        )

    def _plan(self, scope: ErasureScope) -> list[PlannedBatch]:
        """Read and check all users, so that Kore.ai is asked about nobody of a bad list."""
        planned = []
        for batch, users in self._batches:
            for position, user_id in enumerate(users, start=1):
                if isinstance(user_id, ChannelUserId) and scope.all_bots:
                    raise KoreInputError(
                        f"The user at batch {batch.number} position {position} is named by a channel, and "
                        "messages-lite, the one call of Kore.ai that knows such users, must name a bot.",
                        remedy="List the bots in bot_ids, name this user by an e-mail address, an id that your "
                        "enterprise assigned or a u-… id, or take the user out.",
                    )
            planned.append(batch)
        return planned

    def _end_empty(self) -> dict[str, object]:
        if self._operator.on_empty == "skip" and self._state is None:
            raise AirflowSkipException("There are no users to export.")
        raise KoreInputError(
            "There are no users to export.",
            remedy="Check the source, or set on_empty='skip' if that can happen.",
        )

    def _begin(
        self, folder: ExportFolder, scope: ErasureScope, channel_types: Sequence[str] | None
    ) -> tuple[Period, dict[str, object]]:
        """
        Settle the period, and let the folder say what it is for; refuse one that is for something else.

        The folder keeps what counts as now, since a finished DAG run that is cleared gets another start from Airflow.
        """
        begun = folder.read_document(BEGUN)
        if begun is None and folder.read(BEGUN) is not None:
            raise _taken(f"it holds a file {BEGUN} that is not understood")
        run, now = self._run()
        if begun is not None and begun.get("run") == run:
            with suppress(TypeError, ValueError):
                now = datetime.fromisoformat(cast("str", begun.get("now")))
        period = read_period(self._operator.since, self._operator.until, now)
        asked: dict[str, object] = {
            "version": VERSION,
            "host": self._account.base_url,
            "client_id": self._account.client_id,
            "scope": {"bot_ids": sorted(scope.bot_ids), "all_bots": scope.all_bots},
            "period": period.to_json(),
            "channel_types": None if channel_types is None else sorted(channel_types),
        }
        self._identity = {**asked, "run": run, "users": self._batches.fingerprint}
        if begun is None:
            folder.write_document(BEGUN, {**self._identity, "now": now.isoformat()})
        self._require_own_folder(folder)
        return period, asked

    def _require_own_folder(self, folder: ExportFolder) -> None:
        """Refuse a folder that another export has taken, also one that began at the same moment."""
        begun = folder.read_document(BEGUN) or {}
        if others := [_NAMES.get(key, key) for key, value in self._identity.items() if begun.get(key) != value]:
            raise _taken(f"it holds an export of another {' and '.join(others)}")

    def _run(self) -> tuple[str, datetime]:
        """
        Name the run of this task, without the words that somebody may have typed, and tell when it started.

        Attempts and clears of a task instance share it; other tasks, mapped instances and DAG runs do not.
        """
        dag_run, task_instance = self._context["dag_run"], self._context["ti"]
        names = [dag_run.dag_id, dag_run.run_id, self._operator.task_id, task_instance.map_index]
        name = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
        return name, dag_run.start_date or dag_run.run_after

    # --- person after person -----------------------------------------------------------------------------------------

    def _users(self, planned: Sequence[PlannedBatch]) -> Iterator[tuple[str, UserId, str]]:
        """Read the users again, and give of each the place, the id, and what names the files."""
        try:
            for record, batch in self._batches.reread(planned):
                for position, user_id in enumerate(batch, start=1):
                    name = digest(user_id, self._account.digest_key)
                    place = f"Batch {record.number} position {position} ({name})"
                    yield place, user_id, name.replace(":", "-")
        except KoreInputError as error:
            raise error.with_consequence(Consequence.NOTHING_ERASED) from None

    def _write_all(
        self, client: KoreClient, folder: ExportFolder, files: PersonFiles, planned: Sequence[PlannedBatch]
    ) -> None:
        user_count = sum(record.user_count for record in planned)
        done_before, begun = 0, None
        if self._state is not None:
            done_before, begun = self._state.done, self._state.begun
            import_usage(client, self._state.calls)
        for done, (place, user_id, name) in enumerate(self._users(planned)):
            if done < done_before:
                continue
            left = None
            try:
                if begun is not None or not files.is_whole(name):
                    folder.remove(MANIFEST)  # which would speak of a file that is being replaced
                    left = files.write(user_id, name, begun)
            except KoreError as error:
                raise type(error)(
                    f"{place}: {error.problem}", consequence=error.consequence, remedy=error.remedy
                ) from None
            if left is not None:
                self._leave(client, files.pause, done, left)
            begun = None
            if (done + 1) % PROGRESS_EVERY == 0:
                log.info("%d of %d users exported.", done + 1, user_count)

    def _leave(self, client: KoreClient, seconds: float, done: int, begun: Begun) -> None:
        log.info(
            "The account's budget is spent for %.0f s: the task leaves its worker, and goes on with user %d then.",
            seconds,
            done + 1,
        )
        started = self._deadline - self._operator.timeout
        state = ExportState(started, done, begun, export_usage(client)).to_json()
        resume_after(self._operator, self._context, seconds, state, self._deadline)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _sum_up(
        self, folder: ExportFolder, files: PersonFiles, asked: Mapping[str, object], planned: Sequence[PlannedBatch]
    ) -> dict[str, object]:
        """Write the manifest from what stands beside each person's file."""
        listed = []
        owners: dict[object, str] = {}
        compared = 0
        for place, _, name in self._users(planned):
            summary = files.summary(name)
            if summary is None:
                raise KoreExportError(
                    f"{place}: there is no whole file of this user at the end. The source of the user ids, or the "
                    "destination, was changed while the task ran.",
                    remedy="Clear the task to go on.",
                )
            compared += summary.get("compared") is True
            named = summary["named_in_data"]
            if named is not None and (other := owners.setdefault(named, place)) != place:
                raise KoreExportError(
                    f"{place} and {other} have the data of one and the same person.",
                    remedy="Take one of them out if both are ids of one person. If not, Kore.ai answered with somebody "
                    "else's data: delete the export, and ask Kore.ai.",
                )
            listed.append({key: summary[key] for key in ("file", *_COUNTED, "size", "sha256")})
        listed.sort(key=lambda file: cast("str", file["file"]))
        totals = {kind: sum(cast("int", file[kind]) for file in listed) for kind in _COUNTED}
        sha256 = folder.write_document(MANIFEST, {**asked, "files": listed, "totals": {"users": len(listed), **totals}})
        if compared < len(listed):
            log.warning(
                "The exports of %d users were not compared with messages-lite, which does not answer, or takes no "
                "request for all bots or by a user's id in a channel: Kore.ai's full calls alone show that they are "
                "whole.",
                len(listed) - compared,
            )
        log.info("%d users exported: %d sessions and %d messages.", len(listed), *totals.values())
        return {
            "destination": self._operator.destination,
            "manifest": folder.uri_of(MANIFEST),
            "manifest_sha256": sha256,
            "user_count": len(listed),
            "people_fingerprint": self._batches.fingerprint,
            "host": self._account.base_url,
            "client_id": self._account.client_id,
            **totals,
        }


_COUNTED = tuple(kind.value for kind in HistoryKind)

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def _check_destination(value: object) -> str:
    if not isinstance(value, str) or text_fault(value) or not _URI.fullmatch(value):
        raise KoreInputError(
            "destination must be the URI of a folder.",
            remedy="Pass one such as s3://bucket/exports/2026-01 or file:///data/exports.",
        )
    return value


def _taken(why: str) -> KoreInputError:
    return KoreInputError(
        f"The destination cannot be used: {why}.",
        remedy="Give each export a folder of its own, for example by a template such as {{ run_id }}; or empty the "
        "folder.",
    )
