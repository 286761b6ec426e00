"""Which proxy and which certificates the environment names, and what is said where it names none that can be used."""

import base64
import ssl

import certifi
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.route import Proxy, find_route, proxy_for
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError

URL = "https://kore.example"
SECRET = "Xq7ZwK9"
TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def clear(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in TLS_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Set variables of an environment that has none else of proxies and certificates."""
    clear(monkeypatch)

    def environment(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return environment


def account(base_url=URL, **fields):
    return KoreAccount(base_url, "cs-1", client_secret="s" * 64, **fields)


def refused(**fields):
    with pytest.raises(KoreConfigurationError) as caught:
        KoreClient(account(**fields))
    assert caught.value.consequence is Consequence.NOT_SENT
    assert caught.value.remedy
    assert caught.value.__cause__ is None
    assert SECRET not in f"{caught.value}"
    return caught.value.problem


# --- the proxy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        (URL, {}, None),
        (URL, {"HTTPS_PROXY": "http://proxy:1"}, "http://proxy:1"),
        (URL, {"HTTPS_PROXY": "proxy:1"}, "http://proxy:1"),
        (URL, {"HTTPS_PROXY": "proxy"}, "http://proxy:80"),
        (URL, {"HTTPS_PROXY": "https://Proxy/"}, "https://proxy:443"),
        (URL, {"HTTPS_PROXY": "http://[::1]:3128"}, "http://[::1]:3128"),
        (URL, {"HTTPS_PROXY": ""}, None),
        (URL, {"ALL_PROXY": "http://proxy:2"}, "http://proxy:2"),
        (URL, {"HTTP_PROXY": "http://proxy:3"}, None),
        (URL, {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"}, "http://lower:2"),
        (URL, {"HTTPS_PROXY": "http://proxy:1", "https_proxy": ""}, None),
        (URL, {"ALL_PROXY": "socks5://proxy:1", "HTTPS_PROXY": "http://proxy:2"}, "http://proxy:2"),
        (URL, {"ALL_PROXY": "socks5://proxy:1", "NO_PROXY": "kore.example"}, None),
        (URL, {"HTTPS_PROXY": "nonsense://", "no_proxy": "*"}, None),
        (URL, {"HTTP_PROXY": "socks5://proxy:1", "HTTPS_PROXY": "http://proxy:2"}, "http://proxy:2"),
        ("http://127.0.0.1:1", {"HTTPS_PROXY": "socks5://proxy:1"}, None),
        ("http://127.0.0.1:1", {"HTTP_PROXY": "http://proxy:3"}, "http://proxy:3"),
    ],
)
def test_the_environment_names_the_proxy(environment, url, variables, proxy):
    environment(**variables)
    found = proxy_for(url)
    assert (None if found is None else found.url) == proxy
    KoreClient(account(url)).close()


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_bypassed"),
    [
        ("kore.example", URL, True),
        ("KORE.example", URL, True),
        ("example", URL, True),
        ("ore.example", URL, False),
        (".kore.example", URL, False),
        (".example", URL, True),
        ("*.example", URL, True),
        ("*.kore.example", URL, False),
        (" other.example , kore.example ", URL, True),
        ("other.example", URL, False),
        ("*", URL, True),
        ("other.example,*", URL, True),
        (",", URL, False),
        ("kore.example:443", URL, True),
        ("kore.example:8443", URL, False),
        ("kore.example:8443", f"{URL}:8443", True),
        ("kore.example:https", URL, False),
        ("https://kore.example", URL, True),
        ("http://kore.example", URL, False),
        ("all://kore.example", URL, True),
        ("localhost", "http://localhost:1", True),
        ("127.0.0.1", "http://127.0.0.1:1", True),
        ("127.0.0.1:1", "http://127.0.0.1:1", True),
        ("127.0.0.1:2", "http://127.0.0.1:1", False),
        ("127.0.0.0/8", "http://127.0.0.1:1", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.1/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", URL, False),
        ("::1", "http://[::1]:1", True),
        ("[::1]", "http://[::1]:1", True),
        ("[::1]:1", "http://[::1]:1", True),
        ("[::1]:2", "http://[::1]:1", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]:1", True),
        ("2001:db8::/32", "https://[2001:db8::7]", True),
        ("2001:db8::/32", "https://[2001:db9::7]", False),
        ("k\u00f6re.example", "https://xn--kre-sna.example", True),
    ],
)
def test_no_proxy_lists_names_addresses_networks_and_ports(environment, no_proxy, url, is_bypassed):
    environment(ALL_PROXY="http://proxy:1", NO_PROXY=no_proxy)
    assert (proxy_for(url) is None) is is_bypassed


LABELS = st.sampled_from(["kore", "example", "a", "localhost", "xn--kre-sna"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ADDRESSES = st.sampled_from(["10.0.0.1", "127.0.0.1", "[::1]", "[2001:db8::7]"])
PORTS = st.sampled_from(["", ":81", ":8443"])  # httpx lets no port of NO_PROXY match the usual one of a URL
SCHEMES = st.sampled_from(["http://", "https://"])
ENTRIES = st.one_of(
    st.just("*"),
    st.just(""),
    st.tuples(st.sampled_from(["", ".", "http://", "https://", "all://"]), NAMES, PORTS).map("".join),
    ADDRESSES.map(lambda text: text.strip("[]")),
)
PROXIES = st.none() | st.sampled_from(["http://proxy:1", "https://proxy:2", "proxy:3", ""])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(SCHEMES, NAMES | ADDRESSES, PORTS).map("".join),
    st.lists(ENTRIES, max_size=3).map(",".join),
    st.dictionaries(st.sampled_from(["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"]), PROXIES),
)
def test_the_proxy_is_the_one_that_httpx_takes(url, no_proxy, proxies):
    with pytest.MonkeyPatch.context() as monkeypatch:
        clear(monkeypatch)
        for name, value in {"NO_PROXY": no_proxy, **proxies}.items():
            if value is not None:
                monkeypatch.setenv(name, value)
        with httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
            pool = client._transport_for_url(httpx.URL(url))._pool
        theirs = getattr(pool, "_proxy_url", None)
        ours = proxy_for(url)
    expected = theirs and (theirs.scheme, theirs.host, theirs.port or {b"http": 80, b"https": 443}[theirs.scheme])
    found = ours and httpx.URL(ours.url)
    assert (
        found and (found.raw_scheme, found.raw_host, found.port or {"http": 80, "https": 443}[found.scheme])
    ) == expected


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"socks5://{SECRET}:{SECRET}@proxy:1080", "SOCKS"),
        ("socks5h://proxy", "SOCKS"),
        ("socks4://proxy", "SOCKS"),
        (f"ftp://{SECRET}@proxy", "neither http nor https"),
        (f"{SECRET}://proxy", "neither http nor https"),
        ("http://", "cannot be read"),
        ("http://:3128", "cannot be read"),
        (f"http://proxy:{SECRET}", "cannot be read"),
        ("http://proxy:70000", "cannot be read"),
        ("http://proxy:0", "cannot be read"),
        (f"http://{SECRET}:{SECRET}@:1", "cannot be read"),
        ("http://[::1", "cannot be read"),
        ("http://pro xy:1", "cannot be read"),
        ("http://proxy:1\n", "cannot be read"),
        ("http://pro..xy", "cannot be read"),
        (f"http://{'p' * 64}:1", "cannot be read"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_the_name_of_its_variable(environment, variable, value, words):
    environment(**{variable: value})
    problem = refused()
    assert problem.startswith(variable)
    assert words in problem


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_whatever_names_a_proxy_is_used_or_refused_by_name(value):
    with pytest.MonkeyPatch.context() as monkeypatch:
        clear(monkeypatch)
        monkeypatch.setenv("HTTPS_PROXY", value)
        refusal = ""
        try:
            proxy_for(URL)
        except KoreConfigurationError as error:
            refusal = error.problem
        assert not refusal or refusal.startswith("HTTPS_PROXY")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_whatever_no_proxy_holds_the_host_is_listed_or_not(value):
    with pytest.MonkeyPatch.context() as monkeypatch:
        clear(monkeypatch)
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
        monkeypatch.setenv("NO_PROXY", value)
        assert proxy_for(URL) in (None, Proxy("http://proxy:1"))


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [("me:pass", "me:pass"), ("me%40x:p%3A%20w", "me@x:p: w"), ("me", "me:"), ("\u00fc:\u20ac", "\u00fc:\u20ac")],
)
def test_the_credentials_of_a_proxy_are_sent_and_never_shown(environment, credentials, sent):
    environment(HTTPS_PROXY=f"http://{credentials}@proxy:1")
    proxy = proxy_for(URL)
    assert proxy.url == "http://proxy:1"
    kind, _, value = proxy.headers["Proxy-Authorization"].partition(" ")
    assert (kind, base64.b64decode(value).decode()) == ("Basic", sent)
    assert value not in repr(find_route(account()))


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def hashed_folder(tmp_path_factory):
    """A folder of certificates as OpenSSL reads it, with a name that any folder of it may have."""
    folder = tmp_path_factory.mktemp("hashed")
    (folder / "5ed36f99.0").write_text(ssl.DER_cert_to_PEM_cert(_first_certificate()))
    return folder


def _first_certificate():
    return ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)[0]


def test_without_any_word_the_usual_certificates_are_trusted():
    assert find_route(account()).tls.cert_store_stats()["x509_ca"] > 100


def test_no_context_turns_verification_off(environment, hashed_folder):
    for variables in ({}, {"SSL_CERT_FILE": certifi.where()}, {"SSL_CERT_DIR": hashed_folder}):
        environment(**variables)
        tls = find_route(account()).tls
        assert tls.check_hostname
        assert tls.verify_mode is ssl.CERT_REQUIRED
    tls = find_route(account("http://127.0.0.1:1")).tls
    assert (tls.check_hostname, tls.verify_mode, tls.cert_store_stats()["x509"]) == (True, ssl.CERT_REQUIRED, 0)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "ca_bundle"])
@pytest.mark.parametrize("content", ["missing", "text", "empty", "folder", "unnamed"])
def test_certificates_that_cannot_be_read_are_refused_by_the_name_of_what_is_at_fault(
    environment, tmp_path, variable, content
):
    path = tmp_path / SECRET
    if content in ("text", "empty"):
        path.write_text("no certificate" if content == "text" else "")
    if content in ("folder", "unnamed"):
        path.mkdir()
    if content == "unnamed":  # as somebody copies certificates there, whom OpenSSL then does not find
        (path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(_first_certificate()))
    if variable == "SSLKEYLOGFILE":
        if content in ("text", "empty"):
            return  # it can be written
        path = path / "missing" / "file" if content == "missing" else path
    fields = {"ca_bundle": str(path)} if variable == "ca_bundle" else environment(**{variable: path}) or {}
    assert variable in refused(**fields)


@pytest.mark.parametrize(
    ("base_url", "variables", "fields"),
    [
        (URL, {"SSL_CERT_FILE": "/missing.pem"}, {"ca_bundle": certifi.where()}),
        (URL, {"SSL_CERT_DIR": "/missing"}, {"ca_bundle": certifi.where()}),
        (URL, {"SSL_CERT_DIR": "/missing", "SSL_CERT_FILE": certifi.where()}, {}),
        (URL, {"SSL_CERT_FILE": ""}, {}),
        (URL, {"REQUESTS_CA_BUNDLE": "/missing.pem", "CURL_CA_BUNDLE": "/missing.pem"}, {}),
        ("http://127.0.0.1:1", {"SSL_CERT_FILE": "/missing.pem"}, {}),
        ("http://127.0.0.1:1", {"SSLKEYLOGFILE": "/missing/keys"}, {}),
    ],
)
def test_what_is_not_needed_hinders_nothing(environment, base_url, variables, fields):
    environment(**variables)
    KoreClient(account(base_url, **fields)).close()


def test_a_folder_among_others_is_enough(environment, hashed_folder):
    environment(SSL_CERT_DIR=f"/missing:{hashed_folder}")
    KoreClient(account()).close()
    environment(SSL_CERT_DIR="/missing")
    KoreClient(account(ca_bundle=str(hashed_folder))).close()


def test_a_proxy_of_https_needs_certificates_even_for_http(environment):
    environment(HTTP_PROXY="https://proxy:1", SSL_CERT_FILE="/missing.pem")
    assert "SSL_CERT_FILE" in refused(base_url="http://127.0.0.1:1")


# --- the rest of a client ---------------------------------------------------------------------------------------------


def test_whatever_else_the_making_of_a_client_raises_is_ours_and_without_its_text(monkeypatch):
    def break_down(**_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(httpx, "Client", break_down)
    assert "RuntimeError" in refused()
    monkeypatch.setattr(httpx, "create_ssl_context", break_down)
    assert "RuntimeError" in refused()


@pytest.mark.parametrize("secret", [f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----", "\ud800"])
def test_a_client_secret_that_cannot_sign_is_refused_by_its_name(secret):
    with pytest.raises(KoreConfigurationError, match="Client Secret") as caught:
        KoreAuth(KoreAccount(URL, "cs-1", client_secret=secret))
    assert SECRET not in str(caught.value)
