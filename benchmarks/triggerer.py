"""
Measure what waiting costs in the triggerer: KoreErasureTrigger beside the HttpSensorTrigger of the http provider.

Many triggers wait in one event loop of one process, against a sandbox in another. See benchmarks/README.md.
"""

import asyncio
import json
import math
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack

import httpx
import jwt

from airflow_provider_kore.api.account import KoreAccount, read_account
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.erase_request import ERASE_PATH
from airflow_provider_kore.api.status import status_path
from benchmarks.report import Report, arguments
from demo.local_sandbox import LocalSandbox

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

MINUTE, HOUR = 2.0, 60.0
"""How long Kore.ai's two windows last here, in seconds: so scaled, a benchmark takes a minute and not an hour."""

CALLS_IN_MINUTE, CALLS_IN_HOUR = 60, 1800
INTERVAL = 2.0
PEER_INTERVALS = {5.0: 0.15, 60.0: 0.8}
"""The defaults of HttpSensorTrigger and of HttpSensor, in seconds, and what CPU ours may take of theirs."""

NO_LIMIT = {"requests_per_minute": 1_000_000, "requests_per_hour": 100_000_000}
ENFORCED = {
    "requests_per_minute": CALLS_IN_MINUTE,
    "minute_seconds": MINUTE,
    "requests_per_hour": CALLS_IN_HOUR,
    "hour_seconds": HOUR,
    "retry_after": "seconds",
}


IMPORTED = {
    "ours": (
        "airflow_provider_kore.triggers.erasure",
        "airflow_provider_kore.hooks.kore",
        "airflow_provider_kore.api.async_client",
    ),
    "peer": ("airflow.providers.http.triggers.http", "airflow.providers.http.hooks.http"),
}
"""What a triggerer has imported before its first trigger waits."""


# --- in the process of the triggers ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What one process waits for, and how it is measured."""

    side: str
    request_ids: Sequence[str]
    environment: dict[str, str]
    interval: float
    age: float = 0.0  # of the erasures when the triggers start, in seconds
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None  # how long to measure, after two intervals; None: from the start, until all have ended
    memory: bool = False
    seed: int = 0


class How(TypedDict, total=False):
    """The fields of :class:`Wait` that each part of the benchmark chooses."""

    interval: Required[float]
    age: float
    seconds: float | None
    memory: bool
    seed: int


@dataclass(frozen=True)
class Findings:
    """What one process measured of itself."""

    began: float
    ended: float
    cpu: float  # seconds of this process, less what it takes while nothing waits
    lag_p50: float
    lag_p99: float
    connections: int
    bytes_each: float
    complete: int


def warm_up(side: str) -> None:
    """Import what takes seconds, so that erasures are equally young on each side when their triggers start."""
    for module in IMPORTED[side]:
        import_module(module)


def wait(job: Wait) -> Findings:
    """Wait in a process of its own, and measure it."""
    os.environ.update(job.environment)
    # At Airflow's usual level, as in a triggerer, each poll of the peer logs a warning, which is of no use here.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    return asyncio.run(_wait(job))


async def _wait(job: Wait) -> Findings:
    make = _maker(job)
    if job.side == "peer":
        return await _measure(job, make)
    from airflow_provider_kore.hooks.kore import KoreHook

    # The client is there once for all that wait; its TLS context, which aiohttp makes at import, is no cost of one.
    async with KoreHook().aget_conn():
        return await _measure(job, make)


def _maker(job: Wait) -> Callable[[str], "BaseTrigger"]:
    if job.side == "ours":
        from airflow_provider_kore.api import budget
        from airflow_provider_kore.triggers.erasure import KoreErasureTrigger

        budget.MINUTE, budget.HOUR = MINUTE, HOUR
        now = time.time()
        # The task polls before it defers, so the first poll comes a second later.
        return lambda request_id: KoreErasureTrigger(
            [[request_id, 1]], "kore_default", now - job.age, now + 3600, job.interval, first_poll=time.time() + 1.0
        )

    from airflow.providers.http.triggers.http import HttpSensorTrigger

    return lambda request_id: HttpSensorTrigger(
        endpoint=status_path(request_id).lstrip("/"),
        http_conn_id="kore_http",
        headers=job.headers,
        poke_interval=job.interval,
    )


