"""From which bots users are erased. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.users import text_fault
from airflow_provider_kore.exceptions import KoreInputError


@dataclass(frozen=True, slots=True)
class ErasureScope:
    """
    The bots from which users are erased: the listed ones, or all bots of the organisation.

    :param bot_ids: the bots; empty when ``all_bots``.
    :param all_bots: every bot of the organisation.
    """

    bot_ids: tuple[str, ...]
    all_bots: bool

    def __str__(self) -> str:
        return "all bots" if self.all_bots else f"the bots {', '.join(self.bot_ids)}"

    def covers(self, other: ErasureScope) -> bool:
        """Tell whether it contains all bots of another one."""
        return self.all_bots or (not other.all_bots and set(other.bot_ids) <= set(self.bot_ids))

    def to_json(self) -> dict[str, object]:
        """Write the form that tasks return."""
        return {"bot_ids": list(self.bot_ids), "all_bots": self.all_bots}


def check_scope(
    bot_ids: object,
    all_bots: object,
    *,
    allow_all_bots: bool,
    allowed_bot_ids: Sequence[str] | None,
) -> ErasureScope:
    """
    Accept one explicit scope, within what the connection allows.

    :param bot_ids: a list of bot ids, or ``None``.
    :param all_bots: a real bool; a rendered ``"False"`` would be truthy and is refused.
    :param allow_all_bots: whether the connection allows the scope of all bots.
    :param allowed_bot_ids: the bots that the connection allows; ``None`` for any.
    :raises KoreInputError: if both scopes or neither are passed, or the connection does not allow this one.
    """
    if not isinstance(all_bots, bool):
        raise KoreInputError(
            f"all_bots must be True or False, and is of type {type(all_bots).__name__}.",
            remedy="Pass a real bool; a template needs render_template_as_native_obj=True on the DAG to render one.",
        )
    bots = _check_bot_ids(bot_ids)
    if all_bots and bots:
        raise KoreInputError(
            "There are both bot_ids and all_bots=True, and Kore.ai would ignore the bot_ids.",
            remedy="Pass one of the two: bot_ids for these bots, all_bots=True for all bots.",
        )
    if not all_bots and not bots:
        raise KoreInputError(
            "There is neither bot_ids nor all_bots=True, so there is no scope.",
            remedy="Pass bot_ids, or all_bots=True for all bots of the organisation.",
        )
    if all_bots:
        if not allow_all_bots:
            raise KoreInputError(
                "all_bots=True is not allowed by the connection.",
                remedy="Name the bots in bot_ids, or have the connection's owner set allow_all_bots.",
            )
        return ErasureScope(bot_ids=(), all_bots=True)
    if allowed_bot_ids is not None and (outside := [bot for bot in bots if bot not in allowed_bot_ids]):
        raise KoreInputError(
            f"{len(outside)} of the {len(bots)} bots are outside the connection's allowed_bot_ids: "
            f"{', '.join(outside[:5])}{', …' if len(outside) > 5 else ''}.",
            remedy="Correct bot_ids, or have the connection's owner extend allowed_bot_ids.",
        )
    return ErasureScope(bot_ids=bots, all_bots=False)


_AS_TEXT = (
    "Write each id as text. With render_template_as_native_obj=True Airflow makes numbers of a template that renders "
    "to a text such as [1, 2]: pass a list with a template for each id, or the XCom as it is (task.output)."
)


def _check_bot_ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise KoreInputError(
            f"bot_ids must be a list of bot ids, and is of type {type(value).__name__}.",
            remedy="Pass a list, also for one bot; a template needs render_template_as_native_obj=True on the DAG.",
        )
    for position, bot_id in enumerate(value, start=1):
        if not isinstance(bot_id, str):
            fault: str | None = f"is of type {type(bot_id).__name__}, not a string"
        else:
            fault = text_fault(bot_id)
        if fault:
            raise KoreInputError(f"The bot id at position {position} {fault}.", remedy=_AS_TEXT)
    return tuple(dict.fromkeys(value))
