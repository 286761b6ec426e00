"""Sealed user ids: who can open them, and that no error shows whom or what they contain."""

import json
import sys
import traceback
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import jwe_by_cryptography as by_cryptography
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from rendering_tasks import Returns, make_dag, render

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.id_text import id_text_fault
from airflow_provider_kore.api.users import ChannelUserId, canonical_name, text_fault
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreSourceError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.user_ids import CallableUserIds, SealedUserIds
from airflow_provider_kore.user_ids.argument import wrap_inline_ids
from airflow_provider_kore.user_ids.batches import UserBatches
from airflow_provider_kore.user_ids.column_names import is_header
from airflow_provider_kore.user_ids.seal_keys import ECKey, SealKeys, public_jwk
from airflow_provider_kore.user_ids.sealed import seal_opener
from airflow_provider_kore.user_ids.sealing import LONGEST, seal_user_ids

NOW = datetime(2026, 11, 28, 10, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
EXP = int(LATER.timestamp())
USERS = ["Xq7ZwK9@example.com", ChannelUserId("slack", "Xq7ZwK9")]


def pem(key, kind=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, kind, encryption or NoEncryption()).decode()


def jwk(key):
    number = key.private_numbers().private_value
    return {**by_cryptography.jwk_of(key.public_key()), "d": by_cryptography.b64(number.to_bytes(32, "big"))}


PRIVATE, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
PUBLIC = PRIVATE.public_key()
KEY = ECKey.import_key(pem(PRIVATE))


def numbered(*cases):
    """Name cases by their number: what is random has another name in each process."""
    return [pytest.param(case, id=str(number)) for number, case in enumerate(cases)]


def account(**fields):
    return KoreAccount("https://kore.example", "cs-1", client_secret="secret", **fields)


def opener(*, dag_id="dag", started=NOW, may_have_expired=False, **fields):
    context = {"dag_run": SimpleNamespace(dag_id=dag_id, start_date=started)}
    return seal_opener(account(**(fields or {"seal_key": pem(PRIVATE)})), context, may_have_expired=may_have_expired)


def read(user_ids, **how):
    batches = UserBatches(wrap_inline_ids(user_ids), 7, 10_000, b"key", opener(**how))
    return [user_id for _, batch in batches for user_id in batch]


def refused(text, **how):
    """Give the error of a text, of which no log would show a part, nor whom it names."""
    with pytest.raises(KoreInputError) as caught:
        read(text, **how)
    error = caught.value
    logged = f"{error!r}" + "".join(traceback.format_exception(error))
    assert error.consequence is Consequence.NOT_SENT
    assert error.remedy
    assert "Xq7ZwK9" not in logged
    parts = [part for part in str(text).removeprefix("jwe:").split(".") if len(part) > 8]
    assert not [part for part in parts if part[:40] in logged or part[-40:] in logged]
    return error


def seal(user_ids=("Xq7ZwK9@example.com",), public=PUBLIC, dag_id="dag", exp=EXP, **how):
    return by_cryptography.seal(list(user_ids), public, dag_id, exp, **how)


def values(user_ids):
    return [user_id if isinstance(user_id, str) else asdict(user_id) for user_id in user_ids]


letters = st.text(st.characters(categories=["L", "M", "N", "So", "Pd"]), max_size=40)
texts = letters.map("u{}".format).filter(
    lambda text: not (text_fault(text) or id_text_fault(text) or is_header(text, None))
)
pairs = st.builds(ChannelUserId, texts, texts)
users = st.lists(texts | pairs, min_size=1, max_size=12, unique_by=canonical_name)
dag_ids = st.text(min_size=1, max_size=250)


# --- one format, two implementations ---------------------------------------------------------------------------------


@given(users, dag_ids)
def test_what_the_command_seals_is_opened_by_a_reader_that_shares_no_code_with_it(user_ids, dag_id):
    text = seal_user_ids(user_ids, KEY, dag_id, LATER)
    header, content = by_cryptography.unseal(text, PRIVATE)
    assert json.loads(content) == values(user_ids)
    assert len(content) % 256 == 0
    assert header.keys() == {"alg", "enc", "kid", "aud", "exp", "epk"}
    assert header["epk"].keys() == {"kty", "crv", "x", "y"}
    assert (header["kid"], header["aud"], header["exp"]) == (by_cryptography.thumbprint(PUBLIC), dag_id, EXP)
    assert read(text, dag_id=dag_id) == user_ids


@given(users, dag_ids, st.booleans())
def test_a_task_opens_what_is_sealed_by_a_writer_that_shares_no_code_with_it(user_ids, dag_id, ascii_only):
    content = json.dumps(values(user_ids), ensure_ascii=ascii_only).encode()
    text = seal((), dag_id=dag_id, content=content + b" " * (-len(content) % 256))
    assert read(text, dag_id=dag_id) == user_ids


TEXT = seal(("Xq7ZwK9@example.com", "u-Xq7ZwK9"))
CHARACTERS = st.sampled_from("ABCDEabcde01289-_.=+/ \n:") | st.characters()


@given(st.integers(0, len(TEXT) - 1), CHARACTERS)
def test_any_changed_character_is_refused(position, character):
    changed = TEXT[:position] + character + TEXT[position + 1 :]
    if changed != TEXT:
        refused(changed)


@given(st.integers(0, len(TEXT)), CHARACTERS)
def test_any_added_character_is_refused(position, character):
    refused(TEXT[:position] + character + TEXT[position:])


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 300))
def test_what_is_left_of_a_text_is_refused(position, count):
    refused(TEXT[:position] + TEXT[position + count :])


