"""What options a task reads, and that a changed one is noticed by the attempt that resumes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from erasing_users import ACCOUNT

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.deadlines import Regime, StatutoryDeadline
from airflow_provider_kore.erasure.options import VerifyOptions, read_exported, read_options
from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.receipts.signing import ReceiptKey

PEMS = [
    Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for _ in range(2)
]
NAMING_ACCOUNT = replace(ACCOUNT, digest_key="a digest key", receipt_key=PEMS[0])
EXPORTED = {
    "manifest": "s3://bucket/manifest.json",
    "manifest_sha256": "0a" * 32,
    "user_count": 2,
    "people_fingerprint": "f" * 32,
    "host": "https://platform.kore.ai",
    "client_id": "cs-1",
    "bot_ids": ["st-1", "st-2"],
    "all_bots": False,
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-01-05T12:00:00Z",
    "channel_types": None,
}
OPTIONS = {
    "deadline": {"received_at": "2026-01-31", "regime": "gdpr"},
    "verify": {"people": "sample:2", "since": timedelta(days=31), "channel_types": ["korevg", "rtm"]},
    "receipt": {"folder": "s3://bucket/receipts", "approved_by": "Vera"},
    "exported": EXPORTED,
    "approved_plan": f"kp:{'0a' * 16}",
}


def read(account=NAMING_ACCOUNT, **changed):
    return read_options(account, **OPTIONS | changed)


def test_every_option_is_read():
    options = read()
    assert options.deadline == StatutoryDeadline(datetime(2026, 1, 31, tzinfo=UTC), Regime.GDPR)
    assert options.verify == VerifyOptions(
        "sample:2", timedelta(days=31), ("korevg", "rtm"), fail_if_not_checkable=True
    )
    assert (options.receipt.folder, options.receipt.approved_by) == ("s3://bucket/receipts", "Vera")
    assert options.receipt.key.key_id == ReceiptKey.from_pem(PEMS[0]).key_id
    assert options.exported == read_exported(EXPORTED)
    assert options.approved_plan == OPTIONS["approved_plan"]


def test_an_option_that_is_not_set_is_none():
    options = read_options(ACCOUNT, deadline=None)
    assert (options.deadline, options.verify, options.receipt, options.exported, options.approved_plan) == (None,) * 5


@pytest.mark.parametrize(("word", "fails"), [("fail", True), ("warn", False)])
def test_the_author_chooses_whether_a_user_who_is_not_checkable_fails_the_task(word, fails):
    assert read(verify=OPTIONS["verify"] | {"on_not_checkable": word}).verify.fail_if_not_checkable is fails


def test_a_receipt_without_a_key_for_digests_is_refused():
    with pytest.raises(KoreInputError, match="no digest_key") as refusal:
        read(replace(NAMING_ACCOUNT, digest_key=None))
    assert refusal.value.consequence is Consequence.NOT_SENT
    assert read(replace(NAMING_ACCOUNT, digest_key=None), receipt=None).receipt is None


@pytest.mark.parametrize(
    "changed",
    [
        {"deadline": None},
        {"deadline": OPTIONS["deadline"] | {"received_at": date(2026, 2, 1)}},
        {"deadline": OPTIONS["deadline"] | {"regime": "ccpa"}},
        {"verify": None},
        {"verify": OPTIONS["verify"] | {"people": "all"}},
        {"verify": OPTIONS["verify"] | {"channel_types": ["rtm"]}},
        {"verify": OPTIONS["verify"] | {"on_not_checkable": "warn"}},
        {"receipt": None},
        {"receipt": OPTIONS["receipt"] | {"folder": "s3://elsewhere"}},
        {"receipt": {"folder": OPTIONS["receipt"]["folder"]}},
        {"exported": None},
        {"exported": EXPORTED | {"manifest_sha256": "0b" * 32}},
        {"approved_plan": None},
    ],
)
def test_another_option_has_another_fingerprint(changed):
    assert read(**changed).fingerprint() != read().fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"account": replace(NAMING_ACCOUNT, receipt_key=PEMS[1])},
        {"verify": OPTIONS["verify"] | {"since": timedelta(days=32)}},
        {"verify": OPTIONS["verify"] | {"on_not_checkable": "fail"}},
        {"approved_plan": {"dry_run": True, "plan_fingerprint": OPTIONS["approved_plan"]}},
    ],
)
def test_a_task_resumes_with_another_key_or_a_start_that_is_rendered_anew(changed):
    assert read(**changed).fingerprint() == read().fingerprint()
    assert len(read().fingerprint()) == 32  # of a record in Airflow's database


# --- the output of an export ------------------------------------------------------------------------------------------


def test_of_an_export_all_is_read_that_the_gate_compares():
    exported = read_exported(EXPORTED)
    assert exported.named.model_dump() == {
        "manifest": EXPORTED["manifest"],
        "manifest_sha256": EXPORTED["manifest_sha256"],
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "until": datetime(2026, 1, 5, 12, tzinfo=UTC),
    }
    assert exported.account == ACCOUNT.identity()
    assert exported.scope == ErasureScope(("st-1", "st-2"), all_bots=False)
    assert (exported.user_count, exported.people) == (2, "f" * 32)
    assert (exported.period.since, exported.period.until) == (exported.named.since, exported.named.until)
    assert exported.channel_types is None
    assert read_exported(EXPORTED | {"channel_types": ["rtm", "alexa"]}).channel_types == ("alexa", "rtm")
    assert read_exported(EXPORTED | {"bot_ids": [], "all_bots": True}).scope == ErasureScope((), all_bots=True)
    assert read_exported(None) is None


@pytest.mark.parametrize(
    "value",
    [
        "s3://bucket/manifest.json",
        [EXPORTED],
        {},
        *({key: value for key, value in EXPORTED.items() if key != left_out} for left_out in EXPORTED),
        *(EXPORTED | {key: wrong} for key in EXPORTED for wrong in (7.5, {"a": 1})),
        EXPORTED | {"manifest": ""},
        EXPORTED | {"manifest_sha256": "0A" * 32},
        EXPORTED | {"manifest_sha256": "0a" * 33},
        EXPORTED | {"manifest_sha256": "0a" * 32 + "\n"},
        EXPORTED | {"since": "yesterday"},
        EXPORTED | {"until": "2026-01-05T12:00:00"},
        EXPORTED | {"channel_types": "rtm"},
    ],
)
def test_what_is_no_output_of_an_export_is_refused(value):
    with pytest.raises(KoreInputError, match="not what an export returned") as refusal:
        read_exported(value)
    assert refusal.value.consequence is Consequence.NOT_SENT
    assert "s3://" not in str(refusal.value)


@pytest.mark.parametrize("nothing", ["", " ", "None"])
def test_an_export_that_renders_to_nothing_is_not_taken_for_none(nothing):
    with pytest.raises(KoreInputError, match="renders to nothing"):
        read_exported(nothing)
