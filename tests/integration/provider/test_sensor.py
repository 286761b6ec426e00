"""The sensor in each of its modes, against a sandbox: every outcome is the same in all."""

import pytest

from airflow_provider_kore.exceptions import (
    KoreAuthenticationError,
    KoreInputError,
    KoreNotErasedError,
)
from tests.integration.provider.conftest import MODES

PEOPLE = [f"person{number}@example.com" for number in range(1, 8)]
ALL_MODES = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


@ALL_MODES
def test_everybody_is_erased(wait, submitted, mode):
    output = submitted(PEOPLE, batch_size=3)
    end = wait(output, **mode).run()
    assert end.state == "success", end.text
    assert end.output == output | {"erased": 7, "open": 0, "not_erased": 0}


@ALL_MODES
@pytest.mark.parametrize("while_running", ["missing", "empty", "entries", "trickle", "growing"])
def test_every_shape_of_a_running_answer_is_open(wait, submitted, sandbox, mode, while_running):
    sandbox.configure(while_running=while_running, timestamps="isodate")
    end = wait(submitted(PEOPLE), **mode).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 7


@ALL_MODES
def test_people_who_are_not_erased_fail_the_task_after_the_outcome_was_pushed(wait, submitted, sandbox, mode):
    sandbox.configure(refuse=PEOPLE[:2])
    end = wait(submitted(PEOPLE), soft_fail=True, **mode).run()
    assert end.state == "failed"
    assert isinstance(end.error, KoreNotErasedError)
    assert "5 erased, 0 open, 2 not erased, of 7" in end.text
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (5, 0, 2)


@ALL_MODES
def test_the_deadline_names_the_open_requests(wait, submitted, sandbox, mode):
    sandbox.configure(duration=60)
    output = submitted(PEOPLE, batch_size=4)
    end = wait(output, timeout=0.4, **mode).run()
    assert type(end.error).__name__ == "AirflowSensorTimeout"
    assert all(request["request_id"] in end.text for request in output["requests"])
    assert "nothing has to be submitted again" in end.text
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (0, 7, 0)


@ALL_MODES
def test_at_the_deadline_every_request_has_been_looked_at(wait, submitted, sandbox, mode):
    first = submitted(PEOPLE[:3])
    sandbox.configure(duration=60)
    second = submitted(PEOPLE[3:])
    end = wait([first, second], timeout=1, **mode).run()
    assert (end.output["erased"], end.output["open"]) == (3, 4)
    assert first["requests"][0]["request_id"] not in end.text


@ALL_MODES
def test_soft_fail_skips_at_the_deadline(wait, submitted, sandbox, mode):
    sandbox.configure(duration=60)
    end = wait(submitted(PEOPLE), timeout=0.3, soft_fail=True, **mode).run()
    assert end.state == "skipped"


@ALL_MODES
def test_people_not_erased_fail_the_task_even_if_others_are_open_at_the_deadline(wait, submitted, sandbox, mode):
    sandbox.configure(refuse=PEOPLE[:1])
    first = submitted(PEOPLE[:3])
    sandbox.configure(duration=60)
    second = submitted(PEOPLE[3:])
    end = wait([first, second], timeout=1, soft_fail=True, **mode).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (2, 4, 1)


@ALL_MODES
def test_a_look_that_outlasts_the_deadline_hides_nobody_who_is_not_erased(wait, submitted, sandbox, mode):
    sandbox.configure(refuse=PEOPLE[:1])
    first = submitted(PEOPLE[:3])
    sandbox.configure(duration=60)
    second = submitted(PEOPLE[3:])
    sandbox.fail("latency", call="status", seconds=0.8)
    end = wait([first, second], timeout=0.5, soft_fail=True, **mode).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (2, 4, 1)


@ALL_MODES
@pytest.mark.parametrize(
    ("fault", "details"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 502, "page": "html"}),
        ("status", {"status": 503}),
        ("reset-before", {}),
        ("truncated-json", {}),
        ("html", {}),
        ("oversized", {}),
        ("wrong-json", {"body": {"response": "soon"}}),
        ("throttle-429", {"retry_after": "1"}),
        ("body", {"status": 404, "body": "<h1>Not found</h1>", "headers": {"content-type": "text/html"}}),
        ("body", {"status": 401, "body": {"errors": [{"msg": "possibly a replay", "code": 401}]}}),
    ],
)
def test_a_passing_fault_is_ridden_out(wait, submitted, sandbox, no_back_off, mode, fault, details):
    output = submitted(PEOPLE)
    sandbox.fail(fault, call="status", **details)
    end = wait(output, **mode).run()
    assert end.state == "success", end.text


