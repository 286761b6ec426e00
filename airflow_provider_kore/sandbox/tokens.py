"""Check the token of a request as Kore does."""

import json
import math
from collections.abc import Mapping, Set

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_kore.sandbox.answers import RefusedError
from airflow_provider_kore.sandbox.settings import Settings

LONGEST_LIFE = 3600  # seconds that exp may be ahead, for a token with a jti


def with_key_pair(settings: Settings) -> tuple[Settings, str]:
    """Make a fresh RSA key pair; return the settings with its public key, and its private key as PEM text."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return settings.changed({"public_key": public_key.decode()}), private_key.decode()


def check_key(settings: Settings) -> None:
    """Raise ``ValueError`` if tokens of this app cannot be verified with the key at hand."""
    try:
        jwt.get_algorithm_by_name(settings.algorithm).prepare_key(_key(settings))
    except (ValueError, jwt.PyJWTError) as error:
        name = "public_key, as PEM text" if settings.algorithm.startswith("RS") else "client_secret"
        raise ValueError(f"{settings.algorithm} needs another {name}") from error


def read_token(token: str | None, settings: Settings) -> Mapping[str, object]:
    """Return the claims of a token that an app signed; refuse any other, and more or fewer than one."""
    try:
        # only the signature: time and identity are checked against the sandbox's own clock and in Kore's words
        claims = json.loads(jwt.PyJWS().decode(token or "", _key_of(token, settings), [settings.algorithm]))
    except (jwt.PyJWTError, ValueError):
        raise _invalid_credentials() from None
    if settings.enforce_jwe:
        raise _unverified("JWE is enforced, and the token is not encrypted")
    if not isinstance(claims, dict):
        raise _invalid_credentials()
    return claims


def is_of_bot_app(claims: Mapping[str, object], settings: Settings) -> bool:
    """Return whether a token is of the app that was made in a bot's own settings."""
    return bool(settings.bot_client_id) and claims.get("appId") == settings.bot_client_id


def token_id(claims: Mapping[str, object]) -> str | None:
    """Return the id that makes a token usable once, under either of its names."""
    identifier = claims.get("jti", claims.get("kore_jti"))
    return identifier if isinstance(identifier, str) and identifier.strip() else None


def check_claims(claims: Mapping[str, object], settings: Settings, now: float, used_token_ids: Set[str]) -> None:
    """Refuse claims that Kore refuses, and a token that was used before."""
    subject = claims.get("sub")
    if (
        (claims.get("appId") != settings.client_id and not is_of_bot_app(claims, settings))
        or "iss" in claims  # the claim of the SDK flow, which is not for the public APIs
        or not (isinstance(subject, str) and subject.strip())
    ):
        raise _invalid_credentials()

    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if expires <= now:
        raise _unverified("jwt expired")
    if issued > now + settings.clock_leeway:
        raise _unverified('"iat" claim is in the future')
    if "nbf" in claims and _time(claims, "nbf") > now + settings.clock_leeway:
        raise _unverified("jwt not active")

    identifier = token_id(claims)
    if identifier is None:
        if settings.enforce_jti or "jti" in claims or "kore_jti" in claims:
            raise _unverified('"jti" claim is required')
    elif expires - now > LONGEST_LIFE:
        raise _unverified('if "jti" claim "exp" must be <= 1 hour(s)')
    elif identifier in used_token_ids:
        raise _unverified("possibly a replay")


def _key_of(token: str | None, settings: Settings) -> str:
    """Return the key of the app that a token names, before the signature is checked; RS256 and RS512 share one."""
    if settings.bot_client_id and not settings.algorithm.startswith("RS"):
        claims = jwt.decode(token or "", options={"verify_signature": False})
        if is_of_bot_app(claims, settings):
            return settings.bot_client_secret
    return _key(settings)


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
