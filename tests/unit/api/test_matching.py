"""What an answer says of the submitted users: nobody is erased without an understood answer that says so."""

import json
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kores_answers import (
    BAD,
    CHANNEL_USER,
    OPEN,
    REQUEST_ID,
    USERS,
    answer,
    counts,
    entry,
    good,
    most_that_count_can_prove,
    most_that_names_can_prove,
    name_of,
    name_of_user,
    named,
    some_json,
    statuses,
    strange_ids,
    user_lists,
    users_and_answers,
)

from airflow_provider_kore.api.decoding import NotJsonError, decode_json
from airflow_provider_kore.api.matching import count_outcome, match_outcome
from airflow_provider_kore.api.status import read_status
from airflow_provider_kore.exceptions import KoreUnreadableAnswerError


def matched(document, users):
    return match_outcome(read_status(document, REQUEST_ID), users)


def counted(document, user_count):
    return count_outcome(read_status(document, REQUEST_ID), user_count)


@given(users_and_answers())
@settings(max_examples=200)
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
@settings(max_examples=200)
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
def test_one_more_entry_that_is_not_good_never_makes_more_people_erased(case, status, data):
    users, document = case
    ids = [item["userId"] for item in document["response"] if isinstance(item, dict) and "userId" in item]
    user_id = data.draw(st.sampled_from([*ids, *users]) | strange_ids)
    more = answer(*document["response"], entry(user_id, status))
    assert matched(more, users).outcome.erased <= matched(document, users).outcome.erased
    assert counted(more, len(users)).erased <= counted(document, len(users)).erased
    assert counted(more, None).erased <= counted(document, None).erased


def named_bad(document, users):
    return {
        position
        for position, user in enumerate(users)
        for item in document["response"]
        if isinstance(item, dict)
        and name_of(item.get("userId")) == name_of_user(user)
        and not good(item.get("status"))
        and item.get("status") not in OPEN
    }


def can_be_other_names(document, users):
    """Try each way in which the ids that were not submitted can be other names of users without an entry."""
    statuses, nameless = named(document)
    names = [name_of_user(user) for user in users]
    renamed = [name for name in names if name not in statuses and not (name[0] == "id" and name[1].startswith("u-"))]
    strangers = [*(name for name in statuses if name not in names), *[("", "")] * nameless]
    return any(
        not any("@" in stranger[1] and "@" in user[1] and stranger[0] == user[0] == "id" for stranger, user in pairs)
        for pairs in (zip(strangers, order, strict=True) for order in permutations(renamed, len(strangers)))
    )


@given(users_and_answers())
@settings(max_examples=200)
@example((["anna@example.com", "bert@example.com"], answer(entry("anna@example.com"), entry("zoe@example.com"))))
@example((["anna@example.com", "4711"], answer(entry("yves@example.com"), entry("zoe@example.com"))))
def test_an_answer_with_users_who_were_certainly_not_submitted_is_an_alarm(case):
    users, document = case
    result = matched(document, users)
    assert result.alarm == (not can_be_other_names(document, users))
    assert result.alarm == any(remark.startswith("ALARM: ") for remark in result.outcome.remarks)
    if len({*named(document)[0]}) + named(document)[1] > len(users):
        assert result.alarm


@given(users_and_answers())
def test_all_who_are_not_erased_are_submitted_again_unless_there_is_an_alarm(case):
    users, document = case
    result = matched(document, users)
    assert set(result.not_erased) == named_bad(document, users)
    if result.alarm:
        assert result.resubmit == ()
    elif result.outcome.not_erased:
        resubmit = range(len(users)) if result.resubmit is None else result.resubmit
        assert named_bad(document, users) <= set(resubmit) <= set(range(len(users)))
        assert len(resubmit) >= result.outcome.not_erased
        assert list(resubmit) == sorted(set(resubmit))
    else:
        assert result.resubmit == ()


@given(users_and_answers_about_them())
def test_where_all_ids_match_only_those_who_are_not_erased_are_submitted_again(case):
    users, document = case
    if named(document)[1]:
        return
    result = matched(document, users)
    assert result.resubmit == result.not_erased == tuple(sorted(named_bad(document, users)))
    assert len(result.not_erased) == result.outcome.not_erased
    assert not result.alarm


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


