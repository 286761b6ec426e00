"""What checks make of answers, without a network."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing_kore import error, http

from airflow_provider_kore.api.account import read_account
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.checks.findings import NotTestedError, Verdict, confirmed, different
from airflow_provider_kore.checks.history_checks import HISTORY_CHECKS
from airflow_provider_kore.checks.probes import Kind, Probe, Reply, Subject, plain_text, read_reply
from airflow_provider_kore.checks.report import Row, exit_status, profile_to_set, to_report
from airflow_provider_kore.checks.run import CheckRun
from airflow_provider_kore.checks.surface_checks import SURFACE_CHECKS
from airflow_provider_kore.checks.token_checks import TOKEN_CHECKS, read_throttles
from airflow_provider_kore.checks.trial import Trial
from airflow_provider_kore.checks.trial_checks import ERASURE_CHECKS
from airflow_provider_kore.checks.trial_seen import DataSeen, ErasureSeen, TrialSeen, describe_erasures, read_poll

PROFILE = ApiProfile()
USER = "Xq7ZwK9@example.org"
SUBJECT = Subject(PROFILE, "st-1", USER, "0123456789ab", datetime(2026, 11, 28, tzinfo=UTC))
ALL = {check.name: check for check in (*TOKEN_CHECKS, *HISTORY_CHECKS, *SURFACE_CHECKS)}
OF_ERASURE = {check.name: check for check in ERASURE_CHECKS}


def replied(answer, **headers):
    return read_reply(answer, headers, PROFILE)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(200, {}), Kind.OK),
        (http(204), Kind.FOREIGN),
        (http(200, []), Kind.FOREIGN),
        (http(200, b"<html>"), Kind.FOREIGN),
        (http(200, {"errors": [{"msg": "no"}]}), Kind.FOREIGN),
        (http(302), Kind.FOREIGN),
        (http(401, b"<html>"), Kind.FOREIGN),
        (http(403, {"message": "Forbidden"}), Kind.FOREIGN),
        (http(429, b"<html>"), Kind.THROTTLED),
        (http(502, b"<html>"), Kind.FOREIGN),
        (error(400, "Rate limit for this API has been reached"), Kind.THROTTLED),
        (error(401, "Invalid SDK credentials"), Kind.TOKEN),
        (error(403, "no"), Kind.RIGHT),
        (error(400, "Unauthorized to perform this activity"), Kind.RIGHT),
        (error(404, "unauthorized to perform this activity."), Kind.RIGHT),
        (error(400, "Insufficient permissions"), Kind.MAYBE_RIGHT),
        (error(404, "You have no access"), Kind.MAYBE_RIGHT),
        (error(400, "Invalid request id"), Kind.REFUSED),
        (error(500, "no"), Kind.FAULT),
    ],
)
def test_the_kind_of_an_answer(answer, kind):
    assert replied(answer).kind is kind


def run(check, reply):
    """Run a check whose calls are all answered alike."""
    steps, answer = check.run(SUBJECT), None
    try:
        while True:
            steps.send(answer)
            answer = reply
    except StopIteration as end:
        return end.value
    except NotTestedError as untested:
        return untested.finding


# --- scopes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict", "seen"),
    [
        (error(400, "Invalid request id"), Verdict.CONFIRMED, "HTTP 400, “Invalid request id”"),
        (error(403, "no"), Verdict.DIFFERENT, "missing"),
        (error(400, "Unauthorized to perform this activity"), Verdict.DIFFERENT, "missing"),
        (error(400, "Insufficient permissions"), Verdict.NOT_TESTED, "HTTP 400, “Insufficient permissions”"),
        (error(404, "No access for u-1"), Verdict.NOT_TESTED, "HTTP 404, which may be"),
    ],
)
def test_a_scope_is_missing_only_by_403_or_by_the_documented_wording(answer, verdict, seen):
    finding = run(ALL["scope_erase"], replied(answer))
    assert finding.verdict is verdict
    assert seen in finding.seen
    assert "u-1" not in finding.seen


# --- places that no erasure reaches ----------------------------------------------------------------------------------

ENTRY = {"Description": f"{USER} logged in"}


@pytest.mark.parametrize(
    ("name", "content", "verdict"),
    [
        ("reach_llm_logs", [ENTRY], Verdict.USED),
        ("reach_llm_logs", [], Verdict.NOT_SEEN),
        ("reach_llm_logs", {}, Verdict.NOT_TESTED),
        ("reach_llm_logs", [USER], Verdict.NOT_TESTED),
        ("reach_llm_logs", {"logs": []}, Verdict.NOT_TESTED),
        ("reach_audit_log", {"total": 1, "auditlogs": [ENTRY]}, Verdict.USED),
        ("reach_audit_log", {"total": 0, "auditlogs": []}, Verdict.NOT_SEEN),
        ("reach_audit_log", {"total": 0}, Verdict.NOT_TESTED),
        ("reach_audit_log", {"auditlogs": None}, Verdict.NOT_TESTED),
        ("reach_audit_log", [], Verdict.NOT_TESTED),
        ("reach_contacts", {"results": []}, Verdict.NOT_TESTED),
    ],
)
def test_a_place_is_used_or_not_seen_only_by_an_answer_that_is_understood(name, content, verdict):
    finding = run(ALL[name], replied(http(200, content)))
    assert finding.verdict is verdict
    assert USER not in f"{finding}"


@pytest.mark.parametrize("answer", [error(400, "no"), error(403, "no"), error(404, "Not Found"), error(500, "no")])
@pytest.mark.parametrize("check", SURFACE_CHECKS, ids=lambda check: check.name)
def test_a_refusal_says_nothing_of_what_is_used(check, answer):
    assert run(check, replied(answer)).verdict is Verdict.NOT_TESTED


@pytest.mark.parametrize(
    ("channels", "calls", "agents"),
    [
        (["rtm", "KoreVG"], Verdict.USED, Verdict.NOT_SEEN),
        (["agentassist"], Verdict.NOT_SEEN, Verdict.USED),
        (["rtm", USER], Verdict.NOT_SEEN, Verdict.NOT_SEEN),
        ([], Verdict.NOT_TESTED, Verdict.NOT_TESTED),
    ],
)
def test_channels_of_the_users_sessions_tell_of_calls_and_of_agents(channels, calls, agents):
    sessions = [{"sessionId": f"s-{channel}", "channel": channel, "userId": USER} for channel in channels]
    page = replied(http(200, {"total": len(sessions), "moreAvailable": False, "sessions": sessions}))
    findings = [run(ALL[name], page) for name in ("reach_recordings", "reach_conversations")]
    assert [finding.verdict for finding in findings] == [calls, agents]
    assert USER not in f"{findings}"


# --- a spent budget --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "retry_after", "verdict", "settings"),
    [
        (429, None, Verdict.CONFIRMED, {}),
        (400, None, Verdict.DIFFERENT, {"throttle_status": 400, "retry_after": "none"}),
        (429, "7", Verdict.DIFFERENT, {"throttle_status": 429, "retry_after": "seconds"}),
        (429, "Sat, 28 Nov 2026 14:00:00 GMT", Verdict.DIFFERENT, {"throttle_status": 429, "retry_after": "date"}),
    ],
)
def test_a_throttle_that_came_by_itself_tells_how_one_is_answered(status, retry_after, verdict, settings):
    answer = replace(error(status, "Rate limit for this API has been reached"), retry_after=retry_after)
    finding = read_throttles([replied(answer)])
    assert (finding.verdict, finding.settings) == (verdict, settings)
    assert read_throttles([]).verdict is Verdict.NOT_TESTED


UNUSABLE = [
    Reply(Kind.NONE, why="ConnectError"),
    replied(http(200, b"<html>")),
    replied(http(302)),
    replied(http(502, b"")),
    replied(error(429, "")),
]


@pytest.mark.parametrize("reply", UNUSABLE, ids=lambda reply: reply.why)
@pytest.mark.parametrize("name", ALL)
def test_no_guess_is_confirmed_by_what_is_not_an_answer_of_kore(name, reply):
    assert run(ALL[name], reply).verdict is Verdict.NOT_TESTED


@given(
    st.text() | st.from_regex(r"[A-Za-z .,]{0,80}"),
    st.sampled_from([USER, "eyJhbGciOi.eyJ.x-y_z", "cs-1234", "491701234567"]),
)
def test_a_text_that_is_shown_has_no_room_for_an_id_or_a_token(text, secret):
    for said in (text, f"{text} {secret}", f"{secret} {text}", secret):
        shown = plain_text(Reply(Kind.REFUSED, text=said))
        assert shown is None or secret not in shown
        assert shown is None or not any(character.isdigit() or character in "@_/{}<>=" for character in shown)


# --- the word for erased -----------------------------------------------------------------------------------------


def status_answer(word, user_id=USER):
    return replied(http(200, {"_id": "eud-1", "response": [{"userId": user_id, "status": word}]}))


def trial(word, *, before=(2, 6), after=(0, 0)):
    def data(counts):
        return DataSeen(
            *(replied(http(200, {"total": count}) if count is not None else error(400, "no")) for count in counts)
        )

    poll = read_poll(status_answer(word), [USER], 1.0, PROFILE)
    erased = ErasureSeen(replied(http(200, {"requestId": "eud-1", "status": "in-progress"})), [poll], True)
    return TrialSeen(data(before), erased, data(after))


COUNTS = st.tuples(*[st.none() | st.integers(0, 3)] * 2)


@given(st.from_regex(r"[A-Za-z]{3,12}([-_][A-Za-z]{3,8})?", fullmatch=True), COUNTS, COUNTS)
def test_a_word_is_offered_as_erased_only_where_the_users_data_went_with_it(word, before, after):
    finding = OF_ERASURE["erased_word"].find(trial(word, before=before, after=after), SUBJECT)
    known = PROFILE.outcome_of(word)
    if known is Outcome.ERASED:
        assert finding.verdict is (Verdict.CONFIRMED if word == "SUCCESS" else Verdict.DIFFERENT)
        assert not finding.profile
    elif finding.profile:
        assert known is None
        assert any(before)
        assert after == (0, 0)
        ApiProfile.model_validate(finding.profile)
    else:
        assert finding.verdict is not Verdict.CONFIRMED


@pytest.mark.parametrize(
    "word", ["Xq7ZwK9", "example", "12345", "was erased for Xq7ZwK9@example.org", 7, None, "", ["SUCCESS"]]
)
def test_a_status_that_may_name_the_user_is_not_shown(word):
    seen = trial(word)
    for check in ERASURE_CHECKS:
        finding = check.find(seen, SUBJECT)
        assert "Xq7ZwK9" not in f"{finding}"
    assert OF_ERASURE["erased_word"].find(seen, SUBJECT).verdict is Verdict.NOT_TESTED
    assert "Xq7ZwK9" not in f"{seen!r}{SUBJECT!r}"


@pytest.mark.parametrize(
    "accepted", [error(400, "no"), http(202, {}), http(200, b"<html>"), error(403, "no"), http(200, {"requestId": 7})]
)
def test_of_an_erasure_that_was_not_accepted_nothing_is_confirmed(accepted):
    seen = TrialSeen(trial("SUCCESS").before, ErasureSeen(replied(accepted)))
    assert not [check.name for check in ERASURE_CHECKS if check.find(seen, SUBJECT).verdict is Verdict.CONFIRMED]


@pytest.mark.parametrize(
    "accepted", [http(200, b"<html>"), http(204), error(500, "no"), http(502, b""), error(408, "late")], ids=repr
)
def test_an_erasure_of_which_it_is_not_known_whether_it_was_accepted_is_not_called_refused(accepted):
    seen = TrialSeen(trial("SUCCESS").before, ErasureSeen(replied(accepted)))
    finding = OF_ERASURE["accept_status"].find(seen, SUBJECT)
    assert finding.verdict is Verdict.DIFFERENT
    assert "not known" in finding.seen


@pytest.mark.parametrize("word", ["handling", "HANDLING", "Handl-ing"])
def test_a_made_up_user_who_still_has_the_word_of_a_running_erasure_is_no_word_for_not_erased(word):
    def polls(*words):
        return [read_poll(status_answer(each), [USER], 5.0 * number, PROFILE) for number, each in enumerate(words)]

    seen = trial("SUCCESS")
    first = replace(seen.first, polls=polls("handling", "handling", "SUCCESS"))
    seen = replace(seen, first=first, unknown=replace(first, polls=polls(*[word] * 5)))
    assert OF_ERASURE["unknown_word"].find(seen, SUBJECT).verdict is Verdict.NOT_TESTED
    found = rows(**{name: check.find(seen, SUBJECT) for name, check in OF_ERASURE.items()})
    assert profile_to_set(found, PROFILE) == {"open_words": ["handling"]}


# --- a trial that ends early, or whose user is refused ---------------------------------------------------------------


def play(*answers):
    """Run a trial, and answer its calls in turn; it stops at the first one without an answer."""
    before = trial("SUCCESS").before
    played = Trial(SUBJECT, None, interval=1.0, longest=60.0, largest_batch=MOST, before=before)
    steps, reply, probes, left = played.run(), None, [], list(answers)
    with suppress(StopIteration):
        while True:
            step, reply = steps.send(reply), None
            if isinstance(step, Probe):
                probes.append(step)
                if not left:
                    break
                reply = replied(left.pop(0))
    return played, probes


MOST = 100
ACCEPTED = http(200, {"requestId": "eud-1", "status": "in-progress"})


def status_of(word, user_id=USER):
    entry = {"userId": user_id, "status": word}
    return http(200, {"_id": "eud-1", "createdOn": "2026-11-28T12:00:00Z", "response": [entry]})


@pytest.mark.parametrize(
    ("answers", "was_sent", "said"),
    [
        ([], False, "Nothing was erased."),
        ([], True, "was sent, and whether Kore.ai accepted it is not known"),
        ([ACCEPTED], True, "was accepted (request eud-1), and Kore.ai continues"),
        ([ACCEPTED, status_of("in-progress")], True, "was accepted (request eud-1), and Kore.ai continues"),
        ([ACCEPTED, status_of("SUCCESS")], True, "was accepted (request eud-1), its end was seen"),
        ([error(400, "no")], True, "was not accepted"),
    ],
)
def test_a_trial_that_is_interrupted_keeps_what_it_saw_and_tells_what_is_known(answers, was_sent, said):
    trial_, probes = play(*answers)
    trial_.note_interruption(probes[-1] if was_sent else None)
    assert said in describe_erasures(trial_.seen)
    assert "Xq7ZwK9" not in describe_erasures(trial_.seen)
    for check in ERASURE_CHECKS:
        finding = check.find(trial_.seen, SUBJECT)
        assert (finding.verdict is Verdict.DIFFERENT) == (check.name == "accept_status" and "is not known" in said), (
            check.name
        )


GONE = [http(200, {"total": 0})] * 2


def find(trial_, name):
    return OF_ERASURE[name].find(trial_.seen, SUBJECT)


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 99, 100, 1000])
def test_the_largest_batch_is_found_by_users_who_do_not_exist(limit):
    done = [ACCEPTED, status_of("SUCCESS")]
    answers = [*done, *GONE, *done, ACCEPTED, status_of("FAILED", "x")]
    for _ in range(20):
        trial_, probes = play(*answers)
        if len(probes) == len(answers):
            break
        assert find(trial_, "max_user_ids").verdict is Verdict.NOT_TESTED  # if it ended here
        users = json.loads(probes[-1].body)["userIds"]
        assert all(user.startswith("kore-check-0123456789ab-") for user in users)
        answers.append(ACCEPTED if len(users) <= limit else error(400, "too many"))
    finding = find(trial_, "max_user_ids")
    if limit >= MOST:
        assert finding.verdict is Verdict.CONFIRMED
    else:
        assert finding.profile == {"largest_batch": limit}
    assert len(trial_.seen.batches) <= 8


def test_a_batch_of_which_nothing_is_known_tells_nothing():
    done = [ACCEPTED, status_of("SUCCESS")]
    trial_, _ = play(*done, *GONE, *done, ACCEPTED, status_of("FAILED", "x"), http(502, b""))
    assert find(trial_, "max_user_ids").verdict is Verdict.NOT_TESTED


def test_a_refusal_is_the_users_if_a_made_up_user_is_accepted_at_the_same_bot():
    trial_, probes = play(error(400, "no"), ACCEPTED, status_of("FAILED", "x"), ACCEPTED)
    assert [json.loads(probe.body)["userIds"] == [USER] for probe in probes if probe.method == "DELETE"].count(
        True
    ) == 1
    assert find(trial_, "refusal").settings == {"refusal": "whole-request"}
    trial_, _ = play(error(400, "no"), error(400, "no"))
    assert find(trial_, "refusal").verdict is Verdict.NOT_TESTED


def test_of_a_user_who_was_not_erased_nothing_is_said_about_erasures():
    still = [http(200, {"total": 2})] * 2
    done = [ACCEPTED, status_of("FAILED")]
    trial_, _ = play(*done, *still, *done, ACCEPTED, status_of("FAILED", "x"), ACCEPTED)
    assert find(trial_, "refusal").verdict is Verdict.CONFIRMED
    for name in ("erased_word", "duration", "erase_again", "left_behind", "erased_user_answer"):
        assert find(trial_, name).verdict is Verdict.NOT_TESTED, name


@pytest.mark.parametrize("answer", [http(502, b""), error(429, ""), error(500, "no")])
def test_a_second_erasure_that_gets_no_answer_is_not_called_another_end(answer):
    trial_, _ = play(ACCEPTED, status_of("SUCCESS"), *GONE, answer)
    assert find(trial_, "erase_again").verdict is Verdict.NOT_TESTED


def test_a_run_that_is_interrupted_at_once_has_a_row_for_each_guess_and_confirms_none():
    account = read_account(host="https://kore.example", login="cs-1", password="secret" * 8, extra={})
    run_ = CheckRun(account, None, [], erases=False, interval=1.0, longest=1.0)
    assert {(row.finding.verdict, row.finding.seen) for row in run_.rows} == {
        (Verdict.NOT_TESTED, "The check was interrupted.")
    }
    names = [row.name for row in run_.rows]
    assert sorted(set(names)) == sorted(names)
    assert {*ALL, *OF_ERASURE} < set(names)
    assert run_.describe_erasures() is None


# --- the report ----------------------------------------------------------------------------------------------------


def rows(**findings):
    return [Row(name, "a guess", finding) for name, finding in findings.items()]


def test_the_status_follows_from_the_findings():
    assert exit_status(rows(token=confirmed("yes"))) == 0
    assert exit_status(rows(token=confirmed("yes"), clock=different("no"))) == 1
    assert exit_status(rows(dns=confirmed("yes"))) == 2
    assert exit_status(rows(token=different("no"), clock=different("no"))) == 2


def test_what_is_set_already_stays_in_the_extra_that_is_printed():
    profile = ApiProfile(erased_words=["gone"], members_page=20)
    found = rows(token=confirmed("yes"), erased_word=different("x", profile={"erased_words": ["gone", "Purged"]}))
    assert profile_to_set(found, profile) == {"erased_words": ["gone", "Purged"], "members_page": 20}
    assert profile_to_set(rows(token=confirmed("yes")), profile) is None


@pytest.mark.parametrize(
    ("host", "shown"), [("https://platform.kore.ai", "platform.kore.ai"), ("https://kore.acme.example", "another one")]
)
def test_a_report_tells_neither_the_app_nor_a_host_of_ones_own(host, shown):
    account = read_account(
        host=host, login="cs-Xq7ZwK9", password="Xq7ZwK9-secret", extra={"allowed_bot_ids": "st-Xq7ZwK9"}
    )
    report = to_report(rows(token=confirmed("yes")), account, "0.1.0")
    assert json.loads(report)["host"] == shown
    assert "Xq7ZwK9" not in report
    assert "acme" not in report
