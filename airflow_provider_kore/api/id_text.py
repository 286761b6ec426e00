"""Which text can be the id of a user, and which text is what a file format, a spreadsheet or a program left behind."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple


class Fault(NamedTuple):
    """
    What is wrong with a value that should be a user id, without showing it.

    :ivar problem: continues "The user id at line 3".
    :ivar remedy: what to do.
    """

    problem: str
    remedy: str = "Correct the source of the user ids and run the task again."


AS_TEXT = (
    "Keep user ids as text, from where they come: a number loses leading zeros, the + of a phone number, and digits "
    "beyond the 15th. In Excel, set the column to the format Text before the ids are entered or pasted. In pandas, "
    "read the file with dtype=str. In SQL, cast the column to text. A DAG with render_template_as_native_obj=True "
    "makes numbers of a template that renders to digits: pass the XCom as it is (task.output)."
)
"""What to do about user ids that a program took for numbers."""

_NOT_VISIBLE = Fault("contains a control, format, private or unassigned character, which no user id has")
_SPACE_AT_EDGE = Fault("begins or ends with a space")
_FORMAT_AT_EDGE = Fault(
    "begins or ends with a quote, bracket, brace, comma or semicolon, as what is left of a file format does",
    "Write each user id by itself, or name the file by its form, such as people.csv or people.json.",
)
_SEVERAL = Fault(
    "contains what separates the fields of a row, or several user ids",
    "Write each user id by itself, or name the file by its form, such as people.csv with the column of the user ids.",
)
_NUMBER = Fault("is a number in decimal or exponent form, and no longer the id that it was", AS_TEXT)
_MARKUP = Fault("begins as a comment, a list item or an error value of a spreadsheet does")
_NO_LETTER = Fault("has neither a letter nor a digit")
_LOST_LETTER = Fault(
    "contains a replacement character, which stands where a program could not decode a letter",
    "Write the source of the user ids anew as UTF-8.",
)
_PLACEHOLDER = Fault("is a placeholder for a missing value, or a truth value")
_LOCATION = Fault(
    "is the URI of a file",
    "Pass the URI by itself and not in a list, or as FileUserIds(uri).",
)
_SEALED = Fault(
    "is a text of sealed user ids, and no user id by itself",
    "Pass the text by itself as user_ids, and not in a list or a file.",
)

SEALED_PREFIX = "jwe:"
"""How a text of sealed user ids begins."""

USUAL_ID = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]"
    r"|u-[A-Za-z0-9-]*[A-Za-z0-9]"
    r"|\+?[0-9]+"
)
"""Nearly all ids that there are: none of the rules below refuses them, so that long lists are checked fast."""

_QUOTES = frozenset("\"'`´¨ʹʺʻʼʽˈˊˋ′″‴‵‶‷‹›«»〃〝〞〟＂＇｀‚‛„‟‘’“”")
_SEPARATORS = ",;，；、､،؛"
_AT_NO_EDGE = frozenset(f"{_SEPARATORS}|¦<>")
_SEVERAL_IDS = re.compile(
    rf"[{_SEPARATORS}]"  # a list, or a row of CSV
    r"|@.*[|\s].*@"  # two addresses
    r"|\s@|@\s|\s\S*@|@\S*\s"  # a name beside an address
    r"|^(?:u-|\+?\d)[^|]*\||\|\||\s\||\|\s"  # a row, unlike auth0|5f7c…
)
_NUMBER_FORM = re.compile(
    r"[+-]?(?:\d+[.,٫]\d*|[.,٫]\d+)"  # 491701234567.0
    r"|[+-]?(?:\d+[.,٫]\d*|[.,٫]\d+)[eE][+-]?\d+"  # 4.91701E+11
    r"|[+-]?\d+[eE][+-]\d+"
    r"|[+-]?\d{1,4}[eE]\d{1,3}"  # no longer, since 1234567e1 can be the hexadecimal digits of an id
)
_MARKUP_FORM = re.compile(r"#|//|[-*•·]\s|\\N$")
_FILE_URI = re.compile(r"(?!https?:)[A-Za-z][A-Za-z0-9+.-]*://")
_PLACEHOLDERS = frozenset({"true", "false", "n/a", "nat", "nil", "void"})


def id_text_fault(text: str) -> Fault | None:
    """
    Find what shows that a text is no user id, or not the id that it was.

    E-mail addresses, Kore.ai's own ids, phone numbers, and the ids of channels pass; ids of digits alone are usual.

    :param text: not blank.
    """
    if text[0].isspace() or text[-1].isspace():
        return _SPACE_AT_EDGE
    if not (text.isascii() and text.isprintable()):
        kinds = {unicodedata.category(character) for character in text}
        if any(kind[0] == "C" or kind in ("Zl", "Zp") for kind in kinds):
            return _NOT_VISIBLE
        if "\ufffd" in text:
            return _LOST_LETTER
    # Before edges and separators, since 4,91701E+11 has a comma that is no separator.
    if _NUMBER_FORM.fullmatch(text):
        return _NUMBER
    if _left_by_a_format(text[0]) or _left_by_a_format(text[-1]):
        return _FORMAT_AT_EDGE
    if _MARKUP_FORM.match(text):
        return _MARKUP
    if _SEVERAL_IDS.search(text):
        return _SEVERAL
    if _FILE_URI.match(text):
        return _LOCATION
    if text.startswith(SEALED_PREFIX):
        return _SEALED
    if text.lower() in _PLACEHOLDERS:
        return _PLACEHOLDER
    if not any(character.isalnum() or unicodedata.category(character) in _NAMING for character in text):
        return _NO_LETTER
    return None


_NAMING = frozenset({"Mn", "Mc", "So"})
"""Categories beside letters and digits that a name can be made of: marks of scripts, and emoji."""


def _left_by_a_format(character: str) -> bool:
    if character.isalnum():
        return False
    return (
        character in _QUOTES or character in _AT_NO_EDGE or unicodedata.category(character) in ("Ps", "Pe", "Pi", "Pf")
    )
