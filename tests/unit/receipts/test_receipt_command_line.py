"""The command line of receipts, as an auditor uses it."""

import io
import json
import os
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from making_receipts import DIGEST_KEY, HEAD, KEYS, LocalFolder, private_pem, public_pem, receipt

from airflow_provider_kore.receipts.__main__ import main
from airflow_provider_kore.receipts.book import ReceiptBook
from airflow_provider_kore.receipts.parts import BatchNumber
from airflow_provider_kore.receipts.signing import ReceiptKey, verify

KEY = ReceiptKey.from_pem(private_pem(KEYS["EdDSA"]))
PAIR = {"channel_id": "slack", "channel_user_id": "Xq7ZwK9"}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the program; gives its status and what it printed."""
    (tmp_path / "public.pem").write_text(KEY.public_key_pem)

    def run(*arguments, given="", digest_key=DIGEST_KEY):
        content = given if isinstance(given, bytes) else given.encode()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("KORE_DIGEST_KEY", digest_key)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        assert "Xq7ZwK9" not in printed.out + printed.err
        return status, printed.out, printed.err

    return run


@pytest.fixture
def written(tmp_path):
    """Write receipts, and give the name of the file that stands for all of them."""

    def written(*receipts):
        book = ReceiptBook(LocalFolder(tmp_path), KEY, HEAD)
        for each in receipts:
            book.add(each)
        return book.close()["uri"].rsplit("/", 1)[1]

    return written


def two(**fields):
    return [
        receipt("eud-1", ("a@example.com", "b@example.com"), batch=BatchNumber(number=1, of=2), **fields),
        receipt("eud-2", ("c@example.com", "Xq7ZwK9@example.com", "d"), batch=BatchNumber(number=2, of=2), **fields),
    ]


def test_a_valid_receipt_is_told_in_words(run, written):
    status, out, err = run("verify", written(receipt()), "--key", "public.pem")
    assert (status, err) == (0, "")
    assert out.startswith("VALID: ")
    for words in (
        "3 people from the bots st-1, st-2",
        "https://platform.kore.ai",
        "GDPR",
        "- Kore.ai's backups and logs.",
    ):
        assert words in out


def test_a_manifest_is_verified_with_its_receipts(run, written, tmp_path):
    name = written(*two())
    status, out, _ = run("verify", name, "--key", "public.pem")
    assert status == 0
    assert "Erasure of 5 people" in out
    assert "Batches: 2 of 2" in out
    (tmp_path / "eud-2.jws").unlink()
    status, out, _ = run("verify", name, "--key", "public.pem")
    assert status == 1
    assert out.startswith("NOT VALID. The manifest is not accepted: the receipt eud-2.jws cannot be read")
    assert "5 people" not in out


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_receipt_that_another_key_signed_is_not_valid(run, written, tmp_path, algorithm):
    (tmp_path / "other.pem").write_text(public_pem(KEYS[algorithm]))
    status, out, _ = run("verify", written(receipt()), "--key", "other.pem")
    assert status == 1
    assert out.startswith("NOT VALID. The receipt is not accepted: ")
    assert "It proves nothing about the erasure." in out


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"no receipt", b"a.b.c", b"\n"])
def test_a_file_that_is_no_receipt_is_not_valid(run, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    status, out, err = run("verify", "file", "--key", "public.pem")
    assert (status, err) == (1, "")
    assert out.startswith("NOT VALID. ")


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (private_pem(KEYS["EdDSA"]), "is a private one"),
        (KEY.public_key_pem[:60], "is not a public key in PEM form"),
        ("", "is not a public key in PEM form"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "is not an Ed25519 key"),
    ],
    ids=["private", "cut off", "empty", "P-384"],
)
def test_with_a_key_that_cannot_be_used_no_receipt_is_called_wrong(run, written, tmp_path, pem, words):
    (tmp_path / "key.pem").write_text(pem)
    status, out, err = run("verify", written(receipt()), "--key", "key.pem")
    assert (status, out) == (2, "")
    assert err.startswith("Nothing was verified: the key to verify with")
    assert words in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("verify",),
        ("verify", "eud-1.jws"),
        ("verify", "eud-1.jws", "--key"),
        ("verify", "nowhere.jws", "--key", "public.pem"),
        ("verify", ".", "--key", "public.pem"),
        ("verify", "eud-1.jws", "--key", "nowhere.pem"),
        ("verify", "eud-1.jws", "--key", "public.pem", "--insecure"),
        ("make-key",),
        ("make-key", "--out", "public.pem"),
        ("make-key", "--out", "no/folder.pem"),
        ("public-key",),
        ("public-key", "nowhere.pem"),
        ("public-key", "public.pem"),
        ("sign", "eud-1.jws"),
    ],
)
def test_where_nothing_can_be_tried_the_status_says_so(run, written, arguments):
    written(receipt())
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err
    assert "Traceback" not in err


# --- People -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "status", "lines"),
    [
        ("a@example.com\n", 0, ["Line 1: in the receipt, open, not checked"]),
        (
            "d\r\nXq7ZwK9@example.com\r\nc@example.com",
            0,
            [
                "Line 1: in the receipt, erased, not checked",
                "Line 2: in the receipt, not erased, not checked",
                "Line 3: in the receipt, open, not checked",
            ],
        ),
        ("d\nd\n", 0, ["Line 1: in the receipt, erased, not checked", "Line 2: in the receipt, erased, not checked"]),
        ("d\nXq7ZwK9\n", 1, ["Line 1: in the receipt, erased, not checked", "Line 2: not in the receipt"]),
        ("D\n", 1, ["Line 1: not in the receipt"]),
        ("A@Example.com\n", 0, ["Line 1: in the receipt, open, not checked"]),
        (
            "\ufeffd\ra@example.com",
            0,
            ["Line 1: in the receipt, erased, not checked", "Line 2: in the receipt, open, not checked"],
        ),
        (json.dumps(PAIR), 1, ["Line 1: not in the receipt"]),
    ],
)
def test_people_are_told_by_line(run, written, given, status, lines):
    got, out, _ = run("verify", written(*two()), "--key", "public.pem", "--persons", given=given)
    assert got == status
    assert [line for line in out.splitlines() if line.startswith("Line ")] == lines


def test_who_asks_for_nobody_is_not_told_that_all_are_in_it(run, written):
    got, out, error = run("verify", written(*two()), "--key", "public.pem", "--persons", given="")
    assert (got, out) == (2, "")
    assert "There are no user ids on standard input." in error


def test_people_of_a_channel_are_given_as_json(run, written, tmp_path):
    from airflow_provider_kore.api.users import ChannelUserId

    name = written(receipt(users=(ChannelUserId(**PAIR), "u-1")))
    turned = json.dumps(dict(reversed(PAIR.items())))
    status, out, _ = run("verify", name, "--key", "public.pem", "--persons", given=turned)
    assert status == 0
    assert "Line 1: in the receipt, open" in out


def test_with_another_digest_key_nobody_is_found(run, written):
    name = written(*two())
    status, out, _ = run("verify", name, "--key", "public.pem", "--persons", given="d\n", digest_key="other")
    assert status == 1
    assert "Line 1: not in the receipt" in out


def test_receipts_that_name_nobody_are_told_as_such(run, written):
    status, out, _ = run("verify", written(*two(persons=None)), "--key", "public.pem", "--persons", given="d\n")
    assert status == 1
    assert "so that none is found there: 2" in out


def test_of_what_is_not_valid_no_person_is_told(run, written, tmp_path):
    name = written(*two())
    (tmp_path / "eud-2.jws").unlink()
    status, out, _ = run("verify", name, "--key", "public.pem", "--persons", given="a@example.com\n")
    assert status == 1
    assert "Line" not in out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("d\n\n", "line 2 is blank"),
        ('d\n{"Xq7ZwK9', "line 2 is not JSON"),
        ('{"channel_id": "Xq7ZwK9"}', "line 1 is a mapping"),
        ("email\nXq7ZwK9\n", "line 1 is the name of a column"),
        ("d\n\ufeffXq7ZwK9\n", "line 2 begins with a byte order mark"),
        (b"d\nXq7ZwK9\xe4\n", "line 2 is not UTF-8"),
        ("Xq7ZwK9\n".encode("utf-16-le"), "contains NUL"),
        ("d\n4.91701E+11\n", "line 2 is a number"),
    ],
)
def test_what_is_no_user_id_is_told_by_its_line(run, written, given, words):
    status, out, err = run("verify", written(*two()), "--key", "public.pem", "--persons", given=given)
    assert (status, out) == (2, "")
    assert words in err


def program(*arguments, digest_key, given, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        input=given,
        capture_output=True,
        text=True,
        env=os.environ | {"KORE_DIGEST_KEY": digest_key},
        **options,
    )


@pytest.fixture
def verify_people(written, tmp_path):
    """Write receipts, and give the arguments that verify them and look for people."""
    (tmp_path / "public.pem").write_text(KEY.public_key_pem)
    return ["verify", tmp_path / written(*two()), "--key", tmp_path / "public.pem", "--persons"]


def test_without_a_digest_key_and_a_terminal_no_id_is_taken_for_the_key(verify_people):
    module = ["-m", "airflow_provider_kore.receipts"]
    done = program(*module, *verify_people, digest_key="", given="a@example.com\nd\n", start_new_session=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no digest key" in done.stderr
    assert "Traceback" not in done.stderr


# --- Keys -------------------------------------------------------------------------------------------------------


def test_a_key_is_made_that_signs_and_nobody_else_reads(run, tmp_path):
    status, public, _ = run("make-key", "--out", "private.pem")
    assert status == 0
    assert stat.S_IMODE((tmp_path / "private.pem").stat().st_mode) == 0o600
    signer = ReceiptKey.from_pem((tmp_path / "private.pem").read_text())
    assert signer.algorithm == "EdDSA"
    assert verify(signer.sign(receipt()), public) == receipt()
    assert run("public-key", "private.pem") == (0, public, "")


def test_a_key_that_is_there_is_not_overwritten(run, tmp_path):
    run("make-key", "--out", "private.pem")
    before = (tmp_path / "private.pem").read_bytes()
    assert run("make-key", "--out", "private.pem")[0] == 2
    assert (tmp_path / "private.pem").read_bytes() == before


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_public_key_of_any_kind_is_shown(run, tmp_path, algorithm):
    (tmp_path / "private.pem").write_text(private_pem(KEYS[algorithm]))
    assert run("public-key", "private.pem") == (0, public_pem(KEYS[algorithm]), "")


# --- Without Airflow --------------------------------------------------------------------------------------------

AUDITOR = """
import importlib.abc, runpy, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"airflow", "httpx", "aiohttp", "pendulum", "fsspec", "upath", "starlette"}:
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refuse())
try:
    runpy.run_module("airflow_provider_kore.receipts", run_name="__main__", alter_sys=True)
finally:
    print(*sorted({name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)), file=sys.stderr)
"""


def test_an_auditor_needs_no_airflow(verify_people):
    done = program("-c", AUDITOR, *verify_people, digest_key=DIGEST_KEY, given="d\n")
    assert done.returncode == 0, done.stderr
    assert "VALID" in done.stdout
    assert "Line 1: in the receipt" in done.stdout
    brought = set(done.stderr.split())
    assert {"jwt", "cryptography", "pydantic"} <= brought
    assert "airflow" not in brought
