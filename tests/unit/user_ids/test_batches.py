"""How users are cut into batches, of which never more than one is in memory."""

import sqlite3
import tracemalloc
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.users import ChannelUserId, fold_duplicates
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids.batches import UserBatches

PAIR = ChannelUserId("a", "b")

users = st.lists(
    st.sampled_from(
        ["a", "A", "b", "é", "e\u0301", "a@x", "A@x", "a@X", ChannelUserId("a", "b"), ChannelUserId("b", "a")]
    )
)


def everybody(batches):
    return [user_id for batch in batches for user_id in batch]


@given(st.lists(st.integers().map(str), unique=True), st.integers(1, 9))
def test_batches_hold_everybody_once_and_in_order(user_ids, batch_size):
    batches = list(UserBatches(user_ids, batch_size, 1000))
    assert everybody(batches) == user_ids
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert all(0 < len(batch) <= batch_size for batch in batches)


def folded(user_ids):
    """The users as they should be sent, and how many duplicates and other spellings there are."""
    first, duplicates, spellings = {}, 0, 0
    for user_id in user_ids:
        sent = first.setdefault(user_id.lower() if isinstance(user_id, str) and "@" in user_id else user_id, [])
        duplicates += bool(sent) and sent[0] == user_id
        spellings += bool(sent) and sent[0] != user_id
        sent.append(user_id)
    return [sent[0] for sent in first.values()], duplicates, spellings


@given(users, st.integers(1, 4))
def test_of_duplicates_and_of_addresses_in_another_case_the_first_stays_also_across_batches(user_ids, batch_size):
    batches = UserBatches(user_ids, batch_size, 1000)
    assert (everybody(batches), batches.duplicates, batches.spellings) == folded(user_ids)


@given(users, st.integers(1, 4))
def test_each_reading_gives_the_same(user_ids, batch_size):
    batches = UserBatches(lambda: iter(user_ids), batch_size, 1000)
    assert list(batches) == list(batches)
    assert (batches.duplicates, batches.spellings) == folded(user_ids)[1:]


@given(users)
def test_the_list_of_the_hook_is_folded_as_batches_are(user_ids):
    assert list(fold_duplicates(user_ids)) == folded(user_ids)[0]


def test_a_plan_says_how_many_were_folded_and_counts_users_once(caplog):
    caplog.set_level("INFO")
    batches = UserBatches(["Ann@x.org", "b", "ann@x.org", "b", "ANN@X.ORG", "c"], 2, 3)
    records = batches.plan(b"key")
    assert [record.user_count for record in records] == [2, 1]
    assert "1 exact duplicates" in caplog.text
    assert "2 e-mail addresses that differ from an earlier one in case alone" in caplog.text
    assert "x.org" not in caplog.text.lower()


def test_a_batch_comes_before_the_rest_is_read():
    read = []

    def source():
        for number in range(10):
            read.append(number)
            yield f"u-{number}"

    batches = iter(UserBatches(source, 2, 1000))
    assert next(batches) == ("u-0", "u-1")
    assert read == [0, 1]


def test_there_can_be_as_many_as_are_allowed_and_duplicates_do_not_count():
    assert everybody(UserBatches(["a", "b", "a"], 1, 2)) == ["a", "b"]
    with pytest.raises(KoreInputError, match="more users to erase than the 2"):
        everybody(UserBatches(["a", "b", "a", "c"], 1, 2))


def test_memory_does_not_grow_with_the_list():
    def peak(user_count):
        tracemalloc.start()
        for _ in UserBatches(lambda: (f"person-{number}@example.com" for number in range(user_count)), 100, 10**9):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak(40_000) < peak(1_000) + 100_000


def test_without_room_for_temporary_files_the_error_names_nobody():
    class FullDisk:
        def execute(self, statement, values=()):
            if statement.startswith("INSERT"):
                raise sqlite3.OperationalError("database or disk is full: Xq7ZwK9")

        def close(self):
            pass

    with (
        mock.patch("airflow_provider_kore.user_ids.batches.sqlite3.connect", return_value=FullDisk()),
        pytest.raises(KoreSourceError) as caught,
    ):
        everybody(UserBatches(["Xq7ZwK9@example.com"], 1, 9))
    assert "room" in str(caught.value)
    assert "Xq7ZwK9" not in str(caught.value)
