"""What a receipt and a manifest say, and the sums that must be right in them."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from operator import attrgetter
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, ValidationError, model_validator

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
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
    require,
)
from airflow_provider_kore.receipts.wording import ATTESTS, does_not_cover

LAST_SECOND = 253_402_300_799
"""The end of the year 9999: what is later is no time."""


class _Statement(Head):
    schema_version: Literal[1] = Field(default=1, alias="schema")
    iss: Literal["airflow-provider-kore"] = "airflow-provider-kore"
    iat: Annotated[int, Field(ge=0, le=LAST_SECOND, default_factory=lambda: int(time.time()))]
    provider_version: Annotated[Text, Field(default_factory=lambda: version("airflow-provider-kore"))]
    attests: Text = ATTESTS
    does_not_cover: tuple[Text, ...]
    user_count: Positive
    outcome: Counts
    vendor_reported: Counts

    @classmethod
    def issue(cls, head: Head, **fields: object) -> Self:
        """
        Make a statement.

        :param head: what is common to all receipts of the attempt.
        :param fields: the rest.
        :raises KoreReceiptError: if it does not add up.
        """
        try:
            return cls.model_validate(dict(head) | fields)
        except ValidationError as error:
            raise KoreReceiptError(
                f"The {cls.__name__.lower()} cannot be made: {describe_faults(error)}.",
                consequence=Consequence.SENT,
                remedy="This is a fault of the provider; report it.",
            ) from None

    @property
    def head(self) -> Head:
        """What it has in common with the other receipts of its attempt."""
        return Head(**{name: getattr(self, name) for name in Head.model_fields})

    @property
    def issued_at(self) -> datetime:
        """When it was signed."""
        return datetime.fromtimestamp(self.iat, UTC)

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        for name, counts in (("outcome", self.outcome), ("vendor_reported", self.vendor_reported)):
            require(counts.total == self.user_count, f"{name} does not add up to user_count")
        require(
            self.outcome.erased <= self.vendor_reported.erased, "more are erased in outcome than in vendor_reported"
        )
        return self


class Receipt(_Statement):
    """
    State the outcome of one batch.

    :param requests: all submissions of the batch, the latest one last.
    :param user_count: all users of the batch.
    :param outcome: what is known: no user is erased who was not reported, or whose data were found.
    :param vendor_reported: what Kore.ai's answers said.
    :param persons: ``None`` if the task does not know who they are.
    :param verification: ``None`` if nothing was checked.
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
    ) -> Self:
        """
        State the outcome of one batch; see :meth:`issue`.

        :param persons: in any order. The receipt sorts them by digest, so that it does not show the order of a list.
        """
        return cls.issue(
            head,
            batch=batch,
            requests=tuple(requests),
            user_count=user_count,
            outcome=outcome,
            vendor_reported=vendor_reported,
            persons=None if persons is None else tuple(sorted(persons, key=attrgetter("digest"))),
            verification=verification,
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
    def _check_requests(self) -> Self:
        # The first submission is of the whole batch, and each further one of the users who were left of it.
        sizes = [request.user_count for request in self.requests]
        require(sizes[0] == self.user_count, "user_count is not that of the first request")
        require(max(sizes) == self.user_count, "a request has more users than the batch")
        require(len({request.request_id for request in self.requests}) == len(sizes), "a request is named twice")
        return self

    @model_validator(mode="after")
    def _check_users(self) -> Self:
        checks = self.verification.counts if self.verification else Counter(not_checked=self.user_count)
        require(checks.total() == self.user_count, "verification does not add up to user_count")
        if self.persons is None:
            return self
        require(len({user.digest for user in self.persons}) == len(self.persons), "a user is named twice")
        require(
            Counter(user.outcome.value for user in self.persons) == Counter(self.outcome.model_dump()),
            "outcome does not count the outcomes of the users",
        )
        require(
            Counter(user.verification for user in self.persons) == checks,
            "verification does not count the verifications of the users",
        )
        require(
            not any(user.outcome == "erased" and user.verification == "found" for user in self.persons),
            "a user is erased whose data were found",
        )
        return self


class ListedReceipt(Part):
    """List one receipt in a manifest, by the file beside it."""

    name: Text
    sha256: Sha256
    request_id: Text
    user_count: Positive
    outcome: Counts
    vendor_reported: Counts

    @classmethod
    def of(cls, receipt: Receipt, content: bytes) -> Self:
        """List a receipt as it was signed."""
        return cls(
            name=receipt.file_name,
            sha256=hashlib.sha256(content).hexdigest(),
            request_id=receipt.requests[-1].request_id,
            user_count=receipt.user_count,
            outcome=receipt.outcome,
            vendor_reported=receipt.vendor_reported,
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(self.name == _receipt_file_name(self.request_id), "name is not that of the request's file")
        return self


class Manifest(_Statement):
    """
    State the outcome of all batches of one attempt, and list their receipts.

    :param user_count: all users of all receipts; so count ``outcome`` and ``vendor_reported``.
    :param never_submitted: users of whom Kore.ai accepted nothing, and of whom there is no receipt.
    :param unclear: users who were sent without a usable answer: Kore.ai may have accepted it, and there is no receipt.
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
        does_not_cover: Iterable[str],
        never_submitted: int = 0,
        unclear: int = 0,
    ) -> Self:
        """
        List receipts; see :meth:`issue`.

        :param does_not_cover: all that one of them does not cover.
        """
        return cls.issue(
            head,
            receipts=tuple(receipts),
            user_count=sum(listed.user_count for listed in receipts),
            outcome=sum((listed.outcome for listed in receipts), Counts()),
            vendor_reported=sum((listed.vendor_reported for listed in receipts), Counts()),
            does_not_cover=tuple(does_not_cover),
            never_submitted=never_submitted,
            unclear=unclear,
        )

    @property
    def file_name(self) -> str:
        """The name of its file, which is the same for all attempts."""
        run = self.run
        identity = json.dumps([run.dag_id, run.run_id, run.task_id, run.map_index])
        return f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.manifest.jws"

    @model_validator(mode="after")
    def _check_receipts(self) -> Self:
        require(len({listed.request_id for listed in self.receipts}) == len(self.receipts), "a receipt is listed twice")
        for name in ("outcome", "vendor_reported"):
            total = sum((getattr(listed, name) for listed in self.receipts), Counts())
            require(getattr(self, name) == total, f"{name} is not the sum of the receipts")
        return self


def describe_faults(error: ValidationError) -> str:
    """Say what is wrong with a document, without its values."""
    faults = error.errors(include_input=False, include_context=False, include_url=False)[:3]
    messages = [fault["msg"].removeprefix("Value error, ") for fault in faults]
    names = [".".join(map(str, fault["loc"])) for fault in faults]
    return "; ".join(": ".join(filter(None, pair)) for pair in zip(names, messages, strict=True))


def _receipt_file_name(request_id: str) -> str:
    return f"{quote(request_id, safe='')}.jws"
