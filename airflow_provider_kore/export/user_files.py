"""The files of one user in an export: the data, and beside them a summary, once they are whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO

from pydantic import BaseModel

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.history import HistoryKind
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.user_history import HistoryItem, UserHistory
from airflow_provider_kore.api.users import UserId, digest
from airflow_provider_kore.exceptions import KoreExportError
from airflow_provider_kore.export.folder import ExportFolder
from airflow_provider_kore.export.selection import Selection
from airflow_provider_kore.storage.errors import describe_storage_error

IN_MEMORY = 8 * 1024 * 1024
"""In bytes: how much of a user's data is kept in memory."""


class Counts(BaseModel, frozen=True):
    """Count the items of a user, a bot or an export."""

    sessions: int
    messages: int


class BotCounts(Counts, frozen=True):
    """Count the items that a bot has of a user; ``bot_id`` is ``None`` for all bots."""

    bot_id: str | None


class ExportedFile(Counts, frozen=True):
    """
    Describe a file of data.

    :param file: its name.
    :param size: in bytes.
    :param sha256: of its content, in hex.
    """

    file: str
    size: int
    sha256: str


class UserSummary(ExportedFile, Selection, frozen=True):
    """
    Describe the data of one user; it stands beside the file of the data only when that is whole.

    :param named_in_data: the digest of the id by which the data name the user; ``None`` if there are no data.
    :param channels: whose messages were asked for.
    :param compared: whether the data were compared with ``messages-lite``.
    :param by_bot: the counts of each bot.
    """

    named_in_data: str | None
    channels: list[str]
    compared: bool
    by_bot: list[BotCounts]


@dataclass(frozen=True, slots=True)
class UserFiles:
    """
    Write the files of one user after the other.

    :param client: asks Kore.ai.
    :param folder: of the export.
    :param wanted: which data to ask for.
    :param selection: the same, as the documents say it.
    :param digest_key: of the connection.
    :param deadline: when the task ends, in seconds since the epoch.
    """

    client: KoreClient
    folder: ExportFolder
    wanted: HistoryRange
    selection: Selection
    digest_key: str = field(repr=False)
    deadline: float

    def summary(self, name: str) -> UserSummary | None:
        """Read a user's summary; ``None`` if the file is not whole, or is of another selection."""
        summary = self.folder.read_document(f"{name}.json", UserSummary)
        return None if summary is None or self.selection.differences(summary) else summary

    def is_whole(self, name: str) -> bool:
        """Tell whether a user's file is there, and has not changed."""
        summary = self.summary(name)
        return summary is not None and self.folder.sha256(f"{name}.jsonl") == summary.sha256

    def seconds_until_turn(self, user_id: UserId) -> float:
        """Tell how long the first call about a user must wait at least."""
        call = next(UserHistory(user_id, self.wanted).queries()).call
        return self.client.pacing.budget.seconds_until_turn(call)

    def write(self, user_id: UserId, name: str) -> None:
        """
        Ask Kore.ai for all data of a user, and write them. Nothing is in the folder before they are whole.

        What is larger than :data:`IN_MEMORY` waits on the worker's disk in a file without a name, which ends with the
        process, however that ends.

        :param user_id: the user.
        :param name: of the user's files, without their endings.
        :raises KoreExportError: if the data are not whole, contain another user's, or cannot be written, or if the time
            is over.
        :raises KoreError: if Kore.ai cannot be asked.
        """
        self.folder.remove(f"{name}.json", f"{name}.jsonl")
        history = UserHistory(user_id, self.wanted)
        with _naming_faults_of_worker(), SpooledTemporaryFile(IN_MEMORY) as content:
            self._collect(history, content)
            size = content.tell()
            content.seek(0)
            sha256 = self.folder.write(f"{name}.jsonl", content)
        self.folder.write_document(f"{name}.json", self._summarize(history, f"{name}.jsonl", size, sha256))

    def _collect(self, history: UserHistory, content: IO[bytes]) -> None:
        def write(item: HistoryItem) -> None:
            line = {"kind": item.kind.item_name, "bot_id": item.bot_id, "data": item.data}
            content.write(json.dumps(line).encode() + b"\n")

        pacing = self.client.pacing
        for query in history.queries():
            if time.time() >= self.deadline:
                raise KoreExportError(
                    "The time that the task has is over.", remedy="Clear the task to resume, or let timeout be longer."
                )
            self.client.run(history.ask(query, pacing, write, give_up_at=pacing.moment_of(self.deadline)))

    def _summarize(self, history: UserHistory, file: str, size: int, sha256: str) -> UserSummary:
        sessions, messages = HistoryKind.SESSIONS, HistoryKind.MESSAGES
        by_bot = [
            BotCounts(
                bot_id=bot_id, sessions=history.counts[sessions, bot_id], messages=history.counts[messages, bot_id]
            )
            for bot_id in self.wanted.bot_ids
        ]
        return UserSummary(
            **dict(self.selection),
            file=file,
            sessions=sum(bot.sessions for bot in by_bot),
            messages=sum(bot.messages for bot in by_bot),
            size=size,
            sha256=sha256,
            named_in_data=None if history.own_id is None else digest(history.own_id, self.digest_key),
            channels=history.channel_types,
            compared=history.compared,
            by_bot=by_bot,
        )


@contextmanager
def _naming_faults_of_worker() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # of the temporary file: client and folder raise none
        raise KoreExportError(
            f"The export cannot be collected on the worker: {describe_storage_error(error)}.",
            remedy="Give the worker room in its folder for temporary files; then clear the task to resume.",
        ) from None