async def _measure(job: Wait, make: Callable[[str], "BaseTrigger"]) -> Findings:
    connections: Counter[str] = Counter()
    sys.addaudithook(lambda event, _: connections.update([event]) if event == "socket.connect" else None)
    lags: list[float] = []
    # The probe costs more than a few triggers do, so it runs only where the lag is looked at.
    probe = asyncio.create_task(_probe(lags) if job.seconds is not None else asyncio.sleep(0))
    # The probe itself and the imports of the first second are no cost of waiting.
    await asyncio.sleep(0.5)
    cpu = time.process_time()
    await asyncio.sleep(1.0)
    idle = time.process_time() - cpu
    random = Random(job.seed)
    spread = 0.0 if job.seconds is None else job.interval
    request_ids = list(job.request_ids)
    tasks = []
    if job.memory:
        # What is there once, such as modules that the first poll imports, is no memory of a trigger.
        tasks = [asyncio.create_task(_event(make(request_ids.pop()), 0.0))]
        await asyncio.sleep(job.interval)
        tracemalloc.start()
    tasks += [asyncio.create_task(_event(make(request_id), random.uniform(0, spread))) for request_id in request_ids]
    if job.seconds is not None:
        await asyncio.sleep(2 * job.interval)
    lags.clear()
    began, cpu = time.time(), time.process_time()
    bytes_each = 0.0
    if job.memory:
        samples = []
        for _ in range(20):
            await asyncio.sleep(0.1)
            samples.append(tracemalloc.get_traced_memory()[0])
        bytes_each = statistics.median(samples) / len(request_ids)
    elif job.seconds is not None:
        await asyncio.sleep(job.seconds)
    else:
        await asyncio.wait(tasks)
    ended, cpu = time.time(), time.process_time() - cpu
    probe.cancel()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    lags.sort()
    return Findings(
        began,
        ended,
        cpu - idle * (ended - began),
        lags[len(lags) // 2] if lags else math.nan,
        lags[int(len(lags) * 0.99)] if lags else math.nan,
        connections["socket.connect"],
        bytes_each,
        sum(result is True for result in results),
    )


async def _probe(lags: list[float]) -> None:
    while True:
        due = time.perf_counter() + 0.01
        await asyncio.sleep(0.01)
        lags.append(time.perf_counter() - due)


async def _event(trigger: "BaseTrigger", delay: float) -> bool:
    await asyncio.sleep(delay)
    async for event in trigger.run():
        payload = event.payload
        return payload is True or (payload["failure"] is None and payload["outcomes"][0]["erased"] == 1)
    return False


# --- the sandbox, and what it has seen ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calls:
    """What the sandbox says of the status calls of a time."""

    entries: list[dict[str, Any]]

    @property
    def polls(self) -> int:
        """How many there were."""
        return len(self.entries)

    @property
    def throttled(self) -> int:
        """How many were answered with a throttle."""
        return sum(entry["throttled"] for entry in self.entries)

    def is_fair(self) -> bool:
        """Whether no open request was ever polled less than half as often as another, all being of one age."""
        last = {entry["path"]: entry["number"] for entry in self.entries}
        polled = dict.fromkeys(last, 0)
        for entry in self.entries:
            polled[entry["path"]] += 1
            most = polled[entry["path"]]
            if any(count < most // 2 and entry["number"] < last[path] for path, count in polled.items() if most > 1):
                return False
        return True


class Bench:
    """A sandbox with erasures to wait for."""

    def __init__(self, sandbox: LocalSandbox) -> None:
        self.sandbox = sandbox

    def submit(self, count: int) -> list[str]:
        """Submit erasures of one user each, while there are no limits."""
        with httpx.Client(base_url=self.sandbox.url, auth=KoreAuth(self.account()), trust_env=False) as client:
            bodies = [{"userIds": [f"u-{number}"], "botIds": ["st-1"]} for number in range(count)]
            return [client.request("DELETE", ERASE_PATH, json=body).json()["requestId"] for body in bodies]

    def account(self) -> KoreAccount:
        """Return the sandbox's account."""
        connection = self.sandbox.connection
        return read_account(**{name: connection[name] for name in ("host", "login", "password", "extra")})

    def ours(self, request_ids: Sequence[str], *, share: dict[str, int], **how: Unpack[How]) -> Wait:
        """Wait by our trigger, with a share of the account's limits."""
        connection = self.sandbox.connection
        connection = connection | {"extra": connection["extra"] | share}
        environment = {"AIRFLOW_CONN_KORE_DEFAULT": json.dumps(connection)}
        return Wait(side="ours", request_ids=request_ids, environment=environment, **how)

    def peers(self, request_ids: Sequence[str], **how: Unpack[How]) -> Wait:
        """Wait by the peer's trigger."""
        # One token without a jti, which the sandbox accepts again and again by its settings: the peer signs nothing.
        account, now = self.account(), int(time.time())
        claims = {"appId": account.client_id, "sub": "peer", "iat": now, "exp": now + 3600}
        environment = {"AIRFLOW_CONN_KORE_HTTP": json.dumps({"conn_type": "http", "host": self.sandbox.url})}
        headers = {"auth": jwt.encode(claims, account.client_secret, "HS256")}
        return Wait(side="peer", request_ids=request_ids, environment=environment, headers=headers, **how)

    def calls(self, *findings: Findings) -> Calls:
        """Fetch the status calls of the time that was measured."""
        began, ended = min(found.began for found in findings), max(found.ended for found in findings)
        log = self.sandbox.log()
        return Calls([entry for entry in log if entry["call"] == "status" and began <= entry["time"] <= ended])


@contextmanager
def bench(**settings: object) -> Iterator[Bench]:
    """Start a sandbox without limits, which forgets at once whatever it has counted; and end it."""
    with LocalSandbox("--no-enforce-jti", "--unknown-request-status", "404") as sandbox:
        no_limits = {"requests_per_minute": 0, "requests_per_hour": 0, "minute_seconds": 0.001, "hour_seconds": 0.001}
        sandbox.change_settings(**no_limits, **settings)
        yield Bench(sandbox)


@contextmanager
def processes(side: str, count: int = 1) -> Iterator[Sequence[Executor]]:
    """Start fresh processes, so that nothing of one is found in the memory of another."""
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        pools = [stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn)) for _ in range(count)]
        for done in [pool.submit(warm_up, side) for pool in pools]:
            done.result()
        yield pools


