"""
The keys of sealed user ids, and the encryption: a public key seals, private ones open.

This module alone imports joserfc, of the extra ``sealed``. It needs no Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.text_forms import parse_json

try:
    from joserfc import jwe
    from joserfc.jwk import ECKey
    from joserfc.registry import HeaderParameter
except ImportError:
    raise KoreInputError(
        "Sealed user ids need the package joserfc, which is not installed here.",
        remedy="Install airflow-provider-kore[sealed] on each worker, and where user ids are sealed.",
    ) from None

__all__ = ["ECKey", "SealKeys", "decrypt", "encrypt", "make_seal_key", "public_jwk", "read_public_key"]

_REGISTRY = jwe.JWERegistry(
    {"aud": HeaderParameter("DAG", "str", True), "exp": HeaderParameter("Last start of a run", "int", True)},
    algorithms=["ECDH-ES", "A256GCM"],
)
_REGISTRY.max_protected_header_length = 8192  # the id of a DAG may be long

_PUBLIC, _PRIVATE = ("kty", "crv", "x", "y"), ("kty", "crv", "x", "y", "d")
_PEM_KEY = re.compile(r"-----BEGIN ((?:EC )?PRIVATE KEY)-----[^-]+-----END \1-----\s*")


class SealKeys:
    """
    Private keys that open sealed user ids: the present one, and older ones whose texts may still be in use.

    :ivar secrets: the texts that no log may show.
    """

    def __init__(self, keys: Sequence[ECKey], secrets: Sequence[str]) -> None:
        self._keys = {key.thumbprint(): key for key in keys}
        self.secrets = secrets

    def __repr__(self) -> str:
        return f"<SealKeys {', '.join(self.key_ids)}>"

    @property
    def key_ids(self) -> list[str]:
        """The thumbprints of the keys, by which public keys and texts name them."""
        return list(self._keys)

    def find(self, key_id: str) -> ECKey | None:
        """Find the key of a thumbprint."""
        return self._keys.get(key_id)

    @classmethod
    def read(cls, text: str) -> SealKeys:
        """
        Read private keys.

        :param text: unencrypted EC keys on P-256: one or more in PEM form, one after the other, or a JWK, or a JWK set.
        :raises KoreInputError: if it is anything else.
        """
        try:
            keys = [_private_key(key) for key in _split(text)]
        except Exception:  # noqa: BLE001 # of whatever kind, its text may show a key
            keys = []
        if not keys:
            raise KoreInputError(
                "The seal key cannot be used.",
                remedy="Set one or more unencrypted EC private keys on P-256, as make-seal-key writes them: in PEM "
                "form one after the other, each with its BEGIN and END lines, or as a JWK set.",
            )
        pems = [key.as_pem(private=True).decode() for key in keys]
        return cls(keys, [text, *pems, *(str(key.as_dict(private=True)["d"]) for key in keys)])


def _split(text: str) -> list[str | dict[str, str | list[str]]]:
    if not text.lstrip().startswith("{"):
        if not _PEM_KEY.sub("", text).strip():
            return [found[0] for found in _PEM_KEY.finditer(text)]
        raise ValueError
    document = parse_json(text, "it")
    keys = document.get("keys", [document]) if isinstance(document, dict) else []
    return [{name: key[name] for name in _PRIVATE} for key in keys]


def _private_key(key: str | dict[str, str | list[str]]) -> ECKey:
    read = ECKey.import_key(key)
    if not read.is_private or read.curve_name != "P-256":
        raise ValueError
    return read


def make_seal_key() -> ECKey:
    """Make a private key; what is sealed to its public key cannot be opened without it."""
    return ECKey.generate_key("P-256")


def public_jwk(key: ECKey) -> dict[str, str]:
    """Return the public key as a JWK, as ``x-kore-seal`` of a Param has it; ``kid`` is its thumbprint."""
    public = key.as_dict(private=False)
    return {**{name: str(public[name]) for name in _PUBLIC}, "kid": key.thumbprint()}


def read_public_key(text: str) -> ECKey:
    """
    Read a public key.

    :param text: a JWK as :func:`public_jwk` returns it.
    :raises KoreInputError: if it is anything else, above all a private key.
    """
    try:
        document = parse_json(text, "it")
        if not isinstance(document, dict) or document.keys() != {*_PUBLIC, "kid"}:
            raise ValueError
        key = ECKey.import_key({name: document[name] for name in _PUBLIC})
        if key.curve_name == "P-256" and public_jwk(key) == document:
            return key
    except Exception:  # noqa: BLE001, S110 # of whatever kind, its text may show a private key
        pass
    if "PRIVATE KEY" in text or '"d"' in text:
        raise KoreInputError(
            "The key to seal with is a private one.",
            remedy="Pass the public key that make-seal-key printed. Only the worker needs the private one.",
        )
    raise KoreInputError(
        "The key to seal with is not a public key of sealed user ids.",
        remedy="Pass the JSON object that make-seal-key printed, with exactly kty, crv, x, y and kid. "
        "If kid is not the thumbprint of the key, one of the two was changed: ask the owner of the key for it.",
    )


def encrypt(header: Mapping[str, object], content: bytes, key: ECKey) -> str:
    """
    Encrypt content as a compact JWE.

    :param header: without ``epk``.
    :param content: to encrypt.
    :param key: the public key.
    """
    return jwe.encrypt_compact(dict(header), content, key, registry=_REGISTRY)


def decrypt(token: str, key: ECKey) -> bytes | None:
    """
    Decrypt a compact JWE; ``None`` if anything of it was changed.

    :param token: whose form and header are checked.
    :param key: the private key.
    """
    try:
        return jwe.decrypt_compact(token, key, registry=_REGISTRY).plaintext
    except Exception:  # noqa: BLE001 # each library below has exceptions of its own
        return None
