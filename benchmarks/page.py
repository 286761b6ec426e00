"""
Measure how the page "Erasures" comes up and scrolls with thousands of erasures, in Chromium.

The API is a made-up one on this machine. It answers each call after a delay, as Airflow's does.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from playwright.sync_api import Page

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from benchmarks.report import Report, arguments
from demo.browser import bring, chromium
from demo.fake_airflow import FakeAirflow, make_many

FEW = 50
"""A page of the list, and nothing more to fetch."""

MOST_OF_FEW = 4.0
"""How much longer the first row and a frame may take with a long list than with a short one."""

# Runs before the page does. A row is whole when its people are shown. While the list comes in, the first page changes,
# since whoever is not erased comes first.
WATCH = """
(() => {
  const times = (window.measured = {});
  const mark = (name) => (times[name] ??= performance.now());
  const asked = window.fetch;
  window.fetch = async (...of) => {
    const answer = await asked(...of);
    mark("first answer");
    return answer;
  };
  const look = () => {
    const rows = document.querySelectorAll("#rows tr[data-key]");
    if (rows.length) mark("first row");
    if ([...rows].some((row) => row.querySelector(".number"))) mark("first row whole");
    if (rows.length && [...rows].every((row) => row.querySelector(".number"))) mark("first page whole");
    const loaded = document.querySelector("#loaded")?.textContent ?? "";
    if (times["first page whole"] && !/^Loading|loading/.test(loaded)) mark("all that is fetched unasked");
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
})();
"""

SCROLL = """
async () => {
  const frames = [];
  let before = performance.now();
  for (let turn = 0; turn < 10; turn += 1) {
    for (let step = 0; step < 20; step += 1) {
      window.scrollBy(0, 150);
      await new Promise(requestAnimationFrame);
      frames.push(performance.now() - before);
      before = performance.now();
    }
    document.querySelector("#next").click();
  }
  frames.sort((one, other) => one - other);
  return { median: frames[frames.length >> 1], p95: frames[Math.floor(frames.length * 0.95)], worst: frames.at(-1) };
}
"""

FILTER = """
() => {
  const field = document.querySelector("#text");
  const times = ["e", "er", "erase_3", ""].map((text) => {
    const start = performance.now();
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    document.body.offsetHeight;
    return performance.now() - start;
  });
  return Math.max(...times);
}
"""


def wait_for_mark(page: Page, name: str, timeout: float) -> None:
    """Wait for a moment; Playwright's own way would evaluate text in the page, which the page's policy forbids."""
    deadline = time.monotonic() + timeout
    while not page.evaluate("name => window.measured[name]", name):
        if time.monotonic() > deadline:
            raise TimeoutError(f"There is no {name} after {timeout:.0f} s")
        time.sleep(0.05)


def measure(page: Page, url: str) -> dict[str, float]:
    """Load the page once, and return seconds."""
    page.add_init_script(WATCH)
    page.goto(url)
    wait_for_mark(page, "first page whole", 60)
    while_loading = page.evaluate(SCROLL)
    wait_for_mark(page, "all that is fetched unasked", 180)
    times: dict[str, Any] = page.evaluate("window.measured")
    begin = times.pop("first answer")
    seconds = {f"first answer to {name}": (time - begin) / 1000 for name, time in times.items()}
    seconds |= {f"frame while loading, {name}": time / 1000 for name, time in while_loading.items()}
    seconds |= {f"frame, {name}": time / 1000 for name, time in page.evaluate(SCROLL).items()}
    seconds["filter, slowest key"] = page.evaluate(FILTER) / 1000
    seconds["heap, MB"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    return seconds


def measure_list(length: int, delay: float, rounds: int) -> tuple[list[dict[str, float]], float]:
    """Load a list of some length in one browser after the other; return each one's figures, and the calls of a load."""
    measured = []
    with FakeAirflow(make_many(length), delay) as airflow:
        for _ in range(rounds):
            with chromium() as browser:
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                measured.append(measure(page, f"{airflow.url}/{PAGE_ROUTE}/"))
        return measured, sum(airflow.calls.values()) / rounds


def main() -> int:
    """Measure, print a table, and tell whether all holds that must."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer of the API")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report = Report(quick=options.quick)
    best: dict[int, dict[str, float]] = {}
    bring()
    for length in (FEW, options.rows):
        rounds, calls = measure_list(length, options.delay, options.rounds)
        best[length] = {name: min(each[name] for each in rounds) for name in rounds[0]}
        title = f"{length:,} erasures, {options.delay * 1000:.0f} ms an answer, {options.rounds} rounds"
        report.table(title, "", "best", "worst")
        for name, value in best[length].items():
            unit, factor, digits = ("", 1, 1) if "MB" in name else (" ms", 1000, 0)
            worst = max(each[name] for each in rounds)
            report.row(name, f"{value * factor:,.{digits}f}{unit}", f"{worst * factor:,.{digits}f}{unit}")
        report.row("calls of the API a load", f"{calls:,.0f}", "")
    few, many = best[FEW], best[options.rows]
    for what in ("first answer to first row whole", "frame, p95"):
        report.at_most(f"{what}, of that with {FEW} erasures", many[what] / few[what], MOST_OF_FEW)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
