"""The one form that is signed."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.receipts.canonical import NotCanonicalError, canonical_json, read_canonical

texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(documents)
def test_what_is_written_is_read_and_written_the_same(document):
    content = canonical_json(document)
    assert read_canonical(content) == document
    assert canonical_json(read_canonical(content)) == content


@given(st.dictionaries(texts, documents), st.randoms())
def test_the_order_of_insertion_does_not_matter(document, random):
    pairs = list(document.items())
    random.shuffle(pairs)
    assert canonical_json(dict(pairs)) == canonical_json(document)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b'{"a": 1}', "no blanks", id="blank"),
        pytest.param(b'{"a":1}\n', "no blanks", id="line break"),
        pytest.param(b'{"b":1,"a":1}', "sorted", id="order"),
        pytest.param(b'{"a":"\\u00e4"}', "UTF-8", id="escape"),
        pytest.param(b'{"a":"\\/"}', "one form", id="other escape"),
        pytest.param(b'{"a":1,"a":1}', "twice", id="key twice"),
        pytest.param(b'{"a":[{"a":1,"a":2}]}', "twice", id="key twice, deep"),
        pytest.param(b'{"a":1.0}', "whole", id="fraction"),
        pytest.param(b'{"a":1e2}', "whole", id="exponent"),
        pytest.param(b'{"a":NaN}', "whole", id="NaN"),
        pytest.param(b'{"a":-Infinity}', "whole", id="infinity"),
        pytest.param(b'{"a":-0}', "one form", id="minus nothing"),
        pytest.param(b'{"a":"\xff"}', "not JSON", id="not UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', "not JSON", id="BOM"),
        pytest.param(b'{"a":"\\ud800"}', "not JSON", id="half a character"),
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"[" * 100_000, "not JSON", id="deep"),
        pytest.param(b"1" * 10_000, "not JSON", id="long"),
    ],
)
def test_another_form_is_refused(content, words):
    with pytest.raises(NotCanonicalError, match=words):
        read_canonical(content)


def test_what_is_no_number_cannot_be_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": math.nan})


def test_it_is_json_that_anybody_reads():
    document = {"b": [1, None, True], "a": "ä"}
    assert canonical_json(document) == '{"a":"ä","b":[1,null,true]}'.encode()
    assert json.loads(canonical_json(document)) == document
