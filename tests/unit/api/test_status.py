"""Reading the answer to a status call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kores_answers import (
    BAD,
    CHANNEL_USER,
    GOOD,
    OPEN,
    REQUEST_ID,
    answer,
    entry,
    good,
    some_json,
)

from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.status import HIDDEN_WORD, read_outcome, read_status
from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import Consequence, KoreUnreadableAnswerError


@pytest.mark.parametrize("status", GOOD)
def test_a_good_word_in_any_case_is_erased(status):
    assert read_outcome(status) is Outcome.ERASED


@pytest.mark.parametrize("status", [*OPEN, "in progress", "InProgress"])
def test_a_missing_status_or_an_open_word_is_open(status):
    assert read_outcome(status) is Outcome.OPEN


@pytest.mark.parametrize("status", BAD)
def test_any_other_status_is_not_proven_erased(status):
    assert read_outcome(status) is Outcome.NOT_ERASED


@given(st.text() | some_json)
def test_no_other_value_is_erased(status):
    assert (read_outcome(status) is Outcome.ERASED) == good(status)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "SUCCESS",
        7,
        True,
        {"_id": "eud-2", "response": []},
        {"_id": "", "response": []},
        {"_id": {"$oid": REQUEST_ID}, "response": []},
        {"_id": 1, "response": [entry("u-0001")]},
        {"errors": [{"msg": "no", "code": 1}], "response": [entry("u-0001")]},
        {"errors": "no", "response": [entry("u-0001")]},
        {"status": "FAILED", "response": [entry("u-0001")]},
        {"status": "error", "response": []},
        {"response": {"u-0001": "SUCCESS"}},
        {"response": "SUCCESS"},
        {"response": True},
        {"response": False},
        {"response": 0},
        {"response": ""},
    ],
)
def test_an_answer_in_another_form_or_about_another_request_is_refused(document):
    with pytest.raises(KoreUnreadableAnswerError) as caught:
        read_status(document, REQUEST_ID)
    assert caught.value.consequence is Consequence.SENT


@pytest.mark.parametrize("status", [None, "", "success", "in-progress"])
def test_an_overall_status_that_is_no_failure_is_read_past(status):
    assert len(read_status(answer(entry("u-0001"), status=status), REQUEST_ID).entries) == 1


@pytest.mark.parametrize("errors", [None, [], ""])
def test_an_empty_list_of_errors_is_no_error(errors):
    assert len(read_status({"response": [entry("a")], "errors": errors}, REQUEST_ID).entries) == 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2019-09-26T08:42:53.552Z", "2019-09-26T08:42:53.552Z"),
        ("2019-09-26T08:42:53+02:00", "2019-09-26T08:42:53+02:00"),
        ({"$date": "2019-09-26T08:42:53.552Z"}, "2019-09-26T08:42:53.552Z"),
        ({"$date": 1569487373552}, None),
        ({"$date": "2019-09-26T08:42:53.552Z", "more": 1}, None),
        ({}, None),
        ("2019-09-26", None),
        ("2019-09-26T08:42:53.552Z of ann@example.com", None),
        (1569487373552, None),
        (None, None),
    ],
)
def test_kores_own_times_are_kept_verbatim_if_they_are_times(value, kept):
    status = read_status({"createdOn": value, "lastUpdatedOn": value}, "eud-1")
    assert (status.created_on, status.updated_on) == (kept, kept)


# --- which words are shown ------------------------------------------------------------------------------------------


def words_of(*statuses, users=None, named=None):
    """Return what is counted, and the explanation, for users who are known or not."""
    named = named or [f"u-{number:04}" for number in range(len(statuses))]
    status = read_status(answer(*map(entry, named, statuses)), REQUEST_ID)
    return status.wordings(users), status.explain_unknown_words(users)


def test_the_words_of_those_who_are_not_erased_are_counted():
    statuses = ["FAILED", "FAILED", "Owner", "SUCCESS", "queued"]
    counted, explanation = words_of(*statuses, users=["anna", "bert"])
    assert counted == {"FAILED": 2, "Owner": 1}
    assert '"open_words": ["owner"]' in explanation


@pytest.mark.parametrize("status", ["anna", "Anna", "schmidt", "Owner", "NOT_FOUND", "A" * 40])
def test_without_the_submitted_ids_no_word_is_shown_that_no_list_has(status):
    counted, explanation = words_of(status, "FAILED", named=["u-9001", "u-9002"])
    assert counted == {f"a word of {len(status)} characters that is not shown": 1, "FAILED": 1}
    assert explanation == HIDDEN_WORD


@pytest.mark.parametrize("status", ["Owner", "NOT_FOUND", "not-erased", "account_owner", "A" * 40])
def test_with_the_submitted_ids_a_word_that_can_only_be_a_code_is_shown(status):
    counted, explanation = words_of(status, users=["anna", "u-0001", "al", "bert@example.com"])
    assert counted == {status: 1}
    assert status.lower() in explanation


@pytest.mark.parametrize(
    ("user_id", "status"),
    [
        ("anna", "anna"),
        ("anna", "ANNA"),
        ("Anna", "anna_not_found"),
        ("anna", "unknown-Anna"),
        ("anna.schmidt", "anna_schmidt"),
        ("anna.schmidt", "AnnaSchmidt"),
        ("anna@example.com", "no_such_anna"),
        ("annaschmidt", "schmidt"),
        ("al", "AL"),
        (ChannelUserId("rtm", "anna"), "Anna"),
    ],
)
@pytest.mark.parametrize("others", [[], ["SUCCESS"], ["Owner"]])
def test_a_word_that_resembles_a_submitted_id_is_never_shown_whatever_the_answer_calls_the_users(
    user_id, status, others
):
    counted, explanation = words_of(
        status, *others, users=["u-7", user_id], named=["u-9001", "u-9002"][: len(others) + 1]
    )
    assert status not in counted
    assert f'"{status.lower()}"' not in (explanation or "")


@pytest.mark.parametrize(
    "status",
    ["anna@example.com", "u-123", "failed: 0151 2345", "A" * 41, "a b c d e f", "FAILED\n", "Größe", {"a": 1}, 5],
)
@pytest.mark.parametrize("users", [None, ["bert"]])
def test_what_is_no_code_is_never_shown(status, users):
    counted, explanation = words_of(status, users=users)
    assert counted == {f"a status that is not shown, of type {type(status).__name__}": 1}
    assert explanation is None


@pytest.mark.parametrize(("word_count", "shown"), [(5, True), (6, False)])
def test_more_than_five_words_of_one_answer_are_no_words_for_an_outcome(word_count, shown):
    words = [f"fate-{letter}" for letter in "abcdef"[:word_count]]
    status = read_status(
        answer(*(entry(f"u-000{number}", word) for number, word in enumerate([*words, "SUCCESS", "pending"]))),
        REQUEST_ID,
    )
    # A word that is withheld cannot be set in a profile, so it does not keep the request from being settled.
    assert status.is_understood is not shown
    assert (status.explain_unknown_words() is not None) is shown
    withheld = {"a word of 6 characters that is not shown": word_count}
    assert status.wordings(["bert"]) == (dict.fromkeys(words, 1) if shown else withheld)


def test_of_several_entries_of_a_user_that_are_equally_bad_the_first_is_shown():
    document = answer(entry("u-0001", "FAILED"), entry("u-0001", "Owner"), entry("u-0001"))
    assert read_status(document, REQUEST_ID).wordings() == {"FAILED": 1}


def test_the_fingerprint_of_an_answer_is_that_of_the_users_it_names():
    first = read_status(answer(entry("a"), entry(CHANNEL_USER)), REQUEST_ID)
    second = read_status(answer(entry(CHANNEL_USER, "FAILED"), entry("a"), entry("a")), REQUEST_ID)
    other = read_status(answer(entry("b"), entry(CHANNEL_USER)), REQUEST_ID)
    assert first.fingerprint(b"key") == second.fingerprint(b"key")
    assert len({first.fingerprint(b"key"), first.fingerprint(b"yek"), other.fingerprint(b"key")}) == 3


def test_an_answer_with_an_entry_that_was_not_understood_has_no_fingerprint():
    assert read_status(answer(entry("a"), {"status": "SUCCESS"}), REQUEST_ID).fingerprint(b"key") is None


@pytest.mark.parametrize("key", ["error", "errors"])
def test_an_entry_that_reports_an_error_is_not_erased(key):
    (read,) = read_status(answer(entry("u-0001") | {key: "no"}), REQUEST_ID).entries
    assert read.outcome is Outcome.NOT_ERASED


@pytest.mark.parametrize(
    ("words", "understood"),
    [
        (["SUCCESS", "FAILED", "queued", None], True),
        (["SUCCESS", "Deleted"], False),
        (["Deleted", "FAILED"], False),
        (["free text that no profile can name"], True),
        ([], True),
    ],
)
def test_an_answer_is_understood_unless_a_word_is_not_known_that_a_profile_can_name(words, understood):
    entries = [entry(f"u-{number:04}", word) for number, word in enumerate(words)]
    assert read_status(answer(*entries), REQUEST_ID).is_understood is understood
