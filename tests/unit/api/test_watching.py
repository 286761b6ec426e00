"""Waiting for erasures, with a clock that the test turns and a Kore.ai that answers by script."""

import heapq
import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing_kore import WALL_START, Clock, Played, by_hand, error, http, pacing, play, play_all, status_of

from airflow_provider_kore.api.calls import ATTEMPTS
from airflow_provider_kore.api.exchange import NoAnswer
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.profile import DEFAULT_PROFILE
from airflow_provider_kore.api.watching import (
    LAST_POLLS,
    UNREADABLE_GRACE,
    UNREADABLE_POLLS,
    AcceptedErasure,
    ErasureWatch,
    RequestOutcome,
)
from airflow_provider_kore.exceptions import (
    KoreAuthenticationError,
    KoreConfigurationError,
    KorePermissionError,
    KoreRequestError,
)

LOST = NoAnswer(received=True, reason="ReadTimeout")
UNKNOWN_ID = error(400, "Invalid request Xq7ZwK9")
UNREADABLE = http(200, {"response": "Xq7ZwK9"})


class Kore:
    """Answers each request id by what its script says for the age of the erasure."""

    def __init__(self, clock, **scripts):
        self.clock = clock
        self.scripts = {name.replace("_", "-"): script for name, script in scripts.items()}
        self.looks = []

    def __call__(self, request):
        request_id = request.path.rsplit("/", 1)[1]
        self.looks.append((request_id, self.clock.now - 1000.0))
        script = self.scripts[request_id]
        return script(self.clock.now - 1000.0) if callable(script) else script


def after(seconds, reply, before=None):
    return lambda age: reply if age >= seconds else before


def settling(request_id, seconds, *words):
    return after(seconds, status_of(request_id, *words), http(200, {"_id": request_id, "response": []}))


def watching(clock, *requests, **more):
    requests = requests or (AcceptedErasure("eud-1", 1),)
    budget = more.pop("pacing", None) or pacing(clock)
    return ErasureWatch(requests, budget, fingerprint_key=b"k", started=WALL_START, clock=clock.wall, **more)


def wait(clock, watch, kore, deadline, schedule=None, **more):
    return play(
        watch.wait(schedule or PollSchedule(), WALL_START + deadline, **more), kore, clock, played=Played(clock)
    )


def counts(outcome):
    return (outcome.erased, outcome.open, outcome.not_erased)


@pytest.fixture
def clock():
    return Clock()


def total(watch):
    return sum((request.outcome for request in watch.outcomes), ErasureOutcome())


def test_a_request_that_is_done_at_once_takes_one_look(clock):
    watch = watching(clock)
    kore = Kore(clock, eud_1=status_of("eud-1", "SUCCESS"))
    wait(clock, watch, kore, 3600)
    assert watch.settled
    assert counts(watch.outcomes[0].outcome) == (1, 0, 0)
    assert watch.outcomes[0].understood
    assert watch.outcomes[0].fingerprint
    assert kore.looks == [("eud-1", 0.0)]


@given(st.floats(0, 5000))
@settings(max_examples=40)
def test_a_request_is_seen_done_within_a_fraction_of_its_age_and_with_few_looks(seconds):
    clock = Clock()
    watch = watching(clock)
    kore = Kore(clock, eud_1=settling("eud-1", seconds, "SUCCESS"))
    wait(clock, watch, kore, 86_400)
    assert watch.settled
    assert seconds <= clock.now - 1000.0 <= seconds + min(max(1.25, 0.1 * seconds), 30.0) + 1e-3
    assert len(kore.looks) <= 70 + seconds / 27
    assert len(kore.looks) == len(set(kore.looks))


