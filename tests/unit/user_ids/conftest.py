"""What tests of reading user ids share."""

import gzip
import traceback

import pytest
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import Consequence, KoreInputError


@pytest.fixture
def write(tmp_path):
    """Write a file, packed if its name says so, and give its URI."""

    def write(name, content):
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
        return path.as_uri()

    return write


@pytest.fixture
def read():
    """Read all users of what an operator has as ``user_ids``."""
    return lambda source, most=1000: read_user_ids(source, most)


@pytest.fixture
def refusal(read):
    """Give the error of a refusal, of which nothing that a log would show holds the marker ``Xq7ZwK9``."""

    def refusal(source, most=1000):
        with pytest.raises(KoreInputError) as caught:
            read(source, most)
        assert caught.value.consequence is Consequence.NOT_SENT
        assert caught.value.remedy
        logged = "".join(traceback.format_exception(caught.value))
        assert "Xq7ZwK9" not in f"{caught.value!r}{logged}"
        assert caught.value.__cause__ is None
        return caught.value

    return refusal
