"""Guesses about tokens, scopes and the status call, for which no user is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_kore.api.clock_skew import LONGEST_CORRECTED_SKEW
from airflow_provider_kore.api.errors import Call, admin_console, read_failure
from airflow_provider_kore.api.members import members_path, read_members
from airflow_provider_kore.api.status import status_path
from airflow_provider_kore.checks.findings import Finding, NotTestedError, confirmed, different, not_tested
from airflow_provider_kore.checks.probes import Check, Kind, Probe, Reply, Steps, Subject, ask, plain_text
from airflow_provider_kore.exceptions import KoreUnreadableAnswerError

_ANSWERED = (Kind.OK, Kind.RIGHT, Kind.MAYBE_RIGHT, Kind.REFUSED, Kind.FAULT)
"""Kinds of replies to a token that is accepted."""


def status_probe(subject: Subject) -> Probe:
    """Ask for the status of a request that does not exist: it changes nothing, and names no user."""
    return Probe(Call.STATUS, "GET", status_path(subject.request_id))


def _token(subject: Subject) -> Steps[Finding]:
    probe = status_probe(subject)
    reply = yield from ask(probe, *_ANSWERED, Kind.TOKEN)
    if reply.kind is Kind.TOKEN and reply.skew and abs(reply.skew) < LONGEST_CORRECTED_SKEW:
        reply = yield from ask(probe, *_ANSWERED, Kind.TOKEN)  # with Kore.ai's time
    if reply.kind is Kind.TOKEN:
        assert reply.answer is not None  # noqa: S101
        failure = read_failure(Call.STATUS, reply.answer, reply.text, None, subject.profile)
        return different(failure.problem, failure.remedy)
    forged = yield from ask(replace(probe, forged=True), *_ANSWERED, Kind.TOKEN, Kind.FOREIGN)
    if forged.kind is not Kind.TOKEN:
        return not_tested(
            f"A token with a wrong signature is answered alike (HTTP {forged.status}): nothing shows that this is "
            "Kore.ai.",
            "Check the connection's base URL.",
        )
    return confirmed("accepted; one with a wrong signature is refused")


def _clock(subject: Subject) -> Steps[Finding]:
    reply = yield from ask(status_probe(subject), *_ANSWERED, Kind.TOKEN)
    if reply.skew is None:
        return not_tested("The answer has no header Date that can be read.")
    if not reply.skew:
        return confirmed("less than 2 s apart")
    return different(
        f"This machine's clock is {abs(reply.skew):.0f} s {'behind' if reply.skew > 0 else 'ahead of'} Kore.ai's.",
        "Set the clock, by NTP. Up to five minutes are corrected after a token was refused.",
        settings={"clock_offset": round(reply.skew)},
    )


def _enforce_jti(subject: Subject) -> Steps[Finding]:
    yield from ask(status_probe(subject), *_ANSWERED)
    reply = yield from ask(replace(status_probe(subject), jti=""), *_ANSWERED, Kind.TOKEN)
    if reply.kind is Kind.TOKEN:
        return confirmed("refused")
    return different(
        "accepted",
        "Nothing to set: each token has a jti. To be strict, tick Enforce JTI of the app.",
        settings={"enforce_jti": False},
    )


def _replay(subject: Subject) -> Steps[Finding]:
    probe = replace(status_probe(subject), jti=f"kore-check-{subject.mark}")
    yield from ask(probe, *_ANSWERED)
    reply = yield from ask(replace(probe, number=1), *_ANSWERED, Kind.TOKEN)
    if reply.kind is Kind.TOKEN:
        return confirmed("refused")
    return different("accepted twice", "Nothing to set: no token is sent twice.")


def _longest_life(subject: Subject) -> Steps[Finding]:
    yield from ask(status_probe(subject), *_ANSWERED)
    reply = yield from ask(replace(status_probe(subject), life=3600 + 900), *_ANSWERED, Kind.TOKEN)
    if reply.kind is Kind.TOKEN:
        return confirmed("one of 75 minutes is refused")
    return different("one of 75 minutes is accepted", "Nothing to set: token_ttl is at most an hour.")


def _leeway(subject: Subject) -> Steps[Finding]:
    base = yield from ask(status_probe(subject), *_ANSWERED)
    if base.skew:
        return not_tested("The clocks differ.", "Set this machine's clock.")
    reply = yield from ask(replace(status_probe(subject), ahead=30), *_ANSWERED, Kind.TOKEN)
    if reply.kind is not Kind.TOKEN:
        return confirmed("30 s are tolerated")
    return different(
        "30 s are refused",
        "Nothing to set: after such a refusal tokens have Kore.ai's time. Keep clocks right by NTP.",
        settings={"clock_leeway": 0.0},
    )


SCOPE_SHOWN = (Kind.OK, Kind.RIGHT, Kind.MAYBE_RIGHT, Kind.TOKEN)
"""Kinds of replies that show whether a scope is there, of a call that is not refused for another reason."""


def read_scope(reply: Reply, call: Call, setting: str) -> Finding:
    """Tell whether a scope is there: while the token is accepted, a call that is refused as if it were not has none."""
    if reply.kind in (Kind.RIGHT, Kind.TOKEN):
        return different(f"missing ({reply.why})", admin_console(call), settings={setting: False})
    if reply.kind is Kind.MAYBE_RIGHT:
        return not_tested(f"{call.value}: {show_refusal(reply)}, which may be about a scope.", admin_console(call))
    return confirmed("granted")


def show_refusal(reply: Reply) -> str:
    """Show status and text of the reply to a probe without a user, as far as the text names none."""
    said = plain_text(reply)
    return f"HTTP {reply.status}" + (f", “{said}”" if said else "")


def _erase_scope(subject: Subject) -> Steps[Finding]:
    reply = yield from ask(status_probe(subject), Kind.RIGHT, Kind.MAYBE_RIGHT, Kind.REFUSED)
    if reply.kind is Kind.REFUSED:
        return confirmed(f"granted, since the request id is refused: {show_refusal(reply)}")
    return read_scope(reply, Call.ERASE, "scope_granted")


def _unknown_request(subject: Subject) -> Steps[Finding]:
    reply = yield from ask(status_probe(subject), Kind.REFUSED, Kind.FAULT, Kind.OK)
    seen, said = show_refusal(reply), plain_text(reply)
    if reply.kind is Kind.OK:
        return different(f"{seen}, a success", "Report it: this provider does not understand that answer.")
    settings = {"unknown_request_status": reply.status}
    if subject.profile.means_unknown_request(reply.status, reply.text):
        expected = reply.status == 400 or "unknown_request_statuses" in subject.profile.model_fields_set
        return confirmed(seen) if expected else different(seen, settings=settings)
    profile: dict[str, object] = {"unknown_request_statuses": [400, 404, reply.status]}
    if reply.status >= 500:
        if said is None:
            return different(seen, "Set unknown_request_statuses, and unknown_request_text from Kore.ai's text.")
        profile["unknown_request_text"] = said
    return different(seen, "Set the extra below.", profile=profile, settings=settings)


def roles_probe(subject: Subject, page: int | None = None) -> Probe:
    """Ask for members of the account."""
    return Probe(Call.ROLES, "GET", members_path(0, page or subject.profile.members_page))


def _roles_scope(subject: Subject) -> Steps[Finding]:
    yield from ask(status_probe(subject), *_ANSWERED)
    reply = yield from ask(roles_probe(subject), *SCOPE_SHOWN)
    return read_scope(reply, Call.ROLES, "roles_granted")


def _members_page(subject: Subject) -> Steps[Finding]:
    reply = yield from ask(roles_probe(subject), Kind.OK, Kind.REFUSED)
    if reply.kind is Kind.OK:
        _require_members(reply)
        return confirmed(f"pages of {subject.profile.members_page} are answered")
    for size in (25, 20, 10):
        shorter = yield from ask(roles_probe(subject, size), Kind.OK, Kind.REFUSED)
        if shorter.kind is Kind.OK:
            _require_members(shorter)
            return different(
                f"{reply.why}; pages of {size} are answered",
                "Set the extra below.",
                profile={"members_page": size},
                settings={"members_page": size},
            )
    raise NotTestedError(f"roles call: {reply.why}", "A Kore.ai that has this call; only check_members needs it.")


def _require_members(reply: Reply) -> None:
    try:
        read_members(reply.document)
    except KoreUnreadableAnswerError as error:
        raise NotTestedError(error.problem) from None


_LIMIT_HEADER = re.compile(r"(x-)?rate-?limit[a-z-]*")
_NUMBERS = re.compile(r"[0-9][0-9 ,;=wq.-]{0,60}")


def _rate_limits(subject: Subject) -> Steps[Finding]:
    reply = yield from ask(status_probe(subject), *_ANSWERED)
    shown = [
        f"{name}: {value}"
        for name, value in sorted(reply.headers.items())
        if _LIMIT_HEADER.fullmatch(name) and _NUMBERS.fullmatch(value)
    ]
    if not shown:
        return not_tested("No header of the answers tells.", "Spending the account's budget, for all who use it.")
    numbers = {number for text in shown for number in re.findall(r"[0-9]+", text.partition(":")[2])}
    if {"60", "1800"} & numbers:
        return confirmed("; ".join(shown))
    return different("; ".join(shown), "Set requests_per_minute and requests_per_hour of the connection by it.")


TOKEN = Check("token", "Kore.ai accepts the connection's tokens", _token)
"""Without it, nothing else can be checked."""

TOKEN_CHECKS = (
    TOKEN,
    Check("clock", "This machine's clock is right", _clock),
    Check("enforce_jti", "A token without jti is refused", _enforce_jti),
    Check("token_replay", "A jti is accepted once", _replay),
    Check("token_life", "A token lives an hour at most", _longest_life),
    Check("clock_leeway", "A token may be issued a little in the future", _leeway),
    Check("scope_erase", "The app has the scope to erase users", _erase_scope),
    Check("unknown_request_status", "An unknown request id is answered with HTTP 400", _unknown_request),
    Check("scope_roles", "The app has the scope to read roles", _roles_scope),
    Check("members_page", "A page of members may have 50", _members_page),
    Check("rate_limits", "The account has 60 calls a minute and 1,800 an hour", _rate_limits),
)


def read_throttles(throttles: Sequence[Reply]) -> Finding:
    """Tell how a spent budget is answered, if that happened, since others use the account too; none is provoked."""
    if not throttles:
        return not_tested("No call was throttled.", "A check at a time when others spend the account's budget.")
    reply = throttles[0]
    wait = reply.answer.retry_after if reply.answer is not None else None
    form = "none" if wait is None else "seconds" if wait.strip().isdecimal() else "date"
    settings = {"throttle_status": reply.status, "retry_after": form}
    seen = f"HTTP {reply.status}, {'without' if wait is None else 'with'} Retry-After"
    usual = reply.status == 429 and form == "none"
    return confirmed(seen) if usual else different(seen, settings=settings)