@given(st.floats(0.01, 5000), st.floats(0, 20))
@settings(max_examples=60)
def test_the_deadline_itself_has_one_last_look_and_none_follows(deadline, takes):
    clock = Clock()
    watch = watching(clock)
    kore = Kore(clock, eud_1=status_of("eud-1", "pending"))
    play(watch.wait(PollSchedule(), WALL_START + deadline), kore, clock, takes=takes)
    begun = [when - takes for _, when in kore.looks]
    assert sum(when >= deadline - 1e-3 for when in begun) == 1
    assert begun[-1] >= deadline - 1e-3
    assert not watch.settled
    assert counts(watch.outcomes[0].outcome) == (0, 1, 0)


def test_what_is_done_between_the_last_pause_and_the_deadline_is_seen(clock):
    watch = watching(clock)
    kore = Kore(clock, eud_1=settling("eud-1", 99.9, "SUCCESS"))
    wait(clock, watch, kore, 100, PollSchedule(longest=600, shortest=600))
    assert watch.settled
    assert [when for _, when in kore.looks] == [0, pytest.approx(100)]


def test_a_deadline_that_has_passed_still_gives_each_request_one_look(clock):
    requests = [AcceptedErasure("eud-1", 1), AcceptedErasure("eud-2", 1)]
    watch = watching(clock, *requests)
    kore = Kore(clock, eud_1=status_of("eud-1", "queued"), eud_2=status_of("eud-2", "SUCCESS"))
    wait(clock, watch, kore, -5000)
    assert sorted(kore.looks) == [("eud-1", 0.0), ("eud-2", 0.0)]
    assert [counts(outcome.outcome) for outcome in watch.outcomes] == [(0, 1, 0), (1, 0, 0)]


@pytest.mark.parametrize(
    ("first_poll", "deadline", "looked_at"), [(30, 3600, 30), (0, 3600, 0), (-30, 3600, 0), (500, 100, 100)]
)
def test_nobody_looks_before_the_first_look_is_due(clock, first_poll, deadline, looked_at):
    watch = watching(clock)
    kore = Kore(clock, eud_1=status_of("eud-1", "SUCCESS"))
    wait(clock, watch, kore, deadline, first_poll=WALL_START + first_poll)
    assert kore.looks == [("eud-1", float(looked_at))]


@pytest.mark.parametrize(
    "fault",
    [
        LOST,
        NoAnswer(received=False, reason="ConnectError"),
        http(500),
        http(200, b"<html>"),
        http(404, b"<html>"),
        error(429, "hourly rate limit"),
    ],
)
def test_a_passing_fault_settles_nothing_however_long_it_stays(clock, fault):
    watch = watching(clock)
    wait(clock, watch, Kore(clock, eud_1=after(8_000, status_of("eud-1", "SUCCESS"), fault)), 86_400)
    assert counts(watch.outcomes[0].outcome) == (1, 0, 0)


def test_a_fault_that_lasts_to_the_deadline_leaves_all_open(clock):
    watch = watching(clock, AcceptedErasure("eud-1", 7))
    kore = Kore(clock, eud_1=LOST)
    played = wait(clock, watch, kore, 1000)
    assert counts(watch.outcomes[0].outcome) == (0, 7, 0)
    assert not watch.outcomes[0].understood
    assert len(played.requests) <= ATTEMPTS * 80
    assert clock.now <= 2010


def test_a_throttle_to_the_deadline_and_beyond_ends_soon_after_it(clock):
    watch = watching(clock)
    wait(clock, watch, Kore(clock, eud_1=http(429, None, "3600")), 1000)
    assert not watch.settled
    assert clock.now <= 2060


def test_what_was_known_before_a_fault_stays_known(clock):
    watch = watching(clock, AcceptedErasure("eud-1", 2))
    wait(clock, watch, Kore(clock, eud_1=after(5, LOST, status_of("eud-1", "SUCCESS", "queued"))), 100)
    assert counts(watch.outcomes[0].outcome) == (1, 1, 0)


def test_an_id_that_is_unknown_for_a_moment_is_waited_for(clock):
    watch = watching(clock)
    wait(clock, watch, Kore(clock, eud_1=after(60, status_of("eud-1", "SUCCESS"), UNKNOWN_ID)), 3600)
    assert counts(watch.outcomes[0].outcome) == (1, 0, 0)


