"""How the sandbox behaves: one value for each thing that Kore documents, and a switch for each guess."""

from collections.abc import Mapping
from random import Random
from typing import Annotated, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, Strict, field_validator

from airflow_provider_kore.sandbox.durations import draw_seconds
from airflow_provider_kore.sandbox.models import StrictModel

Value = TypeVar("Value")

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Names = Annotated[tuple[str, ...], Strict(False)]  # JSON has arrays only


def documented(default: Value) -> Value:
    """Declare the default of a setting as one that Kore documents."""
    return _setting(default, "documented")


def guessed(default: Value) -> Value:
    """Declare the default of a setting as a guess."""
    return _setting(default, "guessed")


def _setting(default: Value, source: str) -> Value:
    value: Value = Field(default, json_schema_extra={"source": source})
    return value


class Settings(StrictModel):
    """
    How the sandbox behaves.

    Each setting carries where its default comes from: Kore *documented* it, it is *guessed*, or it belongs
    to the *sandbox* alone. The text below a setting is its description for the command line, too.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    client_id: Text = "cs-sandbox"
    """Client ID of the app, the claim `appId`"""
    client_secret: Text = "sandbox-secret-sandbox-secret-sandbox-secret-sandbox-secret-sandbox"  # noqa: S105  # of a stand-in
    """Client Secret of the app, the key of HS256 and HS512"""
    algorithm: Literal["HS256", "HS512", "RS256", "RS512"] = documented("HS256")
    """The one algorithm that the app accepts"""
    public_key: str = ""
    """Public key of the app as PEM text, for RS256 and RS512"""
    bot_client_id: str = ""
    """Client ID of a second app, made in a bot's own settings: with it, only this one may delete recordings, and it may
    neither erase nor ask about all bots. Empty: the one app may do all"""
    bot_client_secret: Text = "sandbox-secret-of-a-bot-sandbox-secret-of-a-bot-sandbox-secret-of-a-bot"  # noqa: S105
    """Client Secret of that app, the key of HS256 and HS512"""
    enforce_jti: bool = documented(True)
    """Refuse a token without `jti` or `kore_jti`"""
    clock_leeway: Annotated[float, Field(ge=0)] = guessed(60.0)
    """Seconds that `iat` and `nbf` may be in the future"""
    clock_offset: Annotated[float, Field(ge=-1e9, le=1e9)] = 0.0
    """Seconds by which the clock that tokens are checked with, and that `Date` shows, is ahead of this machine's"""
    enforce_jwe: bool = documented(False)
    """Refuse a token that is signed and not encrypted; the text of the refusal is guessed"""
    scope_granted: bool = True
    """Whether the app has the scope to delete users' data"""
    history_granted: bool = True
    """Whether the app has the scopes to read sessions and chat history"""
    roles_granted: bool = True
    """Whether the app has the scope to read roles"""
    recordings_granted: bool = True
    """Whether the app has the scope to delete recordings"""
    missing_scope_status: Annotated[int, Field(ge=400, le=599)] = guessed(403)
    """HTTP status when the scope is missing"""

    bots: Names = ()
    """Bots of the account; none listed: every bot id exists"""
    channel_users: bool = guessed(True)
    """Accept objects with a channel and the id of a user there in `userIds`"""
    channel_id_key: Text = guessed("channel_id")
    """Key of the channel in such an object"""
    channel_user_id_key: Text = guessed("channel_user_id")
    """Key of the user's id in such an object"""
    max_user_ids: Count = guessed(0)
    """Most `userIds` in one request; 0: no limit"""
    refuse: Names = ()
    """Users that are never erased (account or bot owners): ids, or patterns as `*@example.com`"""
    members: Names = ()
    """Members of the account: ids, which the list of roles shows; they are never erased, as `refuse`"""
    members_page: Annotated[int, Field(ge=1)] = guessed(50)
    """Most members that a request for roles may ask for; more gets 400"""
    refusal: Literal["per-user", "whole-request"] = guessed("per-user")
    """Whether a refused user fails alone, or the whole request with 400"""
    unknown_users: Names = ()
    """Users that Kore does not know: ids, or patterns"""
    user_id_form: Literal["sent", "resolved"] = guessed("sent")
    """Whether an answer names users as they were sent, or by the `u-…` id they resolve to"""

    accept_status: Literal[200, 202] = guessed(200)
    """HTTP status when an erasure is accepted"""
    accept_word: str = documented("in-progress")
    """`status` when an erasure is accepted"""
    duration: float | str = guessed(5.0)
    """Seconds an erasure takes: a number, `uniform:a:b` or `log-uniform:a:b`"""
    seed: int = 0
    """Seed of random durations, and of users' history"""
    while_running: Literal["missing", "empty", "entries", "trickle", "growing", "unknown"] = guessed("entries")
    """`response` while running: no such key, `[]`, all in progress, finishing one by one, only the finished, or no
    answer but that the request id is unknown"""
    erased_word: str = documented("SUCCESS")
    """`status` of an erased user"""
    running_word: str = guessed("in-progress")
    """`status` of a user not erased yet"""
    refused_word: str = guessed("FAILED")
    """`status` of a refused user"""
    unknown_word: str = guessed("FAILED")
    """`status` of an unknown user"""
    timestamps: Literal["iso", "date-object", "isodate"] = documented("iso")
    """ISO strings, `{"$date": …}` (guessed), or `ISODate("…")`, which is not JSON"""
    unknown_request_status: Annotated[int, Field(ge=400, le=599)] = guessed(400)
    """HTTP status for an unknown request id"""
    unknown_request_text: Text = guessed("Invalid request id")
    """Text for an unknown request id"""

    sessions_per_user: Count = 2
    """Sessions that each user has with each bot, until erased"""
    messages_per_session: Count = 3
    """Messages in each session"""
    history_days: Annotated[float, Field(gt=0, le=36_500)] = 30.0
    """Days before the start of the sandbox over which sessions are spread"""
    history_channels: Annotated[
        tuple[Annotated[str, Field(pattern=r"\S")], ...], Strict(False), Field(min_length=1)
    ] = ("rtm",)
    """Channels of the sessions, taken in turn; at least one, of any name"""
    message_authors: Literal["always", "never"] = documented("always")
    """Whether messages have `createdBy`; in Kore's newest sample they have none"""
    history_bots: Names = ()
    """Bots at which users have data; none listed: any bot that a request names, and for all bots those of the account,
    or `st-1`"""
    history_window_ends: Literal["inclusive", "exclusive"] = guessed("inclusive")
    """Whether what happened at `dateTo` itself belongs to the window"""
    sessions_span: Literal["any", "under-7-days"] = guessed("any")
    """Which spans a request for sessions may have; any other gets 400"""
    lite_served: bool = documented(True)
    """Whether there is `messages-lite`, or a 404 in its place"""
    lite_users: Literal["channel-array", "channel-with-type", "user-id"] = documented("channel-array")
    """Whom `messages-lite` takes beside `userId`: a `channelUId` or an array of them, of all channels without
    `channelType`; one `channelUId` that needs a `channelType` (guessed); none (guessed)"""
    lite_default_channels: Literal["all", "rtm"] = guessed("all")
    """Which channels `messages-lite` lists for a `userId` without `channelType`"""
    lite_longest_days: Count = guessed(0)
    """Most days that a request to `messages-lite` may span; 0: no limit"""
    lite_last_day: Literal["inclusive", "exclusive"] = guessed("inclusive")
    """Whether the day `dateTo` of `messages-lite` belongs to its span"""
    unlisted_channels: Names = ()
    """Channels whose sessions and messages the full calls do not list, and `messages-lite` does"""
    recordings_path: Literal["v2", "1.1", "plain"] = documented("v2")
    """Which path deletes recordings: `/api/public/bot/{botId}/v2/recordings`, as Kore's page says; with
    `/api/1.1/public` and without `v2`, as its sample says; or with neither, as an older page says. Others get 404"""
    recorded_channels: Names = ()
    """Channels whose sessions have recordings; none listed: all"""
    recordings_deleted_text: Text = documented("Call recordings deleted successfully")
    """`message` when recordings are deleted"""
    no_recordings_status: Literal[200, 400, 404] = guessed(404)
    """HTTP status when a session has no recordings, or is not known"""
    no_recordings_text: Text = guessed("No recordings found")
    """Text of that answer"""
    llm_logs: Literal["none", "some", "no-scope", "absent"] = "none"
    """Whether there are logs of LLM usage, the app lacks the scope to read them, or a 404 is in their place"""
    audit_log: Literal["none", "some", "no-scope", "absent"] = "none"
    """Whether the audit log has entries, the app lacks the scope to read it, or a 404 is in its place"""
    erased_user_answer: Literal["empty", "error"] = guessed("empty")
    """Whether a request about an erased user finds nothing, or gets 400"""
    leave_behind: Names = ()
    """Users whose data stay although they are reported as erased: ids, or patterns"""
    leave_behind_kind: Literal["sessions", "messages", "both"] = "both"
    """What of their data stays"""
    wrong_total: int = 0
    """Added to each `total`, to test callers that check it"""
    ignore_user_filter: bool = False
    """Mix another user's data into the answer, to test callers that check it"""

    requests_per_minute: Count = documented(60)
    """Requests in the short window; 0: no limit"""
    minute_seconds: Seconds = documented(60.0)
    """Length of the short window in seconds"""
    requests_per_hour: Count = documented(1800)
    """Requests in the long window; 0: no limit"""
    hour_seconds: Seconds = documented(3600.0)
    """Length of the long window in seconds"""
    count_throttled: bool = guessed(False)
    """Whether throttled requests count too"""
    history_counts: bool = guessed(True)
    """Whether sessions and messages count in the account's windows, or in windows of their own for each bot"""
    throttle_status: Literal[429, 400] = guessed(429)
    """HTTP status of a throttled request"""
    throttle_text: Literal["documented", "forum", "other"] = documented("documented")
    """Text of a throttled request: that of the documentation, of Kore's forum, or one that names no rate limit"""
    retry_after: Literal["none", "seconds", "date"] = guessed("none")
    """`Retry-After` of a throttled request"""

    @field_validator("duration")
    @classmethod
    def _check_duration(cls, duration: float | str) -> float | str:
        draw_seconds(duration, Random(0))  # noqa: S311  # no secret
        return duration

    @classmethod
    def source_of(cls, name: str) -> str:
        """Return where the default of a setting comes from: ``documented``, ``guessed`` or ``sandbox``."""
        extra = cls.model_fields[name].json_schema_extra
        return str(extra["source"]) if isinstance(extra, dict) else "sandbox"

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return these settings with some changed, as read from JSON; raise ``ValueError`` if any is wrong."""
        return self.model_validate(self.model_dump() | dict(changes))
