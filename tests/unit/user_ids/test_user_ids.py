"""Where user ids come from, what is refused, and what may be shown of them."""

import io
import traceback

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_users import read_user_ids

from airflow_provider_kore.exceptions import Consequence, KoreInputError
from airflow_provider_kore.user_ids import (
    ChannelUserId,
    FileUserIds,
    GivenUserIds,
    UserIdSource,
    wrap_inline_ids,
)

PERSON = "Xq7ZwK9@example.com"


def refused(value, most=1000):
    """The text that a log would show of a refusal."""
    with pytest.raises(KoreInputError) as caught:
        read_user_ids(value, most)
    assert caught.value.consequence is Consequence.NOT_SENT
    logged = "".join(traceback.format_exception(caught.value))
    assert "Xq7ZwK9" not in f"{caught.value!r}{logged.replace(__file__, '')}"
    return str(caught.value)


# --- Sources ----------------------------------------------------------------------------------------------------


def test_a_source_is_not_read_beyond_the_limit():
    taken = []

    class Source(UserIdSource):
        def read(self):
            for number in range(1_000_000):
                taken.append(number)
                yield f"u-{number}"

    assert "more users to erase than the 10" in refused(Source(), most=10)
    assert len(taken) == 11


# --- Values -----------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "b", "c", ChannelUserId("a", "b")]), max_size=12))
def test_exact_duplicates_are_folded_and_counted(values):
    user_ids, duplicates = read_user_ids(values, 1000)
    assert user_ids == list(dict.fromkeys(values))
    assert duplicates == len(values) - len(user_ids)


def test_duplicates_do_not_count_against_the_limit():
    assert read_user_ids(["a", "a", "b", "a"], 2) == (["a", "b"], 2)


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
        None,
        7,
        PERSON.encode(),
        {PERSON: 1},
        {PERSON},
        [PERSON, None],
        [[PERSON]],
        (PERSON for _ in range(1)),
    ],
)
def test_what_is_neither_a_list_nor_a_source_nor_a_uri_is_refused(value):
    refused(value)


@pytest.mark.parametrize("value", [io.StringIO(PERSON), io.BytesIO(PERSON.encode())])
def test_an_open_file_is_refused_since_its_characters_are_no_users(value):
    refused(value)


@pytest.mark.parametrize("bad", ["", "None", 7, None, "{{ x }}"])
def test_what_a_source_of_somebody_else_gives_is_checked_as_well(bad):
    class Source(UserIdSource):
        def read(self):
            return iter(["u-1", bad])

    assert "position 2 " in refused(Source())


def test_given_ids_are_shown_as_a_number():
    for value, shown in [
        ([PERSON, PERSON], "2 user ids"),
        ((PERSON,), "1 user ids"),
        ({PERSON}, "1 user ids"),
        (PERSON, "a value of type str"),
        ({PERSON: PERSON}, "a value of type dict"),
        (None, "a value of type NoneType"),
    ]:
        assert repr(GivenUserIds(value)) == str(GivenUserIds(value)) == shown


class Resolvable:
    def resolve(self, context):
        return ["u-1"]


@pytest.mark.parametrize(
    "value",
    [
        [PERSON],
        (PERSON,),
        {PERSON},
        [],
        PERSON,
        {"channel_id": PERSON},
        7,
        [ChannelUserId("rtm", PERSON)],
        [f"{{{{ {PERSON} }}}}"],
        [f"file:///{PERSON}"],
        f"mailto:{PERSON}",
    ],
)
def test_what_would_show_people_is_concealed(value):
    concealed = wrap_inline_ids(value)
    assert isinstance(concealed, GivenUserIds)
    assert concealed.values is value
    assert "Xq7ZwK9" not in repr(concealed)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "file:///data/people.txt",
        "s3://bucket/people.txt",
        "{{ ti.xcom_pull('find') }}",
        "s3://bucket/{{ ds }}.txt",
        FileUserIds("file:///data/people.txt"),
        GivenUserIds([PERSON]),
        Resolvable(),
        [Resolvable(), Resolvable()],
        ["{{ params.user }}", Resolvable()],
    ],
)
def test_references_and_what_is_still_to_be_rendered_stay_as_they_are(value):
    assert wrap_inline_ids(value) is value


@pytest.mark.parametrize("value", [[PERSON, Resolvable()], (Resolvable(), 7)])
def test_user_ids_beside_references_are_refused_since_airflow_would_show_them(value):
    with pytest.raises(KoreInputError) as caught:
        wrap_inline_ids(value)
    assert PERSON not in str(caught.value)


@pytest.mark.parametrize("source", [FileUserIds("file:///x"), GivenUserIds([])])
def test_the_sources_are_sources(source):
    assert isinstance(source, UserIdSource)


class Task:
    """Renders as Airflow does, and fails as Airflow does: with the template in the error."""

    def render_template(self, content, context):
        if isinstance(content, str):
            environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
            try:
                return environment.from_string(content).render(context)
            except jinja2.TemplateError as error:
                raise ValueError(f"cannot render {content}") from error
        return type(content)(self.render_template(item, context) for item in content)


def test_templates_among_the_values_are_rendered():
    given_ids = GivenUserIds(["u-{{ number }}", "u-2"])
    rendered = given_ids.resolve({"task": Task(), "number": 1})
    assert isinstance(rendered, GivenUserIds)
    assert list(rendered.read()) == ["u-1", "u-2"]
    assert list(given_ids.values) == ["u-{{ number }}", "u-2"]


@pytest.mark.parametrize(
    ("values", "context"),
    [
        ([PERSON, f"{PERSON}{{{{ nobody }}}}"], {"task": Task()}),
        ([f"{PERSON}{{{{"], {"task": Task()}),
        ([PERSON], {"task": object()}),
        ([PERSON], {}),
    ],
)
def test_an_error_of_rendering_shows_no_id_in_all_of_its_chain(values, context):
    with pytest.raises(KoreInputError) as caught:
        GivenUserIds(values).resolve(context)
    assert "Xq7ZwK9" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_a_template_that_renders_to_nothing_is_refused():
    rendered = GivenUserIds(["{{ nobody }}"]).resolve({"task": Task(), "nobody": None})
    assert "position 1 " in refused(rendered)


def test_a_changed_user_ids_argument_is_read_anew():
    """Reading twice gives the same, as a resumed task needs."""
    source = GivenUserIds(["u-2", "u-1"])
    assert read_user_ids(source, 9) == read_user_ids(source, 9) == (["u-2", "u-1"], 0)
