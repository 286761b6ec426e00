"""The digests of people whose ids are on standard input."""

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.users import ChannelUserId, digest
from airflow_provider_kore.user_ids.__main__ import main

PERSON = "Xq7ZwK9@example.com"
KEY = "a key that is held apart"


@pytest.fixture
def digests(monkeypatch, capsys):
    def digests(text):
        monkeypatch.setenv("KORE_DIGEST_KEY", KEY)
        content = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = main(["digest"])
        printed = capsys.readouterr()
        return code, printed.out.split(), printed.err

    return digests


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_holder_of_the_key_finds_a_person_by_the_digest(digests, newline, mark):
    pair = '{"channel_user_id": "U1", "channel_id": "slack"}'
    code, names, _ = digests(mark + newline.join([PERSON, pair, "u-1"]))
    assert code == 0
    assert names == [digest(PERSON, KEY), digest(ChannelUserId("slack", "U1"), KEY), digest("u-1", KEY)]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{PERSON}\n\n", "line 2 is blank"),
        (f'{PERSON}\n{{"channel_id": "{PERSON}"}}', "line 2 is a mapping"),
        (f'u-1\n{{"channel_id": "a", "channel_user_id": "b", "channel_user_id": "{PERSON}"}}', "line 2 is not JSON"),
        (f"u-1\n{{{PERSON}", "line 2 is not JSON"),
        pytest.param("u-1\n" + '{"a":' * 100_000, "line 2 is not JSON", id="deep"),
        (f"Email\n{PERSON}\n", "line 1 is the name of a column"),
        (f"u-1\n\ufeff{PERSON}\n", "line 2 begins with a byte order mark"),
        (f"u-1\n{PERSON}é".encode("latin-1"), "line 2 is not UTF-8"),
        (f"u-1\n{PERSON}".encode("utf-16"), "line 1 is not UTF-8"),
        (f"u-1\n{PERSON}".encode("utf-16-le"), "line 1 contains NUL"),
        (f'u-1\n"{PERSON}",', "line 2 begins or ends with a quote"),
        ("u-1\n491701234567.0", "line 2 is a number"),
    ],
)
def test_what_is_no_user_id_is_told_by_its_line(digests, text, words):
    code, _, errors = digests(text)
    assert code == 1
    assert words in errors
    assert "Xq7ZwK9" not in errors


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_digest_is_short_and_needs_the_key(user_id, key):
    name = digest(user_id, key)
    assert name.startswith("kd:")
    assert len(name) == 19
    assert name != digest(user_id, key + "x")
    assert name == digest(user_id, key)


def test_an_address_has_one_digest_in_any_case_and_other_ids_have_their_own():
    assert digest("Ann@X.org", KEY) == digest("ann@x.org", KEY)
    assert digest("U-1", KEY) != digest("u-1", KEY)


def test_the_command_says_how_it_is_used():
    help_text = subprocess.run(
        [sys.executable, "-m", "airflow_provider_kore.user_ids", "digest", "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "KORE_DIGEST_KEY" in help_text
