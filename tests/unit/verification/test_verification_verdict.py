"""A verification is right only if no user is found; the worst error comes first, and none contains a user id."""

import pytest

from airflow_provider_kore.exceptions import KoreFoundError, KoreInputError, KoreVerificationError
from airflow_provider_kore.verification.findings import Finding
from airflow_provider_kore.verification.verdict import verification_failures
from tests.unit.verification.verifying import record, start

GONE, FOUND, NOT_CHECKABLE = Finding.GONE, Finding.FOUND, Finding.NOT_CHECKABLE
BROKE_OFF = KoreInputError("It broke off.", remedy="")


@pytest.mark.parametrize(
    ("findings", "before", "if_fail", "if_warn"),
    [
        ([GONE], [], [], []),
        ([GONE], [BROKE_OFF], [KoreInputError], [KoreInputError]),
        ([NOT_CHECKABLE], [], [KoreVerificationError], []),
        ([NOT_CHECKABLE], [BROKE_OFF], [KoreInputError, KoreVerificationError], [KoreInputError]),
        ([GONE, None], [], [KoreVerificationError], []),
        ([FOUND], [], [KoreFoundError], [KoreFoundError]),
        ([FOUND], [BROKE_OFF], [KoreFoundError, KoreInputError], [KoreFoundError, KoreInputError]),
        ([FOUND, NOT_CHECKABLE], [], [KoreFoundError], [KoreFoundError]),
        ([FOUND, None], [], [KoreFoundError], [KoreFoundError]),
    ],
)
def test_what_is_wrong_after_a_verification(findings, before, if_fail, if_warn):
    verification = start("all", len(findings))
    for number, finding in enumerate(findings):
        if finding is not None:
            record(verification, number, finding)
    for fail, wrong in ((True, if_fail), (False, if_warn)):
        failures = verification_failures(verification, len(findings), before, fail_if_not_checkable=fail)
        assert [type(failure) for failure in failures] == wrong


def test_an_error_names_the_places_of_users_and_counts_the_others():
    verification = start("all", 30)
    for number in range(25):
        record(verification, number, FOUND)
    (failure,) = verification_failures(verification, 30, [], fail_if_not_checkable=True)
    assert "0 gone, 25 found, 5 not checkable, 0 not checked, of 30" in failure.problem
    assert "Found: batch 1 position 1, " in failure.problem
    assert "and 5 more" in failure.problem
