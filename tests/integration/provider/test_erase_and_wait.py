"""The operator, from submission to proof, against a sandbox."""

import pytest

from airflow_provider_kore.api.users import digest
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreAuthenticationError,
    KoreInputError,
    KoreNotErasedError,
    KorePermissionError,
    KoreRequestError,
    KoreResumeError,
    KoreUnavailableError,
    KoreUnexpectedUsersError,
)
from airflow_provider_kore.user_ids import ChannelUserId
from tests.integration.provider.conftest import erasures

WAITS = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
PEOPLE = [f"person{number}@example.com" for number in range(1, 8)]


@WAITS
def test_everybody_is_erased(erase, sandbox, deferrable):
    sandbox.configure(duration=2)  # longer than to submit and to poll once, also on a busy machine
    end = erase(PEOPLE, batch_size=3, deferrable=deferrable).run()
    assert end.state == "success", end.text
    assert [request["user_count"] for request in end.output.pop("requests")] == [3, 3, 1]
    scope = {"bot_ids": ["st-1"], "all_bots": False}
    assert end.output == {"user_count": 7, "batch_count": 3, **scope, "erased": 7, "open": 0, "not_erased": 0}
    assert len(end.deferrals) == deferrable
    assert sorted(user.user_id for user in sandbox.state().erased) == PEOPLE


def test_submitting_alone_returns_the_requests_without_counts(erase, sandbox):
    end = erase(PEOPLE, batch_size=3, wait_for_completion=False).run()
    assert end.state == "success"
    assert end.output.keys() == {"requests", "user_count", "batch_count", "bot_ids", "all_bots"}
    assert [entry.call for entry in sandbox.log()] == ["erase"] * 3


def test_what_is_done_at_the_first_poll_is_not_deferred(erase, sandbox):
    sandbox.configure(duration=0)
    end = erase(PEOPLE, deferrable=True).run()
    assert end.state == "success"
    assert end.deferrals == []


@WAITS
def test_refused_users_fail_the_task_and_a_retry_submits_only_them(erase, sandbox, deferrable):
    sandbox.configure(refuse=[PEOPLE[1], PEOPLE[6]])
    task = erase(PEOPLE, batch_size=3, deferrable=deferrable, retries=2)

    first = task.run()
    assert first.state == "failed"
    assert isinstance(first.error, KoreNotErasedError)
    assert (first.output["erased"], first.output["open"], first.output["not_erased"]) == (5, 0, 2)
    assert "5 erased, 0 open, 2 not erased, of 7" in first.text

    second = task.run()
    assert erasures(sandbox)[3:] == [[PEOPLE[1]], [PEOPLE[6]]]
    assert second.output["not_erased"] == 2

    sandbox.configure(refuse=[])
    third = task.run()
    assert third.state == "success"
    assert erasures(sandbox)[5:] == [[PEOPLE[1]], [PEOPLE[6]]]
    assert (third.output["user_count"], third.output["erased"]) == (7, 7)


@WAITS
def test_a_cleared_task_that_had_succeeded_returns_the_same_and_sends_nothing(erase, sandbox, deferrable):
    task = erase(PEOPLE, batch_size=3, deferrable=deferrable)
    first = task.run()
    calls = len(sandbox.log())
    task.clear()
    assert task.run().output == first.output
    assert len(sandbox.log()) == calls


@WAITS
def test_ids_that_kore_resolved_are_counted(erase, sandbox, deferrable, caplog):
    sandbox.configure(user_id_form="resolved")
    end = erase([*PEOPLE, "u-1", ChannelUserId("slack", "U1")], deferrable=deferrable).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 9


@WAITS
def test_a_refused_user_under_a_resolved_id_lets_the_retry_submit_the_whole_batch(erase, sandbox, deferrable):
    sandbox.configure(user_id_form="resolved", refuse=[PEOPLE[0]])
    task = erase([*PEOPLE, "u-1"], deferrable=deferrable)
    end = task.run()
    assert (end.output["erased"], end.output["not_erased"]) == (7, 1)
    task.clear()
    task.run()
    assert erasures(sandbox)[1] == [*PEOPLE, "u-1"]


