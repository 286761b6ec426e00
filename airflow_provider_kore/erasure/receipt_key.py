"""Read the receipt key of an account, while a task runs and nowhere else."""

from __future__ import annotations

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError
from airflow_provider_kore.key_variable import read_key_variable
from airflow_provider_kore.receipts.signing import ReceiptKey


def receipt_key_of(account: KoreAccount) -> ReceiptKey:
    """
    Read the key that signs an account's receipts, from its connection or from the Airflow Variable named there.

    Read it before anything is submitted: without it no receipt can be written.

    :param account: the connection.
    :raises KoreConfigurationError: if there is none, or it cannot be used.
    :raises KoreConnectionUnreadableError: if Airflow cannot read the Variable.
    """
    if account.receipt_key:
        return ReceiptKey.from_pem(account.receipt_key)
    if account.receipt_key_variable:
        return ReceiptKey.from_pem(read_key_variable(account, "receipt_key"))
    raise KoreConfigurationError(
        "The connection has no key for receipts.",
        consequence=Consequence.NOT_SENT,
        remedy="Make one with python -m airflow_provider_kore.receipts make-key. Put it into the field receipt_key, or "
        "into an Airflow Variable that the field receipt_key_variable names.",
    )
