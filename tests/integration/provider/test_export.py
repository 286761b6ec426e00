"""The exporting operator against a sandbox: what it writes, when it refuses, and how it goes on."""

import hashlib
import json
import logging
import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import SpooledTemporaryFile

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_kore import resumption
from airflow_provider_kore.api import budget
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.users import ChannelUserId, digest
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAuthenticationError,
    KoreConfigurationError,
    KoreExportError,
    KoreInputError,
    KorePermissionError,
    KoreRequestError,
    KoreThrottledError,
    KoreUnavailableError,
    KoreWaitError,
)
from airflow_provider_kore.export import run as exporting
from airflow_provider_kore.export import user_files
from airflow_provider_kore.export.folder import CLAIM, ExportFolder
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.sandbox.users import resolved_id
from tests.integration.provider import task_runner
from tests.integration.provider.conftest import most_calls_in, render
from tests.integration.provider.task_runner import TaskRunner

KEY = "held apart"
PEOPLE = [f"person{number}@example.com" for number in range(1, 4)]
CALLS = 12
"""For each person: 31 days are 5 windows, each asked for sessions and for messages; and messages-lite twice."""


@pytest.fixture
def settings(connection):
    """A connection that can export, with more settings: ``settings(allow_all_bots=True)``."""

    def change(**extra):
        extra = {"digest_key": KEY, "requests_per_minute": 100_000, "requests_per_hour": 1_000_000} | extra
        connection(**{f"extra__{name}": value for name, value in extra.items()})

    change()
    return change


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "export"


@pytest.fixture
def export(sandbox, settings, folder):
    """Make a runner of an exporting task."""

    def make(user_ids=PEOPLE, *, rendered=None, **arguments):
        defaults = {
            "bot_ids": ["st-1"],
            "destination": f"file://{folder}",
            "since": timedelta(days=31),
            "timeout": 60,
            "deferrable": False,
        }
        arguments = {"user_ids": user_ids} | defaults | arguments
        return TaskRunner(lambda: render(KoreExportUserDataOperator(task_id="export", **arguments), rendered or {}))

    return make


def name_of(person):
    return digest(person, KEY).replace(":", "-")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def document(folder, name):
    return json.loads((folder / name).read_text())


def lines(folder, person):
    return [json.loads(line) for line in (folder / f"{name_of(person)}.jsonl").read_text().splitlines()]


def calls(sandbox):
    return [entry for entry in sandbox.log() if entry.call in ("sessions", "messages", "messages-lite")]


def files_of(*people):
    return {f"{name_of(person)}{ending}" for person in people for ending in (".json", ".jsonl")}


# --- what is written ------------------------------------------------------------------------------------------------


