"""Reading Kore.ai's answers: nobody is called erased without an understood answer that says so."""

import json
import re
from collections import defaultdict

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_kore.api.decoding import NotJsonError, decode_json
from airflow_provider_kore.api.erase_request import check_request_id, read_request_id
from airflow_provider_kore.api.matching import count_outcome, match_outcome
from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.api.status import read_outcome, read_status, show_wording, status_path
from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import Consequence, KoreInputError, KoreUnreadableAnswerError

REQUEST_ID = "eud-1"


def answer(*entries, **more):
    return {"_id": REQUEST_ID, "response": list(entries), **more}


def entry(user_id, status="SUCCESS"):
    if isinstance(user_id, ChannelUserId):
        user_id = {"channel_id": user_id.channel_id, "channel_user_id": user_id.channel_user_id}
    return {"userId": user_id, "status": status}


def counts(outcome):
    return (outcome.erased, outcome.open, outcome.not_erased)


def matched(document, users):
    return match_outcome(read_status(document, REQUEST_ID), users)


def counted(document, user_count):
    return count_outcome(read_status(document, REQUEST_ID), user_count)


# --- An oracle, written from the contract and not from the code ------------------------------------------------


GOOD_WORD = re.compile("[Ss][Uu][Cc][Cc][Ee][Ss][Ss]|[Cc][Oo][Mm][Pp][Ll][Ee][Tt][Ee][Dd]")


def good(status):
    return isinstance(status, str) and GOOD_WORD.fullmatch(status) is not None


def name_of(value):
    """The user whom an entry names, in a form of its own: one for all spellings of an address; None for nobody."""
    if isinstance(value, str) and value.strip():
        return ("id", value.lower() if "@" in value else value)
    if isinstance(value, dict) and set(value) == {"channel_id", "channel_user_id"}:
        parts = (value["channel_id"], value["channel_user_id"])
        if all(isinstance(part, str) and part.strip() for part in parts):
            return ("channel", *parts)
    return None


def name_of_user(user):
    return name_of(user) if isinstance(user, str) else ("channel", user.channel_id, user.channel_user_id)


def named(document):
    """All statuses that the answer gives under each name, and how many entries name nobody."""
    statuses, nameless = defaultdict(list), 0
    for item in document.get("response") or []:
        name = name_of(item.get("userId")) if isinstance(item, dict) else None
        if name is None:
            nameless += 1
        else:
            statuses[name].append(item.get("status"))
    return statuses, nameless


def most_that_count_can_prove(document, user_count):
    statuses, nameless = named(document)
    if user_count is not None and len(statuses) + nameless > user_count:
        return 0
    return sum(all(map(good, group)) for group in statuses.values())


def most_that_names_can_prove(document, users):
    statuses, nameless = named(document)
    names = [name_of_user(user) for user in users]
    proven = sum(bool(statuses.get(name)) and all(map(good, statuses[name])) for name in names)
    strangers = set(statuses) - set(names)
    resolvable = [name for name in names if name not in statuses and not (name[0] == "id" and name[1].startswith("u-"))]
    if len(strangers) + nameless > len(resolvable):
        return proven
    return proven + sum(all(map(good, statuses[name])) for name in strangers)


# --- Answers that Kore.ai might give ----------------------------------------------------------------------------

CHANNEL_USER = ChannelUserId("rtm", "4711")
USERS = [
    "u-0001",
    "u-0002",
    "anna@example.com",
    "Anna@Example.com",
    "bert@example.com",
    "u-carl@example.com",
    "straße@example.com",
    "+49 151 2345",
    CHANNEL_USER,
]
GOOD = ["SUCCESS", "success", "Success", "completed", "COMPLETED"]
OPEN = ["in-progress", "IN_PROGRESS", "pending", "Queued", "processing", "running", None, ""]
BAD = [
    "FAILED",
    "failure",
    "ſuccess",
    "SUCCEſS",
    "ＳＵＣＣＥＳＳ",
    "success\u200b",
    "SUCCESS ",
    "unsuccessful",
    "not completed",
    "succes",
    "partial success",
    True,
    1,
    200,
    0,
    False,
    [],
    ["SUCCESS"],
    {"status": "SUCCESS"},
]