@WAITS
def test_users_that_were_never_sent_are_an_alarm_and_nothing_is_submitted_again(erase, sandbox, deferrable):
    entries = [{"userId": user, "status": "SUCCESS"} for user in (*PEOPLE[:6], "u-7", "u-8")]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    task = erase(PEOPLE, deferrable=deferrable)
    end = task.run()
    assert end.state == "failed"
    assert "ALARM" in end.text
    task.clear()
    assert task.run().state == "failed"
    assert len(erasures(sandbox)) == 1


@WAITS
def test_a_stranger_beside_all_users_is_an_alarm_and_no_success(erase, sandbox, deferrable):
    entries = [{"userId": user, "status": "SUCCESS"} for user in (*PEOPLE, "stranger@example.com")]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    task = erase(PEOPLE, deferrable=deferrable)
    end = task.run()
    assert isinstance(end.error, KoreUnexpectedUsersError)
    assert "ALARM" in end.text
    assert "stranger" not in end.text
    assert (end.output["erased"], end.output["not_erased"]) == (7, 0)
    task.clear()
    assert isinstance(task.run().error, KoreUnexpectedUsersError)
    assert len(erasures(sandbox)) == 1


@WAITS
def test_a_stranger_in_place_of_a_user_with_an_own_id_of_kore_is_an_alarm(erase, sandbox, deferrable):
    entries = [{"userId": user, "status": "SUCCESS"} for user in ("u-1", "u-3")]
    sandbox.fail("body", call="status", times=None, status=200, body={"response": entries})
    end = erase(["u-1", "u-2"], deferrable=deferrable).run()
    assert end.state == "failed"
    assert (end.output["erased"], end.output["not_erased"]) == (1, 1)
    assert "ALARM" in end.text


@WAITS
def test_the_deadline_names_what_is_open_and_says_that_nothing_is_to_be_submitted(erase, sandbox, deferrable):
    sandbox.configure(duration=60)
    end = erase(PEOPLE, deferrable=deferrable, timeout=0.5).run()
    assert end.state == "failed"
    assert type(end.error).__name__ == "AirflowSensorTimeout"
    assert end.output["requests"][0]["request_id"] in end.text
    assert "nothing has to be submitted again" in end.text
    assert (end.output["erased"], end.output["open"], end.output["not_erased"]) == (0, 7, 0)


def test_a_cleared_task_after_the_deadline_waits_on(erase, sandbox):
    sandbox.configure(duration=1)
    task = erase(PEOPLE, timeout=0.3)
    assert task.run().state == "failed"
    sandbox.configure(duration=0)
    task.clear()
    task._make_operator = erase(PEOPLE, timeout=20)._make_operator
    assert task.run().state == "success"
    assert len(erasures(sandbox)) == 1


# --- batches that fail ----------------------------------------------------------------------------------------------


@WAITS
def test_a_later_batch_that_is_refused_does_not_stop_the_waiting_for_the_others(erase, sandbox, deferrable):
    sandbox.configure(refuse=[PEOPLE[3]], refusal="whole-request")
    task = erase(PEOPLE, batch_size=3, deferrable=deferrable)
    end = task.run()
    assert end.state == "failed"
    assert (end.output["erased"], end.output["not_erased"]) == (4, 3)
    assert "Batch 2 of 3" in end.text
    sandbox.configure(refuse=[])
    task.clear()
    assert task.run().output["erased"] == 7
    assert [users[0] for users in erasures(sandbox)] == [PEOPLE[0], PEOPLE[3], PEOPLE[6], PEOPLE[3]]


@WAITS
def test_an_ambiguous_batch_ends_the_submission_but_not_the_waiting(erase, sandbox, deferrable):
    sandbox.fail("reset-after", call="erase", after=1)
    task = erase(PEOPLE, batch_size=3, deferrable=deferrable)
    end = task.run()
    assert end.state == "failed"
    assert (end.output["erased"], end.output["not_erased"]) == (3, 4)
    assert "may" in end.text or "not known whether" in end.text
    assert len(erasures(sandbox)) == 2