def test_everybody_has_a_file_with_all_data_and_the_manifest_sums_them_up(export, sandbox, folder):
    task = export()
    end = task.run()
    assert end.state == "success", end.text
    assert set(names(folder)) == files_of(*PEOPLE) | {"export.json", "manifest.json"}
    for person in PEOPLE:
        items = lines(folder, person)
        assert [item["kind"] for item in items] == ["session"] * 2 + ["message"] * 6
        assert {item["bot_id"] for item in items} == {"st-1"}
        assert all(person in json.dumps(item["data"]) for item in items)
        assert len({item["data"].get("sessionId", "") + item["data"].get("_id", "") for item in items}) == 8
        content = (folder / f"{name_of(person)}.jsonl").read_bytes()
        summary = document(folder, f"{name_of(person)}.json")
        assert summary == {
            "version": 1,
            "host": sandbox.url,
            "client_id": "cs-sandbox",
            "scope": {"bot_ids": ["st-1"], "all_bots": False},
            "period": {"since": end.output["since"], "until": end.output["until"]},
            "channel_types": None,
            "channels": ["rtm"],
            "compared": True,
            "file": f"{name_of(person)}.jsonl",
            "named_in_data": digest(resolved_id(person), KEY),
            "sessions": 2,
            "messages": 6,
            "by_bot": [{"bot_id": "st-1", "sessions": 2, "messages": 6}],
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    manifest = (folder / "manifest.json").read_bytes()
    assert re.fullmatch("ku:[0-9a-f]{32}", end.output.pop("people_fingerprint"))
    assert end.output == {
        "destination": f"file://{folder}",
        "manifest": f"file://{folder}/manifest.json",
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "user_count": 3,
        "sessions": 6,
        "messages": 18,
        "host": sandbox.url,
        "client_id": "cs-sandbox",
        "bot_ids": ["st-1"],
        "all_bots": False,
        "channel_types": None,
        "since": (task.dag_run.start_date - timedelta(days=31)).isoformat().replace("+00:00", "Z"),
        "until": task.dag_run.start_date.isoformat().replace("+00:00", "Z"),
    }
    listed = json.loads(manifest)
    assert listed["totals"] == {"users": 3, "sessions": 6, "messages": 18}
    assert [file["file"] for file in listed["files"]] == sorted(f"{name_of(person)}.jsonl" for person in PEOPLE)
    for file in listed["files"]:
        assert file["sha256"] == hashlib.sha256((folder / file["file"]).read_bytes()).hexdigest()
    assert all(listed[key] == summary[key] for key in ("version", "host", "scope", "period", "channel_types"))


def test_nobody_is_named_but_in_the_data(export, sandbox, folder, caplog):
    caplog.set_level(logging.DEBUG)
    sandbox.fail("throttle-429", retry_after=1, after=3)
    end = export().run()
    assert end.state == "success", end.text
    told = json.dumps(end.output) + caplog.text + " ".join(names(folder))
    told += "".join((folder / name).read_text() for name in names(folder) if not name.endswith(".jsonl"))
    assert not any(person in told for person in PEOPLE)
    assert "u-" not in "".join((folder / name).read_text() for name in names(folder) if not name.endswith(".jsonl"))


def test_the_windows_of_a_person_are_short_and_share_their_edges(export, sandbox):
    export(PEOPLE[:1]).run()
    assert [entry.call for entry in calls(sandbox)] == ["sessions"] * 5 + ["messages"] * 5 + ["messages-lite"] * 2
    for kind in ("sessions", "messages"):
        bodies = [entry.body for entry in calls(sandbox) if entry.call == kind]
        edges = [(datetime.fromisoformat(body["dateFrom"]), datetime.fromisoformat(body["dateTo"])) for body in bodies]
        assert all(timedelta(0) < until - since < timedelta(days=7) for since, until in edges)
        for (_, until), (since, _) in pairwise(edges):
            assert timedelta(0) <= until - since <= timedelta(milliseconds=1)


@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
def test_what_fills_many_pages_and_windows_comes_once(export, sandbox, folder, ends):
    sandbox.configure(
        history_window_ends=ends,
        sessions_per_user=250,
        messages_per_session=2,
        history_days=9,
        history_channels=["rtm"],
    )
    end = export(PEOPLE[:1], since=timedelta(days=10)).run()
    assert end.state == "success", end.text
    assert (end.output["sessions"], end.output["messages"]) == (250, 500)
    ids = [item["data"].get("_id") or item["data"]["sessionId"] for item in lines(folder, PEOPLE[0])]
    assert len(set(ids)) == len(ids) == 750


def test_messages_are_exported_in_all_channels_that_sessions_name(export, sandbox, folder):
    sandbox.configure(history_channels=["rtm", "sms"])
    end = export(PEOPLE[:1]).run()
    assert (end.output["sessions"], end.output["messages"]) == (2, 6)
    assert document(folder, f"{name_of(PEOPLE[0])}.json")["channels"] == ["rtm", "sms"]


def test_messages_are_exported_in_the_channels_that_are_asked_for(export, sandbox, folder):
    sandbox.configure(history_channels=["rtm", "sms"])
    end = export(PEOPLE[:1], channel_types=["sms"]).run()
    assert (end.output["sessions"], end.output["messages"]) == (2, 3)
    assert {entry.body["channelType"] for entry in calls(sandbox) if entry.call == "messages"} == {"sms"}
    assert document(folder, "manifest.json")["channel_types"] == ["sms"]


@pytest.mark.parametrize("channel_types", [None, ["korevg"]])
def test_voice_callers_are_exported_by_whatever_channel_their_sessions_name(export, sandbox, folder, channel_types):
    sandbox.configure(history_channels=["korevg"])
    end = export(PEOPLE[:1], channel_types=channel_types).run()
    assert end.state == "success", end.text
    assert (end.output["sessions"], end.output["messages"]) == (2, 6)
    asked = {entry.body["channelType"] for entry in calls(sandbox) if entry.call == "messages"}
    assert asked == ({"korevg"} if channel_types else {"korevg", "rtm"})


@pytest.mark.parametrize("user", [{"channel_id": "whatsapp", "channel_user_id": "491701234567"}, "491701234567"])
@pytest.mark.parametrize("authors", ["always", "never"])
def test_channel_users_are_exported_by_messages_lite(export, sandbox, folder, user, authors):
    sandbox.configure(history_channels=["whatsapp", "korevg"], message_authors=authors)
    end = export([user]).run()
    assert end.state == "success", end.text
    assert end.output["messages"] == 6
    name = name_of(ChannelUserId(**user) if isinstance(user, dict) else user)
    assert set(names(folder)) == {f"{name}.json", f"{name}.jsonl", "export.json", "manifest.json"}
    summary = document(folder, f"{name}.json")
    assert {"whatsapp", "korevg"} <= set(summary["channels"])
    assert "491701234567" not in end.text + json.dumps(end.output) + "".join(names(folder))
    if isinstance(user, dict):
        assert {entry.call for entry in calls(sandbox)} == {"messages-lite"}
        assert [item["data"]["chnl"] for item in lines(folder, ChannelUserId(**user))].count("korevg") == 3


def test_a_channel_user_cannot_be_exported_from_all_bots(export, sandbox, settings):
    settings(allow_all_bots=True)
    end = export([{"channel_id": "rtm", "channel_user_id": "x"}], bot_ids=None, all_bots=True).run()
    assert isinstance(end.error, KoreInputError)
    assert "batch 1 position 1" in end.text
    assert sandbox.log() == []


@pytest.mark.parametrize(
    "settings_of_lite", [{"lite_served": False}, {"lite_users": "user-id"}, {"lite_users": "channel-with-type"}]
)
def test_a_channel_user_without_messages_lite_fails_and_others_are_exported(export, sandbox, folder, settings_of_lite):
    sandbox.configure(**settings_of_lite)
    end = export([{"channel_id": "rtm", "channel_user_id": "x"}], destination=f"file://{folder}/2").run()
    assert isinstance(end.error, KoreRequestError)
    end = export().run()
    assert end.state == "success", end.text
    assert document(folder, f"{name_of(PEOPLE[0])}.json")["compared"] is False
    assert end.output["messages"] == 18


def test_messages_that_the_full_calls_leave_out_fail_an_export(export, sandbox, folder):
    sandbox.configure(history_channels=["rtm", "korevg"], unlisted_channels=["korevg"])
    end = export(PEOPLE[:1]).run()
    assert isinstance(end.error, KoreExportError)
    assert "messages-lite lists 3 that they do not" in end.text
    assert names(folder) == ["export.json"]


def test_messages_without_an_author_are_exported_by_their_sessions(export, sandbox, folder):
    sandbox.configure(message_authors="never", history_channels=["rtm", "korevg"])
    end = export().run()
    assert end.state == "success", end.text
    assert end.output["messages"] == 18


@pytest.mark.parametrize("last_day", ["inclusive", "exclusive"])
def test_the_last_day_of_messages_lite_does_not_change_what_is_exported(export, sandbox, last_day):
    sandbox.configure(lite_last_day=last_day, history_days=2)
    end = export([*PEOPLE, {"channel_id": "rtm", "channel_user_id": "491701234567"}]).run()
    assert end.state == "success", end.text
    assert (end.output["sessions"], end.output["messages"]) == (6, 24)


def test_several_bots_are_counted_one_by_one(export, sandbox, folder):
    sandbox.configure(history_bots=["st-2"])
    end = export(PEOPLE[:1], bot_ids=["st-2", "st-1"]).run()
    assert (end.output["sessions"], end.output["messages"]) == (2, 6)
    assert document(folder, f"{name_of(PEOPLE[0])}.json")["by_bot"] == [
        {"bot_id": "st-2", "sessions": 2, "messages": 6},
        {"bot_id": "st-1", "sessions": 0, "messages": 0},
    ]


def test_all_bots_are_asked_at_once_where_the_connection_allows_it(export, sandbox, folder, settings):
    sandbox.configure(bots=["st-1", "st-2"])
    task = export(PEOPLE[:1], bot_ids=None, all_bots=True)
    refused = task.run()
    assert isinstance(refused.error, KoreInputError)
    assert "all_bots=True is not allowed by the connection" in refused.text
    assert sandbox.log() == []
    settings(allow_all_bots=True)
    end = task.run()
    assert (end.output["sessions"], end.output["messages"]) == (4, 12)
    assert {entry.path for entry in calls(sandbox)} == {"/api/public/getSessions", "/api/public/getMessages"}
    assert {item["bot_id"] for item in lines(folder, PEOPLE[0])} == {None}
    assert document(folder, "manifest.json")["scope"] == {"bot_ids": [], "all_bots": True}


def test_a_person_without_data_has_an_empty_file(export, sandbox, folder):
    sandbox.configure(unknown_users=PEOPLE[:1])
    end = export(PEOPLE[:2]).run()
    assert (end.output["user_count"], end.output["sessions"]) == (2, 2)
    assert (folder / f"{name_of(PEOPLE[0])}.jsonl").read_bytes() == b""
    assert document(folder, f"{name_of(PEOPLE[0])}.json")["size"] == 0


def test_the_period_decides_what_is_exported(export, sandbox, folder):
    whole = export(PEOPLE[:1], destination=f"file://{folder}/1").run()
    first, second = sorted(
        item["data"]["start_time"] for item in lines(folder / "1", PEOPLE[0]) if item["kind"] == "session"
    )
    end = export(PEOPLE[:1], destination=f"file://{folder}/2", since=first, until=second, channel_types=("rtm",)).run()
    assert end.output["sessions"] == 2  # the ends are inclusive in this sandbox
    sandbox.configure(history_window_ends="exclusive")
    end = export(PEOPLE[:1], destination=f"file://{folder}/3", since=first, until=second).run()
    assert end.output["sessions"] == 1
    assert whole.output["sessions"] == 2


def test_exact_duplicates_are_folded(export, sandbox):
    end = export([PEOPLE[0], PEOPLE[1], PEOPLE[0]]).run()
    assert end.output["user_count"] == 2
    assert len(calls(sandbox)) == 2 * CALLS


# --- what is refused before the first request -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user_ids": []}, "no users to export"),
        ({"user_ids": [*PEOPLE, " "]}, "position 4 is blank"),
        ({"bot_ids": None}, "neither bot_ids nor all_bots=True"),
        ({"all_bots": True}, "both bot_ids and all_bots=True"),
        ({"all_bots": "False"}, "all_bots must be True or False"),
        ({"bot_ids": "st-1"}, "bot_ids must be a list"),
        ({"destination": "/data/export"}, "destination must be the URI"),
        ({"destination": ""}, "destination must be the URI"),
        ({"destination": "s3://bucket/{{ run_id }}"}, "destination must be the URI"),
        ({"since": None}, "since is of type NoneType"),
        ({"since": timedelta(days=-1)}, "since"),
        ({"until": datetime(2999, 1, 1, tzinfo=UTC)}, "must not be later"),
        ({"until": "None"}, "until is what is left of a template"),
        ({"channel_types": []}, "channel_types must be a list"),
        ({"channel_types": "rtm"}, "channel_types must be a list"),
        ({"channel_types": ["rtm", "a\nb"]}, "channel at position 2"),
        ({"max_users": 2}, "more users"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked_about(export, sandbox, folder, arguments, words):
    end = export(rendered=arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert words in end.text
    assert end.error.consequence is Consequence.NOT_SENT
    assert not any(person in end.text for person in PEOPLE)
    assert sandbox.log() == []


def test_without_a_digest_key_there_are_no_names_for_the_files(export, sandbox, settings):
    settings(digest_key=None)
    end = export().run()
    assert isinstance(end.error, KoreConfigurationError)
    assert "digest_key" in end.text
    assert sandbox.log() == []


def test_no_users_can_be_meant(export, sandbox):
    end = export([], on_empty="skip").run()
    assert end.state == "skipped"
    assert sandbox.log() == []


def test_an_export_that_is_refused_or_fails_is_told_to_the_page(export, sandbox, settings):
    sandbox.fail("status", call="messages", status=403, times=1000)
    for end in (export(), export([""])):
        end = end.run()
        assert end.state == "failed"
        assert end.xcoms["kore_erasure"].items() >= {"stage": "exporting", "submits": True}.items()
        assert not any(person in json.dumps(end.xcoms) for person in PEOPLE)


def test_an_export_that_is_done_is_not_told_to_the_page(export):
    assert "kore_erasure" not in export().run().xcoms


# --- what fails -----------------------------------------------------------------------------------------------------


def place(position):
    return f"Batch 1 position {position} ({digest(PEOPLE[position - 1], KEY)}): "


def test_a_total_that_is_not_met_fails_and_names_the_place_and_the_digest(export, sandbox, folder):
    sandbox.configure(wrong_total=1)
    end = export().run()
    assert isinstance(end.error, KoreExportError)
    assert end.text.startswith(place(1))
    assert "not all" in end.text
    assert "No user is erased by this task." in end.text
    assert not any(person in end.text for person in PEOPLE)
    assert names(folder) == ["export.json"]


def test_somebody_elses_data_fail_and_nothing_of_this_person_stays(export, sandbox, folder):
    sandbox.configure(ignore_user_filter=True)
    end = export().run()
    assert isinstance(end.error, KoreExportError)
    assert end.text.startswith(f"{place(1)}ALARM")
    assert names(folder) == ["export.json"]


@pytest.mark.parametrize(("position", "call"), [(2, "sessions"), (3, "messages")])
def test_whoever_is_done_before_a_failure_stays_and_is_not_asked_about_again(export, sandbox, folder, position, call):
    kept = PEOPLE[: position - 1]
    sandbox.fail("status", status=400, call=call, after=5 * len(kept) + 2)
    task = export()
    end = task.run()
    assert isinstance(end.error, KoreRequestError)
    assert end.error.consequence is Consequence.ONLY_READ
    assert end.text.startswith(place(position))
    assert set(names(folder)) == files_of(*kept) | {"export.json"}
    before = len(calls(sandbox))
    again = task.run()
    assert again.state == "success", again.text
    assert len(calls(sandbox)) - before == CALLS * (3 - len(kept))


def test_a_missing_scope_is_named(export, sandbox):
    sandbox.fail("status", status=403, call="messages")
    assert "Bot Analytics > Chat History" in export().run().text
    sandbox.configure(history_granted=False)
    end = export().run()
    assert isinstance(end.error, KorePermissionError)
    assert "Bot Analytics > Bot Sessions" in end.text
    assert end.error.consequence is Consequence.ONLY_READ


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        ({"kind": "status", "status": 503, "times": 4}, KoreUnavailableError),
        ({"kind": "html", "times": 4}, KoreUnavailableError),
        ({"kind": "truncated-json", "times": 4}, KoreUnavailableError),
        ({"kind": "status", "status": 401, "times": 2}, KoreAuthenticationError),
        ({"kind": "redirect"}, KoreConfigurationError),
    ],
)
def test_a_fault_that_stays_fails_and_one_that_passes_does_not(export, sandbox, folder, no_back_off, fault, error_type):
    sandbox.fail(**fault, call="messages", after=2)
    task = export(PEOPLE[:1])
    end = task.run()
    assert isinstance(end.error, error_type)
    assert names(folder) == ["export.json"]
    if fault.get("times", 1) > 1:
        sandbox.fail(**(fault | {"times": fault["times"] - 1}), call="messages", after=2)
    end = task.run()
    assert end.state == "success", end.text
    assert end.output["messages"] == 6


def test_a_throttle_is_waited_out(export, sandbox):
    sandbox.fail("throttle-429", retry_after=1, call="sessions")
    sandbox.fail("throttle-400", retry_after=1, call="messages")
    end = export(PEOPLE[:1]).run()
    assert end.state == "success", end.text
    assert sum(entry.throttled or entry.fault is not None for entry in calls(sandbox)) == 2


def test_a_throttle_that_outlasts_the_timeout_is_given_up(export, sandbox):
    sandbox.fail("throttle-429", retry_after=600, call="messages")
    end = export(PEOPLE[:1]).run()
    assert isinstance(end.error, KoreThrottledError)
    assert end.text.startswith(place(1))
    assert "Clear the task to continue" in end.text


def test_the_timeout_bounds_the_whole_try(export, sandbox, folder):
    task = export(timeout=0.000_001)
    end = task.run()
    assert isinstance(end.error, KoreExportError)
    assert "time that the task has is over" in end.text
    assert calls(sandbox) == []
    assert names(folder) == ["export.json"]


class Sudden(BaseException):
    """The end of a worker, after which nothing is tidied up."""


@pytest.mark.parametrize("number", [1, 7, CALLS + 1, CALLS + 5, 2 * CALLS + 9])
def test_after_a_kill_only_those_are_asked_about_whose_files_are_not_whole(
    export, sandbox, folder, monkeypatch, number
):
    task = export()
    exchange, made = KoreClient._exchange, []

    def die(self, request):
        made.append(None)
        if len(made) == number:
            raise Sudden
        return exchange(self, request)

    with monkeypatch.context() as patch:
        patch.setattr(KoreClient, "_exchange", die)
        with pytest.raises(Sudden):
            task.run()
    whole = (number - 1) // CALLS
    assert files_of(*PEOPLE[:whole]) <= set(names(folder))
    assert not files_of(*PEOPLE[whole:]) & set(names(folder))
    assert "manifest.json" not in names(folder)
    before = len(calls(sandbox))
    end = task.run()
    assert end.state == "success", end.text
    assert len(calls(sandbox)) - before == CALLS * (3 - whole)
    assert set(names(folder)) == files_of(*PEOPLE) | {"export.json", "manifest.json"}
    assert (end.output["sessions"], end.output["messages"]) == (6, 18)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder, name: (folder / f"{name}.jsonl").write_bytes(b""),
        lambda folder, name: (folder / f"{name}.jsonl").unlink(),
        lambda folder, name: (folder / f"{name}.json").unlink(),
        lambda folder, name: (folder / f"{name}.json").write_text("{"),
        lambda folder, name: (folder / f"{name}.json").write_text("{}"),
        lambda folder, name: (folder / f"{name}.json").write_text(
            json.dumps(document(folder, f"{name}.json") | {"scope": {"bot_ids": ["st-2"], "all_bots": False}})
        ),
    ],
)
def test_a_file_that_is_no_longer_what_it_was_is_written_anew(export, sandbox, folder, spoil):
    task = export()
    first = task.run()
    spoil(folder, name_of(PEOPLE[1]))
    again = task.run()
    assert again.output == first.output
    assert len(calls(sandbox)) == 4 * CALLS