def test_an_id_that_stays_unknown_is_settled_as_not_proven(clock):
    watch = watching(clock, AcceptedErasure("eud-1", 3), AcceptedErasure("eud-2", None))
    wait(clock, watch, Kore(clock, eud_1=UNKNOWN_ID, eud_2=UNKNOWN_ID), 3600)
    assert [counts(outcome.outcome) for outcome in watch.outcomes] == [(0, 0, 3), (0, 0, 1)]
    assert not any(outcome.understood for outcome in watch.outcomes)
    grace = DEFAULT_PROFILE.unknown_request_grace
    assert grace <= clock.now - 1000.0 <= grace * 1.12
    assert "does not know the request id" in watch.outcomes[0].outcome.remarks[0]
    assert "Xq7ZwK9" not in str(watch.outcomes[0].to_json())


def test_answers_that_stay_unreadable_are_settled_as_not_proven(clock):
    watch = watching(clock, AcceptedErasure("eud-1", 3))
    kore = Kore(clock, eud_1=UNREADABLE)
    wait(clock, watch, kore, 3600)
    assert UNREADABLE_GRACE <= clock.now - 1000.0 <= UNREADABLE_GRACE * 1.15 + 10
    assert len(kore.looks) >= ATTEMPTS * UNREADABLE_POLLS
    (outcome,) = watch.outcomes
    assert (counts(outcome.outcome), outcome.understood, outcome.fingerprint) == ((0, 0, 3), False, None)
    assert "Xq7ZwK9" not in str(outcome.to_json())


def poll_by_poll(*polls):
    """Answer the attempts of each poll by its own script; ``GOOD`` ends the wait."""
    replies = iter([reply for poll in polls for reply in poll])
    return lambda age: next(replies)


GOOD = [status_of("eud-1", "SUCCESS")]
CUT = http(200, b'{"_id": "eud-1", "response": [{"us')
ALL_UNREADABLE = [UNREADABLE, http(200, []), http(200, b"null"), http(200, {"errors": ["x"]})]
ALL_PASSING = [http(500), http(502), CUT, LOST]
SLOW = PollSchedule(longest=300, shortest=100)


@pytest.mark.parametrize(
    ("polls", "schedule", "expected"),
    [
        pytest.param([[http(500), http(502), CUT, http(200, b"null")], GOOD], SLOW, (1, 0, 0), id="the reported one"),
        pytest.param([ALL_UNREADABLE, GOOD], SLOW, (1, 0, 0), id="one poll"),
        pytest.param([ALL_UNREADABLE] * 2 + [GOOD], SLOW, (1, 0, 0), id="two polls"),
        pytest.param([ALL_UNREADABLE] * 3 + [GOOD], SLOW, (0, 0, 1), id="three polls in five minutes"),
        pytest.param([ALL_UNREADABLE] * 9 + [GOOD], PollSchedule(9, 9), (1, 0, 0), id="nine polls in too short a time"),
        pytest.param([[*ALL_UNREADABLE[:3], LOST]] * 20 + [GOOD], SLOW, (1, 0, 0), id="each with one passing fault"),
        pytest.param(
            [ALL_UNREADABLE, ALL_PASSING, ALL_UNREADABLE, GOOD], SLOW, (1, 0, 0), id="passing faults are not counted"
        ),
        pytest.param(
            [ALL_UNREADABLE, ALL_UNREADABLE, ALL_PASSING, ALL_UNREADABLE, GOOD],
            SLOW,
            (0, 0, 1),
            id="passing faults do not begin the count anew",
        ),
        pytest.param(
            [ALL_UNREADABLE, ALL_UNREADABLE, [status_of("eud-1", "queued")], ALL_UNREADABLE, ALL_UNREADABLE, GOOD],
            SLOW,
            (1, 0, 0),
            id="an answer that is understood does",
        ),
    ],
)
def test_only_whole_polls_of_unreadable_answers_in_succession_end_a_wait(clock, polls, schedule, expected):
    watch = watching(clock)
    wait(clock, watch, Kore(clock, eud_1=poll_by_poll(*polls)), 86_400, schedule)
    assert counts(watch.outcomes[0].outcome) == expected


