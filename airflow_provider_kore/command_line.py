"""How the commands of this provider end on an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from airflow_provider_kore.exceptions import KoreError


def run_command(run: Callable[[], int], on_error: int = 2) -> int:
    """
    Run a command, and return its exit status; an error is shown without a traceback.

    :param run: returns the status.
    :param on_error: the status where an error of this provider or of a file ends it.
    """
    try:
        status = run()
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # by who reads the output, and says why
        # Python writes at its end what is left, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KoreError as error:
        print(f"{error.problem} {error.remedy}", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or type(error).__name__}: {error.strerror}", file=sys.stderr)
    return on_error