def test_while_a_file_is_replaced_there_is_no_manifest_that_speaks_of_it(export, sandbox, folder):
    task = export()
    task.run()
    (folder / f"{name_of(PEOPLE[1])}.jsonl").unlink()
    sandbox.configure(wrong_total=1)
    assert task.run().state == "failed"
    assert set(names(folder)) == files_of(PEOPLE[0], PEOPLE[2]) | {"export.json"}


def test_a_storage_that_fails_is_named_by_kind(export, folder, monkeypatch):
    written = []

    class FullError(OSError):
        pass

    class FullDisk(SpooledTemporaryFile):
        def write(self, content):
            written.append(content)
            if len(written) == 12:
                raise FullError(f"no room for {PEOPLE[1]}")
            return super().write(content)

    monkeypatch.setattr(user_files, "SpooledTemporaryFile", FullDisk)
    task = export()
    end = task.run()
    assert isinstance(end.error, KoreExportError)
    assert end.text.startswith(f"{place(2)}The export cannot be collected on the worker: ")
    assert "FullError." in end.text
    assert PEOPLE[1] not in end.text
    assert set(names(folder)) == files_of(PEOPLE[0]) | {"export.json"}
    assert task.run().state == "success"


def test_a_destination_that_cannot_be_made_fails_before_anybody_is_asked_about(export, sandbox, folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    end = export().run()
    assert isinstance(end.error, KoreExportError)
    assert sandbox.log() == []


def test_a_source_that_changes_while_it_is_exported_is_told(export, sandbox):
    readings = [PEOPLE, PEOPLE[::-1]]
    end = export(lambda: readings.pop(0)).run()
    assert isinstance(end.error, KoreInputError)
    assert "has changed: batch 1" in end.text
    assert end.error.consequence is Consequence.NOTHING_ERASED


# --- one export a destination ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "other"),
    [
        ({"bot_ids": ["st-2"]}, "scope"),
        ({"bot_ids": ["st-1", "st-2"]}, "scope"),
        ({"since": timedelta(days=30)}, "period"),
        ({"until": timedelta(days=1)}, "period"),
        ({"channel_types": ["rtm"]}, "channel_types"),
        ({"since": timedelta(days=7), "bot_ids": ["st-2"]}, "scope and period"),
    ],
)
def test_a_destination_of_another_export_is_refused(export, sandbox, folder, arguments, other):
    export(PEOPLE[:1]).run()
    written = {name: (folder / name).read_bytes() for name in names(folder)}
    before = len(sandbox.log())
    second = export(PEOPLE[:1], **arguments)
    end = second.run()
    assert isinstance(end.error, KoreInputError)
    assert f"another {other}." in end.text
    assert "a folder of its own" in end.text
    assert len(sandbox.log()) == before
    assert {name: (folder / name).read_bytes() for name in names(folder)} == written


