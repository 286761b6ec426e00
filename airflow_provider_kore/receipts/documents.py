"""
What a receipt and a manifest hold, and the sums that must be right in them.

Nothing in them is a fraction, and what is empty is written out.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Literal, Self, cast
from urllib.parse import quote

from pydantic import Field, ValidationError, model_validator

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.receipts.canonical import Canonical, canonical_json
from airflow_provider_kore.receipts.parts import (
    BatchNumber,
    Count,
    Counts,
    Head,
    Part,
    Person,
    Positive,
    Request,
    Sha256,
    Text,
    Verification,
    ascends,
    require,
)
from airflow_provider_kore.receipts.wording import ATTESTS, does_not_cover

LAST_SECOND = 253_402_300_799
"""The end of the year 9999: what is later is no time."""


class _Statement(Head):
    schema_version: Literal[1] = Field(default=1, alias="schema")
    iss: Literal["airflow-provider-kore"] = "airflow-provider-kore"
    iat: Annotated[int, Field(ge=0, le=LAST_SECOND)]
    provider_version: Text
    attests: Text
    does_not_cover: tuple[Text, ...]
    user_count: Positive
    outcome: Counts
    vendor_reported: Counts

    @property
    def head(self) -> Head:
        """What it has in common with the other receipts of its try."""
        return Head(**{name: getattr(self, name) for name in Head.model_fields})

    @property
    def issued_at(self) -> datetime:
        """When it was signed."""
        return datetime.fromtimestamp(self.iat, UTC)

    def canonical(self) -> bytes:
        """Write it in the form that is signed."""
        return canonical_json(cast("Canonical", self.model_dump(mode="json", by_alias=True)))

    @model_validator(mode="after")
    def _check_outcome(self) -> Self:
        for name, counts in (("outcome", self.outcome), ("vendor_reported", self.vendor_reported)):
            require(counts.total == self.user_count, f"{name} does not add up to user_count")
        require(
            self.outcome.erased <= self.vendor_reported.erased, "more are erased in outcome than in vendor_reported"
        )
        return self


class Receipt(_Statement):
    """
    State what became of one batch.

    :param requests: all submissions of the batch, the latest one last.
    :param user_count: all people of the batch.
    :param outcome: what is held to be true: nobody is erased who was not reported, or whose data were found.
    :param vendor_reported: what Kore.ai's answers said.
    :param persons: sorted by digest; ``None`` if the task does not know who they are or has no key for digests.
    :param verification: ``None`` if nothing was looked at.
    """

    kind: Literal["kore-erasure-receipt"] = "kore-erasure-receipt"
    batch: BatchNumber
    requests: Annotated[tuple[Request, ...], Field(min_length=1)]
    persons: tuple[Person, ...] | None
    verification: Verification | None

    @classmethod
    def about(
        cls,
        head: Head,
        *,
        batch: BatchNumber,
        requests: Sequence[Request],
        user_count: int,
        outcome: Counts,
        vendor_reported: Counts,
        persons: Iterable[Person] | None = None,
        verification: Verification | None = None,
        issued_at: int | None = None,
    ) -> Receipt:
        """
        State what became of one batch.

        :param head: what is common to all receipts of the try.
        :param persons: in any order.
        :param issued_at: seconds since the epoch; now if left out.
        :raises KoreReceiptError: if it does not add up.
        """
        with _made("receipt"):
            return cls(
                **dict(head),
                batch=batch,
                requests=tuple(requests),
                user_count=user_count,
                outcome=outcome,
                vendor_reported=vendor_reported,
                persons=None if persons is None else tuple(sorted(persons, key=lambda person: person.digest)),
                verification=verification,
                iat=int(time.time()) if issued_at is None else issued_at,
                provider_version=version("airflow-provider-kore"),
                attests=ATTESTS,
                does_not_cover=does_not_cover(
                    verified=verification is not None, named=persons is not None, scope_known=head.scope.known
                ),
            )

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return _receipt_file_name(self.requests[-1].request_id)

    @property
    def settled_at(self) -> datetime:
        """By when its outcome was known at the latest."""
        return self.requests[-1].completed_at or self.issued_at

    @model_validator(mode="after")
    def _check_receipt(self) -> Self:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        # The first submission is of the whole batch, and each further one of those who were left of it.
        if self.requests[0].user_count != self.user_count:
            yield "user_count is not that of the first request"
        if any(request.user_count > self.user_count for request in self.requests):
            yield "a request has more users than the batch"
        if len({request.request_id for request in self.requests}) != len(self.requests):
            yield "a request is named twice"
        if self.verification is not None and sum(self.verification.counts().values()) != self.user_count:
            yield "verification does not add up to user_count"
        if self.persons is not None:
            yield from self._faults_of(self.persons)

    def _faults_of(self, persons: Sequence[Person]) -> Iterator[str]:
        if len(persons) != self.user_count:
            yield "there are not as many persons as user_count"
        if not ascends([person.digest for person in persons]):
            yield "persons must be sorted by digest, each once"
        if self.outcome.model_dump() != _counted(Counts.model_fields, [person.outcome for person in persons]):
            yield "outcome does not count the outcomes of the persons"
        if any(person.outcome == "erased" and person.verification == "found" for person in persons):
            yield "a person is erased whose data were found"
        checks = [person.verification for person in persons]
        if self.verification is None and checks.count("not_checked") != len(checks):
            yield "a person was checked, and there is no verification"
        if self.verification is not None and self.verification.counts() != _counted(self.verification.counts(), checks):
            yield "verification does not count the verifications of the persons"


class ListedReceipt(Part):
    """List one receipt in a manifest, by the file beside it."""

    name: Text
    sha256: Sha256
    request_id: Text
    user_count: Positive
    outcome: Counts

    @classmethod
    def of(cls, receipt: Receipt, content: bytes) -> Self:
        """List a receipt as it was signed."""
        return cls(
            name=receipt.file_name,
            sha256=hashlib.sha256(content).hexdigest(),
            request_id=receipt.requests[-1].request_id,
            user_count=receipt.user_count,
            outcome=receipt.outcome,
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(self.name == _receipt_file_name(self.request_id), "name is not that of the request's file")
        return self


class Manifest(_Statement):
    """
    State what became of all batches of one try, and list their receipts.

    :param user_count: all people of all receipts; so count ``outcome`` and ``vendor_reported``.
    :param never_submitted: people of the try of whom Kore.ai accepted nothing, and of whom there is no receipt.
    :param unclear: people who were sent without a usable answer: Kore.ai may have accepted it, and there is no receipt.
    """

    kind: Literal["kore-erasure-manifest"] = "kore-erasure-manifest"
    never_submitted: Count = 0
    unclear: Count = 0
    receipts: Annotated[tuple[ListedReceipt, ...], Field(min_length=1)]

    @classmethod
    def of(
        cls,
        head: Head,
        *,
        receipts: Sequence[ListedReceipt],
        vendor_reported: Counts,
        does_not_cover: Sequence[str],
        never_submitted: int = 0,
        unclear: int = 0,
        issued_at: int | None = None,
    ) -> Manifest:
        """
        List receipts.

        :param head: what is common to them.
        :param vendor_reported: the sum of what they hold.
        :param does_not_cover: all that one of them does not cover.
        :param never_submitted: people of whom there is no receipt, since nothing was accepted.
        :param unclear: people of whom there is none, since it is not known whether anything was accepted.
        :param issued_at: seconds since the epoch; now if left out.
        :raises KoreReceiptError: if it does not add up.
        """
        with _made("manifest"):
            return cls(
                **dict(head),
                receipts=tuple(receipts),
                never_submitted=never_submitted,
                unclear=unclear,
                user_count=sum(listed.user_count for listed in receipts),
                outcome=sum((listed.outcome for listed in receipts), Counts()),
                vendor_reported=vendor_reported,
                iat=int(time.time()) if issued_at is None else issued_at,
                provider_version=version("airflow-provider-kore"),
                attests=ATTESTS,
                does_not_cover=tuple(does_not_cover),
            )

    @property
    def file_name(self) -> str:
        """The name of its file, which is the same for all tries."""
        return f"{hashlib.sha256(canonical_json(self.run.identity)).hexdigest()[:32]}.manifest.jws"

    @model_validator(mode="after")
    def _check_manifest(self) -> Self:
        require(len({listed.request_id for listed in self.receipts}) == len(self.receipts), "a receipt is listed twice")
        require(
            self.user_count == sum(listed.user_count for listed in self.receipts),
            "user_count is not the sum of the receipts",
        )
        require(
            self.outcome == sum((listed.outcome for listed in self.receipts), Counts()),
            "outcome is not the sum of the receipts",
        )
        return self


@contextmanager
def _made(what: str) -> Iterator[None]:
    """Tell who makes a statement that does not add up what is wrong with it."""
    try:
        yield
    except ValidationError as error:
        raise KoreReceiptError(
            f"The {what} cannot be made: {faults_of(error)}.",
            consequence=Consequence.SENT,
            remedy="This is a fault of the provider; report it.",
        ) from None


def faults_of(error: ValidationError) -> str:
    """Say what is wrong with a document, by place, without its values."""
    places = [
        (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, "))
        for fault in error.errors(include_input=False, include_context=False, include_url=False)
    ]
    shown = [f"{place}: {message}" if place else message for place, message in places[:3]]
    return "; ".join(shown) + ("; …" if len(places) > len(shown) else "")


def _receipt_file_name(request_id: str) -> str:
    return f"{quote(request_id, safe='')}.jws"


def _counted(names: Iterable[str], values: Sequence[str]) -> dict[str, int]:
    counts = Counter(values)
    return {name: counts[name] for name in names}