def test_a_retry_submits_an_ambiguous_batch_again_and_says_so(erase, sandbox, caplog, capsys):
    sandbox.fail("reset-after", call="erase")
    task = erase(PEOPLE, retries=1)
    assert isinstance(task.run().error, KoreAmbiguousSubmitError)
    end = task.run()
    assert end.state == "success"
    assert len(erasures(sandbox)) == 2
    assert "AMBIGUOUS" in capsys.readouterr().out + caplog.text


def test_an_ambiguous_batch_stays_so_when_submitting_it_again_is_refused(erase, sandbox):
    sandbox.fail("reset-after", call="erase")
    sandbox.fail("status", call="erase", status=400)
    task = erase(PEOPLE, retries=2)
    assert isinstance(task.run().error, KoreAmbiguousSubmitError)
    end = task.run()
    assert isinstance(end.error, KoreRequestError)
    assert "none of its users is being erased" not in end.text
    assert "An earlier attempt sent this batch too, without a usable answer." in end.text
    assert end.error.consequence is Consequence.UNKNOWN
    end = erase(PEOPLE, store=task.store, on_ambiguous_submit="fail").run()
    assert isinstance(end.error, KoreResumeError)
    assert len(erasures(sandbox)) == 2  # the third try sent nothing


def test_an_ambiguous_batch_is_not_submitted_again_if_the_author_says_so(erase, sandbox):
    sandbox.fail("reset-after", call="erase")
    task = erase(PEOPLE, retries=1, on_ambiguous_submit="fail")
    task.run()
    end = task.run()
    assert "on_ambiguous_submit='resubmit'" in end.text
    assert len(erasures(sandbox)) == 1


def test_a_request_id_that_kore_gives_twice_is_ambiguous(erase, sandbox):
    sandbox.fail("body", call="erase", times=2, status=200, body={"requestId": "eud-same", "status": "in-progress"})
    task = erase(PEOPLE, batch_size=4, wait_for_completion=False, retries=1)
    end = task.run()
    assert isinstance(end.error, KoreAmbiguousSubmitError)
    assert [request["user_count"] for request in end.output["requests"]] == [4]
    end = task.run()
    assert [request["user_count"] for request in end.output["requests"]] == [4, 3]
    assert [len(users) for users in erasures(sandbox)] == [4, 3, 3]


@pytest.mark.parametrize(
    ("fault", "details", "error"),
    [
        ("status", {"status": 500}, KoreAmbiguousSubmitError),
        ("status", {"status": 503, "page": "html"}, KoreAmbiguousSubmitError),
        ("status", {"status": 408, "page": "html"}, KoreAmbiguousSubmitError),
        ("status", {"status": 499, "page": "html"}, KoreAmbiguousSubmitError),
        (
            "body",
            {"status": 400, "body": {"errors": [{"msg": "Unauthorized to perform this activity", "code": 400}]}},
            KorePermissionError,
        ),
        ("reset-before", {}, KoreAmbiguousSubmitError),
        ("reset-after", {}, KoreAmbiguousSubmitError),
        ("truncated-json", {}, KoreAmbiguousSubmitError),
        ("html", {}, KoreAmbiguousSubmitError),
        ("no-request-id", {}, KoreAmbiguousSubmitError),
        ("wrong-json", {"body": ["x"]}, KoreAmbiguousSubmitError),
        ("oversized", {}, KoreAmbiguousSubmitError),
        ("echo", {}, KoreRequestError),
    ],
)
def test_a_failed_submission_is_sent_once_and_says_what_it_means(erase, sandbox, fault, details, error):
    sandbox.fail(fault, call="erase", **details)
    end = erase(PEOPLE).run()
    assert type(end.error) is error
    assert "not known whether" in end.text or "did not accept" in end.text
    assert len(erasures(sandbox)) == 1
    assert not any(person in end.text for person in PEOPLE)


