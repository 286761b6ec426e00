"""What the log tells, and what a reset forgets."""

import pytest

from airflow_provider_kore.sandbox.faults import Fault


def test_the_log_tells_all_about_a_request_but_no_secret(caller):
    caller = caller()
    token = caller.token(jti="token-1")
    body = {"userIds": ["u-1"], "RemoveDataFromAllBots": True}
    caller.erase(body, token=token)
    (entry,) = caller.account.log()
    assert (entry.number, entry.time) == (1, caller.now)
    assert (entry.method, entry.path) == ("DELETE", "/api/public/bot/eraseUsersData")
    assert (entry.call, entry.jti, entry.body) == ("erase", "token-1", body)
    assert entry.headers == ("auth", "content-type", "content-length")
    assert entry.content_length == 51
    assert (entry.accepted, entry.outcome, entry.throttled, entry.fault) == (True, 200, False, None)
    assert token not in repr(entry)


def test_refused_requests_are_logged_too(caller):
    caller = caller()
    caller.erase(method="POST")
    caller.erase(path="/elsewhere")
    caller.erase(token="none")
    caller.erase({})
    caller.status("eud-1")
    log = caller.account.log()
    assert [entry.number for entry in log] == [1, 2, 3, 4, 5]
    assert [entry.outcome for entry in log] == [405, 404, 401, 400, 400]
    assert [entry.call for entry in log] == [None, None, "erase", "erase", "status"]
    assert not any(entry.accepted for entry in log)


def test_a_log_once_read_changes_no_more(caller):
    caller = caller()
    caller.erase()
    log = caller.account.log()
    caller.erase()
    assert len(log) == 1


def test_a_reset_forgets_everything(caller):
    caller = caller(requests_per_minute=2)
    token = caller.token()
    caller.erase(token=token)
    caller.account.configure({"duration": 1.0})
    caller.account.faults.pending.append(Fault(kind="html"))
    caller.account.reset()
    assert caller.account.log() == []
    assert caller.account.state().requests == ()
    assert caller.account.settings.duration == 5.0
    assert [caller.erase(token=token).status, caller.erase().status] == [200, 200]


@pytest.mark.parametrize(
    "changes",
    [{"algorithm": "RS256"}, {"duration": "soon"}, {"accept_status": 500}, {"surprise": 1}, {"bots": ["a", 1]}],
)
def test_a_change_that_makes_no_sense_changes_nothing(caller, changes):
    account = caller().account
    before = account.settings
    with pytest.raises(ValueError, match=r"\w"):
        account.configure({"erased_word": "done"} | changes)
    assert account.settings == before
