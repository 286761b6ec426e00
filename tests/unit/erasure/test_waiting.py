"""How a wait comes back from the triggerer, and how it may end."""

import inspect
import json
import logging
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore import exceptions
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.watching import AcceptedErasure, RequestOutcome
from airflow_provider_kore.compat import AirflowSensorTimeout
from airflow_provider_kore.erasure.waiting import (
    SHOWN_IDS,
    failure_from_json,
    failure_to_json,
    log_remarks,
    read_event,
    require_erased,
    resume_when_done,
    waiting_broke_off,
)
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAuthenticationError,
    KoreError,
    KoreNotErasedError,
    KoreUnavailableError,
    KoreWaitError,
)
from airflow_provider_kore.resumption import TRIGGERER_GRACE, kept_state, push_outcome

ERROR_TYPES = [
    error_type for _, error_type in inspect.getmembers(exceptions, inspect.isclass) if issubclass(error_type, KoreError)
]
ALL_DONE = RequestOutcome("eud-1", ErasureOutcome(erased=2), "abc", understood=True)


def through_the_database(value):
    return json.loads(json.dumps(value))


def event(*outcomes, failure=None):
    return {"outcomes": [outcome.to_json() for outcome in outcomes], "failure": failure}


# --- Failures and events ----------------------------------------------------------------------------------------


def test_there_is_an_exception_for_each_kind_of_failure():
    assert len(ERROR_TYPES) > 10


@pytest.mark.parametrize("error_type", ERROR_TYPES)
@pytest.mark.parametrize("consequence", Consequence)
def test_every_failure_comes_back_as_it_went(error_type, consequence):
    error = error_type("It happened.", consequence=consequence, remedy="Do this.")
    back = failure_from_json(through_the_database(failure_to_json(error)))
    assert type(back) is error_type
    assert (back.problem, back.consequence, back.remedy) == ("It happened.", consequence, "Do this.")
    assert str(back) == str(error) == f"It happened. {consequence} Do this."


@pytest.mark.parametrize("error_type", ERROR_TYPES)
def test_no_failure_is_an_exception_that_airflow_could_show_as_skipped(error_type):
    assert {base.__module__ for base in error_type.__mro__} <= {exceptions.__name__, "builtins"}


@pytest.mark.parametrize("name", ["NoSuchError", "Consequence", "StrEnum", "annotations", ""])
def test_a_failure_of_another_version_is_still_a_failure(name):
    fields = {"type": name, "problem": "p", "consequence": "SENT", "remedy": "r"}
    assert type(failure_from_json(fields)) is KoreWaitError


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


@given(request_outcomes, st.none() | st.sampled_from(ERROR_TYPES))
def test_an_event_comes_back_as_it_went(outcomes, error_type):
    failure = error_type and error_type("p", consequence=Consequence.SENT, remedy="r")
    told = through_the_database(event(*outcomes, failure=failure and failure_to_json(failure)))
    read, back = read_event(told, [asked(outcome) for outcome in outcomes])
    assert read == outcomes
    assert type(back) is (error_type or type(None))


GOOD = event(ALL_DONE)


@pytest.mark.parametrize(
    "told",
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
        pytest.param(GOOD | {"outcomes": [GOOD["outcomes"][0] | {"erased": 1, "open": True}]}, id="count of no number"),
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
def test_an_event_that_is_not_about_the_very_requests_is_refused(told):
    with pytest.raises(KoreWaitError) as caught:
        read_event(told, [AcceptedErasure("eud-1", 2)])
    assert caught.value.consequence is Consequence.SENT


def test_an_event_without_users_is_refused_for_a_request_of_unknown_size():
    with pytest.raises(KoreWaitError):
        read_event(event(RequestOutcome("eud-1", ErasureOutcome())), [AcceptedErasure("eud-1", None)])


def test_requests_in_another_order_are_not_taken_for_each_other():
    outcomes = [ALL_DONE, RequestOutcome("eud-2", ErasureOutcome(not_erased=1))]
    with pytest.raises(KoreWaitError):
        read_event(event(*outcomes), [asked(outcomes[1]), asked(outcomes[0])])


# --- The end ----------------------------------------------------------------------------------------------------

REFUSED_TOKEN = KoreAuthenticationError("No token.", consequence=Consequence.SENT, remedy="Mend it.")
UNREACHED = KoreUnavailableError("No network.", consequence=Consequence.NOT_SENT, remedy="Mend it.")


@pytest.mark.parametrize(
    ("outcome", "failures", "error_type", "words"),
    [
        (ErasureOutcome(3), [], None, []),
        (ErasureOutcome(3, 1), [], AirflowSensorTimeout, ["3 erased, 1 open, 0 not erased, of 4"]),
        (ErasureOutcome(0, 4), [], AirflowSensorTimeout, ["0 erased, 4 open"]),
        (ErasureOutcome(3, 0, 1), [], KoreNotErasedError, ["3 erased, 0 open, 1 not erased, of 4"]),
        (ErasureOutcome(3, 1, 1), [], KoreNotErasedError, ["3 erased, 1 open, 1 not erased, of 5"]),
        (ErasureOutcome(3), [REFUSED_TOKEN], KoreAuthenticationError, ["No token."]),
        (ErasureOutcome(3, 1), [REFUSED_TOKEN, UNREACHED], KoreAuthenticationError, ["No token."]),
        (ErasureOutcome(3, 1, 1), [REFUSED_TOKEN, UNREACHED], KoreNotErasedError, ["No token.", "No network."]),
        (ErasureOutcome(0, 0, 1, ("Words: FAILED (1).",)), [], KoreNotErasedError, ["Words: FAILED (1)."]),
    ],
)
def test_not_erased_beats_a_failure_and_a_failure_beats_open(outcome, failures, error_type, words):
    def end():
        require_erased(outcome, ["eud-1"], failures, remedy="Find out why.")

    if error_type is None:
        end()
        return
    with pytest.raises(error_type) as caught:
        end()
    assert [word for word in words if word not in str(caught.value)] == []
    if error_type is KoreNotErasedError:
        assert (caught.value.consequence, caught.value.remedy) == (Consequence.PARTLY_DONE, "Find out why.")


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.lists(st.sampled_from([REFUSED_TOKEN, UNREACHED])))
def test_a_task_ends_well_only_if_everybody_is_erased_and_nothing_failed(erased, open_, not_erased, failures):
    try:
        require_erased(ErasureOutcome(erased, open_, not_erased), ["eud-1"], failures, remedy="")
    except (KoreError, AirflowSensorTimeout):
        assert open_ or not_erased or failures
    else:
        assert (open_, not_erased, failures) == (0, 0, [])


