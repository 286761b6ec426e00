"""The members of the account, with their roles, as Kore lists them."""

from urllib.parse import parse_qsl

from airflow_provider_kore.sandbox.answers import Answer, RefusedError
from airflow_provider_kore.sandbox.paging import Page, read_page
from airflow_provider_kore.sandbox.requests import ReceivedRequest
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.users import resolved_id


def read_roles_request(request: ReceivedRequest, settings: Settings) -> Page:
    """Read which part of the members a request wants; refuse what Kore does not document."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    parameters = dict(pairs)
    if parameters.keys() - {"offset", "limit"} or len(parameters) != len(pairs):
        raise RefusedError(400, "The query must have offset and limit only, each once")
    return read_page(
        _number(parameters.get("offset", "0")),
        _number(parameters.get("limit", str(settings.members_page))),
        longest=settings.members_page,
    )


def roles_answer(page: Page, settings: Settings) -> Answer:
    """Answer with a part of the members."""
    members = [_member(name, settings) for name in settings.members]
    return page.answer(members, settings, more_key="availableMore", items_key="users")


def _member(name: str, settings: Settings) -> dict[str, object]:
    return {
        "username": name,
        "orgUserId": resolved_id(name),
        "accountId": "sandbox-account",
        "isDeveloper": True,
        "canCreateBot": True,
        "userId": resolved_id(name),
        "btRoles": [
            {"roleId": f"role-{bot_id}", "roleName": "Bot Owner", "groups": [], "botId": bot_id, "botName": bot_id}
            for bot_id in settings.bots
        ],
        "adminRoles": [],
    }


def _number(text: str) -> int | None:
    # not any longer: Python refuses to read numbers of thousands of digits
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
