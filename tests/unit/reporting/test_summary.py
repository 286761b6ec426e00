"""What other systems may read about an erasure."""

import json

from hypothesis import given
from hypothesis import strategies as st
from making_outputs import ALL_BOTS, BOTS, COUNTS, HOST, OUTPUT, TARGET, USER

from airflow_provider_kore.reporting.summary import summarize


def test_a_summary_has_counts_host_and_bots():
    assert summarize(OUTPUT, HOST, BOTS) == TARGET | COUNTS
    assert summarize({}, HOST, ALL_BOTS) == {"host": HOST, "all_bots": True, "bot_ids": [], "request_count": 0}


@given(st.dictionaries(st.sampled_from([*OUTPUT, "else"]), st.sampled_from([USER, [USER], {"id": USER}, None, 3])))
def test_whatever_a_task_returns_a_summary_names_no_user(output):
    assert USER not in json.dumps(summarize(output, HOST, BOTS))
