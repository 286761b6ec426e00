"""A manifest is accepted with exactly its receipts beside it; and what is accepted is said in words."""

import pytest
from making_receipts import HEAD, KEYS, LocalFolder, at, checked, private_pem, public_pem, receipt, request

from airflow_provider_kore.exceptions import Consequence, KoreReceiptError
from airflow_provider_kore.receipts.auditing import Summary, audit, describe
from airflow_provider_kore.receipts.book import ReceiptBook
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest
from airflow_provider_kore.receipts.parts import BatchNumber, Counts, Head, Run, Scope
from airflow_provider_kore.receipts.signing import ReceiptKey

KEY = ReceiptKey.from_pem(private_pem(KEYS["EdDSA"]))
OTHER_KEY = ReceiptKey.from_pem(private_pem(KEYS["ES256"]))
PUBLIC = public_pem(KEYS["EdDSA"])
FIRST, SECOND = (receipt(f"eud-{number}", batch=BatchNumber(number=number, of=2)) for number in (1, 2))


def head(**fields):
    run = HEAD.run.model_copy(update={name: fields.pop(name) for name in list(fields) if name in Run.model_fields})
    return HEAD.model_copy(update=fields | {"run": run})


def put(folder, statement, key=KEY, name=None):
    (folder / (name or statement.file_name)).write_bytes(key.sign(statement))


@pytest.fixture
def path(tmp_path):
    """Write two receipts and their manifest, and give the path of the latter."""
    book = ReceiptBook(LocalFolder(tmp_path), KEY, HEAD)
    book.add(FIRST)
    book.add(SECOND)
    return tmp_path / book.close()["uri"].rsplit("/", 1)[1]


def relist(path, *listed, **fields):
    """Write a manifest of the very files that are there, or of others."""
    contents = [(each, (path.parent / each.file_name).read_bytes()) for each in listed]
    manifest = Manifest.of(
        head(**fields),
        receipts=[ListedReceipt.of(each, content) for each, content in contents],
        does_not_cover=["x"],
    )
    path.write_bytes(KEY.sign(manifest))


def missing(path):
    (path.parent / "eud-2.jws").unlink()


def folder_in_its_place(path):
    missing(path)
    (path.parent / "eud-2.jws").mkdir()


def changed(path):
    content = (path.parent / "eud-2.jws").read_bytes()
    (path.parent / "eud-2.jws").write_bytes(content + b"\n")


def exchanged(path):
    (path.parent / "eud-2.jws").write_bytes((path.parent / "eud-1.jws").read_bytes())


def signed_by_another(path):
    put(path.parent, SECOND, OTHER_KEY)
    relist(path, FIRST, SECOND)


def of_another_attempt(path):
    relist(path, FIRST, SECOND, try_number=2)


def of_another_account(path):
    relist(path, FIRST, SECOND, client_id="cs-2")


def of_one_batch(path):
    again = receipt("eud-3", batch=FIRST.batch)
    put(path.parent, again)
    relist(path, FIRST, SECOND, again)


def misstated(path):
    sure = receipt("eud-2", persons=None, outcome=Counts(open=3), vendor_reported=Counts(open=3))
    listed = [
        ListedReceipt.of(FIRST, (path.parent / "eud-1.jws").read_bytes()),
        ListedReceipt.of(sure, (path.parent / "eud-2.jws").read_bytes()),
    ]
    manifest = Manifest.of(HEAD, receipts=listed, does_not_cover=["x"])
    path.write_bytes(KEY.sign(manifest))


def additional(path):
    put(path.parent, receipt("eud-3"))


def additional_under_another_name(path):
    put(path.parent, receipt("eud-3"), name="aside.jws")


def not_listed(path):
    relist(path, FIRST)


def a_manifest_as_a_receipt(path):
    (path.parent / "eud-2.jws").write_bytes(path.read_bytes())
    relist(path, FIRST, SECOND)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (missing, r"eud-2\.jws cannot be read beside the manifest \(FileNotFoundError\)"),
        (folder_in_its_place, r"eud-2\.jws cannot be read beside the manifest \(IsADirectoryError\)"),
        (changed, r"eud-2\.jws is not the one"),
        (exchanged, r"eud-2\.jws is not the one"),
        (signed_by_another, "does not name EdDSA"),
        (of_another_attempt, r"eud-1\.jws is not of the same attempt"),
        (of_another_account, r"eud-1\.jws is not of the same attempt"),
        (of_one_batch, r"eud-3\.jws is about a batch that another one"),
        (misstated, r"eud-2\.jws does not say what the manifest says"),
        (additional, r"eud-3\.jws is of the same task"),
        (additional_under_another_name, r"aside\.jws is of the same task"),
        (not_listed, r"eud-2\.jws is of the same task"),
        (a_manifest_as_a_receipt, r"eud-2\.jws does not say"),
    ],
)
def test_a_manifest_with_other_receipts_than_its_own_is_refused(path, damage, words):
    audit(path, PUBLIC)
    damage(path)
    with pytest.raises(KoreReceiptError, match=words) as caught:
        audit(path, PUBLIC)
    assert caught.value.consequence is Consequence.NOT_EVIDENT