def test_the_same_task_with_other_users_needs_a_destination_of_its_own(export, sandbox, folder):
    export(PEOPLE[:2]).run()
    written = {name: (folder / name).read_bytes() for name in names(folder)}
    before = len(sandbox.log())
    for others in (PEOPLE[1:], PEOPLE, PEOPLE[:1], PEOPLE[1::-1]):
        end = export(others).run()
        assert isinstance(end.error, KoreInputError)
        assert "another set of users." in end.text
    assert len(sandbox.log()) == before
    assert {name: (folder / name).read_bytes() for name in names(folder)} == written


def test_another_mapped_instance_needs_a_destination_of_its_own(export, monkeypatch, sandbox, folder):
    fixed = {"since": "2026-01-01", "until": "2026-01-08"}
    assert export(PEOPLE[:1], **fixed).run().state == "success"
    before = len(sandbox.log())
    monkeypatch.setattr(task_runner, "FakeTaskInstance", partial(task_runner.FakeTaskInstance, map_index=1))
    assert "another run." in export(PEOPLE[:1], **fixed).run().text
    assert len(sandbox.log()) == before


def test_of_two_exports_that_begin_at_once_in_one_folder_the_one_that_comes_too_late_says_so(
    export, monkeypatch, folder
):
    """Both find an empty folder, and then both write what it is for."""
    first, second = export(PEOPLE[:1]), export(PEOPLE[1:2])
    second.dag_run.run_id = "another"
    write = ExportFolder.write_document

    def write_and_be_overtaken(self, name, content):
        monkeypatch.setattr(ExportFolder, "write_document", write)
        write(self, name, content)
        (folder / CLAIM).unlink()  # as the other saw the folder
        assert second.run().state == "success"

    monkeypatch.setattr(ExportFolder, "write_document", write_and_be_overtaken)
    end = first.run()
    assert isinstance(end.error, KoreInputError)
    assert "another" in end.text
    assert set(names(folder)) == files_of(PEOPLE[1]) | {"export.json", "manifest.json"}


