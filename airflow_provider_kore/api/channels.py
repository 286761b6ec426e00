"""The channels through which users write, by name."""

from __future__ import annotations

from airflow_provider_kore.api.users import text_fault
from airflow_provider_kore.exceptions import KoreInputError

DEFAULT_CHANNEL_TYPE = "rtm"
"""Documented by Kore.ai: the channel whose messages are meant where none is named."""


def channel_fault(value: object) -> str | None:
    """Say what is wrong with the name of a channel, which is any text: Kore.ai's channels are an open set."""
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}, not a text"
    if fault := text_fault(value):
        return fault
    return None if value.isprintable() else "contains characters that are not printable"


def check_channel_types(value: object, name: str = "channel_types") -> tuple[str, ...]:
    """
    Accept a list of channels, of any name.

    :param value: the list; not empty.
    :param name: how the task calls it.
    :raises KoreInputError: if it is no list, or one of its names is not a text, blank or not printable.
    """
    if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
        raise KoreInputError(
            f"{name} must be a list of channels, and not empty.",
            remedy="Pass a list, also for one channel; a template needs render_template_as_native_obj=True on the DAG.",
        )
    for position, channel_type in enumerate(value, start=1):
        if fault := channel_fault(channel_type):
            raise KoreInputError(
                f"The channel at position {position} of {name} {fault}.",
                remedy="Name channels as Kore.ai's sessions do, such as rtm, whatsapp or korevg.",
            )
    return tuple(dict.fromkeys(value))
