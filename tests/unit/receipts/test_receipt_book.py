"""Writing the receipts of one attempt, and the manifest of several."""

import hashlib
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from making_receipts import HEAD, KEYS, LocalFolder, checked, private_pem, public_pem, receipt, request

from airflow_provider_kore.exceptions import KoreReceiptError
from airflow_provider_kore.receipts import wording
from airflow_provider_kore.receipts.auditing import audit
from airflow_provider_kore.receipts.book import ReceiptBook
from airflow_provider_kore.receipts.documents import Manifest
from airflow_provider_kore.receipts.parts import BatchNumber, Counts
from airflow_provider_kore.receipts.signing import ReceiptKey, verify

KEY = ReceiptKey.from_pem(private_pem(KEYS["EdDSA"]))
PUBLIC = public_pem(KEYS["EdDSA"])


def write(folder, *written, head=HEAD):
    book = ReceiptBook(LocalFolder(folder), KEY, head)
    for each in written:
        book.add(each)
    return book.close()


def path_of(evidence):
    path = Path(unquote(urlsplit(evidence["uri"]).path))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == evidence["sha256"]
    return path


def of_batch(number, of, **fields):
    return receipt(f"eud-{number}", batch=BatchNumber(number=number, of=of), **fields)


def test_a_single_receipt_is_the_evidence_by_itself(tmp_path):
    evidence = write(tmp_path, receipt())
    path = path_of(evidence)
    assert evidence == {"uri": (tmp_path / "eud-1.jws").as_uri(), "sha256": evidence["sha256"], "count": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["eud-1.jws"]
    assert verify(path.read_bytes(), PUBLIC) == receipt()
    json.dumps(evidence)


def test_several_receipts_have_a_manifest_that_adds_up(tmp_path):
    looked_at = of_batch(2, 3, verification=checked(not_checked=3))
    evidence = write(tmp_path, of_batch(1, 3), looked_at, of_batch(3, 3, persons=None))
    assert evidence["count"] == 3
    path = path_of(evidence)
    manifest = verify(path.read_bytes(), PUBLIC)
    assert isinstance(manifest, Manifest)
    assert (path.name, manifest.head) == (manifest.file_name, HEAD)
    assert [listed.name for listed in manifest.receipts] == ["eud-1.jws", "eud-2.jws", "eud-3.jws"]
    assert manifest.user_count == 9
    assert manifest.outcome == manifest.vendor_reported == Counts(erased=3, open=3, not_erased=3)
    assert manifest.does_not_cover == (*wording.DOES_NOT_COVER, wording.NOT_VERIFIED, wording.NOT_NAMED)
    assert len(list(tmp_path.iterdir())) == 4
    assert audit(path, PUBLIC) == manifest


def test_without_receipts_there_is_no_evidence(tmp_path):
    assert write(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_retry_writes_its_evidence_over_that_of_the_attempt_before(tmp_path):
    write(tmp_path, of_batch(1, 2), of_batch(2, 2))
    head = HEAD.model_copy(update={"run": HEAD.run.model_copy(update={"try_number": 2})})
    again = [request("eud-2", 3), request("eud-4", 1)]
    evidence = write(tmp_path, of_batch(1, 2, head=head), of_batch(2, 2, head=head, requests=again), head=head)
    manifest = audit(path_of(evidence), PUBLIC)
    assert manifest.run.try_number == 2
    assert [listed.request_id for listed in manifest.receipts] == ["eud-1", "eud-4"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("eud-1.jws", "eud-2.jws", "eud-4.jws", manifest.file_name),
    }


def test_a_receipt_of_another_attempt_is_not_taken(tmp_path):
    other = HEAD.model_copy(update={"approved_by": "somebody else"})
    with pytest.raises(KoreReceiptError, match="not about the attempt"):
        write(tmp_path, receipt(head=other))
    assert not list(tmp_path.iterdir())


def test_one_request_is_not_listed_twice(tmp_path):
    with pytest.raises(KoreReceiptError, match="listed twice"):
        write(tmp_path, receipt(), receipt())