def test_what_else_is_in_the_folder_does_not_matter(path):
    folder = path.parent
    put(folder, receipt("eud-3", head=head(run_id="another run")))
    put(folder, receipt("eud-4", head=head(map_index=3)))
    put(folder, receipt("eud-7", head=head(try_number=0)))
    put(folder, receipt("eud-5"), OTHER_KEY)
    (folder / "notes.jws").write_bytes(b"\xff")
    (folder / "folder.jws").mkdir()
    (folder / "eud-6.jws.part").write_text("half")
    assert audit(path, PUBLIC).user_count == 6


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_receipt_of_the_same_task_that_is_not_listed_is_not_overlooked(path, end):
    put(path.parent, receipt("eud-9", batch=BatchNumber(number=3, of=3)))
    file = path.parent / "eud-9.jws"
    file.write_bytes(file.read_bytes() + end)
    with pytest.raises(KoreReceiptError):
        audit(path, PUBLIC)


def words(*receipts, head=HEAD):
    summary = Summary()
    for each in receipts:
        summary.add(each)
    return list(describe(receipts[0], summary))


def test_a_receipt_is_told_in_words():
    verification = checked(not_checked=3)
    told = words(receipt(verification=verification))
    assert told[:13] == [
        "Erasure of 3 people from the bots st-1, st-2",
        "At https://platform.kore.ai, by the app cs-1",
        "Task: erase, run manual__2026-09-21, task erase, attempt 1",
        told[3],
        "Approved by dpo",
        "Fingerprint of the plan: abababababababababababababababab",
        "Batches: 1 of 1",
        "Reported by Kore.ai: 1 erased, 1 open, 1 not erased",
        "Outcome: 1 erased, 1 open, 1 not erased",
        "Verification: 0 gone, 0 found, 0 not checkable, 3 not checked (all, from 2026-06-01T00:00:00Z to "
        "2026-09-20T10:00:00Z)",
        "Request received at 2026-09-01T08:00:00Z",
        "Deadline: GDPR, received on 2026-09-01, due on 2026-10-01: not met yet, since 2 people had not been erased by "
        "2026-09-21T14:13:20Z",
        f"Export named: s3://bucket/manifest.json (of 2026-06-01T00:00:00Z to 2026-09-20T10:00:00Z, "
        f"SHA-256 {'cd' * 32})",
    ]
    assert told[3].startswith("Issued at 2026-09-21T14:13:20Z by airflow-provider-kore ")
    assert told[13:] == [
        receipt().attests,
        "It does not cover:",
        *(f"- {gap}" for gap in receipt(verification=verification).does_not_cover),
    ]


ALL = Counts(erased=1)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"head": head(scope=Scope(all_bots=True))}, "Erasure of 1 person from all bots"),
        ({"head": head(scope=Scope(bot_ids=("st-1",)))}, "Erasure of 1 person from the bot st-1"),
        ({"head": head(scope=Scope())}, "Erasure of 1 person from bots that the task did not know"),
        ({"head": head(map_index=0)}, "Task: erase, run manual__2026-09-21, task erase [0], attempt 1"),
        ({"head": head(deadline=None)}, "Deadline: none is named"),
        ({"batch": BatchNumber(number=2, of=3)}, "Batches: 1 of 3; the others are not in this receipt"),
        ({}, "Verification: none; nothing was checked after the erasure"),
        (
            {"verification": checked(gone=1)},
            "Verification: 1 gone, 0 found, 0 not checkable, 0 not checked (all, from 2026-06-01T00:00:00Z to 2026",
        ),
        (
            {"completed_at": at("2026-10-01T21:59:59Z")},
            ": met, since all were erased by 2026-10-01T21:59:59Z",
        ),
        ({"completed_at": at("2026-10-01T22:00:00Z")}, "on 2026-10-01: not met, since all were erased by 2026-10-01"),
        (
            {"completed_at": at("2026-09-20T10:00:00Z"), "outcome": Counts(open=1)},
            "not met yet, since 1 person had not been erased by 2026-09-21T14:13:20Z",
        ),
        (
            {"issued_at": 1_790_899_200, "outcome": Counts(open=1)},
            "on 2026-10-01: not met, since 1 person had not been erased by 2026-10-02T00:00:00Z",
        ),
        ({"completed_at": None}, "met, since all were erased by 2026-09-21T14:13:20Z"),
    ],
)
def test_each_part_is_told(fields, line):
    completed_at = fields.get("completed_at", at("2026-09-20T10:00:00Z"))
    rest = {name: value for name, value in fields.items() if name != "completed_at"}
    made = receipt(
        users=("u-1",),
        **{"persons": None, "outcome": ALL, "vendor_reported": ALL}
        | {"requests": [request("eud-1", 1, completed_at=completed_at)]}
        | rest,
    )
    assert [told for told in words(made) if line in told]


def test_of_several_receipts_the_latest_tells_by_when_all_were_erased():
    times = ["2026-09-20T10:00:00Z", "2026-10-03T10:00:00Z", "2026-09-21T10:00:00Z"]
    fields = {"users": ("u-1",), "persons": None, "outcome": ALL, "vendor_reported": ALL}
    made = [receipt(requests=[request("eud-1", 1, completed_at=at(time))], **fields) for time in times]
    assert [line for line in words(*made) if "not met, since all were erased by 2026-10-03T10:00:00Z" in line]


def test_what_is_not_known_is_not_told():
    bare = Head(host="https://a", client_id="cs-1", scope=Scope(), run=HEAD.run)
    told = "\n".join(words(receipt(head=bare)))
    assert not [name for name in ("Approved", "Fingerprint", "received at", "Export named") if name in told]
    assert "None" not in told


def test_no_name_can_look_like_a_line_of_its_own_or_steer_a_terminal():
    told = words(receipt(head=head(approved_by="dpo\nOutcome: \x1b[2J\u202eall erased")))
    assert "Approved by dpo�Outcome: �[2J�all erased" in told
