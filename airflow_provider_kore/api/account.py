"""Read and check an Airflow connection of type ``kore``, without Airflow."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal, TypedDict, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, Strict, TypeAdapter, ValidationError

from airflow_provider_kore.api.profile import DEFAULT_PROFILE, Profile
from airflow_provider_kore.api.redis_connection import RedisConnection
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

Algorithm = Literal["HS256", "HS512", "RS256", "RS512"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""Documented by Kore.ai as the choices of an app; HS256 is the usual one."""

LONGEST_TOKEN_LIFE = 3600
"""Documented by Kore.ai: a token with a ``jti`` may expire at most one hour ahead."""


def secret_text(text: str) -> str:
    """
    Accept a secret, and refuse one that was pasted with more than itself: it would be another secret.

    :raises ValueError: saying what is wrong, without the secret.
    """
    if text != text.strip():
        raise ValueError("begins or ends with a space or a line break, which is not a part of it")
    if _has_hidden_character(text):
        raise ValueError("contains a line break or another character that cannot be seen")
    return text


def _has_hidden_character(text: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)


def pem_text(text: str) -> str:
    """Put a key in PEM form right: pasted into JSON or a URI, it often comes with its line breaks spelled out."""
    return text.replace("\\n", "\n").strip() + "\n"


def _name(text: str) -> str:
    if (
        not text.strip() or "PRIVATE KEY" in text or "{" in text
    ):  # a key in PEM form or a JWK, which would be shown, where a name is
        raise ValueError("must be a name")
    return text.strip()


def _existing_path(path: str) -> str:
    if not os.path.exists(path):  # noqa: PTH110 # Path's raises an error that can show a key pasted in place of a path
        raise ValueError("names a file that does not exist on this machine, or that may not be read")
    return path


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # as pydantic wants it
    return value


def _flag(value: object) -> object:
    text = value.strip().lower() if isinstance(value, str) else None
    return text == "true" if text in ("true", "false") else value


def _split_bot_ids(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return value.replace("\n", ",").split(",")
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("begins like a JSON list and is none") from None


def _check_bot_ids(value: tuple[str, ...]) -> tuple[str, ...]:
    bot_ids = tuple(bot_id.strip() for bot_id in value if bot_id.strip())
    if not bot_ids:
        raise ValueError("names no bot; leave it out to allow any")
    if any(character in "[]{}\"'," or character.isspace() for bot_id in bot_ids for character in bot_id):
        raise ValueError("has bot ids with quotes, brackets, commas or spaces in them; separate bot ids with commas")
    return bot_ids


Secret = Annotated[str, AfterValidator(secret_text)]
Pem = Annotated[str, AfterValidator(pem_text)]
Name = Annotated[str, AfterValidator(_name)]
ExistingPath = Annotated[str, AfterValidator(_existing_path)]
Flag = Annotated[bool, Strict(), BeforeValidator(_flag)]
BotIds = Annotated[tuple[str, ...], BeforeValidator(_split_bot_ids), AfterValidator(_check_bot_ids)]
_NUMBER = BeforeValidator(_no_bool)


class AccountIdentity(TypedDict):
    """Whose account it is."""

    base_url: str
    client_id: str


@dataclass(frozen=True, slots=True)
class KoreAccount:
    """
    How to reach one account at Kore.ai, and the guards that the author of a DAG cannot widen.

    Its ``repr`` shows no secret.

    :param base_url: scheme, host and port, without a path.
    :param client_id: the app's Client ID (``cs-…``).
    :param client_secret: the app's Client Secret; for HS256 and HS512.
    :param subject: the claim ``sub`` of each token.
    :param algorithm: how tokens are signed.
    :param private_key: in PEM form; for RS256 and RS512.
    :param token_ttl: life of a token in seconds.
    :param timeout: longest silence on a connection to Kore.ai, in seconds.
    :param ca_bundle: a file or folder of certificates to trust instead of the usual ones.
    :param requests_per_minute: the account's calls a minute, or this process's share if there is no budget in Redis.
    :param requests_per_hour: the same for the hour.
    :param allow_all_bots: whether users may be erased from, or exported from, all bots of the organisation at once.
    :param allowed_bot_ids: the only bots to erase from or to export; ``None`` for any.
    :param max_users: most users that one task may erase or export.
    :param digest_key: the key of digests and fingerprints, which stand for users in logs, records, exports and
        receipts.
    :param receipt_key: in PEM form; signs receipts.
    :param receipt_key_variable: the Airflow Variable that contains such a key instead.
    :param api_profile: how Kore.ai differs from what is guessed about it.
    :param seal_key: private keys, in PEM form or a JWK set, that open sealed user ids.
    :param seal_key_variable: the Airflow Variable that contains such keys instead.
    :param budget_conn_id: the Airflow connection to the Redis that keeps one budget of calls for all processes.
    :param budget_redis: that Redis, as the hook reads it; no field of the connection.
    """

    base_url: str
    client_id: str
    client_secret: Secret = field(default="", repr=False)
    subject: str = "airflow"
    algorithm: Algorithm = "HS256"
    private_key: Pem = field(default="", repr=False)
    token_ttl: Annotated[int, _NUMBER, Field(ge=1, le=LONGEST_TOKEN_LIFE)] = 300
    timeout: Annotated[float, _NUMBER, Field(gt=0, le=3600)] = 30.0
    ca_bundle: ExistingPath | None = None
    requests_per_minute: Annotated[int, _NUMBER, Field(ge=1, le=1_000_000)] = 60
    requests_per_hour: Annotated[int, _NUMBER, Field(ge=1, le=100_000_000)] = 1800
    allow_all_bots: Flag = False
    allowed_bot_ids: BotIds | None = None
    max_users: Annotated[int, _NUMBER, Field(ge=1, le=1_000_000_000)] = 10_000
    digest_key: Secret = field(default="", repr=False)
    receipt_key: Pem = field(default="", repr=False)
    receipt_key_variable: Name = ""
    api_profile: Profile = DEFAULT_PROFILE
    seal_key: Pem = field(default="", repr=False)
    seal_key_variable: Name = ""
    budget_conn_id: Name = ""
    budget_redis: RedisConnection | None = None

    def fingerprint_key(self) -> bytes:
        """
        Give the key of fingerprints, which tell whether the users of two attempts are the same.

        It is derived from the digest key, or from the account's secret if there is none, so that whoever reads
        Airflow's database alone cannot match a fingerprint to a user.
        """
        material = self.digest_key or self.client_secret or self.private_key
        return hmac.new(material.encode(), b"airflow-provider-kore fingerprint", hashlib.sha256).digest()

    def identity(self) -> AccountIdentity:
        """Name the account without a secret, for a task that resumes in another process."""
        return {"base_url": self.base_url, "client_id": self.client_id}


def read_account(
    *,
    host: str | None,
    port: int | None = None,
    login: str | None,
    password: str | None,
    extra: Mapping[str, object],
) -> KoreAccount:
    """
    Check the fields of a connection and turn them into an account.

    Extra fields may be of their own type, or text as in a connection URI.

    :param host: base URL with scheme; a trailing slash does not matter.
    :param port: added to the base URL if that names none.
    :param login: Client ID.
    :param password: Client Secret.
    :param extra: the further fields; one that is not known is refused, since a misspelled guard guards nothing.
    :raises KoreConfigurationError: naming the field, never its value if that could be a secret.
    """
    account = _validate(
        {name: value for name, value in extra.items() if value is not None and value != ""},
        base_url=_read_base_url(host, port),
        client_id=(login or "").strip(),
        client_secret=password or "",
    )
    if not account.client_id:
        raise _fault("The connection has no Client ID.", "Put the app's Client ID (cs-…) into the field Client ID.")
    if account.algorithm.startswith("RS") and not account.private_key:
        raise _fault(
            f"The connection signs with {account.algorithm} and has no private_key.",
            "Put the PEM text of the app's private key into the field Private key, or set the algorithm to HS256.",
        )
    if account.algorithm.startswith("HS") and not account.client_secret:
        raise _fault(
            f"The connection signs with {account.algorithm} and has no Client Secret.",
            "Put the app's Client Secret into the field Client Secret.",
        )
    for name in ("receipt_key", "seal_key"):
        if getattr(account, name) and getattr(account, f"{name}_variable"):
            raise _fault(
                f"The connection has both {name} and {name}_variable.",
                "Keep one of the two: the key itself, or the name of the Variable that contains it.",
            )
    return account


def _fault(problem: str, remedy: str) -> KoreConfigurationError:
    return KoreConfigurationError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)


