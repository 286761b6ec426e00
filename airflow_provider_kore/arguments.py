"""The checks of single arguments, with errors that say what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta

from airflow_provider_kore.exceptions import KoreInputError


def check_flag(name: str, value: object) -> bool:
    """Accept a real bool; a rendered ``"False"`` would be truthy."""
    if not isinstance(value, bool):
        raise KoreInputError(
            f"{name} must be True or False, and is of type {type(value).__name__}.",
            remedy="Pass a real bool; a template needs render_template_as_native_obj=True on the DAG to render one.",
        )
    return value


def check_whole_number(name: str, value: object) -> int:
    """Accept a whole number of at least 1, also as text, since a template renders to text."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise KoreInputError(f"{name} must be a whole number of at least 1.", remedy=f"Correct {name}.")
    return value


def check_max_users(value: object, most: int = sys.maxsize) -> int:
    """Accept a limit of users, which can only narrow the connection's; ``None`` leaves that."""
    return most if value is None else min(most, check_whole_number("max_users", value))


def check_seconds(name: str, value: object) -> float:
    """Accept a positive number of seconds, or a ``timedelta``, as seconds."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise KoreInputError(f"{name} must be a positive number of seconds, or a timedelta.", remedy=f"Correct {name}.")
    return float(seconds)


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Accept one of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise KoreInputError(f"{name} must be one of {', '.join(choices)}.", remedy=f"Correct {name}.")
    return value


def is_nothing(value: object) -> bool:
    """Tell whether a template or an XCom rendered to nothing, also as text."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def refuse_nothing(name: str, value: object) -> None:
    """
    Refuse an argument that is nothing.

    :raises KoreInputError: if the value is ``None``, also as text, or blank.
    """
    if is_nothing(value):
        raise KoreInputError(
            f"{name} is empty, or renders to nothing.",
            remedy=f"Leave {name} out, or correct it: check the params of the run, and what the task before returned.",
        )
