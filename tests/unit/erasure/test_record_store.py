"""Records are written where a retry finds them; what cannot be written there is carried by the task."""

from datetime import timedelta
from unittest import mock

import pytest

from airflow_provider_kore.erasure.store import FIRST_ATTEMPT_KEY, HEADER_KEY, HEADER_RETENTION, RETENTION, RecordStore


class Store:
    """Airflow's task state store, which fails some times."""

    def __init__(self, failures=0, **values):
        self.values, self.failures, self.retentions = dict(values), failures, {}

    def get(self, key, default=None):
        return self.values.get(key, default)

    def set(self, key, value, *, retention=None):
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        self.values[key] = value
        self.retentions[key] = retention


@pytest.fixture(autouse=True)
def naps():
    with mock.patch("airflow_provider_kore.erasure.store.time.sleep") as sleep:
        yield sleep


def test_a_value_goes_to_the_store_and_without_one_the_task_carries_it():
    store, without = RecordStore(Store()), RecordStore(None)
    for each in (store, without):
        assert each.get("key") is None
        each.set("key", [1])
        assert each.get("key") == [1]
    assert (store.survives_the_attempt, store.carried) == (True, {})
    assert (without.survives_the_attempt, without.carried) == (False, {"key": [1]})


def test_what_the_task_carries_is_newer_than_what_the_store_has_until_it_is_written_there():
    airflows = Store(key="old", other="stored")
    store = RecordStore(airflows, {"key": "new"})
    assert (store.get("key"), store.get("other")) == ("new", "stored")
    assert store.set_or_carry("key", "newest")
    assert (airflows.values["key"], store.carried, store.get("key")) == ("newest", {}, "newest")


@pytest.mark.parametrize(("failures", "written"), [(0, True), (3, True), (4, False)])
def test_a_value_is_written_again_after_growing_pauses_and_carried_after_the_last_failure(naps, failures, written):
    airflows = Store(failures, key="old")
    store = RecordStore(airflows)
    assert store.set_or_carry("key", "new") is written
    assert airflows.values["key"] == ("new" if written else "old")
    assert store.carried == ({} if written else {"key": "new"})
    assert store.get("key") == "new"
    assert [call.args[0] for call in naps.mock_calls] == [1.0, 2.0, 4.0][:failures]


def test_records_are_kept_for_longer_than_any_statutory_window_and_their_header_for_longer():
    airflows = Store()
    store = RecordStore(airflows)
    store.set("records", [])
    store.is_forgotten(1)
    assert airflows.retentions == {"records": RETENTION, FIRST_ATTEMPT_KEY: HEADER_RETENTION}
    assert HEADER_RETENTION > RETENTION > timedelta(days=93)  # three months


@pytest.mark.parametrize(("attempt", "forgotten"), [(0, False), (1, False), (2, True), (3, True)])
def test_without_a_store_every_retry_finds_nothing(attempt, forgotten):
    assert RecordStore(None, {HEADER_KEY: {}}).is_forgotten(attempt) is forgotten


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_with_a_store_nothing_is_forgotten_unless_its_first_attempt_left_no_mark(first):
    airflows = Store()
    forgotten = [RecordStore(airflows).is_forgotten(attempt) for attempt in range(first, first + 3)]
    assert forgotten == [first > 1] * 3
    airflows.values[HEADER_KEY] = {}
    assert not RecordStore(airflows).is_forgotten(first + 3)


def test_an_attempt_that_finds_records_leaves_no_mark():
    airflows = Store(**{HEADER_KEY: {}})
    assert not RecordStore(airflows).is_forgotten(2)
    assert FIRST_ATTEMPT_KEY not in airflows.values
