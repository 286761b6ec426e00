"""Signing: one fresh token for each HTTP request."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import HMACAlgorithm
from jwt.utils import force_bytes

from airflow_provider_kore.api.clock_skew import LONGEST_CORRECTED_SKEW, SHORTEST_SKEW, read_clock_skew
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

if TYPE_CHECKING:
    from airflow_provider_kore.api.account import KoreAccount

log = logging.getLogger(__name__)

_clock_corrections: dict[tuple[str, str], float] = {}
"""Seconds by which the clock of an account's Kore.ai is ahead of this machine's, as refused tokens showed."""


class _CheckedSecret(HMACAlgorithm):
    """Sign with a secret that is read already; PyJWT would search it for other kinds of keys at each signature."""

    def prepare_key(self, key: str | bytes) -> bytes:
        """Take it as it is."""
        return force_bytes(key)


class KoreAuth(httpx.Auth):
    """
    Sign each request with a token of its own in the header ``auth``, raw, without "Bearer".

    Kore.ai documents that a ``jti`` used twice is refused as a replay, so a repeated request is signed anew. Where a
    token is refused and the clocks differ by less than five minutes, later tokens of this process have Kore.ai's time.

    :param account: whose key signs.
    :param clock: seconds since the epoch.
    :raises KoreConfigurationError: if the private key cannot be used.
    """

    def __init__(self, account: KoreAccount, clock: Callable[[], float] = time.time) -> None:
        self._account = account
        self._whose_clock = (account.base_url, account.client_id)
        self._clock = clock
        has_private_key = account.algorithm.startswith("RS")
        try:
            reader = jwt.get_algorithm_by_name(account.algorithm)
            # Read once: that costs more than signing.
            self._key = reader.prepare_key(account.private_key if has_private_key else account.client_secret)
            if has_private_key and not isinstance(self._key, RSAPrivateKey):
                raise TypeError("a public key cannot sign")
            self._signer = jwt.PyJWS()
            if isinstance(reader, HMACAlgorithm):
                self._signer.unregister_algorithm(account.algorithm)
                self._signer.register_algorithm(account.algorithm, _CheckedSecret(reader.hash_alg))
            self._signer.encode(b"{}", self._key, account.algorithm)  # a key can be too short to sign with it
        except Exception as error:  # noqa: BLE001 # cryptography and jwt have many, and their texts can contain the key
            field = "private_key" if has_private_key else "Client Secret"
            raise KoreConfigurationError(
                f"The connection's {field} cannot be used for {account.algorithm} ({type(error).__name__}).",
                consequence=Consequence.NOT_SENT,
                remedy="Put the whole PEM text of an unencrypted RSA private key of at least 2048 bits, with its BEGIN "
                "and END lines, into the field Private key."
                if has_private_key
                else "Put the app's Client Secret as Kore.ai shows it into the field Client Secret. A key in PEM form "
                "belongs into the field Private key, with the algorithm RS256 or RS512.",
            ) from None

    def __repr__(self) -> str:
        return f"<KoreAuth {self._account.algorithm}>"

    def claims(self) -> dict[str, object]:
        """Make the claims of one token, as Kore.ai documents them for its public APIs."""
        issued_at = int(self._clock() + _clock_corrections.get(self._whose_clock, 0.0))
        return {
            "appId": self._account.client_id,
            "sub": self._account.subject,
            "iat": issued_at,
            "exp": issued_at + self._account.token_ttl,
            "jti": str(uuid.uuid4()),
        }

    def sign(self) -> str:
        """Sign one token."""
        claims = json.dumps(self.claims(), separators=(",", ":")).encode()
        return self._signer.encode(claims, self._key, self._account.algorithm)

    def compare_clocks(self, status: int, date: str | None) -> float | None:
        """
        Read the clock skew of an answer, and correct the time of later tokens by it if this one was refused.

        :param status: HTTP status of the answer.
        :param date: the header as it came.
        """
        skew = read_clock_skew(date, self._clock())
        if status == 401 and skew is not None and abs(skew) < LONGEST_CORRECTED_SKEW:
            known = _clock_corrections.get(self._whose_clock, 0.0)
            if abs(skew - known) >= SHORTEST_SKEW:
                _clock_corrections[self._whose_clock] = skew
                log.warning(
                    "This machine's clock is %.0f s %s Kore.ai's. Tokens now have Kore.ai's time; set the clock.",
                    abs(skew),
                    "behind" if skew > 0 else "ahead of",
                )
        return skew

    async def sign_off_the_loop(self) -> str:
        """Sign one token without blocking the event loop."""
        if isinstance(self._key, RSAPrivateKey):
            return await asyncio.to_thread(self.sign)  # takes some milliseconds at most, by the length of the key
        return self.sign()  # takes less than handing it to a thread would

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token to a request that is about to be sent."""
        request.headers["auth"] = self.sign()
        yield request
