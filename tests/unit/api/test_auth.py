"""Signing: one fresh token for each request, with exactly the documented claims."""

import threading
import warnings

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

NOW = 1_800_000_000.9
SECRET = "a-secret-of-sixty-four-bytes-or-more-so-that-no-algorithm-complains"


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


@pytest.fixture(scope="session")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def account(rsa_key):
    def account(algorithm="HS256", **fields):
        defaults = {"client_secret": SECRET, "private_key": pem(rsa_key), "subject": "dpo", "token_ttl": 120}
        return KoreAccount("https://platform.kore.ai", "cs-1", algorithm=algorithm, **(defaults | fields))

    return account


def sent(auth, request):
    """The one request that httpx would send."""
    flow = auth.sync_auth_flow(request)
    signed = next(flow)
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(200))
    return signed


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "RS512"])
def test_a_token_verifies_and_holds_exactly_the_documented_claims(account, rsa_key, algorithm):
    token = KoreAuth(account(algorithm), clock=lambda: NOW).sign()
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT"}
    key = rsa_key.public_key() if algorithm.startswith("RS") else SECRET
    claims = jwt.decode(token, key, [algorithm], options={"verify_exp": False, "verify_iat": False})
    jti = claims.pop("jti")
    assert isinstance(jti, str)
    assert len(jti) >= 32
    assert claims == {"appId": "cs-1", "sub": "dpo", "iat": 1_800_000_000, "exp": 1_800_000_120}


def test_each_request_has_a_token_of_its_own_also_when_it_is_sent_again(account):
    auth = KoreAuth(account())
    request = httpx.Request("DELETE", "https://platform.kore.ai/x", content=b"{}")
    tokens = [sent(auth, request).headers["auth"] for _ in range(20)]
    ids = {jwt.decode(token, SECRET, ["HS256"])["jti"] for token in tokens}
    assert len(ids) == len(tokens)


def test_the_token_goes_raw_into_the_header_auth(account):
    request = sent(KoreAuth(account()), httpx.Request("GET", "https://platform.kore.ai/x"))
    assert request.headers.get_list("auth") == [request.headers["auth"]]
    assert "authorization" not in request.headers
    jwt.decode(request.headers["auth"], SECRET, ["HS256"])


def test_the_clock_is_read_anew_for_each_token(account):
    times = iter([NOW, NOW + 100])
    auth = KoreAuth(account(), clock=lambda: next(times))
    issued = [jwt.decode(auth.sign(), options={"verify_signature": False})["iat"] for _ in range(2)]
    assert issued == [1_800_000_000, 1_800_000_100]


@pytest.mark.parametrize(
    ("algorithm", "on_the_loop"), [("HS256", True), ("HS512", True), ("RS256", False), ("RS512", False)]
)
async def test_only_what_takes_long_is_signed_in_a_thread(account, algorithm, on_the_loop):
    signed_in = []

    def clock():
        signed_in.append(threading.get_ident())
        return NOW

    auth = KoreAuth(account(algorithm), clock)
    tokens = [await auth.sign_off_the_loop() for _ in range(2)]
    assert len(set(tokens)) == len(signed_in) == 2
    assert [thread == threading.get_ident() for thread in signed_in] == [on_the_loop] * 2


@pytest.mark.parametrize("kind", ["garbage", "cut", "empty", "encrypted", "public", "elliptic", "not text"])
@pytest.mark.parametrize("algorithm", ["RS256", "RS512"])
def test_a_key_that_cannot_sign_is_refused_before_anything_is_sent(account, rsa_key, algorithm, kind):
    whole = pem(rsa_key)
    key = {
        "garbage": "-----BEGIN PRIVATE KEY-----\nXq7ZwK9XqZwKXq7ZwK9XqZwK\n-----END PRIVATE KEY-----\n",
        "cut": whole[: len(whole) // 2],
        "empty": "\n",
        "encrypted": pem(rsa_key, BestAvailableEncryption(b"password")),
        "public": rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "elliptic": pem(ec.generate_private_key(ec.SECP256R1())),
        "not text": "\ud800",
    }[kind]
    with pytest.raises(KoreConfigurationError) as caught:
        KoreAuth(account(algorithm, private_key=key))
    error = caught.value
    assert error.consequence is Consequence.NOT_SENT
    assert algorithm in error.problem
    shown = f"{error}{error!r}"
    assert not [line for line in key.splitlines() if len(line) > 10 and line in shown]


def test_no_repr_shows_a_key(account, rsa_key):
    for algorithm in ("HS256", "RS256"):
        shown = repr(KoreAuth(account(algorithm)))
        assert SECRET not in shown
        assert "PRIVATE" not in shown


def test_signing_warns_of_nothing_with_a_key_of_usual_length(account):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KoreAuth(account("HS512")).sign()
        KoreAuth(account("RS256")).sign()
