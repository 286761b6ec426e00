"""Check the token of a request as Kore does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.settings import Settings

LONGEST_LIFE = 3600  # seconds that exp may be ahead, for a token with a jti

# Time and identity are checked here, against the sandbox's own clock and in Kore's words.
_ONLY_THE_SIGNATURE: "jwt.types.Options" = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True)
class KeyPair:
    """An RSA key pair as PEM text."""

    private_key: str
    public_key: str


def generate_key_pair() -> KeyPair:
    """Make a fresh RSA key pair."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeyPair(private_key.decode(), public_key.decode())


def check_key(settings: Settings) -> None:
    """Raise ``ValueError`` if tokens of this app cannot be verified with the key at hand."""
    try:
        jwt.get_algorithm_by_name(settings.algorithm).prepare_key(_key(settings))
    except (ValueError, jwt.PyJWTError) as error:
        name = "public_key, as PEM text" if settings.algorithm.startswith("RS") else "client_secret"
        raise ValueError(f"{settings.algorithm} needs another {name}") from error


def read_token(token: str, settings: Settings) -> Mapping[str, object]:
    """Return the claims of a token that this app signed; refuse any other."""
    try:
        return jwt.decode(token, _key(settings), algorithms=[settings.algorithm], options=_ONLY_THE_SIGNATURE)
    except jwt.PyJWTError:
        raise _invalid_credentials() from None


def token_id(claims: Mapping[str, object]) -> str | None:
    """Return the id that makes a token usable once, under either of its names."""
    identifier = claims.get("jti", claims.get("kore_jti"))
    return identifier if isinstance(identifier, str) and identifier.strip() else None


def check_claims(claims: Mapping[str, object], settings: Settings, now: float) -> None:
    """Refuse claims that Kore refuses; whether the token was used before is not seen here."""
    if claims.get("appId") != settings.client_id:
        raise _invalid_credentials()
    if "iss" in claims:  # the claim of the SDK flow, which is not for the public APIs
        raise _invalid_credentials()
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.strip():
        raise _invalid_credentials()

    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if expires <= now:
        raise _unverified("jwt expired")
    if issued > now + settings.clock_leeway:
        raise _unverified('"iat" claim is in the future')
    if "nbf" in claims and _time(claims, "nbf") > now + settings.clock_leeway:
        raise _unverified("jwt not active")

    if token_id(claims) is None:
        if settings.enforce_jti or "jti" in claims or "kore_jti" in claims:
            raise _unverified('"jti" claim is required')
    elif expires - now > LONGEST_LIFE:
        raise _unverified('if "jti" claim "exp" must be <= 1 hour(s)')


def refuse_replay() -> RefusedError:
    """Refuse a token whose id was used before."""
    return _unverified("possibly a replay")


def refuse_missing_token() -> RefusedError:
    """Refuse a request without exactly one token."""
    return _invalid_credentials()


def _key(settings: Settings) -> str:
    return settings.public_key if settings.algorithm.startswith("RS") else settings.client_secret


def _time(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _unverified(f'"{name}" claim must be a number')
    return float(value)


def _invalid_credentials() -> RefusedError:
    return RefusedError(401, "Invalid SDK credentials", 4002)


def _unverified(reason: str) -> RefusedError:
    return RefusedError(401, f"error verifying the jwt: {reason}")