def test_checking_once_never_settles_by_unreadable_answers(clock):
    clock.now += 1000
    watch = watching(clock)
    assert play(watch.check(), Kore(clock, eud_1=UNREADABLE), clock).result is False
    assert counts(watch.outcomes[0].outcome) == (0, 1, 0)


@given(st.lists(st.sampled_from([UNREADABLE, CUT, LOST, http(502), http(200, b"null")]), min_size=1, max_size=60))
@settings(max_examples=60)
def test_no_faults_of_less_than_the_grace_end_a_wait(faults):
    clock = Clock()
    replies = iter(faults)
    watch = watching(clock)

    def reply(age):
        return next(replies, GOOD[0]) if age < UNREADABLE_GRACE / 2 else GOOD[0]

    wait(clock, watch, Kore(clock, eud_1=reply), 86_400)
    assert counts(watch.outcomes[0].outcome) == (1, 0, 0)


@pytest.mark.parametrize(
    ("reply", "error_type"),
    [
        (error(401, "Invalid SDK credentials"), KoreAuthenticationError),
        (error(403, "no"), KorePermissionError),
        (http(302), KoreConfigurationError),
        (error(422, "no"), KoreRequestError),
    ],
)
def test_an_error_that_waiting_cannot_mend_goes_on_and_leaves_all_open(clock, reply, error_type):
    watch = watching(clock)
    with pytest.raises(error_type):
        wait(clock, watch, Kore(clock, eud_1=after(10, reply, status_of("eud-1", "queued"))), 3600)
    assert counts(watch.outcomes[0].outcome) == (0, 1, 0)


def test_checking_begins_with_the_last_request_and_stops_at_the_first_open_one(clock):
    requests = [AcceptedErasure(f"eud-{number}", 1) for number in range(4)]
    watch = watching(clock, *requests)
    done = {f"eud_{number}": status_of(f"eud-{number}", "SUCCESS") for number in range(4)}
    kore = Kore(clock, **(done | {"eud_1": status_of("eud-1", "running")}))
    assert play(watch.check(), kore, clock).result is False
    assert [request_id for request_id, _ in kore.looks] == ["eud-3", "eud-2", "eud-1"]
    assert not watch.settled


def test_checking_tells_when_all_are_settled(clock):
    watch = watching(clock, AcceptedErasure("eud-1", 1), AcceptedErasure("eud-2", 1))
    kore = Kore(clock, eud_1=status_of("eud-1", "FAILED"), eud_2=status_of("eud-2", "SUCCESS"))
    assert play(watch.check(), kore, clock).result is True
    assert watch.settled
    assert total(watch).counts() == {"erased": 1, "open": 0, "not_erased": 1}


@pytest.mark.parametrize(("max_wait", "away"), [({}, 61), ({"max_wait": 0.0}, 0.1)])
def test_checking_gives_up_a_turn_that_is_too_far_away(clock, max_wait, away):
    budget = pacing(clock)
    budget.budget.close(away)
    watch = watching(clock, pacing=budget)
    played = play(watch.check(**max_wait), [], clock)
    assert (played.result, played.requests, played.pauses) == (False, [], [])


def test_checking_waits_for_each_of_its_turns(clock):
    requests = [AcceptedErasure(f"eud-{number}", 1) for number in range(10)]
    watch = watching(clock, *requests, pacing=pacing(clock, 3, 1800))
    kore = Kore(clock, **{f"eud_{number}": status_of(f"eud-{number}", "SUCCESS") for number in range(10)})
    assert play(watch.check(100), kore, clock).result is True
    assert len(kore.looks) == 10
    assert clock.now == 1180


