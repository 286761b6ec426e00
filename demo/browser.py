"""A Chromium, installed where that is allowed, and signed in to a local Airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright

from demo.airflow_client import AirflowClient

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowserError(Exception):
    """There is no Chromium that starts."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """
    Start the Chromium of this machine, or else the one that Playwright has downloaded.

    :raises NoBrowserError: if neither starts.
    """
    with sync_playwright() as playwright:
        browser = _start(playwright)
        try:
            yield browser
        finally:
            browser.close()


def _start(playwright: Playwright) -> Browser:
    failures = []
    for path in (*filter(None, map(shutil.which, NAMES)), None):
        try:
            return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        except Error as error:
            failures.append(f"{path or 'the one of Playwright'}: {error.message.strip().splitlines()[0]}")
    raise NoBrowserError(
        "No Chromium starts. On Debian: apt-get install chromium. Elsewhere: python -m playwright install chromium, "
        "and as root python -m playwright install-deps chromium. " + "; ".join(failures)
    )


def ways_to_install(*, root: bool, apt: bool) -> list[Sequence[Sequence[str]]]:
    """
    List the ways to bring a Chromium, each a row of commands, the best first.

    Only root may install packages of the system; nothing asks for a password.
    """
    playwright = (sys.executable, "-m", "playwright", "install")
    if not (root and apt):
        return [[(*playwright, "chromium")]]
    debian = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium")
    return [[("apt-get", "update", "--quiet"), debian], [(*playwright, "--with-deps", "chromium")]]


def bring() -> None:
    """
    Install a Chromium if none starts.

    :raises NoBrowserError: if none starts afterwards.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for way in ways_to_install(root=os.geteuid() == 0, apt=shutil.which("apt-get") is not None):
        if _starts():
            return
        for command in way:
            print(f"No Chromium starts, so {' '.join(command)}", flush=True)
            if subprocess.run(command, env=environment, check=False).returncode != 0:
                break
    with chromium():
        pass


def _starts() -> bool:
    try:
        with chromium():
            return True
    except NoBrowserError:
        return False


def sign_in(
    browser: Browser,
    airflow: AirflowClient,
    *,
    width: int = 1400,
    height: int = 900,
    color_scheme: Literal["light", "dark"] = "light",
) -> Page:
    """Open a window of its own, and sign in there as a person does."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=color_scheme)
    page = context.new_page()
    page.goto(f"{airflow.url}/")
    page.fill("input[name=username]", airflow.username)
    page.fill("input[name=password]", airflow.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/auth/" not in url)
    return page


if __name__ == "__main__":
    try:
        bring()
    except NoBrowserError as error:
        sys.exit(f"{error}\nEach test in a browser fails therefore. NO_BROWSER=1 leaves them out.")
