"""Which tokens the sandbox takes, and in which words it refuses the others."""

import base64
import json
from email.utils import parsedate_to_datetime

import jwt
import pytest

from airflow_provider_kore.sandbox.faults import Fault

INVALID = (401, "Invalid SDK credentials", 4002)
OTHER_SECRET = "another-secret-" * 8


def test_a_right_token_is_accepted(caller):
    assert caller().erase().status == 200


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"appId": "cs-other"}, id="another app"),
        pytest.param({"appId": None}, id="no app"),
        pytest.param({"appId": None, "appid": "cs-sandbox"}, id="app in another spelling"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": "  "}, id="blank subject"),
        pytest.param({"iss": "cs-sandbox"}, id="issuer as in the SDK flow"),
        pytest.param({"key": OTHER_SECRET}, id="another secret"),
        pytest.param({"algorithm": "HS512"}, id="another algorithm"),
    ],
)
def test_a_token_of_another_app_is_refused(caller, error, claims):
    caller = caller()
    assert error(caller.erase(token=caller.token(**claims))) == INVALID


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        pytest.param({"exp": None}, '"exp" claim must be a number', id="no exp"),
        pytest.param({"iat": None}, '"iat" claim must be a number', id="no iat"),
        pytest.param({"exp": float("nan")}, '"exp" claim must be a number', id="exp not a number"),
        pytest.param({"exp": 1_800_000_000}, "jwt expired", id="expires now"),
        pytest.param({"exp": 1_799_999_000}, "jwt expired", id="expired"),
        pytest.param({"iat": 1_800_000_061}, '"iat" claim is in the future', id="iat too far ahead"),
        pytest.param({"nbf": 1_800_000_061}, "jwt not active", id="not active yet"),
        pytest.param({"jti": None}, '"jti" claim is required', id="no jti"),
        pytest.param({"jti": ""}, '"jti" claim is required', id="empty jti"),
        pytest.param({"exp": 1_800_003_601}, 'if "jti" claim "exp" must be <= 1 hour(s)', id="lives too long"),
        pytest.param({"exp": 1_800_000_300_000}, 'if "jti" claim "exp" must be <= 1 hour(s)', id="exp in milliseconds"),
    ],
)
def test_a_token_with_wrong_times_or_no_id_is_refused(caller, error, claims, reason):
    caller = caller()
    answer = caller.erase(token=caller.token(**claims))
    assert error(answer) == (401, f"error verifying the jwt: {reason}", 401)


@pytest.mark.parametrize("claims", [{"exp": 1_800_003_600}, {"iat": 1_800_000_060}, {"jti": None, "kore_jti": "once"}])
def test_a_token_at_the_edge_is_accepted(caller, claims):
    caller = caller()
    assert caller.erase(token=caller.token(**claims)).status == 200


@pytest.mark.parametrize(
    ("spent_before", "fault", "body", "outcome"),
    [
        pytest.param(0, None, None, 200, id="accepted"),
        pytest.param(0, None, {}, 400, id="refused"),
        pytest.param(1, None, None, 429, id="throttled"),
        pytest.param(0, "reset-before", None, "reset", id="a fault strikes"),
    ],
)
def test_any_request_uses_its_token_up(caller, error, spent_before, fault, body, outcome):
    caller = caller(requests_per_minute=1)
    for _ in range(spent_before):
        caller.erase()
    if fault:
        caller.account.faults.pending.append(Fault(kind=fault))
    token = caller.token()
    for _ in range(2):
        answer = caller.erase(*([] if body is None else [body]), token=token)
    assert error(answer) == (401, "error verifying the jwt: possibly a replay", 401)
    assert [entry.outcome for entry in caller.account.log()[-2:]] == [outcome, 401]
    assert not caller.account.log()[-1].accepted


def test_without_enforce_jti_a_token_needs_no_id_and_may_live_long(caller):
    caller = caller(enforce_jti=False)
    token = caller.token(jti=None, exp=1_900_000_000)
    assert caller.erase(token=token).status == 200
    assert caller.erase(token=token).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"auth": None}, id="no token"),
        pytest.param({"auth": ""}, id="empty token"),
        pytest.param({"auth": "not.a.token"}, id="no JWT"),
        pytest.param({"auth": "Bearer {token}"}, id="bearer prefix"),
        pytest.param({"auth": None, "authorization": "{token}"}, id="another header"),
        pytest.param({"auth": None, "authorization": "Bearer {token}"}, id="another header and a prefix"),
    ],
)
def test_a_request_without_a_token_where_it_belongs_is_refused(caller, error, headers):
    caller = caller()
    headers = {name: value and value.format(token=caller.token()) for name, value in headers.items()}
    assert error(caller.erase(headers=headers)) == INVALID


@pytest.mark.parametrize("payload", [b"[]", b"null", b"{", b"\xff"])
def test_a_signed_payload_that_is_no_object_is_refused(caller, error, payload):
    caller = caller()
    token = jwt.PyJWS().encode(payload, caller.key, "HS256")
    assert error(caller.erase(token=token)) == INVALID


def test_an_unsigned_token_is_refused(caller, error):
    caller = caller()
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    payload = caller.token().split(".")[1]
    assert error(caller.erase(token=f"{header}.{payload}.")) == INVALID


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "RS512"])
def test_shared_secrets_and_key_pairs_sign_tokens(caller, rsa_caller, algorithm):
    one = rsa_caller if algorithm.startswith("RS") else caller
    assert one(algorithm=algorithm).erase().status == 200


def test_a_shared_secret_does_not_sign_for_an_app_with_a_key_pair(rsa_caller, error):
    caller = rsa_caller(algorithm="RS256")
    token = caller.token(key=OTHER_SECRET, algorithm="HS256")
    assert error(caller.erase(token=token)) == INVALID


@pytest.mark.parametrize("public_key", ["", "no key"])
def test_an_algorithm_with_key_pairs_needs_a_public_key(caller, public_key):
    with pytest.raises(ValueError, match="public_key"):
        caller(algorithm="RS256", public_key=public_key)


@pytest.mark.parametrize("offset", [-120, 120, 7200])
def test_a_clock_that_is_off_refuses_what_is_expired_or_of_the_future_by_that_clock(caller, error, offset):
    caller = caller(clock_offset=offset)
    now = 1_800_000_000 + offset
    refused = {
        "jwt expired": {"iat": now - 400, "exp": now},
        '"iat" claim is in the future': {"iat": now + 61, "exp": now + 300},
    }
    for reason, claims in refused.items():
        assert error(caller.erase(token=caller.token(**claims))) == (401, f"error verifying the jwt: {reason}", 401)
    assert caller.erase(token=caller.token(iat=now, exp=now + 300)).status == 200


def test_an_answer_is_dated_by_the_clock_that_tokens_are_checked_with(caller):
    account = caller(clock_offset=-120).account
    assert parsedate_to_datetime(account.date()).timestamp() == 1_800_000_000 - 120


def test_where_encryption_is_enforced_a_signed_token_is_refused(caller, error):
    status, text, _ = error(caller(enforce_jwe=True).erase())
    assert status == 401
    assert "JWE" in text


@pytest.mark.parametrize("status", [403, 401])
def test_an_app_without_the_scope_is_refused(caller, error, status):
    caller = caller(scope_granted=False, missing_scope_status=status)
    assert error(caller.erase())[0] == status
    assert error(caller.status("eud-1"))[0] == status


def test_the_status_call_needs_a_token_too(caller, error):
    caller = caller()
    request_id = caller.accept()
    assert error(caller.status(request_id, token="none")) == INVALID