ANN, BOB = "ann@x.org", "bob@x.org"


@pytest.mark.parametrize(
    ("entries", "users", "resubmit", "not_erased", "alarm"),
    [
        pytest.param([entry(ANN), entry(BOB)], [ANN, BOB], (), (), False, id="all erased"),
        pytest.param([entry(ANN, "FAILED"), entry(BOB)], [ANN, BOB], (0,), (0,), False, id="ids match"),
        pytest.param([entry(BOB, "FAILED")], [ANN, BOB], (1,), (1,), False, id="ids match, one is open"),
        pytest.param([entry("u-8"), entry("u-9")], [ANN, BOB], (), (), False, id="resolved ids, all erased"),
        pytest.param([entry("u-8", "FAILED"), entry("u-9")], [ANN, BOB], None, (), False, id="resolved ids"),
        pytest.param([entry(ANN), entry("u-9", "FAILED")], [ANN, BOB], None, (), False, id="one resolved id"),
        pytest.param([entry(ANN, "FAILED"), entry("u-9")], [ANN, BOB], None, (0,), False, id="one named, one resolved"),
        pytest.param([entry(ANN), "odd"], [ANN, BOB], None, (), False, id="an entry that is not understood"),
        pytest.param([entry("u-9", "queued")], [ANN, BOB], (), (), False, id="open resolved ids"),
        pytest.param([entry(ANN), entry(BOB), entry("u-9")], [ANN, BOB], (), (), True, id="more entries than users"),
        pytest.param(
            [entry("u-1", "FAILED"), entry("u-9")], ["u-1", "u-2"], (), (0,), True, id="no alias of a Kore id"
        ),
        pytest.param([entry("u-9"), entry("u-8")], ["u-1", ANN], (), (), True, id="one alias for two"),
        pytest.param([entry("u-9")], ["u-1", ANN], (), (), False, id="one alias for one"),
        pytest.param([entry("zoe@x.org")], [ANN], (), (), True, id="an address is no alias of an address"),
        pytest.param([entry("zoe@x.org")], ["4711"], (), (), False, id="an address is an alias of a phone number"),
        pytest.param([entry("zoe@x.org")], [CHANNEL_USER], (), (), False, id="an alias of a channel user"),
        pytest.param([entry("zoe@x.org")], [ANN, "4711"], (), (), False, id="an address is an alias of one of two"),
        pytest.param(
            [entry("yves@x.org"), entry("zoe@x.org")], [ANN, "4711"], (), (), True, id="two addresses for one alias"
        ),
        pytest.param([entry("zoe@x.org")], ["u-1"], (), (), True, id="an address is no alias of a Kore id"),
    ],
)
def test_who_is_submitted_again_and_what_is_an_alarm(entries, users, resubmit, not_erased, alarm):
    result = matched(answer(*entries), users)
    assert (result.resubmit, result.not_erased, result.alarm) == (resubmit, not_erased, alarm)


def test_an_alarm_of_counting_calls_no_user_erased():
    outcome = counted(answer(entry("a"), entry("b")), 1)
    assert outcome.remarks[0].startswith("ALARM: ")
    assert outcome.erased == 0


def test_an_alarm_keeps_what_the_answer_says_of_submitted_ids():
    document = answer(entry("u-0001"), entry("u-0002", "queued"), entry("u-8", "queued"), entry("u-9"))
    assert counts(matched(document, ["u-0001", "u-0002", "u-0003"]).outcome) == (1, 1, 1)


def test_remarks_tell_the_words_and_that_ids_were_resolved():
    remarks = matched(answer(entry("u-9001", "FAILED"), entry("u-9002")), [ANN, BOB]).outcome.remarks
    assert "FAILED (1)" in remarks[0]
    assert "the counts decide" in remarks[1]
    assert "u-9001" not in str(remarks)


def test_an_alarm_tells_the_words_too():
    remarks = matched(answer(entry("u-8", "FAILED"), entry("u-9", "FAILED")), [ANN]).outcome.remarks
    assert "FAILED (2)" in remarks[0]
    assert remarks[1].startswith("ALARM: ")
