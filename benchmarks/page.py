"""
Measure how the page "Kore erasures" comes up and scrolls with thousands of erasures, in Chromium.

The API is a made-up one on this machine. It answers each call after a delay, as Airflow's does.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import Any

from playwright.sync_api import Page, sync_playwright

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from demo.fake_airflow import FakeAirflow, make_many

SLOWEST_FIRST_ROWS = 2.0
"""In seconds, from the first answer of the API to the first rows with all that they show."""

SLOWEST_FRAME = 0.1
"""In seconds: the 95th percentile of the frames while scrolling and turning pages."""

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
    """Load the page once, and give seconds."""
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


def main() -> int:
    """Measure, print a table, and tell whether all holds that must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer of the API")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is missing, so the page is not measured.", file=sys.stderr)
        return 0
    rounds = []
    with FakeAirflow(make_many(arguments.rows), arguments.delay) as airflow, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(arguments.rounds):
            with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
                rounds.append(measure(context.new_page(), f"{airflow.url}/{PAGE_ROUTE}/"))
        calls = sum(airflow.calls.values()) / arguments.rounds
        browser.close()
    best = {name: min(each[name] for each in rounds) for name in rounds[0]}
    worst = {name: max(each[name] for each in rounds) for name in rounds[0]}
    print(f"{arguments.rows:,} erasures, {arguments.delay * 1000:.0f} ms an answer, {arguments.rounds} rounds:\n")
    print("| | best | worst |\n|---|---|---|")
    for name in best:
        unit, factor, digits = ("", 1, 1) if "MB" in name else (" ms", 1000, 0)
        print(f"| {name} | {best[name] * factor:,.{digits}f}{unit} | {worst[name] * factor:,.{digits}f}{unit} |")
    print(f"| calls of the API a load | {calls:,.0f} | |")
    holds = best["first answer to first row whole"] <= SLOWEST_FIRST_ROWS and best["frame, p95"] <= SLOWEST_FRAME
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
