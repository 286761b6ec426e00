"""Which requests for sessions and messages the sandbox takes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.sandbox.settings import Settings

KINDS = ["sessions", "messages"]
DATES = {"dateFrom": "2027-01-08T08:00:00.001Z", "dateTo": "2027-01-15T08:00:00.000Z"}


def body(**changes):
    content = {"userId": "u-1", "skip": 0, "limit": 100, **DATES} | changes
    return {name: value for name, value in content.items() if value is not ...}


ACCEPTED = [
    pytest.param(body(), id="all but a channel"),
    pytest.param({"userId": "u-1"}, id="a user only"),
    pytest.param({}, id="nothing"),
    pytest.param(body(skip=10**30, limit=1), id="beyond the end"),
    pytest.param(body(userId="\ud800 Zoë"), id="any characters"),
    pytest.param(body(dateFrom=DATES["dateTo"]), id="an instant"),
    pytest.param(body(dateFrom="0001-01-01T00:00:00.000Z", dateTo="0001-01-02T00:00:00.000Z"), id="long ago"),
]
REFUSED = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="no JSON"),
    pytest.param(b'{"limit": NaN}', id="NaN"),
    pytest.param([], id="array"),
    pytest.param(body(userId=None), id="user null"),
    pytest.param(body(userId=""), id="empty user"),
    pytest.param(body(userId="  "), id="blank user"),
    pytest.param(body(userId=1), id="user as a number"),
    pytest.param(body(userId=["u-1"]), id="users in an array"),
    pytest.param(body(userId={"channel_id": "c", "channel_user_id": "x"}), id="channel user"),
    pytest.param(body(skip=-1), id="negative skip"),
    pytest.param(body(skip="0"), id="skip as a string"),
    pytest.param(body(skip=0.0), id="skip as a float"),
    pytest.param(body(skip=False), id="skip as a boolean"),
    pytest.param(body(skip=None), id="skip null"),
    pytest.param(body(limit=0), id="limit 0"),
    pytest.param(body(limit=101), id="limit 101"),
    pytest.param(body(limit=True), id="limit as a boolean"),
    pytest.param(body(limit="100"), id="limit as a string"),
    pytest.param(body(limit=None), id="limit null"),
    pytest.param(body(dateFrom="2027-01-08T08:00:00.000Z"), id="seven days"),
    pytest.param(body(dateFrom="2026-01-08T08:00:00.000Z"), id="a year"),
    pytest.param(body(dateFrom="2027-01-15T08:00:00.001Z"), id="dates the wrong way round"),
    pytest.param(body(dateFrom=...), id="dateTo only"),
    pytest.param(body(dateTo=...), id="dateFrom only"),
    pytest.param(body(dateFrom=None), id="date null"),
    pytest.param(body(dateFrom=1_799_900_000_000), id="date as a number"),
    pytest.param(body(dateFrom=""), id="empty date"),
    pytest.param(body(dateFrom="yesterday"), id="no date"),
    pytest.param(body(dateFrom="2027-01-14"), id="a day"),
    pytest.param(body(dateFrom="2027-01-14T08:00:00.000"), id="no time zone"),
    pytest.param(body(dateFrom="2027-01-14T08:00:00.000+00:00"), id="another time zone"),
    pytest.param(body(dateFrom="2027-01-14T08:00:00Z"), id="no milliseconds"),
    pytest.param(body(dateFrom="2027-13-14T08:00:00.000Z"), id="month 13"),
    pytest.param(body(dateFrom="2027-02-29T08:00:00.000Z"), id="29 February"),
    pytest.param(body(dateFrom="0000-01-01T00:00:00.000Z"), id="year 0"),
    pytest.param(body(dateFrom="٢٠٢٧-01-14T08:00:00.000Z"), id="other digits"),
    pytest.param(body(user="u-1"), id="unknown key"),
    pytest.param(body(userID="u-1"), id="another spelling"),
]


@pytest.mark.parametrize("content", ACCEPTED)
def test_a_documented_body_is_answered(caller, content):
    caller = caller()
    for kind in KINDS:
        for bot_id in ("st-1", None):
            assert caller.history(kind, content, bot_id).status == 200
            entry = caller.account.log()[-1]
            assert (entry.call, entry.outcome, entry.accepted) == (kind, 200, False)


@pytest.mark.parametrize("content", REFUSED)
def test_any_other_body_is_refused(caller, error, content):
    caller = caller(sessions_span="under-7-days")
    assert [error(caller.history(kind, content))[0] for kind in KINDS] == [400, 400]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (body(user="u-1"), "The body has unknown keys"),
        (body(userId=" "), "userId must be a non-empty string"),
        (body(channelType=""), "channelType must be a non-empty string"),
        (body(skip=-1), "The number of items to skip must be an integer, and not negative"),
        (body(limit=101), "limit must be an integer from 1 to 100"),
        (body(dateTo=...), "dateTo must be a date like 2019-04-01T13:25:58.515Z, and go with the other one"),
        (body(dateFrom="2027-01-15T08:00:00.001Z"), "dateFrom must not be after dateTo"),
        (body(dateFrom="2027-01-08T08:00:00.000Z"), "dateFrom and dateTo must be less than 7 days apart"),
    ],
)
def test_a_refusal_names_what_is_wrong(caller, error, content, message):
    assert error(caller().history("messages", content)) == (400, message, 400)


@pytest.mark.parametrize("since", ["2027-01-08T08:00:00.000Z", "2020-01-08T08:00:00.000Z"])
def test_sessions_may_be_asked_for_by_long_spans_unless_the_setting_says_otherwise(caller, since):
    assert caller().history("sessions", body(dateFrom=since)).status == 200
    assert caller().history("messages", body(dateFrom=since)).status == 400


@pytest.mark.parametrize(
    ("channel", "status"),
    [
        *((name, 200) for name in ("rtm", "korevg", "an ivrInstID", "RTM")),
        *((value, 400) for value in ("", " ", None, 1, ["rtm"])),
    ],
)
def test_any_channel_is_for_messages_only(caller, channel, status):
    caller = caller()
    assert caller.history("messages", body(channelType=channel)).status == status
    assert caller.history("sessions", body(channelType=channel)).status == 400


@pytest.mark.parametrize("kind", KINDS)
def test_a_listed_bot_is_known_and_any_other_is_not(caller, error, kind):
    caller = caller(bots=("st-1", "st-2"))
    assert caller.history(kind, body(), "st-2").status == 200
    assert caller.history(kind, body(), None).status == 200
    assert error(caller.history(kind, body(), "st-3")) == (400, "Invalid StreamId", 400)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": None}, 400),
        ({"content-type": "text/plain"}, 400),
        ({"content-length": None}, 411),
        ({"auth": None}, 401),
        ({"auth": "none"}, 401),
    ],
)
def test_headers_are_checked_as_for_an_erasure(caller, error, kind, headers, status):
    assert error(caller().history(kind, body(), headers=headers))[0] == status


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_can_be_used_once(caller, kind):
    caller = caller()
    token = caller.token()
    assert [caller.history(kind, body(), token=token).status for _ in range(2)] == [200, 401]


@pytest.mark.parametrize("status", [401, 403])
def test_history_and_roles_have_scopes_of_their_own(caller, status):
    def statuses(**granted):
        one = caller(missing_scope_status=status, **granted)
        calls = [one.history("sessions", body()), one.history("messages", body()), one.roles(), one.erase()]
        return [answer.status for answer in calls]

    assert statuses(history_granted=False) == [status, status, 200, 200]
    assert statuses(roles_granted=False) == [200, 200, status, 200]
    assert statuses(scope_granted=False) == [200, 200, 200, status]


JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
ALMOST_RIGHT = st.fixed_dictionaries(
    {},
    optional={
        "userId": st.text(max_size=5) | JSON,
        "skip": st.integers(0, 9) | JSON,
        "limit": st.integers(1, 100) | JSON,
        "dateFrom": st.just(DATES["dateFrom"]) | JSON,
        "dateTo": st.just(DATES["dateTo"]) | JSON,
        "channelType": st.just("rtm") | JSON,
    },
)


@given(kind=st.sampled_from(KINDS), content=ALMOST_RIGHT | JSON)
def test_whatever_is_sent_gets_an_answer(new_caller, kind, content):
    answer = new_caller(Settings()).history(kind, content)
    assert answer.status in (200, 400)
    expected = {"errors"} if answer.status == 400 else {"total", "moreAvailable", kind}
    assert json.loads(answer.body).keys() == expected
