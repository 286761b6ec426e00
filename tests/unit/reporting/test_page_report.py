"""A report for the page: what is pushed, and that the page understands it."""

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from making_outputs import BOTS, HOST, OUTPUT, USER

from airflow_provider_kore import erasures_page
from airflow_provider_kore.deadlines import read_deadline
from airflow_provider_kore.reporting.page_report import SUMMARY_KEY, SUMMARY_VERSION, Stage, publish

SCRIPT = (Path(erasures_page.__file__).parent / "static" / "erasure.js").read_text()


def pushed(output, *, do_xcom_push=True, **known):
    xcoms = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: xcoms.update({key: value}))
    operator = SimpleNamespace(do_xcom_push=do_xcom_push)
    publish(operator, {"ti": ti}, Stage.ENDED, output, **{"base_url": HOST, "scope": BOTS} | known)
    return xcoms.get(SUMMARY_KEY)


def test_the_page_understands_the_version_and_the_stages_of_reports():
    assert int(re.search(r"const VERSION = (\d+);", SCRIPT)[1]) == SUMMARY_VERSION
    maps = re.findall(r"const (?:STAGES|UNSENT) = new Map\(\[(.*?)\]\);", SCRIPT, re.DOTALL)
    assert set(re.findall(r'\["(\w+)", ', "".join(maps))) == {stage.value for stage in Stage}


def test_the_page_reads_each_field_of_a_report_by_its_name():
    deadline = read_deadline("2026-11-24", "gdpr", datetime(2026, 11, 24, tzinfo=UTC))
    findings = {"gone": 2, "found": 0, "not_checkable": 0, "not_checked": 1, "found_users": [USER]}
    report = pushed(OUTPUT | {"verification": findings}, deadline=deadline, submits=False, started=0.0)
    assert report["verification"] == {"gone": 2, "found": 0, "not_checkable": 0, "not_checked": 1}
    assert report["deadline"]["ends_at"] == "2026-12-24T23:59:59Z"
    assert (report["started"], report["submits"]) == ("1970-01-01T00:00:00Z", False)
    assert USER not in str(report)
    reader = SCRIPT[SCRIPT.index("function isUnderstood") : SCRIPT.index("/** Name a task instance")]
    read = set(re.findall(r"\b(?:fields|deadline|verification)\??\.(\w+)", reader))
    assert read <= {*report, *report["deadline"], *report["verification"]}


def test_a_task_that_knows_nothing_reports_that():
    report = pushed({}, base_url=None, scope=None)
    assert (report["host"], report["bot_ids"], report["all_bots"]) == (None, [], False)
    assert report["deadline"] is report["verification"] is report["receipt"] is None
    assert report["started"] == report["updated"]


def test_a_task_that_pushes_no_xcom_reports_nothing():
    assert pushed({}, do_xcom_push=False) is None


@pytest.mark.parametrize("output", [{"receipt": {}}, None])
def test_a_report_that_cannot_be_made_fails_no_task(output, caplog):
    assert pushed(output) is None
    assert "could not be pushed" in caplog.text
