"""How the sandbox behaves: one value for each thing that Kore documents, and a switch for each guess."""

from collections.abc import Mapping
from random import Random
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, Strict, field_validator

from airflow_provider_kore.sandbox.durations import draw_seconds
from airflow_provider_kore.sandbox.models import StrictModel

Value = TypeVar("Value")

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Names = Annotated[tuple[str, ...], Strict(False)]  # JSON has arrays only


def setting(default: Value, source: Literal["documented", "guessed", "sandbox"], description: str) -> Value:
    """Declare a setting: its default, where that default comes from, and what it does."""
    value: Value = Field(default, description=description, json_schema_extra={"source": source})
    return value


class Settings(StrictModel):
    """
    How the sandbox behaves.

    Each setting carries where its default comes from: Kore *documented* it, it is *guessed*, or it belongs
    to the *sandbox* alone.
    """

    client_id: Text = setting("cs-sandbox", "sandbox", "Client ID of the app, the claim `appId`")
    client_secret: Text = setting(
        "sandbox-secret-sandbox-secret-sandbox-secret-sandbox-secret-sandbox",
        "sandbox",
        "Client Secret of the app, the key of HS256 and HS512",
    )
    algorithm: Literal["HS256", "HS512", "RS256", "RS512"] = setting(
        "HS256", "documented", "The one algorithm that the app accepts"
    )
    public_key: str = setting("", "sandbox", "Public key of the app as PEM text, for RS256 and RS512")
    enforce_jti: bool = setting(True, "documented", "Refuse a token without `jti` or `kore_jti`")
    clock_leeway: Annotated[float, Field(ge=0)] = setting(
        60.0, "guessed", "Seconds that `iat` and `nbf` may be in the future"
    )
    scope_granted: bool = setting(True, "sandbox", "Whether the app has the scope to delete users' data")
    history_granted: bool = setting(True, "sandbox", "Whether the app has the scopes to read sessions and chat history")
    roles_granted: bool = setting(True, "sandbox", "Whether the app has the scope to read roles")
    missing_scope_status: Annotated[int, Field(ge=400, le=599)] = setting(
        403, "guessed", "HTTP status when the scope is missing"
    )

    bots: Names = setting((), "sandbox", "Bots of the account; none listed: every bot id exists")
    channel_users: bool = setting(
        True, "guessed", "Accept objects with `channel_id` and `channel_user_id` in `userIds`"
    )
    max_user_ids: Count = setting(0, "guessed", "Most `userIds` in one request; 0: no limit")
    refuse: Names = setting(
        (), "sandbox", "Users that are never erased (account or bot owners): ids, or patterns as `*@example.com`"
    )
    members: Names = setting(
        (), "sandbox", "Members of the account: ids, which the list of roles shows; they are never erased, as `refuse`"
    )
    refusal: Literal["per-user", "whole-request"] = setting(
        "per-user", "guessed", "Whether a refused user fails alone, or the whole request with 400"
    )
    unknown_users: Names = setting((), "sandbox", "Users that Kore does not know: ids, or patterns")
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

    sessions_per_user: Count = setting(2, "sandbox", "Sessions that everybody has with each bot, until erased")
    messages_per_session: Count = setting(3, "sandbox", "Messages in each session")
    history_days: Annotated[float, Field(gt=0, le=36_500)] = setting(
        30.0, "sandbox", "Days before the start of the sandbox over which sessions are spread"
    )
    history_channels: Annotated[
        tuple[Annotated[str, Field(pattern=r"\S")], ...], Strict(False), Field(min_length=1)
    ] = setting(("rtm",), "sandbox", "Channels of the sessions, taken in turn; at least one, of any name")
    message_authors: Literal["always", "never"] = setting(
        "always", "documented", "Whether messages have `createdBy`; in Kore's newest sample they have none"
    )
    history_bots: Names = setting(
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
    lite_longest_days: Count = setting(
        0, "guessed", "Most days that a request to `messages-lite` may span; 0: no limit"
    )
    lite_last_day: Literal["inclusive", "exclusive"] = setting(
        "inclusive", "guessed", "Whether the day `dateTo` of `messages-lite` belongs to its span"
    )
    unlisted_channels: Names = setting(
        (), "sandbox", "Channels whose sessions and messages the full calls do not list, and `messages-lite` does"
    )
    erased_user_answer: Literal["empty", "error"] = setting(
        "empty", "guessed", "Whether a question about an erased user finds nothing, or gets 400"
    )
    leave_behind: Names = setting(
        (), "sandbox", "Users whose data stay although they are reported as erased: ids, or patterns"
    )
    leave_behind_kind: Literal["sessions", "messages", "both"] = setting("both", "sandbox", "What of their data stays")
    wrong_total: int = setting(0, "sandbox", "Added to each `total`, to test callers that check it")
    ignore_user_filter: bool = setting(
        False, "sandbox", "Mix somebody else's data into the answer, to test callers that check it"
    )

    requests_per_minute: Count = setting(60, "documented", "Requests in the short window; 0: no limit")
    minute_seconds: Seconds = setting(60.0, "documented", "Length of the short window in seconds")
    requests_per_hour: Count = setting(1800, "documented", "Requests in the long window; 0: no limit")
    hour_seconds: Seconds = setting(3600.0, "documented", "Length of the long window in seconds")
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

    @field_validator("duration")
    @classmethod
    def _check_duration(cls, duration: float | str) -> float | str:
        draw_seconds(duration, Random(0))  # noqa: S311  # no secret
        return duration

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return these settings with some changed, as read from JSON; raise ``ValueError`` if any is wrong."""
        return self.model_validate(self.model_dump() | dict(changes))