def test_an_export_whose_folder_another_has_taken_meanwhile_sums_up_nothing(export, monkeypatch, folder):
    other = export(PEOPLE[1:2])
    other.dag_run.run_id = "another"
    task = export(PEOPLE[:1])
    write_users = exporting.ExportRun._write_users

    def take_the_folder(self, *arguments):
        write_users(self, *arguments)
        if self._context["dag_run"].run_id != "another":
            (folder / "export.json").unlink()
            end = other.run()
            assert end.state == "success", end.text

    monkeypatch.setattr(exporting.ExportRun, "_write_users", take_the_folder)
    end = task.run()
    assert isinstance(end.error, KoreInputError)
    assert end.error.consequence is Consequence.NOT_SENT
    assert [file["file"] for file in document(folder, "manifest.json")["files"]] == [f"{name_of(PEOPLE[1])}.jsonl"]


def test_a_destination_that_says_nothing_sensible_is_refused(export, sandbox, folder):
    folder.mkdir()
    (folder / "export.json").write_text("something else")
    end = export().run()
    assert isinstance(end.error, KoreInputError)
    assert "not understood" in end.text
    assert sandbox.log() == []


def test_a_cleared_run_that_got_another_start_goes_on_with_the_same_period(export, sandbox):
    """Airflow gives a finished DAG run a new start when it is cleared."""
    task = export()
    first = task.run()
    task.clear()
    task.dag_run.start_date += timedelta(hours=5)
    assert task.run().output == first.output
    assert len(calls(sandbox)) == 3 * CALLS


