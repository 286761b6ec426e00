"""How the sandbox behaves: one value for each thing that Kore documents, and a switch for each guess."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from airflow_provider_kore.sandbox.durations import read_duration
from airflow_provider_kore.sandbox.typed_fields import check_names, check_types

Source = Literal["documented", "guessed", "sandbox"]
Value = TypeVar("Value")


def setting(default: Value, source: Source, description: str) -> Value:
    """Declare a setting: its default, where that default comes from, and what it does."""
    return field(default=default, metadata={"source": source, "description": description})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    How the sandbox behaves.

    Each setting carries where its default comes from: Kore *documented* it, it is *guessed*, or it belongs
    to the *sandbox* alone.
    """

    client_id: str = setting("cs-sandbox", "sandbox", "Client ID of the app, the claim `appId`")
    client_secret: str = setting(
        "sandbox-secret-sandbox-secret-sandbox-secret-sandbox-secret-sandbox",
        "sandbox",
        "Client Secret of the app, the key of HS256 and HS512",
    )
    algorithm: Literal["HS256", "HS512", "RS256", "RS512"] = setting(
        "HS256", "documented", "The one algorithm that the app accepts"
    )
    public_key: str = setting("", "sandbox", "Public key of the app as PEM text, for RS256 and RS512")
    enforce_jti: bool = setting(True, "documented", "Refuse a token without `jti` or `kore_jti`")
    clock_leeway: float = setting(60.0, "guessed", "Seconds that `iat` and `nbf` may be in the future")
    scope_granted: bool = setting(True, "sandbox", "Whether the app has the scope to delete users' data")
    history_granted: bool = setting(True, "sandbox", "Whether the app has the scopes to read sessions and chat history")
    roles_granted: bool = setting(True, "sandbox", "Whether the app has the scope to read roles")
    missing_scope_status: int = setting(403, "guessed", "HTTP status when the scope is missing")

    bots: tuple[str, ...] = setting((), "sandbox", "Bots of the account; none listed: every bot id exists")
    channel_users: bool = setting(
        True, "guessed", "Accept objects with `channel_id` and `channel_user_id` in `userIds`"
    )
    max_user_ids: int = setting(0, "guessed", "Most `userIds` in one request; 0: no limit")
    refuse: tuple[str, ...] = setting(
        (), "sandbox", "Users that are never erased (account or bot owners): ids, or patterns as `*@example.com`"
    )
    members: tuple[str, ...] = setting(
        (), "sandbox", "Members of the account: ids, which the list of roles shows; they are never erased, as `refuse`"
    )
    refusal: Literal["per-user", "whole-request"] = setting(
        "per-user", "guessed", "Whether a refused user fails alone, or the whole request with 400"
    )
    unknown_users: tuple[str, ...] = setting((), "sandbox", "Users that Kore does not know: ids, or patterns")
    user_id_form: Literal["sent", "resolved"] = setting(
        "sent", "guessed", "Whether an answer names users as they were sent, or by the `u-…` id they resolve to"
    )

    accept_status: Literal[200, 202] = setting(200, "guessed", "HTTP status when an erasure is accepted")
    accept_word: str = setting("in-progress", "documented", "`status` when an erasure is accepted")
    duration: float | str = setting(
        5.0, "guessed", "Seconds an erasure takes: a number, `uniform:a:b` or `log-uniform:a:b`"
    )
    seed: int = setting(0, "sandbox", "Seed of random durations, and of people's history")
    while_running: Literal["missing", "empty", "entries", "trickle", "growing", "unknown"] = setting(
        "entries",
        "guessed",
        "`response` while running: no such key, `[]`, all in progress, finishing one by one, only the finished, or "
        "no answer but that the request id is unknown",
    )
    erased_word: str = setting("SUCCESS", "documented", "`status` of an erased user")
    running_word: str = setting("in-progress", "guessed", "`status` of a user not erased yet")
    refused_word: str = setting("FAILED", "guessed", "`status` of a refused user")
    unknown_word: str = setting("FAILED", "guessed", "`status` of an unknown user")
    timestamps: Literal["iso", "date-object", "isodate"] = setting(
        "iso", "documented", 'ISO strings, `{"$date": …}` (guessed), or `ISODate("…")`, which is not JSON'
    )
    unknown_request_status: Literal[400, 404] = setting(400, "guessed", "HTTP status for an unknown request id")

    sessions_per_user: int = setting(2, "sandbox", "Sessions that everybody has with each bot, until erased")
    messages_per_session: int = setting(3, "sandbox", "Messages in each session")
    history_days: float = setting(
        30.0, "sandbox", "Days before the start of the sandbox over which sessions are spread"
    )
    history_channels: tuple[str, ...] = setting(
        ("rtm",), "sandbox", "Channels of the sessions, taken in turn; at least one, of any name"
    )
    message_authors: Literal["always", "never"] = setting(
        "always", "documented", "Whether messages have `createdBy`; in Kore's newest sample they have none"
    )
    history_bots: tuple[str, ...] = setting(
        (),
        "sandbox",
        "Bots at which people have data; none listed: any bot that is asked for, and for all bots those of the "
        "account, or `st-1`",
    )
    history_window_ends: Literal["inclusive", "exclusive"] = setting(
        "inclusive", "guessed", "Whether what happened at `dateTo` itself belongs to the window"
    )
    sessions_span: Literal["any", "under-7-days"] = setting(
        "any", "guessed", "Which spans a request for sessions may have; any other gets 400"
    )
    lite_served: bool = setting(True, "documented", "Whether there is `messages-lite`, or a 404 in its place")
    lite_users: Literal["channel-array", "channel-with-type", "user-id"] = setting(
        "channel-array",
        "documented",
        "Whom `messages-lite` takes beside `userId`: a `channelUId` or an array of them, of all channels without "
        "`channelType`; one `channelUId` that needs a `channelType` (guessed); none (guessed)",
    )
    lite_default_channels: Literal["all", "rtm"] = setting(
        "all", "guessed", "Which channels `messages-lite` lists for a `userId` without `channelType`"
    )
    lite_longest_days: int = setting(0, "guessed", "Most days that a request to `messages-lite` may span; 0: no limit")
    lite_last_day: Literal["inclusive", "exclusive"] = setting(
        "inclusive", "guessed", "Whether the day `dateTo` of `messages-lite` belongs to its span"
    )
    unlisted_channels: tuple[str, ...] = setting(
        (), "sandbox", "Channels whose sessions and messages the full calls do not list, and `messages-lite` does"
    )
    erased_user_answer: Literal["empty", "error"] = setting(
        "empty", "guessed", "Whether a question about an erased user finds nothing, or gets 400"
    )
    leave_behind: tuple[str, ...] = setting(
        (), "sandbox", "Users whose data stay although they are reported as erased: ids, or patterns"
    )
    leave_behind_kind: Literal["sessions", "messages", "both"] = setting("both", "sandbox", "What of their data stays")
    wrong_total: int = setting(0, "sandbox", "Added to each `total`, to test callers that check it")
    ignore_user_filter: bool = setting(
        False, "sandbox", "Mix somebody else's data into the answer, to test callers that check it"
    )

    requests_per_minute: int = setting(60, "documented", "Requests in the short window; 0: no limit")
    minute_seconds: float = setting(60.0, "documented", "Length of the short window in seconds")
    requests_per_hour: int = setting(1800, "documented", "Requests in the long window; 0: no limit")
    hour_seconds: float = setting(3600.0, "documented", "Length of the long window in seconds")
    count_throttled: bool = setting(False, "guessed", "Whether throttled requests count too")
    history_counts: bool = setting(
        True,
        "guessed",
        "Whether sessions and messages count in the account's windows, or in windows of their own for each bot",
    )
    throttle_status: Literal[429, 400] = setting(429, "guessed", "HTTP status of a throttled request")
    throttle_text: Literal["documented", "forum"] = setting(
        "documented", "documented", "Text of a throttled request: that of the documentation, or of Kore's forum"
    )
    retry_after: Literal["none", "seconds", "date"] = setting("none", "guessed", "`Retry-After` of a throttled request")

    def __post_init__(self) -> None:
        check_types(self)
        read_duration(self.duration)
        for name in (
            "requests_per_minute",
            "requests_per_hour",
            "max_user_ids",
            "clock_leeway",
            "sessions_per_user",
            "messages_per_session",
            "lite_longest_days",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("minute_seconds", "hour_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
        if not 0 < self.history_days <= 36_500:
            raise ValueError("history_days must be positive, and at most 36500")
        if not self.history_channels:
            raise ValueError("history_channels must not be empty")
        if not all(channel.strip() for channel in self.history_channels):
            raise ValueError("history_channels must not hold blank names")
        if not 400 <= self.missing_scope_status <= 599:
            raise ValueError("missing_scope_status must be an HTTP error status")
        if not self.client_id or not self.client_secret:
            raise ValueError("client_id and client_secret must not be empty")

    def changed(self, changes: Mapping[str, object]) -> "Settings":
        """Return these settings with some changed, as read from JSON; raise ``ValueError`` on any misfit."""
        check_names(Settings, changes)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
        return replace(self, **values)  # type: ignore[arg-type]  # checked in __post_init__