@ALL_MODES
def test_an_outage_of_kore_is_ridden_out(wait, submitted, sandbox, no_back_off, mode):
    output = submitted(PEOPLE)
    sandbox.fail("status", call="status", times=12, status=503)
    end = wait(output, **mode).run()
    assert end.state == "success", end.text


@ALL_MODES
def test_answers_that_stay_unreadable_are_no_proof(wait, submitted, sandbox, no_back_off, monkeypatch, mode):
    """A poke that is rescheduled has no memory of those before it: there the wait lasts until its timeout."""
    monkeypatch.setattr("airflow_provider_kore.api.watching.UNREADABLE_GRACE", 0.2)
    output = submitted(PEOPLE)
    sandbox.fail("wrong-json", call="status", times=None, body={"response": {"all": "SUCCESS"}})
    forgets = mode.get("mode") == "reschedule"
    end = wait(output, **mode, **({"timeout": 1} if forgets else {})).run()
    assert isinstance(end.error, Exception)
    assert type(end.error).__name__ == ("AirflowSensorTimeout" if forgets else "KoreNotErasedError")
    assert forgets or "not understood" in end.text
    assert end.output["open" if forgets else "not_erased"] == 7


@ALL_MODES
def test_gateway_errors_before_an_unreadable_answer_do_not_end_a_wait(wait, submitted, sandbox, no_back_off, mode):
    output = submitted(PEOPLE)
    sandbox.fail("status", call="status", status=500)
    sandbox.fail("status", call="status", status=502, page="html")
    sandbox.fail("truncated-json", call="status")
    sandbox.fail("wrong-json", call="status", body=None)
    end = wait(output, **mode).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 7


@ALL_MODES
def test_one_address_in_two_spellings_is_one_user(wait, submitted, sandbox, mode):
    output = submitted(["ann@x.org", "bob@x.org"])
    entries = [{"userId": user, "status": "SUCCESS"} for user in ("ann@x.org", "ANN@x.org")]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    end = wait(output, **mode, timeout=0.5).run()
    assert type(end.error).__name__ == "AirflowSensorTimeout"
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (1, 1, 0)


@ALL_MODES
def test_an_id_that_kore_does_not_know_is_no_proof(wait, sandbox, connection, mode):
    connection(extra__api_profile={"unknown_request_grace": 0.2})
    end = wait("eud-unknown", user_count=3, **mode).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert "does not know the request id" in end.text
    assert end.output["not_erased"] == 3


@ALL_MODES
def test_a_key_that_is_bad_fails_at_once_with_what_to_do(wait, submitted, connection, mode):
    output = submitted(PEOPLE)
    connection(password="wrong" * 8)
    end = wait(output, **mode).run()
    assert isinstance(end.error, KoreAuthenticationError)
    assert "do not submit it again" in end.text
    assert end.output["open"] == 7


@ALL_MODES
def test_more_entries_than_users_prove_nothing(wait, submitted, sandbox, mode):
    output = submitted(PEOPLE)
    entries = [{"userId": f"u-{number}", "status": "SUCCESS"} for number in range(8)]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    end = wait(output, **mode).run()
    assert "ALARM" in end.text
    assert (end.output["erased"], end.output["not_erased"]) == (0, 7)


@ALL_MODES
def test_users_that_the_task_before_did_not_submit_fail_the_wait(wait, submitted, mode):
    output = submitted(PEOPLE) | {"user_count": 9}
    end = wait(output, **mode).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert (end.output["erased"], end.output["not_erased"]) == (7, 2)


@ALL_MODES
def test_users_who_were_never_sent_are_not_hidden_by_those_who_were_submitted_twice(erase, wait, sandbox, mode):
    sandbox.configure(refuse=PEOPLE[:2])
    task = erase(PEOPLE[:4], batch_size=2, retries=1)
    for _ in range(2):
        sandbox.fail("status", call="erase", after=1, status=400)
        end = task.run()
        assert end.state == "failed"
    assert sum(request["user_count"] for request in end.output["requests"]) == end.output["user_count"] == 4
    entries = [{"userId": user, "status": "SUCCESS"} for user in PEOPLE[:2]]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    end = wait(end.output, **mode).run()
    assert isinstance(end.error, KoreNotErasedError)
    assert "2 users are in no request" in end.text
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (4, 0, 2)