# Users are folded before they are submitted, so that no two of them are the same address.
user_lists = st.lists(st.sampled_from(USERS), min_size=1, max_size=6, unique_by=name_of_user)
statuses = st.sampled_from(GOOD * 8 + OPEN * 2 + BAD)
strange_ids = st.sampled_from(
    [
        "u-9001",
        "u-9002",
        "U-0001",
        "ANNA@example.com",
        "BERT@example.com",
        "bert@EXAMPLE.com",
        "STRASSE@example.com",
        " u-0001",
        "zoe@example.com",
        {"channel_id": "rtm", "channel_user_id": "4711"},
        {"channel_id": "rtm", "channel_user_id": "0"},
        {"channel_id": "rtm"},
        {"channel_id": "rtm", "channel_user_id": 4711},
        "",
        " ",
        None,
        7,
        ["u-0001"],
    ]
)
some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
strange_entries = st.one_of(
    st.builds(entry, strange_ids, statuses),
    st.builds(entry, st.sampled_from(USERS), statuses),
    st.builds(lambda user: {"userId": user}, st.sampled_from(USERS[:6])),
    st.builds(lambda user: {"userID": user, "status": "SUCCESS"}, st.sampled_from(USERS[:6])),
    st.builds(lambda user: [entry(user)], st.sampled_from(USERS)),
    st.just({"status": "SUCCESS"}),
    st.dictionaries(st.sampled_from(["userId", "status", "x"]), some_json, max_size=3),
    some_json,
)


@st.composite
def users_and_answers(draw):
    """A right answer for some users, and then what can go wrong with it."""
    users = draw(user_lists)
    entries = [entry(user, draw(statuses)) for user in users if draw(st.integers(0, 9)) < 8]
    entries += draw(st.lists(strange_entries, max_size=3)) if draw(st.booleans()) else []
    return users, answer(*draw(st.permutations(entries)))


@given(users_and_answers())
@settings(max_examples=600)
@example((["anna@example.com", "bert@example.com"], answer(entry("Anna@example.com"), entry("ANNA@example.com"))))
@example((["anna@example.com", "bert@example.com"], answer(entry("anna@example.com"), entry("ANNA@example.com"))))
@example((["anna@example.com"], answer(entry("anna@example.com"), entry("ANNA@example.com", "FAILED"))))
def test_by_name_nobody_is_erased_beyond_what_the_answer_proves(case):
    users, document = case
    result = matched(document, users)
    assert 0 <= result.outcome.erased <= most_that_names_can_prove(document, users)
    assert result.outcome.open >= 0
    assert result.outcome.not_erased >= 0
    assert result.outcome.user_count == len(users)


@given(users_and_answers(), st.integers(1, 6))
@settings(max_examples=300)
def test_by_count_nobody_is_erased_beyond_what_the_answer_proves(case, user_count):
    _, document = case
    outcome = counted(document, user_count)
    assert outcome.erased == most_that_count_can_prove(document, user_count)
    assert min(counts(outcome)) >= 0
    assert outcome.user_count == user_count


@st.composite
def users_and_answers_about_them(draw):
    """An answer that names the submitted users alone, each any number of times and in any spelling, and nobody."""
    users = draw(user_lists)
    spelling = st.sampled_from([str, str.upper, str.title, str.lower])

    def spelled(user):
        if not isinstance(user, str) or "@" not in user:
            return user
        spelled = draw(spelling)(user)
        return spelled if spelled.lower() == user.lower() else user  # "straße" in capitals can be another user

    named_users = draw(st.lists(st.sampled_from(users), max_size=9))
    entries = [entry(spelled(user), draw(statuses)) for user in named_users]
    entries += draw(st.lists(st.sampled_from([{"status": "SUCCESS"}, {"userId": " ", "status": "FAILED"}]), max_size=1))
    return users, answer(*draw(st.permutations(entries)))


@given(users_and_answers_about_them())
@settings(max_examples=600)
@example((["ann@x.org", "bob@x.org"], answer(entry("ann@x.org"), entry("ANN@x.org"))))
def test_counting_says_no_more_erased_than_naming(case):
    users, document = case
    assert counted(document, len(users)).erased <= matched(document, users).outcome.erased
    assert counted(document, None).erased <= matched(document, users).outcome.erased


@given(users_and_answers())
def test_without_a_user_count_only_entries_are_believed(case):
    _, document = case
    outcome = counted(document, None)
    assert outcome.erased == most_that_count_can_prove(document, None)
    assert min(counts(outcome)) >= 0
    assert outcome.user_count >= 1
    assert "completeness could not be checked" in outcome.remarks[0]


