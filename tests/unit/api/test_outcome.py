"""Counting outcomes."""

from hypothesis import given
from hypothesis import strategies as st
from kores_answers import counts

from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome, severity

outcomes = st.builds(
    ErasureOutcome,
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.lists(st.sampled_from("abc"), unique=True).map(tuple),
)


@given(outcomes, outcomes)
def test_outcomes_add_up_and_say_each_remark_once(one, other):
    total = one + other
    assert total.user_count == one.user_count + other.user_count
    assert counts(total) == tuple(a + b for a, b in zip(counts(one), counts(other), strict=True))
    assert sorted(total.remarks) == sorted({*one.remarks, *other.remarks})
    assert total.counts() == {"erased": total.erased, "open": total.open, "not_erased": total.not_erased}


@given(st.lists(st.sampled_from(Outcome)))
def test_outcomes_are_counted(users):
    assert ErasureOutcome.of(users).counts() == {outcome.value: users.count(outcome) for outcome in Outcome}


def test_what_is_less_proven_is_more_severe():
    assert sorted(Outcome, key=severity) == [Outcome.ERASED, Outcome.OPEN, Outcome.NOT_ERASED]
