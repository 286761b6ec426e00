"""The one form in which JSON is signed, so that equal content is equal byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

Canonical = None | bool | int | str | Sequence["Canonical"] | Mapping[str, "Canonical"]
"""JSON without fractions, of which two programs may keep different digits."""


class NotCanonicalError(ValueError):
    """The bytes are not JSON in the canonical form."""


def canonical_json(document: Canonical) -> bytes:
    """Write JSON with sorted keys, without blanks, in UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def read_canonical(content: bytes) -> Canonical:
    """
    Read JSON that is in the canonical form.

    :raises NotCanonicalError: if it is not, byte for byte.
    """
    try:
        document: Canonical = json.loads(
            content.decode(), object_pairs_hook=_without_duplicates, parse_float=_refuse, parse_constant=_refuse
        )
        same = canonical_json(document) == content
    except NotCanonicalError:
        raise
    except (ValueError, RecursionError):
        raise NotCanonicalError("is not JSON") from None
    if not same:
        raise NotCanonicalError("is not in the one form that is signed: sorted keys, no blanks, UTF-8")
    return document


def _without_duplicates(pairs: list[tuple[str, Canonical]]) -> dict[str, Canonical]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise NotCanonicalError("names a key twice in one object")
    return document


def _refuse(_: str) -> NoReturn:
    raise NotCanonicalError("holds a number that is not a whole one")
