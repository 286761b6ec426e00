"""The logs of LLM usage and the audit log, which can name users, and which no erasure reaches."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from pydantic import Field

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.requests import Body, ReceivedRequest, Route, read_body, refuse_unknown_bots
from airflow_provider_kore.sandbox.settings import Settings

_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

_LLM_ENTRY = {"Feature": "Agent Node", "User ID": "u-1", "Description": "Hello, this is u-1"}
_AUDIT_ENTRY = {"Name": "Login", "Category": "Login/Logout", "Description": "u-1 logged in", "AuditLogId": "1"}


class LlmLogsRequest(Body):
    """A request for logs of LLM usage; numbers are texts, as in Kore's sample."""

    date_from: str = Field(pattern=_DAY, description="dateFrom must be a day")
    date_to: str = Field(pattern=_DAY, description="dateTo must be a day")
    limit: str = Field(pattern=r"^[1-9][0-9]{0,3}$", description="limit must be a number")
    skip: str = Field("0", pattern=r"^[0-9]{1,9}$", description="skip must be a number")


def llm_logs_answer(route: Route, request: ReceivedRequest, settings: Settings) -> Answer:
    """Answer with logs of LLM usage: an array, and no object."""
    _require_served(settings.llm_logs)
    read_body(request, LlmLogsRequest)
    refuse_unknown_bots([route.bot_id], settings)
    return json_answer(200, _entries(settings.llm_logs, _LLM_ENTRY))


def audit_log_answer(request: ReceivedRequest, settings: Settings) -> Answer:
    """Answer with a page of the audit log."""
    _require_served(settings.audit_log)
    pairs = parse_qsl(request.query, keep_blank_values=True)
    if sorted(name for name, _ in pairs) != ["fromDate", "offset", "size", "toDate"]:
        raise RefusedError(400, "The query must have size, offset, fromDate and toDate, each once")
    entries = _entries(settings.audit_log, _AUDIT_ENTRY)
    return json_answer(200, {"total": len(entries), "auditlogs": entries, "moreAvailable": False})


def _require_served(logs: str) -> None:
    if logs == "absent":
        raise RefusedError(404, "Not Found")


def _entries(logs: str, entry: Mapping[str, str]) -> list[Mapping[str, str]]:
    return [entry] if logs == "some" else []
