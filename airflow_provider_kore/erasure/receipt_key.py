"""Read the receipt key of an account, while a task runs and nowhere else."""

from __future__ import annotations

from airflow_provider_kore.api.account import KoreAccount, pem_text
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreConnectionUnreadableError
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
        return ReceiptKey.from_pem(_read_variable(account.receipt_key_variable))
    raise KoreConfigurationError(
        "The connection has no key for receipts.",
        consequence=Consequence.NOT_SENT,
        remedy="Make one with python -m airflow_provider_kore.receipts make-key. Put it into the field receipt_key, or "
        "into an Airflow Variable that the field receipt_key_variable names.",
    )


def _read_variable(name: str) -> str:
    from airflow.sdk import Variable
    from airflow.sdk.log import mask_secret

    try:
        value = Variable.get(name, default=None)
    except Exception as error:  # noqa: BLE001 # each secrets backend has exceptions of its own, and texts with secrets
        raise KoreConnectionUnreadableError(
            f"The Airflow Variable {name}, which the field receipt_key_variable names, cannot be read "
            f"({type(error).__name__}).",
            consequence=Consequence.NOT_SENT,
            remedy="Check that the task may read the Variable, and the secrets backend that has it.",
        ) from None
    if not isinstance(value, str) or not value.strip():
        raise KoreConfigurationError(
            f"There is no Airflow Variable {name} with the receipt key.",
            consequence=Consequence.NOT_SENT,
            remedy="Put the PEM text of the key into it, or correct the field receipt_key_variable.",
        )
    pem = pem_text(value)
    mask_secret([value, pem])
    return pem