@ALL_MODES
def test_a_dry_run_leaves_nothing_to_wait_for(wait, erase, sandbox, mode):
    output = erase(PEOPLE, dry_run=True).run().output
    assert wait(output, **mode).run().state == "skipped"
    assert sandbox.log() == []


@ALL_MODES
def test_the_users_of_a_bare_id_are_not_known_to_be_complete(wait, submitted, mode, caplog):
    request_id = submitted(PEOPLE)["requests"][0]["request_id"]
    end = wait(request_id, **mode).run()
    assert end.state == "success"
    assert end.output["erased"] == 7
    assert "completeness could not be checked" in caplog.text


def test_a_bare_id_without_entries_is_never_done(wait, submitted, sandbox):
    sandbox.configure(while_running="empty", duration=60)
    end = wait(submitted(PEOPLE)["requests"][0]["request_id"], timeout=0.3).run()
    assert type(end.error).__name__ == "AirflowSensorTimeout"


@pytest.mark.parametrize(
    "form",
    [
        lambda output: output,
        lambda output: [output],
        lambda output: output["requests"],
        lambda output: [request["request_id"] for request in output["requests"]],
        lambda output: (output, *output["requests"]),
    ],
)
def test_every_form_of_request_is_understood(wait, submitted, form):
    output = submitted(PEOPLE, batch_size=3)
    end = wait(form(output)).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 7


def test_a_user_count_goes_with_one_bare_id(wait, submitted):
    output = submitted(PEOPLE)
    request_id = output["requests"][0]["request_id"]
    assert wait(request_id, user_count=7).run().state == "success"
    assert wait(request_id, user_count="7").run().state == "success"
    assert type(wait(request_id, user_count=8, timeout=0.3).run().error).__name__ == "AirflowSensorTimeout"
    assert isinstance(wait(output, rendered={"user_count": 7}).run().error, KoreInputError)


@pytest.mark.parametrize(
    "request_id",
    [
        "",
        "../../users",
        "a b",
        "eud-1?x=1",
        "{{ x }}",
        None,
        7,
        [],
        {},
        {"requests": []},
        [["eud-1", 3]],
        [{"request_id": "eud-1", "user_count": 3}, {"request_id": "eud-1", "user_count": 1}],
        b"x",
    ],
)
def test_what_is_no_request_is_refused_without_a_call(wait, sandbox, request_id):
    end = wait("eud-1", rendered={"request_id": request_id}).run()
    assert isinstance(end.error, KoreInputError)
    assert sandbox.log() == []


@pytest.mark.parametrize("argument", ["silent_fail", "never_fail"])
def test_arguments_that_would_hide_a_failure_are_refused(wait, argument):
    with pytest.raises(KoreInputError):
        wait("eud-1", **{argument: True})._make_operator()


@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_a_triggerer_that_missed_the_deadline_ends_like_the_deadline(wait, submitted, sandbox, soft_fail, state):
    sandbox.configure(duration=60)
    output = submitted(PEOPLE)
    end = wait(output, deferrable=True, soft_fail=soft_fail).run_failed_trigger("Trigger timeout")
    assert end.state == state
    assert output["requests"][0]["request_id"] in end.text
    assert end.output["open"] == 7


def test_a_triggerer_that_missed_the_deadline_does_not_hide_that_all_are_erased(wait, submitted, sandbox):
    sandbox.configure(duration=0)
    end = wait(submitted(PEOPLE), deferrable=True).run_failed_trigger("Trigger timeout")
    assert end.state == "success"


@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_trigger_that_broke_fails_the_task_and_never_skips_it(wait, submitted, soft_fail):
    end = wait(submitted(PEOPLE), deferrable=True, soft_fail=soft_fail).run_failed_trigger("Trigger failure")
    assert end.state == "failed"
    assert "Clear the task to wait again" in end.text


def test_what_travels_through_airflow_names_no_user(wait, submitted, sandbox, capsys, caplog):
    caplog.set_level("DEBUG")
    sandbox.configure(refuse=PEOPLE[:1])
    output = submitted(PEOPLE)
    for mode in MODES.values():
        end = wait(output, **mode).run()
        kept = f"{end.output} {end.deferrals} {end.text} {caplog.text} {capsys.readouterr()}"
        assert not any(person in kept for person in PEOPLE)
        assert sandbox.settings.client_secret not in kept
        assert "eyJ" not in kept