def test_each_bit_of_a_text_counts():
    for position in range(4, len(TEXT)):
        for character in "AQ":
            if TEXT[position] != character:
                with pytest.raises(KoreInputError):
                    read(TEXT[:position] + character + TEXT[position + 1 :])


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_as_many_users_as_a_form_may_have_fit(count):
    user_ids = [f"first.last.{number}@example.com" for number in range(count)]
    text = seal_user_ids(user_ids, KEY, "dag", LATER)
    assert len(text) <= LONGEST < 65_535
    assert read(text) == user_ids


def test_the_length_tells_little():
    lengths = {len(seal_user_ids(["a" * length], KEY, "dag", LATER)) for length in range(1, 250)}
    assert len(lengths) == 1


def test_more_than_the_database_keeps_is_refused_with_what_to_do():
    with pytest.raises(KoreInputError, match="too many user ids") as caught:
        seal_user_ids((f"first.last.{number}@example.com" for number in range(3000)), KEY, "dag", LATER)
    assert "file" in caught.value.remedy
    with pytest.raises(KoreInputError, match="no user ids"):
        seal_user_ids([], KEY, "dag", LATER)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_text_is_for_one_dag():
    assert "another DAG than dag_2" in str(refused(TEXT, dag_id="dag_2"))
    assert "another DAG" in str(refused(TEXT, dag_id="DAG"))


@pytest.mark.parametrize(("seconds", "opens"), [(-1, True), (0, False), (1, False), (86_400 * 999, False)])
def test_a_run_must_start_before_a_text_expires(seconds, opens):
    started = LATER + timedelta(seconds=seconds)
    if opens:
        assert read(TEXT, started=started)
    else:
        assert "expired" in str(refused(TEXT, started=started))
    assert read(TEXT, started=started, may_have_expired=True)


def test_without_a_start_of_the_run_the_present_counts():
    assert "expired" in str(refused(seal(exp=EXP - 86_400 * 365 * 3), started=None))
    assert read(seal(exp=EXP + 86_400 * 365 * 100), started=None)


def test_without_its_key_a_text_cannot_be_opened():
    error = refused(TEXT, seal_key=pem(OTHER))
    assert "does not have" in error.problem
    assert by_cryptography.thumbprint(OTHER.public_key()) in error.problem
    assert by_cryptography.thumbprint(PUBLIC) not in str(error)
    assert "no key that opens" in str(refused(TEXT, digest_key="d"))


