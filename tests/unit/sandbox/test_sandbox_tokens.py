"""Which tokens the sandbox takes, and in which words it refuses the others."""

import base64
import json

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


def test_a_token_is_good_for_one_request_only(caller, error):
    caller = caller()
    token = caller.token()
    assert caller.erase(token=token).status == 200
    assert error(caller.erase(token=token)) == (401, "error verifying the jwt: possibly a replay", 401)
    assert [entry.accepted for entry in caller.account.log()] == [True, False]


def test_a_token_is_used_up_by_a_request_that_is_refused(caller, error):
    caller = caller()
    token = caller.token()
    assert caller.erase({}, token=token).status == 400
    assert error(caller.erase(token=token))[1] == "error verifying the jwt: possibly a replay"


def test_a_token_is_used_up_by_a_throttled_request(caller, error):
    caller = caller(requests_per_minute=1)
    caller.erase()
    token = caller.token()
    assert caller.erase(token=token).status == 429
    assert error(caller.erase(token=token))[0] == 401


def test_a_token_is_used_up_by_a_request_that_a_fault_strikes(caller, error):
    caller = caller()
    caller.account.faults.pending.append(Fault(kind="reset-before"))
    token = caller.token()
    assert caller.erase(token=token).reset
    assert error(caller.erase(token=token))[0] == 401


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
    ],
)
def test_a_request_without_a_token_is_refused(caller, error, headers):
    assert error(caller().erase(headers=headers)) == INVALID


def test_a_bearer_prefix_is_refused(caller, error):
    caller = caller()
    assert error(caller.erase(headers={"auth": f"Bearer {caller.token()}"})) == INVALID


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_a_token_in_the_authorization_header_is_refused(caller, error, prefix):
    caller = caller()
    headers = {"auth": None, "authorization": prefix + caller.token()}
    assert error(caller.erase(headers=headers)) == INVALID


def test_an_unsigned_token_is_refused(caller, error):
    caller = caller()
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    payload = caller.token().split(".")[1]
    assert error(caller.erase(token=f"{header}.{payload}.")) == INVALID


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_shared_secrets_sign_tokens(caller, algorithm):
    assert caller(algorithm=algorithm).erase().status == 200


@pytest.mark.parametrize("algorithm", ["RS256", "RS512"])
def test_key_pairs_sign_tokens(rsa_caller, algorithm):
    assert rsa_caller(algorithm=algorithm).erase().status == 200


def test_a_shared_secret_does_not_sign_for_an_app_with_a_key_pair(rsa_caller, error):
    caller = rsa_caller(algorithm="RS256")
    token = caller.token(key=OTHER_SECRET, algorithm="HS256")
    assert error(caller.erase(token=token)) == INVALID


@pytest.mark.parametrize("public_key", ["", "no key"])
def test_an_algorithm_with_key_pairs_needs_a_public_key(caller, public_key):
    with pytest.raises(ValueError, match="public_key"):
        caller(algorithm="RS256", public_key=public_key)


@pytest.mark.parametrize("status", [403, 401])
def test_an_app_without_the_scope_is_refused(caller, error, status):
    caller = caller(scope_granted=False, missing_scope_status=status)
    assert error(caller.erase())[0] == status
    assert error(caller.status("eud-1"))[0] == status


def test_the_status_call_needs_a_token_too(caller, error):
    caller = caller()
    request_id = caller.accept()
    assert error(caller.status(request_id, token="none")) == INVALID
