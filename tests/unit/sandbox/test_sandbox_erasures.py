"""What becomes of an accepted request, as the clock goes on."""

import re

import pytest

CHANNEL_USER = {"channel_id": "c", "channel_user_id": "x"}
FOUR = {"userIds": ["u-1", "u-2", "u-3", "u-4"], "botIds": ["st-1"]}


def statuses(content):
    return [entry["status"] for entry in content["response"]]


def test_an_accepted_request_gets_an_id_and_is_in_progress(caller, content):
    answer = content(caller().erase())
    assert answer.keys() == {"requestId", "status"}
    assert answer["requestId"].startswith("eud-")
    assert answer["status"] == "in-progress"


@pytest.mark.parametrize("status", [200, 202])
def test_the_status_of_an_accept_can_be_set(caller, status):
    assert caller(accept_status=status).erase().status == status


def test_each_request_gets_an_id_of_its_own(caller):
    caller = caller()
    assert len({caller.accept() for _ in range(10)}) == 10


def test_a_finished_erasure_says_success_for_each_user(caller, content):
    caller = caller(duration=5.0)
    request_id = caller.accept()
    caller.now += 5
    assert content(caller.status(request_id)) == {
        "_id": request_id,
        "createdOn": "2027-01-15T08:00:00.000Z",
        "lastUpdatedOn": "2027-01-15T08:00:05.000Z",
        "RemoveDataFromAllBots": False,
        "response": [{"userId": "u-1", "status": "SUCCESS"}, {"userId": "u-2", "status": "SUCCESS"}],
    }


@pytest.mark.parametrize(
    ("while_running", "at_start", "half_way"),
    [
        ("missing", None, None),
        ("empty", [], []),
        ("entries", ["in-progress"] * 4, ["in-progress"] * 4),
        ("trickle", ["in-progress"] * 4, ["SUCCESS"] * 2 + ["in-progress"] * 2),
        ("growing", [], ["SUCCESS"] * 2),
    ],
)
def test_a_running_erasure_can_look_in_five_ways(caller, content, while_running, at_start, half_way):
    caller = caller(duration=8.0, while_running=while_running)
    request_id = caller.accept(FOUR)
    for expected in (at_start, half_way, ["SUCCESS"] * 4):
        answer = content(caller.status(request_id))
        if expected is None:
            assert "response" not in answer
        else:
            assert statuses(answer) == expected
        caller.now += 4


@pytest.mark.parametrize("status", [400, 404])
def test_a_running_erasure_can_be_unknown_until_it_is_finished(caller, content, error, status):
    caller = caller(duration=8.0, while_running="unknown", unknown_request_status=status)
    request_id = caller.accept(FOUR)
    caller.now += 7.9
    assert error(caller.status(request_id))[:2] == (status, "Invalid request id")
    caller.now += 0.1
    assert statuses(content(caller.status(request_id))) == ["SUCCESS"] * 4


def test_an_erasure_without_duration_is_finished_at_once(caller, content):
    for while_running in ("missing", "trickle"):
        one = caller(duration=0, while_running=while_running)
        assert statuses(content(one.status(one.accept()))) == ["SUCCESS", "SUCCESS"]


def test_words_can_be_set(caller, content):
    caller = caller(
        refuse=("u-2",),
        unknown_users=("u-3",),
        accept_word="queued",
        erased_word="success",
        running_word="pending",
        refused_word="failure",
        unknown_word="not found",
    )
    answer = content(caller.erase(FOUR))
    assert answer["status"] == "queued"
    assert statuses(content(caller.status(answer["requestId"]))) == ["pending"] * 4
    caller.now += 5
    finished = content(caller.status(answer["requestId"]))
    assert statuses(finished) == ["success", "failure", "not found", "success"]


def test_a_refused_user_fails_alone(caller, content):
    caller = caller(refuse=("*@example.com",), duration=0)
    request_id = caller.accept({"userIds": ["u-1", "ann@example.com"], "RemoveDataFromAllBots": True})
    assert statuses(content(caller.status(request_id))) == ["SUCCESS", "FAILED"]
    assert [user.user_id for user in caller.account.state().erased] == ["u-1"]


