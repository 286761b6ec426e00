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
    conceal,
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


@pytest.fixture
def people(tmp_path):
    """Write a file and give its URI."""

    def people(content):
        path = tmp_path / "people.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path.as_uri()

    return people


# --- Files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "user_ids"),
    [
        pytest.param("u-1\nu-2\n", ["u-1", "u-2"], id="plain"),
        pytest.param("u-1\nu-2", ["u-1", "u-2"], id="no final newline"),
        pytest.param("u-1\r\nu-2\r\n", ["u-1", "u-2"], id="CRLF"),
        pytest.param("\ufeffu-1\nu-2\n", ["u-1", "u-2"], id="BOM"),
        pytest.param("\ufeffu-1\r\nu-2", ["u-1", "u-2"], id="BOM and CRLF"),
        pytest.param(" u-1 \n\tu-2\n", [" u-1 ", "\tu-2"], id="spaces"),
        pytest.param('a,b\n"q"\n;x\n# y\n', ["a,b", '"q"', ";x", "# y"], id="commas, quotes, comments"),
        pytest.param("ünï@exämple.com\n用户\n🙂\n", ["ünï@exämple.com", "用户", "🙂"], id="unicode"),
        pytest.param("a\u2028b\na\x0bb\na\x85b\n", ["a\u2028b", "a\x0bb", "a\x85b"], id="other line breaks"),
        pytest.param("e\u0301\né\n", ["e\u0301", "é"], id="not normalised"),
        pytest.param("a\nA\n", ["a", "A"], id="case kept"),
        pytest.param("", [], id="empty"),
        pytest.param("\ufeff", [], id="BOM alone"),
    ],
)
def test_a_file_is_read_line_by_line_as_given(people, content, user_ids):
    assert read_user_ids(FileUserIds(people(content)), 1000) == (user_ids, 0)
    assert read_user_ids(people(content), 1000) == (user_ids, 0)


lines = st.text(st.characters(exclude_characters="\r\n\ufeff{}%", exclude_categories=["Cs"]), min_size=1).filter(
    lambda line: line.strip() and line.strip().lower() not in {"none", "null", "nan", "undefined"}
)


@given(st.lists(lines, unique=True), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_every_id_comes_out_of_a_file_as_it_went_in(tmp_path_factory, user_ids, newline, bom, final):
    path = tmp_path_factory.getbasetemp() / "property.txt"
    text = newline.join(user_ids) + (newline if final and user_ids else "")
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    assert read_user_ids(path.as_uri(), 1000) == (user_ids, 0)


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (f"{PERSON}\n\n{PERSON}\n", 2),
        (f"{PERSON}\n{PERSON}\n \n", 3),
        (f"{PERSON}\n\n", 2),
        ("\n", 1),
        (f"{PERSON}\r\n\r\n{PERSON}", 2),
        (f"u-1\n{{{{ {PERSON} }}}}\n", 2),
        ("u-1\nNone\n", 2),
    ],
)
def test_a_line_that_names_nobody_is_refused_by_its_number(people, content, position):
    assert f"position {position} " in refused(people(content))


@pytest.mark.parametrize("content", [b"\xff", PERSON.encode() + b"\n\xe4\n", PERSON.encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_refused(people, content):
    assert "not UTF-8" in refused(people(content))


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refused((tmp_path / "nobody.txt").as_uri())


@pytest.mark.parametrize("uri", ["nosuchscheme://bucket/people.txt", "file:///"])
def test_a_place_that_cannot_be_read_is_refused(uri):
    assert "cannot be read" in refused(uri)


def test_the_first_lines_of_a_bad_file_are_not_returned(people):
    uri = people("u-1\n\nu-3\n")
    with pytest.raises(KoreInputError):
        read_user_ids(uri, 1000)


def test_reading_stops_at_one_more_than_allowed(people):
    uri = people("u-1\nu-2\nu-3\n\n")
    assert "more users to erase than the 2" in refused(uri, most=2)


def test_a_source_is_not_read_beyond_the_limit():
    taken = []

    class Source(UserIdSource):
        def read(self):
            for number in range(1_000_000):
                taken.append(number)
                yield f"u-{number}"

    refused(Source(), most=10)
    assert len(taken) == 11


def test_a_file_names_its_uri_only(people):
    uri = people(PERSON)
    assert repr(FileUserIds(uri)) == f"user ids in {uri}"
    assert FileUserIds.template_fields == ("uri", "column")


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
    concealed = conceal(value)
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
    assert conceal(value) is value


@pytest.mark.parametrize("value", [[PERSON, Resolvable()], (Resolvable(), 7)])
def test_user_ids_beside_references_are_refused_since_airflow_would_show_them(value):
    with pytest.raises(KoreInputError) as caught:
        conceal(value)
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
