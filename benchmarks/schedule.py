"""
Simulate how long an account's budget takes to erase many batches, ours beside waiters that do not know of each other.

A simulated Kore.ai enforces both rolling windows strictly, at the moment a call arrives. The clock is simulated; the
budget, the schedule, the watch and the calls are the real ones of the package. Run it from the root of the project:

    python -m benchmarks.schedule
    python -m benchmarks.schedule --quick

It prints two tables in Markdown, and ends with status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import heapq
import json
import logging
import math
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from airflow_provider_kore.api.budget import HOUR, MINUTE
from airflow_provider_kore.api.calls import submit_erasure
from airflow_provider_kore.api.conversation import Pause
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.matching import count_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.pacing import Pacing, PollSchedule
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.status import ErasureStatus
from airflow_provider_kore.api.turn_keeper import with_turns
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch
from benchmarks.report import BROKEN, HOLDS

PER_MINUTE, PER_HOUR = 60, 1800
LATENCY = (0.03, 0.25)
"""Seconds that a call takes to arrive, and its answer to come back, each."""
LATE_WAKE_UP = 0.05
"""Seconds by which a sleeper wakes up late, at most."""
NIGHT = 8 * HOUR
DAY = 24 * HOUR
LONGEST_RUN = 7 * DAY

Actor = Generator[Pause | Request, Answer | NoAnswer | None, None]


@dataclass
class Durations:
    """How long erasures take: from the arrival of the call, or until one moment for all."""

    name: str
    draw: Callable[[random.Random], float]
    ends_at: float | None = None

    def end(self, now: float, chance: random.Random) -> float:
        """Say when an erasure ends whose call arrives now."""
        return now + self.draw(chance) if self.ends_at is None else max(self.ends_at, now)


def log_uniform(low: float, high: float) -> Callable[[random.Random], float]:
    """Draw durations whose logarithms are spread evenly."""
    return lambda chance: math.exp(chance.uniform(math.log(low), math.log(high)))


MINUTES = Durations("1 to 30 minutes", log_uniform(60, 1800))
SECONDS = Durations("0.5 to 5 s", log_uniform(0.5, 5))
NIGHT_JOB = Durations("all at once after 8 hours", lambda _: NIGHT, NIGHT)


@dataclass
class Erasure:
    """When an erasure began and ends, when it was polled, and when its end was known."""

    begun: float
    ends: float
    looks: list[float] = field(default_factory=list)
    known: float = math.inf

    @property
    def lag(self) -> float:
        """Seconds from its end until that was known."""
        return self.known - self.ends


class Kore:
    """Counts each call that it accepts at its arrival, and refuses those beyond a window."""

    def __init__(self, durations: Durations, chance: random.Random) -> None:
        self.durations = durations
        self.chance = chance
        self.erasures: list[Erasure] = []
        self.accepted: list[float] = []
        self.throttled = 0
        self._minute: deque[float] = deque()
        self._hour: deque[float] = deque()

    def answer(self, request: Request, now: float) -> Answer:
        """Answer a call that arrives now."""
        for window, seconds in ((self._minute, MINUTE), (self._hour, HOUR)):
            while window and window[0] <= now - seconds:
                window.popleft()
        for window, limit, name in ((self._hour, PER_HOUR, "hourly"), (self._minute, PER_MINUTE, "per-minute")):
            if len(window) >= limit:
                self.throttled += 1
                return _json({"errors": [{"msg": f"You've exceeded the {name} rate limit."}]}, 429)
        self._minute.append(now)
        self._hour.append(now)
        self.accepted.append(now)
        if request.method == "DELETE":
            self.erasures.append(Erasure(now, self.durations.end(now, self.chance)))
            return _json({"requestId": f"eud-{len(self.erasures) - 1}"})
        erasure = self.erasures[_number(request.path)]
        erasure.looks.append(now)
        done = now >= erasure.ends
        return _json({"response": [{"userId": "u-1", "status": "SUCCESS"}] if done else []})


def _json(document: object, status: int = 200) -> Answer:
    return Answer(status, None, json.dumps(document).encode())


def _number(path: str) -> int:
    return int(path.rpartition("-")[2])


class World:
    """Plays conversations against Kore on one simulated clock."""

    def __init__(self, durations: Durations, seed: int) -> None:
        self.now = 0.0
        self.chance = random.Random(seed)
        random.seed(seed)  # for the jitter of the package
        self.kore = Kore(durations, self.chance)
        self.pauses = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def clock(self) -> float:
        """Return the simulated seconds."""
        return self.now

    def run(self, actors: Iterable[Actor]) -> None:
        """Play all actors to their ends."""
        for actor in actors:
            self._at(0.0, lambda actor=actor: self._advance(actor, None))  # type: ignore[misc]
        while self._events and self.now < LONGEST_RUN:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, event))

    def _advance(self, actor: Actor, reply: Answer | None) -> None:
        try:
            step = actor.send(reply)
        except StopIteration:
            return
        if isinstance(step, Pause):
            self.pauses += 1
            late = self.chance.uniform(0, LATE_WAKE_UP)
            self._at(self.now + step.seconds + late, lambda: self._advance(actor, None))
        else:
            self._at(self.now + self.chance.uniform(*LATENCY), lambda: self._arrive(actor, step))

    def _arrive(self, actor: Actor, request: Request) -> None:
        answer = self.kore.answer(request, self.now)
        self._at(self.now + self.chance.uniform(*LATENCY), lambda: self._advance(actor, answer))


# --- who erases and waits ----------------------------------------------------------------------------------------

ERASE = ErasureRequest(("u-1",), ErasureScope(("st-1",), all_bots=False))


def our_task(world: World, pacing: Pacing, batches: int) -> Actor:
    """Submit some batches, then watch them to their end."""
    requests = []
    for _ in range(batches):
        request_id = yield from with_turns(submit_erasure(ERASE, pacing), pacing.budget)
        requests.append(AcceptedErasure(request_id, 1))

    def assess(status: ErasureStatus, user_count: int | None) -> ErasureOutcome:
        outcome = count_outcome(status, user_count)
        if not outcome.open:
            world.kore.erasures[_number(status.request_id)].known = world.now
        return outcome

    schedule = PollSchedule()
    watch = ErasureWatch(requests, pacing, fingerprint_key=b"k", started=world.now, assess=assess, clock=world.clock)
    wait = watch.wait(schedule, LONGEST_RUN, world.now + schedule.pause(0.0))
    yield from with_turns(wait, pacing.budget)


def _pacing(world: World) -> Pacing:
    return Pacing(LocalBudget(PER_MINUTE, PER_HOUR, world.clock), world.clock)


def ours_in_one_task(world: World, batches: int) -> list[Actor]:
    """Let one task submit all batches and watch them."""
    return [our_task(world, _pacing(world), batches)]


def ours_through_the_day(world: World, batches: int) -> list[Actor]:
    """Let tasks of one batch each begin evenly through a day."""
    pacing = _pacing(world)

    def task(number: int) -> Actor:
        yield Pause(number * DAY / batches)
        yield from our_task(world, pacing, 1)

    return [task(number) for number in range(batches)]


def ours_in_many_tasks(world: World, batches: int) -> list[Actor]:
    """Let as many tasks begin at once as there are batches, all in one process."""
    pacing = _pacing(world)
    return [our_task(world, pacing, 1) for _ in range(batches)]


def waiter(world: World, pauses: Callable[[], Iterator[float]]) -> Actor:
    """Submit one batch and poll it, without knowing of others; wait out a throttle by a minute, or five of the hour."""
    accepted = yield from _until_not_throttled(world, Request("DELETE", "/erase"))
    request_id = json.loads(accepted.content)["requestId"]
    for pause in pauses():
        yield Pause(pause)
        answer = yield from _until_not_throttled(world, Request("GET", f"/status/{request_id}"))
        if b"SUCCESS" in answer.content:
            world.kore.erasures[_number(request_id)].known = world.now
            return


def _until_not_throttled(
    world: World, request: Request
) -> Generator[Pause | Request, Answer | NoAnswer | None, Answer]:
    while True:
        answer = yield request
        assert isinstance(answer, Answer)
        if answer.status != 429:
            return answer
        yield Pause((300.0 if b"hour" in answer.content else 60.0) * world.chance.uniform(0.9, 1.1))


def every(seconds: float) -> Callable[[], Iterator[float]]:
    """Poll at a fixed interval."""

    def pauses() -> Iterator[float]:
        while True:
            yield seconds

    return pauses


def backing_off() -> Iterator[float]:
    """Double the pause each time, from a second to ten minutes."""
    pause = 1.0
    while True:
        yield pause
        pause = min(2 * pause, 600.0)


Start = Callable[[World, int], list[Actor]]


def waiters(pauses: Callable[[], Iterator[float]]) -> Start:
    """Let as many waiters begin at once as there are batches."""
    return lambda world, batches: [waiter(world, pauses) for _ in range(batches)]


OURS: dict[str, Start] = {"ours, one task": ours_in_one_task, "ours, a task each": ours_in_many_tasks}
OTHERS: dict[str, Start] = {
    "every 5 s": waiters(every(5.0)),
    "every 60 s": waiters(every(60.0)),
    "backing off": waiters(backing_off),
}


# --- the outcome -------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """The outcome of one simulation."""

    who: str
    durations: Durations
    batches: int
    world: World

    @property
    def calls(self) -> int:
        """Calls that Kore accepted."""
        return len(self.world.kore.accepted)

    @property
    def throttled(self) -> int:
        """Calls that it refused."""
        return self.world.kore.throttled

    @property
    def pauses_a_call(self) -> float:
        """Wake-ups for each call."""
        return self.world.pauses / self.calls

    @property
    def known(self) -> float:
        """Seconds until all ends were known."""
        erasures = self.world.kore.erasures
        return max(erasure.known for erasure in erasures) if len(erasures) == self.batches else math.inf

    @property
    def reference(self) -> float:
        """Two calls a batch at full budget, plus the longest erasure."""
        hours, calls = divmod(2 * self.batches - 1, PER_HOUR)
        return hours * HOUR + calls // PER_MINUTE * MINUTE + self.longest

    @property
    def longest(self) -> float:
        """Seconds that the longest erasure takes."""
        return max(erasure.ends - erasure.begun for erasure in self.world.kore.erasures)

    @property
    def lags(self) -> list[float]:
        """The lag of each erasure."""
        return [erasure.lag for erasure in self.world.kore.erasures]

    def busiest(self, seconds: float) -> int:
        """Count the most calls in any window."""
        window: deque[float] = deque()
        most = 0
        for moment in self.world.kore.accepted:
            window.append(moment)
            while window[0] <= moment - seconds:
                window.popleft()
            most = max(most, len(window))
        return most

    def least_share_of_looks(self) -> float:
        """Compare the request that was looked at least with the one looked at most, once all were submitted."""
        submitted = max(erasure.begun for erasure in self.world.kore.erasures)
        looks = [sum(look > submitted for look in erasure.looks) for erasure in self.world.kore.erasures]
        return min(looks) / max(looks)


def simulate(who: str, start: Start, durations: Durations, batches: int, seed: int) -> Result:
    """Play one scenario to its end."""
    world = World(durations, seed)
    world.run(start(world, batches))
    return Result(who, durations, batches, world)


def claims(result: Result) -> Iterator[tuple[bool, str]]:
    """Say what must hold of ours, and whether it does."""
    where = f"{result.who}, {result.batches} batches, {result.durations.name}"
    yield result.throttled == 0, f"{where}: {result.throttled} throttle answers"
    yield result.pauses_a_call <= 12, f"{where}: {result.pauses_a_call:.1f} pauses a call"
    if result.batches == 1:
        (erasure,) = result.world.kore.erasures
        bound = min(max((erasure.ends - erasure.begun) / 10, 2.0), 60.0)
        yield erasure.lag <= bound, f"{where}: lag of {erasure.lag:.2f} s, of at most {bound:.2f} s"
        minute, hour = result.busiest(MINUTE), result.busiest(HOUR)
        yield (
            minute <= PER_MINUTE / 2 and hour <= PER_HOUR / 2,
            f"{where}: {minute} calls in a minute, {hour} in an hour",
        )
    elif result.durations is MINUTES:
        ratio = result.known / result.reference
        yield ratio <= 1.0, f"{where}: known after {ratio:.3f} times the reference"
    elif result.durations is NIGHT_JOB:
        share = result.least_share_of_looks()
        yield share >= 0.5, f"{where}: one request has {share:.2f} times the looks of another of its age"


def row(result: Result) -> str:
    """Write a line of the table."""
    lags = result.lags
    return (
        f"| {result.durations.name} | {result.batches:,} | {result.who} | {result.calls:,} | {result.throttled:,} "
        f"| {_time(result.known)} | {result.known / result.reference:.2f} "
        f"| {_time(statistics.median(lags))} | {_time(max(lags))} |"
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / MINUTE:.1f} min" if seconds < 100 * MINUTE else f"{seconds / HOUR:.1f} h"


def print_people_a_day(batches: int, seed: int) -> list[str]:
    """Print how many people a day one account erases, if about as many batches begin evenly as it can bear."""
    print("\n| erasures take | people a day in batches of 1 | of 10 | of 100 | calls a batch | all known after |")
    print("|---|---|---|---|---|---|")
    failed = []
    for durations in (SECONDS, MINUTES, Durations("8 hours", lambda _: NIGHT)):
        result = simulate("ours, all day", ours_through_the_day, durations, batches, seed)
        # The last ones begin at the end of the day, and their erasures take their time whatever is done here.
        a_day = round(batches * DAY / max(result.known - result.longest, DAY), -2)
        people = " | ".join(f"{size * a_day:,.0f}" for size in (1, 10, 100))
        print(f"| {durations.name} | {people} | {result.calls / batches:.2f} | {_time(result.known)} |", flush=True)
        if result.throttled:
            failed.append(f"through a day, {durations.name}: {result.throttled} throttle answers")
    return failed


HEAD = """\
| erasures take | batches | who | calls | throttle answers | all known after | of the reference | lag, median | max |
|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Print the tables, and return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer batches and repetitions")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable()
    begun = time.monotonic()
    failed = []
    most_pauses = 0.0

    print(HEAD)
    for durations in (MINUTES, SECONDS, NIGHT_JOB):
        for batches in (1, 50, 500) if options.quick else (1, 50, 500, 2000):
            for who, start in (OURS | OTHERS).items():
                result = simulate(who, start, durations, batches, options.seed)
                print(row(result), flush=True)
                if who in OURS:
                    failed += [text for holds, text in claims(result) if not holds]
                    most_pauses = max(most_pauses, result.pauses_a_call)

    # Small ones are a matter of luck, so they are tried often.
    for durations in (MINUTES, SECONDS, NIGHT_JOB):
        for batches, times in ((1, 20 if durations is NIGHT_JOB else 200), (50, 0 if durations is NIGHT_JOB else 20)):
            for seed in range(times // 5 if options.quick else times):
                for who, start in OURS.items():
                    result = simulate(who, start, durations, batches, seed)
                    failed += [f"seed {seed}: {text}" for holds, text in claims(result) if not holds]

    if not options.quick:
        failed += print_people_a_day(20_000, options.seed)

    print(f"\nMost pauses a call of ours: {most_pauses:.1f}")
    print(f"Took {time.monotonic() - begun:.0f} s.")
    for text in failed or ["all that must, see benchmarks/README.md"]:
        print(f"{BROKEN if failed else HOLDS}: {text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
