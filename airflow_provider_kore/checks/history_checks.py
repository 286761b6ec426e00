"""Guesses about the calls for sessions and messages of one user."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from airflow_provider_kore.api.channels import channel_fault
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.history import (
    LITE_PAGE,
    HistoryKind,
    HistoryQuery,
    LiteQuery,
    Query,
    read_page,
)
from airflow_provider_kore.api.history_range import channel_name
from airflow_provider_kore.checks.findings import Finding, NotTestedError, confirmed, different, not_tested
from airflow_provider_kore.checks.probes import Check, Kind, Probe, Reply, Steps, Subject, ask
from airflow_provider_kore.checks.token_checks import SCOPE_SHOWN, read_scope, roles_probe, status_probe
from airflow_provider_kore.exceptions import KoreUnreadableAnswerError

_DAY = timedelta(days=1)
_TAKES_A_USER = "A user id on standard input, of a user who has messages at the bot."
_REFUSABLE = (Kind.OK, Kind.REFUSED)


def query_probe(query: Query, **changes: object) -> Probe:
    """
    Ask for the first page of a query.

    :param changes: keys of the body with other values; ``None`` leaves a key out.
    """
    body = json.loads(query.body(0)) | changes
    document = {name: value for name, value in body.items() if value is not None}
    return Probe(query.call, "POST", query.path, json.dumps(document).encode())


def sessions_query(subject: Subject, days: float = 6) -> HistoryQuery:
    """Ask for the sessions of the user, or of one whom Kore.ai does not know."""
    return HistoryQuery(HistoryKind.SESSIONS, _user_id(subject), subject.bot_id, subject.now - days * _DAY, subject.now)


def lite_query(subject: Subject, days: float = 30) -> LiteQuery:
    """Ask ``messages-lite`` for the messages of the user, or of one whom Kore.ai does not know."""
    return LiteQuery(_user_id(subject), subject.bot_id, subject.now - days * _DAY, subject.now)


def _user_id(subject: Subject) -> str:
    return subject.user_id if isinstance(subject.user_id, str) else subject.made_up_user


def _messages_query(subject: Subject) -> HistoryQuery:
    return replace(sessions_query(subject), kind=HistoryKind.MESSAGES)


def items_of(reply: Reply, query: Query) -> tuple[dict[str, object], ...]:
    """
    Read a page of sessions or messages.

    :raises NotTestedError: if it has another form.
    """
    try:
        return read_page(reply.document, query).items
    except KoreUnreadableAnswerError as error:
        raise NotTestedError(error.problem) from None


def ask_for_items(query: Query) -> Steps[tuple[dict[str, object], ...]]:
    """Ask for the first page of a query, and read it."""
    reply = yield from ask(query_probe(query))
    return items_of(reply, query)


_MOMENT = timedelta(milliseconds=1)


def _newest_message(subject: Subject) -> Steps[tuple[str, HistoryQuery]]:
    """Return the id of the user's newest message, and a query for messages that ends a moment after it."""
    if not isinstance(subject.user_id, str):
        raise NotTestedError("No user is named.", _TAKES_A_USER)
    for item in (yield from ask_for_items(lite_query(subject))):
        try:
            created = datetime.fromisoformat(str(item.get("createdOn")))
        except ValueError:
            continue
        if created.tzinfo is not None:
            window = replace(_messages_query(subject), since=created - _DAY, until=created + _MOMENT)
            return str(item["_id"]), replace(window, channel_type=_channel_of(item))
    raise NotTestedError("The user has no message of the last 30 days at this bot.", _TAKES_A_USER)


def _sessions_scope(subject: Subject) -> Steps[Finding]:
    return _scope(subject, sessions_query(subject))


def _messages_scope(subject: Subject) -> Steps[Finding]:
    return _scope(subject, _messages_query(subject))


def _scope(subject: Subject, query: Query) -> Steps[Finding]:
    yield from ask(status_probe(subject), Kind.OK, Kind.REFUSED, Kind.FAULT, Kind.RIGHT, Kind.MAYBE_RIGHT)
    reply = yield from ask(query_probe(query), *SCOPE_SHOWN)
    if reply.kind is Kind.OK:
        items_of(reply, query)
    return read_scope(reply, query.call, "history_granted")


