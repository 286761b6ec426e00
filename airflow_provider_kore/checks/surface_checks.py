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

BY_HAND = f"{DOCUMENTATION}/limits.html#what-an-erasure-does-not-reach"
"""Where it stands what to do about each by hand."""

_WHAT_TO_DO = "Do by hand what the page below says of this place."

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
            return used("It has entries of the last 30 days.", _WHAT_TO_DO)
        return not_seen("It has no entry of the last 30 days.")
    return not_tested(f"{call.value}: {reply.why}", admin_console(call))


def _channels(subject: Subject, channels: Set[str]) -> Steps[Finding]:
    """Tell whether the user has a session of one of these channels."""
    if not isinstance(subject.user_id, str):
        raise NotTestedError("No user is named.", _TAKES_A_USER)
    sessions = yield from ask_for_items(sessions_query(subject, 30))
    if not sessions:
        raise NotTestedError("The user has no session of the last 30 days.", _TAKES_A_USER)
    if seen := {str(session.get("channel")).lower() for session in sessions} & channels:
        return used(f"The user has a session of {' and '.join(sorted(seen))}.", _WHAT_TO_DO)
    named = ", ".join(sorted(channels))
    return not_seen(f"The user has no session of {named}; other channels can be of this kind too.")


def _recordings(subject: Subject) -> Steps[Finding]:
    return _channels(subject, VOICE_CHANNELS)


def _conversations(subject: Subject) -> Steps[Finding]:
    return _channels(subject, AGENT_CHANNELS)


def _not_read(name: str, what: str, takes: str) -> Check:
    """Name what no call shows that an app of the Admin Console can make, and that needs no more than a bot."""

    def run(_: Subject) -> Steps[Finding]:
        yield from ()
        return not_tested("No check reads it.", takes)

    return Check(name, f"No erasure reaches {what}", run)


_ACCOUNT_ID = "A call with a header accountId, which no connection has, and the scope"

SURFACE_CHECKS = (
    Check("reach_recordings", "No erasure reaches recordings of calls", _recordings),
    Check("reach_conversations", "No erasure reaches cases, and conversations with agents", _conversations),
    _not_read("reach_contacts", "contacts, and lists of campaigns", f"{_ACCOUNT_ID} Configuration."),
    _not_read("reach_tables", "data tables", "A call for each table, by its name."),
    _not_read("reach_feedback", "feedback and surveys", "A call whose answer Kore.ai does not document."),
    Check("reach_llm_logs", "No erasure reaches logs of LLM usage", _llm_logs),
    _not_read("reach_debug_logs", "debug logs", "An app of the bot's own settings, and a user's id in a channel."),
    _not_read("reach_secure_forms", "values of secure forms", "Reading what users typed there."),
    Check("reach_audit_log", "No erasure reaches the audit log", _audit_log),
)
