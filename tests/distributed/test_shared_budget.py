"""
One budget in a real Redis for several processes, against an account that counts strictly.

A minute takes two seconds here, and an hour a minute. Whatever happens to Redis or to a process, the account throttles
nobody, and those that live continue.
"""

import time

import pytest

from benchmarks.strict_account import Caller, StrictAccount, wait_for_all
from demo.local_redis import LocalRedis

MINUTE = 2.0


@pytest.fixture
def account():
    with StrictAccount(MINUTE) as account:
        yield account


def start(account, redis, *, seconds, waiters=20, submits=5, **more):
    """Start two workers, and two event loops on each of which some wait, some of them to submit."""
    settings = {"port": account.port, "redis_port": redis.port, "minute": MINUTE, "seconds": seconds, **more}
    workers = [Caller(f"worker-{number}", **settings).start() for number in range(2)]
    loops = [Caller(f"loop-{number}", waiters=waiters, submits=submits, **settings) for number in range(2)]
    return workers, [loop.start() for loop in loops]


def wait_for_calls(account, number):
    deadline = time.monotonic() + 60
    while len(account.calls) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def calls_between(account, begin, end):
    return sum(begin <= moment < end for moment in account.accepted)


def test_processes_share_the_windows_and_submits_go_first(account):
    with LocalRedis() as redis:
        workers, loops = start(account, redis, seconds=16, waiters=80, submits=60)  # enough for a window
        wait_for_all(workers + loops)
    assert account.throttled == 0
    assert account.pace() > 0.8
    begin = account.accepted[0] + MINUTE
    kinds = [who.split()[1] for moment, who, _ in account.calls if moment > begin]
    assert 0.7 < kinds.count("submit") / len(kinds) <= 0.85


def test_who_is_killed_in_the_queue_or_with_a_call_under_way_makes_nobody_else_wait_for_long(account):
    with LocalRedis() as redis:
        workers, loops = start(account, redis, seconds=20)
        wait_for_calls(account, 130)
        killed = time.monotonic()
        workers[0].kill()
        loops[0].kill()
        wait_for_all(workers + loops)
    assert account.throttled == 0
    # At most 21 calls were under way, and count until their lease ends; the others are used.
    assert calls_between(account, killed + MINUTE, killed + 3 * MINUTE) >= 60


def test_redis_that_is_killed_and_comes_back_empty_is_told_what_was_called(account):
    with LocalRedis() as redis:
        workers, loops = start(account, redis, seconds=26)
        wait_for_calls(account, 130)
        redis.kill()
        killed = time.monotonic()
        time.sleep(8)
        redis.start()
        back = time.monotonic()
        logs = wait_for_all(workers + loops)
    assert account.throttled == 0
    assert calls_between(account, killed + 2 * MINUTE, back) >= 20
    assert calls_between(account, back + 2 * MINUTE, back + 5 * MINUTE) >= 60
    assert all("Nothing fails for that" in log and "Redis answers again" in log for log in logs)


def test_redis_that_freezes_does_late_what_it_was_asked_and_that_has_no_effect(account):
    with LocalRedis() as redis:
        workers, loops = start(account, redis, seconds=26, timeout=0.5)
        wait_for_calls(account, 130)
        redis.freeze()
        frozen = time.monotonic()
        time.sleep(8)
        redis.thaw()
        back = time.monotonic()
        wait_for_all(workers + loops)
    assert account.throttled == 0
    assert calls_between(account, frozen + 2 * MINUTE, back) >= 10
    assert calls_between(account, back + 2 * MINUTE, back + 5 * MINUTE) >= 60


def test_redis_that_is_flushed_is_told_what_was_called(account):
    with LocalRedis() as redis:
        workers, loops = start(account, redis, seconds=16)
        wait_for_calls(account, 130)
        redis.client.script_flush()
        redis.client.flushall()
        flushed = time.monotonic()
        wait_for_all(workers + loops)
    assert account.throttled == 0
    assert calls_between(account, flushed, flushed + 0.9 * MINUTE) <= 20  # those that were under way
    assert calls_between(account, flushed + 1.5 * MINUTE, flushed + 4 * MINUTE) >= 60


def test_redis_that_comes_back_with_old_data_is_told_what_was_called_since(account):
    with LocalRedis(dbfilename="old.rdb") as redis:
        workers, loops = start(account, redis, seconds=20)
        wait_for_calls(account, 70)
        redis.client.save()
        wait_for_calls(account, 190)
        redis.kill()
        redis.start()
        back = time.monotonic()
        wait_for_all(workers + loops)
    assert account.throttled == 0
    assert calls_between(account, back + 2 * MINUTE, back + 5 * MINUTE) >= 60