@pytest.mark.parametrize(
    ("changes", "settings", "error", "words"),
    [
        (
            {"password": "wrong" * 8},
            {},
            KoreAuthenticationError,
            ["Profile Management", "Bot Analytics", "Admin Console"],
        ),
        ({"login": "cs-other"}, {}, KoreAuthenticationError, ["Admin Console"]),
        ({}, {"scope_granted": False}, KorePermissionError, ["Profile Management", "Bot Analytics"]),
        ({}, {"bots": ["st-9"]}, KoreRequestError, ["bot"]),
        ({}, {"max_user_ids": 2}, KoreRequestError, ["batch_size"]),
        ({"host": "http://127.0.0.1:1"}, {}, KoreUnavailableError, ["could not be reached"]),
    ],
)
def test_what_kore_does_not_accept_fails_with_what_to_do(
    erase, sandbox, connection, no_back_off, changes, settings, error, words
):
    connection(**changes)
    sandbox.configure(**settings)
    end = erase(PEOPLE).run()
    assert type(end.error) is error
    assert all(word in end.text for word in words), end.text
    assert "did not accept" in end.text
    assert sandbox.state().requests == ()
    assert end.output["not_erased"] == 7


def test_after_an_account_wide_error_no_further_batch_is_sent(erase, sandbox):
    sandbox.configure(scope_granted=False)
    erase(PEOPLE, batch_size=1).run()
    assert len(erasures(sandbox)) == 1


def test_a_task_that_was_not_accepted_submits_without_ambiguity_on_the_retry(erase, sandbox, capsys, caplog):
    sandbox.configure(scope_granted=False)
    task = erase(PEOPLE, retries=1)
    task.run()
    sandbox.configure(scope_granted=True)
    assert task.run().state == "success"
    assert "AMBIGUOUS" not in capsys.readouterr().out + caplog.text


@pytest.mark.parametrize(
    "throttle",
    [
        {"throttle_status": 429, "retry_after": "seconds"},
        {"throttle_status": 429, "retry_after": "date"},
        {"throttle_status": 400, "retry_after": "seconds"},
    ],
)
def test_rate_limits_are_waited_out_by_both_calls(erase, sandbox, throttle):
    sandbox.configure(requests_per_minute=2, minute_seconds=0.5, duration=0, **throttle)
    end = erase(PEOPLE, batch_size=3).run()
    assert end.state == "success", end.text
    assert any(entry.throttled for entry in sandbox.log())
    assert len([entry for entry in sandbox.log() if entry.call == "erase" and entry.accepted]) == 3


# --- retries that must not go on ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user_ids": [*PEOPLE[:6], "other@example.com"]}, "other users in batch 3"),
        ({"user_ids": PEOPLE[:6]}, "another number of users"),
        ({"bot_ids": ["st-2"]}, "other bots"),
        ({"batch_size": 2}, "batch_size"),
    ],
)
def test_a_retry_for_something_else_is_refused_and_sends_nothing(erase, sandbox, changes, words):
    task = erase(PEOPLE, batch_size=3)
    sandbox.configure(refuse=PEOPLE[:1])
    task.run()
    calls = len(sandbox.log())
    end = erase(**({"user_ids": PEOPLE, "batch_size": 3} | changes), store=task.store).run()
    assert isinstance(end.error, KoreResumeError)
    assert words in end.text
    assert len(sandbox.log()) == calls


def test_without_a_store_a_retry_submits_anew_and_a_warning_says_so(erase, sandbox, capsys, caplog):
    task = erase(PEOPLE, store=None, retries=1)
    task.run()
    task.run()
    assert [len(users) for users in erasures(sandbox)] == [7, 7]
    assert "submit all users anew" in capsys.readouterr().out + caplog.text


def test_a_source_that_changes_while_the_task_waits_does_not_change_what_is_reported(erase, sandbox, tmp_path):
    sandbox.configure(refuse=PEOPLE[:1])
    file = tmp_path / "people.txt"
    file.write_text("\n".join(PEOPLE))
    task = erase(file.as_uri(), deferrable=True)
    make = task._make_operator

    def make_and_change():
        operator = make()
        if task.store.values:
            file.write_text("somebody@example.com\n")
        return operator

    task._make_operator = make_and_change
    end = task.run()
    assert (end.output["erased"], end.output["not_erased"]) == (6, 1)


