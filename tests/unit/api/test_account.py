"""What a connection holds: the good is read, the doubtful is refused, and no secret is shown."""

import pytest

from airflow_provider_kore.api.account import read_account
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

SECRET = "Xq7ZwK9-secret"
HOST = "https://platform.kore.ai"


def read(host=HOST, port=None, login="cs-1", password=SECRET, **extra):
    return read_account(host=host, port=port, login=login, password=password, extra=extra)


def refused(**fields):
    with pytest.raises(KoreConfigurationError) as caught:
        read(**fields)
    error = caught.value
    assert error.consequence is Consequence.NOT_SENT
    assert error.remedy
    assert SECRET not in f"{error}{error!r}"
    return str(error)


def test_a_connection_with_the_least_is_read_with_safe_defaults():
    account = read()
    assert (account.base_url, account.client_id, account.client_secret) == (HOST, "cs-1", SECRET)
    assert (account.subject, account.algorithm, account.token_ttl, account.timeout) == ("airflow", "HS256", 300, 30.0)
    assert (account.requests_per_minute, account.requests_per_hour, account.max_users) == (60, 1800, 10_000)
    assert (account.allow_all_bots, account.allowed_bot_ids, account.ca_bundle) == (False, None, None)
    assert account.digest_key == ""


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("https://platform.kore.ai/", None, HOST),
        ("https://platform.kore.ai//", None, HOST),
        ("  https://platform.kore.ai ", None, HOST),
        ("HTTPS://Platform.Kore.AI", None, HOST),
        ("https://platform.kore.ai?", None, HOST),
        (HOST, 8443, f"{HOST}:8443"),
        (f"{HOST}:8443", None, f"{HOST}:8443"),
        (f"{HOST}:8443/", 9, f"{HOST}:8443"),
        ("http://localhost:8765", None, "http://localhost:8765"),
        ("http://localhost", 8765, "http://localhost:8765"),
        ("HTTP://LOCALHOST", None, "http://localhost"),
        ("http://127.0.0.1:8765", None, "http://127.0.0.1:8765"),
        ("http://127.9.9.9", None, "http://127.9.9.9"),
        ("http://[::1]:8765", None, "http://[::1]:8765"),
        ("http://[::1]", 8765, "http://[::1]:8765"),
        ("https://[2001:db8::1]/", None, "https://[2001:db8::1]"),
        ("https://k\u00f6re.example", None, "https://xn--kre-sna.example"),
    ],
)
def test_a_good_base_url_is_read(host, port, base_url):
    assert read(host=host, port=port).base_url == base_url


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (None, "no base URL"),
        ("", "no base URL"),
        ("  ", "no base URL"),
        ("platform.kore.ai", "no scheme"),
        ("platform.kore.ai:443", "no scheme"),
        ("//platform.kore.ai", "no scheme"),
        ("ftp://platform.kore.ai", "scheme ftp"),
        ("file:///etc/passwd", "scheme file"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://platform kore.ai", "names no host"),
        ("https://platform.kore.ai\n.evil.example", "names no host"),
        ("https://ko\u200bre.ai", "names no host"),
        ("https://kore\x00.ai", "names no host"),
        ("https://kore..ai", "cannot be read"),
        (f"https://{'k' * 64}.ai", "cannot be read"),
        ("https://kore.ai:0", "a port that does not exist"),
        (f"https://user:{SECRET}@platform.kore.ai", "user name or password"),
        (f"https://{SECRET}@platform.kore.ai", "user name or password"),
        ("https://@platform.kore.ai", "user name or password"),
        (f"{HOST}/api/public", "path, query or fragment"),
        (f"{HOST}?x={SECRET}", "path, query or fragment"),
        (f"{HOST}#x", "path, query or fragment"),
        (f"{HOST}:port", "cannot be read"),
        (f"{HOST}:99999", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("http://platform.kore.ai", "is http"),
        ("http://localhost.example.com", "is http"),
        ("http://10.0.0.1", "is http"),
        ("http://[2001:db8::1]", "is http"),
        ("http://0.0.0.0", "is http"),
    ],
)
def test_a_bad_base_url_is_refused(host, words):
    assert words in refused(host=host)


@pytest.mark.parametrize("login", [None, "", "  "])
def test_a_connection_without_a_client_id_is_refused(login):
    assert "no Client ID" in refused(login=login)


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
@pytest.mark.parametrize("password", [None, ""])
def test_a_shared_secret_is_needed_to_sign_with_one(algorithm, password):
    assert "no Client Secret" in refused(algorithm=algorithm, password=password, private_key="key")