@given(users_and_answers(), st.sampled_from(BAD + OPEN), st.data())
@settings(max_examples=300)
def test_one_more_entry_that_is_not_good_never_makes_more_people_erased(case, status, data):
    users, document = case
    ids = [item["userId"] for item in document["response"] if isinstance(item, dict) and "userId" in item]
    user_id = data.draw(st.sampled_from([*ids, *users]) | strange_ids)
    more = answer(*document["response"], entry(user_id, status))
    assert matched(more, users).outcome.erased <= matched(document, users).outcome.erased
    assert counted(more, len(users)).erased <= counted(document, len(users)).erased
    assert counted(more, None).erased <= counted(document, None).erased


@given(users_and_answers())
@settings(max_examples=300)
def test_whom_to_repeat_holds_everybody_who_is_named_not_erased(case):
    users, document = case
    result = matched(document, users)
    named_bad = {
        position
        for position, user in enumerate(users)
        for item in document["response"]
        if isinstance(item, dict)
        and name_of(item.get("userId")) == name_of_user(user)
        and not good(item.get("status"))
        and item.get("status") not in OPEN
    }
    assert named_bad <= set(result.not_erased_positions) <= set(range(len(users)))
    if result.alarm:
        assert result.to_repeat == ()
        return
    assert named_bad <= set(result.to_repeat) <= set(range(len(users)))
    assert list(result.to_repeat) == sorted(set(result.to_repeat))
    assert len(result.to_repeat) >= result.outcome.not_erased


@given(users_and_answers())
def test_the_users_whose_own_entry_is_good_are_not_repeated(case):
    users, document = case
    given, _ = named(document)
    own = {
        position
        for position, user in enumerate(users)
        if given[name_of_user(user)] and all(map(good, given[name_of_user(user)]))
    }
    assert not own & set(matched(document, users).to_repeat)


@given(users_and_answers())
def test_neither_remarks_nor_reprs_name_a_person(case):
    users, document = case
    status = read_status(document, REQUEST_ID)
    result = match_outcome(status, users)
    shown = repr(status) + repr(result) + repr(count_outcome(status, len(users))) + repr(status.wordings())
    people = {part for name in [*map(name_of_user, users), *named(document)[0]] for part in name[1:]}
    assert not [person for person in people if len(person) > 3 and person in shown]


@given(st.binary(max_size=60) | some_json.map(lambda document: json.dumps(document).encode()))
def test_whatever_bytes_come_are_refused_or_leave_everybody_open_or_not_erased(content):
    try:
        document = decode_json(content)
        status = read_status(document, REQUEST_ID)
    except (NotJsonError, KoreUnreadableAnswerError):
        return
    assert count_outcome(status, 3).erased == 0
    assert match_outcome(status, USERS).outcome.erased == 0


@given(st.dictionaries(st.sampled_from(["_id", "response", "errors", "status"]), some_json))
def test_whatever_object_comes_is_refused_or_leaves_everybody_open_or_not_erased(document):
    try:
        status = read_status(document, REQUEST_ID)
    except KoreUnreadableAnswerError:
        return
    assert count_outcome(status, 3).erased == 0
    assert match_outcome(status, USERS).outcome.user_count == len(USERS)


