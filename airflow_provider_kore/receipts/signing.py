"""
Sign receipts and verify them.

The kind of a key alone says how is signed; what the header of a receipt says must agree, and decides nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import ValidationError

from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreReceiptError
from airflow_provider_kore.receipts.canonical import NotCanonicalError, read_canonical
from airflow_provider_kore.receipts.documents import Manifest, Receipt, faults_of

SHORTEST_RSA_KEY = 2048
"""In bits."""

_SigningKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey
_VerifyingKey = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey
_KINDS_OF_KEYS = f"an Ed25519 key, an RSA key of at least {SHORTEST_RSA_KEY} bits, or an EC key on P-256"


def _algorithm_of(key: object) -> str | None:
    """Say how a public key verifies; ``None`` if it is of a kind that is not taken."""
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    if isinstance(key, RSAPublicKey) and key.key_size >= SHORTEST_RSA_KEY:
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    return None


def _key_id(key: _VerifyingKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:32]


class ReceiptKey:
    """
    Hold a private key that signs receipts. Its ``repr`` shows the id of the key.

    :ivar algorithm: how it signs.
    :ivar key_id: by which receipts name it.
    """

    def __init__(self, key: _SigningKey, algorithm: str) -> None:
        self._key = key
        self.algorithm = algorithm
        self.key_id = _key_id(key.public_key())

    def __repr__(self) -> str:
        return f"<ReceiptKey {self.algorithm} {self.key_id}>"

    @classmethod
    def from_pem(cls, pem: str) -> ReceiptKey:
        """
        Read a private key.

        :param pem: the PEM text of an unencrypted Ed25519 key, RSA key of at least 2048 bits, or EC key on P-256.
        :raises KoreConfigurationError: if it is anything else.
        """
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, _SigningKey) and (algorithm := _algorithm_of(key.public_key())) is not None:
            return cls(key, algorithm)
        raise KoreConfigurationError(
            "The receipt key cannot be used.",
            consequence=Consequence.NOT_SENT,
            remedy=f"Give the whole PEM text of an unencrypted private key, with its BEGIN and END lines: "
            f"{_KINDS_OF_KEYS}.",
        )

    @property
    def public_key_pem(self) -> str:
        """The public key, by which anybody verifies what this one signs."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, statement: Receipt | Manifest) -> str:
        """Write a receipt or manifest as a compact JWS."""
        return jwt.PyJWS().encode(
            statement.canonical(),
            self._key,
            algorithm=self.algorithm,
            headers={"typ": _type_of(type(statement)), "kid": self.key_id},
            sort_headers=True,
        )


def _type_of(model: type[Receipt | Manifest]) -> str:
    return f"{model.model_fields['kind'].default}+jwt"


_MODELS: dict[object, type[Receipt | Manifest]] = {_type_of(model): model for model in (Receipt, Manifest)}


def verify(text: str, public_key_pem: str) -> Receipt | Manifest:
    """
    Accept what was signed by the holder of a key, and adds up.

    No clock is asked, and no flag skips a check. Of a manifest the receipts that it lists are not looked at.

    :param text: the whole content of the file.
    :param public_key_pem: the PEM text of the public key, which alone decides how is verified.
    :raises KoreReceiptError: if anything is wrong with it, saying what.
    """
    key, algorithm = read_public_key(public_key_pem)
    segments = text.split(".")
    if len(segments) != 3:
        raise _untrusted("it is not a compact JWS of three parts")
    header, payload, _ = map(_decode, segments)
    model = _check_header(header, algorithm, _key_id(key))
    try:
        jwt.PyJWS().decode_complete(text, key, algorithms=[algorithm])
    except jwt.PyJWTError:
        raise _untrusted("its signature is not right: it was changed, or another key signed it") from None
    try:
        read_canonical(payload)
        statement = model.model_validate_json(payload)
    except NotCanonicalError as error:
        raise _untrusted(f"its content {error}") from None
    except ValidationError as error:
        raise _untrusted(f"its content is not right: {faults_of(error)}") from None
    if statement.canonical() != payload:
        raise _untrusted("its content is not written out as this provider writes it")
    return statement


def read_public_key(pem: str) -> tuple[_VerifyingKey, str]:
    """
    Read a public key, and say how it verifies.

    :param pem: its PEM text.
    :raises KoreReceiptError: if nothing can be verified with it.
    """
    if "PRIVATE KEY" in pem:
        raise _unusable("is a private one", "Give the public key, and keep the private one where nobody else sees it.")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(
            "is not a public key in PEM form", "Give its whole text, with the BEGIN and END lines."
        ) from None
    algorithm = _algorithm_of(key)
    if not isinstance(key, _VerifyingKey) or algorithm is None:
        raise _unusable(f"is not {_KINDS_OF_KEYS}", "Ask who issued the receipt for its public key.")
    return key, algorithm


def _unusable(why: str, remedy: str) -> KoreReceiptError:
    return KoreReceiptError(
        f"Nothing was verified: the key given to verify with {why}.",
        consequence=Consequence.NOT_EVIDENT,
        remedy=remedy,
    )


def _decode(segment: str) -> bytes:
    """Decode base64url, refusing the other spellings of the same bytes that a lenient decoder accepts."""
    try:
        content = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        same = base64.urlsafe_b64encode(content).rstrip(b"=").decode() == segment
    except (ValueError, binascii.Error):
        same = False
    if not same:
        raise _untrusted("a part of it is not base64url as a signer writes it")
    return content


def _check_header(content: bytes, algorithm: str, key_id: str) -> type[Receipt | Manifest]:
    try:
        header = read_canonical(content)
    except NotCanonicalError as error:
        raise _untrusted(f"its header {error}") from None
    if not isinstance(header, dict) or header.keys() != {"alg", "kid", "typ"}:
        raise _untrusted("its header has not exactly the names alg, kid and typ")
    if header["alg"] != algorithm:
        raise _untrusted(f"its header does not name {algorithm}, which is how the given key signs")
    if header["kid"] != key_id:
        raise _untrusted(f"its header names another key than the given one, whose id is {key_id}")
    typ = header["typ"]
    if not isinstance(typ, str) or typ not in _MODELS:
        raise _untrusted("its header names neither a receipt nor a manifest as its type")
    return _MODELS[typ]


def _untrusted(why: str) -> KoreReceiptError:
    return KoreReceiptError(
        f"The receipt is not accepted: {why}.",
        consequence=Consequence.NOT_EVIDENT,
        remedy="Ask who issued it for the file as it was written, and for the public key.",
    )
