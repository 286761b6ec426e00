"""What checks make of answers, without a network."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing_kore import error, http

from airflow_provider_kore.api.account import read_account
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.checks.erasure_checks import ERASURE_CHECKS
from airflow_provider_kore.checks.findings import NotTestedError, Verdict, confirmed, different
from airflow_provider_kore.checks.history_checks import HISTORY_CHECKS
from airflow_provider_kore.checks.probes import Kind, Reply, Subject, plain_text, read_reply
from airflow_provider_kore.checks.report import Row, exit_status, profile_to_set, to_report
from airflow_provider_kore.checks.token_checks import TOKEN_CHECKS
from airflow_provider_kore.checks.trial import DataSeen, ErasureSeen, TrialSeen, read_poll

PROFILE = ApiProfile()
USER = "Xq7ZwK9@example.org"
SUBJECT = Subject(PROFILE, "st-1", USER, "0123456789ab", datetime(2026, 11, 28, tzinfo=UTC))
ALL = {check.name: check for check in (*TOKEN_CHECKS, *HISTORY_CHECKS)}
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
        (error(400, "Insufficient permissions"), Kind.RIGHT),
        (error(404, "You have no access"), Kind.RIGHT),
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

    poll = read_poll(status_answer(word), USER, 1.0, PROFILE)
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
        return [read_poll(status_answer(each), USER, 5.0 * number, PROFILE) for number, each in enumerate(words)]

    seen = trial("SUCCESS")
    first = replace(seen.first, polls=polls("handling", "handling", "SUCCESS"))
    seen = replace(seen, first=first, unknown=replace(first, polls=polls(*[word] * 5)))
    assert OF_ERASURE["unknown_word"].find(seen, SUBJECT).verdict is Verdict.NOT_TESTED
    found = rows(**{name: check.find(seen, SUBJECT) for name, check in OF_ERASURE.items()})
    assert profile_to_set(found, PROFILE) == {"open_words": ["handling"]}


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
