"""
Measure one budget of calls in Redis for six processes, beside the limits divided among them by hand.

A minute takes two seconds here, and an hour a minute. The account counts strictly when a call arrives. Four processes
call from a worker, one call at a time, and two from an event loop with twenty waiters each.
"""

from __future__ import annotations

import sys
import time

from benchmarks.report import Report, arguments
from benchmarks.strict_account import PER_HOUR, PER_MINUTE, Caller, StrictAccount, wait_for_all
from demo.local_redis import LocalRedis

MINUTE = 2.0
START = 8.0
"""Seconds within which the processes start, on a machine that does other things too."""


def run(
    redis: LocalRedis | None, *, alone: bool, seconds: float, calls: int = 1_000_000
) -> tuple[StrictAccount, float]:
    """
    Let the processes call, and return the account, and how long it took from the first call to the last.

    :param redis: keeps the budget; ``None`` for a sixth of the limits in each process.
    :param alone: whether only one of the six has calls to make.
    :param seconds: how long they call.
    :param calls: how many calls each of them makes at most.
    """
    with StrictAccount(MINUTE) as account:
        share = 1 if redis else 6
        port = redis.port if redis else None
        names = ["loop-1"] if alone else ["worker-1", "worker-2", "worker-3", "worker-4", "loop-1", "loop-2"]
        callers = [
            Caller(
                name, account.port, port, MINUTE, seconds, calls, waiters=20 if "loop" in name else 1, share=share,
                client_id=f"cs-{alone}",
            )
            for name in names
        ]  # fmt: skip
        processes = [caller.start() for caller in callers]
        wait_for_all(processes)
        return account, account.accepted[-1] - account.accepted[0]


def main() -> int:
    """Run both, and return 1 if something does not hold."""
    options = arguments(__doc__).parse_args()
    report = Report(quick=options.quick)
    seconds = START + (15 if options.quick else 75)
    calls = 180
    began = time.monotonic()
    with LocalRedis() as redis:
        before = redis.client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
        shared, _ = run(redis, alone=False, seconds=seconds)
        stats = redis.client.info("commandstats")["cmdstat_evalsha"]
        divided, _ = run(None, alone=False, seconds=seconds)
        _, shared_alone = run(redis, alone=True, seconds=120, calls=calls)
        _, divided_alone = run(None, alone=True, seconds=120, calls=calls)

    report.table(
        f"Six processes, {PER_MINUTE} calls in {MINUTE:g} s and {PER_HOUR:,} in {30 * MINUTE:g} s",
        "budget", "calls", "throttle answers", "of the fastest schedule", f"{calls} calls of one process alone",
    )  # fmt: skip
    for name, account, alone in (("in Redis", shared, shared_alone), ("a sixth each", divided, divided_alone)):
        throttled = f"{account.throttled}"
        report.row(name, f"{len(account.calls):,}", throttled, f"{account.pace():.1%}", f"{alone:.1f} s")
    report.table("Redis", "questions a call", "CPU a question")
    report.row(f"{(stats['calls'] - before) / len(shared.calls):.1f}", f"{stats['usec_per_call']:.0f} µs")
    report.require(f"{shared.throttled} throttle answers with the budget in Redis", shared.throttled == 0)
    report.at_most("fastest schedule: time with the budget in Redis, of the shortest", 1 / shared.pace(), 1 / 0.97)
    report.at_most(
        "one process alone: time with the budget in Redis, of that with a sixth", shared_alone / divided_alone, 0.25
    )
    print(f"Took {time.monotonic() - began:.0f} s.\n")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
