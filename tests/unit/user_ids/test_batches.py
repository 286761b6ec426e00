"""How users are cut into batches, of which never more than one is in memory."""

import sqlite3
import tracemalloc
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.users import ChannelUserId, check_user_ids
from airflow_provider_kore.exceptions import KoreInputError, KoreSourceError
from airflow_provider_kore.user_ids import CallableUserIds
from airflow_provider_kore.user_ids.batches import UserBatches

users = st.lists(
    st.sampled_from(
        ["a", "A", "b", "é", "e\u0301", "a@x", "A@x", "a@X", ChannelUserId("a", "b"), ChannelUserId("b", "a")]
    )
)


def batches_of(user_ids, batch_size=2, max_users=1000, key=b"key"):
    return UserBatches(user_ids, batch_size, max_users, key)


def all_users(batches):
    return [user_id for _, batch in batches for user_id in batch]


def first_spellings(user_ids):
    """The users as they should be sent."""
    first = {}
    for user_id in user_ids:
        first.setdefault(user_id.lower() if isinstance(user_id, str) and "@" in user_id else user_id, user_id)
    return list(first.values())


@given(users, st.integers(1, 4))
def test_batches_have_the_first_spelling_of_each_user_in_order_at_each_iteration(user_ids, batch_size):
    batches = batches_of(CallableUserIds(lambda: iter(user_ids)), batch_size)
    once, again = list(batches), list(batches)
    assert once == again
    assert all_users(once) == first_spellings(user_ids)
    assert all(len(batch) == batch_size for _, batch in once[:-1])
    assert [planned.number for planned, _ in once] == list(range(1, len(once) + 1))
    assert all(planned.user_count == len(batch) > 0 for planned, batch in once)


@given(users)
def test_the_list_of_the_hook_has_the_same_users(user_ids):
    assert list(check_user_ids(user_ids, 1000)) == first_spellings(user_ids)


def fingerprints(user_ids, batch_size=2, key=b"key"):
    batches = batches_of(user_ids, batch_size, key=key)
    return [planned.fingerprint for planned in batches.plan()], batches.fingerprint


def test_a_fingerprint_is_of_the_users_in_their_order_and_of_the_key():
    one, all_of_one = fingerprints(["a", "b", "c"])
    assert fingerprints(["a", "b", "c"], batch_size=3)[1] == all_of_one
    assert fingerprints(["a", "b", "a", "c"]) == (one, all_of_one)
    for others in (fingerprints(["b", "a", "c"]), fingerprints(["a", "b", "c"], key=b"yek")):
        assert others[0][0] != one[0]
        assert others[1] != all_of_one
    assert fingerprints(["b", "a", "c"])[0][1] == one[1]


def test_a_plan_logs_the_number_of_duplicates_once(caplog):
    caplog.set_level("INFO")
    batches = batches_of(["Ann@x.org", "b", "ann@x.org", "b", "ANN@X.ORG", "c"], max_users=3)
    assert [planned.user_count for planned in batches.plan()] == [2, 1]
    assert list(batches)
    assert [record.getMessage() for record in caplog.records] == [
        "3 users in 2 batches.",
        "3 duplicates among the user ids are left out; the case of an e-mail address does not count.",
    ]


def test_a_plan_without_duplicates_logs_none(caplog):
    caplog.set_level("INFO")
    batches_of(["b", "c"]).plan()
    assert "duplicates" not in caplog.text


def test_a_batch_is_read_again_if_it_is_still_the_same():
    user_ids = ["a", "b", "c", "d", "e"]
    batches = batches_of(user_ids)
    first, _, last = batches.plan()
    assert list(batches.reread([first, last])) == [(first, ("a", "b")), (last, ("e",))]
    assert list(batches.reread([])) == []
    for changed, number in ((["a", "x", "c", "d", "e"], 1), (user_ids[:4], 3), ([*user_ids, "f"], 3)):
        with pytest.raises(KoreInputError, match=f"batch {number} is not what it was"):
            list(batches_of(changed).reread([first, last]))


def test_a_batch_comes_before_the_rest_is_read():
    read = []

    def source():
        for number in range(10):
            read.append(number)
            yield f"u-{number}"

    assert next(iter(batches_of(CallableUserIds(source))))[1] == ("u-0", "u-1")
    assert read == [0, 1]


def test_there_can_be_as_many_as_are_allowed_and_duplicates_do_not_count():
    read = []

    def source():
        for user_id in ["a", "b", "a", "c", "d"]:
            read.append(user_id)
            yield user_id

    assert all_users(batches_of(["a", "b", "a"], 1, 2)) == ["a", "b"]
    with pytest.raises(KoreInputError, match="more users to erase than the 2"):
        all_users(batches_of(CallableUserIds(source), 1, 2))
    assert read == ["a", "b", "a", "c"]


def test_memory_does_not_grow_with_the_list():
    def peak(user_count):
        source = CallableUserIds(lambda: (f"person-{number}@example.com" for number in range(user_count)))
        tracemalloc.start()
        for _ in batches_of(source, 100, 10**9):
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
        all_users(batches_of(["Xq7ZwK9@example.com"]))
    assert "room" in str(caught.value)
    assert "Xq7ZwK9" not in str(caught.value)
