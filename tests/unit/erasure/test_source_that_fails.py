"""A source of user ids that fails while batches are submitted."""

import pytest

from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.submit import submission_broke_off
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreResumeError, KoreSourceError


@pytest.mark.parametrize("kind", [KoreSourceError, KoreInputError, KoreResumeError])
def test_a_source_that_fails_in_the_midst_of_a_submission_is_still_worth_a_retry(kind):
    ledger = type("Ledger", (ErasureLedger,), {"__init__": lambda self: None, "anything_accepted": True})()
    broken = submission_broke_off(
        kind("It went wrong.", consequence=Consequence.NOT_SENT, remedy="Mend it."), ledger, 3
    )
    assert isinstance(broken, KoreInputError)
    assert isinstance(broken, KoreSourceError) is (kind is KoreSourceError)
    assert broken.consequence is Consequence.PARTLY_DONE
