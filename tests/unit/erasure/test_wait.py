"""How a wait for any number of requests goes on from round to round."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import RequestOutcome
from airflow_provider_kore.erasure import wait as progress_module
from airflow_provider_kore.erasure.wait import KEPT_REMARKS, ROUND, Progress

NOW = 1_000_000.0
LATER = NOW + 10 * ROUND.total_seconds()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A wall clock that stands still until it is set."""

    class Clock:
        now = NOW

        def time(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def done(number, not_erased=0):
    remarks = (f"eud-{number} has a remark.",) if not_erased else ()
    return RequestOutcome(f"eud-{number}", ErasureOutcome(10 - not_erased, 0, not_erased, remarks), None, True)


def still_open(number, erased=0):
    return RequestOutcome(f"eud-{number}", ErasureOutcome(erased, 10 - erased, 0), None, True)


def test_a_round_takes_the_first_and_those_left_open_go_to_the_back():
    progress = Progress([0, 1, 2, 3, 4])
    assert progress.begin_round(LATER, most=2) == [0, 1]
    progress.end_round({0: still_open(0), 1: done(1)}, LATER)
    assert progress.left == [2, 3, 4, 0]
    assert progress.outcome.erased == 10
    assert progress.begin_round(LATER, most=2) == [2, 3]


def test_a_round_ends_early_only_where_others_wait():
    progress = Progress([0, 1, 2])
    progress.begin_round(LATER, most=2)
    assert progress.round_ends == NOW + ROUND.total_seconds()
    progress.begin_round(LATER, most=3)
    assert progress.round_ends == LATER
    progress.begin_round(LATER)
    assert progress.round_ends == LATER
    progress.begin_round(NOW + 5.0, most=2)
    assert progress.round_ends == NOW + 5.0


def test_what_is_open_after_a_look_at_the_deadline_is_not_looked_at_again(clock):
    progress = Progress([0, 1, 2])
    progress.begin_round(LATER, most=2)
    clock.now = LATER + 1  # the round was to end before the deadline, so nobody looked at it
    progress.end_round({0: still_open(0), 1: still_open(1)}, LATER)
    assert progress.left == [2, 0, 1]
    progress.begin_round(LATER, most=2)
    progress.end_round({2: still_open(2, erased=4), 0: done(0)}, LATER)
    assert progress.left == [1]
    assert progress.open_ids == ["eud-2"]
    assert progress.outcome == ErasureOutcome(erased=14, open=6)


def test_what_comes_back_open_before_the_deadline_is_waited_for_again():
    progress = Progress([0])
    progress.begin_round(LATER)
    progress.end_round({0: still_open(0)}, LATER)
    assert progress.left == [0]


def test_giving_up_counts_everybody_who_is_left():
    progress = Progress([0, 1])
    progress.give_up(lambda number: still_open(number) if number else done(number))
    assert progress.left == []
    assert progress.outcome == ErasureOutcome(erased=10, open=10)
    assert progress.open_ids == ["eud-1"]


def test_remarks_are_logged_and_some_of_them_kept(caplog):
    progress = Progress(list(range(50)))
    progress.end_round({number: done(number, not_erased=1) for number in range(50)}, LATER)
    assert progress.outcome.not_erased == 50
    assert len(progress.outcome.remarks) == KEPT_REMARKS
    assert all(f"eud-{number} has a remark." in caplog.text for number in range(50))


@given(st.data(), st.integers(1, 30), st.integers(1, 7))
def test_whatever_the_rounds_bring_everybody_is_counted_once(data, requests, most):
    """Also through the database; and before the deadline nobody waits for ever behind the others."""
    progress = Progress(list(range(requests)), ErasureOutcome(not_erased=3))
    looks = dict.fromkeys(range(requests), 0)
    while progress.left:
        numbers = progress.begin_round(LATER, most)
        assert 0 < len(numbers) <= most
        for number in numbers:
            looks[number] += 1
        waiting = [looks[number] for number in progress.left]
        assert max(waiting) - min(waiting) <= 1
        kinds = data.draw(st.lists(st.sampled_from([done, still_open]), min_size=len(numbers), max_size=len(numbers)))
        progress.end_round(
            {number: kind(number) for number, kind in zip(numbers, kinds, strict=True)},
            LATER if data.draw(st.booleans()) else NOW,
        )
        progress = Progress.from_json(json.loads(json.dumps(progress.to_json())))
        assert progress.outcome.user_count + 10 * len(progress.left) == 10 * requests + 3
    assert len(progress.open_ids) * 10 == progress.outcome.open
