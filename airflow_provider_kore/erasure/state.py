"""What a task keeps beside the ledger when it leaves its worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import JsonValue, TypeAdapter

from airflow_provider_kore.erasure.wait import WaitQueue
from airflow_provider_kore.resumption import FailureFields, UsageFields, kept_state
from airflow_provider_kore.user_ids.user_refs import UserRef
from airflow_provider_kore.verification.findings import Verification

if TYPE_CHECKING:
    from airflow.sdk import Context


class Phase(StrEnum):
    """A phase in which a task can leave its worker."""

    SUBMIT = "submit"
    WAIT = "wait"
    VERIFY = "verify"


@dataclass(slots=True)
class RunState:
    """
    Contain what a task needs to resume; it names no user.

    :param phase: where it resumes.
    :param started: when the attempt started, in seconds since the epoch.
    :param failures: what went wrong so far.
    :param records: what is not in Airflow's task state store.
    :param not_erased_users: users who are known not to be erased.
    :param queue: the order of the requests that are waited for.
    :param verification: how far the verification is.
    :param plan: the fingerprint of what was checked before the first batch was submitted.
    :param next_batch: the number of the batch to submit next.
    :param usage: the calls that the worker made, if the account's budget was spent.
    """

    phase: Phase
    started: float
    failures: list[FailureFields] = field(default_factory=list)
    records: dict[str, JsonValue] = field(default_factory=dict)
    not_erased_users: list[UserRef] = field(default_factory=list)
    queue: WaitQueue = field(default_factory=WaitQueue)
    verification: Verification | None = None
    plan: str = ""
    next_batch: int = 1
    usage: UsageFields | None = None

    def to_json(self) -> dict[str, object]:
        """Write the form that is kept."""
        fields: dict[str, object] = _STATE.dump_python(self, mode="json")
        return fields

    @classmethod
    def kept(cls, context: Context) -> RunState | None:
        """Read what this attempt kept; ``None`` if that is gone, or has another form."""
        return kept_state(context, _STATE.validate_python)


_STATE = TypeAdapter(RunState)
