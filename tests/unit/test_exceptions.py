"""What an exception of this provider keeps on its way to another process."""

import copy
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import Consequence, KoreError

KINDS = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, KoreError)]

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("kind", KINDS)
@given(
    problem=st.text(),
    remedy=st.text(),
    consequence=st.sampled_from(Consequence),
    way=st.sampled_from(sorted(WAYS)),
    note=st.none() | st.text(min_size=1),
)
def test_an_exception_survives_pickle_and_copy_with_all_that_it_says(kind, problem, remedy, consequence, way, note):
    error = kind(problem, consequence=consequence, remedy=remedy)
    if note is not None:
        error.add_note(note)
    other = WAYS[way](error)
    assert type(other) is kind
    assert other is not error
    assert (other.problem, other.consequence, other.remedy) == (problem, consequence, remedy)
    assert (str(other), other.args) == (str(error), error.args)
    assert getattr(other, "__notes__", None) == getattr(error, "__notes__", None)


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_copy_brings_no_other_exception_along(way):
    try:
        try:
            raise ValueError("ann@example.com")
        except ValueError as cause:
            raise exceptions.KoreInputError("No.", remedy="Correct it.") from cause
    except KoreError as error:
        other = WAYS[way](error)
    assert other.__cause__ is None
    assert other.__context__ is None
