"""When an environment that is there is kept, and when it is made again."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
KEPT = ""


class Checkout:
    """A checkout with an environment, on a machine where no other Python is found."""

    def __init__(self, root: Path) -> None:
        self.root = root / "checkout"
        shutil.copytree(REQUIREMENTS, self.root / "requirements")
        self.environment = self.root / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.environment], check=True)
        (self.environment / "bin" / "uv").touch()
        self._tools = root / "tools"
        self._tools.mkdir()
        for tool in ("cat", "sh"):
            (self._tools / tool).symlink_to(f"/bin/{tool}")

    def make(self, python: str = "") -> str:
        """Run the script, and return what it says first."""
        done = subprocess.run(
            ["/bin/sh", "requirements/make-environment", ".venv", python],
            cwd=self.root,
            env={"PATH": str(self._tools), "HOME": str(self.root), "PIP_NO_INDEX": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        return done.stdout.partition("\n")[0]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_a_good_one_is_kept(checkout):
    assert checkout.make() == KEPT


def test_one_of_the_python_that_is_asked_for_is_kept(checkout):
    assert checkout.make(sys.executable) == KEPT


def test_one_in_a_folder_that_has_moved_is_made_again(checkout):
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))

    assert checkout.make() == ".venv is made again, since the folder has moved"


def test_one_whose_python_is_gone_is_made_again(checkout):
    for path in (checkout.environment / "bin").glob("python*"):
        path.unlink()

    assert checkout.make() == ".venv is made again, since its Python is gone"


def test_one_whose_python_has_become_another_version_is_made_again(checkout):
    settings = checkout.environment / "pyvenv.cfg"
    version = sys.version.split()[0]
    settings.write_text(settings.read_text().replace(f"version = {version}", "version = 3.10.1"))

    assert checkout.make() == f".venv is made again, since Python 3.10.1 has become {version}"


def test_one_of_another_python_than_is_asked_for_is_made_again(checkout, tmp_path):
    other = tmp_path / "python"
    program = "import sys; sys.base_prefix = '/another'; exec(sys.stdin.read() if sys.argv[1] == '-' else sys.argv[2])"
    other.write_text(f'#!/bin/sh\nexec \'{sys.executable}\' -c "{program}" "$@"\n')
    other.chmod(0o755)

    assert checkout.make(str(other)) == ".venv is made again, since PYTHON names another one"