def _missing_scope(subject: Subject) -> Steps[Finding]:
    probes = (status_probe(subject), roles_probe(subject), query_probe(sessions_query(subject)))
    for probe in probes:
        reply = yield from ask(probe, *Kind)
        if reply.kind is Kind.RIGHT or (reply.kind is Kind.TOKEN and probe.call is not Call.STATUS):
            if reply.status == 403:
                return confirmed("HTTP 403")
            return different(reply.why, settings={"missing_scope_status": reply.status})
    return not_tested("No call shows a missing scope.", "An app without one of the scopes.")


def _unknown_user(subject: Subject) -> Steps[Finding]:
    query = replace(sessions_query(subject), user_id=subject.made_up_user)
    reply = yield from ask(query_probe(query), *_REFUSABLE)
    if reply.kind is Kind.OK:
        items_of(reply, query)
        return confirmed("with a listing")
    return different(reply.why, "Nothing to set: a verification calls such a user not checkable.")


def _sessions_span(subject: Subject) -> Steps[Finding]:
    yield from ask_for_items(sessions_query(subject))
    query = sessions_query(subject, 30)
    reply = yield from ask(query_probe(query), *_REFUSABLE)
    if reply.kind is Kind.OK:
        items_of(reply, query)
        return confirmed("30 days are answered")
    return different(
        f"30 days are refused ({reply.why})",
        "Nothing to set: windows of a week are asked for.",
        settings={"sessions_span": "under-7-days"},
    )


def _window_ends(subject: Subject) -> Steps[Finding]:
    message_id, window = yield from _newest_message(subject)
    if message_id not in [item["_id"] for item in (yield from ask_for_items(window))]:
        raise NotTestedError("The messages call does not list the newest message of messages-lite.", _TAKES_A_USER)
    at_end = yield from ask_for_items(replace(window, until=window.until - _MOMENT))
    if message_id in [item["_id"] for item in at_end]:
        return confirmed("it does")
    return different("it does not", settings={"history_window_ends": "exclusive"})


def _paging(subject: Subject) -> Steps[Finding]:
    query = lite_query(subject)
    whole = items_of((yield from ask(query_probe(query))), query)
    if len(whole) < 2:
        raise NotTestedError("There are fewer than two messages.", _TAKES_A_USER)
    first = items_of((yield from ask(query_probe(query, skip=0, limit=1))), query)
    second = items_of((yield from ask(query_probe(query, skip=1, limit=1))), query)
    if [item["_id"] for item in (*first, *second)] == [item["_id"] for item in whole[:2]]:
        return confirmed("page after page")
    return different("pages of one message do not add up", "Report it: exports and verifications will fail.")


def _lite_served(subject: Subject) -> Steps[Finding]:
    yield from ask(query_probe(sessions_query(subject)), *SCOPE_SHOWN)
    reply = yield from ask(query_probe(lite_query(subject, 6)), *Kind)
    if reply.kind is Kind.OK:
        items_of(reply, lite_query(subject))
        return confirmed("it does")
    if reply.status == 404:
        return different("HTTP 404", "Nothing to set: the full calls are asked.", settings={"lite_served": False})
    raise NotTestedError(f"messages-lite call: {reply.why}")


def _lite_users(subject: Subject) -> Steps[Finding]:
    yield from ask_for_items(lite_query(subject, 6))
    user_id = channel_name(subject.user_id) if subject.user_id is not None else None
    query = replace(lite_query(subject, 6), user_id=user_id or subject.made_up_user, by_channel=True)
    reply = yield from ask(query_probe(query), *_REFUSABLE)
    if reply.kind is Kind.OK:
        items_of(reply, query)
        return confirmed("it does")
    with_type = yield from ask(query_probe(replace(query, channel_type="rtm")), *_REFUSABLE)
    if with_type.kind is Kind.OK:
        return different(
            "only one, beside a channelType",
            "Nothing to set: name channel_types in verify, and a user in a channel can be verified.",
            settings={"lite_users": "channel-with-type"},
        )
    return different(
        "it does not",
        "Nothing to set: a user who is named by a channel can neither be verified nor exported.",
        settings={"lite_users": "user-id"},
    )


