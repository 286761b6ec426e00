"""Receipts to test with: any valid one by Hypothesis, and one that is written down."""

import hashlib
from datetime import UTC, date, datetime, time

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import strategies as st

from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.receipts.documents import Receipt
from airflow_provider_kore.receipts.parts import (
    BatchNumber,
    Counts,
    Deadline,
    Export,
    Head,
    Person,
    Request,
    Run,
    Scope,
    Verification,
)

DIGEST_KEY = "a key that is held apart"
OUTCOMES = list(Outcome)
ISSUED_AT = 1_790_000_000
at, day = datetime.fromisoformat, date.fromisoformat


def private_pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


KEYS = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}

HEAD = Head(
    host="https://platform.kore.ai",
    client_id="cs-1",
    scope=Scope(bot_ids=("st-1", "st-2")),
    run=Run(dag_id="erase", run_id="manual__2026-09-21", task_id="erase", map_index=-1, try_number=1),
    received_at=at("2026-09-01T08:00:00Z"),
    deadline=Deadline(
        regime="gdpr", received_on=day("2026-09-01"), due_on=day("2026-10-01"), ends_at=at("2026-10-01T21:59:59Z")
    ),
    approved_by="dpo",
    plan_fingerprint="ab" * 16,
    export=Export(
        manifest="s3://bucket/manifest.json",
        manifest_sha256="cd" * 32,
        since=at("2026-06-01T00:00:00Z"),
        until=at("2026-09-20T10:00:00Z"),
    ),
)
SMALL_HEAD = Head(host="https://a", client_id="cs-1", scope=Scope(all_bots=True), run=HEAD.run)


class LocalFolder:
    """Write files into a folder of this machine."""

    def __init__(self, path):
        self.path = path

    def write(self, name, content):
        (self.path / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def uri_of(self, name):
        return (self.path / name).as_uri()


def request(request_id, user_count, **fields):
    return Request(request_id=request_id, user_count=user_count, **fields)


def receipt(
    request_id="eud-1",
    users=("a@example.com", "b@example.com", "c@example.com"),
    head=HEAD,
    issued_at=ISSUED_AT,
    **fields,
):
    """Make a receipt of people of whom the first is open, the second not erased, and the others erased."""
    outcomes = ["open", "not_erased", *["erased"] * len(users)][: len(users)]
    counts = Counts(**{name: outcomes.count(name) for name in OUTCOMES})
    defaults = {
        "batch": BatchNumber(number=1, of=1),
        "requests": [request(request_id, len(users), completed_at=at("2026-09-20T10:00:00Z"))],
        "user_count": len(users),
        "outcome": counts,
        "vendor_reported": counts,
        "persons": [
            Person(digest=digest(user, DIGEST_KEY), outcome=Outcome(outcome))
            for user, outcome in zip(users, outcomes, strict=True)
        ],
    }
    return Receipt.about(head, **(defaults | fields)).model_copy(update={"iat": issued_at})


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.timezones())
times = st.none() | moments
digests = st.text("0123456789abcdef", min_size=16, max_size=16).map("kd:{}".format)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
CHECKS = ["gone", "found", "not_checkable", "not_checked"]


@st.composite
def counts_of(draw, total, most_erased=None):
    erased = draw(st.integers(0, total if most_erased is None else most_erased))
    still_open = draw(st.integers(0, total - erased))
    return Counts(erased=erased, open=still_open, not_erased=total - erased - still_open)


@st.composite
def deadlines(draw):
    days = sorted([draw(st.dates()), draw(st.dates())])
    return Deadline(
        regime=draw(st.sampled_from(["gdpr", "ccpa"])),
        received_on=days[0],
        due_on=days[1],
        ends_at=datetime.combine(days[1], time(23, 59, 59), UTC),
    )


scopes = st.builds(Scope, all_bots=st.booleans()) | st.lists(texts, unique=True).map(
    lambda bots: Scope(bot_ids=tuple(sorted(bots)))
)
heads = st.builds(
    Head,
    host=texts,
    client_id=texts,
    scope=scopes,
    run=st.builds(
        Run, dag_id=texts, run_id=texts, task_id=texts, map_index=st.integers(-1, 99), try_number=st.integers(0, 9)
    ),
    received_at=times,
    deadline=st.none() | deadlines(),
    approved_by=st.none() | texts,
    plan_fingerprint=st.none() | texts,
    export=st.none() | st.builds(Export, manifest=texts, manifest_sha256=hashes, since=moments, until=moments),
)


@st.composite
def receipts(draw):
    user_count = draw(st.integers(1, 6))
    persons = None
    outcome = draw(counts_of(user_count))
    checks = draw(st.none() | st.lists(st.sampled_from(CHECKS), min_size=user_count, max_size=user_count))
    if draw(st.booleans()):
        names = draw(st.lists(digests, min_size=user_count, max_size=user_count, unique=True))
        outcomes = [name for name in OUTCOMES for _ in range(getattr(outcome, name))]
        if checks:  # nobody is erased whose data were found
            checks[: outcome.erased] = ["gone" if check == "found" else check for check in checks[: outcome.erased]]
        persons = [
            Person(digest=name, outcome=Outcome(outcome), verification=check)
            for name, outcome, check in zip(names, outcomes, checks or ["not_checked"] * user_count, strict=True)
        ]
    more_erased = draw(st.integers(outcome.erased, user_count))
    ids = draw(st.lists(texts, min_size=1, max_size=3, unique=True))
    sizes = [user_count, *(draw(st.integers(1, user_count)) for _ in ids[1:])]
    number, of = sorted([draw(st.integers(1, 9)), draw(st.integers(1, 9))])
    return Receipt.about(
        draw(heads),
        batch=BatchNumber(number=number, of=of),
        requests=[
            Request(
                request_id=request_id,
                user_count=size,
                submitted_at=draw(times),
                completed_at=draw(times),
                vendor_created_on=draw(st.none() | texts),
                vendor_updated_on=draw(st.none() | texts),
            )
            for request_id, size in zip(ids, sizes, strict=True)
        ],
        user_count=user_count,
        outcome=outcome,
        vendor_reported=Counts(erased=more_erased, open=user_count - more_erased),
        persons=persons,
        verification=None
        if checks is None
        else Verification(
            mode=draw(texts),
            scope=draw(scopes),
            since=draw(moments),
            until=draw(moments),
            **{name: checks.count(name) for name in CHECKS},
        ),
    ).model_copy(update={"iat": draw(st.integers(0, ISSUED_AT))})


def checked(**counts):
    """Make a verification of what its counts say."""
    return Verification(
        mode="all",
        scope=Scope(),
        since=at("2026-06-01T00:00:00Z"),
        until=at("2026-09-20T10:00:00Z"),
        **counts,
    )