def test_a_deadline_names_what_is_open_and_says_that_nothing_is_to_be_submitted():
    with pytest.raises(AirflowSensorTimeout) as caught:
        require_erased(ErasureOutcome(open=2), ["eud-1", "eud-2"], [], remedy="")
    assert "Still open: eud-1, eud-2. " in str(caught.value)
    assert "nothing has to be submitted again" in str(caught.value)


def test_a_deadline_names_no_more_than_a_reader_can_take():
    request_ids = [f"eud-{number}" for number in range(SHOWN_IDS + 3)]
    with pytest.raises(AirflowSensorTimeout) as caught:
        require_erased(ErasureOutcome(open=1), request_ids, [], remedy="")
    assert f"eud-{SHOWN_IDS - 1} and 3 more." in str(caught.value)
    assert f"eud-{SHOWN_IDS}" not in str(caught.value)


def test_the_same_failure_is_told_once():
    with pytest.raises(KoreNotErasedError) as caught:
        require_erased(ErasureOutcome(not_erased=1), [], [UNREACHED] * 3, remedy="")
    assert str(caught.value).count("No network.") == 1


def test_a_triggerer_that_failed_says_nothing_of_the_erasure():
    assert waiting_broke_off().consequence is Consequence.SENT


def test_remarks_reach_the_log(caplog):
    with caplog.at_level(logging.WARNING):
        log_remarks(ErasureOutcome(remarks=("one %s", "two")))
    assert [record.getMessage() for record in caplog.records] == ["one %s", "two"]


# --- Handing over -----------------------------------------------------------------------------------------------


class Operator:
    do_xcom_push = True

    def defer(self, **arguments):
        self.deferred = arguments


class TaskInstance:
    """What an attempt keeps: XComs, of which those of other tasks and mapped instances are not its own."""

    task_id, map_index = "wait", 3

    def __init__(self):
        self.pushed = []

    def xcom_push(self, **arguments):
        self.pushed.append(arguments)

    def xcom_pull(self, *, task_ids, key, map_indexes):
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return next((through_the_database(xcom["value"]) for xcom in self.pushed if xcom["key"] == key), None)


def hand_over(requests=(), deadline=1.0, state=None):
    operator, context = Operator(), {"ti": TaskInstance()}
    resume_when_done(
        operator,
        context,
        requests,
        state or {},
        kore_conn_id="kore_other",
        started=1.0,
        first_look=2.0,
        round_ends=3.0,
        deadline=deadline,
        poll_interval=30.0,
    )
    return operator.deferred, context


def test_what_is_handed_over_is_the_requests_and_when_to_end():
    requests = [AcceptedErasure("eud-1", 2), AcceptedErasure("eud-2", None)]
    deferred, _ = hand_over(requests, time.time() + 100)
    assert timedelta(seconds=95) <= deferred["timeout"] - TRIGGERER_GRACE <= timedelta(seconds=100)
    _, arguments = deferred["trigger"].serialize()
    assert through_the_database(arguments) == {
        "requests": [["eud-1", 2], ["eud-2", None]],
        "kore_conn_id": "kore_other",
        "started": 1.0,
        "deadline": 3.0,
        "poll_interval": 30.0,
        "first_look": 2.0,
    }


def test_what_a_task_needs_to_resume_does_not_travel_by_keyword_arguments_which_dag_test_drops():
    deferred, context = hand_over(state={"a": 1})
    assert (deferred["method_name"], deferred.get("kwargs")) == ("resume", None)
    assert kept_state(context, lambda state: state["a"]) == 1


@pytest.mark.parametrize(
    "read",
    [lambda state: state["b"], lambda state: state + 1, lambda state: int(state["text"]), lambda state: state.b],
)
def test_a_state_of_another_form_counts_as_lost(read):
    _, context = hand_over(state={"text": "x"})
    assert kept_state(context, read) is None


def test_a_state_that_was_never_kept_counts_as_lost():
    assert kept_state({"ti": TaskInstance()}, lambda state: state["a"]) is None


def test_a_deadline_in_the_past_leaves_the_grace():
    deferred, _ = hand_over(deadline=1.0)
    assert deferred["timeout"] == TRIGGERER_GRACE


@pytest.mark.parametrize("wanted", [True, False])
def test_the_outcome_is_pushed_before_a_failure_unless_the_author_wants_no_xcom(wanted):
    operator, task_instance = Operator(), TaskInstance()
    operator.do_xcom_push = wanted
    push_outcome(operator, {"ti": task_instance}, {"erased": 1})
    assert task_instance.pushed == ([{"key": "return_value", "value": {"erased": 1}}] if wanted else [])