def test_another_run_needs_a_destination_of_its_own_also_with_the_same_period(export):
    today = datetime.now(UTC).date()
    fixed = {"since": today - timedelta(days=31), "until": str(date.fromordinal(today.toordinal()))}
    assert export(**fixed).run().state == "success"
    other_run = export(**fixed)
    other_run.dag_run.run_id = "another"
    assert "another run" in other_run.run().text


def test_another_run_with_a_period_that_ends_with_its_start_needs_a_destination_of_its_own(export):
    export(PEOPLE[:1]).run()
    other_run = export(PEOPLE[:1])
    other_run.dag_run.run_id = "another"
    assert "another period and run" in other_run.run().text


def test_a_run_without_a_start_takes_the_moment_after_which_it_was_due(export):
    task = export(PEOPLE[:1])
    task.dag_run.start_date = None
    end = task.run()
    assert end.output["until"] == task.dag_run.run_after.isoformat().replace("+00:00", "Z")


# --- a budget that is spent -----------------------------------------------------------------------------------------


@pytest.fixture
def scarce(settings, monkeypatch):
    """Allow seven calls in two seconds and twelve in four, and hold a worker for half a second at most."""
    monkeypatch.setattr(budget, "MINUTE", 2.0)
    monkeypatch.setattr(budget, "HOUR", 4.0)
    monkeypatch.setattr(resumption, "MAX_WORKER_WAIT", 0.5)
    settings(requests_per_minute=7, requests_per_hour=12)


