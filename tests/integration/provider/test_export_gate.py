"""An export that leaves out something of what is erased opens no gate."""

from datetime import UTC, date, datetime, timedelta

import pytest

from airflow_provider_kore.erasure.export_gate import OLDEST_EXPORT
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from tests.integration.provider.conftest import erasures
from tests.integration.provider.task_runner import TaskRunner

PEOPLE = ["person1@example.com", "person2@example.com"]
NOW = datetime.now(UTC)
TODAY = NOW.date()


def days_ago(days):
    return (NOW - timedelta(days=days)).isoformat()


@pytest.fixture
def export(sandbox, connection, tmp_path):
    """Export, and give what the task returns."""
    connection(extra__digest_key="held apart", extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000)

    def export(**arguments):
        destination = (tmp_path / str(len(sandbox.log()))).as_uri()
        arguments = {"since": timedelta(days=14), "destination": destination, "bot_ids": ["st-1"]} | arguments
        end = TaskRunner(lambda: KoreExportUserDataOperator(task_id="export", user_ids=PEOPLE, **arguments)).run()
        assert end.state == "success", end.text
        return end.output

    return export


def verified(since, channel_types=("rtm",)):
    return {"verify": {"people": "all", "since": since, "channel_types": list(channel_types)}}


def due(received_at):
    return {"deadline": {"received_at": received_at, "regime": "gdpr"}}


@pytest.mark.parametrize(
    ("exported", "arguments", "words"),
    [
        ({"since": days_ago(14)}, verified(days_ago(15)), "The export begins at"),
        ({"since": days_ago(14)}, verified(timedelta(days=15)), "The export begins at"),
        ({"until": days_ago(3)}, due(days_ago(2)), "before the day on which the request came in"),
        ({"until": days_ago(3)}, due(str(TODAY - timedelta(days=2))), "before the day on which the request came in"),
        (
            {"since": days_ago(40), "until": days_ago(OLDEST_EXPORT.days + 1)},
            {},
            "more than 31 days ago",
        ),
        ({"channel_types": ["rtm"]}, {}, "of the channels rtm alone"),
        ({"channel_types": ["slack"]}, verified(days_ago(10)), "leaves out channels"),
        (
            {"channel_types": ["rtm"]},
            verified(days_ago(10), ["rtm", "slack"]),
            "is verified: slack",
        ),
    ],
)
def test_an_export_that_leaves_out_time_or_channels_opens_no_gate(erase, export, sandbox, exported, arguments, words):
    end = erase(PEOPLE, exported=export(**exported), **arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert end.error.consequence is Consequence.NOT_SENT
    assert words in end.text
    assert not erasures(sandbox)


@pytest.mark.parametrize(
    ("exported", "arguments"),
    [
        ({}, {}),
        ({"since": timedelta(days=14)}, verified(timedelta(days=14))),
        ({"since": str(TODAY - timedelta(days=14))}, verified(str(TODAY - timedelta(days=14)))),
        ({"until": days_ago(3)}, due(days_ago(3))),
        ({"until": str(TODAY)}, due(NOW.isoformat())),
        ({}, due(date.today().isoformat())),
        ({"since": days_ago(40), "until": days_ago(OLDEST_EXPORT.days - 1)}, {}),
        ({"since": days_ago(60), "until": days_ago(50)}, due(days_ago(50))),
        ({"channel_types": ["rtm"]}, verified(days_ago(10))),
        ({"channel_types": ["rtm", "slack"]}, verified(days_ago(10), ["slack"])),
    ],
)
def test_an_export_of_all_that_is_erased_opens_the_gate(erase, export, sandbox, exported, arguments):
    if "until" in exported and exported["until"] == str(TODAY) and NOW.hour == 0:
        pytest.skip("today has only just begun")
    end = erase(PEOPLE, exported=export(**exported), **arguments).run()
    assert len(erasures(sandbox)) == 1, end.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel_types": "rtm"},
        {"channel_types": {"rtm": True}},
        {"since": "yesterday"},
        {"until": "2026-01-05T00:00:00"},
        {"until": None},
    ],
)
def test_an_output_that_does_not_say_what_it_is_of_opens_no_gate(erase, export, sandbox, wrong):
    output = export()
    end = erase(PEOPLE, rendered={"exported": output | wrong}).run()
    assert "not what an export returned" in end.text
    missing = {key: value for key, value in output.items() if key not in wrong}
    assert "not what an export returned" in erase(PEOPLE, rendered={"exported": missing}).run().text
    assert not erasures(sandbox)