# --- By table: what is understood ------------------------------------------------------------------------------


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
    ("document", "users", "expected"),
    [
        pytest.param(answer(entry("u-0001"), entry("u-0002")), ["u-0001", "u-0002"], (2, 0, 0), id="all"),
        pytest.param(answer(entry("u-0002"), entry("u-0001")), ["u-0001", "u-0002"], (2, 0, 0), id="other order"),
        pytest.param(answer(entry("u-0001")), ["u-0001", "u-0002"], (1, 1, 0), id="a missing entry is open"),
        pytest.param(answer(), ["u-0001"], (0, 1, 0), id="no entries are open"),
        pytest.param({"_id": REQUEST_ID}, ["u-0001"], (0, 1, 0), id="no response is open"),
        pytest.param({"response": None}, ["u-0001"], (0, 1, 0), id="a null response is open"),
        pytest.param(answer(entry("u-0002")), ["u-0001"], (0, 0, 1), id="a Kore id of somebody else"),
        pytest.param(answer(entry("u-9")), ["anna@example.com"], (1, 0, 0), id="a resolved id"),
        pytest.param(answer(entry("u-9")), [CHANNEL_USER], (1, 0, 0), id="a resolved id of a channel user"),
        pytest.param(answer(entry("u-9", "FAILED")), ["anna@example.com"], (0, 0, 1), id="a resolved id, failed"),
        pytest.param(answer(entry("u-9", "pending")), ["anna@example.com"], (0, 1, 0), id="a resolved id, open"),
        pytest.param(
            answer(entry("u-8"), entry("u-9")), ["anna@example.com"], (0, 0, 1), id="more resolved ids than users"
        ),
        pytest.param(
            answer(entry("u-0001"), entry("u-9")), ["u-0001", "u-0002"], (1, 0, 1), id="a stranger for a Kore id"
        ),
        pytest.param(answer(entry("ANNA@example.com")), ["anna@example.com"], (1, 0, 0), id="e-mail in other case"),
        pytest.param(answer(entry("U-0001")), ["u-0001"], (0, 0, 1), id="Kore id in other case"),
        pytest.param(
            answer(entry("anna@example.com"), entry("ANNA@example.com")),
            ["anna@example.com", "bert@example.com"],
            (1, 1, 0),
            id="one e-mail address in two cases is one person",
        ),
        pytest.param(
            answer(entry("anna@example.com"), entry("ANNA@example.com", "FAILED")),
            ["anna@example.com", "bert@example.com"],
            (0, 1, 1),
            id="one e-mail address in two cases, one of them failed",
        ),
        pytest.param(
            answer(entry("anna@example.com"), entry("Anna@Example.com")),
            ["Anna@Example.com", "anna@example.com"],
            (1, 1, 0),
            id="two addresses that differ by case only, which are folded before, are one user",
        ),
        pytest.param(answer(entry(CHANNEL_USER)), [CHANNEL_USER], (1, 0, 0), id="a channel user"),
        pytest.param(
            answer(entry("u-0001"), entry("u-0001", "FAILED")), ["u-0001"], (0, 0, 1), id="the worst of two entries"
        ),
        pytest.param(
            answer(entry("u-0001", "FAILED"), entry("u-0001")), ["u-0001"], (0, 0, 1), id="the worst comes first"
        ),
        pytest.param(answer(entry("u-0001"), entry("u-0001", "queued")), ["u-0001"], (0, 1, 0), id="open beats erased"),
        pytest.param(answer({"status": "SUCCESS"}), ["u-0001"], (0, 0, 1), id="an entry without a user id"),
        pytest.param(answer("u-0001"), ["u-0001"], (0, 0, 1), id="an entry that is a string"),
    ],
)
def test_what_an_answer_says_of_users_who_are_known(document, users, expected):
    assert counts(matched(document, users).outcome) == expected


@pytest.mark.parametrize(
    ("document", "user_count", "expected"),
    [
        pytest.param(answer(entry("a"), entry("b")), 2, (2, 0, 0), id="all"),
        pytest.param(answer(entry("a")), 2, (1, 1, 0), id="fewer"),
        pytest.param(answer(entry("a"), entry("b"), entry("c")), 2, (0, 0, 2), id="more"),
        pytest.param(answer(entry("a"), entry("b", "queued"), entry("c")), 2, (0, 1, 1), id="more, one open"),
        pytest.param(answer(entry("a"), entry("a")), 2, (1, 1, 0), id="one user twice"),
        pytest.param(answer(entry("ann@x.org"), entry("ANN@x.org")), 2, (1, 1, 0), id="one address in two spellings"),
        pytest.param(
            answer(entry("ann@x.org"), entry("ANN@x.org", "FAILED")), 2, (0, 1, 1), id="the worst of two spellings"
        ),
        pytest.param(
            answer(entry("ann@x.org"), entry("ANN@x.org"), entry("bob")),
            2,
            (2, 0, 0),
            id="two spellings are no surplus",
        ),
        pytest.param(
            answer(entry("ann@x.org"), entry("ANN@x.org")), None, (1, 0, 0), id="unknown number, two spellings"
        ),
        pytest.param(answer(), 2, (0, 2, 0), id="none"),
        pytest.param(answer(entry("a"), entry("b")), None, (2, 0, 0), id="unknown number, all good"),
        pytest.param(answer(entry("a"), entry("b", "queued")), None, (1, 1, 0), id="unknown number, one open"),
        pytest.param(answer(entry("a"), entry("b", "FAILED")), None, (1, 0, 1), id="unknown number, one failed"),
        pytest.param(answer(), None, (0, 1, 0), id="unknown number, no entries"),
    ],
)
def test_what_an_answer_says_of_a_number_of_users(document, user_count, expected):
    assert counts(counted(document, user_count)) == expected