def test_a_task_leaves_its_worker_between_users_while_the_budget_is_spent(export, sandbox, folder, scarce):
    end = export(deferrable=True).run()
    assert end.state == "success", end.text
    assert [deferral["state"]["done"] for deferral in end.deferrals] == [1, 2]
    assert all(set(deferral["state"]) == {"started", "done", "usage"} for deferral in end.deferrals)
    assert not any(person in json.dumps(end.deferrals) for person in PEOPLE)
    assert '"u-' not in json.dumps(end.deferrals)
    assert len(calls(sandbox)) == 3 * CALLS  # nothing is asked for twice
    assert most_calls_in(2.0, sandbox) <= 7
    assert most_calls_in(4.0, sandbox) <= 12
    assert set(names(folder)) == files_of(*PEOPLE) | {"export.json", "manifest.json"}
    assert [item["kind"] for item in lines(folder, PEOPLE[1])] == ["session"] * 2 + ["message"] * 6


def test_a_task_waits_in_its_worker_within_a_user(export, sandbox, scarce):
    end = export(PEOPLE[:1], deferrable=True).run()
    assert end.state == "success", end.text
    assert end.deferrals == []
    assert len(calls(sandbox)) == CALLS


def test_a_task_whose_kept_state_is_gone_fails(export, scarce):
    end = export(deferrable=True).run(meanwhile=lambda xcoms: xcoms.clear())
    assert isinstance(end.error, KoreWaitError)
    assert end.error.consequence is Consequence.NOTHING_ERASED