_ACCOUNT = TypeAdapter(KoreAccount)
_EXTRA_FIELDS = [item.name for item in fields(KoreAccount) if item.name != "budget_redis"][3:]


def _validate(extra: Mapping[str, object], **of_connection: str) -> KoreAccount:
    if unknown := sorted(set(extra) - set(_EXTRA_FIELDS)):
        raise _fault(
            f"The connection has extra fields that are not known: {', '.join(unknown)}.",
            f"Correct or remove them; the known ones are {', '.join(_EXTRA_FIELDS)}.",
        )
    try:
        return _ACCOUNT.validate_python({**extra, **of_connection})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Raised here, so that the exception has no context: that one contains the value.
    path = first["loc"] if first["loc"][0] == "api_profile" else first["loc"][:1]
    name = "Client Secret" if path[0] == "client_secret" else ".".join(part for part in path if isinstance(part, str))
    problem = first["msg"].removeprefix("Value error, ").replace("Input should", "should").replace("tuple", "list")
    raise _fault(f"The connection's field {name} {problem}.", f"Correct the field {name}.")


def _read_base_url(host: str | None, port: int | None) -> str:
    remedy = "Set the field Base URL to something like https://platform.kore.ai."
    text = (host or "").strip()
    if not text:
        raise _fault("The connection has no base URL.", remedy)
    if "://" not in text:
        raise _fault("The connection's base URL has no scheme.", remedy)
    try:
        parts = urlsplit(text)
        name, own_port = parts.hostname, parts.port
        # As the resolver encodes it: refused here, since there it raises what no client of HTTP expects.
        name = name if name is None or ":" in name else name.encode("idna").decode()
    except ValueError:
        raise _fault("The connection's base URL cannot be read.", remedy) from None
    if parts.scheme not in ("http", "https"):
        raise _fault(f"The connection's base URL has the scheme {parts.scheme}.", remedy)
    if not name or any(character.isspace() for character in text) or _has_hidden_character(text):
        raise _fault("The connection's base URL names no host.", remedy)
    if "@" in parts.netloc:
        raise _fault("The connection's base URL contains a user name or password.", remedy)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise _fault("The connection's base URL has a path, query or fragment.", f"{remedy} The path is added to it.")
    if parts.scheme == "http" and not _is_loopback(name):
        raise _fault(
            "The connection's base URL is http, which would show users' ids and the token to the network.",
            "Use https; http is for the sandbox on this machine only.",
        )
    if own_port is None:
        own_port = port
    if own_port is not None and not 1 <= own_port <= 65535:
        raise _fault("The connection's base URL has a port that does not exist.", remedy)
    shown_name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown_name}" + (f":{own_port}" if own_port is not None else "")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