def in_a_process(job: Wait) -> Findings:
    """Wait in one fresh process."""
    with processes(job.side) as (process,):
        return process.submit(wait, job).result()


# --- what is measured -----------------------------------------------------------------------------------------------

NAMES = {"ours": "KoreErasureTrigger", "peer": "HttpSensorTrigger"}


def polling(report: Report, triggers: int, seconds: float, rounds: int) -> None:
    """Compare triggers that poll steadily: CPU, memory, connections, lag."""
    cpu: dict[str, float] = {}
    memory: dict[str, float] = {}
    shown: dict[str, tuple[Findings, Calls]] = {}

    def jobs(stand: Bench, **how: Unpack[How]) -> list[Wait]:
        ids = stand.submit(triggers)
        # Of that age, ours too looks at its longest interval.
        aged: How = {**how, "age": 1000.0}
        ours = stand.ours(ids, share=NO_LIMIT, **aged)
        # To the peer only a 404 means "not yet": it gets that for ids that the sandbox does not know.
        return [ours, stand.peers([f"{request_id}-unknown" for request_id in ids], **how)]

    for number in range(rounds):
        with bench(duration=10_000.0) as stand:
            for job in jobs(stand, interval=INTERVAL, seconds=seconds, seed=number):
                found = in_a_process(job)
                calls = stand.calls(found)
                each = found.cpu / calls.polls
                if job.side not in cpu or each < cpu[job.side]:
                    cpu[job.side], shown[job.side] = each, (found, calls)
    with bench(duration=10_000.0) as stand:
        for job in jobs(stand, interval=INTERVAL, seconds=seconds, memory=True):
            memory[job.side] = in_a_process(job).bytes_each

    report.table(
        f"{triggers} triggers, each polling every {INTERVAL:g} s, for {seconds:g} s; the best of {rounds} rounds",
        "", "CPU a poll", "memory a trigger", "connections opened", "loop lag p50", "p99", "polls", "throttled",
    )  # fmt: skip
    for side, (found, calls) in shown.items():
        report.row(
            NAMES[side],
            f"{cpu[side] * 1e3:.2f} ms",
            f"{memory[side] / 1024:.1f} KiB",
            str(found.connections),
            f"{found.lag_p50 * 1e3:.1f} ms",
            f"{found.lag_p99 * 1e3:.1f} ms",
            str(calls.polls),
            str(calls.throttled),
        )
    ours, _ = shown["ours"]
    peer, _ = shown["peer"]
    report.at_most("CPU a poll, of the peer's", cpu["ours"] / cpu["peer"], 0.8)
    report.at_most("memory a trigger, of the peer's", memory["ours"] / memory["peer"], 0.3)
    report.at_most("99th percentile of the loop's lag, of the peer's", ours.lag_p99 / peer.lag_p99, 1.0)
    report.at_most("connections opened, of the peer's", ours.connections / peer.connections, 0.05)


