"""The manifest of an export, and what it refuses to list."""

import logging

import pytest
from exporting import SELECTION

from airflow_provider_kore.exceptions import Consequence, KoreExportError
from airflow_provider_kore.export.manifest import make_manifest
from airflow_provider_kore.export.user_files import UserSummary


def summary(number, **fields):
    described = {
        "file": f"kd-{number}.jsonl",
        "sessions": 1,
        "messages": number,
        "size": 10,
        "sha256": str(number),
        "named_in_data": f"kd:{number}",
        "channels": ["rtm"],
        "compared": True,
        "by_bot": [],
    }
    return f"User {number}", UserSummary(**dict(SELECTION), **(described | fields))


def test_all_files_are_listed_by_name_and_summed_up():
    manifest = make_manifest(SELECTION, [summary(2), summary(1), summary(3)])
    assert manifest.model_dump(mode="json") == SELECTION.model_dump(mode="json") | {
        "files": [
            {"file": f"kd-{n}.jsonl", "sessions": 1, "messages": n, "size": 10, "sha256": str(n)} for n in (1, 2, 3)
        ],
        "totals": {"users": 3, "sessions": 3, "messages": 6},
    }


def test_users_without_data_are_not_one_user():
    assert make_manifest(SELECTION, [summary(1, named_in_data=None), summary(2, named_in_data=None)]).totals.users == 2


@pytest.mark.parametrize(
    ("summaries", "words"),
    [
        ([summary(1), ("User 2", None)], "User 2: there is no whole file of this user"),
        ([summary(1), summary(2), summary(3, named_in_data="kd:1")], "User 3 and User 1 have the data of one"),
    ],
)
def test_an_export_that_is_not_whole_has_no_manifest(summaries, words):
    with pytest.raises(KoreExportError, match=words) as caught:
        make_manifest(SELECTION, summaries)
    assert caught.value.consequence is Consequence.NOTHING_ERASED


def test_the_log_counts_users_who_were_not_compared(caplog):
    make_manifest(SELECTION, [summary(1)])
    assert not caplog.records
    make_manifest(SELECTION, [summary(1, compared=False), summary(2)])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "of 1 users were not compared" in caplog.text
