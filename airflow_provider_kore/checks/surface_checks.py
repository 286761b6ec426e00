"""What an erasure does not reach, and whether it is used, as far as a call that only reads can tell."""

from __future__ import annotations

import json
from collections.abc import Set
from datetime import timedelta
from urllib.parse import quote, urlencode

from airflow_provider_kore.api.errors import Call, admin_console
from airflow_provider_kore.checks.findings import Finding, NotTestedError, not_seen, not_tested, used
from airflow_provider_kore.checks.history_checks import ask_for_items, sessions_query
from airflow_provider_kore.checks.probes import Check, Kind, Probe, Reply, Steps, Subject, ask
from airflow_provider_kore.exceptions import DOCUMENTATION

BY_HAND = f"By hand: {DOCUMENTATION}/limits.html#what-an-erasure-does-not-reach"

VOICE_CHANNELS = frozenset({"korevg", "audiocodes", "ivr", "ivrvoice", "twiliovoice"})
"""Channels of calls, in small letters. A call can have any other channel too: that none is seen proves nothing."""

AGENT_CHANNELS = frozenset({"agentassist"})
"""Channels of conversations with human agents, likewise."""

_TAKES_A_USER = "A user id on standard input, of a user who has sessions at the bot."


def _llm_logs(subject: Subject) -> Steps[Finding]:
    body = {**_last_days(subject, "dateFrom", "dateTo"), "limit": "1", "skip": "0"}
    path = f"/api/1.1/public/bot/{quote(subject.bot_id, safe='')}/getLLMUsageLogs"
    reply = yield from ask(Probe(Call.LLM_LOGS, "POST", path, json.dumps(body).encode()), *Kind)
    return _read(Call.LLM_LOGS, reply, reply.document)


def _audit_log(subject: Subject) -> Steps[Finding]:
    query = urlencode({"size": 1, "offset": 0, **_last_days(subject, "fromDate", "toDate")})
    reply = yield from ask(Probe(Call.AUDIT_LOG, "GET", f"/api/public/auditlogs?{query}"), *Kind)
    return _read(Call.AUDIT_LOG, reply, reply.document.get("auditlogs") if isinstance(reply.document, dict) else None)


def _last_days(subject: Subject, first: str, last: str) -> dict[str, str]:
    return {
        first: (subject.now - timedelta(days=30)).date().isoformat(),
        last: (subject.now + timedelta(days=1)).date().isoformat(),
    }


def _read(call: Call, reply: Reply, entries: object) -> Finding:
    """Tell whether there are entries. Any other answer is not understood, and says nothing of what is used."""
    if reply.status == 200 and isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        if entries:
            return used("It has entries of the last 30 days.", BY_HAND)
        return not_seen("It has no entry of the last 30 days.", BY_HAND)
    return not_tested(f"{call.value}: {reply.why}", f"{admin_console(call)} {BY_HAND}")


def _channels(subject: Subject, channels: Set[str]) -> Steps[Finding]:
    """Tell whether the user has a session of one of these channels."""
    if not isinstance(subject.user_id, str):
        raise NotTestedError("No user is named.", f"{_TAKES_A_USER} {BY_HAND}")
    sessions = yield from ask_for_items(sessions_query(subject, 30))
    if not sessions:
        raise NotTestedError("The user has no session of the last 30 days.", f"{_TAKES_A_USER} {BY_HAND}")
    if seen := {str(session.get("channel")).lower() for session in sessions} & channels:
        return used(f"The user has a session of {' and '.join(sorted(seen))}.", BY_HAND)
    return not_seen(
        f"The user has no session of {', '.join(sorted(channels))}; other channels can be used too.", BY_HAND
    )


def _recordings(subject: Subject) -> Steps[Finding]:
    return _channels(subject, VOICE_CHANNELS)


def _conversations(subject: Subject) -> Steps[Finding]:
    return _channels(subject, AGENT_CHANNELS)


def _not_reached(name: str, place: str, takes: str) -> Check:
    """Name a place of which no call tells, that an app of the Admin Console can make without more than a bot."""

    def run(_: Subject) -> Steps[Finding]:
        yield from ()
        return not_tested(f"It takes {takes}.", BY_HAND)

    return Check(name, f"No erasure reaches {place}", run)


_ACCOUNT_ID = "a call with a header accountId, which no connection has"

SURFACE_CHECKS = (
    Check("reach_recordings", "No erasure reaches recordings of calls", _recordings),
    Check("reach_conversations", "No erasure reaches cases, and conversations with agents", _conversations),
    _not_reached("reach_contacts", "contacts, and lists of campaigns", f"{_ACCOUNT_ID}, and the scope Configuration"),
    _not_reached("reach_tables", "data tables", "the name of each table"),
    _not_reached("reach_feedback", "feedback and surveys", "a call of which Kore.ai does not publish the answer"),
    Check("reach_llm_logs", "No erasure reaches logs of LLM usage", _llm_logs),
    _not_reached(
        "reach_debug_logs", "debug logs", "an app of the bot's own settings, and an id of a user in a channel"
    ),
    _not_reached("reach_secure_forms", "values of secure forms", "reading what users typed there, which no check does"),
    Check("reach_audit_log", "No erasure reaches the audit log", _audit_log),
)