def test_surplus_entries_raise_an_alarm():
    assert counted(answer(entry("a"), entry("b")), 1).remarks[0].startswith("ALARM: ")
    result = matched(answer(entry("u-0001"), entry("u-0002"), entry("u-0003")), ["u-0001"])
    assert [remark for remark in result.outcome.remarks if remark.startswith("ALARM: ")]
    assert result.alarm
    assert not matched(answer(entry("u-0001", "FAILED")), ["u-0001"]).alarm


def test_after_an_alarm_nobody_is_submitted_again_without_a_person_looking():
    result = matched(answer(entry("u-0001", "FAILED"), entry("u-0003")), ["u-0001", "u-0002"])
    assert result.not_erased_positions == (0,)
    assert result.to_repeat == ()


def test_resolved_ids_are_remarked():
    (remark,) = matched(answer(entry("u-9001")), ["anna@example.com"]).outcome.remarks
    assert "the counts decide" in remark
    assert "u-9001" not in remark


def test_users_behind_a_failed_resolved_id_are_all_suspects():
    users = ["anna@example.com", "u-0001", "bert@example.com", "carl@example.com"]
    document = answer(entry("u-0001"), entry("bert@example.com"), entry("u-9001", "FAILED"), entry("u-9002"))
    result = matched(document, users)
    assert counts(result.outcome) == (3, 0, 1)
    assert (result.not_erased_positions, result.suspect_positions) == ((), (0, 3))
    assert result.to_repeat == (0, 3)


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


@pytest.mark.parametrize("errors", [None, [], ""])
def test_an_empty_list_of_errors_is_no_error(errors):
    assert counted({"response": [entry("a")], "errors": errors}, 1).erased == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b'{"response": [',
        b'{"response": []} trailing',
        b'\xef\xbb\xbf{"response": []}',
        b'{"response": "\xff"}',
        '{"response": []}'.encode("utf-16"),
        b'{"response": [], "response": [{"userId": "a", "status": "SUCCESS"}]}',
        b'{"response": [{"userId": "a", "status": "FAILED", "status": "SUCCESS"}]}',
        b'{"d": ISODate("2019-09-26T08:42:53.552Z"), "a": 1, "a": 2}',
        b'{"d": ISODate(2019)}',
        b'{"d": ObjectId("2019")}',
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_bytes_that_two_readers_could_read_differently_are_refused(content):
    with pytest.raises(NotJsonError):
        decode_json(content)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2019-09-26T08:42:53.552Z", "2019-09-26T08:42:53.552Z"),
        ("2019-09-26T08:42:53+02:00", "2019-09-26T08:42:53+02:00"),
        ({"$date": "2019-09-26T08:42:53.552Z"}, "2019-09-26T08:42:53.552Z"),
        ({"$date": 1569487373552}, None),
        ("2019-09-26", None),
        ("2019-09-26T08:42:53.552Z of ann@example.com", None),
        (1569487373552, None),
        (None, None),
    ],
)
def test_kores_own_times_are_kept_verbatim_if_they_are_times(value, kept):
    status = read_status({"createdOn": value, "lastUpdatedOn": value}, "eud-1")
    assert (status.created_on, status.updated_on) == (kept, kept)


def test_the_date_of_old_samples_is_forgiven():
    content = b'{"createdOn": ISODate("2019-09-26T08:42:53.552Z"), "response": [{"userId": "a", "status": "SUCCESS"}]}'
    assert decode_json(content)["createdOn"] == "2019-09-26T08:42:53.552Z"
    assert counted(decode_json(content), 1).erased == 1


def test_a_date_within_a_string_stays_as_it_is():
    document = {"userId": 'ISODate("x")'}
    assert decode_json(json.dumps(document).encode()) == document


@given(some_json)
def test_every_json_document_without_doubled_keys_is_decoded(document):
    assert decode_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize("status", ["FAILED", "NOT_FOUND", "not-erased", "account_owner"])