# --- what is refused before the first request -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_ids", "arguments"),
    [
        ("person1@example.com", {}),
        ({"a@example.com": 1}, {}),
        (set(PEOPLE), {}),
        ([], {}),
        ([""], {}),
        ([None], {}),
        (["None"], {}),
        (["{{ params.user }}"], {}),
        ([12], {}),
        ([{"channel_id": "slack"}], {}),
        (PEOPLE, {"bot_ids": None}),
        (PEOPLE, {"bot_ids": []}),
        (PEOPLE, {"bot_ids": "st-1"}),
        (PEOPLE, {"bot_ids": [""]}),
        (PEOPLE, {"all_bots": True}),
        (PEOPLE, {"bot_ids": None, "all_bots": True}),
        (PEOPLE, {"bot_ids": None, "all_bots": "True"}),
        (PEOPLE, {"all_bots": "False"}),
        (PEOPLE, {"dry_run": "False"}),
        (PEOPLE, {"max_users": 6}),
        (PEOPLE, {"max_users": 0}),
        ("file:///nowhere/people.txt", {}),
    ],
)
def test_bad_input_is_refused_without_a_request(erase, sandbox, user_ids, arguments):
    end = erase(user_ids, rendered=arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert "Nothing was sent" in end.text
    assert not any(person in end.text for person in PEOPLE)
    assert sandbox.log() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"batch_size": "x"},
        {"timeout": 0},
        {"poll_interval": -1},
        {"on_empty": "ignore"},
        {"on_ambiguous_submit": "maybe"},
        {"wait_for_completion": "yes"},
        {"bot_ids": []},
        {"bot_ids": None, "all_bots": "True"},
        {"dry_run": 1},
        {"max_users": 0},
    ],
)
def test_a_bad_argument_is_refused_when_the_dag_is_read(erase, arguments):
    with pytest.raises(KoreInputError):
        erase(PEOPLE, **arguments)._make_operator()


def test_the_connection_narrows_what_a_task_may_do(erase, sandbox, connection):
    connection(extra__allowed_bot_ids=["st-1"], extra__max_users=6)
    assert "outside the connection's allowed_bot_ids" in erase(PEOPLE[:1], bot_ids=["st-1", "st-2"]).run().text
    assert "6" in erase(PEOPLE).run().text
    assert "6" in erase(PEOPLE, max_users=100).run().text
    assert sandbox.log() == []


def test_all_bots_take_two_keys(erase, sandbox, connection):
    connection(extra__allow_all_bots=True)
    end = erase(PEOPLE, bot_ids=None, all_bots=True).run()
    assert end.state == "success"
    (entry,) = [entry for entry in sandbox.log() if entry.call == "erase"]
    assert entry.body["RemoveDataFromAllBots"] is True
    assert "botIds" not in entry.body


def test_an_empty_source_skips_if_asked_to(erase, sandbox):
    assert erase([], on_empty="skip").run().state == "skipped"
    assert sandbox.log() == []


def test_what_was_approved_is_erased(erase, sandbox):
    approved = erase(PEOPLE, dry_run=True).run().output["plan_fingerprint"]
    assert erase(PEOPLE, approved_plan=approved).run().state == "success"


def test_what_was_approved_may_be_the_whole_output_of_the_dry_run(erase, sandbox):
    plan = erase(PEOPLE, dry_run=True).run().output
    assert erase(PEOPLE, approved_plan=plan).run().state == "success"
    assert "not what was approved" in erase(PEOPLE[1:], approved_plan=plan).run().text


@pytest.mark.parametrize(
    ("users", "arguments"),
    [(PEOPLE[:-1], {}), ([*PEOPLE, "one-more@example.com"], {}), (PEOPLE, {"bot_ids": ["st-2"]})],
)
def test_what_was_not_approved_is_not_sent(erase, sandbox, users, arguments):
    approved = erase(PEOPLE, dry_run=True).run().output["plan_fingerprint"]
    end = erase(users, approved_plan=approved, **arguments).run()
    assert end.state == "failed"
    assert "Nothing was sent to Kore.ai." in end.text
    assert not erasures(sandbox)


