"""From an answer to the right exception, and to words that name nobody."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.errors import (
    Call,
    admin_console,
    describe,
    error_message,
    read_failure,
    unreachable,
    unreadable,
)
from airflow_provider_kore.api.exchange import Answer
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAuthenticationError,
    KoreConfigurationError,
    KorePermissionError,
    KoreRequestError,
    KoreUnavailableError,
    KoreUnknownRequestError,
    KoreUnreadableAnswerError,
)

NO_SUCH = ApiProfile(unknown_request_statuses=[410, 500], unknown_request_text="no such request")
READING = (Call.SESSIONS, Call.MESSAGES, Call.ROLES)
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
UNAUTHORIZED = "Unauthorized to perform this activity"
ECHO = "No such user Xq7ZwK9@example.com"


def answer(status, retry_after=None):
    return Answer(status, retry_after, b"")


@pytest.mark.parametrize(
    ("call", "status", "text", "error_type", "words"),
    [
        (Call.ERASE, 400, ECHO, KoreRequestError, "owner or member of an account"),
        (Call.ERASE, 400, "Invalid StreamId", KoreRequestError, "does not know the bot"),
        (Call.ERASE, 401, "Invalid SDK credentials", KoreAuthenticationError, "invalid SDK credentials"),
        (Call.ERASE, 401, "error verifying the jwt: possibly a replay", KoreAuthenticationError, "replay"),
        (
            Call.ERASE,
            401,
            'error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)',
            KoreAuthenticationError,
            "lives too long",
        ),
        (Call.ERASE, 401, "jwt expired", KoreAuthenticationError, "clock"),
        (Call.STATUS, 401, ECHO, KoreAuthenticationError, "Client ID"),
        (Call.STATUS, 401, ECHO, KoreAuthenticationError, "Enforce JWE unticked"),
        (Call.ERASE, 401, "invalid compact JWE", KoreAuthenticationError, "untick Enforce JWE"),
        (Call.STATUS, 401, "error decrypting the jwt", KoreAuthenticationError, "untick Enforce JWE"),
        (Call.STATUS, 400, "The token must be encrypted", KoreAuthenticationError, "untick Enforce JWE"),
        (Call.STATUS, 403, "JWE is enforced", KoreAuthenticationError, "untick Enforce JWE"),
        (Call.STATUS, 404, "No jwe", KoreUnknownRequestError, "does not know the request id"),
        (Call.ERASE, 400, "Too many userIds", KoreRequestError, "largest_batch"),
        (Call.STATUS, 422, ECHO, KoreRequestError, "unknown_request_statuses"),
        (Call.ERASE, 403, ECHO, KorePermissionError, "does not let it erase"),
        (Call.STATUS, 403, None, KorePermissionError, "does not let it erase"),
        (Call.ERASE, 404, ECHO, KoreConfigurationError, "base URL"),
        (Call.ERASE, 405, "Method Not Allowed", KoreConfigurationError, "method not allowed"),
        (Call.STATUS, 405, None, KoreConfigurationError, "proxy"),
        (Call.STATUS, 408, None, KoreUnavailableError, "passes"),
        *((call, 400, UNAUTHORIZED, KorePermissionError, "does not let it") for call in Call),
        (Call.STATUS, 404, UNAUTHORIZED, KorePermissionError, "not authorized for this"),
        (Call.ERASE, 401, UNAUTHORIZED, KorePermissionError, "Profile Management"),
        (Call.MESSAGES, 401, "Unauthorized", KoreAuthenticationError, "Client ID"),
        (Call.ERASE, 413, None, KoreRequestError, "refused the request"),
        (Call.ERASE, 422, ECHO, KoreRequestError, "refused the request"),
        (Call.STATUS, 422, ECHO, KoreRequestError, "refused the request"),
        (Call.ERASE, 301, None, KoreConfigurationError, "redirect"),
        (Call.STATUS, 302, None, KoreConfigurationError, "redirect"),
        (Call.STATUS, 400, ECHO, KoreUnknownRequestError, "does not know the request id"),
        (Call.STATUS, 404, ECHO, KoreUnknownRequestError, "does not know the request id"),
        (Call.STATUS, 400, None, KoreUnavailableError, "does not have the form"),
        (Call.STATUS, 404, None, KoreUnavailableError, "does not have the form"),
        (Call.STATUS, 500, ECHO, KoreUnavailableError, "fault"),
        (Call.STATUS, 503, None, KoreUnavailableError, "fault"),
        (Call.SESSIONS, 400, ECHO, KoreRequestError, "does not know the user"),
        (Call.SESSIONS, 404, ECHO, KoreRequestError, "refused the request"),
        (Call.MESSAGES, 400, "Invalid StreamId", KoreRequestError, "does not know the bot"),
        (Call.MESSAGES, 404, ECHO, KoreRequestError, "does not know the user"),
        (Call.MESSAGES, 422, ECHO, KoreRequestError, "refused the request"),
        (Call.ROLES, 400, ECHO, KoreRequestError, "base URL"),
        (Call.ROLES, 404, ECHO, KoreRequestError, "may not have this call"),
        *((call, status, None, KoreUnavailableError, "form") for call in READING for status in (400, 404)),
        *((call, 408, None, KoreUnavailableError, "passes") for call in READING),
        *((call, 503, ECHO, KoreUnavailableError, "fault") for call in READING),
        *((call, 302, None, KoreConfigurationError, "redirect") for call in READING),
        *((call, 405, None, KoreConfigurationError, "proxy") for call in READING),
        (Call.SESSIONS, 401, ECHO, KoreAuthenticationError, "Bot Analytics > Bot Sessions"),
        (Call.SESSIONS, 403, ECHO, KorePermissionError, "does not let it read users' sessions"),
        (Call.MESSAGES, 401, ECHO, KoreAuthenticationError, "Bot Analytics > Chat History"),
        (Call.MESSAGES, 403, ECHO, KorePermissionError, "does not let it read users' messages"),
        (Call.ROLES, 401, ECHO, KoreAuthenticationError, "Profile Management > Role Management"),
        (Call.ROLES, 403, ECHO, KorePermissionError, "does not let it read the account's members"),
        *((Call.RECORDINGS, status, ECHO, KoreRequestError, "recordings_path") for status in (400, 404, 405, 422)),
        *((Call.RECORDINGS, status, None, KoreRequestError, "recordings_path") for status in (400, 404, 405, 409)),
        (Call.RECORDINGS, 401, ECHO, KoreAuthenticationError, "the bot's own settings"),
        (Call.RECORDINGS, 403, ECHO, KorePermissionError, "does not let it delete call recordings"),
        (Call.RECORDINGS, 408, None, KoreUnavailableError, "passes"),
        (Call.RECORDINGS, 303, None, KoreConfigurationError, "redirect"),
        (Call.RECORDINGS, 503, ECHO, KoreUnavailableError, "fault"),
    ],
)
def test_each_failure_has_its_exception_and_words(call, status, text, error_type, words):
    error = read_failure(call, answer(status), text, 4002)
    assert type(error) is error_type
    assert words in str(error)
    assert f"{call.value}: HTTP {status}, code 4002" in error.problem
    assert "Xq7ZwK9" not in f"{error}{error!r}"
    expected = {
        Call.ERASE: Consequence.NOT_ACCEPTED,
        Call.STATUS: Consequence.SENT,
        Call.RECORDINGS: Consequence.RECORDINGS_LEFT,
    }
    assert error.consequence is expected.get(call, Consequence.ONLY_READ)
    assert not {"{", "}"} & set(str(error))


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("call", Call)
def test_a_refused_key_or_scope_names_the_scope_of_the_call_and_the_admin_console(call, status):
    remedy = read_failure(call, answer(status), None, None).remedy
    assert admin_console(call) in remedy
    assert "Admin Console" in remedy


@pytest.mark.parametrize("call", [Call.ERASE, Call.STATUS])
def test_the_scope_to_erase_is_named_as_old_and_new_versions_name_it(call):
    remedy = admin_console(call)
    for words in ("Admin Console", "Profile Management > Delete Users Data", "Bot Analytics > Delete Users Data"):
        assert words in remedy


@given(
    st.sampled_from(Call),
    st.integers(300, 599),
    st.text(min_size=3),
    st.sampled_from(["", "expired ", "possibly a replay ", "Invalid StreamId "]),
    st.none() | st.integers() | st.text(max_size=9) | st.booleans(),
)
def test_no_text_of_kore_is_ever_shown(call, status, text, known, code):
    mark = f"Xq7ZwK9{text}"
    error = read_failure(call, answer(status), known + mark, f"{mark}{code}" if isinstance(code, str) else code)
    assert "Xq7ZwK9" not in f"{error}{error!r}"


def test_a_text_that_is_withheld_is_said_to_be():
    assert describe(answer(400), "x" * 17, None) == (
        "HTTP 400, a text of 17 characters that is withheld, since it may name a user"
    )
    assert describe(answer(400), None, True) == "HTTP 400"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"errors": [{"msg": "no", "code": 4002}]}, ("no", 4002)),
        ({"errors": [{"msg": "no"}, {"msg": "other"}]}, ("no", None)),
        ({"errors": [{"msg": 7, "code": 4002}]}, (None, 4002)),
        ({"errors": [{}]}, (None, None)),
        ({"errors": ["no"]}, (None, None)),
        ({"errors": []}, (None, None)),
        ({"errors": "no"}, (None, None)),
        ({"errors": {"msg": "no"}}, (None, None)),
        ({"error": "no"}, (None, None)),
        ([], (None, None)),
        (None, (None, None)),
        ("no", (None, None)),
    ],
)
def test_text_and_code_are_read_from_the_usual_shape_only(document, expected):
    assert error_message(document) == expected


def test_only_erasing_and_deleting_do_not_only_read():
    assert [call for call in Call if not call.only_reads] == [Call.ERASE, Call.RECORDINGS]


@pytest.mark.parametrize("call", [call for call in Call if call.only_reads])
def test_an_answer_that_is_not_understood_names_its_call(call):
    error = unreadable(call, "it is a poem")
    assert type(error) is KoreUnreadableAnswerError
    assert f"the {call.value} in a form that is not understood: it is a poem." in error.problem
    assert error.consequence is (Consequence.SENT if call is Call.STATUS else Consequence.ONLY_READ)


@pytest.mark.parametrize(
    ("call", "consequence"),
    [
        (Call.ERASE, Consequence.NOT_ACCEPTED),
        (Call.STATUS, Consequence.SENT),
        *((call, Consequence.ONLY_READ) for call in READING),
    ],
)
def test_a_call_that_is_not_received_changes_nothing(call, consequence):
    error = unreachable(call, "ConnectError")
    assert type(error) is KoreUnavailableError
    assert error.consequence is consequence
    assert "ConnectError" in error.problem


@pytest.mark.parametrize(
    ("call", "status", "text", "error_type"),
    [
        (Call.STATUS, 410, "No such request id", KoreUnknownRequestError),
        (Call.STATUS, 500, "NO SUCH REQUEST", KoreUnknownRequestError),
        (Call.STATUS, 500, ECHO, KoreUnavailableError),
        (Call.STATUS, 500, None, KoreUnavailableError),
        (Call.STATUS, 400, "no such request", KoreRequestError),
        (Call.STATUS, 410, ECHO, KoreRequestError),
        (Call.ERASE, 410, "no such request", KoreRequestError),
        (Call.SESSIONS, 500, "no such request", KoreUnavailableError),
    ],
)
def test_the_profile_says_how_kore_does_not_know_a_request_id(call, status, text, error_type):
    assert type(read_failure(call, answer(status), text, None, NO_SUCH)) is error_type
