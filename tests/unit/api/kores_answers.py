"""Answers that Kore.ai might give to a status call, and an oracle written from the contract and not from the code."""

import re
from collections import defaultdict

from hypothesis import strategies as st

from airflow_provider_kore.api.users import ChannelUserId

REQUEST_ID = "eud-1"


def answer(*entries, **more):
    return {"_id": REQUEST_ID, "response": list(entries), **more}


def entry(user_id, status="SUCCESS"):
    if isinstance(user_id, ChannelUserId):
        user_id = {"channel_id": user_id.channel_id, "channel_user_id": user_id.channel_user_id}
    return {"userId": user_id, "status": status}


def counts(outcome):
    return (outcome.erased, outcome.open, outcome.not_erased)


GOOD_WORD = re.compile("[Ss][Uu][Cc][Cc][Ee][Ss][Ss]|[Cc][Oo][Mm][Pp][Ll][Ee][Tt][Ee][Dd]")


def good(status):
    return isinstance(status, str) and GOOD_WORD.fullmatch(status) is not None


def name_of(value):
    """The user whom an entry names, in a form of its own: one for all spellings of an address; None for nobody."""
    if isinstance(value, str) and value.strip():
        return ("id", value.lower() if "@" in value else value)
    if isinstance(value, dict) and set(value) == {"channel_id", "channel_user_id"}:
        parts = (value["channel_id"], value["channel_user_id"])
        if all(isinstance(part, str) and part.strip() for part in parts):
            return ("channel", *parts)
    return None


def name_of_user(user):
    return name_of(user) if isinstance(user, str) else ("channel", user.channel_id, user.channel_user_id)


def named(document):
    """All statuses that the answer gives under each name, and how many entries name nobody."""
    statuses, nameless = defaultdict(list), 0
    for item in document.get("response") or []:
        name = name_of(item.get("userId")) if isinstance(item, dict) else None
        if name is None:
            nameless += 1
        else:
            statuses[name].append(item.get("status"))
    return statuses, nameless


def most_that_count_can_prove(document, user_count, good=good):
    statuses, nameless = named(document)
    if user_count is not None and len(statuses) + nameless > user_count:
        return 0
    return sum(all(map(good, group)) for group in statuses.values())


def most_that_names_can_prove(document, users, good=good):
    statuses, nameless = named(document)
    names = [name_of_user(user) for user in users]
    proven = sum(bool(statuses.get(name)) and all(map(good, statuses[name])) for name in names)
    strangers = set(statuses) - set(names)
    resolvable = [name for name in names if name not in statuses and not (name[0] == "id" and name[1].startswith("u-"))]
    if len(strangers) + nameless > len(resolvable):
        return proven
    return proven + sum(all(map(good, statuses[name])) for name in strangers)


CHANNEL_USER = ChannelUserId("rtm", "4711")
USERS = [
    "u-0001",
    "u-0002",
    "anna@example.com",
    "Anna@Example.com",
    "bert@example.com",
    "u-carl@example.com",
    "straße@example.com",
    "+49 151 2345",
    CHANNEL_USER,
]
GOOD = ["SUCCESS", "success", "Success", "completed", "COMPLETED"]
OPEN = ["in-progress", "IN_PROGRESS", "pending", "Queued", "processing", "running", None, ""]
BAD = [
    "FAILED",
    "failure",
    "ſuccess",
    "SUCCEſS",
    "ＳＵＣＣＥＳＳ",
    "success\u200b",
    "SUCCESS ",
    "unsuccessful",
    "not completed",
    "succes",
    "partial success",
    True,
    1,
    200,
    0,
    False,
    [],
    ["SUCCESS"],
    {"status": "SUCCESS"},
]

# Users are folded before they are submitted, so that no two of them are the same address.
user_lists = st.lists(st.sampled_from(USERS), min_size=1, max_size=6, unique_by=name_of_user)
statuses = st.sampled_from(GOOD * 8 + OPEN * 2 + BAD)
strange_ids = st.sampled_from(
    [
        "u-9001",
        "u-9002",
        "U-0001",
        "ANNA@example.com",
        "BERT@example.com",
        "bert@EXAMPLE.com",
        "STRASSE@example.com",
        " u-0001",
        "zoe@example.com",
        {"channel_id": "rtm", "channel_user_id": "4711"},
        {"channel_id": "rtm", "channel_user_id": "0"},
        {"channel_id": "rtm"},
        {"channel_id": "rtm", "channel_user_id": 4711},
        "",
        " ",
        None,
        7,
        ["u-0001"],
    ]
)
some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
strange_entries = st.one_of(
    st.builds(entry, strange_ids, statuses),
    st.builds(entry, st.sampled_from(USERS), statuses),
    st.builds(lambda user: {"userId": user}, st.sampled_from(USERS[:6])),
    st.builds(lambda user: {"userID": user, "status": "SUCCESS"}, st.sampled_from(USERS[:6])),
    st.builds(lambda user: [entry(user)], st.sampled_from(USERS)),
    st.just({"status": "SUCCESS"}),
    st.dictionaries(st.sampled_from(["userId", "status", "x"]), some_json, max_size=3),
    some_json,
)


@st.composite
def users_and_answers(draw):
    """A right answer for some users, and then what can go wrong with it."""
    users = draw(user_lists)
    entries = [entry(user, draw(statuses)) for user in users if draw(st.integers(0, 9)) < 8]
    entries += draw(st.lists(strange_entries, max_size=3)) if draw(st.booleans()) else []
    return users, answer(*draw(st.permutations(entries)))
