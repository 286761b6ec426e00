"""The erasure of a throw-away user: its guards, and the questions before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.api.users import ChannelUserId, UserId
from airflow_provider_kore.checks.probes import Subject
from airflow_provider_kore.checks.trial_seen import DataSeen
from airflow_provider_kore.exceptions import KoreInputError

_TERMINAL = Path("/dev/tty")


def require_test_user(account: KoreAccount, bot_id: str | None, users: Sequence[UserId]) -> ChannelUserId | None:
    """
    Check whom to erase, and from which bot, by the guards of the connection.

    :return: the user who is named by channel; ``None`` if there is none.
    :raises KoreInputError: if it is refused; nothing was sent.
    """
    if bot_id is None:
        raise KoreInputError("No bot is named.", remedy="Pass --bot-id: the test user is erased from one bot.")
    check_scope([bot_id], False, allow_all_bots=account.allow_all_bots, allowed_bot_ids=account.allowed_bot_ids)
    first, *others = users
    if not isinstance(first, str) or not all(isinstance(other, ChannelUserId) for other in others):
        raise KoreInputError(
            "The first user id must be a text, and the second one a JSON object with channel_id and channel_user_id.",
            remedy="Write a line each.",
        )
    return next((other for other in others if isinstance(other, ChannelUserId)), None)


def confirm_erasure(subject: Subject, pair: ChannelUserId | None, before: DataSeen) -> bool:
    """
    Ask twice at the terminal whether to erase.

    :param pair: a user who is named by channel; ``None`` for none.
    :param before: the user's data.
    :raises KoreInputError: if there is no terminal.
    """
    sessions, messages = before.counts
    shown = f"{_count(sessions)} sessions and {_count(messages)} messages of the last 30 days"
    extra = " and the user whom the second line names by channel" if pair else ""
    question = (
        f"ERASE the user on standard input, who has {shown}{extra}, from the bot {subject.bot_id}, for good?\n"
        "Type the id of the bot: "
    )
    wanted = {question: subject.bot_id, "Is it a throw-away user? Type erase: ": "erase"}
    return all(ask_at_the_terminal(text).strip() == answer for text, answer in wanted.items())


def _count(number: int | None) -> str:
    return "an unknown number of" if number is None else str(number)


def ask_at_the_terminal(question: str) -> str:
    """
    Ask the person at the terminal; standard input has the ids.

    :raises KoreInputError: if there is no terminal.
    """
    try:
        # Twice, since Python opens nothing for both that cannot be sought in.
        with _TERMINAL.open("w", encoding="utf-8") as shown, _TERMINAL.open(encoding="utf-8") as typed:
            print(question, end="", file=shown, flush=True)
            return typed.readline()
    except OSError:
        raise KoreInputError(
            "There is no terminal to ask at.", remedy="Run it at a terminal: no flag answers in a person's stead."
        ) from None
