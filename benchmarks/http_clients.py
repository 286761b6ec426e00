"""
Measure what a status poll costs in CPU with the HTTP client of the event loop, beside httpx and aiohttp as it comes.

Each client polls a sandbox from a fresh process, in turn; the best round of each counts. As in a triggerer polls are
paced, since a tight loop would find all caches warm. A poll signs a fresh token, makes a GET over a kept connection,
and decodes and reads the answer. All do so by the same functions of the package, so that only the client differs.
Ours also takes a turn from the account's budget, in the conversation that the trigger runs. There is no TLS.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import httpx

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.async_client import AsyncKoreClient
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.calls import fetch_status
from airflow_provider_kore.api.decoding import decode_json
from airflow_provider_kore.api.status import ErasureStatus, read_status, status_path
from benchmarks.report import Report, arguments
from benchmarks.triggerer import NO_LIMIT, bench

TASKS, INTERVAL = 50, 0.5
HEADERS = {"Accept": "application/json"}

Poll = Callable[[], Awaitable[ErasureStatus]]


@asynccontextmanager
async def ours(account: KoreAccount, request_id: str) -> AsyncIterator[Poll]:
    """Poll as the trigger does."""
    client = await AsyncKoreClient.create(account)
    try:
        yield lambda: client.run(fetch_status(request_id, client.pacing))
    finally:
        await client.close()


@asynccontextmanager
async def with_httpx(account: KoreAccount, request_id: str) -> AsyncIterator[Poll]:
    """Poll with httpx, which looks up proxies once."""
    auth, url = KoreAuth(account), account.base_url + status_path(request_id)
    async with httpx.AsyncClient(headers=HEADERS, timeout=account.timeout) as client:

        async def poll() -> ErasureStatus:
            response = await client.get(url, headers={"auth": auth.sign()})
            return read_status(decode_json(response.content), request_id)

        yield poll


@asynccontextmanager
async def with_aiohttp(account: KoreAccount, request_id: str) -> AsyncIterator[Poll]:
    """Poll with aiohttp as it comes, which looks up proxies for each call, in a thread."""
    auth, url = KoreAuth(account), account.base_url + status_path(request_id)
    async with aiohttp.ClientSession(headers=HEADERS, trust_env=True) as session:

        async def poll() -> ErasureStatus:
            async with session.get(url, headers={"auth": auth.sign()}, allow_redirects=False) as response:
                return read_status(decode_json(await response.read()), request_id)

        yield poll


OURS, HTTPX = "AsyncKoreClient", "httpx.AsyncClient"
CLIENTS: dict[str, Callable[[KoreAccount, str], AbstractAsyncContextManager[Poll]]] = {
    OURS: ours,
    HTTPX: with_httpx,
    "aiohttp, trust_env=True": with_aiohttp,
}


@dataclass(frozen=True, order=True)
class Cost:
    """What polling costs in one process."""

    cpu: float  # seconds for each poll
    polls: int
    connections: int  # opened, from the start


async def measure(name: str, account: KoreAccount, request_id: str, seconds: float) -> Cost:
    """Poll with one client in this process, and return the cost."""
    connections: list[str] = []
    sys.addaudithook(lambda event, _: connections.append(event) if event == "socket.connect" else None)
    times = round(seconds / INTERVAL)
    async with CLIENTS[name](account, request_id) as poll:
        await poll()  # imports what is imported late, and opens the connection
        idle = await _cpu(asyncio.sleep(INTERVAL)) / INTERVAL
        await _poll_all(poll, times=1)
        cpu = await _cpu(_poll_all(poll, times)) - idle * times * INTERVAL
    return Cost(cpu / (TASKS * times), TASKS * times, len(connections))


async def _cpu(work: Awaitable[object]) -> float:
    began = time.process_time()
    await work
    return time.process_time() - began


async def _poll_all(poll: Poll, times: int) -> None:
    async def keep_polling(due: float) -> None:
        for number in range(times):
            await asyncio.sleep(due + number * INTERVAL - time.perf_counter())
            await poll()

    now = time.perf_counter()
    await asyncio.gather(*(keep_polling(now + INTERVAL * task / TASKS) for task in range(TASKS)))


def in_a_process(name: str, account: KoreAccount, request_id: str, seconds: float) -> Cost:
    """Measure one client; to be called in a fresh process."""
    return asyncio.run(measure(name, account, request_id, seconds))


def main() -> int:
    """Measure, print the table, and return 1 if ours costs more than httpx."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each client polls in a round (default 4)")
    parser.add_argument("--rounds", type=int, help="rounds, of which the best counts (default 3, or 1 in a quick run)")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that sandbox and children end with it
    for variable in [variable for variable in os.environ if variable.lower().endswith("_proxy")]:
        del os.environ[variable]
    best: dict[str, Cost] = {}
    with bench(duration=10_000.0) as stand:
        account, (request_id,) = stand.account(), stand.submit(1)
        # So large that no poll of ours waits for its turn.
        per_minute, per_hour = NO_LIMIT["requests_per_minute"], NO_LIMIT["requests_per_hour"]
        account = replace(account, requests_per_minute=per_minute, requests_per_hour=per_hour)
        for _ in range(rounds):
            for name in CLIENTS:
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                    cost = pool.submit(in_a_process, name, account, request_id, options.seconds).result()
                best[name] = min(cost, best.get(name, cost))

    report = Report(quick=options.quick)
    report.table(
        f"{TASKS} tasks, each polling every {INTERVAL:g} s; the best of {rounds} rounds",
        "client", "CPU a poll", "polls", "connections opened", "ours takes, of that",
    )  # fmt: skip
    for name, cost in best.items():
        ratio = "" if name == OURS else f"**{best[OURS].cpu / cost.cpu:.2f}**"
        report.row(name, f"{cost.cpu * 1e3:.2f} ms", str(cost.polls), str(cost.connections), ratio)
    report.at_most("CPU a poll, of that with httpx", best[OURS].cpu / best[HTTPX].cpu, 1.0)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
