"""One account at Kore, with its app, users, erasures and limits."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from random import Random

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.durations import draw_seconds
from airflow_provider_kore.sandbox.erasures import Erasure, accept, status_answer
from airflow_provider_kore.sandbox.faults import Fault, FaultQueue
from airflow_provider_kore.sandbox.history import History
from airflow_provider_kore.sandbox.history_requests import read_history_request
from airflow_provider_kore.sandbox.logs import audit_log_answer, llm_logs_answer
from airflow_provider_kore.sandbox.rate_windows import RateWindows
from airflow_provider_kore.sandbox.recordings import Recordings, read_recordings_request
from airflow_provider_kore.sandbox.records import ErasedUser, LogEntry, State
from airflow_provider_kore.sandbox.requests import ReceivedRequest, Route, find_route, read_erase_request
from airflow_provider_kore.sandbox.roles import read_roles_request, roles_answer
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.times import moment_at
from airflow_provider_kore.sandbox.tokens import check_claims, check_key, is_of_bot_app, read_token, token_id


class Account:
    """
    One account at Kore: answers API requests, and records all that happens.

    Nothing runs in the background: the progress of an erasure follows from the clock.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        check_key(settings)
        self._first_settings = settings
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything, and go back to the first settings."""
        self.settings = self._first_settings
        self.faults = FaultQueue()
        self._log: list[LogEntry] = []
        self._erasures: dict[str, Erasure] = {}
        self._used_token_ids: set[str] = set()
        self._rate_windows = RateWindows()
        self._rate_windows_by_bot: dict[str | None, RateWindows] = defaultdict(RateWindows)
        self._history = History(moment_at(self._clock()))
        self._recordings = Recordings()
        self._random = Random(self.settings.seed)  # noqa: S311  # durations, no secrets

    def configure(self, changes: Mapping[str, object]) -> Settings:
        """Change some settings; raise ``ValueError``, and change nothing, if any is wrong."""
        settings = self.settings.changed(changes)
        check_key(settings)
        if "seed" in changes:
            self._random = Random(settings.seed)  # noqa: S311  # durations, no secrets
        self.settings = settings
        return settings

    def date(self) -> str:
        """Return the time that an answer shows in its header ``Date``."""
        return formatdate(self._clock() + self.settings.clock_offset, usegmt=True)

    def answer(self, request: ReceivedRequest) -> Answer:
        """Answer one API request; it is logged, with its outcome, before the answer leaves."""
        length = request.header("content-length")
        entry = LogEntry(
            number=len(self._log) + 1,
            time=self._clock(),
            method=request.method,
            path=request.path,
            query=request.query,
            headers=tuple(name for name, _ in request.headers),
            content_length=int(length) if length and length.isdecimal() else None,
            body=request.json(),
        )
        self._log.append(entry)
        answer, fault = self._process(request, entry)
        if fault:
            entry.fault = fault.kind
            answer = fault.spoil(answer, request.body or request.query.encode())
        entry.outcome = "reset" if answer.reset else answer.status
        return answer

    def log(self) -> list[LogEntry]:
        """Return every API request so far."""
        return [replace(entry) for entry in self._log]

    def state(self) -> State:
        """Return the accepted requests, and the users erased so far."""
        now = self._clock()
        requests = tuple(erasure.state_at(now, self.settings) for erasure in self._erasures.values())
        erased = tuple(
            ErasedUser(
                user_id=user.user_id,
                bot_ids=request.bot_ids,
                all_bots=request.all_bots,
                request_id=request.request_id,
            )
            for request in requests
            for user in request.users
            if user.fate == "erased"
        )
        deleted = tuple(self._recordings.deleted.values())
        return State(requests=requests, erased=erased, deleted_recordings=deleted)

    def _process(self, request: ReceivedRequest, entry: LogEntry) -> tuple[Answer, Fault | None]:
        fault: Fault | None = None
        try:
            route = find_route(request)
            entry.call = route.call
            by_bot_app = self._authenticate(request, entry)
            self._count(route, entry)
            # A fault strikes only a request that would be processed: what is refused here uses none up.
            fault = self.faults.strike(route.call)
            if fault and not fault.accepts:
                return Answer(status=500, body=b""), fault
            self._check_scope(route, by_bot_app=by_bot_app)
            return self._dispatch(route, request, entry), fault
        except RefusedError as refusal:
            return refusal.answer, fault

    def _authenticate(self, request: ReceivedRequest, entry: LogEntry) -> bool:
        """Check the token; return whether it is of the app that was made in a bot's own settings."""
        claims = read_token(request.header("auth"), self.settings)
        entry.jti = token_id(claims)
        check_claims(claims, self.settings, entry.time + self.settings.clock_offset, self._used_token_ids)
        if entry.jti is not None:
            self._used_token_ids.add(entry.jti)
        return is_of_bot_app(claims, self.settings)

    def _count(self, route: Route, entry: LogEntry) -> None:
        by_bot = route.call in ("sessions", "messages", "messages-lite") and not self.settings.history_counts
        windows = self._rate_windows_by_bot[route.bot_id] if by_bot else self._rate_windows
        try:
            windows.admit(self.settings, entry.time)
        except RefusedError:
            entry.throttled = True
            raise

    def _check_scope(self, route: Route, *, by_bot_app: bool) -> None:
        settings = self.settings
        granted = {
            "erase": settings.scope_granted,
            "status": settings.scope_granted,
            "roles": settings.roles_granted,
            "recordings": settings.recordings_granted,
            "llm-logs": settings.llm_logs != "no-scope",
            "audit-log": settings.audit_log != "no-scope",
        }
        if route.call == "recordings":
            is_right_app = by_bot_app or not settings.bot_client_id
        else:
            is_right_app = route.bot_id is not None or not by_bot_app
        if not is_right_app or not granted.get(route.call, settings.history_granted):
            raise RefusedError(settings.missing_scope_status, "Unauthorized to perform this activity")

    def _dispatch(self, route: Route, request: ReceivedRequest, entry: LogEntry) -> Answer:
        match route.call:
            case "erase":
                return self._erase(request, entry)
            case "status":
                entry.request_id = route.request_id
                return self._status(route.request_id)
            case "roles":
                return roles_answer(read_roles_request(request, self.settings), self.settings)
            case "recordings":
                session_id, bot_id = read_recordings_request(route, request, self.settings), str(route.bot_id)
                session = self._history.session(bot_id, session_id, self.settings)
                return self._recordings.delete(session_id, session, self.settings)
            case "llm-logs":
                return llm_logs_answer(route, request, self.settings)
            case "audit-log":
                return audit_log_answer(request, self.settings)
            case "sessions" | "messages" | "messages-lite":
                history_request = read_history_request(route, request, self.settings, moment_at(entry.time))
                return self._history.answer(history_request, entry.time, self.settings)

    def _erase(self, request: ReceivedRequest, entry: LogEntry) -> Answer:
        erase_request = read_erase_request(request, self.settings)
        duration = draw_seconds(self.settings.duration, self._random)
        erasure = accept(erase_request, self.settings, entry.time, duration)
        self._erasures[erasure.request_id] = erasure
        self._history.record(erasure)
        entry.accepted = True
        entry.request_id = erasure.request_id
        content = {"requestId": erasure.request_id, "status": self.settings.accept_word}
        return json_answer(self.settings.accept_status, content)

    def _status(self, request_id: str) -> Answer:
        erasure, now = self._erasures.get(request_id), self._clock()
        if erasure is None or (self.settings.while_running == "unknown" and now < erasure.finishes_at):
            raise RefusedError(self.settings.unknown_request_status, self.settings.unknown_request_text)
        return status_answer(erasure, self.settings, now)
