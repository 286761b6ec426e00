"""How the browser of the tests comes onto a machine."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from demo import browser
from demo.browser import NoBrowserError, ways_to_install

APT = ["apt-get update --quiet", "apt-get install --yes --quiet --no-install-recommends chromium"]
PLAYWRIGHT = [f"{sys.executable} -m playwright install chromium"]
WITH_LIBRARIES = [f"{sys.executable} -m playwright install --with-deps chromium"]


@pytest.mark.parametrize(
    ("root", "apt", "ways"),
    [
        (True, True, [APT, WITH_LIBRARIES]),
        (True, False, [PLAYWRIGHT]),
        (False, True, [PLAYWRIGHT]),
        (False, False, [PLAYWRIGHT]),
    ],
)
def test_packages_of_the_system_are_installed_by_root_alone(root, apt, ways):
    assert [[" ".join(command) for command in way] for way in ways_to_install(root=root, apt=apt)] == ways


@pytest.fixture
def machine(monkeypatch):
    """Make a machine of root's on which a Chromium starts after some command, or never."""

    def make(starts_after=None, failing=()):
        commands = []

        @contextmanager
        def chromium():
            if starts_after not in ["", *commands]:
                raise NoBrowserError("No Chromium starts.")
            yield

        def run(command, **_):
            commands.append(" ".join(command))
            return subprocess.CompletedProcess(command, int(commands[-1] in failing))

        monkeypatch.setattr(browser, "chromium", chromium)
        monkeypatch.setattr(browser.subprocess, "run", run)
        monkeypatch.setattr(browser.os, "geteuid", lambda: 0)
        monkeypatch.setattr(browser.shutil, "which", lambda _: "/usr/bin/apt-get")
        return commands

    return make


def test_nothing_is_installed_where_a_chromium_starts(machine):
    commands = machine(starts_after="")

    browser.bring()

    assert commands == []


def test_playwright_follows_where_apt_has_no_chromium(machine):
    commands = machine(starts_after=WITH_LIBRARIES[0], failing=APT[1:])

    browser.bring()

    assert commands == [*APT, *WITH_LIBRARIES]


def test_that_none_starts_in_the_end_is_said_aloud(machine):
    commands = machine(failing=[*APT, *WITH_LIBRARIES])

    with pytest.raises(NoBrowserError):
        browser.bring()

    assert commands == [APT[0], *WITH_LIBRARIES]