def test_many_requests_are_each_watched_to_their_end(clock):
    ages = {f"eud-{number}": number * 37 % 900 for number in range(60)}
    watch = watching(clock, *(AcceptedErasure(request_id, 2) for request_id in ages), pacing=pacing(clock, 60, 1800))
    scripts = {name.replace("-", "_"): settling(name, age, "SUCCESS", "success") for name, age in ages.items()}
    kore = Kore(clock, **scripts)
    wait(clock, watch, kore, 7200)
    assert watch.settled
    assert [outcome.request_id for outcome in watch.outcomes] == list(ages)
    assert total(watch).counts() == {"erased": 120, "open": 0, "not_erased": 0}
    times = sorted(when for _, when in kore.looks)
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(times, times[60:], strict=False))
    settled_at = {name: max(when for looked, when in kore.looks if looked == name) for name in ages}
    assert sum(when > settled_at[name] for name, when in kore.looks) == 0


def test_many_open_requests_never_spend_the_hour_so_that_all_would_be_blocked(clock):
    requests = [AcceptedErasure(f"eud-{number}", 1) for number in range(50)]
    watch = watching(clock, *requests, pacing=pacing(clock, 60, 1800))
    kore = Kore(clock, **{f"eud_{number}": status_of(f"eud-{number}", "queued") for number in range(50)})
    played = wait(clock, watch, kore, 2 * 3600)
    assert clock.now - 1000.0 <= 2 * 3600 + 60
    assert len(kore.looks) <= 2 * 900 + 100
    last = dict(kore.looks)
    times = [when for _, when in kore.looks]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 600
    assert len(last) == 50
    assert min(last.values()) >= 2 * 3600
    assert len(played.requests) == len(kore.looks)


def test_counts_are_reported_when_they_change_and_only_then(clock):
    reported = []
    watch = watching(
        clock,
        AcceptedErasure("eud-1", 2),
        AcceptedErasure("eud-2", 1),
        report=lambda outcome, next_look: reported.append(outcome),
    )
    half_then_done = after(300, status_of("eud-1", "SUCCESS", "SUCCESS"), status_of("eud-1", "SUCCESS", "queued"))
    wait(clock, watch, Kore(clock, eud_1=half_then_done, eud_2=status_of("eud-2", "FAILED")), 3600)
    assert sorted(map(counts, reported)) == sorted([(1, 2, 0), (1, 1, 1), (2, 0, 1)])


def watch_many(clock, count, deadline, seconds):
    """Report the progress of many requests that settle one after the other."""
    reported = []
    watch = watching(
        clock,
        *(AcceptedErasure(f"eud-{number}", 1) for number in range(count)),
        pacing=pacing(clock, 600, 18_000),
        report=lambda outcome, next_look: reported.append((clock.now - 1000.0, counts(outcome))),
    )
    scripts = {
        f"eud_{number}": settling(f"eud-{number}", number * seconds / count, "SUCCESS") for number in range(count)
    }
    wait(clock, watch, Kore(clock, **scripts), deadline)
    return watch, reported


def test_of_many_requests_the_counts_are_reported_once_a_minute_and_at_the_end(clock):
    _, reported = watch_many(clock, 200, deadline=3600, seconds=1000)
    assert 14 <= len(reported) <= 20
    assert all(later - earlier >= 60 for (earlier, _), (later, _) in pairwise(reported[:-1]))
    assert reported[-1][1] == (200, 0, 0)
    assert all(sum(outcome) == 200 for _, outcome in reported)


def test_what_is_known_at_the_deadline_is_reported(clock):
    watch, reported = watch_many(clock, 200, deadline=570, seconds=1000)
    assert reported[-1][1] == counts(total(watch))
    assert not watch.settled


def test_what_was_known_when_a_wait_is_ended_is_reported(clock):
    reported = []
    requests = [AcceptedErasure(f"eud-{number}", 1) for number in range(50)]
    watch = watching(clock, *requests, report=lambda outcome, next_look: reported.append(counts(outcome)))
    conversation = by_hand(watch.wait(PollSchedule(), WALL_START + 3600), clock)
    step = next(conversation)
    for number in range(5):
        step = conversation.send(status_of(f"eud-{number}", "SUCCESS"))
    assert step.path.endswith("eud-5")
    assert reported == [(1, 49, 0)]
    conversation.close()
    assert reported == [(1, 49, 0), (5, 45, 0)]


