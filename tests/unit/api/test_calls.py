"""The calls, with the test as Kore.ai: what is retried, waited out or given up, and what never is sent twice."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from playing_kore import Clock, Played, by_hand, error, http, pacing, play, play_all, status_of

from airflow_provider_kore.api.calls import (
    ATTEMPTS,
    fetch_history_page,
    fetch_members,
    fetch_status,
    submit_erasure,
)
from airflow_provider_kore.api.conversation import Pause
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.exchange import NoAnswer, Request
from airflow_provider_kore.api.history import HistoryKind, HistoryQuery
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.paced_exchange import exchange_once
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreAuthenticationError,
    KoreConfigurationError,
    KoreError,
    KoreInputError,
    KorePermissionError,
    KoreRequestError,
    KoreThrottledError,
    KoreUnavailableError,
    KoreUnknownRequestError,
    KoreUnreadableAnswerError,
)

PERSON = "Xq7ZwK9@example.com"
REQUEST = ErasureRequest((PERSON,), ErasureScope(("st-1",), all_bots=False))
ACCEPTED = http(200, {"requestId": "eud-1", "status": "in-progress"})
LOST = NoAnswer(received=True, reason="ReadTimeout")
REFUSED_CONNECTION = NoAnswer(received=False, reason="ConnectError")
THROTTLE = error(429, "You've exceeded the per-minute rate limit.")
BAD_TOKEN = error(401, "Invalid SDK credentials", 4002)
DONE = status_of("eud-1", "SUCCESS")


def submit(reply, clock=None, *, played=None, give_up_at=None, **budget):
    clock = clock or Clock()
    return play(submit_erasure(REQUEST, pacing(clock, **budget), give_up_at), reply, clock, played=played)


def ask(reply, clock=None, *, played=None, give_up_at=None, **budget):
    clock = clock or Clock()
    return play(fetch_status("eud-1", pacing(clock, **budget), give_up_at), reply, clock, played=played)


def failed(call, reply, error_type, consequence, **more):
    """The exception of a call, and what the call did before."""
    clock = more.pop("clock", None) or Clock()
    played = Played(clock)
    with pytest.raises(KoreError) as caught:
        call(reply, clock, played=played, **more)
    assert type(caught.value) is error_type
    assert caught.value.consequence is consequence
    assert "Xq7ZwK9" not in f"{caught.value}{caught.value!r}"
    return caught.value, played


# --- submitting -------------------------------------------------------------------------------------------------


def test_an_erasure_is_one_delete_and_gives_the_request_id():
    played = submit([ACCEPTED])
    assert played.result == "eud-1"
    (request,) = played.requests
    assert (request.method, request.path) == ("DELETE", "/api/public/bot/eraseUsersData")
    assert json.loads(request.body) == {"userIds": [PERSON], "botIds": ["st-1"], "RemoveDataFromAllBots": False}
    assert played.pauses == []


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_success_that_can_be_read_is_one(status):
    assert submit([http(status, {"requestId": "eud-1"})]).result == "eud-1"
    assert ask([replace(DONE, status=status)]).result.request_id == "eud-1"


@pytest.mark.parametrize(
    "reply",
    [
        LOST,
        http(200),
        http(200, b"<html>accepted</html>"),
        http(200, {}),
        http(200, []),
        http(200, {"requestId": ""}),
        http(200, {"requestId": None}),
        http(200, {"requestId": 1}),
        http(200, {"requestId": "../../x"}),
        http(200, {"requestID": "eud-1"}),
        http(200, {"errors": [{"msg": PERSON}]}),
        http(200, b'{"requestId": "eud-1", "requestId": "eud-2"}'),
        http(202, b""),
        http(204),
        http(500),
        error(500, PERSON),
        error(502, "rate limit"),
        http(503, b"unavailable", "30"),
        http(504),
        http(599),
    ],
)
def test_a_submission_of_unknown_fate_is_ambiguous_and_never_sent_again(reply):
    problem, played = failed(submit, [reply], KoreAmbiguousSubmitError, Consequence.UNKNOWN)
    assert len(played.requests) == 1
    assert "eud-" not in str(problem)


@pytest.mark.parametrize(
    ("reply", "error_type"),
    [
        (error(400, f"Invalid user {PERSON}"), KoreRequestError),
        (http(400, b"<html>" + PERSON.encode()), KoreRequestError),
        (http(400), KoreRequestError),
        (error(403, PERSON), KorePermissionError),
        (http(404), KoreConfigurationError),
        (error(405, "Method Not Allowed"), KoreConfigurationError),
        (error(409, PERSON), KoreRequestError),
        (http(300, {"requestId": "eud-1"}), KoreConfigurationError),
        (http(301), KoreConfigurationError),
        (http(307), KoreConfigurationError),
    ],
)
def test_a_refusal_is_not_sent_again(reply, error_type):
    _, played = failed(submit, [reply], error_type, Consequence.NOT_ACCEPTED)
    assert len(played.requests) == 1


def test_a_refused_token_is_signed_again_once():
    assert submit([BAD_TOKEN, ACCEPTED]).result == "eud-1"
    problem, played = failed(submit, [BAD_TOKEN] * 2, KoreAuthenticationError, Consequence.NOT_ACCEPTED)
    assert len(played.requests) == 2
    assert "Admin Console" in problem.remedy


def test_throttles_between_do_not_give_a_refused_token_another_chance():
    failed(submit, [BAD_TOKEN, THROTTLE, BAD_TOKEN], KoreAuthenticationError, Consequence.NOT_ACCEPTED)


@given(
    st.lists(
        st.sampled_from(
            [
                THROTTLE,
                http(429),
                http(429, b"<html>", "5"),
                http(429, None, "garbage"),
                http(429, None, "Wed, 01 Jan 2020 00:00:00 GMT"),
                error(400, "Rate limit for this API has been reached. Please try again later"),
                error(403, "You've exceeded the hourly rate limit."),
                http(400, b"you hit a rate limit"),
            ]
        ),
        max_size=30,
    )
)
@settings(max_examples=50)
def test_throttles_are_waited_out_however_many(throttles):
    for call, last, result in ((submit, ACCEPTED, "eud-1"), (ask, DONE, None)):
        played = call([*throttles, last])
        assert len(played.requests) == len(throttles) + 1
        assert result in (None, played.result)
        assert all(later - earlier >= 1 for earlier, later in zip(played.sent_at, played.sent_at[1:], strict=False))


@pytest.mark.parametrize("status", [406, 408, 420, 460, 499])
@pytest.mark.parametrize("text", ["Rate limit reached", "Too slow: please try again later"])
def test_no_text_makes_a_throttle_of_an_answer_after_which_an_erasure_may_be_accepted(status, text):
    profile = ApiProfile(throttle_texts=("try again later",))
    for refusal in (error(status, text), http(status, text.encode())):
        problem, played = failed(submit, [refusal], KoreAmbiguousSubmitError, Consequence.UNKNOWN, profile=profile)
        assert str(status) in problem.problem
        assert len(played.requests) == 1


@pytest.mark.parametrize(
    ("throttle", "seconds"),
    [
        (http(429, None, "17"), 17),
        (http(429), 60),
        (error(403, "hourly rate limit"), 300),
        (http(429, None, "99999"), 3600),
    ],
)
def test_after_a_throttle_nobody_calls_before_its_time(throttle, seconds):
    played = submit([throttle, ACCEPTED])
    assert played.sent_at[1] - played.sent_at[0] == pytest.approx(seconds)


def test_a_throttle_closes_the_account_for_other_conversations():
    clock = Clock()
    shared = pacing(clock)
    first = by_hand(submit_erasure(REQUEST, shared), clock)
    next(first)
    first.send(http(429, None, "40"))
    played = play(fetch_status("eud-1", shared), [DONE], clock)
    assert played.sent_at == [pytest.approx(1040)]


def test_a_turn_that_was_waited_for_before_a_throttle_is_not_used_while_closed():
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    play(submit_erasure(REQUEST, shared), [ACCEPTED], clock)
    waiting = by_hand(submit_erasure(REQUEST, shared), clock)
    next(waiting)
    shared.budget.close(500)
    clock.now += 60
    played = play(waiting, [ACCEPTED], clock)
    assert played.sent_at[0] >= 1500


@pytest.mark.parametrize(("call", "consequence"), [(submit, Consequence.NOT_ACCEPTED), (ask, Consequence.SENT)])
def test_a_throttle_that_outlasts_the_deadline_is_given_up_without_waiting(call, consequence):
    _, played = failed(call, [http(429, None, "100")], KoreThrottledError, consequence, give_up_at=1050.0)
    assert played.pauses == []
    assert len(played.requests) == 1


@pytest.mark.parametrize(("give_up_at", "sent"), [(1059.9, False), (1060.0, True), (1100.0, True)])
def test_a_turn_after_the_deadline_is_not_waited_for(give_up_at, sent):
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    play(submit_erasure(REQUEST, shared), [ACCEPTED], clock)
    conversation = submit_erasure(REQUEST, shared, give_up_at)
    if sent:
        assert play(conversation, [ACCEPTED], clock).sent_at == [1060.0]
    else:
        with pytest.raises(KoreThrottledError):
            play(conversation, [], clock)


def test_a_free_turn_is_used_also_after_the_deadline():
    assert submit([ACCEPTED], give_up_at=0.0).result == "eud-1"


def test_what_was_certainly_not_received_is_sent_again_with_growing_pauses():
    played = submit([REFUSED_CONNECTION] * (ATTEMPTS - 1) + [ACCEPTED])
    assert played.result == "eud-1"
    assert len(played.requests) == ATTEMPTS
    for number, pause in enumerate(played.pauses):
        assert 0.5 * 2**number <= pause <= 2**number


def test_who_stays_unreachable_is_given_up():
    problem, played = failed(submit, [REFUSED_CONNECTION] * ATTEMPTS, KoreUnavailableError, Consequence.NOT_ACCEPTED)
    assert len(played.requests) == ATTEMPTS
    assert "ConnectError" in problem.problem


REPLIES = [ACCEPTED, LOST, REFUSED_CONNECTION, THROTTLE, BAD_TOKEN, error(400, PERSON), error(403, PERSON), http(500)]
REPLIES += [http(502, b"rate limit"), http(200), http(302), http(408), http(499), http(303), error(400, "rate limit")]
SAFE_TO_REPEAT = [REFUSED_CONNECTION, THROTTLE, BAD_TOKEN, error(400, "rate limit")]


@given(st.lists(st.sampled_from(REPLIES) | st.sampled_from(SAFE_TO_REPEAT), min_size=1, max_size=25))
@settings(max_examples=400)
def test_no_delete_follows_one_that_kore_may_have_accepted(replies):
    played = Played(Clock())
    outcome = None
    try:
        submit([*replies, *[ACCEPTED] * 9], played.clock, played=played)
    except KoreError as failure:
        outcome = failure
    used = [*replies, *[ACCEPTED] * 9][: len(played.requests)]
    assert all(reply in SAFE_TO_REPEAT for reply in used[:-1])
    assert len({request.body for request in played.requests}) == 1
    last = used[-1]
    if outcome is None:
        assert last == ACCEPTED
    elif last in (LOST, http(500), http(502, b"rate limit"), http(200), http(408), http(499), http(303)):
        assert type(outcome) is KoreAmbiguousSubmitError
        assert outcome.consequence is Consequence.UNKNOWN
    else:
        assert outcome.consequence is Consequence.NOT_ACCEPTED
        assert last != ACCEPTED


# --- sharing a budget -------------------------------------------------------------------------------------------


def test_a_conversation_that_is_ended_while_it_waits_gives_up_its_place():
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    play(submit_erasure(REQUEST, shared), [ACCEPTED], clock)
    abandoned, waiting = (by_hand(submit_erasure(REQUEST, shared), clock) for _ in range(2))
    next(abandoned)
    assert isinstance(next(waiting), Pause)
    abandoned.close()
    clock.now += 60
    assert isinstance(waiting.send(None), Request)


def test_a_conversation_that_gives_up_its_turn_gives_up_its_place():
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    play(submit_erasure(REQUEST, shared), [ACCEPTED], clock)
    with pytest.raises(KoreThrottledError):
        next(by_hand(submit_erasure(REQUEST, shared, clock.now + 30), clock))
    assert shared.budget.seconds_until_turn(Call.ERASE) == 60


def test_a_call_that_is_broken_off_still_counts():
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    conversation = by_hand(submit_erasure(REQUEST, shared), clock)
    next(conversation)
    clock.now += 5
    conversation.close()
    assert shared.budget.seconds_until_turn(Call.ERASE) == 60


def test_a_call_that_is_repeated_goes_before_those_that_came_later():
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    repeated, later = (by_hand(fetch_status(name, shared), clock) for name in ("eud-1", "eud-2"))
    next(repeated)
    next(later)
    assert isinstance(repeated.send(LOST), Pause)  # before it tries again
    clock.now += 2
    pause = repeated.send(None)
    while isinstance(pause, Pause):
        clock.now += pause.seconds
        pause = repeated.send(None)
    assert pause.path.endswith("eud-1")
    assert clock.now == pytest.approx(1060)


class StrictWindows:
    """Counts calls as they arrive, and refuses those beyond the limit of either rolling window."""

    def __init__(self, clock, per_minute, per_hour):
        self.clock = clock
        self.limits = [(per_minute, 60), (per_hour, 3600)]
        self.arrived = []
        self.refused = 0

    def __call__(self, request):
        for limit, seconds in self.limits:
            if sum(moment > self.clock.now - seconds for moment in self.arrived) >= limit:
                self.refused += 1
                return THROTTLE
        self.arrived.append(self.clock.now)
        return ACCEPTED if request.method == "DELETE" else DONE


@given(st.randoms(use_true_random=False), st.integers(1, 6), st.integers(6, 40), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=60)
def test_strict_windows_never_refuse_a_call_however_long_calls_travel_and_sleepers_oversleep(
    chance, per_minute, per_hour, submits, polls
):
    clock = Clock()
    shared = pacing(clock, per_minute, per_hour)
    kore = StrictWindows(clock, per_minute, per_hour)
    conversations = [submit_erasure(REQUEST, shared) for _ in range(submits)]
    conversations += [fetch_status("eud-1", shared) for _ in range(polls)]
    chance.shuffle(conversations)
    everything = play_all(
        conversations,
        kore,
        clock,
        travel=lambda: chance.choice([0.01, 0.2, 3, 20]),
        late=lambda: chance.choice([0, 0.01, 2]),
    )
    assert kore.refused == 0
    assert all(len(played.requests) == 1 for played in everything)


def test_a_thousand_that_wait_wake_up_a_few_times_each():
    clock = Clock()
    shared = pacing(clock, 60, 1800)
    conversations = [submit_erasure(REQUEST, shared) for _ in range(500)]
    conversations += [fetch_status("eud-1", shared) for _ in range(500)]
    kore = StrictWindows(clock, 60, 1800)
    everything = play_all(conversations, kore, clock, travel=lambda: 0.1)
    assert kore.refused == 0
    assert clock.now - 1000 <= 17 * 60
    assert sum(len(played.pauses) for played in everything) <= 12 * len(everything)
    assert max(len(played.pauses) for played in everything) <= 40


def test_of_many_calls_that_are_throttled_at_once_one_tells_the_log(caplog):
    clock = Clock()
    shared = pacing(clock)
    answers = iter([THROTTLE] * 30 + [DONE] * 30)
    play_all([fetch_status("eud-1", shared) for _ in range(30)], lambda _: next(answers), clock, travel=lambda: 0.1)
    assert len([record for record in caplog.records if "rate limit" in record.getMessage()]) == 1


# --- asking -----------------------------------------------------------------------------------------------------


def test_the_status_is_one_get_without_a_body():
    played = ask([DONE])
    (request,) = played.requests
    assert (request.method, request.path, request.body) == (
        "GET",
        "/api/public/bot/eraseUsersData/status/eud-1",
        None,
    )
    assert [entry.outcome for entry in played.result.entries] == [Outcome.ERASED]


def test_a_request_id_that_leads_elsewhere_is_not_asked_for():
    clock = Clock()
    with pytest.raises(KoreInputError):
        play(fetch_status("../../x", pacing(clock)), [], clock)


PASSING = [
    LOST,
    REFUSED_CONNECTION,
    http(500),
    error(503, PERSON),
    http(504, b"<html>"),
    http(200),
    http(200, b"<html>login</html>"),
    http(200, b'{"response": [], "response": []}'),
]
UNREADABLE = [http(200, []), http(200, {"_id": "eud-2"}), http(200, {"errors": [PERSON]}), http(200, {"response": 1})]


@pytest.mark.parametrize("reply", PASSING)
def test_a_passing_fault_is_asked_again_with_growing_pauses_and_then_given_up(reply):
    assert ask([reply] * (ATTEMPTS - 1) + [DONE]).result.request_id == "eud-1"
    _, played = failed(ask, [reply] * ATTEMPTS, KoreUnavailableError, Consequence.SENT)
    assert len(played.requests) == ATTEMPTS
    assert len(played.pauses) == ATTEMPTS - 1
    for number, pause in enumerate(played.pauses):
        assert 0.5 * 2**number <= pause <= 2**number


@pytest.mark.parametrize("reply", UNREADABLE)
def test_an_answer_in_a_wrong_form_is_unreadable_if_it_stays_so(reply):
    assert ask([reply, DONE]).result.request_id == "eud-1"
    _, played = failed(ask, [reply] * ATTEMPTS, KoreUnreadableAnswerError, Consequence.SENT)
    assert len(played.requests) == ATTEMPTS


@given(st.lists(st.sampled_from(PASSING + UNREADABLE), min_size=ATTEMPTS, max_size=ATTEMPTS))
def test_asking_ends_as_unreadable_only_if_no_attempt_met_a_passing_fault(replies):
    expected = KoreUnreadableAnswerError if all(reply in UNREADABLE for reply in replies) else KoreUnavailableError
    failed(ask, replies, expected, Consequence.SENT)


@pytest.mark.parametrize(
    "replies",
    [
        [http(500), http(502, b"<html>"), http(200, b'{"_id": "eud-1", "resp'), http(200, b"null")],
        [http(200, b"null"), http(200, b"null"), http(200, b"null"), http(503)],
        [http(200, b"null"), LOST, http(200, b"null"), http(200, b"null")],
    ],
)
def test_a_passing_fault_is_told_as_one_whatever_is_answered_before_or_after_it(replies):
    problem, _ = failed(ask, replies, KoreUnavailableError, Consequence.SENT)
    assert "not understood" not in problem.problem


@pytest.mark.parametrize(
    ("replies", "error_type"),
    [
        ([error(400, f"Invalid request {PERSON}")], KoreUnknownRequestError),
        ([error(404, "not found")], KoreUnknownRequestError),
        ([http(404, b"<html>no such page</html>")], KoreUnavailableError),
        ([http(400)], KoreUnavailableError),
        ([error(403, PERSON)], KorePermissionError),
        ([BAD_TOKEN, BAD_TOKEN], KoreAuthenticationError),
        ([replace(DONE, status=300)], KoreConfigurationError),
        ([http(302)], KoreConfigurationError),
        ([http(405)], KoreConfigurationError),
        ([error(422, PERSON)], KoreRequestError),
    ],
)
def test_a_refusal_is_not_asked_again(replies, error_type):
    _, played = failed(ask, replies, error_type, Consequence.SENT)
    assert len(played.requests) == len(replies)


def test_a_refused_token_is_signed_again_once_for_asking_too():
    assert ask([BAD_TOKEN, DONE]).result.request_id == "eud-1"


@given(st.lists(st.sampled_from([*PASSING, *UNREADABLE, THROTTLE, BAD_TOKEN, DONE, error(400, "x")]), min_size=20))
def test_asking_always_ends_with_an_understood_answer_or_an_error_that_says_it_was_sent(replies):
    assume(DONE in replies)
    played = Played(Clock())
    outcome = None
    try:
        ask([*replies, *[DONE] * 9], played.clock, played=played)
    except KoreError as failure:
        outcome = failure
    if outcome is None:
        assert played.result.request_id == "eud-1"
    else:
        assert outcome.consequence is Consequence.SENT
        assert "Xq7ZwK9" not in f"{outcome}{outcome!r}"


# --- a single exchange ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [LOST, REFUSED_CONNECTION, http(500), BAD_TOKEN, DONE, THROTTLE])
def test_a_single_exchange_returns_whatever_is_answered_and_repeats_nothing(reply):
    clock = Clock()
    shared = pacing(clock)
    played = play(exchange_once(Request("GET", "/any"), Call.STATUS, shared), [reply], clock)
    assert (played.result, len(played.requests), played.pauses) == (reply, 1, [])
    assert shared.budget.seconds_until_turn(Call.STATUS) == (60 if reply is THROTTLE else 0)


def test_a_single_exchange_is_not_made_after_the_deadline():
    clock = Clock()
    shared = pacing(clock, per_minute=1)
    play(submit_erasure(REQUEST, shared), [ACCEPTED], clock)
    with pytest.raises(KoreThrottledError):
        play(exchange_once(Request("GET", "/any"), Call.STATUS, shared, clock.now + 30), [], clock)


# --- reading history and members --------------------------------------------------------------------------------

SINCE = datetime(2026, 9, 1, tzinfo=UTC)
NOTHING = {"total": 0, "moreAvailable": False, "availableMore": False, "sessions": [], "messages": [], "users": []}


def query(kind):
    return HistoryQuery(kind, PERSON, "st-1", SINCE, SINCE + timedelta(days=1))


def read_sessions(reply, clock=None, *, played=None, give_up_at=None, **budget):
    clock = clock or Clock()
    conversation = fetch_history_page(query(HistoryKind.SESSIONS), 100, pacing(clock, **budget), give_up_at)
    return play(conversation, reply, clock, played=played)


def read_messages(reply, clock=None, *, played=None, give_up_at=None, **budget):
    clock = clock or Clock()
    conversation = fetch_history_page(query(HistoryKind.MESSAGES), 0, pacing(clock, **budget), give_up_at)
    return play(conversation, reply, clock, played=played)


def read_members(reply, clock=None, *, played=None, give_up_at=None, **budget):
    clock = clock or Clock()
    return play(fetch_members(pacing(clock, **budget), give_up_at), reply, clock, played=played)


READING = pytest.mark.parametrize("call", [read_sessions, read_messages, read_members])


def test_a_page_of_history_is_one_post():
    played = read_sessions([http(200, NOTHING | {"total": 101, "sessions": [{"sessionId": "s-1"}]})])
    (request,) = played.requests
    assert (request.method, request.path) == ("POST", "/api/public/bot/st-1/getSessions")
    assert json.loads(request.body)["skip"] == 100
    assert (played.result.total, played.result.items) == (101, ({"sessionId": "s-1"},))
    (request,) = read_messages([http(200, NOTHING)]).requests
    assert request.path == "/api/public/bot/st-1/getMessages"


@READING
@pytest.mark.parametrize("reply", PASSING)
def test_a_passing_fault_of_any_reading_is_asked_again_and_then_given_up(call, reply):
    assert len(call([reply] * (ATTEMPTS - 1) + [http(200, NOTHING)]).requests) == ATTEMPTS
    _, played = failed(call, [reply] * ATTEMPTS, KoreUnavailableError, Consequence.ONLY_READ)
    assert len(played.pauses) == ATTEMPTS - 1


@READING
@pytest.mark.parametrize("reply", [http(200, []), http(200, {"errors": [PERSON]}), http(200, {"total": 1})])
def test_any_answer_in_a_wrong_form_is_unreadable_if_it_stays_so(call, reply):
    assert len(call([reply, http(200, NOTHING)]).requests) == 2
    failed(call, [reply] * ATTEMPTS, KoreUnreadableAnswerError, Consequence.ONLY_READ)


@READING
@pytest.mark.parametrize(
    ("replies", "error_type"),
    [
        ([error(400, f"Invalid userId {PERSON}")], KoreRequestError),
        ([error(404, "not found")], KoreRequestError),
        ([http(404, b"<html>no such page</html>")], KoreUnavailableError),
        ([http(408)], KoreUnavailableError),
        ([error(403, PERSON)], KorePermissionError),
        ([BAD_TOKEN, BAD_TOKEN], KoreAuthenticationError),
        ([http(302)], KoreConfigurationError),
    ],
)
def test_a_refusal_of_any_reading_is_not_asked_again(call, replies, error_type):
    _, played = failed(call, replies, error_type, Consequence.ONLY_READ)
    assert len(played.requests) == len(replies)


@READING
def test_any_reading_waits_out_throttles_until_it_must_give_up(call):
    played = call([http(429, None, "40"), BAD_TOKEN, http(200, NOTHING)])
    assert played.sent_at == [1000, pytest.approx(1040), pytest.approx(1040)]
    problem, _ = failed(call, [http(429, None, "100")], KoreThrottledError, Consequence.ONLY_READ, give_up_at=1050.0)
    assert "Clear the task to continue" in problem.remedy


class Roles:
    """Lists members, page by page."""

    def __init__(self, members, page, total=None):
        self.members, self.page, self.total = members, page, len(members) if total is None else total

    def __call__(self, request):
        assert request.method == "GET"
        path, _, values = request.path.partition("?")
        assert path == "/api/public/alluserroles"
        parameters = dict(value.split("=") for value in values.split("&"))
        begin = int(parameters["offset"])
        end = begin + min(self.page, int(parameters["limit"]))
        users = [{"userId": f"u-{member}"} for member in self.members[begin:end]]
        return http(200, {"total": self.total, "availableMore": end < len(self.members), "users": users})


@given(st.integers(0, 130), st.integers(1, 60))
@settings(max_examples=50)
def test_all_pages_of_members_are_read(count, page):
    played = read_members(Roles(list(range(count)), page))
    assert played.result == tuple(frozenset({f"u-{member}"}) for member in range(count))
    assert len(played.requests) == max(-(-count // min(page, 50)), 1)


@pytest.mark.parametrize(
    "roles",
    [
        Roles([1, 2, 3], 2, total=4),
        Roles([1, 2, 2, 3], 2),
        Roles([1, 2, 1, 2, 1, 2], 2),
        lambda _: http(200, NOTHING | {"total": 5, "availableMore": True}),
        lambda _: http(200, NOTHING | {"total": 5, "availableMore": True, "users": [{"userId": "u-1"}]}),
    ],
)
def test_pages_of_members_that_do_not_add_up_are_unreadable(roles):
    failed(read_members, roles, KoreUnreadableAnswerError, Consequence.ONLY_READ)


def test_a_total_that_changes_between_pages_of_members_is_unreadable():
    pages = [
        http(200, {"total": total, "availableMore": total == 3, "users": [{"userId": f"u-{total}"}]})
        for total in (3, 2)
    ]
    failed(read_members, pages, KoreUnreadableAnswerError, Consequence.ONLY_READ)
