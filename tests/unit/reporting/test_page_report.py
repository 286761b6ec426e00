"""What the page is told is what the page understands."""

import re
from pathlib import Path

from airflow_provider_kore import erasures_page
from airflow_provider_kore.reporting.page_report import SUMMARY_VERSION, Stage

SCRIPT = (Path(erasures_page.__file__).parent / "static" / "erasure.js").read_text()


def test_the_page_understands_the_version_and_the_stages_of_reports():
    assert int(re.search(r"const VERSION = (\d+);", SCRIPT)[1]) == SUMMARY_VERSION
    maps = re.findall(r"const (?:STAGES|UNSENT) = new Map\(\[(.*?)\]\);", SCRIPT, re.DOTALL)
    assert set(re.findall(r'\["(\w+)", ', "".join(maps))) == {stage.value for stage in Stage}
