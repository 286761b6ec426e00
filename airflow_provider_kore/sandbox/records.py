"""What the control API shows: the log of requests, and the state of the account."""

from dataclasses import dataclass
from typing import Literal

from airflow_provider_kore.sandbox.faults import FaultKind
from airflow_provider_kore.sandbox.requests import CallName, UserId

Fate = Literal["erased", "refused", "unknown"]


@dataclass(kw_only=True)
class LogEntry:
    """One request to the API, and its outcome: an HTTP status, or a connection reset."""

    number: int
    time: float
    method: str
    path: str
    query: str
    headers: tuple[str, ...]
    content_length: int | None
    body: object
    call: CallName | None = None
    jti: str | None = None
    throttled: bool = False
    fault: FaultKind | None = None
    accepted: bool = False
    request_id: str | None = None
    outcome: int | Literal["reset"] | None = None


@dataclass(frozen=True, kw_only=True)
class UserState:
    """The fate of one user of an accepted request."""

    user_id: UserId
    fate: Fate | Literal["running"]


@dataclass(frozen=True, kw_only=True)
class RequestState:
    """One accepted request."""

    request_id: str
    bot_ids: tuple[str, ...]
    all_bots: bool
    accepted_at: float
    finishes_at: float
    finished: bool
    users: tuple[UserState, ...]


@dataclass(frozen=True, kw_only=True)
class ErasedUser:
    """A user who has been erased, and from which bots."""

    user_id: UserId
    bot_ids: tuple[str, ...]
    all_bots: bool
    request_id: str


@dataclass(frozen=True, kw_only=True)
class DeletedRecordings:
    """A session whose recordings have been deleted; the user by the id at Kore, and by name."""

    session_id: str
    bot_id: str
    user_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class State:
    """What an account knows: its accepted requests, the users erased so far, and the recordings deleted so far."""

    requests: tuple[RequestState, ...]
    erased: tuple[ErasedUser, ...]
    deleted_recordings: tuple[DeletedRecordings, ...]
