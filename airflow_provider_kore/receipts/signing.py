"""
Sign receipts and verify them.

The kind of the key alone decides the algorithm. The header of a receipt must agree with it.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

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

from airflow_provider_kore.api.decoding import decode_json
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreReceiptError
from airflow_provider_kore.receipts.documents import Manifest, Receipt, describe_faults

SHORTEST_RSA_KEY = 2048
"""In bits."""

_SigningKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey
_VerifyingKey = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey
_KINDS_OF_KEYS = f"an Ed25519 key, an RSA key of at least {SHORTEST_RSA_KEY} bits, or an EC key on P-256"


def _algorithm_of(key: object) -> str | None:
    """Name the algorithm of a public key; ``None`` if its kind is not supported."""
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
    A private key that signs receipts. Its ``repr`` shows the id of the key.

    :ivar algorithm: of its signatures.
    :ivar key_id: names it in receipts.
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
            remedy=f"Set the whole PEM text of an unencrypted private key, with its BEGIN and END lines: "
            f"{_KINDS_OF_KEYS}.",
        )

    @property
    def public_key_pem(self) -> str:
        """The public key, which verifies what this one signs."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, statement: Receipt | Manifest) -> bytes:
        """Write a receipt or manifest as a compact JWS."""
        signed = jwt.PyJWS().encode(
            statement.model_dump_json().encode(),
            self._key,
            algorithm=self.algorithm,
            headers={"typ": f"{statement.kind}+jwt", "kid": self.key_id},
            sort_headers=True,
        )
        return signed.encode()


_MODELS: dict[object, type[Receipt | Manifest]] = {
    "kore-erasure-receipt+jwt": Receipt,
    "kore-erasure-manifest+jwt": Manifest,
}


def verify(content: bytes, public_key_pem: str) -> Receipt | Manifest:
    """
    Accept what the owner of a key signed, if it adds up.

    No clock is asked, and no flag skips a check. The receipts that a manifest lists are not read.

    :param content: of the file.
    :param public_key_pem: the PEM text of the public key, which alone decides the algorithm.
    :raises KoreReceiptError: if anything is wrong with it, saying what.
    """
    key, algorithm = read_public_key(public_key_pem)
    try:
        model = _check_header(jwt.get_unverified_header(content), algorithm, _key_id(key))
        signed = jwt.PyJWS().decode_complete(content, key, algorithms=[algorithm])
    except jwt.InvalidSignatureError:
        signed = None
    except (jwt.PyJWTError, RecursionError):
        raise _untrusted("it is not a JWS as this provider writes it") from None
    # PyJWT also accepts other spellings of the signature's bytes. The payload's spelling is signed.
    if signed is None or not content.endswith(b"." + urlsafe_b64encode(signed["signature"]).rstrip(b"=")):
        raise _untrusted("its signature is not right: it was changed, or another key signed it")
    try:
        decode_json(signed["payload"])
        return model.model_validate_json(signed["payload"])
    except ValidationError as error:
        raise _untrusted(f"its content is not right: {describe_faults(error)}") from None
    except ValueError:
        raise _untrusted("its content is not JSON, or names a key twice in one object") from None


def read_public_key(pem: str) -> tuple[_VerifyingKey, str]:
    """
    Read a public key, and say by which algorithm it verifies.

    :param pem: its PEM text.
    :raises KoreReceiptError: if nothing can be verified with it.
    """
    if "PRIVATE KEY" in pem:
        raise _unusable("is a private one", "Pass the public key, and keep the private one secret.")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(
            "is not a public key in PEM form", "Pass its whole text, with the BEGIN and END lines."
        ) from None
    algorithm = _algorithm_of(key)
    if not isinstance(key, _VerifyingKey) or algorithm is None:
        raise _unusable(f"is not {_KINDS_OF_KEYS}", "Ask who issued the receipt for its public key.")
    return key, algorithm


def _check_header(header: dict[str, object], algorithm: str, key_id: str) -> type[Receipt | Manifest]:
    if header.keys() != {"alg", "kid", "typ"}:
        raise _untrusted("its header has not exactly the names alg, kid and typ")
    if header["alg"] != algorithm:
        raise _untrusted(f"its header does not name {algorithm}, which is how the key signs")
    if header["kid"] != key_id:
        raise _untrusted(f"its header names another key than this one, whose id is {key_id}")
    for typ, model in _MODELS.items():
        if header["typ"] == typ:
            return model
    raise _untrusted("its header names neither a receipt nor a manifest as its type")


def _unusable(why: str, remedy: str) -> KoreReceiptError:
    return KoreReceiptError(
        f"Nothing was verified: the key to verify with {why}.", consequence=Consequence.NOT_EVIDENT, remedy=remedy
    )


def _untrusted(why: str) -> KoreReceiptError:
    return KoreReceiptError(
        f"The receipt is not accepted: {why}.",
        consequence=Consequence.NOT_EVIDENT,
        remedy="Ask who issued it for the file as it was written, and for the public key.",
    )
