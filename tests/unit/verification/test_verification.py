"""What looking for people showed adds up, also after a break, and says gone of nobody who was not looked for."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.history import LONGEST_WINDOW, LiteQuery
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.user_search import CHANNEL, LITE, SPAN
from airflow_provider_kore.exceptions import KoreFoundError, KoreInputError, KoreVerificationError
from airflow_provider_kore.period import Period
from airflow_provider_kore.verification import verification as verification_module
from airflow_provider_kore.verification.verification import Finding, Person, Verification, judge, read_extent

PERIOD = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC))
SCOPE = ErasureScope(("st-1", "st-2"), all_bots=False)
QUERIES = 2 * 3  # bots; messages by user id and by the id in a channel, and sessions
FAR = 4_000_000_000.0


class Kore:
    """Answer about people as it is told; ``breaks`` after so many calls by having no turn for a minute."""

    def __init__(self, people, breaks=None, refuses=()):
        self.people = people
        self.refuses = refuses
        self.calls = []
        self.breaks = breaks
        self.rested = False
        self.pacing = Pacing(SimpleNamespace(seconds_until_turn=self.seconds_until_turn), lambda: 0.0)

    def seconds_until_turn(self, now, call=None):
        if self.breaks is not None and len(self.calls) and len(self.calls) % self.breaks == 0 and not self.rested:
            self.rested = True
            return 60.0
        self.rested = False
        return 0.0

    def run(self, query):
        lite = isinstance(query, LiteQuery)
        by_channel = lite and query.by_channel
        self.calls.append((query.user_id, query.kind, query.bot_id, query.since, query.channel_type, lite, by_channel))
        span = not lite and query.until - query.since > LONGEST_WINDOW
        if (CHANNEL if by_channel else LITE if lite else SPAN if span else None) in self.refuses:
            return Finding.NOT_CHECKABLE
        return self.people[query.user_id]


@pytest.fixture(autouse=True)
def no_conversation(monkeypatch):
    """Hand the query itself to the played Kore."""
    monkeypatch.setattr(verification_module, "_look", lambda query, pacing, seconds: query)


def persons(findings, batch_size=3):
    for number in range(len(findings)):
        yield Person(number // batch_size + 1, number % batch_size, f"user-{number}")


def begin(mode, user_count):
    return Verification.begin(read_extent(mode), SCOPE, ("rtm",), PERIOD, user_count, b"seed")


def told_of_each(verification, findings):
    return [
        verification.finding(number, person.batch, person.position) for number, person in enumerate(persons(findings))
    ]


def look_for_all(verification, findings, breaks=None, refuses=()):
    """Look until all are done, through JSON after each break, and return the calls."""
    kore = Kore({f"user-{number}": finding for number, finding in enumerate(findings)}, breaks, refuses)
    while verification.go_on(kore, persons(findings), "key", max_worker_wait=1.0, deadline=FAR) > 0:
        verification = Verification.from_json(json.loads(json.dumps(verification.to_json())))
    return verification, kore.calls


findings = st.lists(st.sampled_from([Finding.GONE, Finding.FOUND, Finding.NOT_CHECKABLE]), min_size=1, max_size=12)
modes = st.one_of(st.just("all"), st.integers(1, 15).map("sample:{}".format))


@given(findings, modes, st.none() | st.integers(1, 9))
def test_the_counts_add_up_and_each_person_is_told_as_found(findings, mode, breaks):
    verification, _ = look_for_all(begin(mode, len(findings)), findings, breaks)
    counts = verification.counts(len(findings))
    assert sum(counts.values()) == len(findings)
    told = [
        verification.finding(number, person.batch, person.position) for number, person in enumerate(persons(findings))
    ]
    assert {finding.value: told.count(finding) for finding in Finding} == counts
    for was, is_told in zip(findings, told, strict=True):
        assert is_told in (was, Finding.NOT_CHECKED)
    if mode == "all":
        assert counts["not_checked"] == 0
    else:
        assert counts["not_checked"] == max(len(findings) - int(mode.partition(":")[2]), 0)


@given(findings, st.integers(1, 9), st.sets(st.sampled_from([LITE, CHANNEL, SPAN])))
def test_a_break_changes_neither_what_is_found_nor_what_is_asked(findings, breaks, refuses):
    whole, calls = look_for_all(begin("all", len(findings)), findings, None, refuses)
    broken, broken_calls = look_for_all(begin("all", len(findings)), findings, breaks, refuses)
    assert broken.to_json() == whole.to_json()
    assert broken_calls == calls
    assert told_of_each(whole, findings) == findings
    if not refuses:
        gone, found = findings.count(Finding.GONE), findings.count(Finding.FOUND)
        assert len(calls) == QUERIES * gone + found + sum(
            1 for call in calls if findings[int(call[0].removeprefix("user-"))] is Finding.NOT_CHECKABLE
        )


@given(findings, st.integers(0, 12))
def test_whom_the_time_was_too_short_for_is_not_gone(findings, done):
    verification = begin("all", len(findings))
    verification.looked_for = min(done, len(findings))
    counts = verification.counts(len(findings))
    assert counts["not_checkable"] == len(findings) - verification.looked_for
    told = [
        verification.finding(number, person.batch, person.position) for number, person in enumerate(persons(findings))
    ]
    assert told.count(Finding.NOT_CHECKABLE) == counts["not_checkable"]


@pytest.mark.parametrize(
    "verify", ["", "None", "ALL", "sample", "sample:", "sample:0", "sample:x", 1, None, True, "all "]
)
def test_what_says_nothing_about_how_many_is_refused(verify):
    with pytest.raises(KoreInputError):
        read_extent(verify)


@pytest.mark.parametrize(
    ("findings", "fail_if_not_checkable", "error"),
    [
        ([Finding.GONE], True, None),
        ([Finding.NOT_CHECKABLE], True, KoreVerificationError),
        ([Finding.NOT_CHECKABLE], False, None),
        ([Finding.FOUND, Finding.NOT_CHECKABLE], False, KoreFoundError),
        ([Finding.FOUND, Finding.NOT_CHECKABLE], True, KoreFoundError),
    ],
)
def test_a_task_succeeds_only_if_nobody_was_found(findings, fail_if_not_checkable, error):
    verification, _ = look_for_all(begin("all", len(findings)), findings)
    wrong = judge(verification, len(findings), [], fail_if_not_checkable=fail_if_not_checkable)
    assert [type(failure) for failure in wrong] == ([] if error is None else [error])
    assert all("batch 1 position 1" in str(failure) and "user-" not in str(failure) for failure in wrong)


def test_somebody_found_comes_before_what_the_looking_broke_off_by():
    broke_off = KoreInputError("It broke off.", remedy="")
    for findings, first in (([Finding.FOUND], KoreFoundError), ([Finding.NOT_CHECKABLE], KoreInputError)):
        verification, _ = look_for_all(begin("all", 1), findings)
        assert isinstance(judge(verification, 1, [broke_off], fail_if_not_checkable=True)[0], first)