def waiting_to_the_end(report: Report, triggers: int, rounds: int, intervals: Sequence[float]) -> None:
    """Compare what each erasure costs until it is known to be done."""
    shown: dict[float, tuple[Findings, Calls]] = {}
    sides = (0.0, *intervals)
    with ThreadPoolExecutor(len(sides)) as pool:
        for _ in range(rounds):
            # At the same time, so that whatever else disturbs this machine disturbs each side alike.
            results = list(pool.map(partial(_wait_to_the_end, triggers), sides))
            for interval, (found, calls) in zip(sides, results, strict=True):
                if interval not in shown or found.cpu < shown[interval][0].cpu:
                    shown[interval] = found, calls
    report.table(
        f"{triggers} erasures of 1 to 30 s (an hour is {HOUR:g} s here) waited for to the end; the best of {rounds}",
        "", "CPU each", "polls each", "throttled", "known",
    )  # fmt: skip
    ours, _ = shown[0.0]
    for interval, (found, calls) in shown.items():
        name = f"{NAMES['peer']} every {interval:g} s, without limits" if interval else NAMES["ours"]
        report.row(
            name,
            f"{found.cpu / triggers * 1e3:.2f} ms",
            f"{calls.polls / triggers:.1f}",
            str(calls.throttled),
            f"{found.complete} of {triggers}",
        )
        report.require(f"{name}: all are known", found.complete == triggers)
        if interval:
            what = f"CPU an erasure, of the peer's that polls every {interval:g} s"
            report.at_most(what, ours.cpu / found.cpu, PEER_INTERVALS[interval])


def _wait_to_the_end(triggers: int, interval: float) -> tuple[Findings, Calls]:
    """Wait by the peer's trigger, that polls at an interval, or by ours if that is 0."""
    # The peer needs no turn: its polls are not limited, else it would fail at the first throttle answer.
    running = "unknown" if interval else "entries"
    with bench(duration="log-uniform:1:30", while_running=running) as stand:
        with processes("peer" if interval else "ours") as (process,):
            ids = stand.submit(triggers)
            if interval:
                job = stand.peers(ids, interval=interval * HOUR / 3600)
            else:
                stand.sandbox.change_settings(**ENFORCED)
                job = stand.ours(ids, share={}, interval=30 * HOUR / 3600)
            found = process.submit(wait, job).result()
        return found, stand.calls(found)


@dataclass(frozen=True)
class Limited:
    """How triggers fared at a sandbox that enforces its limits."""

    name: str
    triggers: int
    findings: list[Findings]
    calls: Calls
    none_throttled: bool  # must hold
    fair: bool | None = None


