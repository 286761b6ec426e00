"""Looking for people after their erasure: who is found is not gone, and an error proves nothing."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_kore.exceptions import (
    KoreFoundError,
    KoreInputError,
    KorePermissionError,
    KoreUnavailableError,
    KoreVerificationError,
)
from airflow_provider_kore.user_ids import ChannelUserId
from tests.integration.provider.conftest import most_calls_in

PEOPLE = [f"person-{number}@example.com" for number in range(5)]
KEY = "a digest key"


@pytest.fixture
def erased(erase):
    """Erase people."""

    def run(people=PEOPLE):
        end = erase(people).run()
        assert end.state == "success", end.text

    return run


def counts(end):
    return of(end.output)


def of(verification):
    return {name: verification[name] for name in ("gone", "found", "not_checkable", "not_checked")}


def looked_for(sandbox):
    return {entry.body["userId"] for entry in asked(sandbox) if "userId" in entry.body}


def asked(sandbox):
    return [entry for entry in sandbox.log() if entry.call in ("sessions", "messages", "messages-lite")]


def test_who_is_erased_is_gone(verify, erased, sandbox):
    erased()
    end = verify(PEOPLE).run()
    assert end.state == "success", end.text
    assert counts(end) == {"gone": 5, "found": 0, "not_checkable": 0, "not_checked": 0}
    assert end.output["user_count"] == 5
    assert looked_for(sandbox) == set(PEOPLE)


def test_without_messages_lite_every_week_bot_and_kind_of_data_is_asked_for(verify, erased, sandbox):
    sandbox.configure(lite_served=False, sessions_span="under-7-days")
    erased(PEOPLE[:1])
    end = verify(PEOPLE[:1], bot_ids=["st-1"], channel_types=["rtm", "slack"], since=timedelta(days=20)).run()
    assert end.state == "success", end.text
    calls = [entry for entry in asked(sandbox) if entry.call != "messages-lite"]
    assert len(calls) == 1 + 3 * 3  # a long span, which is refused; weeks: sessions, and messages of two channels
    assert {entry.body.get("channelType") for entry in calls} == {None, "rtm", "slack"}


YEARS = {"since": timedelta(days=7 * 365), "bot_ids": ["st-1", "st-2"], "channel_types": ["rtm", "korevg"]}


@pytest.mark.parametrize(("user", "calls"), [("u-1", 2 * 3), ("ann@example.com", 2 * 4), ("491701234567", 2 * 4)])
def test_seven_years_of_a_user_take_a_few_calls(verify, sandbox, user, calls):
    sandbox.configure(unknown_users=["*"])
    end = verify([user], **YEARS).run()
    assert end.state == "success", end.text
    assert len(asked(sandbox)) == calls


CHANNEL_USER = {"channel_id": "whatsapp", "channel_user_id": "491701234567"}


@pytest.mark.parametrize("user", [CHANNEL_USER, "491701234567"])
def test_a_channel_user_is_found_before_and_gone_after_the_erasure(verify, erased, sandbox, user):
    sandbox.configure(history_channels=["whatsapp", "korevg"])
    end = verify([user]).run()
    assert isinstance(end.error, KoreFoundError)
    assert "491701234567" not in end.text
    erased([user])
    end = verify([user]).run()
    assert end.state == "success", end.text
    assert counts(end)["gone"] == 1


def test_a_channel_user_who_is_left_behind_is_found(verify, erased, sandbox):
    sandbox.configure(history_channels=["korevg"], leave_behind=["491701234567"])
    erased([CHANNEL_USER])
    assert isinstance(verify([CHANNEL_USER]).run().error, KoreFoundError)


@pytest.mark.parametrize(
    "settings",
    [
        {"lite_served": False},
        {"lite_users": "user-id"},
        {"lite_users": "channel-with-type"},
        {"lite_longest_days": 5},
        {"erased_user_answer": "error"},
    ],
    ids=str,
)
def test_a_channel_user_for_whom_messages_lite_does_not_answer_is_not_checkable(verify, erased, sandbox, settings):
    sandbox.configure(**settings)
    erased([CHANNEL_USER])
    end = verify([CHANNEL_USER]).run()
    assert isinstance(end.error, KoreVerificationError)
    assert counts(end)["not_checkable"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"lite_served": False},
        {"lite_users": "user-id"},
        {"lite_users": "channel-with-type"},
        {"lite_longest_days": 5},
        {"lite_default_channels": "rtm"},
        {"lite_last_day": "exclusive"},
        {"sessions_span": "under-7-days"},
        {"sessions_span": "under-7-days", "lite_served": False},
        {"message_authors": "never"},
    ],
    ids=str,
)
@pytest.mark.parametrize("left", ["nothing", "sessions", "messages"])
def test_whatever_is_guessed_wrongly_who_is_left_is_found_and_who_is_not_is_gone(
    verify, erased, sandbox, settings, left
):
    sandbox.configure(history_channels=["korevg"], history_days=2, **settings)
    if left != "nothing":
        sandbox.configure(leave_behind=[PEOPLE[1]], leave_behind_kind=left)
    erased(PEOPLE[:2])
    end = verify(PEOPLE[:2], channel_types=["rtm", "korevg"], since=timedelta(days=20)).run()
    assert counts(end) == {"gone": 1, "found": 1, "not_checkable": 0, "not_checked": 0} | (
        {} if left != "nothing" else {"gone": 2, "found": 0}
    )


def test_for_all_bots_the_full_calls_are_asked(verify, erased, sandbox):
    erased([*PEOPLE[:2], CHANNEL_USER])
    end = verify([*PEOPLE[:2], CHANNEL_USER], bot_ids=None, all_bots=True).run()
    assert isinstance(end.error, KoreVerificationError)
    assert counts(end) == {"gone": 2, "found": 0, "not_checkable": 1, "not_checked": 0}
    assert {entry.call for entry in asked(sandbox)} == {"sessions", "messages"}


def test_who_was_never_erased_is_found(verify, sandbox, connection):
    connection(extra__digest_key=KEY, extra__requests_per_minute=100_000, extra__requests_per_hour=1_000_000)
    end = verify(PEOPLE).run()
    assert isinstance(end.error, KoreFoundError)
    assert counts(end)["found"] == 5
    assert [user["position"] for user in end.output["found_users"]] == [1, 2, 3, 4, 5]
    assert all(user["digest"] in end.text for user in end.output["found_users"])
    assert not any(person in end.text for person in PEOPLE)


@pytest.mark.parametrize("kind", ["sessions", "messages", "both"])
def test_who_is_left_behind_is_found(verify, erased, sandbox, kind):
    sandbox.configure(leave_behind=[PEOPLE[3]], leave_behind_kind=kind)
    erased()
    end = verify(PEOPLE).run()
    assert isinstance(end.error, KoreFoundError)
    assert counts(end) == {"gone": 4, "found": 1, "not_checkable": 0, "not_checked": 0}
    assert end.output["found_users"] == [{"batch": 1, "position": 4}]


def test_an_error_answer_is_never_gone(verify, erased, sandbox):
    sandbox.configure(erased_user_answer="error")
    erased()
    end = verify(PEOPLE).run()
    assert isinstance(end.error, KoreVerificationError)
    assert counts(end) == {"gone": 0, "found": 0, "not_checkable": 5, "not_checked": 0}


def test_what_cannot_be_checked_may_be_let_pass(verify, erased, sandbox):
    sandbox.configure(erased_user_answer="error")
    erased()
    end = verify(PEOPLE, on_not_checkable="warn").run()
    assert end.state == "success"
    assert counts(end)["not_checkable"] == 5


def test_somebody_found_fails_also_where_others_cannot_be_checked(verify, erased, sandbox):
    sandbox.configure(erased_user_answer="error", leave_behind=[PEOPLE[0]])
    erased()
    end = verify(PEOPLE, on_not_checkable="warn").run()
    assert isinstance(end.error, KoreFoundError)
    assert counts(end) == {"gone": 0, "found": 1, "not_checkable": 4, "not_checked": 0}


def test_a_channel_user_cannot_be_looked_for_at_all_bots(verify, sandbox):
    end = verify([ChannelUserId("rtm", "one")], bot_ids=None, all_bots=True).run()
    assert isinstance(end.error, KoreVerificationError)
    assert not sandbox.log()


@pytest.mark.parametrize("fault", ["wrong-json", "echo"])
def test_an_answer_that_is_not_understood_proves_nothing(verify, erased, sandbox, no_back_off, fault):
    erased(PEOPLE[:1])
    for call in ("messages-lite", "messages"):
        sandbox.fail(fault, call=call, times=None, body={"total": 0})
    end = verify(PEOPLE[:1]).run()
    assert isinstance(end.error, KoreVerificationError)
    assert counts(end)["not_checkable"] == 1
    assert PEOPLE[0] not in end.text


def test_a_passing_fault_is_waited_out(verify, erased, sandbox, no_back_off):
    erased(PEOPLE[:1])
    sandbox.fail("status", call="sessions", times=3)
    assert verify(PEOPLE[:1]).run().state == "success"


def test_what_concerns_everybody_breaks_the_looking_off(verify, erased, sandbox, no_back_off):
    erased()
    sandbox.fail("status", call="sessions", times=None, after=2)
    end = verify(PEOPLE).run()
    assert isinstance(end.error, KoreUnavailableError)
    assert counts(end) == {"gone": 2, "found": 0, "not_checkable": 3, "not_checked": 0}


def test_a_missing_scope_is_told(verify, sandbox):
    sandbox.configure(history_granted=False)
    end = verify(PEOPLE).run()
    assert isinstance(end.error, KorePermissionError)
    assert "Bot Analytics > Chat History" in end.text


def test_a_sample_looks_for_as_many_as_it_says(verify, erased, sandbox):
    erased()
    end = verify(PEOPLE, people="sample:2").run()
    assert end.state == "success"
    assert counts(end) == {"gone": 2, "found": 0, "not_checkable": 0, "not_checked": 3}
    assert len(looked_for(sandbox)) == 2


def test_a_task_leaves_its_worker_while_the_budget_is_spent_and_asks_nothing_twice(verify, erased, sandbox, scarce):
    sandbox.configure(lite_served=False, sessions_span="under-7-days")
    erased(PEOPLE[:2])
    before = len(sandbox.log())
    end = verify(PEOPLE[:2], since=timedelta(days=20), deferrable=True).run()
    assert end.state == "success", end.text
    assert len(end.deferrals) >= 1
    assert not any(person in str(end.deferrals) for person in PEOPLE)
    assert len(sandbox.log()) - before == 2 * (3 + 2 * 3)  # people, what is refused, kinds of data, weeks
    assert most_calls_in(2.0, sandbox, since=before) <= 4


def test_what_came_in_after_the_period_is_not_looked_for(verify, sandbox):
    sandbox.configure(history_days=2)
    end = verify(PEOPLE, since=timedelta(days=6), until=datetime.now(UTC) - timedelta(days=3)).run()
    assert end.state == "success", end.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"people": "none"},
        {"people": "sample:0"},
        {"people": "sample:-1"},
        {"people": "some"},
        {"people": 1},
        {"since": None},
        {"since": "yesterday"},
        {"since": datetime(2999, 1, 1, tzinfo=UTC)},
        {"until": datetime(2999, 1, 1, tzinfo=UTC)},
        {"bot_ids": None},
        {"bot_ids": "st-1"},
        {"channel_types": "rtm"},
        {"channel_types": ["carrier\npigeon"]},
        {"channel_types": []},
    ],
)
def test_what_cannot_be_done_is_refused_before_the_first_call(verify, sandbox, arguments):
    with pytest.raises(KoreInputError):
        verify(PEOPLE, **arguments)._make_operator()
    end = verify(PEOPLE, rendered=arguments).run()
    assert isinstance(end.error, KoreInputError)
    assert not sandbox.log()


@pytest.mark.parametrize(("on_empty", "state"), [("fail", "failed"), ("skip", "skipped")])
def test_nobody_is_not_verified(verify, on_empty, state):
    assert verify([], on_empty=on_empty).run().state == state


# --- with the erasure itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_an_erasing_task_looks_for_those_it_erased(erase, sandbox, deferrable):
    end = erase(
        PEOPLE, batch_size=2, verify={"people": "all", "since": timedelta(days=31)}, deferrable=deferrable
    ).run()
    assert end.state == "success", end.text
    assert end.output["erased"] == 5
    assert of(end.output["verification"]) == {"gone": 5, "found": 0, "not_checkable": 0, "not_checked": 0}


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_an_erasing_task_fails_if_somebody_is_left_behind(erase, sandbox, deferrable):
    sandbox.configure(leave_behind=[PEOPLE[3]])
    task = erase(PEOPLE, batch_size=2, verify={"people": "all", "since": timedelta(days=31)}, deferrable=deferrable)
    end = task.run()
    assert isinstance(end.error, KoreFoundError)
    assert end.output["erased"] == 5  # that is Kore.ai's word, and stands beside what was found
    assert end.output["verification"]["found_users"] == [{"batch": 2, "position": 2}]
    sandbox.configure(leave_behind=[])
    task.clear()
    end = task.run()
    assert end.state == "success", end.text
    assert len([entry for entry in sandbox.log() if entry.call == "erase"]) == 3  # nothing was sent again


def test_only_those_who_are_reported_erased_are_looked_for(erase, sandbox):
    sandbox.configure(refuse=[PEOPLE[0]])
    end = erase(PEOPLE, batch_size=5, verify={"people": "all", "since": timedelta(days=31)}).run()
    assert end.state == "failed"
    assert of(end.output["verification"]) == {"gone": 4, "found": 0, "not_checkable": 0, "not_checked": 0}
    assert looked_for(sandbox) == set(PEOPLE[1:])


def test_a_clear_long_after_the_erasure_still_looks_for_people(erase, sandbox):
    task = erase(PEOPLE, verify={"people": "all", "since": timedelta(days=31)})
    assert task.run().state == "success"
    time.sleep(1.1)  # whole seconds are stored
    end = erase(PEOPLE, store=task.store, verify={"people": "all", "since": timedelta(seconds=1)}).run()
    assert end.state == "success", end.text
    assert end.output["verification"]["gone"] == 5
    since = datetime.now(UTC) - timedelta(milliseconds=300)
    end = erase(PEOPLE, store=task.store, verify={"people": "all", "since": since}).run()
    assert end.state == "success", end.text
    assert end.output["verification"]["gone"] == 5


def test_the_time_of_the_task_bounds_the_looking(verify, erased, sandbox):
    erased()
    sandbox.fail("latency", call="any", times=None, seconds=0.05)
    end = verify(PEOPLE, timeout=0.3).run()
    assert isinstance(end.error, KoreVerificationError)
    assert "time" in end.text
    assert 0 < end.output["not_checkable"] <= 5
    assert end.output["gone"] < 5


def test_what_cannot_be_written_does_not_hide_who_was_found(erase, sandbox, connection, tmp_path):
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    connection(extra__digest_key=KEY, extra__receipt_key=pem, extra__requests_per_minute=100_000)
    sandbox.configure(leave_behind=[PEOPLE[3]])
    (tmp_path / "file").write_text("in the way")
    path = (tmp_path / "file" / "receipts").as_uri()
    end = erase(PEOPLE, verify={"people": "all", "since": timedelta(days=31)}, receipt={"folder": path}).run()
    assert isinstance(end.error, KoreFoundError)