def test_the_judge_of_answers_can_be_another(clock):
    seen = []

    def assess(status, user_count):
        seen.append((status.request_id, len(status.entries), user_count))
        return ErasureOutcome(not_erased=5)

    watch = watching(clock, assess=assess)
    wait(clock, watch, Kore(clock, eud_1=status_of("eud-1", "SUCCESS")), 3600)
    assert seen == [("eud-1", 1, 1)]
    assert counts(watch.outcomes[0].outcome) == (0, 0, 5)


@pytest.mark.parametrize("user_count", [1, 5, None])
def test_before_the_first_look_everybody_is_open(clock, user_count):
    watch = watching(clock, AcceptedErasure("eud-1", user_count))
    assert counts(watch.outcomes[0].outcome) == (0, user_count or 1, 0)
    assert not watch.settled
    assert not watch.outcomes[0].understood


def test_a_request_of_unknown_size_without_entries_stays_open(clock):
    watch = watching(clock, AcceptedErasure("eud-1", None))
    wait(clock, watch, Kore(clock, eud_1=http(200, {"_id": "eud-1", "response": []})), 100)
    assert not watch.settled


replies = st.sampled_from(
    [
        *(status_of("eud-1", *words) for words in (["SUCCESS"], ["queued"], ["FAILED"], ["SUCCESS"] * 2, [])),
        *(status_of("eud-1", *words) for words in (["SUCCESS"] * 3, ["SUCCESS", "FAILED"], ["SUCCESS", "queued"])),
        LOST,
        http(500),
        http(200, b"<html>"),
        UNKNOWN_ID,
        UNREADABLE,
        http(429, None, "30"),
        error(401, "no"),
    ]
)


@given(st.lists(replies, min_size=1, max_size=30), st.integers(1, 400))
@settings(max_examples=120)
def test_whatever_kore_answers_all_users_are_accounted_for_and_the_waiting_ends(script, deadline):
    clock = Clock()
    watch = watching(clock, AcceptedErasure("eud-1", 2))
    remaining = iter(script)
    answered = []

    def kore(request):
        answered.append(next(remaining, script[-1]))
        return answered[-1]

    try:
        wait(clock, watch, kore, deadline)
    except KoreAuthenticationError:
        assert error(401, "no") in answered
    (outcome,) = watch.outcomes
    assert outcome.outcome.user_count == 2
    assert min(counts(outcome.outcome)) >= 0
    assert outcome.outcome.erased < 2 or status_of("eud-1", "SUCCESS", "SUCCESS") == answered[-1]
    assert clock.now <= 1000 + deadline + LAST_POLLS


@given(
    st.builds(
        RequestOutcome,
        st.just("eud-1"),
        st.builds(ErasureOutcome, st.integers(0), st.integers(0), st.integers(0), st.lists(st.text()).map(tuple)),
        st.none() | st.text(),
        st.booleans(),
    )
)
def test_an_outcome_survives_its_json_form(outcome):
    assert RequestOutcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_a_request_fares_the_same_in_a_watch_of_many_as_in_one_of_its_own(clock):
    shared = pacing(clock, 60, 1800)
    names = [f"eud-{number}" for number in range(60)]
    kore = Kore(clock, **{name.replace("-", "_"): status_of(name, "queued") for name in names})
    groups = [names[:30], *([name] for name in names[30:])]
    watches = [watching(clock, *(AcceptedErasure(name, 1) for name in group), pacing=shared) for group in groups]
    play_all([watch.wait(PollSchedule(), WALL_START + 3 * 3600) for watch in watches], kore, clock)
    looks = Counter(name for name, when in kore.looks if when > 60)
    assert len(looks) == 60
    assert min(looks.values()) >= 0.5 * max(looks.values())
    assert min(looks.values()) >= 40  # of 2,700 in all


