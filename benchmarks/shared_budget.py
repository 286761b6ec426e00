"""
Measure one budget of calls in Redis for several processes, beside other libraries, and beside divided limits.

A minute takes two seconds here, or six where the pace is measured, and an hour thirty times as long. The account counts
strictly when a call arrives. Four processes call from a worker, one call at a time, and two from an event loop, with
twenty waiters each; or many more.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from benchmarks.peer_limiters import PEERS
from benchmarks.report import Report, arguments
from benchmarks.strict_account import PER_HOUR, PER_MINUTE, Caller, StrictAccount, wait_for_all
from demo.local_redis import LocalRedis

MINUTE = 2.0
PACE_MINUTE = 6.0
"""
Where the pace is measured: on two cores, the processes take up to a tenth of a second to begin and end sixty calls,
which is a twentieth of two seconds, and a six-hundredth of a minute.
"""
START = 8.0
"""Seconds within which the processes start, on a machine that does other things too."""

ALONE = ["loop-1"]
SIX = ["worker-1", "worker-2", "worker-3", "worker-4", "loop-1", "loop-2"]
WAITERS = 20
CROWD = {"loop-1": 490, "loop-2": 490, "loop-3": WAITERS}
OUTAGE, BETWEEN = 12.0, 10.0


def run(
    names: Sequence[str], redis: LocalRedis | None, seconds: float, minute: float = MINUTE, **more: object
) -> StrictAccount:
    """
    Let processes call, and return the account.

    :param names: of the processes.
    :param redis: keeps the budget; ``None`` for a sixth of the limits in each process.
    :param seconds: how long they call.
    :param minute: seconds that stand for a minute.
    """
    with StrictAccount(minute) as account:
        wait_for_all([_caller(name, account, redis, seconds, minute, **more).start() for name in names])
        return account


def _caller(
    name: str, account: StrictAccount, redis: LocalRedis | None, seconds: float, minute: float, **more: object
) -> Caller:
    settings = {"waiters": WAITERS if "loop" in name else 1, "share": 1 if redis else 6} | more
    return Caller(name, account.port, redis.port if redis else None, minute, seconds, **settings)  # type: ignore[arg-type]


def time_taken(account: StrictAccount) -> float:
    """Return the seconds from the first call to the last."""
    return account.accepted[-1] - account.accepted[0]


def spread_of_waits(account: StrictAccount) -> float:
    """Return the coefficient of variation of the times between two calls of one waiter, while all processes call."""
    begin, end = account.time_together()
    moments = defaultdict(list)
    for moment, who, _ in account.calls:
        if begin < moment < end:
            moments[who].append(moment)
    waits = [later - earlier for called in moments.values() for earlier, later in pairwise(called)]
    return statistics.pstdev(waits) / statistics.mean(waits)


def measure_crowd(seconds: float) -> tuple[float, dict[str, int]]:
    """
    Let a thousand wait for calls; then kill a process with twenty of them, and then Redis, which comes back empty.

    :param seconds: how long they all call before that.
    :return: the spread of their waits, and how many calls were refused until the end of each part.
    """
    throttled: dict[str, int] = {}
    in_all = START + seconds + BETWEEN + OUTAGE + 2 * BETWEEN
    with LocalRedis() as redis, StrictAccount(MINUTE) as account:
        callers = {
            name: _caller(name, account, redis, in_all, MINUTE, waiters=waiters).start()
            for name, waiters in CROWD.items()
        }
        while not account.calls:
            time.sleep(0.05)
        time.sleep(seconds)
        throttled[f"{sum(CROWD.values()):,} wait"] = account.throttled
        callers["loop-3"].kill()
        time.sleep(BETWEEN)
        throttled[f"{CROWD['loop-3']} of them are killed"] = account.throttled
        redis.kill()
        time.sleep(OUTAGE)
        redis.start()
        wait_for_all(list(callers.values()))
        throttled[f"Redis is killed, and comes back empty after {OUTAGE:.0f} s"] = account.throttled
    return spread_of_waits(account), throttled


def main() -> int:
    """Run all, and return 1 if something does not hold."""
    options = arguments(__doc__).parse_args()
    report = Report(quick=options.quick)
    seconds = START + (30 if options.quick else 90)
    calls = 180
    began = time.monotonic()
    with LocalRedis() as redis:
        ours = run(SIX, redis, seconds, PACE_MINUTE)
        stats = redis.client.info("commandstats")["cmdstat_evalsha"]
    accounts = {"in Redis": ours}
    for name in PEERS:
        with LocalRedis() as redis:
            accounts[name] = run(SIX, redis, seconds, PACE_MINUTE, peer=name)
    accounts["a sixth each"] = run(SIX, None, seconds, PACE_MINUTE)
    with LocalRedis() as redis:
        alone = time_taken(run(ALONE, redis, 120, calls=calls))
        mixed = run(SIX, redis, START + 15, waiters=40, submits=30, client_id="cs-mixed")
    divided_alone = time_taken(run(ALONE, None, 120, calls=calls))
    spread, throttled = measure_crowd(40 if options.quick else 80)

    report.table(
        f"Six processes, {PER_MINUTE} calls in {PACE_MINUTE:g} s and {PER_HOUR:,} in {30 * PACE_MINUTE:g} s",
        "budget", "calls", "throttle answers", "of the fastest schedule",
    )  # fmt: skip
    for name, account in accounts.items():
        report.row(name, f"{len(account.calls):,}", f"{account.throttled}", f"{account.pace():.1%}")
    report.table(f"{calls} calls of one process alone", "budget", "seconds")
    report.row("in Redis", f"{alone:.1f}")
    report.row("a sixth each", f"{divided_alone:.1f}")
    report.table("Redis", "questions a call", "CPU a question")
    report.row(f"{stats['calls'] / len(ours.calls):.1f}", f"{stats['usec_per_call']:.0f} µs")
    report.table("Whatever happens", "what", "throttle answers")
    for what, number in throttled.items():
        report.row(what, f"{number}")
    submits = mixed.share_of_submits()
    none = ours.throttled + mixed.throttled + max(throttled.values())
    report.require(f"{none} throttle answers with the budget in Redis, whatever happens", none == 0)
    report.at_most("fastest schedule: time with the budget in Redis, of the shortest", 1 / ours.pace(), 1 / 0.98)
    report.at_most(
        "one process alone: time with the budget in Redis, of that with a sixth", alone / divided_alone, 0.25
    )
    report.require(f"{submits:.1%} of the calls submit where both wait", abs(submits - 0.8) <= 0.02)
    report.at_most("spread of a thousand waits, as their coefficient of variation", spread, 0.1)
    print(f"Took {time.monotonic() - began:.0f} s.\n")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
