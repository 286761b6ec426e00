"""What a profile may say of Kore.ai, and that none of it proves what Kore.ai did not say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kores_answers import (
    BAD,
    GOOD,
    OPEN,
    REQUEST_ID,
    answer,
    counts,
    entry,
    most_that_count_can_prove,
    most_that_names_can_prove,
    some_json,
    strange_entries,
    user_lists,
)

from airflow_provider_kore.api.account import read_account
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.matching import count_outcome, match_outcome
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile, explain_unknown_words
from airflow_provider_kore.api.profile_words import (
    CODE_WORD,
    DELETED_TEXTS,
    NO_RECORDINGS_TEXTS,
    RECORDINGS_PATH,
    is_code_word,
    letters_of,
    may_mean_erased,
)
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.status import read_outcome, read_status
from airflow_provider_kore.api.users import CHANNEL_KEYS, ChannelUserId
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreInputError

WORDS_OF_TEXTS = ["call", "recordings", "record", "no", "not", "found", "exist", "was", "deleted", "removed", "success"]
SECRET = "Xq7ZwK9-secret"


def read(profile):
    extra = {"api_profile": profile}
    return read_account(host="https://kore.example", login="cs-1", password=SECRET, extra=extra).api_profile


def refused(profile):
    with pytest.raises(KoreConfigurationError) as caught:
        read(profile)
    assert caught.value.consequence is Consequence.NOT_SENT
    assert SECRET not in f"{caught.value}{caught.value!r}"
    return str(caught.value)


# --- what a profile may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [None, "", {}, "{}", " {} ", DEFAULT_PROFILE])
def test_without_a_profile_the_guesses_count(profile):
    assert read(profile) == ApiProfile()


def test_a_profile_is_an_object_or_its_text():
    fields = {"erased_words": ["Deleted", "Deleted"], "largest_batch": 50, "unknown_request_statuses": [422]}
    profile = read(fields)
    assert read(json.dumps(fields)) == profile
    assert hash(read(json.dumps(fields))) == hash(profile)
    assert (profile.erased_words, profile.largest_batch) == (("Deleted",), 50)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("[]", "must be a JSON object"),
        (SECRET, "must be a JSON object"),
        ("{", "must be a JSON object"),
        ("[" * 100_000, "must be a JSON object"),
        ('{"largest_batch": 1, "largest_batch": 2}', "must be a JSON object"),
        ([], "must be a JSON object"),
        (7, "must be a JSON object"),
        ({"erased_word": ["deleted"]}, "not known: erased_word; the known ones are erased_words, open_words"),
        ({"erased_words": "deleted"}, "erased_words should be a valid list"),
        ({"erased_words": [SECRET]}, "erased_words must be a word of letters"),
        *(
            ({"erased_words": [word]}, "erased_words")
            for word in ("", " ", "1", "a b", "deleted\n", "gelöscht", 1, None)
        ),
        *(
            ({"open_words": [word]}, "open_words must be a word")
            for word in ("", "in progress", "x" * 41, "a--b", "-a")
        ),
        ({"open_words": ["success"]}, "documented"),
        ({"not_erased_words": ["Suc-cess"]}, "documented"),
        ({"not_erased_words": ["in-progress"]}, "documented"),
        ({"open_words": ["gone"], "not_erased_words": ["GONE"]}, "in both open_words and not_erased_words"),
        ({"erased_words": ["all-gone"], "open_words": ["all_gone"]}, "in both erased_words and open_words"),
        ({"channel_id_key": "channel_user_id", "channel_user_id_key": "channel_id"}, "names a user"),
        ({"channel_id_key": "channelUId"}, "names a user"),
        ({"channel_user_id_key": "channelType"}, "names a channel"),
        ({"channel_user_id_key": "channel_id"}, "differ"),
        ({"channel_id_key": "a b"}, "channel_id_key"),
        *(({"largest_batch": value}, "largest_batch") for value in (0, -1, True, "5", 1.5)),
        *(
            ({"unknown_request_statuses": [value]}, "statuses")
            for value in (200, 302, 401, 403, 407, 408, 429, 600, True)
        ),
        ({"unknown_request_statuses": []}, "statuses"),
        ({"unknown_request_statuses": [404, 500]}, "needs unknown_request_text"),
        ({"unknown_request_statuses": [503]}, "needs unknown_request_text"),
        ({"unknown_request_text": "id"}, "5 letters"),
        ({"unknown_request_grace": -1}, "grace"),
        ({"throttle_texts": ["call"]}, "5 letters"),
        ({"throttle_texts": ["     "]}, "5 letters"),
        *(({"minute_throttle_pause": value}, "pause") for value in (0, 3601, float("nan"), float("inf"), True, "60")),
        ({"hour_throttle_pause": 0.5}, "pause"),
        ({"members_page": 0}, "members_page"),
        *(
            ({"recordings_path": path}, "recordings_path must be a path")
            for path in (
                *("", "/api/recordings", "/recordings/{bot_id}/{bot_id}", "/{botId}/recordings", "/{bot_id}"),
                *("recordings/{bot_id}", "https://elsewhere/{bot_id}/recordings", "//elsewhere/{bot_id}/recordings"),
                *(
                    "/{bot_id}/recordings?sessionId=",
                    "/{bot_id}/recordings#x",
                    "/{bot_id}/recordings/",
                    "/a b/{bot_id}",
                ),
                *("/recordings{bot_id}", "/{bot_id}/../recordings", "/{bot_id}/recordings\n", "/{BOT_ID}/recordings"),
            )
        ),
        ({"recordings_path": 7}, "recordings_path"),
        ({"recordings_deleted_texts": "recordings deleted"}, "recordings_deleted_texts should be a valid list"),
        ({"recordings_deleted_texts": ["recordings deleted"], "no_recordings_texts": ["recordings deleted"]}, "no_rec"),
        ({"recordings_deleted_texts": ["no recordings"], "no_recordings_texts": ["no recordings"]}, "deleted_texts"),
        ({"no_recordings_texts": ["Call recordings deleted successfully"]}, "say that there are no recordings"),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_key(profile, words):
    assert words in refused(profile)


DANGEROUS = [
    *("failed", "FAILURE", "error", "in-progress", "In_Progress", "pending", "queued", "running", "processing"),
    *("not-erased", "NotDeleted", "undeleted", "un-deleted", "unsuccessful", "incomplete", "partially-deleted"),
    *("completed-with-errors", "deleting", "to-be-deleted", "marked-for-deletion", "soft-deleted", "deletable"),
    *("accepted", "submitted", "scheduled", "skipped", "ignored", "refused", "cancelled", "timeout", "unknown", "none"),
    *("null", "false", "no", "owner", "not_found", "NoSuchUser", "nodata", "retry", "partial-success"),
    *("declined", "on-hold", "LegalHold", "withheld", "halted", "stuck", "throttled", "flagged", "killed", "sent"),
    *("terminated", "approved", "validated", "verified", "acknowledged", "registered", "dispatched", "found", "empty"),
    *("masked", "corrupted", "withdrawn", "void", "quarantined", "preserved", "excluded", "exempt", "moved", "stored"),
]


@pytest.mark.parametrize("word", DANGEROUS)
def test_a_word_that_says_anything_else_than_an_end_is_never_erased(word):
    assert "erased_words" in refused({"erased_words": [word]})


@pytest.mark.parametrize(
    "word",
    [
        *("deleted", "DELETED", "erased", "removed", "done", "ok", "purged", "pruned", "anonymized", "forgotten"),
        *("DataDeleted", "user-deleted", "processed", "finished", "closed", "success", "succeeded", "complete"),
    ],
)
def test_a_word_for_an_end_can_be_named(word):
    assert read_outcome(word.swapcase(), read({"erased_words": [word]})) is Outcome.ERASED


def test_a_word_that_is_guessed_can_be_named_too():
    profile = read({"not_erased_words": ["failed"], "erased_words": ["completed"]})
    assert profile.outcome_of("FAILED") is Outcome.NOT_ERASED
    assert profile.outcome_of("error") is Outcome.NOT_ERASED
    assert profile.outcome_of("pending") is Outcome.OPEN
    assert profile.outcome_of("completed") is Outcome.ERASED


def test_a_status_below_500_needs_no_text_beside_it():
    assert read({"unknown_request_statuses": [404, 499, 404]}).unknown_request_statuses == (404, 499)


def test_a_phrase_has_at_least_five_letters():
    profile = read({"throttle_texts": [" go-slow "], "unknown_request_text": "which"})
    assert (profile.throttle_texts, profile.unknown_request_text) == (("go-slow",), "which")
    assert read({"throttle_texts": ["a b-c d 1 e"], "unknown_request_text": " "}).unknown_request_text == ""


@pytest.mark.parametrize("path", [RECORDINGS_PATH, "/api/1.1/public/bot/{bot_id}/recordings", "/{bot_id}/Recordings"])
def test_a_path_for_recordings_can_be_named(path):
    assert read({"recordings_path": path}).recordings_path == path


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "recordings", "call recordings", "x", "7 recordings deleted", "Recordings deleted: 0", "gelöscht"),
        *("Recordings not deleted", "Recordings couldn't be deleted", "Recordings cannot be deleted", "Failed"),
        *("Recordings will be deleted", "Recordings to be deleted", "Recordings marked as deleted", "soft deleted"),
        *("Recordings partially deleted", "Some recordings deleted", "Deletion accepted", "Deletion of recordings"),
        *("Recordings queued, deleted soon", "Deletion scheduled successfully", "Deleting recordings", "undeleted"),
        *("No recordings deleted", "No recordings found", "Nothing deleted", "Unsuccessful", "Recordings retrieved"),
        *("Only the transcript was deleted", "Recordings deleted if they exist", "Zero recordings deleted", 7, None),
    ],
)
def test_a_text_that_says_anything_else_than_a_deletion_is_none(text):
    assert "recordings_deleted_texts" in refused({"recordings_deleted_texts": [text]})


@pytest.mark.parametrize(
    "text",
    [
        *sorted(DELETED_TEXTS),
        *("Recordings deleted", "The recordings of the session were deleted.", "Recording removed successfully"),
        *("Deletion successful", "Delete completed", "Success", "ok", "done", "The recording has been purged"),
    ],
)
def test_a_text_that_says_that_recordings_were_deleted_can_be_named(text):
    assert read({"recordings_deleted_texts": [text]}).means_recordings_deleted(f" {text.upper()}") is True


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "x", "Not found", "Session not found", "Bot not found", "No session with recordings", "Forbidden"),
        *("Recordings deleted", "No recordings deleted", "No recordings were deleted", "No recordings removed"),
        *("No recordings could be deleted", "Recordings not deleted", "No access to recordings", "recordings"),
        *("No recordings found yet", "No recordings found, try again later", "Recordings not found due to an error"),
        *("No permission for recordings", "You may not see recordings", "Recordings not ready", "No recordings: 0"),
        *("Recording is in progress, no recordings available", "No recordings found for the requested bot", 7, None),
    ],
)
def test_a_text_that_says_anything_else_than_an_absence_is_none(text):
    assert "no_recordings_texts" in refused({"no_recordings_texts": [text]})


@pytest.mark.parametrize(
    "text",
    [
        *sorted(NO_RECORDINGS_TEXTS),
        *("No recordings", "There are no call recordings for this session.", "Recordings do not exist"),
        *("The recording does not exist", "No such recording", "No recordings available", "No records found"),
        *("No recordings to delete", "Recording was not found in the session", "No voice call recording found"),
    ],
)
def test_a_text_that_says_that_there_are_no_recordings_can_be_named(text):
    profile = read({"no_recordings_texts": [text]})
    assert profile.means_recordings_deleted(f"{text.removesuffix('.').title()}.") is False


@given(st.lists(st.sampled_from(WORDS_OF_TEXTS), min_size=1, max_size=5).map(" ".join))
def test_no_text_can_say_both_that_recordings_were_deleted_and_that_there_are_none(text):
    def taken(name):
        try:
            return bool(read({name: [text]}))
        except KoreConfigurationError:
            return False

    assert not (taken("recordings_deleted_texts") and taken("no_recordings_texts"))


@pytest.mark.parametrize(
    ("profile", "status", "outcome"),
    [
        ({}, "deleted", Outcome.NOT_ERASED),
        ({"erased_words": ["data_deleted"]}, "data-deleted", Outcome.NOT_ERASED),
        ({"erased_words": ["deleted"]}, "deleted ", Outcome.NOT_ERASED),
        ({"erased_words": ["kinked"]}, "\u212ainked", Outcome.NOT_ERASED),
        ({"open_words": ["still-here"]}, "Still here", Outcome.OPEN),
        ({"open_words": ["completed"]}, "COMPLETED", Outcome.OPEN),
        ({"not_erased_words": ["completed"]}, "completed", Outcome.NOT_ERASED),
        ({"not_erased_words": ["pending"]}, "pending", Outcome.NOT_ERASED),
        ({"open_words": ["failed"]}, "failed", Outcome.OPEN),
        ({"open_words": ["pending", "failed"]}, "pending", Outcome.OPEN),
    ],
)
def test_the_words_of_a_profile_are_read_without_case_and_no_looser(profile, status, outcome):
    assert read_outcome(status, read(profile)) is outcome


# --- no profile proves what Kore.ai did not say -----------------------------------------------------------------------

POOL = [
    "deleted",
    "Done",
    "data_deleted",
    "purged",
    "working",
    "Owner",
    "partial",
    "completed",
    "pending",
    "failed",
    "x",
]


@st.composite
def profiles(draw):
    """A profile of words, each in one list or in none."""
    lists = {"erased_words": [], "open_words": [], "not_erased_words": []}
    for word in draw(st.lists(st.sampled_from(POOL), unique=True)):
        name = draw(st.sampled_from(list(lists)))
        if name != "erased_words" or may_mean_erased(word):
            lists[name].append(draw(st.sampled_from([word, word.upper(), word.swapcase()])))
    return ApiProfile(**lists)


def good_by(profile):
    """Tell which statuses are documented or configured as erased; written from the contract and not from the code."""
    moved = {word.lower() for word in (*profile.open_words, *profile.not_erased_words)}
    words = ({"success", "completed"} - moved) | {word.lower() for word in profile.erased_words}

    def good(status):
        return isinstance(status, str) and status.isascii() and status.lower() in words

    return good


some_statuses = st.one_of(
    st.sampled_from([*GOOD, *OPEN, *BAD]),
    st.sampled_from([*POOL, *map(str.upper, POOL)]),
    st.sampled_from(POOL).map("{} ".format),
    st.sampled_from(POOL).map(" {}".format),
    some_json,
)


@st.composite
def profiles_and_answers(draw):
    users = draw(user_lists)
    entries = [entry(user, draw(some_statuses)) for user in users if draw(st.integers(0, 9)) < 9]
    entries += draw(st.lists(strange_entries, max_size=2)) if draw(st.booleans()) else []
    return draw(profiles()), users, answer(*draw(st.permutations(entries)))


@given(profiles_and_answers())
def test_whatever_the_profile_a_user_is_erased_only_by_an_entry_whose_word_means_erased(case):
    profile, users, document = case
    status, good = read_status(document, REQUEST_ID, profile), good_by(profile)
    matched, counted = match_outcome(status, users).outcome, count_outcome(status, len(users))
    assert sum(counts(matched)) == sum(counts(counted)) == len(users)
    assert matched.erased <= most_that_names_can_prove(document, users, good)
    assert counted.erased <= most_that_count_can_prove(document, len(users), good)


@given(
    st.dictionaries(
        st.sampled_from(["erased_words", "open_words", "not_erased_words"]),
        st.lists(st.sampled_from([*POOL, *DANGEROUS, "success"]) | st.text(max_size=8) | some_json, max_size=3),
    ),
    st.sampled_from([*POOL, *DANGEROUS, *GOOD, *OPEN, *BAD]) | some_json,
)
def test_whatever_is_configured_is_refused_or_makes_erased_only_of_the_words_that_it_names(fields, status):
    try:
        profile = read(fields)
    except KoreConfigurationError:
        return
    outcome = read_outcome(status, profile)
    assert (outcome is Outcome.ERASED) == good_by(profile)(status)
    assert outcome is not Outcome.ERASED or status not in DANGEROUS


# --- the words of Kore.ai that are not known --------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["closed", "handled", "ToBeDeleted", "InDeletion", "NonErased", "x", *DANGEROUS])
def test_a_word_that_does_not_sound_like_an_end_is_never_offered_for_erased(word):
    explanation = explain_unknown_words([word])
    extra, _ = json.JSONDecoder().raw_decode(explanation[explanation.index("{") :])
    assert extra == {"api_profile": {"open_words": [word.lower()]}}


def test_an_unknown_word_is_explained_with_the_very_extra_to_set():
    document = answer(*(entry(f"u-{n:04}", word) for n, word in enumerate(["Deleted", "DELETED", "Gone", "SUCCESS"])))
    status = read_status(document, REQUEST_ID)
    (_, explanation) = count_outcome(status, 4, ["anna", "bert", "u-1", "u-2"]).remarks
    extra, end = json.JSONDecoder().raw_decode(explanation[explanation.index("{") :])
    assert end
    profile = read(extra["api_profile"])
    assert count_outcome(read_status(document, REQUEST_ID, profile), 4).erased == 4


def test_a_word_that_cannot_mean_erased_is_not_offered_as_such():
    explanation = explain_unknown_words(["Partial", "gone"])
    assert '{"api_profile": {"erased_words": ["gone"], "open_words": ["partial"]}}' in explanation


@given(st.sets(st.from_regex(CODE_WORD, fullmatch=True).filter(is_code_word), min_size=1, max_size=5))
def test_what_an_explanation_says_to_set_can_be_set_or_is_known_already(words):
    unknown = {word for word in words if DEFAULT_PROFILE.outcome_of(word) is None}
    by_letters = {letters_of(word): word for word in unknown}
    if len(by_letters) == len(unknown) > 0:
        explanation = explain_unknown_words(unknown)
        extra, _ = json.JSONDecoder().raw_decode(explanation[explanation.index("{") :])
        profile = read(extra["api_profile"])
        assert all(profile.outcome_of(word) is not None for word in unknown)


@pytest.mark.parametrize("word", ["FAILED", "Failure", "ERROR"])
def test_a_known_failure_is_not_explained(word):
    assert len(count_outcome(read_status(answer(entry("u-0001", word)), REQUEST_ID), 1).remarks) == 1


def test_a_word_that_the_profile_knows_is_not_explained():
    profile = read({"not_erased_words": ["owner-of-bot"]})
    status = read_status(answer(entry("u-0001", "OWNER_OF_BOT")), REQUEST_ID, profile)
    assert status.explain_unknown_words() is None
    assert count_outcome(status, 1).not_erased == 1


@pytest.mark.parametrize(
    "entries",
    [
        [("annaschmidt", "annaschmidt")],
        [("anna.schmidt@example.com", "schmidt")],
        [("anna", "annaschmidt")],
        [("u-0001", "annaschmidt"), ("annaschmidt", "FAILED")],
        [("u-0001", "schmidt"), ("anna.schmidt@example.com", "SUCCESS")],
        [("u-0001", "anna schmidt")],
        [("u-0001", "schmidt7")],
        [(f"u-{number:04}", f"schmidt-{'abcdef'[number]}") for number in range(6)],
        [(ChannelUserId("rtm", "annaschmidt"), "schmidt")],
    ],
)
def test_what_can_name_a_user_is_not_explained(entries):
    status = read_status(answer(*(entry(user, word) for user, word in entries)), REQUEST_ID)
    for users in (None, ["u-0001"]):
        assert "schmidt" not in f"{status.explain_unknown_words(users)}{status.wordings(users)}{status!r}"


@given(st.text(max_size=60))
def test_only_letters_hyphens_and_underscores_are_shown(text):
    if is_code_word(text):
        assert len(text) <= 40
        assert text.isascii()
        assert text.replace("-", "").replace("_", "").isalpha()


# --- how users are written --------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [("channel_id", "channel_user_id"), ("channelId", "channelUserId"), ("channelType", "channelUId")]
)
ONE_BOT = ErasureScope(("st-1",), all_bots=False)


def test_the_profile_writes_by_default_what_the_rest_of_the_provider_reads():
    assert DEFAULT_PROFILE.channel_keys == CHANNEL_KEYS


@given(KEYS, st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_a_channel_pair_is_written_and_read_by_the_keys_of_the_profile(keys, channel, name):
    profile = read({"channel_id_key": keys[0], "channel_user_id_key": keys[1]})
    user = ChannelUserId(channel, name)
    (written,) = json.loads(ErasureRequest((user,), ONE_BOT).body(profile))["userIds"]
    assert written == {keys[0]: channel, keys[1]: name}
    status = read_status(answer({"userId": written, "status": "SUCCESS"}), REQUEST_ID, profile)
    assert match_outcome(status, [user]).outcome.erased == 1


def test_a_channel_pair_under_other_keys_is_nobody():
    profile = read({"channel_id_key": "channelId", "channel_user_id_key": "channelUserId"})
    status = read_status(answer(entry(ChannelUserId("rtm", "4711"))), REQUEST_ID, profile)
    assert match_outcome(status, [ChannelUserId("rtm", "4711")]).outcome.erased == 0


def test_more_users_than_kore_takes_are_never_written_into_one_request():
    profile = read({"largest_batch": 2})
    for users in (("u-1",), ("u-1", "u-2")):
        assert json.loads(ErasureRequest(users, ONE_BOT).body(profile))["userIds"] == list(users)
    with pytest.raises(KoreInputError, match="largest_batch"):
        ErasureRequest(("u-1", "u-2", "u-3"), ONE_BOT).body(profile)
