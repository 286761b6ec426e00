"""Serve the page's files, with headers that allow it nothing but Airflow. There is no data here."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",  # Airflow shows the page in a frame
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",  # no text can ever become markup
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # A wheel dates all files alike, so that a browser could use a file of another version.
    "Cache-Control": "no-store",
}


class PageFiles(StaticFiles):
    """Serve files with these headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


page_files = PageFiles(directory=Path(__file__).parent / "static", html=True)
