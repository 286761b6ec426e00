"""
The options of tasks that are dicts, and the checks of arguments.

Each check runs twice: on what is literal when Airflow parses the DAG, and on what is rendered when the task runs. Most
DAGs have few of these options, so that the readers of times and channels are imported when there is one to read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal, NotRequired, TypedDict, cast

from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.api.users import text_fault
from airflow_provider_kore.arguments import check_choice, check_flag, is_nothing, refuse_nothing
from airflow_provider_kore.exceptions import KoreInputError

# The prefix keeps a template that renders native objects from taking digits for a number.
_FINGERPRINT = re.compile(r"kp:[0-9a-f]{32}")
_SAMPLE = re.compile(r"all|sample:[1-9][0-9]{0,8}")
_TEMPLATE = re.compile(r"\{[{%#]")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S.*")
_PLACEHOLDER = "-"

_Checks = Mapping[str, Callable[[Any], object]]


class Deadline(TypedDict):
    """
    Keep to the statutory deadline of a request: the days left are logged and returned, and the wait ends with its day.

    :param received_at: when the request to erase came in: a datetime, a date, or the ISO 8601 text of one; without a
        time zone it is UTC.
    :param regime: the law: ``"gdpr"`` for a calendar month, ``"ccpa"`` for 45 days.
    """

    received_at: object
    regime: str


class Verify(TypedDict):
    """
    Search for the erased users after the erasure; a user who is found fails the task.

    :param people: ``"all"``, or ``"sample:N"`` for N users chosen by chance. Each takes several calls.
    :param since: from when on to search: a datetime, a date, either as ISO 8601 text, or a ``timedelta`` before the
        latest batch was submitted, as long as Kore.ai keeps your conversations.
    :param channel_types: the channels of the messages to search for; default: ``("rtm",)``.
    :param on_not_checkable: ``"fail"`` (default) or ``"warn"`` if Kore.ai cannot be asked about a user.
    """

    people: str
    since: object
    channel_types: NotRequired[Sequence[str]]
    on_not_checkable: NotRequired[Literal["fail", "warn"]]


class Receipt(TypedDict):
    """
    Write signed receipts before the task ends; the connection needs ``receipt_key`` and ``digest_key``.

    :param folder: URI of a folder, such as ``s3://connection@bucket/receipts``.
    :param approved_by: who approved the erasure: a name, or the output of an ``ApprovalOperator``. A rejection is
        refused.
    """

    folder: str
    approved_by: NotRequired[object]


# --- the dicts -------------------------------------------------------------------------------------------------------


def check_deadline(value: object, *, rendered: bool = True) -> Deadline | None:
    """
    Accept a :class:`Deadline`.

    :param rendered: whether templates are rendered; if not, values that Airflow renders later are left out.
    :return: the checked values: an aware ``datetime`` and a ``Regime``; ``None`` if there is no deadline.
    :raises KoreInputError: if a key is unknown or missing, or a value is refused.
    """
    if _is_absent(value, rendered):
        return None
    from airflow_provider_kore.deadlines import read_received_at, read_regime

    checks: _Checks = {"received_at": read_received_at, "regime": read_regime}
    return cast("Deadline", _check_keys("deadline", value, checks, ("received_at", "regime"), {}, rendered))


def check_verify(value: object, *, rendered: bool = True) -> Verify | None:
    """Accept a :class:`Verify`, and fill in its defaults; see :func:`check_deadline`."""
    if _is_absent(value, rendered):
        return None
    from airflow_provider_kore.api.channels import check_channel_types

    checks: _Checks = {
        "people": check_sample,
        "since": _check_since,
        "channel_types": check_channel_types,
        "on_not_checkable": check_on_not_checkable,
    }
    defaults = {"channel_types": ("rtm",), "on_not_checkable": "fail"}
    return cast("Verify", _check_keys("verify", value, checks, ("people", "since"), defaults, rendered))


def check_receipt(value: object, *, rendered: bool = True) -> Receipt | None:
    """Accept a :class:`Receipt`; ``approved_by`` becomes a name. See :func:`check_deadline`."""
    if _is_absent(value, rendered):
        return None
    checks: _Checks = {"folder": partial(check_folder, "folder"), "approved_by": _check_approver}
    return cast("Receipt", _check_keys("receipt", value, checks, ("folder",), {}, rendered))


def check_approved_plan(value: object, *, rendered: bool = True) -> str | None:
    """
    Accept the output of a dry run, or its ``plan_fingerprint``.

    :param rendered: as in :func:`check_deadline`.
    :return: the fingerprint; ``None`` if no plan is approved.
    :raises KoreInputError: if the value has no fingerprint of a plan.
    """
    if value is None or (not rendered and is_rendered_later(value)):
        return None
    refuse_nothing("approved_plan", value)
    fingerprint = value.get("plan_fingerprint") if isinstance(value, Mapping) else value
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        raise KoreInputError(
            f"approved_plan is of type {type(value).__name__} and has no fingerprint of a plan.",
            remedy="Pass the output of the dry run as it is, or its plan_fingerprint. A template that renders the "
            "output needs render_template_as_native_obj=True on the DAG. Leave the argument out where no approval is "
            "needed.",
        )
    return fingerprint


def _is_absent(value: object, rendered: bool) -> bool:
    return value is None or (not rendered and not isinstance(value, Mapping) and is_rendered_later(value))


def _check_keys(
    name: str,
    value: object,
    checks: _Checks,
    required: Sequence[str],
    defaults: Mapping[str, object],
    rendered: bool,
) -> dict[str, object]:
    keys = ", ".join(checks)
    if not isinstance(value, Mapping):
        raise KoreInputError(
            f"{name} must be a dict with the keys {keys}, and is of type {type(value).__name__}.",
            remedy=f"Pass a dict. A template that renders all of {name} needs render_template_as_native_obj=True on "
            "the DAG.",
        )
    if unknown := [key for key in value if key not in checks]:
        # The keys of a rendered value can be anything, also user ids.
        named = "unknown keys" if rendered else f"unknown keys ({', '.join(map(repr, unknown))})"
        raise KoreInputError(f"{name} has {named}.", remedy=f"{name} knows these keys: {keys}.")
    if missing := [key for key in required if key not in value]:
        raise KoreInputError(f"{name} has no {' and no '.join(missing)}.", remedy=f"Add it, or leave out {name}.")
    checked = dict(defaults)
    for key, item in value.items():
        if not rendered and is_rendered_later(item):
            continue
        if key in defaults and is_nothing(item):
            continue
        refuse_nothing(f"{key} of {name}", item)
        checked[key] = checks[key](item if rendered else _without_templates(item))
    return checked


def check_sample(value: object) -> str:
    """Accept how many users to search for: ``"all"`` or ``"sample:N"``."""
    if not isinstance(value, str) or not _SAMPLE.fullmatch(value):
        raise KoreInputError(
            'people must be "all", or "sample:N" with a number such as "sample:20".', remedy="Correct people."
        )
    return value


def check_on_not_checkable(value: object) -> str:
    """Accept what to do about users of whom Kore.ai cannot be asked."""
    return check_choice("on_not_checkable", value, ("fail", "warn"))


def _check_since(value: object) -> object:
    from airflow_provider_kore.period import read_period

    read_period(value, None, datetime.now(UTC))
    return value


def check_folder(name: str, value: object) -> str:
    """Accept the URI of a folder."""
    if not isinstance(value, str) or text_fault(value) or not _URI.fullmatch(value):
        raise _no_folder(name)
    return value


def check_destination(value: object) -> str:
    """Accept the URI of the folder of an export, which contains no blank."""
    if isinstance(value, str) and re.search(r"\s", value):
        raise _no_folder("destination")
    return check_folder("destination", value)


def _no_folder(name: str) -> KoreInputError:
    return KoreInputError(
        f"{name} must be the URI of a folder.",
        remedy="Pass one such as s3://connection@bucket/folder or file:///data/folder.",
    )


def _check_approver(value: object) -> str:
    """Accept a name, or the output of Airflow's approval."""
    if isinstance(value, Mapping) and value.get("chosen_options", ["Approve"]) != ["Approve"]:
        raise KoreInputError("The erasure was not approved.", remedy="Ask again, or do not erase these users.")
    who = value.get("responded_by_user") if isinstance(value, Mapping) else value
    name = who.get("name") or who.get("id") if isinstance(who, Mapping) else who
    if type(name) is int:
        name = str(name)  # a name of digits, as a template renders it that renders native objects
    if not isinstance(name, str) or text_fault(name):
        raise KoreInputError(
            f"approved_by is of type {type(value).__name__} and has no name.",
            remedy="Pass a name, or the output of the approval as it is.",
        )
    return name


