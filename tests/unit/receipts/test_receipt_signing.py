"""Signatures: any valid receipt verifies, and nothing else does."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from making_receipts import KEYS, SMALL_HEAD, private_pem, public_pem, receipt, receipts

from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreReceiptError
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest
from airflow_provider_kore.receipts.signing import ReceiptKey, verify

ALGORITHMS = list(KEYS)
SIGNERS = {algorithm: ReceiptKey.from_pem(private_pem(key)) for algorithm, key in KEYS.items()}
PUBLIC = {algorithm: public_pem(key) for algorithm, key in KEYS.items()}
SMALL = receipt(users=("u-1",), head=SMALL_HEAD, persons=None)
SIGNED = {algorithm: signer.sign(SMALL) for algorithm, signer in SIGNERS.items()}
CLAIMS = json.loads(SMALL.model_dump_json())
OTHERS = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}


def base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def manifest(*signed):
    return Manifest.of(
        signed[0].head, receipts=[ListedReceipt.of(each, b"content") for each in signed], does_not_cover=["All else."]
    )


def forge(payload=None, header=None, algorithm="EdDSA", key=None):
    """Sign anything, as an owner of the key could who does not keep to the rules."""
    header = {"alg": algorithm, "kid": SIGNERS["EdDSA"].key_id, "typ": "kore-erasure-receipt+jwt", **(header or {})}
    payload = json.dumps(CLAIMS).encode() if payload is None else payload
    signed = base64url(json.dumps(header).encode()) + b"." + base64url(payload)
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed, key or KEYS["EdDSA"])
    return signed + b"." + base64url(signature)


def refused(content, key=PUBLIC["EdDSA"]):
    with pytest.raises(KoreReceiptError) as caught:
        verify(content, key)
    assert caught.value.consequence is Consequence.NOT_EVIDENT
    assert caught.value.remedy
    return caught.value.problem


# --- What is valid ----------------------------------------------------------------------------------------------


@given(receipts() | receipts().map(manifest), st.sampled_from(ALGORITHMS))
def test_any_statement_is_verified_as_it_was_signed(statement, algorithm):
    verified = verify(SIGNERS[algorithm].sign(statement), PUBLIC[algorithm])
    assert verified == statement
    assert type(verified) is type(statement)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt_alone_verifies_a_receipt(algorithm):
    assert jwt.decode(SIGNED[algorithm], PUBLIC[algorithm], algorithms=[algorithm]) == CLAIMS
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(SIGNED[algorithm], public_pem(OTHERS[algorithm]), algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_header_names_the_algorithm_the_type_and_the_key(algorithm):
    der = KEYS[algorithm].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = hashlib.sha256(der).hexdigest()[:32]
    for statement, typ in [(SMALL, "kore-erasure-receipt+jwt"), (manifest(SMALL), "kore-erasure-manifest+jwt")]:
        header = jwt.get_unverified_header(SIGNERS[algorithm].sign(statement))
        assert header == {"alg": algorithm, "kid": key_id, "typ": typ}
    assert SIGNERS[algorithm].key_id == key_id


def test_the_same_receipt_is_signed_in_the_same_bytes():
    assert SIGNERS["EdDSA"].sign(SMALL) == SIGNERS["EdDSA"].sign(SMALL.model_copy())


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps(CLAIMS, indent=2).encode(),
        json.dumps(dict(reversed(CLAIMS.items()))).encode(),
        json.dumps(CLAIMS).replace("cs-1", "\\u0063s-1").encode(),
    ],
    ids=["blanks", "another order", "an escape"],
)
def test_any_json_of_the_same_content_is_valid(payload):
    assert verify(forge(payload), PUBLIC["EdDSA"]) == SMALL


def test_no_clock_is_asked_so_that_the_same_file_is_valid_in_ten_years():
    ahead = receipt(issued_at=4_000_000_000)
    assert verify(SIGNERS["EdDSA"].sign(ahead), PUBLIC["EdDSA"]) == ahead


# --- What is not ------------------------------------------------------------------------------------------------


@given(st.sampled_from(ALGORITHMS), st.sampled_from([1, 2]), st.data())
def test_every_changed_byte_of_payload_or_signature_is_refused(algorithm, part, data):
    segments = SIGNED[algorithm].split(b".")
    changed = bytearray(base64.urlsafe_b64decode(segments[part] + b"=="))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    segments[part] = base64url(changed)
    assert "its signature is not right" in refused(b".".join(segments), PUBLIC[algorithm])


@given(st.sampled_from(ALGORITHMS), st.data())
def test_every_changed_character_of_the_file_is_refused(algorithm, data):
    content = bytearray(SIGNED[algorithm])
    # The last character of a signature has spellings that a lenient decoder reads alike.
    position = data.draw(st.integers(0, len(content) - 1) | st.just(len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    refused(bytes(content), PUBLIC[algorithm])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: content + b"\n", id="line break"),
        pytest.param(lambda content: b" " + content, id="blank"),
        pytest.param(lambda content: content + b"=", id="padding"),
        pytest.param(lambda content: content + b"==", id="all padding"),
        pytest.param(lambda content: content.replace(b".", b".!", 1), id="what decoders skip"),
        pytest.param(lambda content: content + b".", id="a fourth part"),
        pytest.param(lambda content: content.rsplit(b".", 1)[0], id="no signature part"),
        pytest.param(lambda content: content.rsplit(b".", 1)[0] + b".", id="an empty signature"),
        pytest.param(lambda content: b"." + content.split(b".", 1)[1], id="no header"),
        pytest.param(lambda content: content[:-1], id="cut"),
        pytest.param(lambda content: content.swapcase(), id="other letters"),
        pytest.param(lambda content: b"", id="nothing"),
        pytest.param(lambda content: b"\xff" + content, id="not ASCII"),
        pytest.param(lambda content: base64url(b"[" * 100_000) + content, id="a deep header"),
        pytest.param(lambda content: json.dumps({"payload": content.decode()}).encode(), id="JSON"),
    ],
)
def test_another_spelling_is_refused(change):
    refused(change(SIGNED["EdDSA"]))


def test_an_unsigned_receipt_is_refused():
    assert "does not name EdDSA" in refused(forge(header={"alg": "none"}).rsplit(b".", 1)[0] + b".")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_public_key_as_a_shared_secret_is_refused(algorithm):
    signed = forge(header={"alg": "HS256", "kid": SIGNERS[algorithm].key_id}).rsplit(b".", 1)[0]
    content = signed + b"." + base64url(hmac.digest(PUBLIC[algorithm].encode(), signed, "sha256"))
    assert f"does not name {algorithm}" in refused(content, PUBLIC[algorithm])


@pytest.mark.parametrize("other", ["RS384", "RS512", "PS256"])
def test_another_rsa_algorithm_is_refused(other):
    content = forge(header={"kid": SIGNERS["RS256"].key_id}, algorithm=other, key=KEYS["RS256"])
    assert jwt.decode(content, PUBLIC["RS256"], algorithms=[other])
    assert "does not name RS256" in refused(content, PUBLIC["RS256"])


def test_the_words_of_a_header_do_not_choose_the_algorithm():
    content = forge(header={"kid": SIGNERS["RS256"].key_id, "alg": "RS256"}, algorithm="RS512", key=KEYS["RS256"])
    assert "signature is not right" in refused(content, PUBLIC["RS256"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_of_the_same_kind_is_refused_also_under_a_false_name(algorithm):
    other = OTHERS[algorithm]
    assert "names another key" in refused(ReceiptKey.from_pem(private_pem(other)).sign(SMALL), PUBLIC[algorithm])
    false_name = forge(header={"kid": SIGNERS[algorithm].key_id}, algorithm=algorithm, key=other)
    assert "signature is not right" in refused(false_name, PUBLIC[algorithm])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"typ": "JWT"}, "neither a receipt nor a manifest"),
        ({"typ": "kore-erasure-receipt"}, "neither a receipt nor a manifest"),
        ({"typ": ["kore-erasure-receipt+jwt"]}, "neither a receipt nor a manifest"),
        ({"typ": None}, "neither a receipt nor a manifest"),
        ({"typ": "kore-erasure-manifest+jwt"}, "content is not right"),
        ({"kid": "0" * 32}, "names another key"),
        ({"kid": None}, "not a JWS as"),
        ({"alg": None}, "does not name EdDSA"),
        ({"alg": "eddsa"}, "does not name EdDSA"),
        ({"crit": ["b64"], "b64": True}, ""),
        ({"b64": False}, "not a JWS as"),
        ({"jwk": {"kty": "OKP"}}, "exactly the names"),
        ({"jku": "https://127.0.0.1/keys"}, "exactly the names"),
        ({"zip": "DEF"}, "exactly the names"),
    ],
)
def test_a_header_that_says_anything_else_is_refused_although_it_is_signed(header, words):
    assert words in refused(forge(header=header))


def test_a_manifest_under_the_type_of_a_receipt_is_refused():
    assert "content is not right" in refused(forge(manifest(SMALL).model_dump_json().encode()))


def changed(**fields):
    return json.dumps(CLAIMS | fields).encode()


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        pytest.param(changed(user_count=2), "outcome does not add up", id="sums"),
        pytest.param(changed(kind="kore-erasure-manifest"), "kind", id="kind"),
        pytest.param(changed(schema=2), "schema", id="schema"),
        pytest.param(changed(iss="somebody"), "iss", id="issuer"),
        pytest.param(changed(more=1), "more", id="more than is known"),
        pytest.param(changed(iat=True), "iat", id="a bool"),
        pytest.param(changed(iat=7.0), "iat", id="a fraction"),
        pytest.param(changed(iat=-1), "iat", id="before all times"),
        pytest.param(changed(iat=10**12), "iat", id="after all times"),
        pytest.param(changed(iat=float("nan")), "its content is not right", id="NaN"),
        pytest.param(changed(host=None), "host", id="no host"),
        pytest.param(changed().replace(b'"schema": 1', b'"schema": 1, "schema": 1'), "twice", id="key twice"),
        pytest.param(b"\xff", "not JSON", id="not UTF-8"),
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"[]", "content is not right", id="no object"),
        pytest.param(b"[" * 100_000, "not JSON", id="deep"),
        *(
            pytest.param(
                json.dumps({key: value for key, value in CLAIMS.items() if key != name}).encode(), "left out", id=name
            )
            for name in ("approved_by", "attests", "kind", "iat", "provider_version")
        ),
    ],
)
def test_content_that_is_not_right_is_refused_although_it_is_signed(payload, words):
    assert words in refused(forge(payload))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_private_key_to_verify_with_is_refused(algorithm):
    pem = private_pem(KEYS[algorithm])
    words = refused(SIGNED[algorithm], pem)
    assert "private" in words
    assert not [line for line in pem.splitlines() if line in words]


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "key",
        "\ud800",
        "-----BEGIN PUBLIC KEY-----\nXq7ZwK9XqZwKXq7ZwK9XqZwK\n-----END PUBLIC KEY-----\n",
        PUBLIC["EdDSA"][:60],
        public_pem(ed448.Ed448PrivateKey.generate()),
        public_pem(ec.generate_private_key(ec.SECP384R1())),
        public_pem(rsa.generate_private_key(65537, 1024)),
    ],
    ids=["empty", "word", "surrogate", "no key", "broken off", "Ed448", "P-384", "short RSA"],
)
def test_a_public_key_of_another_kind_is_refused(pem):
    assert "the key to verify with" in refused(SIGNED["EdDSA"], pem)


# --- Keys -------------------------------------------------------------------------------------------------------

WHOLE = private_pem(KEYS["EdDSA"])


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param("", id="nothing"),
        pytest.param("\ud800", id="not text"),
        pytest.param(
            "-----BEGIN PRIVATE KEY-----\nXq7ZwK9XqZwKXq7ZwK9XqZwK\n-----END PRIVATE KEY-----\n", id="garbage"
        ),
        pytest.param(WHOLE[: len(WHOLE) // 2], id="cut"),
        pytest.param(private_pem(KEYS["EdDSA"], BestAvailableEncryption(b"password")), id="encrypted"),
        pytest.param(PUBLIC["EdDSA"], id="public"),
        pytest.param(private_pem(ed448.Ed448PrivateKey.generate()), id="Ed448"),
        pytest.param(private_pem(ec.generate_private_key(ec.SECP384R1())), id="P-384"),
        pytest.param(private_pem(ec.generate_private_key(ec.SECP256K1())), id="secp256k1"),
        pytest.param(private_pem(rsa.generate_private_key(65537, 1024)), id="short RSA"),
    ],
)
def test_a_key_that_cannot_sign_receipts_is_refused_before_anything_is_sent(pem):
    with pytest.raises(KoreConfigurationError) as caught:
        ReceiptKey.from_pem(pem)
    assert caught.value.consequence is Consequence.NOT_SENT
    shown = f"{caught.value}{caught.value!r}"
    assert not [line for line in pem.splitlines() if len(line) > 10 and line in shown]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_repr_shows_a_key(algorithm):
    signer = SIGNERS[algorithm]
    assert repr(signer) == f"<ReceiptKey {algorithm} {signer.key_id}>"
    assert signer.public_key_pem == PUBLIC[algorithm]
