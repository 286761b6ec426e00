"""A search asks each query once, also over several processes, and stops at what concerns every user."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.calls import Pacing
from airflow_provider_kore.api.history import LONGEST_WINDOW, LiteQuery
from airflow_provider_kore.api.user_search import CHANNEL, LITE, SPAN
from airflow_provider_kore.api.users import digest
from airflow_provider_kore.exceptions import Consequence, KoreSourceError, KoreUnavailableError, KoreVerificationError
from airflow_provider_kore.verification import search
from airflow_provider_kore.verification.findings import Finding
from airflow_provider_kore.verification.search import CheckedUser, search_users
from tests.unit.verification.verifying import FINDINGS, findings_of, place, reread, start

QUERIES = 2 * 3  # bots; messages by user id and by the id in a channel, and sessions
FAR = 4_000_000_000.0
USAGE = [[1, 2]]


class Kore:
    """
    Answer about users as ``findings`` say; it is hook, client and budget in one.

    :param break_every: after so many calls there is no turn for a minute, once.
    :param refuses: the calls that it refuses.
    :param fails_at: the call that fails for a reason that concerns every user.
    """

    def __init__(self, findings, break_every=None, refuses=(), fails_at=None):
        self.findings = findings
        self.break_every = break_every
        self.refuses = refuses
        self.fails_at = fails_at
        self.calls = []
        self.imported = []
        self.rested = False
        self.account = SimpleNamespace(digest_key="key")
        self.pacing = Pacing(self, lambda: 0.0)

    @contextmanager
    def get_conn(self):
        yield self

    def import_usage(self, calls, listed_seconds_ago):
        self.imported.append(calls)

    def export_usage(self):
        return USAGE

    def seconds_until_turn(self, call):
        due = self.break_every is not None and self.calls and len(self.calls) % self.break_every == 0
        self.rested = bool(due and not self.rested)
        return 60.0 if self.rested else 0.0

    def run(self, query):
        lite = isinstance(query, LiteQuery)
        by_channel = lite and query.by_channel
        self.calls.append((query.user_id, query.kind, query.bot_id, query.since, query.channel_type, lite, by_channel))
        if len(self.calls) == self.fails_at:
            raise KoreUnavailableError("Kore.ai is away.", consequence=Consequence.ONLY_READ, remedy="")
        span = not lite and query.until - query.since > LONGEST_WINDOW
        if (CHANNEL if by_channel else LITE if lite else SPAN if span else None) in self.refuses:
            return Finding.NOT_CHECKABLE
        return self.findings[int(query.user_id.removeprefix("user-"))]


@pytest.fixture(autouse=True)
def no_conversation(monkeypatch):
    """Pass the query itself to :class:`Kore`."""
    monkeypatch.setattr(search, "_ask", lambda query, pacing, give_up_at: query)


def users_of(findings):
    return (CheckedUser(*place(number), f"user-{number}") for number in range(len(findings)))


def search_once(kore, verification, usage=None, deadline=FAR):
    return search_users(kore, verification, users_of(kore.findings), usage, max_worker_wait=1.0, deadline=deadline)


def search_all(kore):
    """Search to the end, in another process after each break."""
    verification = start("all", len(kore.findings))
    end = search_once(kore, verification)
    while end.seconds > 0:
        assert end.seconds == 60.0
        assert end.usage["calls"] == USAGE
        verification = reread(verification)
        end = search_once(kore, verification, end.usage)
    return verification, end


all_findings = st.lists(st.sampled_from(FINDINGS), min_size=1, max_size=12)


@given(all_findings, st.integers(1, 9), st.sets(st.sampled_from([LITE, CHANNEL, SPAN])))
def test_a_break_changes_neither_what_is_found_nor_what_is_asked(findings, break_every, refuses):
    whole, broken = Kore(findings, None, refuses), Kore(findings, break_every, refuses)
    verification, end = search_all(whole)
    assert end.failure is None
    assert search_all(broken)[0] == verification
    assert broken.calls == whole.calls
    assert findings_of(verification, len(findings)) == findings
    assert broken.imported == [USAGE] * len(broken.imported)
    if not refuses:
        gone, found = findings.count(Finding.GONE), findings.count(Finding.FOUND)
        not_checkable = [
            call for call in whole.calls if findings[int(call[0].removeprefix("user-"))] is Finding.NOT_CHECKABLE
        ]
        assert len(whole.calls) == QUERIES * gone + found + len(not_checkable)


def test_a_sample_asks_about_the_users_of_the_sample_alone():
    kore, verification = Kore([Finding.GONE] * 12), start("sample:4", 12)
    search_once(kore, verification)
    assert {call[0] for call in kore.calls} == {f"user-{number}" for number in verification.chosen}
    assert verification.counts(12) == {"gone": 4, "found": 0, "not_checkable": 0, "not_checked": 8}


def test_a_user_who_is_found_is_named_by_place_and_digest():
    verification, _ = search_all(Kore([Finding.GONE] * 4 + [Finding.FOUND]))
    assert verification.found_users == [{"batch": 2, "position": 2, "digest": digest("user-4", "key")}]


@given(all_findings, st.integers(1, 40))
def test_a_failure_that_concerns_every_user_ends_the_search_and_keeps_the_findings(findings, fails_at):
    verification, end = search_all(Kore(findings, fails_at=fails_at))
    if end.failure is None:
        assert findings_of(verification, len(findings)) == findings
        return
    assert isinstance(end.failure, KoreUnavailableError)
    assert end.failure.consequence is Consequence.ONLY_READ
    done = verification.done
    assert findings_of(verification, len(findings)) == findings[:done] + [Finding.NOT_CHECKABLE] * (
        len(findings) - done
    )


def test_a_search_ends_at_its_deadline():
    kore, verification = Kore([Finding.GONE]), start("all", 1)
    end = search_once(kore, verification, deadline=1.0)
    assert isinstance(end.failure, KoreVerificationError)
    assert end.failure.consequence is Consequence.NOT_VERIFIED
    assert not kore.calls
    assert findings_of(verification, 1) == [Finding.NOT_CHECKABLE]


def test_a_budget_that_stays_spent_until_the_deadline_is_waited_for_in_the_worker():
    kore, verification = Kore([Finding.GONE], break_every=1), start("all", 1)
    end = search_once(kore, verification, deadline=search.time.time() + 30.0)
    assert (end.seconds, end.failure) == (0.0, None)
    assert len(kore.calls) == QUERIES


def test_users_who_cannot_be_read_are_not_verified():
    def users():
        yield CheckedUser(1, 0, "user-0")
        raise KoreSourceError("Not just now.", remedy="Try again.")

    verification = start("all", 2)
    kore = Kore([Finding.GONE] * 2)
    end = search_users(kore, verification, users(), None, max_worker_wait=1.0, deadline=FAR)
    assert end.failure.consequence is Consequence.NOT_VERIFIED
    assert findings_of(verification, 2) == [Finding.GONE, Finding.NOT_CHECKABLE]


def test_a_user_does_not_show_the_id():
    assert "secret" not in repr(CheckedUser(1, 0, "secret"))
