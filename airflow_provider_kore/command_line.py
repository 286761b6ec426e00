"""How the commands of this provider end on an error."""

from __future__ import annotations

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
        return run()
    except KoreError as error:
        print(f"{error.problem} {error.remedy}", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    return on_error
