"""Keep what is in a URL out of the logs of the HTTP libraries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LIBRARIES = ("httpx", "httpcore")

_silent: ContextVar[bool] = ContextVar("without_http_logs", default=False)


def _passes(record: logging.LogRecord) -> bool:  # noqa: ARG001 # as a filter is called
    return not _silent.get()


@contextmanager
def without_http_logs() -> Iterator[None]:
    """
    Let httpx and httpcore log nothing in this thread, at whatever level, since httpx logs each URL.

    A URL can also come back in a header of the answer, which httpcore logs.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_passes)  # once, however often this runs
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)
