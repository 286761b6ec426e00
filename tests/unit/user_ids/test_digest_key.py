"""The key of digests is taken as it is in the connection, or refused."""

import io

import pytest

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids import digests
from airflow_provider_kore.user_ids.__main__ import main

KEY = "Xq7ZwK9 a key that is held apart"
FAULTY = [f"{KEY}\n", f" {KEY}", f"{KEY}\u00a0", " ", f"a\n{KEY}", f"\ufeff{KEY}"]


@pytest.mark.parametrize("key", FAULTY)
def test_a_faulty_key_in_the_environment_is_refused_by_the_name_of_its_variable(monkeypatch, capsys, key):
    monkeypatch.setenv("KORE_DIGEST_KEY", key)
    monkeypatch.setattr("sys.stdin", io.StringIO("u-1\n"))
    assert main(["digest"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "KORE_DIGEST_KEY" in printed.err
    assert "Xq7ZwK9" not in printed.err


@pytest.mark.parametrize("key", FAULTY)
def test_a_faulty_key_from_the_terminal_is_refused(monkeypatch, key):
    monkeypatch.delenv("KORE_DIGEST_KEY", raising=False)
    monkeypatch.setattr(digests.getpass, "getpass", lambda _: key)
    with pytest.raises(KoreInputError, match="The digest key") as refused:
        digests.ask_digest_key()
    assert "Xq7ZwK9" not in str(refused.value)


def test_a_good_key_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("KORE_DIGEST_KEY", KEY)
    assert digests.ask_digest_key() == KEY
