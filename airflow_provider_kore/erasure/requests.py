"""What a sensor was told to wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.erase_request import check_request_id
from airflow_provider_kore.api.outcome import ErasureOutcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.watching import AcceptedErasure
from airflow_provider_kore.compat import AirflowSkipException
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.options import check_whole_number


@dataclass(frozen=True, slots=True)
class WaitedFor:
    """
    Hold what a sensor waits for.

    :param requests: the requests, each once.
    :param missing_users: users that the tasks before it should have submitted, and who are in none of the requests.
    :param dry_run: whether one of those tasks was a dry run.
    :param scope: the bots, if those tasks tell.
    """

    requests: tuple[AcceptedErasure, ...]
    missing_users: int = 0
    dry_run: bool = False
    scope: ErasureScope | None = None

    @property
    def user_count(self) -> int:
        """How many users are waited for, as far as that is known."""
        return self.missing_users + sum(request.user_count or 1 for request in self.requests)

    def missing(self) -> ErasureOutcome:
        """Count the missing users as not erased."""
        if not self.missing_users:
            return ErasureOutcome()
        remark = f"{self.missing_users} users are in no request that Kore.ai is known to have accepted."
        return ErasureOutcome(not_erased=self.missing_users, remarks=(remark,))


def read_requests(request_id: object, user_count: object = None) -> WaitedFor:
    """
    Read what a sensor was told to wait for.

    :param request_id: a request id, a list of them, what the operator returned, or several of that.
    :param user_count: the number of users of the one request, if it comes without.
    :raises KoreInputError: if it is none of these, or there is nothing to wait for.
    :raises AirflowSkipException: if it is what a dry run returned.
    """
    waited_for = _read(request_id)
    if user_count is not None:
        if len(waited_for.requests) != 1 or waited_for.requests[0].user_count is not None:
            raise _refuse("user_count goes with one bare request id only.")
        request = AcceptedErasure(waited_for.requests[0].request_id, check_whole_number("user_count", user_count))
        waited_for = WaitedFor((request,))
    if waited_for.dry_run and waited_for.requests:
        raise _refuse("Beside erasure requests there is what a dry run returned, whose users were never submitted.")
    if waited_for.dry_run:
        raise AirflowSkipException("A dry run submitted nothing, so there is nothing to wait for.")
    if not waited_for.requests:
        raise _refuse("There is no erasure request to wait for.")
    return waited_for


def _read(value: object) -> WaitedFor:
    if isinstance(value, str):
        return WaitedFor((AcceptedErasure(check_request_id(value), None),))
    if isinstance(value, Mapping) and "requests" in value:
        requests, scope = _read(value["requests"]).requests, _read_scope(value)
        if value.get("dry_run") is True:
            return WaitedFor(requests, dry_run=True)
        expected = check_whole_number("user_count", value.get("user_count"))
        submitted = sum(request.user_count or 0 for request in requests)
        return WaitedFor(requests, missing_users=max(expected - submitted, 0), scope=scope)
    if isinstance(value, Mapping) and "request_id" in value:
        user_count = value.get("user_count")
        count = None if user_count is None else check_whole_number("user_count", user_count)
        return WaitedFor((AcceptedErasure(check_request_id(value["request_id"]), count),))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        parts = [_read(item) for item in value]
        by_id: dict[str, AcceptedErasure] = {}
        for request in (request for part in parts for request in part.requests):
            if by_id.setdefault(request.request_id, request) != request:
                raise _refuse(f"{request.request_id} was given twice, with different numbers of users.")
        missing = sum(part.missing_users for part in parts)
        scopes = {part.scope for part in parts}
        scope = scopes.pop() if len(scopes) == 1 else None
        return WaitedFor(tuple(by_id.values()), missing, any(part.dry_run for part in parts), scope)
    raise _refuse(f"request_id is of type {type(value).__name__}, and not what the operator returns.")


def _read_scope(output: Mapping[object, object]) -> ErasureScope | None:
    match output.get("bot_ids"), output.get("all_bots"):
        case list(bot_ids), bool(all_bots) if bool(bot_ids) != all_bots:
            return ErasureScope(tuple(map(str, bot_ids)), all_bots)
    return None


def _refuse(problem: str) -> KoreInputError:
    return KoreInputError(
        problem, remedy="Pass a request id, a list of them, or the operator's output as it is (operator.output)."
    )
