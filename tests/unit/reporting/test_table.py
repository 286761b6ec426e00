"""The last lines of a task's log."""

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.reporting.table import MAX_ROWS, Row, outcome_table


def test_the_table_has_each_request_their_sum_and_what_else_is_known():
    rows = [Row("eud-1", ErasureOutcome(100, 0, 0)), Row("batch 2, not sent", ErasureOutcome(0, 0, 7))]
    output = {
        "deadline": {"regime": "gdpr", "received_on": "2026-11-01", "due_on": "2026-12-01", "days_left": 7},
        "verification": {"gone": 99, "found": 1, "not_checkable": 0, "not_checked": 0, "found_users": []},
        "receipt": {"uri": "file:///receipts/eud-1.jws", "sha256": "0", "count": 1},
    }
    assert outcome_table(rows, output).splitlines() == [
        "Outcome of each request:",
        "request              users    erased    open    not erased",
        "batch 2, not sent        7         0       0             7",
        "eud-1                  100       100       0             0",
        "all                    107       100       0             7",
        "Deadline (GDPR): 2026-12-01, days left: 7",
        "Verification: 99 gone, 1 found, 0 not checkable, 0 not checked",
        "Receipt: file:///receipts/eud-1.jws",
    ]


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_long_table_shows_first_what_is_not_wholly_erased(done, left):
    rows = [Row(f"eud-done-{number}", ErasureOutcome(1, 0, 0)) for number in range(done)]
    rows += [Row(f"eud-left-{number}", ErasureOutcome(0, 1, 0)) for number in range(left)]
    lines = outcome_table(rows, {}).splitlines()
    assert sum("eud-left-" in line for line in lines) == min(left, MAX_ROWS)
    assert len(lines) == 3 + min(done + left, MAX_ROWS) + (done + left > MAX_ROWS)
    assert any(f"… and {done + left - MAX_ROWS} more" in line for line in lines) == (done + left > MAX_ROWS)


def test_a_request_id_of_digits_stays_as_it_is():
    assert "0012e3           1" in outcome_table([Row("0012e3", ErasureOutcome(1, 0, 0))], {})