def test_a_refused_user_can_fail_the_whole_request(caller, error):
    caller = caller(refuse=("u-2",), refusal="whole-request")
    status, message, _ = error(caller.erase())
    assert status == 400
    assert "u-2" in message
    assert "u-1" not in message
    assert caller.account.state().requests == ()


@pytest.mark.parametrize("pattern", ["c:x", "x", "c:*"])
def test_a_channel_user_is_refused_by_either_name(caller, content, pattern):
    caller = caller(refuse=(pattern,), duration=0)
    request_id = caller.accept({"userIds": [CHANNEL_USER], "RemoveDataFromAllBots": True})
    assert statuses(content(caller.status(request_id))) == ["FAILED"]


def test_answers_can_name_users_by_the_id_they_resolve_to(caller, content):
    caller = caller(user_id_form="resolved", duration=0)
    body = {"userIds": ["u-1", "ann@example.com", CHANNEL_USER], "RemoveDataFromAllBots": True}
    first, second = (content(caller.status(caller.accept(body)))["response"] for _ in range(2))
    assert first == second
    names = [entry["userId"] for entry in first]
    assert names[0] == "u-1"
    assert all(name.startswith("u-") for name in names)
    assert len(set(names)) == 3


def test_answers_name_users_as_they_were_sent(caller, content):
    caller = caller()
    body = {"userIds": ["ann@example.com", CHANNEL_USER], "RemoveDataFromAllBots": True}
    answer = content(caller.status(caller.accept(body)))
    assert [entry["userId"] for entry in answer["response"]] == body["userIds"]
    assert answer["RemoveDataFromAllBots"] is True


def test_timestamps_can_be_objects(caller, content):
    caller = caller(timestamps="date-object")
    assert content(caller.status(caller.accept()))["createdOn"] == {"$date": "2027-01-15T08:00:00.000Z"}


def test_timestamps_can_make_an_answer_that_is_no_json(caller):
    caller = caller(timestamps="isodate")
    body = caller.status(caller.accept()).body
    assert re.search(rb'"createdOn": ISODate\("2027-01-15T08:00:00\.000Z"\), "lastUpdatedOn": ISODate', body)


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_an_unknown_request_id_is_refused(caller, error, status):
    assert error(caller(unknown_request_status=status).status("eud-1")) == (status, "Invalid request id", status)
    answer = caller(unknown_request_status=status, unknown_request_text="No such job").status("eud-1")
    assert error(answer) == (status, "No such job", status)


def test_the_state_tells_who_was_erased_from_where(caller):
    caller = caller()
    some = caller.accept({"userIds": ["u-1"], "botIds": ["st-1", "st-2"]})
    caller.now += 3
    every = caller.accept({"userIds": ["u-1"], "RemoveDataFromAllBots": True})
    caller.now += 3

    state = caller.account.state()

    assert [(request.request_id, request.finished) for request in state.requests] == [(some, True), (every, False)]
    assert [user.fate for request in state.requests for user in request.users] == ["erased", "running"]
    (erased,) = state.erased
    assert (erased.user_id, erased.bot_ids, erased.all_bots) == ("u-1", ("st-1", "st-2"), False)
    caller.now += 3
    assert [user.all_bots for user in caller.account.state().erased] == [False, True]


def test_a_changed_duration_leaves_running_erasures_alone(caller, content):
    caller = caller(duration=5.0)
    request_id = caller.accept()
    caller.account.configure({"duration": 60.0})
    caller.now += 5
    assert statuses(content(caller.status(request_id))) == ["SUCCESS", "SUCCESS"]


def test_random_durations_repeat_with_the_seed(caller):
    def durations(seed):
        one = caller(duration="uniform:1:9", seed=seed)
        for _ in range(5):
            one.accept()
        return [request.finishes_at - request.accepted_at for request in one.account.state().requests]

    assert durations(1) == durations(1)
    assert durations(1) != durations(2)
    assert len(set(durations(1))) == 5
