"""The files of one person in an export: the data, and beside them what they are, once they are whole."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.history import HistoryKind
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.person_history import HistoryItem, PersonHistory, Write
from airflow_provider_kore.api.users import UserId, digest
from airflow_provider_kore.exceptions import KoreExportError
from airflow_provider_kore.export.folder import SET_ASIDE, ExportFolder, GrowingFile

log = logging.getLogger(__name__)

_KINDS = {kind.item_name: kind for kind in HistoryKind}


@dataclass(frozen=True, slots=True)
class Begun:
    """
    Say how far a person's export is that the task left unfinished.

    :param query: how many queries are done.
    :param sha256: of what was written so far; ``None`` for nothing.
    """

    query: int
    sha256: str | None


class PersonFiles:
    """
    Write the files of person after person.

    :param client: holds the conversations.
    :param folder: where to.
    :param wanted: what is wanted of each person.
    :param asked: how the files say so.
    :param digest_key: of the connection.
    :param deadline: when the task ends, in seconds since the epoch.
    :param max_worker_wait: longest wait for a turn, in seconds.
    :ivar pause: in how many seconds the next turn is, when a person was left unfinished.
    """

    def __init__(
        self,
        client: KoreClient,
        folder: ExportFolder,
        wanted: HistoryRange,
        asked: Mapping[str, object],
        digest_key: str,
        *,
        deadline: float,
        max_worker_wait: float,
    ) -> None:
        self._client = client
        self._folder = folder
        self._wanted = wanted
        self._asked = asked
        self._digest_key = digest_key
        self._deadline = deadline
        self._patience = max_worker_wait
        self.pause = 0.0

    def is_whole(self, name: str) -> bool:
        """Tell whether all that is asked for was written before, and is still what it was."""
        summary = self.summary(name)
        return summary is not None and self._folder.sha256(_data(name)) == summary.get("sha256")

    def summary(self, name: str) -> dict[str, object] | None:
        """Read what the person's file is; ``None`` if it is not whole, or not what is asked for."""
        summary = self._folder.read_document(_summary(name))
        fits = summary is not None and all(summary.get(key) == value for key, value in self._asked.items())
        return summary if fits else None

    def write(self, user_id: UserId, name: str, begun: Begun | None) -> Begun | None:
        """
        Ask for all of one person's data, and write them.

        If anything goes wrong, what was written is removed, and nothing beside it says that it is whole.

        :param user_id: the person.
        :param name: what the names of the person's files begin with.
        :param begun: how far it is already.
        :return: how far it is, if the task must leave its worker because the budget is spent; else ``None``.
        :raises KoreExportError: if the data are not whole, hold somebody else's, or cannot be written.
        :raises KoreError: if Kore.ai cannot be asked.
        """
        aside = _data(name) + SET_ASIDE
        self._folder.remove(_summary(name), _data(name))
        history = PersonHistory(user_id, self._wanted)
        file = self._folder.begin(_data(name))
        try:
            done = self._take_up(history, file, aside, begun)
            for number, query in enumerate(history.queries()):
                if number < done:
                    continue
                if self._must_leave(query.call):
                    return Begun(number, file.set_aside())
                self._client.run(history.ask(query, self._client.pacing, _writing(file), self._give_up_at()))
            sha256 = file.finish()
        except BaseException:
            file.discard()
            raise
        self._folder.remove(aside)
        self._folder.write_document(_summary(name), self._describe(name, history, file.size, sha256))
        return None

    def _take_up(self, history: PersonHistory, file: GrowingFile, aside: str, begun: Begun | None) -> int:
        """Take up what was written before the task left its worker, and tell how many queries are done."""
        if begun is None or begun.sha256 is None:
            return 0
        if self._folder.sha256(aside) != begun.sha256:
            log.warning("What was begun of a file is not as it was left: the file is begun anew.")
            return 0
        for line in self._folder.lines(aside):
            document = json.loads(line)
            history.add(HistoryItem(_KINDS[document["kind"]], document["bot_id"], document["data"]))
            file.write(line)
        return begun.query

    def _must_leave(self, call: Call) -> bool:
        now = time.time()
        if now >= self._deadline:
            raise KoreExportError(
                "The time that the task has is over.", remedy="Clear the task to go on, or give it a longer timeout."
            )
        pacing = self._client.pacing
        self.pause = pacing.budget.seconds_until_turn(pacing.clock(), call)
        return self.pause > self._patience and now + self.pause < self._deadline

    def _give_up_at(self) -> float:
        return self._client.pacing.clock() + max(self._deadline - time.time(), 0.0)

    def _describe(self, name: str, history: PersonHistory, size: int, sha256: str) -> dict[str, object]:
        counts, own_id = history.counts, history.own_id
        return {
            **self._asked,
            "file": _data(name),
            "named_in_data": None if own_id is None else digest(own_id, self._digest_key),
            "channels": history.channel_types,
            "compared": history.compared,
            **{kind.value: sum(counts[kind, bot_id] for bot_id in self._wanted.bot_ids) for kind in HistoryKind},
            "by_bot": [
                {"bot_id": bot_id, **{kind.value: counts[kind, bot_id] for kind in HistoryKind}}
                for bot_id in self._wanted.bot_ids
            ],
            "size": size,
            "sha256": sha256,
        }


def _data(name: str) -> str:
    return f"{name}.jsonl"


def _summary(name: str) -> str:
    return f"{name}.json"


def _writing(file: GrowingFile) -> Write:
    def write(item: HistoryItem) -> None:
        line = {"kind": item.kind.item_name, "bot_id": item.bot_id, "data": item.data}
        file.write(json.dumps(line).encode() + b"\n")

    return write
