"""The parts of receipts, each of which refuses what cannot be true."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from airflow_provider_kore.api.outcome import Outcome
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


class Part(BaseModel):
    """Refuse unknown names and other types. A part that is read from JSON must have all of its names."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        serialize_by_alias=True,
    )

    @model_validator(mode="after")
    def _check_names(self, info: ValidationInfo) -> Self:
        """Defaults are for the issuer: what a receipt leaves out, it does not say."""
        if info.mode == "json":
            missing = sorted(type(self).model_fields.keys() - self.model_fields_set)
            require(not missing, f"{', '.join(missing)} left out")
        return self


def require(fulfilled: bool, otherwise: str) -> None:
    """Refuse a model that is not as it must be."""
    if not fulfilled:
        raise ValueError(otherwise)


class Scope(Part):
    """
    Say from which bots users were erased; neither bots nor all of them if the task did not know.

    :param bot_ids: sorted.
    :param all_bots: every bot of the organisation.
    """

    bot_ids: tuple[Text, ...] = ()
    all_bots: bool = False

    @classmethod
    def of(cls, scope: ErasureScope) -> Self:
        """Write the scope of an erasure as receipts have it."""
        return cls(bot_ids=tuple(sorted(set(scope.bot_ids))), all_bots=scope.all_bots)

    @property
    def known(self) -> bool:
        """Whether it says anything."""
        return self.all_bots or bool(self.bot_ids)

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(not (self.all_bots and self.bot_ids), "there must not be bot_ids beside all_bots")
        return self


class Run(Part):
    """
    Name the attempt of the task that issued the receipt.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: Text
    run_id: Text
    task_id: Text
    map_index: Annotated[int, Field(ge=-1)]
    try_number: Count


class Request(Part):
    """
    Describe one erasure request, that is, one accepted submission of a batch.

    :param user_count: of this submission; a later one is about the users who were left.
    :param vendor_created_on: verbatim from Kore.ai; so is ``vendor_updated_on``.
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
    State the date by which the law requires an answer.

    :param ends_at: when that day ends where the request came in.
    """

    regime: Literal["gdpr", "ccpa"]
    received_on: date
    due_on: date
    ends_at: Time


class Counts(Part):
    """Count users by outcome."""

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
    """Describe one user, whom only the owner of the digest key can name."""

    digest: Annotated[str, Field(pattern=r"^kd:[0-9a-f]{16}$")]
    outcome: Outcome
    verification: Literal["gone", "found", "not_checkable", "not_checked"] = "not_checked"


class Verification(Part):
    """
    Say what verification showed; the four counts add up to all users.

    :param mode: which users were checked, in the words of the task's option ``verify``.
    :param scope: the bots that were checked.
    :param since: begin of the period that was checked; ``until`` is its end.
    :param channel_types: the channels whose messages were checked.
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

    @property
    def counts(self) -> Counter[str]:
        """The four counts by name."""
        return Counter(self.model_dump(include={"gone", "found", "not_checkable", "not_checked"}))


class Export(Part):
    """
    Point to an export of the same users.

    :param since: begin of the period that was exported; ``until`` is its end.
    """

    manifest: Text
    manifest_sha256: Sha256
    since: Time
    until: Time


class Head(Part):
    """
    What all receipts of one attempt have in common.

    :param host: base URL of Kore.ai.
    :param client_id: of the app that erased.
    :param received_at: when the user's request came in.
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
