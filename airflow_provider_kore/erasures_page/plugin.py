"""The plugin that adds the page to Airflow's navigation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_kore.erasures_page import PAGE_ROUTE

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the page's files; only the API server calls this, and imports what it needs."""
    from airflow_provider_kore.erasures_page.server import page_files

    await page_files(scope, receive, send)


async def answer_rights(scope: Scope, receive: Receive, send: Send) -> None:
    """Say whether the viewer may start a run of a DAG, or set notes of its task instances."""
    from airflow_provider_kore.erasures_page.rights import rights

    await rights(scope, receive, send)


class KoreErasuresPlugin(AirflowPlugin):
    """
    Show the erasures that the viewer may see, on a page of their own.

    Every component of Airflow loads this, so it imports nothing.
    """

    name = "kore_erasures"
    fastapi_apps: list[Any] = [  # noqa: RUF012 # as its base class has it
        # The first that fits is asked.
        {"app": answer_rights, "url_prefix": f"/{PAGE_ROUTE}/may", "name": "Kore erasures: rights"},
        {"app": serve_page, "url_prefix": f"/{PAGE_ROUTE}", "name": "Kore erasures"},
    ]
    # Addresses are relative, so that they work wherever Airflow's base URL is.
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "Erasures",  # the navigation has room for one short word
            "href": f"{PAGE_ROUTE}/",
            "destination": "nav",
            "url_route": PAGE_ROUTE,
            "icon": f"{PAGE_ROUTE}/icon.svg",
            "icon_dark_mode": f"{PAGE_ROUTE}/icon-dark.svg",
        },
    ]