# --- literals --------------------------------------------------------------------------------------------------------


def is_rendered_later(value: object) -> bool:
    """Tell whether Airflow replaces a value, or a part of it, before the task runs: a template, an XCom, a function."""
    if isinstance(value, str):
        return _TEMPLATE.search(value) is not None
    if isinstance(value, Mapping):
        return any(map(is_rendered_later, value.values()))
    if isinstance(value, os.PathLike):
        return False
    return callable(value) or callable(getattr(value, "resolve", None))


def check_literal(check: Callable[[object], object], value: object) -> None:
    """Check an argument when the DAG is parsed, unless Airflow renders it later."""
    if not is_rendered_later(value):
        check(_without_templates(value))


def check_literal_flag(name: str, value: object) -> None:
    """Check a bool when the DAG is parsed, unless Airflow renders it later."""
    check_literal(partial(check_flag, name), value)


def check_literal_scope(bot_ids: object, all_bots: object) -> None:
    """Check what is literal of a scope; :func:`~airflow_provider_kore.api.scope.check_scope` checks it as a whole."""
    later = is_rendered_later(bot_ids), is_rendered_later(all_bots)
    if all(later):
        return
    if later[0]:
        bot_ids = None if all_bots is True else [_PLACEHOLDER]
    if later[1]:
        all_bots = not bot_ids
    check_scope(_without_templates(bot_ids), all_bots, allow_all_bots=True, allowed_bot_ids=None)


def check_literal_period(since: object, until: object = None) -> None:
    """Check what is literal of a period; :func:`~airflow_provider_kore.period.read_period` checks it as a whole."""
    from airflow_provider_kore.period import read_period

    now = datetime.now(UTC)
    if is_rendered_later(until):
        until = None
    # Whether a span before a DAG run begins earlier than a day of the calendar depends on the run.
    is_ordered = until is None or isinstance(until, timedelta) or not isinstance(since, timedelta)
    if is_ordered and not is_rendered_later(since):
        read_period(since, until, now)
    elif until is not None:
        read_period(date.min, until, now)


def _without_templates(value: object) -> object:
    """Put a placeholder in the place of what is rendered later in a list, so that all others keep their position."""
    if isinstance(value, list | tuple):
        return [_PLACEHOLDER if is_rendered_later(item) else item for item in value]
    return value