@pytest.mark.parametrize("password", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\r\n", f"{SECRET}\u200b", f"a\n{SECRET}"])
def test_a_client_secret_that_was_pasted_with_more_than_itself_is_refused(password):
    assert "Client Secret" in refused(password=password)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_does_not_exist_is_refused(port):
    assert "a port that does not exist" in refused(port=port)


@pytest.mark.parametrize("algorithm", ["RS256", "RS512"])
def test_a_private_key_is_needed_to_sign_with_one(algorithm):
    assert "no private_key" in refused(algorithm=algorithm)
    assert read(algorithm=algorithm, private_key="key", password=None).algorithm == algorithm


@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("subject", "dpo", "dpo"),
        ("algorithm", "HS512", "HS512"),
        ("token_ttl", 1, 1),
        ("token_ttl", 3600, 3600),
        ("token_ttl", "300", 300),
        ("token_ttl", " 300 ", 300),
        ("token_ttl", 300.0, 300),
        ("timeout", 0.5, 0.5),
        ("timeout", "2.5", 2.5),
        ("timeout", 3600, 3600.0),
        ("requests_per_minute", 1, 1),
        ("requests_per_hour", "10", 10),
        ("max_users", 1, 1),
        ("allow_all_bots", True, True),
        ("allow_all_bots", False, False),
        ("allow_all_bots", "true", True),
        ("allow_all_bots", "False", False),
        ("allow_all_bots", " TRUE ", True),
        ("allowed_bot_ids", ["st-1", "st-2"], ("st-1", "st-2")),
        ("allowed_bot_ids", "st-1, st-2", ("st-1", "st-2")),
        ("allowed_bot_ids", "st-1\nst-2,\n", ("st-1", "st-2")),
        ("allowed_bot_ids", '["st-1", "st-2"]', ("st-1", "st-2")),
        ("allowed_bot_ids", ' [\n"st-1"\n] ', ("st-1",)),
        ("allowed_bot_ids", [" st-1 ", ""], ("st-1",)),
        ("digest_key", SECRET, SECRET),
        ("receipt_key_variable", " kore_receipts ", "kore_receipts"),
        ("receipt_key", " -----BEGIN KEY-----\\nabc\\n-----END-----", "-----BEGIN KEY-----\nabc\n-----END-----\n"),
        ("seal_key", "-----BEGIN KEY-----\\nabc\\n-----END-----", "-----BEGIN KEY-----\nabc\n-----END-----\n"),
        ("seal_key", '{"keys": []}', '{"keys": []}\n'),
        ("seal_key_variable", "kore_seal", "kore_seal"),
        (
            "private_key",
            "-----BEGIN KEY-----\\nabc\\n-----END-----",
            "-----BEGIN KEY-----\nabc\n-----END-----\n",
        ),
    ],
)
def test_a_good_field_is_read_in_its_own_type_or_as_text(name, value, read_as):
    got = getattr(read(**{name: value}), name)
    assert got == read_as
    assert type(got) is type(read_as)