def test_a_task_that_must_not_defer_waits_for_its_turns_in_the_worker(export, sandbox, scarce):
    end = export(PEOPLE[:1]).run()
    assert end.state == "success", end.text
    assert end.deferrals == []
    assert len(calls(sandbox)) == CALLS


def test_a_turn_that_comes_after_the_timeout_is_not_waited_for(export, sandbox, scarce):
    end = export(deferrable=True, timeout=1.5).run()
    assert isinstance(end.error, KoreThrottledError)
    assert end.deferrals == []
    assert len(calls(sandbox)) == 7


def test_the_timeout_counts_from_the_start_of_the_try_over_all_breaks(export, sandbox, folder, scarce):
    task = export(deferrable=True, timeout=5)
    end = task.run()
    assert isinstance(end.error, KoreThrottledError | KoreExportError)
    assert end.deferrals
    assert not [name for name in names(folder) if name.endswith(".part")]


# --- how it looks to Airflow ----------------------------------------------------------------------------------------


def test_users_by_value_are_not_shown_to_airflow():
    operator = KoreExportUserDataOperator(
        task_id="export", user_ids=PEOPLE, bot_ids=["st-1"], destination="file:///tmp/x", since="2026-01-01"
    )
    assert repr(operator.user_ids) == "3 user ids"
    assert set(operator.template_fields) == {
        "user_ids",
        "bot_ids",
        "all_bots",
        "destination",
        "since",
        "until",
        "channel_types",
        "max_users",
        "kore_conn_id",
    }


def test_a_destination_is_read_by_whatever_reads_objects(export, folder):
    end = export(PEOPLE[:1]).run()
    assert json.loads(ObjectStoragePath(end.output["manifest"]).read_text())["totals"]["users"] == 1
    assert ExportFolder(end.output["destination"]).sha256("manifest.json") == end.output["manifest_sha256"]
    assert Path(end.output["manifest"].removeprefix("file://")).exists()
