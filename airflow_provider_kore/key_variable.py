"""Read a key that an Airflow Variable stores, while a task runs and nowhere else."""

from __future__ import annotations

from airflow_provider_kore.api.account import KoreAccount, pem_text
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreConnectionUnreadableError


def read_key_variable(account: KoreAccount, field: str) -> str:
    """
    Read a key from the Airflow Variable that the connection names, and mask it in logs.

    :param account: the connection.
    :param field: the field for the key itself, such as ``receipt_key``; the one for the Variable is named after it.
    :raises KoreConfigurationError: if there is no such Variable, or it is blank.
    :raises KoreConnectionUnreadableError: if Airflow cannot read it.
    """
    from airflow.sdk import Variable
    from airflow.sdk.log import mask_secret

    name, named_by = getattr(account, f"{field}_variable"), f"{field}_variable"
    try:
        value = Variable.get(name, default=None)
    except Exception as error:  # noqa: BLE001 # each secrets backend has exceptions of its own, and texts with secrets
        raise KoreConnectionUnreadableError(
            f"The Airflow Variable {name}, which the field {named_by} names, cannot be read ({type(error).__name__}).",
            consequence=Consequence.NOT_SENT,
            remedy="Check that the task may read the Variable, and the secrets backend that has it.",
        ) from None
    if not isinstance(value, str) or not value.strip():
        raise KoreConfigurationError(
            f"There is no Airflow Variable {name} with the {field.replace('_', ' ')}.",
            consequence=Consequence.NOT_SENT,
            remedy=f"Put the text of the key into it, or correct the field {named_by}.",
        )
    key = pem_text(value)
    mask_secret([value, key])
    return key
