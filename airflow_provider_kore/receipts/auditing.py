"""Check a file of evidence with all that belongs to it, and describe it in words."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest, Receipt
from airflow_provider_kore.receipts.parts import Counts, Deadline, Export, Person, Scope, Verification
from airflow_provider_kore.receipts.signing import verify
from airflow_provider_kore.times import utc_text


def audit(path: Path, public_key_pem: str, *visitors: Callable[[Receipt], None]) -> Receipt | Manifest:
    """
    Verify a receipt, or a manifest with all receipts beside it.

    :param path: of the file.
    :param public_key_pem: of the key that signed all of it.
    :param visitors: get each receipt, one after another. What they saw is good once this function has returned.
    :raises KoreReceiptError: if anything is wrong, missing, or there without being listed.
    :raises OSError: if the file itself cannot be read.
    """
    statement = verify(path.read_bytes(), public_key_pem)
    receipts = [statement] if isinstance(statement, Receipt) else _listed_receipts(path, statement, public_key_pem)
    for receipt in receipts:
        for visit in visitors:
            visit(receipt)
    return statement


def _listed_receipts(path: Path, manifest: Manifest, public_key_pem: str) -> Iterator[Receipt]:
    numbers: set[int] = set()
    for listed in manifest.receipts:
        receipt = _read_listed(path.parent, listed, public_key_pem)
        if receipt.head != manifest.head:
            raise _refuse(f"the receipt {listed.name} is not of the same attempt as the manifest")
        if receipt.batch.number in numbers:
            raise _refuse(f"the receipt {listed.name} is about a batch that another one is about")
        numbers.add(receipt.batch.number)
        yield receipt
    _refuse_unlisted(path, manifest, public_key_pem)


def _read_listed(folder: Path, listed: ListedReceipt, public_key_pem: str) -> Receipt:
    try:
        content = (folder / listed.name).read_bytes()
    except OSError as error:
        raise _refuse(
            f"the receipt {listed.name} cannot be read beside the manifest ({type(error).__name__})"
        ) from None
    if hashlib.sha256(content).hexdigest() != listed.sha256:
        raise _refuse(f"the receipt {listed.name} is not the one that the manifest lists")
    receipt = verify(content, public_key_pem)
    if not isinstance(receipt, Receipt) or ListedReceipt.of(receipt, content) != listed:
        raise _refuse(f"the receipt {listed.name} does not say what the manifest says of it")
    return receipt


def _refuse_unlisted(path: Path, manifest: Manifest, public_key_pem: str) -> None:
    """
    Refuse a receipt of the same attempt that the manifest does not list.

    A folder may have receipts of other runs and of earlier attempts.
    """
    listed = {receipt.name for receipt in manifest.receipts} | {path.name}
    for other in sorted(path.parent.glob("*.jws")):
        if other.name in listed or not other.is_file():
            continue
        try:
            statement = verify(other.read_bytes().strip(), public_key_pem)
        except KoreReceiptError:
            continue  # is evidence of nothing under this key
        except OSError as error:
            raise _refuse(f"{other.name} beside it cannot be read ({type(error).__name__})") from None
        if isinstance(statement, Receipt) and statement.run == manifest.run:
            raise _refuse(f"the receipt {other.name} is of the same task, and the manifest does not list it")


def _refuse(why: str) -> KoreReceiptError:
    return KoreReceiptError(
        f"The manifest is not accepted: {why}.",
        consequence=Consequence.NOT_EVIDENT,
        remedy="Ask who issued it for the whole folder as it was written.",
    )


class UserSearch:
    """
    Search for users in receipts by their digests.

    :param digests: of the users; :meth:`describe` answers in their order.
    """

    def __init__(self, digests: Sequence[str]) -> None:
        self._positions: defaultdict[str, list[int]] = defaultdict(list)
        for position, digest in enumerate(digests):
            self._positions[digest].append(position)
        self._nameless = 0
        self._found: list[Person | None] = [None] * len(digests)

    def add(self, receipt: Receipt) -> None:
        """Search a receipt."""
        self._nameless += receipt.persons is None
        for user in receipt.persons or ():
            for position in self._positions.get(user.digest, ()):
                self._found[position] = user

    @property
    def found_all(self) -> bool:
        """Whether all of them are in a receipt, with whatever outcome."""
        return None not in self._found

    def describe(self) -> Iterator[str]:
        """Say of each line whether its user is in a receipt and with what outcome, without the id."""
        if self._nameless and self._found:
            yield f"Receipts that do not name their users, so that none is found there: {self._nameless}"
        for number, user in enumerate(self._found, start=1):
            if user is None:
                yield f"Line {number}: not in the receipt"
            else:
                yield f"Line {number}: in the receipt, " + f"{user.outcome}, {user.verification}".replace("_", " ")


class Summary:
    """Add up what only the receipts say, one after another."""

    def __init__(self) -> None:
        self.batches = 0
        self.batches_of_all = 0
        self.settled_at = datetime.min.replace(tzinfo=UTC)
        self.checks: Counter[str] = Counter()
        self.modes: dict[str, None] = {}

    def add(self, receipt: Receipt) -> None:
        """Add a receipt."""
        self.batches += 1
        self.batches_of_all = receipt.batch.of
        self.settled_at = max(self.settled_at, receipt.settled_at)
        if verification := receipt.verification:
            self.checks += verification.counts
            bots = f" at {_bots(verification.scope)}" if verification.scope.known else ""
            self.modes[f"{verification.mode}{bots}, from {_span(verification)}"] = None
        else:
            self.checks["not_checked"] += receipt.user_count


def describe(statement: Receipt | Manifest, summary: Summary) -> Iterator[str]:
    """
    Describe in words what was verified, a line at a time.

    :param statement: what :func:`audit` returned.
    :param summary: to which its receipts were added.
    """
    for line in _lines(statement, summary):
        # Names come from other programs: none may imitate a line of the report, or control a terminal.
        yield "".join(character if character.isprintable() else "�" for character in line)


def _lines(statement: Receipt | Manifest, summary: Summary) -> Iterator[str]:
    run = statement.run
    yield f"Erasure of {_describe_count(statement.user_count)} from {_bots(statement.scope)}"
    yield f"At {statement.host}, by the app {statement.client_id}"
    mapped = f" [{run.map_index}]" if run.map_index >= 0 else ""
    yield f"Task: {run.dag_id}, run {run.run_id}, task {run.task_id}{mapped}, attempt {run.try_number}"
    yield f"Issued at {utc_text(statement.issued_at)} by {statement.iss} {statement.provider_version}"
    if statement.approved_by is not None:
        yield f"Approved by {statement.approved_by}"
    if statement.plan_fingerprint is not None:
        yield f"Fingerprint of the plan: {statement.plan_fingerprint}"
    yield f"Batches: {summary.batches} of {summary.batches_of_all}" + (
        "; the others are not in this receipt" if summary.batches < summary.batches_of_all else ""
    )
    yield f"Reported by Kore.ai: {_counts(statement.vendor_reported)}"
    yield f"Outcome: {_counts(statement.outcome)}"
    yield f"Verification: {_verification(summary)}"
    if statement.received_at is not None:
        yield f"Request received at {utc_text(statement.received_at)}"
    yield f"Deadline: {_deadline(statement, statement.deadline, summary) if statement.deadline else 'none is named'}"
    if export := statement.export:
        yield f"Export named: {export.manifest} (of {_span(export)}, SHA-256 {export.manifest_sha256})"
    yield statement.attests
    yield "It does not cover:"
    for gap in statement.does_not_cover:
        yield f"- {gap}"


def _describe_count(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _bots(scope: Scope) -> str:
    if scope.all_bots:
        return "all bots"
    if not scope.bot_ids:
        return "bots that the task did not know"
    return ("the bot " if len(scope.bot_ids) == 1 else "the bots ") + ", ".join(scope.bot_ids)


def _counts(counts: Counts) -> str:
    return f"{counts.erased} erased, {counts.open} open, {counts.not_erased} not erased"


def _span(part: Export | Verification) -> str:
    return f"{utc_text(part.since)} to {utc_text(part.until)}"


def _verification(summary: Summary) -> str:
    if not summary.modes:
        return "none; nothing was checked after the erasure"
    names = ("gone", "found", "not_checkable", "not_checked")
    counts = ", ".join(f"{summary.checks[name]} {name.replace('_', ' ')}" for name in names)
    return f"{counts} ({'; '.join(summary.modes)})"


def _deadline(statement: Receipt | Manifest, deadline: Deadline, summary: Summary) -> str:
    outcome, left = statement.outcome, []
    if outcome.erased < outcome.total:
        unerased = _describe_count(outcome.total - outcome.erased)
        left.append(f"{unerased} had not been erased by {utc_text(statement.issued_at)}")
    if summary.batches < summary.batches_of_all:
        left.append(f"{summary.batches_of_all - summary.batches} batches are not in it")
    if isinstance(statement, Manifest) and (without := statement.never_submitted + statement.unclear):
        left.append(f"{_describe_count(without)} are in no receipt")
    if left:
        met = "not met yet" if statement.issued_at <= deadline.ends_at else "not met"
    else:
        met = "met" if summary.settled_at <= deadline.ends_at else "not met"
    return f"{deadline.regime.upper()}, received on {deadline.received_on}, due on {deadline.due_on}: {met}, since " + (
        ", and ".join(left) or f"all were erased by {utc_text(summary.settled_at)}"
    )
