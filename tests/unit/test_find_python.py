"""Which Python makes the environments, and what is said where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "find-python"
PRETEND = """#!/bin/sh
{{
    echo 'import sys; sys.version_info = {version}; sys.modules.update(dict.fromkeys({missing}))'
    cat
}} | '{real}' -I "$@"
"""


class Machine:
    """A machine with the Pythons that a test puts there, and no other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        (self.bin / "cat").symlink_to("/bin/cat")

    def add(self, name: str, version: tuple[int, int], *missing: str) -> str:
        """Add a Python that says it has this version and lacks these modules."""
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PRETEND.format(version=(*version, 0), missing=json.dumps(missing), real=sys.executable))
        path.chmod(0o755)
        return str(path)

    def add_broken(self, name: str) -> str:
        """Add what pyenv has of each version that is not switched on."""
        path = self.bin / name
        path.write_text("#!/bin/sh\nexit 127\n")
        path.chmod(0o755)
        return str(path)

    def find(self, python: str = "") -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self.bin), "HOME": str(self.root)}
        return subprocess.run(["/bin/sh", SCRIPT, python], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
@pytest.mark.parametrize("name", ["python{}.{}", "python3", "python"])
def test_the_only_python_that_can_be_used_is_found_under_any_of_its_usual_names(machine, name, version):
    path = machine.add(name.format(*version), version)

    assert machine.find().stdout == f"{path}\n"


@pytest.mark.parametrize(
    "name", ["../.pyenv/versions/3.12.1/bin/python", "../.local/share/uv/python/cpython-3.13.0/bin/python"]
)
def test_pythons_of_version_managers_are_found_although_they_are_not_on_the_path(machine, name):
    path = machine.add(name, (3, 12))

    assert os.path.realpath(machine.find().stdout.strip()) == os.path.realpath(path)


def test_what_cannot_be_used_is_passed_over(machine):
    machine.add_broken("python3.11")
    machine.add("python3.12", (3, 12), "ensurepip")
    path = machine.add("python3.13", (3, 13))

    assert machine.find().stdout == f"{path}\n"


@pytest.mark.parametrize(
    ("version", "missing", "why"),
    [
        ((2, 7), [], "is Python 2.7"),
        ((3, 10), [], "is Python 3.10"),
        ((3, 14), [], "is Python 3.14"),
        ((3, 11), ["ensurepip"], "is Python 3.11 without ensurepip"),
        ((3, 12), ["sqlite3", "ssl"], "is Python 3.12 without sqlite3, ssl"),
    ],
)
@pytest.mark.parametrize("asked_for", [True, False])
def test_a_python_that_cannot_be_used_is_refused_with_its_reason(machine, version, missing, why, asked_for):
    path = machine.add("python3", version, *missing)

    done = machine.find(path if asked_for else "")

    assert done.returncode != 0
    assert done.stdout == ""
    assert f"{path} {why}" in done.stderr
    assert "3.11, 3.12 or 3.13" in done.stderr


def test_where_there_is_none_it_is_said_what_is_needed(machine):
    done = machine.find()

    assert done.returncode != 0
    assert "No Python was found" in done.stderr
    assert "make PYTHON=" in done.stderr


@pytest.mark.parametrize(("python", "why"), [("nowhere", "is not there"), ("python3", "cannot be run")])
def test_another_is_never_taken_in_place_of_the_one_that_is_asked_for(machine, python, why):
    machine.add("python3.12", (3, 12))
    machine.add_broken("python3")

    done = machine.find(python)

    assert done.returncode != 0
    assert f"PYTHON={python} {why}" in done.stderr
