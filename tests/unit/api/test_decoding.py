"""Decoding JSON: what two readers could read differently is refused."""

import json

import pytest
from hypothesis import given
from kores_answers import some_json

from airflow_provider_kore.api.decoding import NotJsonError, decode_json


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b'{"response": [',
        b'{"response": []} trailing',
        b'\xef\xbb\xbf{"response": []}',
        b'{"response": "\xff"}',
        '{"response": []}'.encode("utf-16"),
        b'{"response": [], "response": [{"userId": "a", "status": "SUCCESS"}]}',
        b'{"response": [{"userId": "a", "status": "FAILED", "status": "SUCCESS"}]}',
        b'{"d": ISODate("2019-09-26T08:42:53.552Z"), "a": 1, "a": 2}',
        b'{"d": ISODate(2019)}',
        b'{"d": ObjectId("2019")}',
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_bytes_that_two_readers_could_read_differently_are_refused(content):
    with pytest.raises(NotJsonError):
        decode_json(content)


def test_the_date_of_old_samples_is_forgiven():
    content = b'{"createdOn": ISODate("2019-09-26T08:42:53.552Z"), "response": [{"userId": "a", "status": "SUCCESS"}]}'
    assert decode_json(content)["createdOn"] == "2019-09-26T08:42:53.552Z"


def test_a_date_within_a_string_stays_as_it_is():
    document = {"userId": 'ISODate("x")'}
    assert decode_json(json.dumps(document).encode()) == document


@given(some_json)
def test_every_json_document_without_doubled_keys_is_decoded(document):
    assert decode_json(json.dumps(document).encode()) == document
