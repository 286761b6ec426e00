"""The files of one user: whole or not at all."""

import errno
import hashlib
import json
import os
import time
from collections import Counter
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from types import SimpleNamespace

import pytest
from exporting import SELECTION

from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.history import HistoryKind
from airflow_provider_kore.api.history_range import HistoryRange
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.user_history import HistoryItem
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.exceptions import KoreExportError
from airflow_provider_kore.export import user_files
from airflow_provider_kore.export.folder import ExportFolder
from airflow_provider_kore.export.user_files import UserFiles, UserSummary

USER, OWN_ID, KEY = "Xq7ZwK9@example.com", "u-1", "a digest key"
WANTED = HistoryRange(("st-2", "st-1"), SELECTION.period.since, SELECTION.period.until, None)
ITEMS = [
    HistoryItem(HistoryKind.SESSIONS, "st-1", {"sessionId": "s-1"}),
    HistoryItem(HistoryKind.MESSAGES, "st-1", {"_id": "ms-1"}),
    HistoryItem(HistoryKind.MESSAGES, "st-2", {"_id": "ms-2", "text": "ä"}),
]
LINES = [
    {"kind": "session", "bot_id": "st-1", "data": {"sessionId": "s-1"}},
    {"kind": "message", "bot_id": "st-1", "data": {"_id": "ms-1"}},
    {"kind": "message", "bot_id": "st-2", "data": {"_id": "ms-2", "text": "ä"}},
]


class History:
    """What Kore.ai has of a user: an item for each query."""

    own_id, channel_types, compared = OWN_ID, ["rtm"], True
    items = ITEMS
    fault = None
    give_up_at = ()

    def __init__(self, user_id, wanted):
        assert (user_id, wanted) == (USER, WANTED)
        self.counts = Counter()

    def queries(self):
        return (SimpleNamespace(call=Call.SESSIONS, item=item) for item in self.items)

    def ask(self, query, pacing, write, give_up_at):
        type(self).give_up_at += (give_up_at,)
        self.counts[query.item.kind, query.item.bot_id] += 1
        write(query.item)
        if self.fault is not None and query.item is ITEMS[-1]:
            raise self.fault


@pytest.fixture
def history(monkeypatch):
    history = type("ThisHistory", (History,), {})
    monkeypatch.setattr(user_files, "UserHistory", history)
    return history


@pytest.fixture(params=[user_files.IN_MEMORY, 3])
def in_memory(request, monkeypatch):
    """Content that fits into memory, and content that does not."""
    monkeypatch.setattr(user_files, "IN_MEMORY", request.param)


@pytest.fixture
def files(history, tmp_path):
    budget = SimpleNamespace(seconds_until_turn=lambda call: (1000.0, call))
    client = SimpleNamespace(pacing=Pacing(budget, lambda: 1000.0), run=lambda answer: answer)
    folder = ExportFolder((tmp_path / "export").as_uri())
    return UserFiles(client, folder, WANTED, SELECTION, KEY, time.time() + 60)


def names(tmp_path):
    folder = tmp_path / "export"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_all_data_of_a_user_are_written_with_a_summary_beside_them(files, history, tmp_path, in_memory):
    files.write(USER, "kd-1")
    content = (tmp_path / "export" / "kd-1.jsonl").read_bytes()
    assert [json.loads(line) for line in content.splitlines()] == LINES
    assert files.summary("kd-1") == UserSummary(
        **dict(SELECTION),
        file="kd-1.jsonl",
        sessions=1,
        messages=2,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        named_in_data=digest(OWN_ID, KEY),
        channels=["rtm"],
        compared=True,
        by_bot=[
            {"bot_id": "st-2", "sessions": 0, "messages": 1},
            {"bot_id": "st-1", "sessions": 1, "messages": 1},
        ],
    )
    assert files.is_whole("kd-1")
    assert names(tmp_path) == {"kd-1.json", "kd-1.jsonl"}
    assert all(1055 < moment <= 1060 for moment in history.give_up_at)
    assert USER not in (tmp_path / "export" / "kd-1.json").read_text()


def test_a_user_without_data_has_an_empty_file(files, history, tmp_path):
    history.items, history.own_id = [], None
    files.write(USER, "kd-1")
    assert (tmp_path / "export" / "kd-1.jsonl").read_bytes() == b""
    assert files.summary("kd-1").named_in_data is None
    assert files.is_whole("kd-1")


@pytest.mark.parametrize("fault", [KoreExportError("", consequence="", remedy=""), KeyboardInterrupt()])
def test_what_is_not_whole_leaves_nothing(files, history, tmp_path, in_memory, fault):
    files.write(USER, "kd-1")
    history.fault = fault
    with pytest.raises(type(fault)):
        files.write(USER, "kd-1")
    assert names(tmp_path) == set()
    assert not files.is_whole("kd-1")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "kd-1.jsonl").write_bytes(b""),
        lambda folder: (folder / "kd-1.jsonl").unlink(),
        lambda folder: (folder / "kd-1.json").unlink(),
        lambda folder: (folder / "kd-1.json").write_text("{"),
        lambda folder: (folder / "kd-1.json").write_text("{}"),
        lambda folder: (folder / "kd-1.json").write_text((folder / "kd-1.json").read_text().replace("st-1", "st-3")),
    ],
)
def test_a_file_that_has_changed_or_is_of_another_selection_is_not_whole(files, tmp_path, spoil):
    files.write(USER, "kd-1")
    spoil(tmp_path / "export")
    assert not files.is_whole("kd-1")


def test_after_the_deadline_kore_is_not_asked(files, history, tmp_path):
    with pytest.raises(KoreExportError, match="time that the task has is over"):
        replace(files, deadline=time.time()).write(USER, "kd-1")
    assert history.give_up_at == ()


def test_the_next_turn_is_that_of_the_first_call(files):
    assert files.seconds_until_turn(USER) == (1000.0, Call.SESSIONS)


def test_content_that_waits_on_the_disk_of_the_worker_has_no_name_there(files, history, monkeypatch, tmp_path):
    monkeypatch.setattr(user_files, "IN_MEMORY", 3)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    links = []

    class Content(SpooledTemporaryFile):
        def write(self, content):
            super().write(content)
            links.append(os.fstat(self.fileno()).st_nlink)

    monkeypatch.setattr(user_files, "SpooledTemporaryFile", Content)
    files.write(USER, "kd-1")
    assert links == [0] * 3
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("method", ["write", "seek", "__exit__"])
def test_a_worker_without_room_is_named_by_its_cause(files, tmp_path, monkeypatch, method):
    def fail(*_):
        raise OSError(errno.ENOSPC, USER)

    monkeypatch.setattr(SpooledTemporaryFile, method, fail)
    with pytest.raises(KoreExportError, match="cannot be collected on the worker: OSError: ENOSPC, No space") as caught:
        files.write(USER, "kd-1")
    assert USER not in str(caught.value)
    assert "kd-1.json" not in names(tmp_path)
