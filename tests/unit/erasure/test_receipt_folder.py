"""The folder of receipts says what a fault of the storage means for the erasure."""

import pytest

from airflow_provider_kore.erasure.receipt_folder import ReceiptFolder
from airflow_provider_kore.exceptions import Consequence, KoreReceiptError


def test_a_receipt_that_cannot_be_written_does_not_make_the_erasure_unsent(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KoreReceiptError, match=r"eud-1\.jws cannot be written") as caught:
        ReceiptFolder((tmp_path / "file").as_uri()).write("eud-1.jws", b"receipt")
    assert caught.value.consequence is Consequence.SENT
