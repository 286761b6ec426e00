"""In which order any number of requests is waited for, and when a wait ends."""

from datetime import UTC, datetime

import pytest
from erasing_users import KEY, Client, Hook
from hypothesis import given
from hypothesis import strategies as st
from playing_kore import http
from pydantic import TypeAdapter

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.users import fingerprint
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome
from airflow_provider_kore.deadlines import Regime, StatutoryDeadline
from airflow_provider_kore.erasure import wait as wait_module
from airflow_provider_kore.erasure.wait import ROUND, Poller, WaitQueue, end_of_wait
from airflow_provider_kore.exceptions import KorePermissionError

NOW = 1_000_000.0
LATER = NOW + 10 * ROUND.total_seconds()
QUEUE = TypeAdapter(WaitQueue)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A wall clock that stands still until it is set."""

    class Clock:
        now = NOW

        def time(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(wait_module, "time", clock)
    return clock


def done(number):
    return RequestOutcome(f"eud-{number}", ErasureOutcome(10), None, True)


def still_open(number):
    return RequestOutcome(f"eud-{number}", ErasureOutcome(0, 10, 0), None, True)


def test_a_round_takes_the_first_and_what_is_still_open_goes_to_the_back():
    queue = WaitQueue([1, 2, 3, 4, 5])
    assert queue.start_round(LATER, most=2) == [1, 2] == queue.round
    queue.end_round({1: still_open(1), 2: done(2)}, LATER)
    assert (queue.numbers, queue.round) == ([3, 4, 5, 1], [])
    assert queue.start_round(LATER, most=2) == [3, 4]


@pytest.mark.parametrize(
    ("most", "deadline", "ends"),
    [
        (2, LATER, NOW + ROUND.total_seconds()),
        (3, LATER, LATER),
        (4, LATER, LATER),
        (None, LATER, LATER),
        (2, NOW + 5.0, NOW + 5.0),
    ],
)
def test_a_round_ends_early_only_where_others_wait(most, deadline, ends):
    queue = WaitQueue([1, 2, 3])
    queue.start_round(deadline, most)
    assert queue.round_ends == ends


def test_what_is_open_after_a_poll_at_the_deadline_is_not_polled_again(clock):
    queue = WaitQueue([1, 2, 3])
    queue.start_round(LATER, most=2)
    clock.now = LATER + 1  # the round was to end before the deadline, so its polls were no last polls
    queue.end_round({1: still_open(1), 2: still_open(2)}, LATER)
    assert queue.numbers == [3, 1, 2]
    queue.start_round(LATER, most=2)
    queue.end_round({3: still_open(3), 1: done(1)}, LATER)
    assert queue.numbers == [2]


def test_nothing_is_in_a_round_before_one_starts():
    assert WaitQueue([1, 2]).round == []


def test_what_is_open_when_a_round_outlasts_the_deadline_is_not_polled_again(clock):
    queue = WaitQueue([1, 2])
    queue.start_round(LATER)
    clock.now = LATER
    queue.end_round({1: still_open(1), 2: still_open(2)}, LATER - 1.0)  # the deadline is nearer than it was
    assert queue.numbers == []


@given(st.data(), st.integers(1, 30), st.integers(1, 7))
def test_no_request_waits_for_ever_behind_others_and_each_leaves_the_queue_once(data, requests, most):
    queue = WaitQueue(list(range(1, requests + 1)))
    polls, ended = dict.fromkeys(queue.numbers, 0), []
    while queue.numbers:
        numbers = queue.start_round(LATER, most)
        assert 0 < len(numbers) <= most
        for number in numbers:
            polls[number] += 1
        waiting = [polls[number] for number in queue.numbers]
        assert max(waiting) - min(waiting) <= 1
        kinds = data.draw(st.lists(st.sampled_from([done, still_open]), min_size=len(numbers), max_size=len(numbers)))
        outcomes = {number: kind(number) for number, kind in zip(numbers, kinds, strict=True)}
        queue.end_round(outcomes, LATER if data.draw(st.booleans()) else NOW)
        queue = QUEUE.validate_python(QUEUE.dump_python(queue, mode="json"))
        ended += [number for number in numbers if number not in queue.numbers]
        assert sorted(ended + queue.numbers) == list(range(1, requests + 1))


def law(day):
    return StatutoryDeadline(datetime.fromtimestamp(day * 86400.0, UTC), Regime.CCPA)


@pytest.mark.parametrize(
    ("received_on", "ends_before_timeout", "is_shorter"),
    [(-40, True, False), (11, True, True), (5000, False, False)],
)
def test_a_wait_ends_with_its_statutory_deadline_unless_that_has_passed_before(
    received_on, ends_before_timeout, is_shorter
):
    deadline = law(received_on)
    end = end_of_wait(NOW, 100 * 86400.0, deadline)
    assert (end == deadline.ends_at.timestamp()) == is_shorter
    assert (deadline.ends_at.timestamp() < NOW + 100 * 86400.0) == ends_before_timeout
    assert is_shorter or end == NOW + 100 * 86400.0
    assert end_of_wait(NOW, 5.0, None) == NOW + 5.0


def test_a_wait_that_starts_at_the_end_of_its_statutory_deadline_lasts_until_its_timeout():
    deadline = law(11)
    started = deadline.ends_at.timestamp()
    assert end_of_wait(started, 5.0, deadline) == started + 5.0


def test_what_was_polled_before_a_failure_is_kept():
    words = iter([http(200, {"_id": "eud-2", "response": [{"userId": "a@x.org", "status": "success"}]}), http(403)])
    client = Client(lambda request: next(words))
    hook = Hook(client)
    poller = Poller(hook, NOW, lambda number: AcceptedErasure(f"eud-{number}", 1))
    outcomes, failure = poller.poll([2, 5], lambda watch: watch.wait(PollSchedule(), deadline=0.0))
    assert [type(failure), len(client.requests)] == [KorePermissionError, 2]
    assert {number: (outcome.request_id, outcome.settled) for number, outcome in outcomes.items()} == {
        2: ("eud-2", True),
        5: ("eud-5", False),
    }
    assert outcomes[2].fingerprint == fingerprint(["a@x.org"], KEY)
