"""User ids that are sealed: whoever reads Airflow's database or logs sees a text that only a running task can open."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import (
    KoreConfigurationError,
    KoreConnectionUnreadableError,
    KoreInputError,
    KoreSourceError,
)
from airflow_provider_kore.user_ids.source import Opener, UserIdSource

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.account import KoreAccount
    from airflow_provider_kore.api.users import UserId
    from airflow_provider_kore.user_ids.seal_keys import SealKeys


class SealedUserIds(UserIdSource):
    """
    Read user ids that are sealed for one DAG, to a key of the connection.

    The form of the page "Erasures" and the command ``seal`` make such a text. It is opened while the task runs and
    nowhere else. Airflow stores the text where it was passed, and none of the ids. It opens only for the DAG that it
    names, and only if the run of that started before it expired, or if the task completes what it has submitted.

    :param text: the whole text, which begins with ``jwe:``. As ``user_ids`` of an operator it needs no
        ``SealedUserIds`` around it, and may come from a template or an XCom.
    """

    _opener: Opener | None = None

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "sealed user ids"

    def opened_by(self, opener: Opener) -> SealedUserIds:
        """Return the same text, which can be opened."""
        opened = copy(self)
        opened._opener = opener
        return opened

    def read(self) -> Iterator[UserId]:
        """
        Open the text, and check each user id.

        :raises KoreInputError: if it is no such text, is sealed for another DAG, has expired, was changed, or no key of
            the connection opens it. The error shows no part of the text.
        :raises KoreSourceError: if the key cannot be read just now.
        """
        if self._opener is None:
            raise KoreInputError(
                "Sealed user ids can be read only by a task of this provider while it runs.",
                remedy="Pass them as user_ids of an operator.",
            )
        return self._opener(self._text)


def seal_opener(account: KoreAccount, context: Context, *, may_have_expired: bool = False) -> Opener:
    """
    Return what opens sealed user ids in a running task.

    :param account: has the keys, which are read when they are needed.
    :param context: of the running task.
    :param may_have_expired: whether the task resumes: an erasure that was begun in time is completed.
    """
    return partial(_open, account, context, may_have_expired)


def _open(account: KoreAccount, context: Context, may_have_expired: bool, text: str) -> Iterator[UserId]:
    from airflow_provider_kore.user_ids.sealing import SealedText

    sealed, dag_run = SealedText(text), context["dag_run"]
    sealed.require_dag(dag_run.dag_id)
    if not may_have_expired:
        sealed.require_not_expired(dag_run.start_date or datetime.now(UTC))
    return sealed.open(_read_keys(account))


def _read_keys(account: KoreAccount) -> SealKeys:
    """Read the keys of a connection, and mask them in logs. As a part of the source they fail as a source does."""
    from airflow.sdk.log import mask_secret

    from airflow_provider_kore.key_variable import read_key_variable
    from airflow_provider_kore.user_ids.seal_keys import SealKeys

    if not account.seal_key and not account.seal_key_variable:
        raise KoreInputError(
            "The connection has no key that opens sealed user ids, or its last one is destroyed.",
            remedy="Make a key with python -m airflow_provider_kore.user_ids make-seal-key. Put it into the field "
            "seal_key, or into an Airflow Variable that the field seal_key_variable names. Seal the user ids to it.",
        )
    try:
        keys = SealKeys.read(account.seal_key or read_key_variable(account, "seal_key"))
    except KoreConnectionUnreadableError as error:
        raise KoreSourceError(error.problem, remedy=error.remedy) from None
    except KoreConfigurationError as error:
        raise KoreInputError(error.problem, remedy=error.remedy) from None
    mask_secret([*keys.secrets])
    return keys