@pytest.mark.parametrize(
    "text",
    numbered(
        "jwe:",
        "jwe:....",
        f"{TEXT} ",
        f"{TEXT}\n",
        TEXT.replace("jwe:", "jwe: "),
        f"{TEXT}=",
        TEXT.replace("..", ".QQ."),
        TEXT + ".",
        "jwe:" + TEXT,
        TEXT.encode("utf-16").decode("utf-16") + "\ufeff",
        seal(content=b'["a"]'),
        seal(content=b""),
    ),
)
def test_another_form_is_refused(text):
    assert "not in the form" in str(refused(text))


def test_what_is_too_long_is_refused_unread():
    assert f"longer than {LONGEST}" in str(refused("jwe:" + "A" * LONGEST))


def repeated(name, value):
    return lambda members: json.dumps({name: value})[:-1] + ", " + json.dumps(members)[1:]


EPK = by_cryptography.jwk_of(OTHER.public_key())


@pytest.mark.parametrize(
    "how",
    numbered(
        {"header": {"alg": "ECDH-ES+A256KW"}},
        {"header": {"alg": "dir"}},
        {"header": {"alg": "none"}},
        {"header": {"alg": ["ECDH-ES"]}},
        {"header": {"enc": "A128GCM"}},
        {"header": {"enc": "A256CBC-HS512"}},
        {"header": {"zip": "DEF"}},
        {"header": {"crit": ["exp"]}},
        {"header": {"apu": "QQ"}},
        {"header": {"typ": "JWE"}},
        {"header": {"Xq7ZwK9": "Xq7ZwK9"}},
        *({"header": {name: None}} for name in ("alg", "enc", "kid", "aud", "exp", "epk")),
        *({"header": {"exp": exp}} for exp in (0, -1, True, str(EXP), EXP + 0.5, float(EXP), 10**12, 10**400)),
        *({"header": {"aud": aud}} for aud in ("", ["dag"], 7, {"Xq7ZwK9": 1})),
        *({"header": {"kid": kid}} for kid in ("", "Xq7ZwK9", "A" * 42 + "B", 7, "A" * 43 + "\n")),
        {"header": {"epk": {**EPK, "crv": "P-384"}}},
        {"header": {"epk": {**EPK, "kty": "OKP"}}},
        {"header": {"epk": {**EPK, "kid": "Xq7ZwK9"}}},
        {"header": {"epk": {**EPK, "d": EPK["x"]}}},
        {"header": {"epk": {**EPK, "x": EPK["x"][:-1]}}},
        {"header": {"epk": {**EPK, "y": "A" * 42 + "B"}}},
        {"header": {"epk": "Xq7ZwK9"}},
        {"header_text": repeated("aud", "dag")},
        {"header_text": repeated("exp", EXP)},
        {"header_text": lambda members: json.dumps(members).replace('"x"', '"y": "A", "x"')},
        {"header_text": lambda members: json.dumps([members])},
        {"header_text": lambda members: json.dumps(members) + "Xq7ZwK9"},
        {"header_text": lambda members: "\ufeff" + json.dumps(members)},
        {"header_text": lambda members: "Xq7ZwK9"},
        {"header_text": lambda members: "[" * 5000},
    ),
)
def test_another_header_is_refused(how):
    assert "header" in str(refused(seal(**how)))


def test_a_point_that_is_on_no_curve_is_refused():
    off = {**EPK, "y": by_cryptography.b64(b"\1" * 32)}
    assert "changed" in str(refused(seal(header={"epk": off})))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Xq7ZwK9@example.com", "no JSON array"),
        (b'{"Xq7ZwK9": 1}', "no JSON array"),
        (b'["Xq7ZwK9@example.com"', "not JSON after item 1"),
        (b'["u-1", 7]', "item 2 is of type int"),
        (b'["u-1", " Xq7ZwK9"]', "item 2 begins or ends with a space"),
        (b'["u-1", {"channel_id": "Xq7ZwK9"}]', "item 2 is a mapping"),
        (b'["u-1", {"channel_id": "a", "channel_user_id": "Xq7ZwK9", "channel_id": "b"}]', "repeats a key"),
        (b'["Xq7ZwK9\xff"]', "not UTF-8"),
        (b'["u-1", "\\ud800Xq7ZwK9"]', "item 2"),
        (b'["E-mail", "Xq7ZwK9@example.com"]', "item 1 is the name of a column"),
        (b'["contact (private)", "Xq7ZwK9@example.com"]', "item 1 is the name of a column"),
        (b'["Kundennummer"]', "item 1 is the name of a column"),
        pytest.param(b'["u-1", "%s"]' % TEXT.encode(), "item 2 is a text of sealed user ids", id="sealed"),
    ],
)
def test_content_that_is_no_list_of_user_ids_is_refused(content, words):
    assert words in str(refused(seal(content=content + b" " * (-len(content) % 256))))


