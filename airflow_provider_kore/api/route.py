"""How Kore.ai is reached from this machine: by which proxy, and trusting which certificates; for both clients alike."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import httpx

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.exceptions import Consequence, KoreConfigurationError, KoreError

_PORTS = {"http": 80, "https": 443}

_EVERYWHERE = "on each worker and triggerer"


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    The proxy to use.

    :param url: its scheme, host and port.
    :param headers: what it asks for; they can contain a password.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """
    How to reach Kore.ai.

    :param proxy: the proxy to use; ``None`` for none.
    :param tls: what verifies certificates.
    """

    proxy: Proxy | None
    tls: ssl.SSLContext


def find_route(account: KoreAccount) -> Route:
    """
    Find how to reach Kore.ai, by the connection and the environment.

    What is not needed is not read: a variable that is at fault matters only where it decides something.

    :raises KoreConfigurationError: naming the variable or field that is at fault, without its value.
    """
    with client_faults():
        proxy = proxy_for(account.base_url)
        is_encrypted = any(url.startswith("https:") for url in (account.base_url, proxy.url if proxy else ""))
        if is_encrypted or account.ca_bundle is not None:
            return Route(proxy, _tls_context(account.ca_bundle))
        return Route(proxy, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # trusts nothing


@contextmanager
def client_faults() -> Iterator[None]:
    """Turn whatever the making of a client raises into an exception that does not show its text."""
    try:
        yield
    except KoreError:
        raise
    except Exception as error:  # noqa: BLE001 # each library has exceptions of its own
        if _key_log_fault():
            raise _key_log_refused() from None
        raise _fault(
            f"The client of Kore.ai cannot be made ({type(error).__name__}).",
            "Check the connection's base URL, and the environment of the process: its proxies, its certificates and "
            f"its OpenSSL, {_EVERYWHERE}.",
        ) from None


def _fault(problem: str, remedy: str) -> KoreConfigurationError:
    return KoreConfigurationError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)


# --- the proxy --------------------------------------------------------------------------------------------------------


def proxy_for(url: str) -> Proxy | None:
    """
    Find the proxy that the environment names for a URL.

    It is that of ``HTTPS_PROXY`` or ``HTTP_PROXY``, by the scheme of the URL, else that of ``ALL_PROXY``; none for a
    host that ``NO_PROXY`` lists. A name in lower case counts before one in upper case.

    :raises KoreConfigurationError: if there is one that cannot be used, naming the variable.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    if _is_bypassed(proxies.get("no", ""), parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]):
        return None
    for kind in (parts.scheme, "all"):
        if text := proxies.get(kind):
            return _read_proxy(_variable(kind), text)
    return None


def _variable(kind: str) -> str:
    name = f"{kind}_proxy"
    if name in os.environ:
        return name
    return next((other for other in os.environ if other.lower() == name), f"the machine's {kind} proxy")


def _is_bypassed(no_proxy: str, scheme: str, host: str, port: int) -> bool:
    return any(_lists(entry.strip().lower(), scheme, host, port) for entry in no_proxy.split(","))


_ENTRY = re.compile(r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[^]]*]|[^:/]*)(?::(?P<port>\d+))?(?:/.*)?")


def _lists(entry: str, scheme: str, host: str, port: int) -> bool:
    """Tell whether an entry of ``NO_PROXY`` is about a host: a name and those below it, an address, or a network."""
    if (network := _network(entry)) is not None:
        address = _address(host)
        return address is not None and address in network
    parts = _ENTRY.fullmatch(entry)
    if not entry or parts is None:
        return False
    if parts["scheme"] not in (None, "all", scheme) or (parts["port"] and int(parts["port"]) != port):
        return False
    name = _ascii(parts["host"].strip("[]"))
    if name in ("", "*"):
        return name == "*" or parts["scheme"] is not None
    if (listed := _address(name)) is not None:
        return listed == _address(host)
    if name.startswith(("*.", ".")):
        return host.endswith(name.removeprefix("*"))
    is_alone = name == "localhost" or parts["scheme"] is not None
    return host == name or (not is_alone and host.endswith(f".{name}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _read_proxy(variable: str, text: str) -> Proxy:
    remedy = f"Set it to something like http://proxy.example:3128, or name Kore.ai's host in NO_PROXY, {_EVERYWHERE}."
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        name, port = parts.hostname, parts.port
        host = name if name is None or ":" in name else name.encode("idna").decode()
        is_readable = bool(host) and text.isprintable() and not any(map(str.isspace, text)) and port != 0
    except ValueError:
        is_readable = False
    if not is_readable:
        raise _fault(f"{variable} cannot be read as the URL of a proxy.", remedy)
    if parts.scheme.startswith("socks"):
        raise _fault(f"{variable} names a SOCKS proxy, and only HTTP proxies can be used.", remedy)
    if parts.scheme not in _PORTS:
        raise _fault(f"{variable} names a proxy that is neither http nor https.", remedy)
    shown_host = f"[{host}]" if ":" in str(host) else host
    url = f"{parts.scheme}://{shown_host}:{port or _PORTS[parts.scheme]}"
    if parts.username is None and parts.password is None:
        return Proxy(url)
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return Proxy(url, {"Proxy-Authorization": f"Basic {base64.b64encode(credentials).decode()}"})


# --- certificates -----------------------------------------------------------------------------------------------------

_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
"""The only names of files that OpenSSL finds in a folder of certificates."""


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Make what verifies Kore.ai's certificate; there is no way to turn that off."""
    if ca_bundle is not None:
        return _trusting("the field ca_bundle", ca_bundle, folders=ca_bundle if _is_folder(ca_bundle) else None)
    if file := os.environ.get("SSL_CERT_FILE"):
        return _trusting("SSL_CERT_FILE", file)
    if folders := os.environ.get("SSL_CERT_DIR"):
        return _trusting("SSL_CERT_DIR", folders, folders=folders)
    with client_faults():
        return httpx.create_ssl_context(trust_env=False)


def _trusting(source: str, path: str, *, folders: str | None = None) -> ssl.SSLContext:
    said = source[0].upper() + source[1:]
    remedy = (
        f"Let {source} name a file of certificates in PEM form, or a folder of them "
        f"with the names that openssl rehash gives, {_EVERYWHERE}."
    )
    if folders is not None and not any(map(_has_certificates, folders.split(os.pathsep))):
        raise _fault(f"{said} names no folder of certificates.", remedy)
    file = path if folders is None else None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file, folders)
    except (OSError, ValueError) as error:
        raise _fault(f"{said} cannot be read as certificates ({_reason(error)}).", remedy) from None
    with client_faults():
        return ssl.create_default_context(cafile=file, capath=folders)


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _has_certificates(folder: str) -> bool:
    try:
        names = [file.name for file in Path(folder).iterdir()]
        return any(_HASHED_NAME.fullmatch(name) for name in names)
    except (OSError, ValueError):
        return False


def _reason(error: Exception) -> str:
    """Say why a file cannot be read, without its name."""
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    return getattr(error, "strerror", None) or type(error).__name__


def _key_log_fault() -> bool:
    """Tell whether Python cannot write the file to which it is asked to write the keys of each connection."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path
    except (OSError, ValueError):
        return True
    return False


def _key_log_refused() -> KoreConfigurationError:
    return _fault(
        "SSLKEYLOGFILE names a file that cannot be written.",
        f"Unset it {_EVERYWHERE}: whoever reads that file can read the calls to Kore.ai.",
    )
