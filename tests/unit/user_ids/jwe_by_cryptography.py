"""Seal and open user ids by cryptography alone, as RFC 7516 and RFC 7518 say, and by nothing of the package."""

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def b64(content):
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def from_b64(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwk_of(public):
    numbers = public.public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def thumbprint(public):
    jwk = jwk_of(public)
    return b64(
        hashlib.sha256(json.dumps({name: jwk[name] for name in sorted(jwk)}, separators=(",", ":")).encode()).digest()
    )


def concat_kdf(shared):
    words = [bytes(3) + b"\1", shared, bytes(3) + b"\7", b"A256GCM", bytes(4), bytes(4), (256).to_bytes(4, "big")]
    return hashlib.sha256(b"".join(words)).digest()


def seal(user_ids, public, dag_id, exp, *, content=None, header=None, header_text=None):
    """
    Seal user ids.

    ``content``: in their stead. ``header``: changes its members, and ``None`` removes one. ``header_text``: makes the
    JSON of the members.
    """
    own = ec.generate_private_key(ec.SECP256R1())
    members = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": thumbprint(public), "aud": dag_id, "exp": exp}
    members = {**members, "epk": jwk_of(own.public_key()), **(header or {})}
    members = {name: value for name, value in members.items() if value is not None}
    protected = b64((header_text or json.dumps)(members).encode())
    if content is None:
        content = json.dumps(user_ids, ensure_ascii=False).encode()
        content += b" " * (-len(content) % 256)
    nonce, key = os.urandom(12), concat_kdf(own.exchange(ec.ECDH(), public))
    sealed = AESGCM(key).encrypt(nonce, content, protected.encode())
    return f"jwe:{protected}..{b64(nonce)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"


def unseal(text, private):
    """Open a text, and return header and content."""
    protected, wrapped, nonce, content, tag = text.removeprefix("jwe:").split(".")
    header = json.loads(from_b64(protected))
    assert wrapped == ""
    x, y = (int.from_bytes(from_b64(header["epk"][name]), "big") for name in "xy")
    ephemeral = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    key = concat_kdf(private.exchange(ec.ECDH(), ephemeral))
    return header, AESGCM(key).decrypt(from_b64(nonce), from_b64(content) + from_b64(tag), protected.encode())
