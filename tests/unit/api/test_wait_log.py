"""The log says why a call waits."""

from itertools import pairwise

import pytest
from playing_kore import WALL_START, Clock, http, pacing, play, play_all, status_of

from airflow_provider_kore.api import wait_log
from airflow_provider_kore.api.budget import Reason, Turn, Wait
from airflow_provider_kore.api.calls import fetch_status, submit_erasure
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.wait_log import LOG_INTERVAL, LONG_WAIT, WaitLog
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch
from airflow_provider_kore.exceptions import KoreThrottledError

PERSON = "jane@example.com"
REQUEST = ErasureRequest((PERSON,), ErasureScope(("st-1",), all_bots=False))
ACCEPTED = http(200, {"requestId": "eud-1", "status": "in-progress"})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock, monkeypatch):
    """The lines, each with its moment."""
    written = []
    monkeypatch.setattr(wait_log.log, "info", lambda text, *arguments: written.append((clock.now, text % arguments)))
    return written


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("call", Call)
def test_a_line_says_what_waits_and_for_how_long_and_why(clock, lines, call, reason):
    WaitLog(clock.monotonic).note(Turn(call, 0.0), Wait(57.6, 12, (3, 1240), reason))
    ((_, line),) = lines
    assert line == (
        f"The next {call.value} waits for its turn, at least 58 s: {reason.value}. "
        "Calls before it: 12. Calls left: 3 this minute, 1240 this hour."
    )


def test_one_wait_has_one_line_however_often_it_asks_and_names_no_user(clock, lines):
    share = pacing(clock, 60, 10)
    play_all([submit_erasure(REQUEST, share) for _ in range(10)], lambda _: ACCEPTED, clock)
    played = play(submit_erasure(REQUEST, share), [ACCEPTED], clock)
    assert len(played.pauses) > 3
    ((moment, line),) = lines
    assert moment == 1000.0
    assert Reason.HOUR.value in line
    assert PERSON not in line


@pytest.mark.parametrize(("seconds", "logged"), [(LONG_WAIT - 0.1, 0), (LONG_WAIT, 1)])
def test_a_short_wait_has_no_line(clock, lines, seconds, logged):
    share = pacing(clock)
    share.budget.close(seconds)
    play(submit_erasure(REQUEST, share), [ACCEPTED], clock)
    assert len(lines) == logged


def test_a_wait_that_becomes_long_has_its_line_then(clock, lines):
    share = pacing(clock)
    share.budget.close(LONG_WAIT / 2)

    log, turn = WaitLog(clock.monotonic), Turn(Call.ERASE, clock.now)
    log.note(turn, share.budget.ask(turn))
    assert lines == []
    share.budget.close(300)
    log.note(turn, share.budget.ask(turn))
    assert len(lines) == 1


def test_a_call_that_is_repeated_and_waits_again_has_another_line(clock, lines):
    throttle = http(429, None, "100")
    play(submit_erasure(REQUEST, pacing(clock)), [throttle, throttle, ACCEPTED], clock)
    assert [moment for moment, _ in lines] == [1000.0, 1100.0]
    assert all(Reason.THROTTLED.value in line for _, line in lines)


def test_the_line_is_there_also_if_the_turn_comes_too_late(clock, lines):
    share = pacing(clock)
    share.budget.close(100)
    with pytest.raises(KoreThrottledError):
        play(fetch_status("eud-1", share, clock.now + 50), [], clock)
    assert len(lines) == 1


def watch(clock, share, names):
    requests = [AcceptedErasure(name, 1) for name in names]
    return ErasureWatch(requests, share, fingerprint_key=b"k", started=WALL_START, clock=clock.wall)


def test_a_conversation_of_many_long_waits_writes_one_line_a_minute_at_most(clock, lines):
    log = WaitLog(clock.monotonic)
    for _ in range(1000):
        log.note(Turn(Call.STATUS, clock.now), Wait(30.0, 0, (0, 0), Reason.MINUTE))
        clock.now += 7.0
    moments = [moment for moment, _ in lines]
    assert all(LOG_INTERVAL <= later - earlier < LOG_INTERVAL + 7 for earlier, later in pairwise(moments))
    assert len(moments) == pytest.approx(1000 * 7 / 63, abs=2)


def test_a_thousand_requests_of_ten_watches_are_no_flood(clock, lines):
    share = pacing(clock, 60, 1800)
    names = [f"eud-{number}" for number in range(1000)]
    watches = [watch(clock, share, names[number::10]) for number in range(10)]
    waits = [each.wait(PollSchedule(), WALL_START + 3600) for each in watches]
    play_all(waits, lambda request: status_of(request.path.rsplit("/", 1)[1], "queued"), clock)
    minutes = (clock.now - 1000.0) / 60
    assert 10 <= len(lines) <= 10 * (minutes + 1)


def test_each_watch_has_its_own_lines(clock, lines):
    share = pacing(clock)
    share.budget.close(100)
    done = [watch(clock, share, [f"eud-{number}"]).wait(PollSchedule(), WALL_START + 3600) for number in range(20)]
    play_all(done, lambda request: status_of(request.path.rsplit("/", 1)[1], "SUCCESS"), clock)
    assert len(lines) == 20