def test_a_status_that_can_only_be_a_code_is_shown(status):
    assert show_wording(status, "u-0001") == status


@pytest.mark.parametrize(
    "status",
    ["anna@example.com", "u-123", "failed: 0151 2345", "A" * 41, "a b c d e f", "FAILED\n", "Größe", {"a": 1}, 5, None],
)
def test_a_status_that_could_name_a_person_is_not_shown(status):
    shown = show_wording(status, "u-0001")
    assert shown == f"a status that is not shown, of type {type(status).__name__}"


@pytest.mark.parametrize(
    ("user_id", "status"),
    [
        ("annaschmidt", "user annaschmidt not found"),
        ("annaschmidt", "ANNASCHMIDT"),
        ({"channel_id": "rtm", "channel_user_id": "annaschmidt"}, "no user annaschmidt"),
    ],
)
def test_a_status_that_repeats_the_id_of_its_user_is_not_shown(user_id, status):
    (remark,) = counted(answer(entry(user_id, status)), 1).remarks
    assert "annaschmidt" not in remark.lower()


def test_the_words_of_those_who_are_not_erased_are_counted():
    document = answer(entry("u-0001", "FAILED"), entry("u-0002", "FAILED"), entry("u-0003", "Owner"), entry("u-0004"))
    (remark,) = counted(document, 4).remarks
    assert "FAILED (2), Owner (1)" in remark


# --- Fingerprints, sums, ids of requests ------------------------------------------------------------------------


def test_the_fingerprint_of_an_answer_is_that_of_the_users_it_names():
    first = read_status(answer(entry("a"), entry(CHANNEL_USER)), REQUEST_ID)
    second = read_status(answer(entry(CHANNEL_USER, "FAILED"), entry("a"), entry("a")), REQUEST_ID)
    other = read_status(answer(entry("b"), entry(CHANNEL_USER)), REQUEST_ID)
    assert first.fingerprint(b"key") == second.fingerprint(b"key")
    assert len({first.fingerprint(b"key"), first.fingerprint(b"yek"), other.fingerprint(b"key")}) == 3


def test_an_answer_with_an_entry_that_was_not_understood_has_no_fingerprint():
    assert read_status(answer(entry("a"), {"status": "SUCCESS"}), REQUEST_ID).fingerprint(b"key") is None


outcomes = st.builds(
    ErasureOutcome,
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.lists(st.sampled_from("abc"), unique=True).map(tuple),
)


@given(outcomes, outcomes)
def test_outcomes_add_up_and_say_each_remark_once(one, other):
    total = one + other
    assert total.user_count == one.user_count + other.user_count
    assert counts(total) == tuple(a + b for a, b in zip(counts(one), counts(other), strict=True))
    assert sorted(total.remarks) == sorted({*one.remarks, *other.remarks})
    assert total.counts() == {"erased": total.erased, "open": total.open, "not_erased": total.not_erased}


BAD_REQUEST_IDS = [
    "",
    " ",
    "a b",
    "../x",
    "a/b",
    "a?b",
    "a#b",
    ".",
    "-a",
    "a\n",
    "a%2f",
    "é",
    "a" * 201,
    7,
    None,
    ["a"],
]


@pytest.mark.parametrize("request_id", BAD_REQUEST_IDS)
def test_a_request_id_that_could_lead_elsewhere_is_refused(request_id):
    with pytest.raises(KoreInputError):
        check_request_id(request_id)
    with pytest.raises(KoreInputError):
        status_path(request_id)
    assert read_request_id({"requestId": request_id}) is None


@pytest.mark.parametrize("document", [None, [], "eud-1", {}, {"requestid": "eud-1"}, {"_id": "eud-1"}])
def test_an_answer_without_a_request_id_has_none(document):
    assert read_request_id(document) is None


@pytest.mark.parametrize("request_id", ["eud-1", "5d8c7b", "a" * 200, "a.b_c~d:e-f"])
def test_a_plain_request_id_is_read_and_asked_for(request_id):
    assert read_request_id({"requestId": request_id, "status": "in-progress"}) == request_id
    assert check_request_id(request_id) == request_id
    assert status_path(request_id).startswith("/api/public/bot/eraseUsersData/status/")
    assert status_path("eud-1") == "/api/public/bot/eraseUsersData/status/eud-1"