def limited(name: str, triggers: int, count: int = 1, *, stranger: bool = False, fair: bool = False) -> Limited:
    """Let real triggers wait at a sandbox that enforces its limits."""
    with bench(duration="log-uniform:1:30") as stand, processes("ours", count) as pools:
        ids = stand.submit(triggers)
        stand.sandbox.change_settings(**ENFORCED)
        share = {
            "requests_per_minute": CALLS_IN_MINUTE // count,
            "requests_per_hour": CALLS_IN_HOUR // count,
        }
        jobs = [stand.ours(ids[number::count], share=share, interval=60.0) for number in range(count)]
        ended = threading.Event()
        greedy = threading.Thread(target=_be_a_stranger, args=(stand, ended))
        if stranger:
            greedy.start()
        try:
            futures = [pool.submit(wait, job) for pool, job in zip(pools, jobs, strict=True)]
            findings = [future.result() for future in futures]
        finally:
            ended.set()
        if stranger:
            greedy.join()
        calls = stand.calls(*findings)
        if stranger:
            calls = Calls([entry for entry in calls.entries if not entry["path"].endswith("-stranger")])
    return Limited(name, triggers, findings, calls, not stranger, calls.is_fair() if fair else None)


def _be_a_stranger(stand: Bench, ended: threading.Event) -> None:
    """Use half the budget, evenly, until the others have ended."""
    with httpx.Client(base_url=stand.sandbox.url, auth=KoreAuth(stand.account()), trust_env=False) as client:
        while not ended.wait(2 * HOUR / CALLS_IN_HOUR):
            client.get(status_path("eud-stranger"))


def limits(report: Report, triggers: int) -> None:
    """Let real triggers share one account's limits."""
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(limited, "one process", triggers, fair=True),
            pool.submit(limited, "two processes, half the share each", triggers // 4, 2),
            pool.submit(limited, "one process, and a stranger with half the budget", triggers // 4, stranger=True),
        ]
        results = [run.result() for run in runs]
    report.table(
        f"The sandbox enforces {CALLS_IN_MINUTE} calls in {MINUTE:g} s and {CALLS_IN_HOUR} in {HOUR:g} s",
        "", "triggers", "known", "after", "polls", "throttled", "none polled less than half as often as another",
    )  # fmt: skip
    for run in results:
        complete = sum(found.complete for found in run.findings)
        seconds = max(found.ended for found in run.findings) - min(found.began for found in run.findings)
        fair = {None: "", True: "yes", False: "no"}[run.fair]
        throttled = str(run.calls.throttled)
        report.row(
            run.name, str(run.triggers), str(complete), f"{seconds:.0f} s", str(run.calls.polls), throttled, fair
        )
        report.require(f"{run.name}: all are known", complete == run.triggers)
        if run.none_throttled:
            report.require(f"{run.name}: no throttle answer", run.calls.throttled == 0)
        if run.fair is not None:
            report.require(f"{run.name}: none is polled less than half as often as another", run.fair)


PARTS = ("polling", "waiting", "limits")


def main() -> int:
    """Measure, print the tables, and return 1 if something does not hold."""
    parser = arguments(__doc__)
    parser.add_argument("--triggers", type=int, help="how many beside the peer (default 200, or 100 in a quick run)")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each round of polling takes (default 8)")
    parser.add_argument("--rounds", type=int, help="rounds, of which the best counts (default 3, or 1 in a quick run)")
    parser.add_argument("--limited", type=int, default=1000, help="how many share the enforced limits (default 1000)")
    parser.add_argument("--only", choices=PARTS, nargs="+", help="parts to run (default all; no limits in a quick run)")
    options = parser.parse_args()
    triggers = options.triggers or (100 if options.quick else 200)
    rounds = options.rounds or (1 if options.quick else 3)
    parts = options.only or (PARTS[:2] if options.quick else PARTS)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that sandboxes and children end with it
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    report = Report(quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        os.environ["AIRFLOW_HOME"] = home
        if "polling" in parts:
            polling(report, triggers, options.seconds, rounds)
        if "waiting" in parts:
            waiting_to_the_end(report, triggers, rounds, [60.0] if options.quick else list(PEER_INTERVALS))
        if "limits" in parts:
            limits(report, options.limited)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