@pytest.mark.parametrize("rendered", ["", "None"])
def test_an_approval_that_renders_to_nothing_approves_nothing(erase, sandbox, rendered):
    end = erase(PEOPLE, approved_plan="{{ missing }}", rendered={"approved_plan": rendered}).run()
    assert end.state == "failed"
    assert "Nothing was sent to Kore.ai." in end.text
    assert not erasures(sandbox)


def test_a_dry_run_checks_everything_and_sends_nothing(erase, sandbox, connection):
    task = erase(PEOPLE, batch_size=3, dry_run=True)
    end = task.run()
    fingerprint = end.output.pop("plan_fingerprint")
    assert len(fingerprint) == 35
    assert end.output == {
        "requests": [],
        "user_count": 7,
        "batch_count": 3,
        "bot_ids": ["st-1"],
        "all_bots": False,
        "dry_run": True,
    }
    assert task.store.values == {}
    connection(extra__algorithm="RS256", extra__private_key="nonsense")
    assert erase(PEOPLE, dry_run=True).run().state == "failed"
    assert sandbox.log() == []


def test_duplicates_are_folded_and_counted_once(erase, sandbox):
    end = erase([*PEOPLE, *PEOPLE], batch_size=100).run()
    assert end.output["user_count"] == 7
    assert erasures(sandbox) == [PEOPLE]


def test_every_form_of_user_id_is_sent_as_given(erase, sandbox):
    pair = {"channel_id": "slack", "channel_user_id": "U1"}
    end = erase(["a@example.com", "u-1", "4915550001", ChannelUserId("teams", "T1"), pair]).run()
    assert end.state == "success"
    assert erasures(sandbox) == [
        ["a@example.com", "u-1", "4915550001", {"channel_id": "teams", "channel_user_id": "T1"}, pair]
    ]


# --- what Airflow keeps ---------------------------------------------------------------------------------------------


@WAITS
def test_neither_store_nor_xcom_nor_deferral_names_a_user_or_a_secret(erase, sandbox, deferrable, capsys, caplog):
    sandbox.configure(refuse=PEOPLE[:1])
    caplog.set_level("DEBUG")
    task = erase(PEOPLE, deferrable=deferrable)
    end = task.run()
    kept = f"{task.store.values} {end.output} {end.deferrals} {end.text} {caplog.text} {capsys.readouterr()}"
    assert not any(person in kept for person in PEOPLE)
    assert sandbox.settings.client_secret not in kept
    assert "eyJ" not in kept


@WAITS
def test_who_is_not_erased_is_named_by_digest_for_the_holder_of_the_key(
    erase, sandbox, connection, deferrable, capsys, caplog
):
    connection(extra__digest_key="held apart")
    sandbox.configure(refuse=PEOPLE[4:5])
    erase(PEOPLE, batch_size=3, deferrable=deferrable).run()
    log = caplog.text + capsys.readouterr().out
    assert f"position 2 ({digest(PEOPLE[4], 'held apart')}) of the batch" in log
    assert "held apart" not in log


def test_records_are_kept_past_the_statutory_window(erase):
    task = erase(PEOPLE)
    task.run()
    assert task.store.retentions
    assert all(retention.days >= 100 for retention in task.store.retentions.values())


def test_users_given_by_value_are_shown_as_a_number(erase):
    operator = erase(PEOPLE)._make_operator()
    assert str(operator.user_ids) == "7 user ids"
    assert str(erase("somebody@example.com")._make_operator().user_ids) == "a value of type str"


def test_a_store_that_fails_after_the_submission_does_not_stop_the_task(erase, sandbox, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    task = erase(PEOPLE)
    write = task.store.set

    def fail_once_accepted(key, value, **retention):
        if "batches" in key and value[0]["state"] == "accepted":
            raise ConnectionError("the API server is away")
        write(key, value, **retention)

    task.store.set = fail_once_accepted
    assert task.run().state == "success"


def test_a_store_that_fails_before_the_submission_stops_the_task(erase, sandbox):
    task = erase(PEOPLE)

    def fail(key, value, **retention):
        raise ConnectionError("the API server is away")

    task.store.set = fail
    assert task.run().state == "failed"
    assert erasures(sandbox) == []
