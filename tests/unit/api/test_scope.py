"""Which scope may be asked for."""

import pytest
from refusals import MARK, refused

from airflow_provider_kore.api.scope import ErasureScope, check_scope


def scope(bot_ids=None, all_bots=False, *, allow_all_bots=False, allowed_bot_ids=None):
    return check_scope(bot_ids, all_bots, allow_all_bots=allow_all_bots, allowed_bot_ids=allowed_bot_ids)


@pytest.mark.parametrize("flag", ["True", "False", "", 0, 1, None, [], "true"])
@pytest.mark.parametrize("bot_ids", [None, ["st-1"]])
def test_a_flag_that_is_no_bool_is_refused(flag, bot_ids):
    assert f"type {type(flag).__name__}" in str(refused(scope, bot_ids, flag, allow_all_bots=True))


@pytest.mark.parametrize("bot_ids", [None, [], ()])
def test_no_scope_is_refused(bot_ids):
    assert "no scope" in refused(scope, bot_ids, False, allow_all_bots=True).problem


def test_both_scopes_at_once_are_refused():
    assert "both bot_ids" in refused(scope, ["st-1"], True, allow_all_bots=True).problem


def test_all_bots_take_two_keys():
    assert "not allowed by the connection" in refused(scope, None, True).problem
    assert "not allowed by the connection" in refused(scope, None, True, allowed_bot_ids=("st-1",)).problem
    assert scope(None, True, allow_all_bots=True) == ErasureScope((), all_bots=True)


@pytest.mark.parametrize("bot_ids", ["st-1", "", b"st-1", {"st-1"}, {"st-1": 1}, iter(["st-1"]), 7, True])
@pytest.mark.parametrize("all_bots", [False, True])
def test_bots_that_are_no_list_are_refused(bot_ids, all_bots):
    assert f"type {type(bot_ids).__name__}" in refused(scope, bot_ids, all_bots, allow_all_bots=True).problem


@pytest.mark.parametrize("bot_id", ["", " ", None, 7, True, "None", "null", f"{{{{ {MARK} }}}}", [MARK], f"{{% {MARK}"])
@pytest.mark.parametrize("all_bots", [False, True])
def test_a_bad_bot_is_refused_by_its_position(bot_id, all_bots):
    error = refused(scope, ["st-1", bot_id], all_bots, allow_all_bots=True)
    assert "position 2" in error.problem
    assert MARK not in f"{error}{error!r}"


def test_a_bot_that_the_connection_does_not_list_is_refused():
    assert scope(["st-1"], allowed_bot_ids=("st-1", "st-2")).bot_ids == ("st-1",)
    error = refused(scope, ["st-1", "st-3"], allowed_bot_ids=("st-1", "st-2"))
    assert "1 of the 2 bots" in error.problem
    refused(scope, ["ST-1"], allowed_bot_ids=("st-1",))
    refused(scope, ["st-1"], allowed_bot_ids=())


@pytest.mark.parametrize(("outside", "shown"), [(1, "st-1."), (5, "st-5."), (6, "st-5, ….")])
def test_of_many_bots_outside_five_are_shown(outside, shown):
    bots = [f"st-{number}" for number in range(1, outside + 1)]
    assert refused(scope, bots, allowed_bot_ids=()).problem.endswith(shown)


def test_listed_bots_are_never_all_bots():
    assert scope(["st-1", "st-2", "st-1"]) == ErasureScope(("st-1", "st-2"), all_bots=False)
    assert str(scope(["st-1", "st-2"])) == "the bots st-1, st-2"
    assert str(scope(None, True, allow_all_bots=True)) == "all bots"


ALL_BOTS = ErasureScope((), all_bots=True)
ONE, TWO, OTHER = (ErasureScope(bots, all_bots=False) for bots in (("a",), ("b", "a"), ("c",)))


@pytest.mark.parametrize(
    ("larger", "smaller", "covers"),
    [
        (ALL_BOTS, ALL_BOTS, True),
        (ALL_BOTS, ONE, True),
        (ONE, ALL_BOTS, False),
        (ONE, ONE, True),
        (TWO, ONE, True),
        (ONE, TWO, False),
        (TWO, OTHER, False),
    ],
)
def test_a_scope_covers_what_has_no_further_bot(larger, smaller, covers):
    assert larger.covers(smaller) is covers
