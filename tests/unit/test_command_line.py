"""How commands end: each error is a sentence, and none a traceback."""

import os
import subprocess
import sys

import pytest

from airflow_provider_kore.command_line import run_command
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            KoreConfigurationError("It is wrong.", consequence=Consequence.NOT_SENT, remedy="Mend it."),
            "It is wrong. Mend it.",
        ),
        (FileNotFoundError(2, "No such file", "users.csv"), "users.csv: No such file"),
        (ConnectionResetError(104, "Reset by peer"), "ConnectionResetError: Reset by peer"),
    ],
)
def test_an_error_is_a_sentence_and_the_status_of_the_command(error, shown, capsys):
    assert run_command(raising(error), on_error=3) == 3
    assert capsys.readouterr().err == f"{shown}\n"


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "in the middle"])
def test_a_reader_of_the_output_who_leaves_causes_no_traceback(lines):
    run = f"run_command(lambda: print('x\\n' * {lines}) or 0)"
    command = f"from airflow_provider_kore.command_line import run_command\nraise SystemExit({run})"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        ended = subprocess.run(
            [sys.executable, "-c", command], stdout=output, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (ended.returncode, ended.stderr) == (2, "")
