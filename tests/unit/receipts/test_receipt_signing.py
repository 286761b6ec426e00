"""Signatures: any valid receipt verifies, and nothing else does."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from making_receipts import KEYS, SMALL_HEAD, private_pem, public_pem, receipt, receipts

from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreReceiptError
from airflow_provider_kore.receipts.canonical import canonical_json
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest, Receipt
from airflow_provider_kore.receipts.signing import ReceiptKey, verify

ALGORITHMS = list(KEYS)
SIGNERS = {algorithm: ReceiptKey.from_pem(private_pem(key)) for algorithm, key in KEYS.items()}
PUBLIC = {algorithm: public_pem(key) for algorithm, key in KEYS.items()}
SMALL = receipt(users=("u-1",), head=SMALL_HEAD, persons=None)


def base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def read(segment):
    return json.loads(base64.urlsafe_b64decode(segment + "=="))


def manifest(*signed):
    return Manifest.of(
        signed[0].head,
        receipts=[ListedReceipt.of(each, b"content") for each in signed],
        vendor_reported=signed[0].vendor_reported,
        does_not_cover=["All else."],
        issued_at=1,
    )


def forge(payload=None, header=None, algorithm="EdDSA", key=None):
    """Sign whatever is asked for, as a holder of the key could who does not keep to the rules."""
    header = {
        "alg": algorithm,
        "kid": SIGNERS["EdDSA"].key_id,
        "typ": "kore-erasure-receipt+jwt",
        **(header or {}),
    }
    content = SMALL.canonical() if payload is None else payload
    signing_input = f"{base64url(canonical_json(header))}.{base64url(content)}"
    if key is None:
        signature = KEYS["EdDSA"].sign(signing_input.encode())
    else:
        signature = jwt.get_algorithm_by_name(algorithm).sign(signing_input.encode(), key)
    return f"{signing_input}.{base64url(signature)}"


def refused(text, key=PUBLIC["EdDSA"]):
    with pytest.raises(KoreReceiptError) as caught:
        verify(text, key)
    assert caught.value.consequence is Consequence.NOT_EVIDENT
    assert caught.value.remedy
    return caught.value.problem


# --- What is valid ----------------------------------------------------------------------------------------------


@given(receipts(), st.sampled_from(ALGORITHMS))
def test_any_receipt_that_was_signed_is_verified_as_it_was(valid, algorithm):
    assert verify(SIGNERS[algorithm].sign(valid), PUBLIC[algorithm]) == valid


@given(receipts(), st.sampled_from(ALGORITHMS))
def test_so_is_a_manifest(valid, algorithm):
    listed = manifest(valid)
    verified = verify(SIGNERS[algorithm].sign(listed), PUBLIC[algorithm])
    assert verified == listed
    assert type(verified) is Manifest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt_alone_verifies_a_receipt(algorithm):
    text = SIGNERS[algorithm].sign(SMALL)
    claims = jwt.decode(text, PUBLIC[algorithm], algorithms=[algorithm])
    assert claims == json.loads(SMALL.canonical())
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(
            SIGNERS[algorithm].sign(receipt()).rsplit(".", 1)[0] + "." + text.rsplit(".", 1)[1],
            PUBLIC[algorithm],
            algorithms=[algorithm],
        )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_header_names_the_algorithm_the_type_and_the_key(algorithm):
    der = KEYS[algorithm].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = hashlib.sha256(der).hexdigest()[:32]
    for statement, typ in [(SMALL, "kore-erasure-receipt+jwt"), (manifest(SMALL), "kore-erasure-manifest+jwt")]:
        header = SIGNERS[algorithm].sign(statement).split(".")[0]
        assert read(header) == {"alg": algorithm, "kid": key_id, "typ": typ}
    assert SIGNERS[algorithm].key_id == key_id


def test_the_payload_is_the_canonical_form():
    payload = SIGNERS["EdDSA"].sign(SMALL).split(".")[1]
    assert base64.urlsafe_b64decode(payload + "==") == SMALL.canonical()


def test_no_clock_is_asked_so_that_the_same_file_is_valid_in_ten_years():
    ahead = receipt(issued_at=int(time.time()) + 100)
    assert verify(SIGNERS["EdDSA"].sign(ahead), PUBLIC["EdDSA"]) == ahead


# --- What is not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_change_of_a_byte_is_refused(algorithm):
    text = SIGNERS[algorithm].sign(SMALL)
    signature_from = text.rindex(".")
    for position, character in enumerate(text):
        # All spellings of the signature's bytes, of which a lenient decoder accepts several.
        others = range(256) if position in (signature_from, len(text) - 1) else [ord(character) ^ 1, ord("A"), 0xC4]
        for other in map(chr, others):
            if other != character:
                refused(text[:position] + other + text[position + 1 :], PUBLIC[algorithm])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + "\n", id="line break"),
        pytest.param(lambda text: " " + text, id="blank"),
        pytest.param(lambda text: text + "=", id="padding"),
        pytest.param(lambda text: text + "==", id="all padding"),
        pytest.param(lambda text: text.replace(".", ".!", 1), id="what decoders skip"),
        pytest.param(lambda text: text + ".", id="a fourth part"),
        pytest.param(lambda text: text.rsplit(".", 1)[0], id="no signature part"),
        pytest.param(lambda text: text.rsplit(".", 1)[0] + ".", id="an empty signature"),
        pytest.param(lambda text: ".".join(["", *text.split(".")[1:]]), id="no header"),
        pytest.param(lambda text: text[:-1], id="cut"),
        pytest.param(lambda text: text.swapcase(), id="other letters"),
        pytest.param(lambda text: "", id="nothing"),
        pytest.param(lambda text: "ä" + text, id="not ASCII"),
        pytest.param(lambda text: "\ud800", id="not text"),
        pytest.param(lambda text: json.dumps({"payload": text}), id="JSON"),
    ],
)
def test_another_spelling_is_refused(change):
    text = SIGNERS["EdDSA"].sign(SMALL)
    assert verify(text, PUBLIC["EdDSA"])
    refused(change(text))


def unsigned():
    header = base64url(
        canonical_json({"alg": "none", "kid": SIGNERS["EdDSA"].key_id, "typ": "kore-erasure-receipt+jwt"})
    )
    return f"{header}.{base64url(SMALL.canonical())}."


def signed_with_the_public_key(algorithm):
    header = {"alg": "HS256", "kid": SIGNERS[algorithm].key_id, "typ": "kore-erasure-receipt+jwt"}
    signing_input = f"{base64url(canonical_json(header))}.{base64url(SMALL.canonical())}"
    signature = hmac.digest(PUBLIC[algorithm].encode(), signing_input.encode(), "sha256")
    return f"{signing_input}.{base64url(signature)}"


def test_an_unsigned_receipt_is_refused():
    assert "does not name EdDSA" in refused(unsigned())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_public_key_as_a_shared_secret_is_refused(algorithm):
    text = signed_with_the_public_key(algorithm)
    assert f"does not name {algorithm}" in refused(text, PUBLIC[algorithm])


@pytest.mark.parametrize("other", ["RS384", "RS512", "PS256"])
def test_another_rsa_algorithm_is_refused(other):
    text = forge(header={"kid": SIGNERS["RS256"].key_id}, algorithm=other, key=KEYS["RS256"])
    assert jwt.decode(text, PUBLIC["RS256"], algorithms=[other])
    assert "does not name RS256" in refused(text, PUBLIC["RS256"])


def test_the_words_of_a_header_do_not_choose_the_algorithm():
    text = forge(header={"kid": SIGNERS["RS256"].key_id, "alg": "RS256"}, algorithm="RS512", key=KEYS["RS256"])
    assert "signature is not right" in refused(text, PUBLIC["RS256"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_of_the_same_kind_is_refused_also_under_a_false_name(algorithm):
    other = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    }[algorithm]()
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
        ({"kid": None}, "names another key"),
        ({"alg": None}, "does not name EdDSA"),
        ({"alg": "eddsa"}, "does not name EdDSA"),
        ({"crit": ["b64"], "b64": True}, "exactly the names"),
        ({"b64": False}, "exactly the names"),
        ({"jwk": {"kty": "OKP"}}, "exactly the names"),
        ({"jku": "https://127.0.0.1/keys"}, "exactly the names"),
        ({"zip": "DEF"}, "exactly the names"),
    ],
)
def test_a_header_that_says_anything_else_is_refused_although_it_is_signed(header, words):
    assert words in refused(forge(header=header))


def test_a_manifest_under_the_type_of_a_receipt_is_refused():
    assert "content is not right" in refused(forge(manifest(SMALL).canonical()))


def changed(**fields):
    return canonical_json(json.loads(SMALL.canonical()) | fields)


def without(name):
    document = json.loads(SMALL.canonical())
    del document[name]
    return canonical_json(document)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        pytest.param(changed(user_count=2), "outcome does not add up", id="sums"),
        pytest.param(changed(kind="kore-erasure-manifest"), "kind", id="kind"),
        pytest.param(changed(schema=2), "schema", id="schema"),
        pytest.param(changed(iss="somebody"), "iss", id="issuer"),
        pytest.param(changed(more=1), "more", id="more than is known"),
        pytest.param(changed(iat=True), "iat", id="a bool"),
        pytest.param(changed(host=None), "host", id="no host"),
        pytest.param(changed(schema_version=1), "schema", id="a name of the program"),
        pytest.param(without("approved_by"), "not written out", id="left out"),
        pytest.param(without("attests"), "attests", id="attests nothing"),
        pytest.param(without("does_not_cover"), "does_not_cover", id="covers all"),
        pytest.param(changed(iat=7).replace(b'"iat":7', b'"iat":7.0'), "whole", id="fraction"),
        pytest.param(changed(iat=7).replace(b'"iat":7', b'"iat":NaN'), "whole", id="NaN"),
        pytest.param(changed().replace(b'"iat"', b'"iat" '), "no blanks", id="blank"),
        pytest.param(changed().replace(b'"schema":1', b'"schema":1,"schema":1'), "twice", id="key twice"),
        pytest.param(json.dumps(json.loads(SMALL.canonical())).encode(), "one form", id="not sorted"),
        pytest.param(changed(approved_by="ä").replace("ä".encode(), b"\\u00e4"), "one form", id="escape"),
        pytest.param(b"\xff", "not JSON", id="not UTF-8"),
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"[]", "content is not right", id="no object"),
        pytest.param(b"[" * 100_000, "not JSON", id="deep"),
    ],
)
def test_content_that_is_not_right_is_refused_although_it_is_signed(payload, words):
    assert words in refused(forge(payload))


def test_what_is_forged_here_is_refused_for_what_is_forged_alone():
    assert verify(forge(), PUBLIC["EdDSA"]) == SMALL


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_private_key_to_verify_with_is_refused(algorithm):
    pem = private_pem(KEYS[algorithm])
    words = refused(SIGNERS[algorithm].sign(SMALL), pem)
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
    assert "the key given to verify with" in refused(SIGNERS["EdDSA"].sign(SMALL), pem)


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


def test_receipts_are_receipts():
    assert type(verify(SIGNERS["EdDSA"].sign(SMALL), PUBLIC["EdDSA"])) is Receipt
