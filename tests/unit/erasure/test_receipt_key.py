"""Where the key of receipts is read from, and that no log shows it."""

import json
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.erasure.receipt_key import receipt_key_of
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError
from airflow_provider_kore.hooks.kore import KoreHook
from airflow_provider_kore.receipts.signing import ReceiptKey

PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEY_ID = ReceiptKey.from_pem(PEM).key_id


@pytest.fixture
def masked(monkeypatch):
    """See what is masked."""
    masked = []

    def mask_secret(secret, name=None):
        masked.append(secret)

    monkeypatch.setattr("airflow.sdk.log.mask_secret", mask_secret)
    monkeypatch.setattr("airflow_provider_kore.hooks.kore.mask_secret", mask_secret)
    return masked


@pytest.fixture
def variable(monkeypatch):
    """Set the Airflow Variable that the account names, or none."""

    def variable(value):
        if value is None:
            monkeypatch.delenv("AIRFLOW_VAR_KORE_RECEIPTS", raising=False)
        else:
            monkeypatch.setenv("AIRFLOW_VAR_KORE_RECEIPTS", value)
        return "kore_receipts"

    return variable


def account(**fields):
    return KoreAccount("https://platform.kore.ai", "cs-1", **fields)


def refused(**fields):
    with pytest.raises(KoreConfigurationError) as caught:
        receipt_key_of(account(**fields))
    assert caught.value.consequence is Consequence.NOT_SENT
    assert PEM.splitlines()[1] not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_the_key_of_the_connection_is_used():
    assert receipt_key_of(account(receipt_key=PEM)).key_id == KEY_ID


def test_the_key_of_the_connection_is_masked_as_soon_as_it_is_read(monkeypatch, masked):
    extra = {"receipt_key": PEM, "digest_key": "held apart"}
    connection = {"conn_type": "kore", "host": "https://a", "login": "cs-1", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(connection))
    assert receipt_key_of(KoreHook().account).key_id == KEY_ID
    assert masked[-1] == ["secret", "held apart", PEM]


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", "\\n"), f"\n {PEM} "])
def test_the_key_of_the_variable_is_used_and_masked(variable, masked, text):
    assert receipt_key_of(account(receipt_key_variable=variable(text))).key_id == KEY_ID
    assert masked == [[text, PEM]]


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_without_a_key_is_refused_by_its_name(variable, masked, value):
    assert "no Airflow Variable kore_receipts" in refused(receipt_key_variable=variable(value))


def test_what_the_variable_holds_is_masked_before_it_is_refused(variable, masked):
    assert "cannot be used" in refused(receipt_key_variable=variable(PEM[:90]))
    assert masked


def test_without_a_key_it_is_told_how_to_make_one():
    words = refused()
    assert "make-key" in words
    assert "receipt_key_variable" in words
