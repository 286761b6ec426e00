"""Texts that are usual user ids, and texts that are none, by kind."""

import string

from hypothesis import strategies as st

from airflow_provider_kore.api.users import ChannelUserId

word = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8).map(lambda text: f"a{text}")
part = st.text(string.ascii_letters + string.digits + "._+-'", max_size=8).map(lambda text: f"b{text}c")
foreign = st.text(st.characters(categories=["Ll", "Lu", "Lo"]), min_size=1, max_size=8).map(lambda text: f"ä{text}")
digits = st.text(string.digits, min_size=1, max_size=20)
hexadecimal = st.text("0123456789abcdef", min_size=24, max_size=24)

EMAILS = st.builds("{}@{}.{}".format, part | foreign, word, word)
USUAL = st.one_of(
    EMAILS,
    st.uuids().map(lambda user_id: f"u-{user_id}"),
    digits,
    digits.map(lambda number: f"+{number}"),
    st.integers(10**6, 10**9).map(lambda number: f"+49 151 {number}"),
    hexadecimal,
    hexadecimal.map(lambda user_id: f"auth0|{user_id}"),
    st.builds("samlp|{}|{}".format, word, EMAILS),
    word.map(lambda user_id: f"U{user_id.upper()}"),  # Slack
    word.map(lambda user_id: f"29:1{user_id}-_x"),  # Teams
    digits.map(lambda number: f"whatsapp:+{number}"),
    foreign,
    st.builds("{} {}".format, word, foreign),
    st.sampled_from(
        ["用户", "🙂", "e\u0301", "O'Brien", "@handle", "Ann-Marie", "a_", "user.name", "https://id.example/7"]
    ),
).filter(lambda text: text.lower() not in {"none", "null", "nan", "undefined", "ann"})
USUAL_IDS = USUAL | st.builds(ChannelUserId, word, USUAL)

hidden = st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
spaces = st.sampled_from([chr(code) for code in range(0x3001) if chr(code).isspace()])
at_edges = st.sampled_from(list("\"'`´‘’‚“”„«»‹›()[]{}<>「」,;|，；、＂＇"))
sign = st.sampled_from(["", "+", "-"])
point = st.sampled_from([".", ","])
exponent = st.builds("{}{}{:02}".format, st.sampled_from("eE"), st.sampled_from("+-"), st.integers(0, 308))

REFUSED = {
    "a hidden character": st.builds("{}{}{}".format, USUAL, hidden, USUAL),
    "a hidden character at an edge": st.builds("{}{}".format, USUAL, hidden) | st.builds("{}{}".format, hidden, USUAL),
    "a space at the start": st.builds("{}{}".format, spaces, USUAL),
    "a space at the end": st.builds("{}{}".format, USUAL, spaces),
    "an edge that a format left at the start": st.builds("{}{}".format, at_edges, USUAL),
    "an edge that a format left at the end": st.builds("{}{}".format, USUAL, at_edges),
    "several ids": st.builds("{}{}{}".format, USUAL, st.sampled_from([",", ";", ", ", "\t", " | "]), USUAL),
    "several addresses": st.builds("{}{}{}".format, EMAILS, st.sampled_from(["|", " ", ", "]), EMAILS),
    "a name beside an address": st.builds("{} {}".format, foreign, EMAILS),
    "a row with pipes": st.builds("{}|{}".format, digits | st.uuids().map(lambda user_id: f"u-{user_id}"), word),
    "a decimal": st.builds("{}{}{}{}".format, sign, digits, point, digits),
    "a decimal without a part": st.builds("{}{}{}".format, sign, digits, point)
    | st.builds("{}{}".format, point, digits),
    "an exponent": st.builds("{}{}{}".format, sign, digits, exponent),
    "an exponent with a point": st.builds("{}{}{}{}{}".format, sign, digits, point, digits, exponent),
    "a float as Python writes it": st.floats(allow_nan=True).map(repr).filter(lambda text: "inf" not in text),
    "a small exponent": st.builds("{}{}{}".format, st.integers(0, 9999), st.sampled_from("eE"), st.integers(0, 308)),
    "a template": st.builds("{}{}{}".format, USUAL, st.sampled_from(["{{", "}}", "{%", "%}"]), USUAL),
    "what a program writes for nothing": st.sampled_from(
        [
            "",
            " ",
            "None",
            "none",
            "NULL",
            "nan",
            "NaN",
            "undefined",
            "<NA>",
            "NaT",
            "N/A",
            "#N/A",
            "\\N",
            "(null)",
            "-",
            "--",
        ]
    ),
    "a truth value": st.sampled_from(["true", "False", "TRUE"]),
    "a comment or a list item": st.builds("{}{}".format, st.sampled_from(["#", "# ", "// ", "- ", "* "]), USUAL),
    "a part of JSON": st.sampled_from(
        ["[", "]", "{", "}", '["ann@x.org",', '"ann@x.org",', '{"id": "u-1"}', '"id": "u-1",', "},"]
    ),
    "no letter": st.text(string.punctuation, min_size=1).filter(lambda text: "{" not in text),
    "a lost letter": st.builds("{}\ufffd{}".format, USUAL, USUAL),
    "the URI of a file": st.builds("{}://bucket/{}.csv".format, st.sampled_from(["s3", "gs", "abfs", "file"]), word),
}
"""Texts by the kind of what is wrong."""