@pytest.mark.parametrize("user_ids", numbered([TEXT], ["u-1", TEXT], (TEXT,)))
def test_a_text_in_a_list_is_no_user_id(user_ids):
    with pytest.raises(KoreInputError, match="sealed user ids"):
        read(user_ids)


# --- keys ------------------------------------------------------------------------------------------------------------

BOTH_FORMS = [
    pem(OTHER) + pem(PRIVATE),
    f"\n{pem(PRIVATE)}\n\n{pem(OTHER, PrivateFormat.TraditionalOpenSSL)}",
    json.dumps({"keys": [jwk(PRIVATE), jwk(OTHER)]}),
    json.dumps({"keys": [{**jwk(OTHER), "kid": "old", "use": "enc", "alg": "ECDH-ES"}, jwk(PRIVATE)]}, indent=2),
]


@pytest.mark.parametrize("seal_key", numbered(*BOTH_FORMS))
@pytest.mark.parametrize("key", numbered(PRIVATE, OTHER))
def test_each_of_several_keys_opens_what_is_sealed_to_it(seal_key, key):
    assert read(seal(["u-1"], key.public_key()), seal_key=seal_key) == ["u-1"]


@pytest.mark.parametrize(
    "seal_key", numbered(pem(PRIVATE), json.dumps(jwk(PRIVATE)), json.dumps({"keys": [jwk(PRIVATE)]}))
)
def test_one_key_is_enough(seal_key):
    assert read(TEXT, seal_key=seal_key)


SMALL_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)


@pytest.mark.parametrize(
    "seal_key",
    numbered(
        "Xq7ZwK9",
        pem(SMALL_RSA),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(PRIVATE, encryption=BestAvailableEncryption(b"password")),
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        pem(PRIVATE) + "Xq7ZwK9",
        pem(PRIVATE)[:90],
        pem(PRIVATE) + pem(SMALL_RSA),
        json.dumps(by_cryptography.jwk_of(PUBLIC)),
        json.dumps({**jwk(PRIVATE), "d": jwk(OTHER)["d"]}),
        json.dumps({**jwk(PRIVATE), "crv": "P-384"}),
        json.dumps({"keys": []}),
        json.dumps({"keys": jwk(PRIVATE)}),
        json.dumps({"keys": [jwk(PRIVATE), "Xq7ZwK9"]}),
        json.dumps(jwk(PRIVATE))[:-1] + f', "d": "{jwk(OTHER)["d"]}"}}',
        "{",
    ),
)
def test_a_key_that_cannot_be_used_is_refused_unseen(seal_key):
    error = refused(TEXT, seal_key=seal_key)
    assert "seal key cannot be used" in error.problem
    assert not any(line in str(error) for line in seal_key.splitlines() if len(line) > 20 and "---" not in line)


def test_no_repr_shows_a_key():
    keys = SealKeys.read(BOTH_FORMS[0])
    shown = f"{keys!r}{keys}"
    assert by_cryptography.thumbprint(PUBLIC) in shown
    assert not [secret for secret in keys.secrets if secret in shown]
    assert jwk(PRIVATE)["d"] in keys.secrets


