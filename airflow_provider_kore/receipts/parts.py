"""The parts of receipts, each of which refuses what cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.times import in_utc


def _to_the_second(moment: datetime) -> datetime:
    return in_utc(moment).replace(microsecond=0)


Text = Annotated[str, Field(min_length=1)]
Time = Annotated[AwareDatetime, AfterValidator(_to_the_second)]
"""A time of any zone, which is written in UTC and to the second."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

Outcome = Literal["erased", "open", "not_erased"]
VerificationOutcome = Literal["gone", "found", "not_checkable", "not_checked"]


class Part(BaseModel):
    """Take nothing but what is written down here, and in no other type."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True
    )


def require(fulfilled: bool, otherwise: str) -> None:
    """Refuse a model that is not as it must be."""
    if not fulfilled:
        raise ValueError(otherwise)


def ascends(texts: Sequence[str]) -> bool:
    """Tell whether texts are sorted, each once."""
    return all(before < after for before, after in pairwise(texts))


class Scope(Part):
    """
    Say from which bots people were erased; neither bots nor all of them if the task did not know.

    :param bot_ids: sorted.
    :param all_bots: every bot of the organisation.
    """

    bot_ids: tuple[Text, ...] = ()
    all_bots: bool = False

    @classmethod
    def of(cls, scope: ErasureScope) -> Self:
        """Write the scope of an erasure as receipts hold it."""
        return cls(bot_ids=tuple(sorted(set(scope.bot_ids))), all_bots=scope.all_bots)

    @property
    def known(self) -> bool:
        """Whether it says anything."""
        return self.all_bots or bool(self.bot_ids)

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(ascends(self.bot_ids), "bot_ids must be sorted, each once")
        require(not (self.all_bots and self.bot_ids), "there must not be bot_ids beside all_bots")
        return self


class Run(Part):
    """
    Name the try of the task that issued the receipt.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: Text
    run_id: Text
    task_id: Text
    map_index: Annotated[int, Field(ge=-1)]
    try_number: Count

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What is the same for all tries of one task instance."""
        return self.dag_id, self.run_id, self.task_id, self.map_index


class Request(Part):
    """
    Tell of one erasure request, that is, of one accepted submission of a batch.

    :param user_count: of this submission; a later one is about those who were left.
    :param vendor_created_on: verbatim, as Kore.ai gave it; so is ``vendor_updated_on``.
    """

    request_id: Text
    user_count: Positive
    submitted_at: Time | None = None
    completed_at: Time | None = None
    vendor_created_on: str | None = None
    vendor_updated_on: str | None = None


class BatchNumber(Part):
    """Say which batch of how many; the first is 1."""

    number: Positive
    of: Positive

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(self.number <= self.of, "number must not be greater than of")
        return self


class Deadline(Part):
    """
    State the date by which the law wants an answer.

    :param ends_at: when that day ends where the request came in.
    """

    regime: Literal["gdpr", "ccpa"]
    received_on: date
    due_on: date
    ends_at: Time

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(self.received_on <= self.due_on, "due_on must not be before received_on")
        return self


class Counts(Part):
    """Count people by outcome."""

    erased: Count = 0
    open: Count = 0
    not_erased: Count = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.erased + self.open + self.not_erased

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            erased=self.erased + other.erased,
            open=self.open + other.open,
            not_erased=self.not_erased + other.not_erased,
        )


class Person(Part):
    """Tell of one person, whom only the holder of the digest key can name."""

    digest: Annotated[str, Field(pattern=r"^kd:[0-9a-f]{16}$")]
    outcome: Outcome
    verification: VerificationOutcome = "not_checked"


class Verification(Part):
    """
    Tell what looking for data after the erasure showed; the four counts add up to all people.

    :param mode: who was looked at, in the words of the task's argument ``verify``.
    :param scope: the bots that were looked at.
    :param since: begin of the period that was looked at; ``until`` is its end.
    :param channel_types: the channels whose messages were looked at.
    """

    mode: Text
    scope: Scope
    since: Time
    until: Time
    channel_types: tuple[Text, ...] = ()
    gone: Count = 0
    found: Count = 0
    not_checkable: Count = 0
    not_checked: Count = 0

    def counts(self) -> dict[VerificationOutcome, int]:
        """Give the four counts by name."""
        return {
            "gone": self.gone,
            "found": self.found,
            "not_checkable": self.not_checkable,
            "not_checked": self.not_checked,
        }


class Export(Part):
    """
    Point to an export of the same people.

    :param since: begin of the period that was exported; ``until`` is its end.
    """

    manifest: Text
    manifest_sha256: Sha256
    since: Time
    until: Time


class Head(Part):
    """
    Hold what all receipts of one try have in common.

    :param host: base URL of Kore.ai.
    :param client_id: of the app that erased.
    :param received_at: when the person's request came in.
    :param deadline: by when it had to be answered.
    :param approved_by: who approved the erasure.
    :param plan_fingerprint: of what was approved.
    :param export: what was made to be handed out.
    """

    host: Text
    client_id: Text
    scope: Scope
    run: Run
    received_at: Time | None = None
    deadline: Deadline | None = None
    approved_by: Text | None = None
    plan_fingerprint: Text | None = None
    export: Export | None = None
