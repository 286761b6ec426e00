"""The body of an erase call, and the request id that it answers with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import USUAL_IDS
from refusals import MARK, refused

from airflow_provider_kore.api.erase_request import ErasureRequest, check_request_id, read_request_id
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.status import status_path
from airflow_provider_kore.api.users import (
    ChannelUserId,
    check_user_ids,
    user_id_from_json,
)
from airflow_provider_kore.exceptions import KoreInputError

ONE_BOT = ErasureScope(("st-1",), all_bots=False)


@given(st.lists(USUAL_IDS, min_size=1))
def test_ids_reach_the_body_as_they_are(user_ids):
    body = json.loads(ErasureRequest(tuple(user_ids), ONE_BOT).body())
    assert [user_id_from_json(item) for item in body["userIds"]] == user_ids
    assert [item for item in body["userIds"] if isinstance(item, str)] == [
        item for item in user_ids if isinstance(item, str)
    ]


@pytest.mark.parametrize(
    "user_id", ["ANNA@Example.com", "0151 2345", "007", "é", "e\u0301", "null@x", "O'Brien@x.org", "1_0", "auth0|5f7c"]
)
def test_an_odd_id_is_not_made_tidy(user_id):
    assert json.loads(ErasureRequest(check_user_ids([user_id], 1), ONE_BOT).body())["userIds"] == [user_id]


def test_a_channel_user_id_is_an_object_of_its_fields():
    body = ErasureRequest((ChannelUserId("rtm", "4711"),), ONE_BOT).body()
    assert json.loads(body)["userIds"] == [{"channel_id": "rtm", "channel_user_id": "4711"}]


def test_the_body_for_listed_bots():
    body = ErasureRequest(("u-1",), ErasureScope(("st-1", "st-2"), all_bots=False)).body()
    assert json.loads(body) == {"userIds": ["u-1"], "botIds": ["st-1", "st-2"], "RemoveDataFromAllBots": False}


def test_the_body_for_all_bots():
    body = ErasureRequest(("u-1",), ErasureScope((), all_bots=True)).body()
    assert json.loads(body) == {"userIds": ["u-1"], "RemoveDataFromAllBots": True}


@pytest.mark.parametrize("scope", [ONE_BOT, ErasureScope((), all_bots=True)])
def test_a_request_without_users_is_never_sent(scope):
    refused(ErasureRequest((), scope).body)


@given(st.lists(st.text(min_size=3).map(lambda text: MARK + text), min_size=1), st.booleans())
def test_no_repr_shows_a_user(texts, in_channel):
    user_ids = tuple(ChannelUserId(text, text) if in_channel else text for text in texts)
    assert MARK not in repr(ErasureRequest(user_ids, ONE_BOT))
    assert not in_channel or MARK not in f"{user_ids!r}{user_ids[0]}"


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
