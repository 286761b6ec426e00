"""Which answers say that recordings are gone, how the call is repeated, and what its URL may be."""

import math
import string
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.calls import ATTEMPTS, delete_recordings
from airflow_provider_kore.api.exchange import NoAnswer
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.profile_words import DELETED_TEXTS, NO_RECORDINGS_TEXTS, RECORDINGS_PATH
from airflow_provider_kore.api.recordings import (
    RecordedSession,
    check_recorded_bots,
    is_session_id,
    read_deletion,
    says_no_recordings,
)
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreError,
    KoreInputError,
    KoreRequestError,
    KoreThrottledError,
    KoreUnavailableError,
    KoreUnreadableAnswerError,
)
from tests.unit.playing_kore import Clock, error, http, pacing, play

SESSION = RecordedSession("st-1", "6627b9adb9af28711b78")
DELETED = {"message": "Call recordings deleted successfully", "sessionId": SESSION.session_id}
NONE = {"message": "No recordings found"}
SPELLINGS = [str, str.upper, str.title, lambda text: f"  {text.capitalize()}. "]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=9), values, max_size=3),
    max_leaves=6,
)


def run(reply, clock=None, give_up_at=None, **limits):
    clock = clock or Clock()
    return play(delete_recordings(SESSION, pacing(clock, **limits), give_up_at), reply, clock)


# --- what an answer says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("text", sorted(DELETED_TEXTS | NO_RECORDINGS_TEXTS))
def test_a_known_text_is_known_in_every_spelling(text, spell):
    assert read_deletion({"message": spell(text)}, SESSION) is (text in DELETED_TEXTS)


@given(json_values)
def test_no_other_success_says_that_anything_is_done(document):
    with pytest.raises(KoreUnreadableAnswerError) as caught:
        read_deletion(document, SESSION)
    assert caught.value.consequence is Consequence.RECORDINGS_LEFT


@given(st.dictionaries(st.sampled_from(["status", "result", "code", "deleted", "total", "success"]), json_values))
def test_what_else_an_answer_says_does_not_count(more):
    assert read_deletion(more | DELETED, SESSION) is True


@pytest.mark.parametrize(
    "document",
    [
        DELETED | {"sessionId": "another"},
        DELETED | {"sessionId": None},
        DELETED | {"sessionId": SESSION.session_id.upper()},
        DELETED | {"errors": [{"msg": "no", "code": 1}]},
        DELETED | {"error": "no"},
        DELETED | {"message": "Call recordings deleted"},
        DELETED | {"message": "Call recordings not deleted successfully"},
        DELETED | {"message": ["Call recordings deleted successfully"]},
        DELETED | {"message": "Call recordings deleted successfully for 1 of 2"},
        {"Message": DELETED["message"]},
        [DELETED],
    ],
)
def test_a_success_that_can_mean_something_else_is_refused(document):
    with pytest.raises(KoreUnreadableAnswerError) as caught:
        read_deletion(document, SESSION)
    assert SESSION.session_id not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (404, {"errors": [{"msg": "No recordings found", "code": 404}]}, True),
        (400, {"errors": [{"msg": "Recordings not found.", "code": 7}]}, True),
        (404, {"message": "no call recordings found"}, True),
        (422, {"errors": [{"msg": "Recording not found"}]}, True),
        *((status, {"errors": [{"msg": "No recordings found"}]}, False) for status in (301, 401, 403, 408, 429, 500)),
        (404, {"errors": [{"msg": "Not Found", "code": 404}]}, False),
        (404, {"errors": [{"msg": "Session not found", "code": 404}]}, False),
        (400, {"errors": [{"msg": "No recordings found, since you may not see them"}]}, False),
        (404, {"errors": [{"msg": 7}]}, False),
        (404, {"error": "No recordings found"}, False),
        (404, None, False),
        (404, "No recordings found", False),
    ],
)
def test_a_refusal_says_that_there_are_none_by_its_text_alone(status, document, expected):
    assert says_no_recordings(status, document) is expected


