"""Whether an answer that is no success leaves it open that an erasure was accepted."""

from __future__ import annotations

_PROVES_NOTHING_WAS_DONE = frozenset(
    {
        *(300, 301, 302, 304, 305, 307, 308),  # go elsewhere with it; but 303 follows a request that was done
        *(400, 402, 422),  # the request itself is refused
        *(401, 403, 407),  # unknown callers are not let in, neither by Kore.ai nor by a proxy
        *(404, 405, 410, 501),  # there is nothing that could do it
        *(409, 412, 417, 423, 428),  # a condition of doing it is not met
        *(411, 413, 414, 415, 431),  # its form is refused before it is read
        *(421, 425, 426),  # not for this server, this moment or this protocol; by definition not carried out
        *(429, 451),
    }
)
"""
Statuses that by their definition say that a request was not carried out.

All others leave it open: a proxy answers 408, 499 or 460 when it has waited for too long, and may have passed the
request on; a 5xx can follow the acceptance, except for 501, by which no server can do it; 406 is about the form of an
answer; and what no standard defines means nothing.
"""


def leaves_open(status: int) -> bool:
    """Tell whether an answer that is no success leaves it open whether an erasure was accepted."""
    return status not in _PROVES_NOTHING_WAS_DONE