FIELDS = [
    "subject",
    "algorithm",
    "private_key",
    "token_ttl",
    "timeout",
    "ca_bundle",
    "requests_per_minute",
    "requests_per_hour",
    "allow_all_bots",
    "allowed_bot_ids",
    "max_users",
    "digest_key",
    "receipt_key",
    "receipt_key_variable",
    "api_profile",
    "seal_key",
    "seal_key_variable",
]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_field_is_as_if_left_out(name, value):
    assert read(**{name: value}) == read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", 7),
        ("subject", True),
        ("algorithm", "none"),
        ("algorithm", "hs256"),
        ("algorithm", "ES256"),
        ("algorithm", ["HS256"]),
        ("algorithm", SECRET),
        ("private_key", 7),
        ("token_ttl", 0),
        ("token_ttl", -1),
        ("token_ttl", 3601),
        ("token_ttl", True),
        ("token_ttl", 300.5),
        ("token_ttl", "300.5"),
        ("token_ttl", "5 min"),
        ("token_ttl", float("nan")),
        pytest.param("token_ttl", "9" * 5000, id="token_ttl-huge"),
        ("token_ttl", [300]),
        ("token_ttl", SECRET),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", 3601),
        ("timeout", True),
        ("timeout", "nan"),
        ("timeout", "inf"),
        ("timeout", "soon"),
        pytest.param("timeout", 10**400, id="timeout-huge"),
        ("timeout", [30]),
        ("ca_bundle", "/no/such/file.pem"),
        ("ca_bundle", 7),
        ("ca_bundle", f"-----BEGIN CERTIFICATE-----{SECRET * 30}"),
        ("ca_bundle", f"a\0{SECRET}"),
        ("requests_per_minute", 0),
        ("requests_per_hour", 0),
        ("requests_per_hour", "many"),
        ("allow_all_bots", 1),
        ("allow_all_bots", 0),
        ("allow_all_bots", "yes"),
        ("allow_all_bots", "1"),
        ("allow_all_bots", []),
        ("allowed_bot_ids", []),
        ("allowed_bot_ids", " , "),
        ("allowed_bot_ids", ["", " "]),
        ("allowed_bot_ids", ["st-1", 7]),
        ("allowed_bot_ids", {"st-1": True}),
        ("allowed_bot_ids", 7),
        ("allowed_bot_ids", True),
        ("allowed_bot_ids", "[]"),
        ("allowed_bot_ids", "[st-1, st-2]"),
        ("allowed_bot_ids", '["st-1", 7]'),
        ("allowed_bot_ids", '["st-1"'),
        ("allowed_bot_ids", '{"st-1": true}'),
        ("allowed_bot_ids", '"st-1", "st-2"'),
        ("allowed_bot_ids", "st-1 st-2"),
        ("allowed_bot_ids", ["st-1,st-2"]),
        pytest.param("allowed_bot_ids", "[" * 100_000, id="allowed_bot_ids-deep"),
        ("max_users", 0),
        ("max_users", "all"),
        ("digest_key", 7),
        ("digest_key", f" {SECRET}"),
        ("digest_key", f"{SECRET}\n"),
        ("digest_key", f"{SECRET}\u00a0"),
        ("digest_key", " "),
        ("digest_key", f"{SECRET}\n{SECRET}"),
        ("digest_key", f"\ufeff{SECRET}"),
        ("digest_key", f"{SECRET}\ud800"),
        ("receipt_key", 7),
        ("receipt_key_variable", 7),
        ("receipt_key_variable", " "),
        ("receipt_key_variable", f"-----BEGIN PRIVATE KEY-----\n{SECRET}"),
        ("seal_key_variable", f'{{"keys": [{{"d": "{SECRET}"}}]}}'),
    ],
)
def test_a_bad_field_is_refused_by_name(name, value):
    assert f"field {name}" in refused(**{name: value})


def test_a_field_that_is_not_known_is_refused_since_a_misspelled_guard_guards_nothing():
    words = refused(allowed_bots=SECRET, alow_all_bots=False)
    assert "allowed_bots, alow_all_bots" in words
    assert all(name in words for name in FIELDS)


@pytest.mark.parametrize("name", ["receipt_key", "seal_key"])
def test_a_key_in_two_places_is_refused(name):
    assert f"both {name} and {name}_variable" in refused(**{name: SECRET, f"{name}_variable": "name"})


def test_a_certificate_file_that_exists_is_accepted(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert read(ca_bundle=str(bundle)).ca_bundle == str(bundle)
    assert read(ca_bundle=str(tmp_path)).ca_bundle == str(tmp_path)


def test_no_repr_shows_a_secret():
    account = read(private_key=SECRET, digest_key=SECRET, receipt_key=SECRET, seal_key=SECRET)
    assert account.private_key.strip() == account.digest_key == account.client_secret == SECRET
    assert account.receipt_key.strip() == account.seal_key.strip() == SECRET
    assert SECRET not in f"{account!r}{account}"


def test_the_fingerprint_key_depends_on_the_digest_key_before_the_secret():
    keys = [
        read(digest_key="a").fingerprint_key(),
        read(digest_key="b").fingerprint_key(),
        read().fingerprint_key(),
        read(password="other").fingerprint_key(),
        read(password=None, algorithm="RS256", private_key="key").fingerprint_key(),
        read(password=None, algorithm="RS256", private_key="yek").fingerprint_key(),
    ]
    assert len(set(keys)) == 6
    assert read(digest_key="a", password="other").fingerprint_key() == keys[0]
    assert SECRET.encode() not in keys[2]
