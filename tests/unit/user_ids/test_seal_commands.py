"""The commands by which a ticket system seals user ids, and the owner of the keys makes one."""

import io
import json
import os
import stat
import subprocess
import sys

import jwe_by_cryptography as by_cryptography
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow_provider_kore.user_ids.__main__ import main

PERSON = "Xq7ZwK9@example.com"


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command with a text on standard input."""

    def command(*arguments, text=""):
        content = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def keys(command, tmp_path):
    """Make a key pair, and return the files of both."""
    private, public = tmp_path / "private.pem", tmp_path / "public.json"
    code, printed, _ = command("make-seal-key", "--out", private)
    assert code == 0
    public.write_text(printed)
    return private, public


@pytest.fixture
def seal(command, keys):
    """Seal a text of user ids, with other flags if they are named."""

    def seal(text, **flags):
        flags = {"key": keys[1], "dag_id": "erase", "expires": "2099-12-31T12:00:00+01:00"} | flags
        words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
        return command("seal", *words, text=text)

    return seal


def test_a_key_pair_seals_and_opens(seal, keys):
    code, text, errors = seal(f'{PERSON}\r\n{{"channel_id": "slack", "channel_user_id": "Ünï"}}\r\n')
    assert (code, errors) == (0, "")
    assert text.count("\n") == 1
    header, content = by_cryptography.unseal(text.strip(), load_pem_private_key(keys[0].read_bytes(), None))
    assert json.loads(content) == [PERSON, {"channel_id": "slack", "channel_user_id": "Ünï"}]
    assert (header["aud"], header["exp"]) == ("erase", 4102398000)


def test_the_private_key_is_the_owners_alone_and_is_never_overwritten(command, keys):
    private, public = keys
    content = private.read_bytes()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    key = load_pem_private_key(content, None)
    assert json.loads(public.read_text()) == {
        **by_cryptography.jwk_of(key.public_key()),
        "kid": by_cryptography.thumbprint(key.public_key()),
    }
    code, printed, errors = command("make-seal-key", "--out", private)
    assert (code, printed) == (1, "")
    assert "File exists" in errors
    assert private.read_bytes() == content


def test_a_key_has_no_moment_in_which_others_could_read_it(command, tmp_path):
    before = os.umask(0)
    try:
        command("make-seal-key", "--out", tmp_path / "private.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no user ids"),
        (f"{PERSON}\n\n", "line 2 is blank"),
        (f"Email\n{PERSON}", "line 1 is the name of a column"),
        (f"{PERSON}\n{PERSON},1", "line 2"),
        (f"{PERSON}é".encode("latin-1"), "line 1 is not UTF-8"),
        (f'{PERSON}\n{{"channel_id": "{PERSON}"}}', "line 2 is a mapping"),
        (f"{PERSON}\njwe:{'A' * 99}", "line 2 is a text of sealed user ids"),
        ("\n".join(f"{number}.{PERSON}" for number in range(3000)), "too many user ids"),
    ],
)
def test_what_is_no_user_id_is_refused_by_its_line(seal, text, words):
    code, printed, errors = seal(text)
    assert (code, printed) == (1, "")
    assert words in errors
    assert "Xq7ZwK9" not in errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda jwk: {**jwk, "d": jwk["x"]}, "is a private one"),
        (lambda jwk: {**jwk, "kid": jwk["x"]}, "kid is not the thumbprint"),
        (lambda jwk: {**jwk, "y": jwk["x"]}, "not a public key"),
        (lambda jwk: {**jwk, "crv": "P-384"}, "not a public key"),
        (lambda jwk: {**jwk, "use": "enc"}, "exactly kty, crv, x, y and kid"),
        (lambda jwk: {"keys": [jwk]}, "not a public key"),
        (lambda jwk: jwk["x"], "not a public key"),
    ],
)
def test_only_a_public_key_with_its_thumbprint_seals(seal, keys, change, words):
    keys[1].write_text(json.dumps(change(json.loads(keys[1].read_text()))))
    code, printed, errors = seal(PERSON)
    assert (code, printed) == (1, "")
    assert words in errors


def test_the_private_key_in_place_of_the_public_one_is_refused_unseen(seal, keys, tmp_path):
    code, _, errors = seal(PERSON, key=keys[0])
    assert code == 1
    assert "is a private one" in errors
    assert keys[0].read_text().splitlines()[1] not in errors
    assert "No such file" in seal(PERSON, key=tmp_path / "none.json")[2]


@pytest.mark.parametrize("expires", ["2020-01-01", "soon", "", "2099-13-01", "4102398000"])
def test_a_text_expires_in_the_future(seal, expires):
    code, printed, errors = seal(PERSON, expires=expires)
    assert (code, printed) == (2, "")
    assert "--expires" in errors


@pytest.mark.parametrize("name", ["seal", "make-seal-key"])
def test_the_commands_need_no_airflow_and_say_how_they_are_used(name):
    program = (
        "import sys; sys.modules['airflow'] = None; from airflow_provider_kore.user_ids.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, name, "--help"], capture_output=True, text=True, check=True)
    assert "seal" in done.stdout
