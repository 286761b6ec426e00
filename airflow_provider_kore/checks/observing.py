"""Send the calls of checks, within the account's budget of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TypeVar

import httpx

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.auth import KoreAuth
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.conversation import Pause, drive
from airflow_provider_kore.api.exchange import NoAnswer, Request
from airflow_provider_kore.api.paced_exchange import exchange_once
from airflow_provider_kore.checks.findings import Finding, NotTestedError
from airflow_provider_kore.checks.probes import Kind, Probe, Reply, Steps, read_reply
from airflow_provider_kore.exceptions import KoreThrottledError

T = TypeVar("T")

LONGEST_WAIT = 300.0
"""Seconds that a call waits for its turn."""


class _ProbeAuth(KoreAuth):
    """Sign as the probe wants it, and keep the headers of the answer."""

    def __init__(self, account: KoreAccount) -> None:
        super().__init__(account)
        self.probe: Probe | None = None
        self.sent: Probe | None = None
        self.headers: dict[str, str] = {}

    def claims(self) -> dict[str, object]:
        claims, probe = super().claims(), self.probe
        issued_at, expires_at = claims["iat"], claims["exp"]
        if probe is None or not isinstance(issued_at, int) or not isinstance(expires_at, int):
            return claims
        claims["iat"] = issued_at + probe.ahead
        claims["exp"] = expires_at if probe.life is None else issued_at + probe.life
        if probe.jti:
            claims["jti"] = probe.jti
        elif probe.jti == "":
            del claims["jti"]
        return claims

    def sign(self) -> str:
        token = super().sign()
        if self.probe is None or not self.probe.forged:
            return token
        signed, _, signature = token.rpartition(".")
        return f"{signed}.{signature[::-1]}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["auth"] = self.sign()
        self.headers, self.sent = {}, self.probe
        response = yield request
        self.headers = {name.lower(): value for name, value in response.headers.items()}


class Observer:
    """
    Send probes and read the replies; of equal ones only one is sent.

    :param account: whose calls they are.
    :param sleep: waits for seconds.
    :raises KoreConfigurationError: if the account's key, proxy or certificates cannot be used.
    """

    def __init__(self, account: KoreAccount, sleep: Callable[[float], None] = time.sleep) -> None:
        self._auth = _ProbeAuth(account)
        self._client = KoreClient(account, sleep=sleep, auth=self._auth)
        self._sleep = sleep
        self._replies: dict[Probe, Reply] = {}
        self.throttles: list[Reply] = []

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @property
    def sent(self) -> Probe | None:
        """The probe that was sent last, whether or not an answer came."""
        return self._auth.sent

    def run(self, steps: Steps[T]) -> T:
        """
        Run what yields probes, and return what it returns.

        :raises NotTestedError: if it raises that.
        """
        return drive(steps, self._answer)

    def find(self, steps: Steps[Finding]) -> Finding:
        """Run a check."""
        try:
            return self.run(steps)
        except NotTestedError as error:
            return error.finding

    def _answer(self, step: Probe | Pause) -> Reply | None:
        if isinstance(step, Probe):
            return self.observe(step)
        self._sleep(step.seconds)
        return None

    def observe(self, probe: Probe) -> Reply:
        """Send a probe, or give the reply to an equal one; a refused token is tried again, by a corrected clock."""
        reply = self._replies.get(probe)
        if reply is None or reply.kind is Kind.TOKEN:
            reply = self._send(probe)
            if reply.kind is Kind.THROTTLED and reply.answer is not None:
                self.throttles.append(reply)
                reply = self._send(probe) if probe.call.only_reads else reply
            self._replies[probe] = reply
        return reply

    def _send(self, probe: Probe) -> Reply:
        self._auth.probe = probe
        pacing = self._client.pacing
        request = Request(probe.method, probe.path, probe.body)
        try:
            answer = self._client.run(exchange_once(request, probe.call, pacing, pacing.clock() + LONGEST_WAIT))
        except KoreThrottledError as error:
            return Reply(Kind.THROTTLED, why=error.problem)
        if isinstance(answer, NoAnswer):
            return Reply(Kind.NONE, why=answer.reason, received=answer.received)
        return read_reply(answer, self._auth.headers, pacing.profile)
