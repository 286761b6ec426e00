"""What the argument ``user_ids`` may be, what is refused, and what may be shown of it."""

import io

import pytest
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids import (
    CallableUserIds,
    ChannelUserId,
    FileUserIds,
    SqlUserIds,
    UserIdSource,
)
from airflow_provider_kore.user_ids.argument import InlineUserIds, ResolveMixin, wrap_inline_ids

PERSON = "Xq7ZwK9@example.com"


@pytest.mark.parametrize(
    "value",
    [
        PERSON,
        f"{PERSON},{PERSON}",
        f"mailto:{PERSON}",
        f"['{PERSON}']",
        f" file:///{PERSON}",
        "file://",
        "",
        "/data/people.txt",
        "{{ left }}",
        None,
        7,
        PERSON.encode(),
        {PERSON: 1},
        {PERSON},
        [PERSON, None],
        [[PERSON]],
        (PERSON for _ in range(1)),
        io.StringIO(PERSON),
        io.BytesIO(PERSON.encode()),
    ],
)
def test_what_is_neither_a_list_nor_a_source_nor_a_uri_is_refused(refusal, value):
    refusal(value)


@pytest.mark.parametrize("bad", ["", "None", 7, None, "{{ x }}"])
def test_what_a_source_of_another_package_gives_is_checked_as_well(refusal, bad):
    class Source(UserIdSource):
        def read(self):
            return iter(["u-1", bad])

    assert "position 2 " in refusal(Source()).problem


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([PERSON, PERSON], "2 user ids"),
        ((PERSON,), "1 user ids"),
        ({PERSON}, "1 user ids"),
        ([], "0 user ids"),
        ([ChannelUserId("rtm", PERSON)], "1 user ids"),
        ([f"{{{{ {PERSON} }}}}"], "1 user ids"),
        ([f"file:///{PERSON}"], "1 user ids"),
        (PERSON, "a value of type str"),
        (f"mailto:{PERSON}", "a value of type str"),
        ({"channel_id": PERSON}, "a value of type dict"),
        (7, "a value of type int"),
        ("file:///data/people.txt", "user ids in file:///data/people.txt"),
        ("s3://bucket/{{ ds }}.txt", "user ids in s3://bucket/{{ ds }}.txt"),
    ],
)
def test_airflow_is_shown_no_id(value, shown):
    source = wrap_inline_ids(value)
    assert isinstance(source, UserIdSource)
    assert repr(source) == str(source) == shown
    assert wrap_inline_ids(source) is source


class Reference(ResolveMixin):
    def resolve(self, context):
        return ["u-1"]

    def iter_references(self):
        return []


@pytest.mark.parametrize(
    "value",
    [
        "{{ ti.xcom_pull('find') }}",
        Reference(),
        [Reference(), Reference()],
        ["{{ params.user }}", Reference()],
        FileUserIds("s3://b/p.csv", "id"),
        SqlUserIds("people", f"select '{PERSON}'"),
        CallableUserIds(lambda: [PERSON]),
        InlineUserIds([PERSON]),
    ],
)
def test_sources_and_what_is_still_to_be_rendered_stay_as_they_are(value):
    assert wrap_inline_ids(value) is value
    assert "Xq7ZwK9" not in repr(value)


@pytest.mark.parametrize("value", [[PERSON, Reference()], (Reference(), 7)])
def test_user_ids_beside_references_are_refused_since_airflow_would_show_them(value):
    with pytest.raises(KoreInputError) as caught:
        wrap_inline_ids(value)
    assert PERSON not in str(caught.value)


def test_reading_twice_gives_the_same_as_a_resumed_task_needs():
    source = InlineUserIds(["u-2", "u-1"])
    assert read_user_ids(source, 9) == read_user_ids(source, 9) == ["u-2", "u-1"]
