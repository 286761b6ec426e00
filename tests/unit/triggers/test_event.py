"""What a trigger fires is read back as it was, and what is not about the very requests proves nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome
from airflow_provider_kore.exceptions import Consequence, KoreAuthenticationError, KoreWaitError
from airflow_provider_kore.resumption import failure_to_json
from airflow_provider_kore.triggers.event import read_event, waiting_broke_off

ALL_DONE = RequestOutcome("eud-1", ErasureOutcome(erased=2), "abc", understood=True)
FAILURE = KoreAuthenticationError("No token.", consequence=Consequence.SENT, remedy="Mend it.")


def through_the_database(value):
    return json.loads(json.dumps(value))


def event(*outcomes, failure=None):
    return {"outcomes": [outcome.to_json() for outcome in outcomes], "failure": failure}


request_outcomes = st.lists(
    st.builds(
        RequestOutcome,
        st.sampled_from(["eud-1", "eud-2", "eud-3"]),
        st.builds(
            ErasureOutcome,
            st.integers(1, 10**6),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.lists(st.text()).map(tuple),
        ),
        st.none() | st.text(),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda outcome: outcome.request_id,
)


def asked(outcome):
    return AcceptedErasure(outcome.request_id, outcome.outcome.user_count)


@given(request_outcomes, st.none() | st.just(FAILURE))
def test_an_event_comes_back_as_it_went(outcomes, failure):
    fired = through_the_database(event(*outcomes, failure=failure and failure_to_json(failure)))
    read, back = read_event(fired, {number: asked(outcome) for number, outcome in enumerate(outcomes, start=7)})
    assert read == dict(enumerate(outcomes, start=7))
    assert str(back) == str(failure)


GOOD = event(ALL_DONE)


@pytest.mark.parametrize(
    "fired",
    [
        pytest.param(None, id="none"),
        pytest.param({}, id="empty"),
        pytest.param([], id="list"),
        pytest.param("done", id="text"),
        pytest.param({"status": "success"}, id="other form"),
        pytest.param({"outcomes": GOOD["outcomes"]}, id="no failure field"),
        pytest.param({"failure": None}, id="no outcomes field"),
        pytest.param(event(), id="no outcome"),
        pytest.param(event(ALL_DONE, ALL_DONE), id="one outcome twice"),
        pytest.param(event(RequestOutcome("eud-2", ErasureOutcome(erased=2))), id="another request"),
        pytest.param(event(RequestOutcome("eud-1", ErasureOutcome(erased=1))), id="fewer users"),
        pytest.param(event(RequestOutcome("eud-1", ErasureOutcome(erased=3))), id="more users"),
        pytest.param(event(RequestOutcome("eud-1", ErasureOutcome(0, 0, 0))), id="no users"),
        pytest.param(event(RequestOutcome("eud-1", ErasureOutcome(3, -1, 0))), id="negative count"),
        pytest.param({"outcomes": [None], "failure": None}, id="outcome of no form"),
        pytest.param({"outcomes": None, "failure": None}, id="null outcomes"),
        pytest.param({"outcomes": [{"request_id": "eud-1", "erased": 2}], "failure": None}, id="cut outcome"),
        pytest.param(GOOD | {"failure": {"type": "KoreError"}}, id="cut failure"),
        pytest.param(
            GOOD | {"failure": {"type": "KoreError", "problem": "", "consequence": "?", "remedy": ""}},
            id="failure with another consequence",
        ),
    ],
)
def test_an_event_that_is_not_about_the_very_requests_leaves_all_of_them_open(fired):
    outcomes, failure = read_event(fired, {1: AcceptedErasure("eud-1", 2)})
    assert outcomes == {1: RequestOutcome("eud-1", ErasureOutcome(open=2))}
    assert isinstance(failure, KoreWaitError)
    assert failure.consequence is Consequence.SENT


def test_an_event_without_users_proves_nothing_of_a_request_of_unknown_size():
    outcomes, failure = read_event(
        event(RequestOutcome("eud-1", ErasureOutcome())), {1: AcceptedErasure("eud-1", None)}
    )
    assert outcomes[1].outcome.open == 1
    assert failure is not None


def test_requests_in_another_order_are_not_mistaken_for_each_other():
    done, failed = ALL_DONE, RequestOutcome("eud-2", ErasureOutcome(not_erased=1))
    _, failure = read_event(event(done, failed), {1: asked(failed), 2: asked(done)})
    assert failure is not None


def test_a_trigger_that_failed_says_nothing_of_the_erasure():
    assert waiting_broke_off().consequence is Consequence.SENT
