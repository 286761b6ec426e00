"""Decode the JSON of an answer. Pure functions, no I/O."""

from __future__ import annotations

import json
import re


class NotJsonError(ValueError):
    """The bytes are no JSON document that can be trusted."""


_ISO_DATE = re.compile(r'ISODate\("([^"\\]*)"\)')


def decode_json(content: bytes) -> object:
    """
    Decode an answer, refusing what two readers could read differently.

    Old samples of Kore.ai print dates as ``ISODate("…")``, which is not JSON; that alone is forgiven.

    :raises NotJsonError: if it is not JSON, not UTF-8, or names a key twice in one object.
    """
    try:
        text = content.decode()
        try:
            return json.loads(text, object_pairs_hook=_object_without_duplicates)
        except json.JSONDecodeError:
            return json.loads(_ISO_DATE.sub(r'"\1"', text), object_pairs_hook=_object_without_duplicates)
    except (ValueError, RecursionError):
        raise NotJsonError("not a JSON document") from None


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise NotJsonError("a key stands twice in one object")
    return document