def test_keys_are_read_from_a_variable_and_masked(monkeypatch):
    masked = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, name=None: masked.extend(secret))
    monkeypatch.setenv("AIRFLOW_VAR_KORE_SEAL", BOTH_FORMS[0])
    assert read(TEXT, seal_key_variable="kore_seal")
    assert {BOTH_FORMS[0], pem(PRIVATE), pem(OTHER), jwk(PRIVATE)["d"], jwk(OTHER)["d"]} <= set(masked)


def test_a_variable_without_a_key_is_told_by_its_name(monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_KORE_SEAL", " ")
    error = refused(TEXT, seal_key_variable="kore_seal")
    assert "no Airflow Variable kore_seal" in error.problem
    assert "seal_key_variable" in error.remedy

    def fail(*_, **__):
        raise RuntimeError("Xq7ZwK9")

    monkeypatch.setattr("airflow.sdk.Variable.get", fail)
    assert isinstance(refused(TEXT, seal_key_variable="kore_seal"), KoreSourceError)  # a retry may succeed


def test_without_joserfc_the_error_names_the_extra(monkeypatch):
    for name in [
        name for name in sys.modules if name.startswith("joserfc") or name.endswith((".seal_keys", ".sealing"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "joserfc", None)
    error = refused(TEXT)
    assert "joserfc" in error.problem
    assert "airflow-provider-kore[sealed]" in error.remedy


# --- in an operator --------------------------------------------------------------------------------------------------

OPERATORS = {
    KoreEraseUserDataOperator: {"bot_ids": ["st-1"]},
    KoreExportUserDataOperator: {"bot_ids": ["st-1"], "destination": "file:///tmp/export", "since": "2026-01-01"},
    KoreVerifyErasureOperator: {"bot_ids": ["st-1"], "since": "2026-01-01"},
}


def contents(task):
    assert isinstance(task.user_ids, SealedUserIds)
    assert repr(task.user_ids) == str(task.user_ids) == "sealed user ids"
    return read(task.user_ids)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("native", [False, True])
def test_a_text_comes_by_value_by_template_and_by_xcom(operator, native):
    with make_dag(native=native):
        writer = Returns(task_id="writer")
        arguments = OPERATORS[operator]
        literal = operator(task_id="literal", user_ids=TEXT, **arguments)
        template = operator(task_id="template", user_ids="{{ params.user_ids }}", **arguments)
        pulled = operator(task_id="pulled", user_ids=writer.output, **arguments)
        mapped = operator.partial(task_id="mapped", **arguments).expand(user_ids=[TEXT, TEXT])
    assert isinstance(literal.user_ids, SealedUserIds)
    whom = ["Xq7ZwK9@example.com", "u-Xq7ZwK9"]
    assert contents(render(literal)) == whom
    assert contents(render(template, params={"user_ids": TEXT})) == whom
    assert contents(render(pulled, xcoms={"writer": TEXT})) == whom
    assert contents(render(mapped, map_index=1)) == whom


def test_nothing_is_opened_when_a_dag_is_parsed_or_a_task_is_rendered(monkeypatch):
    monkeypatch.setitem(sys.modules, "joserfc", None)
    monkeypatch.delitem(sys.modules, "airflow_provider_kore.user_ids.seal_keys", raising=False)
    with make_dag():
        task = KoreEraseUserDataOperator(task_id="erase", user_ids="jwe:no text", bot_ids=["st-1"])
    assert repr(render(task).user_ids) == "sealed user ids"
    with pytest.raises(KoreInputError, match="only by a task"):
        SealedUserIds(TEXT).read()


def test_a_function_may_return_a_text():
    assert read(CallableUserIds(lambda: TEXT)) == ["Xq7ZwK9@example.com", "u-Xq7ZwK9"]
    assert read(CallableUserIds(lambda: SealedUserIds(TEXT))) == ["Xq7ZwK9@example.com", "u-Xq7ZwK9"]
    assert "another DAG" in str(refused(CallableUserIds(lambda: TEXT), dag_id="dag_2"))


def test_the_public_key_is_what_a_param_has():
    assert public_jwk(KEY) == {**by_cryptography.jwk_of(PUBLIC), "kid": by_cryptography.thumbprint(PUBLIC)}
