"""The package's sources use the words of the field: in names, docstrings, literals and comments."""

import io
import re
import tokenize
from pathlib import Path

import pytest

import airflow_provider_kore

PACKAGE = Path(airflow_provider_kore.__file__).parent
ROOMS = sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")})

NOUN_FOLLOWS = "a|an|each|every|this|that|the|one|another|earlier|previous|later|first|next|last|of|many|which"

REFUSED = {
    "told": "argument, option, or a plain verb",
    "given": "passed, set, or the name of the argument",
    "demands?": "option",
    "(take|takes|taken|taking|took) (up|over)": "resume",
    "(go|goes|going|went) on": "resume or continue",
    "(begin|begins|began|begun) anew": "resubmit",
    "hold|holds|holding|held": "keep, store, contain or run",
    "doubts?|doubted": "ambiguous, or what is not known",
    "conducts?|conducted": "run",
    "places": "user refs, positions",
    "look|looks|looked|looking": "poll, read, search or verify",
    "somebody|everybody|nobody|anybody": "user",
    "came of": "outcome",
    f"({NOUN_FOLLOWS}) (try|tries)": "attempt",
}
"""Words that say too little, as regular expressions, and what to say in their stead."""

REFUSED_IN_NAMES = {"people|persons?": "user"}
"""Words that only documents may use."""

ALLOWED = {
    r"try_number|max_tries": "names of Airflow",
    r"\bpeople\b|people_fingerprint": "a key of Verify, and of what an export returns",
    r"\bpersons\b|\bPerson\b": "the list of users in a receipt, its model, and the flag that searches it",
}
"""What is not checked, as regular expressions, and why."""


def words_of(text):
    """Blank out what is allowed, and split names into words; each line keeps its number."""
    for allowed in ALLOWED:
        text = re.sub(allowed, "", text)
    text = re.sub(r"_|(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return re.sub(r"(?m)^[ \t]*(#|//|\*)", "", text)  # a comment goes over several lines


def hits(text, refused):
    for words, better in refused.items():
        for hit in re.finditer(rf"\b(?:{words.replace(' ', chr(92) + 's+')})\b", text, re.IGNORECASE):
            yield text.count("\n", 0, hit.start()) + 1, " ".join(hit[0].split()), better


def names_in(path):
    source = path.read_text()
    lines = [""] * (source.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            lines[token.start[0] - 1] += f" {token.string}"
    return "\n".join(lines)


def faults(path):
    yield from hits(words_of(path.name), REFUSED | REFUSED_IN_NAMES)
    yield from hits(words_of(path.read_text()), REFUSED)
    if path.suffix == ".py":
        yield from hits(words_of(names_in(path)), REFUSED_IN_NAMES)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_the_words_of_the_field(room):
    root = PACKAGE / room
    paths = [root] if root.is_file() else [path for path in root.rglob("*") if path.suffix in {".py", ".js", ".html"}]
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {word!r}, better: {better}"
        for path in sorted(paths)
        for line, word, better in faults(path)
    ]
    assert not found, f"{len(found)} words:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def take_over(self):", "take over"),
        ("class Demands:", "Demands"),
        ("# so that it goes\n    # on", "goes on"),
        ('"""In an earlier try."""', "earlier try"),
        ("Told in f'{x}'", "Told"),
    ],
)
def test_a_word_is_found_in_names_comments_and_docstrings(text, word):
    assert [hit[1] for hit in hits(words_of(text), REFUSED)] == [word]


@pytest.mark.parametrize("text", ["the try_number", "try:", "replace, household", "Try again.", "It is gone."])
def test_other_words_are_left_alone(text):
    assert not list(hits(words_of(text), REFUSED))
