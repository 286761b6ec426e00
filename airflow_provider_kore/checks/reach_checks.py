"""Whether Kore.ai's host is reached: name, proxy, connection and certificate. No HTTP is spoken."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.route import Route, find_route
from airflow_provider_kore.checks.findings import Finding, confirmed, different, not_tested
from airflow_provider_kore.exceptions import KoreError

_PORTS = {"http": 80, "https": 443}


def check_reach(account: KoreAccount) -> list[tuple[str, str, Finding]]:
    """
    Check each step on the way to Kore.ai's host.

    :return: name, guess and finding of each.
    """
    route = proxy = None
    try:
        route = find_route(account)
        proxy = confirmed("a proxy of the environment" if route.proxy else "no proxy")
    except KoreError as error:
        proxy = different(error.problem, error.remedy)
    host = urlsplit(route.proxy.url if route and route.proxy else account.base_url)
    name, port = host.hostname or "", host.port or _PORTS[host.scheme]
    resolved = _resolve(name, port)
    reached = not_tested("") if route is None else _connect(account, route, name, port)
    return [
        ("proxy", "Proxy and certificates of this machine can be used", proxy),
        ("dns", "The name of the host is known", resolved),
        ("tls", "The host answers, and its certificate is trusted", reached),
    ]


def _resolve(name: str, port: int) -> Finding:
    try:
        addresses = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return different(type(error).__name__, "Check the connection's base URL, or the proxy, and the DNS.")
    return confirmed(f"{len(addresses)} addresses")


def _connect(account: KoreAccount, route: Route, name: str, port: int) -> Finding:
    try:
        with socket.create_connection((name, port), timeout=account.timeout) as connection:
            if route.proxy is not None:
                return not_tested("The proxy answers; the certificate is checked with the first call.")
            if not account.base_url.startswith("https:"):
                return confirmed("without TLS, on this machine")
            with route.tls.wrap_socket(connection, server_hostname=name) as encrypted:
                return confirmed(encrypted.version() or "TLS")
    except ssl.SSLCertVerificationError as error:
        said = error.verify_message.partition(",")[0]  # what follows names the host
        return different(said, "Check the base URL, and set ca_bundle if Kore.ai is your own.")
    except OSError as error:
        return different(type(error).__name__, "Check the base URL, the network, the firewall and the proxy.")
