"""The commands, in ``airflow kore`` and in ``python -m airflow_provider_kore``."""

import json
import subprocess
import sys

import airflow
import pytest
from packaging.version import Version

from airflow_provider_kore.__main__ import main
from airflow_provider_kore.cli.airflow_group import get_commands
from airflow_provider_kore.cli.commands import COMMANDS

HEAVY = {"aiohttp", "jwt", "starlette", "uvicorn", "redis", "tabulate"}
in_airflow = pytest.mark.skipif(Version(airflow.__version__) < Version("3.2"), reason="Airflow 3.1 has no such group")


def run(*command, code="", **options):
    start = ["-c", code] if code else ["-m"]
    return subprocess.run([sys.executable, *start, *command], capture_output=True, text=True, timeout=120, **options)


def as_airflow_does(*arguments):
    """Parse and run as ``airflow`` does, without its logging to files and its start."""
    import argparse

    from airflow.cli.cli_parser import _add_command

    parser = argparse.ArgumentParser(prog="airflow")
    names = parser.add_subparsers(dest="subcommand")
    for command in get_commands():
        _add_command(names, command)
    options = parser.parse_args(["kore", *arguments])
    options.func(options)


@pytest.mark.parametrize("entry", [main, lambda arguments: as_airflow_does(*arguments)], ids=["python -m", "airflow"])
@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_a_command_has_the_same_flags_in_each_place(entry, name, capsys):
    with pytest.raises(SystemExit) as end:
        entry([name, "--help"])
    assert end.value.code == 0
    page = capsys.readouterr().out
    assert f"kore {name} [" in page
    own = {
        "check": "--erase-test-user",
        "seal": "seal",
        "receipts": "make-key",
        "sandbox": "--erased-word",
        "digest": "KORE_DIGEST_KEY",
        "who": "--batch-size",
    }
    assert own.get(name, "--") in page


@pytest.mark.parametrize("entry", [main, lambda arguments: as_airflow_does(*arguments)], ids=["python -m", "airflow"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["receipts", "verify", "no-such-file", "--key", "no-such-key"], 2),
        (["receipts", "verify", "--", "no-such-file"], 2),
        (["sandbox", "--no-such-flag"], 2),
        (["who", "no-such-file.txt", "--batch", "1", "--position", "1"], 1),
        (["receipts", "public-key", ""], 2),
    ],
)
def test_the_status_is_that_of_the_command(entry, arguments, status, capsys):
    with pytest.raises(SystemExit) as end:
        entry(arguments)
    assert end.value.code == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_command_is_required(capsys):
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    with pytest.raises(SystemExit):
        main(["--help"])
    page = capsys.readouterr().out
    assert all(command.name in page and command.help in page for command in COMMANDS)


def test_receipts_and_digests_run_without_airflow(tmp_path):
    without = """
import sys
sys.modules["airflow"] = None
from airflow_provider_kore.__main__ import main
main(sys.argv[1:])
"""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    made = run("receipts", "make-key", "--out", str(private), code=without)
    assert made.returncode == 0, made.stderr
    public.write_text(made.stdout)
    assert run("receipts", "public-key", str(private), code=without).stdout == made.stdout
    (tmp_path / "receipt.json").write_text("{}")
    verified = run("receipts", "verify", str(tmp_path / "receipt.json"), "--key", str(public), code=without)
    assert verified.returncode == 1
    assert verified.stdout.startswith("NOT VALID")
    digests = run("digest", code=without, input="u-1\n", env={"KORE_DIGEST_KEY": "key", "PATH": ""} | _python_path())
    assert digests.stdout.startswith("kd:"), digests.stderr


def _python_path():
    return {"PYTHONPATH": ":".join(sys.path)}


@in_airflow
def test_each_airflow_command_can_load_the_group_and_imports_nothing_else_of_the_package():
    program = """
import json, sys
from airflow.cli import cli_parser
try:
    cli_parser.get_parser().parse_args(["kore", "--help"])
except SystemExit:
    print(json.dumps(sorted(sys.modules)))
"""
    done = run(code=program)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in loaded if name.startswith("airflow_provider_kore")] == [
        "airflow_provider_kore",
        "airflow_provider_kore.cli",
        "airflow_provider_kore.cli.airflow_group",
        "airflow_provider_kore.cli.commands",
        "airflow_provider_kore.get_provider_info",
    ]
    assert not HEAVY & set(loaded)
    assert all(command.name in done.stdout for command in COMMANDS)


@in_airflow
def test_airflow_works_without_the_group_if_it_fails():
    program = """
import sys
from airflow_provider_kore import get_provider_info
sys.modules["airflow_provider_kore.cli.commands"] = None
from airflow.cli import cli_parser
assert "kore" not in cli_parser.ALL_COMMANDS_DICT
cli_parser.get_parser().parse_args(["dags", "list"])
"""
    done = run(code=program)
    assert done.returncode == 0, done.stderr