def _lite_channels(subject: Subject) -> Steps[Finding]:
    yield from _newest_message(subject)
    query = sessions_query(subject, 6)
    named = {str(item.get("channel")) for item in (yield from ask_for_items(query))} - {"rtm"}
    if not named:
        raise NotTestedError("The user has no session of the last 6 days on another channel than rtm.", _TAKES_A_USER)
    by_type = replace(lite_query(subject, 6), channel_type=sorted(named)[0])
    wanted = {item["_id"] for item in (yield from ask_for_items(by_type))}
    if not wanted:
        raise NotTestedError("messages-lite has no message of that channel.", _TAKES_A_USER)
    listed = {item["_id"] for item in (yield from ask_for_items(lite_query(subject, 6)))}
    if wanted <= listed:
        return confirmed("it does")
    return different(
        "only those of rtm",
        "Nothing to set, but name channel_types in verify and in exports.",
        settings={"lite_default_channels": "rtm"},
    )


def _lite_span(subject: Subject) -> Steps[Finding]:
    yield from ask_for_items(lite_query(subject, 6))
    reply = yield from ask(query_probe(lite_query(subject, 365)), *_REFUSABLE)
    if reply.kind is Kind.OK:
        return confirmed("a year is answered")
    for days in (90, 30, 7):
        shorter = yield from ask(query_probe(lite_query(subject, days - 1)), *_REFUSABLE)
        if shorter.kind is Kind.OK:
            break
    return different(
        f"a year is refused, {days} days are answered",
        "Nothing to set: the full calls are asked where it refuses.",
        settings={"lite_longest_days": days},
    )


def _lite_last_day(subject: Subject) -> Steps[Finding]:
    message_id, window = yield from _newest_message(subject)
    query = lite_query(subject)
    last_day = window.until.astimezone(UTC).date().isoformat()
    reply = yield from ask(query_probe(query, dateTo=last_day))
    if message_id in [item["_id"] for item in items_of(reply, query)]:
        return confirmed("it does")
    return different("it does not", settings={"lite_last_day": "exclusive"})


def _authors(subject: Subject) -> Steps[Finding]:
    _, window = yield from _newest_message(subject)
    items = yield from ask_for_items(window)
    if not items:
        raise NotTestedError("The messages call lists no message.", _TAKES_A_USER)
    if any(item.get("createdBy") for item in items):
        return confirmed("they do")
    return different("they do not", settings={"message_authors": "never"})


def _same_messages(subject: Subject) -> Steps[Finding]:
    message_id, window = yield from _newest_message(subject)
    if message_id in [item["_id"] for item in (yield from ask_for_items(window))]:
        return confirmed("of the newest one")
    return different(
        "The messages call does not list the newest message of messages-lite.",
        "Exports of such a user fail. Ask Kore.ai which call lists all messages.",
    )


def _channel_of(message: dict[str, object]) -> str | None:
    channel = message.get("chnl")
    return channel if channel_fault(channel) is None else None  # type: ignore[return-value] # it is a text


HISTORY_CHECKS = (
    Check("scope_sessions", "The app has the scope to read sessions", _sessions_scope),
    Check("scope_messages", "The app has the scope to read chat history", _messages_scope),
    Check("missing_scope_status", "A missing scope is answered with HTTP 403", _missing_scope),
    Check("unknown_user", "A query about an unknown user is answered", _unknown_user),
    Check("sessions_span", "Sessions can be asked for by any span", _sessions_span),
    Check("history_window_ends", "A window of messages contains its end", _window_ends),
    Check("message_authors", "Messages have createdBy", _authors),
    Check("paging", f"messages-lite takes skip and limit, of at most {LITE_PAGE:,}", _paging),
    Check("lite_served", "There is messages-lite", _lite_served),
    Check("lite_users", "messages-lite takes an array of one channelUId", _lite_users),
    Check("lite_default_channels", "messages-lite lists all channels where none is named", _lite_channels),
    Check("lite_longest_days", "messages-lite takes any span", _lite_span),
    Check("lite_last_day", "The last day of messages-lite belongs to its span", _lite_last_day),
    Check("unlisted_channels", "The messages call lists what messages-lite lists", _same_messages),
)
