"""Which requests a scripted fault strikes, and what it leaves of the answer."""

import json

import pytest

from airflow_provider_kore.sandbox.faults import Fault, FaultQueue


@pytest.fixture
def struck(caller):
    """An account with one fault, and its answer to an erase request."""

    def strike(**fault):
        one = caller()
        one.account.faults.pending.append(Fault(**fault))
        answer = one.erase()
        (entry,) = one.account.log()
        assert entry.fault == fault["kind"]
        return answer, entry

    return strike


@pytest.mark.parametrize(
    ("fault", "calls", "strikes", "left"),
    [
        ({"times": 2}, "erase erase erase", [True, True, False], 0),
        ({"call": "status"}, "erase status status", [False, True, False], 0),
        ({"call": "erase", "after": 2}, "erase status erase status erase erase", [False] * 4 + [True, False], 0),
        ({"times": None}, "status " * 9, [True] * 9, 1),
    ],
)
def test_a_fault_strikes_its_own_calls_as_often_as_it_says(fault, calls, strikes, left):
    queue = FaultQueue()
    queue.pending = [Fault(kind="html", **fault)]
    assert [bool(queue.strike(call)) for call in calls.split()] == strikes
    assert len(queue.pending) == left


@pytest.mark.parametrize("call", ["sessions", "messages", "roles"])
def test_a_fault_can_strike_history_and_roles(caller, call):
    caller = caller()
    caller.account.faults.pending = [Fault(kind="html", call=call), Fault(kind="echo")]

    def outcome(name):
        answer = caller.roles() if name == "roles" else caller.history(name, {"userId": "u-1"})
        return answer.status, answer.headers["content-type"].partition(";")[0]

    others = {"sessions", "messages", "roles"} - {call}
    assert outcome(call) == (200, "text/html")
    assert [outcome(name) for name in others] == [(400, "application/json"), (200, "application/json")]
    assert [entry.fault for entry in caller.account.log()] == ["html", "echo", None]


def test_faults_strike_one_by_one_in_order():
    queue = FaultQueue()
    queue.pending = [Fault(kind="html"), Fault(kind="echo", call="erase"), Fault(kind="latency", after=1)]
    struck = [queue.strike("erase") for _ in range(4)]
    assert [fault and fault.kind for fault in struck] == ["html", "echo", "latency", None]


def test_a_fault_is_not_used_up_by_a_request_that_is_refused_anyway(caller):
    caller = caller(requests_per_minute=1)
    caller.account.faults.pending.append(Fault(kind="html"))
    caller.erase(token="none")
    assert caller.account.faults.pending
    caller.erase()
    assert not caller.account.faults.pending


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("latency", True),
        ("reset-after", True),
        ("truncated-json", True),
        ("no-request-id", True),
        ("reset-before", False),
        ("status", False),
        ("throttle-429", False),
        ("throttle-400", False),
        ("wrong-json", False),
        ("html", False),
        ("redirect", False),
        ("oversized", False),
        ("echo", False),
        ("body", False),
    ],
)
def test_the_kind_says_whether_the_request_is_accepted(struck, kind, accepted):
    _, entry = struck(kind=kind)
    assert entry.accepted is accepted
    assert bool(entry.request_id) is accepted


@pytest.mark.parametrize("kind", ["status", "html", "wrong-json", "redirect", "oversized", "echo", "body"])
def test_a_fault_instead_of_the_answer_can_strike_after_acceptance(struck, kind):
    _, entry = struck(kind=kind, accept=True)
    assert entry.accepted
    assert entry.request_id


def test_latency_delays_the_answer(struck):
    answer, entry = struck(kind="latency", seconds=2.5)
    assert (answer.status, answer.delay, entry.outcome) == (200, 2.5, 200)


@pytest.mark.parametrize("kind", ["reset-before", "reset-after"])
def test_a_reset_has_no_status(struck, kind):
    answer, entry = struck(kind=kind)
    assert answer.reset
    assert entry.outcome == "reset"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_can_be_json_or_html(struck, error, status):
    answer, entry = struck(kind="status", status=status)
    assert error(answer)[0] == entry.outcome == status
    answer, _ = struck(kind="status", status=status, page="html")
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")


def test_a_throttle_answer_can_say_when_to_come_back(struck, error):
    answer, entry = struck(kind="throttle-429", retry_after=7)
    assert error(answer)[0] == 429
    assert answer.headers["retry-after"] == "7"
    assert not entry.throttled
    answer, _ = struck(kind="throttle-400")
    assert error(answer)[0] == 400
    assert "rate limit" in error(answer)[1]
    assert "retry-after" not in answer.headers


def test_truncated_json_is_no_json(struck):
    answer, _ = struck(kind="truncated-json")
    assert answer.body.startswith(b'{"requestId"')
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(answer.body)


def test_an_accept_can_lack_its_request_id(struck, content):
    answer, _ = struck(kind="no-request-id")
    assert content(answer) == {"status": "in-progress"}


@pytest.mark.parametrize("body", [None, [], "text", 1, {"requestId": 5}])
def test_wrong_json_is_answered_as_scripted(struck, content, body):
    answer, _ = struck(kind="wrong-json", body=body)
    assert answer.status == 200
    assert content(answer) == body


def test_a_redirect_has_its_location(struck):
    answer, _ = struck(kind="redirect", location="https://elsewhere.example/")
    assert (answer.status, answer.headers["location"]) == (302, "https://elsewhere.example/")


def test_an_oversized_answer_is_larger_than_ten_megabytes(struck):
    answer, _ = struck(kind="oversized")
    assert len(answer.body) > 10 * 1024 * 1024
    assert answer.streamed


def test_an_echo_holds_the_body_of_the_request(struck, error):
    answer, _ = struck(kind="echo")
    status, message, _ = error(answer)
    assert status == 400
    assert "u-1" in message


def test_any_answer_can_be_scripted(struck):
    answer, _ = struck(kind="body", status=418, body="short", headers={"content-type": "text/plain"})
    assert answer.status == 418
    assert answer.body == b"short"
    assert answer.headers == {"content-type": "text/plain"}
    answer, _ = struck(kind="body", status=200, body={"a": 1})
    assert json.loads(answer.body) == {"a": 1}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"kind": "flood"},
        {"kind": "html", "call": "delete"},
        {"kind": "html", "times": 0},
        {"kind": "html", "times": True},
        {"kind": "html", "after": -1},
        {"kind": "status", "status": 99},
        {"kind": "latency", "seconds": "1"},
        {"kind": "html", "surprise": 1},
        {"kind": "body", "headers": {"a": 1}},
        {"kind": "reset-before", "accept": True},
        {"kind": "latency", "accept": False},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(content):
    with pytest.raises(ValueError, match=r"\w"):
        Fault.model_validate(content)