@pytest.mark.parametrize("spell", SPELLINGS)
def test_further_texts_can_be_set(spell):
    profile = ApiProfile(recordings_deleted_texts=["Recordings removed"], no_recordings_texts=["No such recording."])
    assert read_deletion({"message": spell("recordings removed")}, SESSION, profile) is True
    assert read_deletion({"message": spell("no such recording")}, SESSION, profile) is False
    assert says_no_recordings(400, {"message": spell("no such recording")}, profile)
    assert not says_no_recordings(400, {"message": spell("recordings removed")}, profile)
    assert (read_deletion(DELETED, SESSION, profile), read_deletion(NONE, SESSION, profile)) == (True, False)
    for text in ("Recordings removed", "No such recording"):
        with pytest.raises(KoreUnreadableAnswerError, match="recordings_deleted_texts nor no_recordings_texts"):
            read_deletion({"message": text}, SESSION)


# --- the call -------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.sampled_from([NoAnswer(True, "ReadError"), NoAnswer(False, "ConnectError"), http(503), http(200, b"{")]),
        max_size=ATTEMPTS - 1,
    ),
    st.sampled_from([(http(200, DELETED), True), (http(200, NONE), False), (error(404, "No recordings found"), False)]),
)
def test_it_is_repeated_also_where_kore_may_have_received_it(faults, last):
    answer, expected = last
    played = run([*faults, answer])
    assert played.result is expected
    assert len(played.requests) == len(faults) + 1
    assert len(set(played.requests)) == 1


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (NoAnswer(True, "ReadError"), KoreUnavailableError),
        (http(500), KoreUnavailableError),
        (http(204), KoreUnavailableError),
        (http(200, b"<html>"), KoreUnavailableError),
        (http(200, {"message": "done"}), KoreUnreadableAnswerError),
        (error(404, "Not Found"), KoreRequestError),
    ],
)
def test_without_a_usable_answer_it_is_not_known_to_be_done(answer, error_type):
    with pytest.raises(error_type) as caught:
        run(lambda request: answer)
    assert caught.value.consequence is Consequence.RECORDINGS_LEFT


def test_it_counts_in_the_budget_and_gives_up_in_time():
    clock = Clock()
    rate = pacing(clock, per_minute=1)
    assert play(delete_recordings(SESSION, rate), [http(200, DELETED)], clock).result is True
    with pytest.raises(KoreThrottledError) as caught:
        play(delete_recordings(SESSION, rate, clock.now + 30), [], clock)
    assert caught.value.consequence is Consequence.RECORDINGS_LEFT


# --- the URL --------------------------------------------------------------------------------------------------------


@given(
    st.text(min_size=1, max_size=20).filter(is_session_id),
    st.text(string.printable, min_size=1, max_size=9),
    st.sampled_from([RECORDINGS_PATH, "/api/1.1/public/bot/{bot_id}/recordings"]),
)
def test_bot_and_session_arrive_as_they_are_whatever_is_in_them(session_id, bot_id, path):
    request = RecordedSession(bot_id, session_id).deletion(path)
    parts = urlsplit(request.path)
    assert (request.method, request.body) == ("DELETE", None)
    assert parse_qs(parts.query, strict_parsing=True) == {"sessionId": [session_id]}
    assert parts.path.count("/") == path.count("/")
    assert parts.fragment == ""


def test_a_session_shows_nothing_of_itself():
    assert SESSION.session_id not in repr(SESSION)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("6627b9adb9af28711b78", True),
        ("é", True),
        ("x" * 256, True),
        ("x" * 257, False),
        ("", False),
        (" ", False),
        ("a\nb", False),
        ("a\u200bb", False),
        ("\ud800", False),
        (7, False),
        (None, False),
        (["a"], False),
        (math.nan, False),
    ],
)
def test_what_can_be_sent_as_a_session_id(value, expected):
    assert is_session_id(value) is expected


def test_the_bots_are_listed_and_within_what_the_connection_allows():
    assert check_recorded_bots(["st-1", "st-2", "st-1"], ("st-1", "st-2")).bot_ids == ("st-1", "st-2")
    for bot_ids in (None, [], "st-1", [" "], [7], ["st-3"]):
        with pytest.raises(KoreError) as caught:
            check_recorded_bots(bot_ids, ("st-1", "st-2"))
        assert type(caught.value) is KoreInputError