def test_what_waits_for_its_turn_over_the_deadline_is_not_looked_at_twice(clock):
    shared = pacing(clock, 1, 1800)
    watch = watching(clock, pacing=shared)
    kore = Kore(clock, eud_1=status_of("eud-1", "queued"))
    wait(clock, watch, kore, 30)
    assert kore.looks == [("eud-1", 0.0), ("eud-1", 60.0)]


def test_a_watch_that_begins_anew_after_long_does_not_go_before_those_who_wait(clock):
    shared = pacing(clock, 1, 1800)
    shared.budget.close(10)
    waiting, begun_anew = (watching(clock, AcceptedErasure(name, 1), pacing=shared) for name in ("eud-1", "eud-2"))
    kore = Kore(clock, eud_1=status_of("eud-1", "SUCCESS"), eud_2=status_of("eud-2", "SUCCESS"))
    conversations = [
        waiting.wait(PollSchedule(), WALL_START + 3600),
        begun_anew.wait(PollSchedule(), WALL_START + 3600, first_poll=WALL_START - 5000),
    ]
    play_all(conversations, kore, clock)
    assert [name for name, _ in kore.looks] == ["eud-1", "eud-2"]


@pytest.mark.parametrize(("count", "looked_at"), [(100, 100), (500, 500), (2000, 1200)])
def test_after_the_deadline_there_are_as_many_last_looks_as_there_is_time_for(clock, count, looked_at):
    shared = pacing(clock, 60, 1800)
    watch = watching(clock, *(AcceptedErasure(f"eud-{number}", 1) for number in range(count)), pacing=shared)
    kore = Kore(clock, **{f"eud_{number}": status_of(f"eud-{number}", "queued") for number in range(count)})
    wait(clock, watch, kore, 600)
    assert len({name for name, when in kore.looks if when >= 600}) == pytest.approx(looked_at, abs=61)
    assert clock.now - 1000.0 <= 600 + LAST_POLLS


def test_a_watch_that_is_ended_leaves_no_place_behind(clock):
    shared = pacing(clock, 1, 1800)
    ended, going_on = (watching(clock, AcceptedErasure(name, 1), pacing=shared) for name in ("eud-1", "eud-2"))
    conversation = by_hand(ended.wait(PollSchedule(), WALL_START + 3600), clock)
    next(conversation)
    conversation.send(status_of("eud-1", "queued"))
    clock.now += 5
    conversation.send(None)  # it waits for its turn now
    conversation.close()
    kore = Kore(clock, eud_2=status_of("eud-2", "SUCCESS"))
    wait(clock, going_on, kore, 3600)
    assert kore.looks == [("eud-2", 60.0)]


def test_a_script_of_looks_is_fair(clock):
    """With few turns to go round, no open request is looked at much more often than another."""
    requests = [AcceptedErasure(f"eud-{number}", 1) for number in range(10)]
    watch = watching(clock, *requests, pacing=pacing(clock, 5, 100_000))
    kore = Kore(clock, **{f"eud_{number}": status_of(f"eud-{number}", "queued") for number in range(10)})
    wait(clock, watch, kore, 1200)
    looks = Counter(request_id for request_id, _ in kore.looks)
    assert len(looks) == 10
    assert heapq.nlargest(1, looks.values())[0] <= min(looks.values()) + 3


def test_a_long_silence_is_broken_and_the_next_look_is_told(clock):
    reported = []
    watch = watching(clock, report=lambda outcome, next_look: reported.append((clock.now, next_look)))
    wait(clock, watch, Kore(clock, eud_1=settling("eud-1", 3000.0, "SUCCESS")), 3600.0)
    *silent, (_, last) = reported
    assert len(silent) >= 4
    assert all(600.0 <= later - earlier <= 640.0 for (earlier, _), (later, _) in pairwise(silent))
    assert all(0.0 < next_look <= 30.0 for _, next_look in silent)
    assert last is None
