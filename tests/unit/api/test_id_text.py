"""Which text can be a user id: usual ids pass, and each kind of what is none is refused by its place alone."""

from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import REFUSED, USUAL, USUAL_IDS

from airflow_provider_kore.api.id_text import USUAL_ID, id_text_fault
from airflow_provider_kore.api.users import ChannelUserId, check_user_id, text_fault
from airflow_provider_kore.exceptions import Consequence, KoreInputError

MARK = "Xq7ZwK9"


def refusal(value, place=3):
    with pytest.raises(KoreInputError) as caught:
        check_user_id(value, place)
    assert caught.value.consequence is Consequence.NOT_SENT
    assert caught.value.remedy
    return caught.value


@given(USUAL_IDS)
def test_usual_ids_pass_as_they_are(user_id):
    assert check_user_id(user_id, 1) is user_id


@given(USUAL)
def test_what_is_checked_fast_passes_all_rules(text):
    assert id_text_fault(text) is None
    assert USUAL_ID.fullmatch(text) is None or text_fault(text) is None


@pytest.mark.parametrize("kind", REFUSED)
def test_each_kind_of_what_is_no_id_is_refused_also_in_a_pair(kind):
    @given(REFUSED[kind])
    def is_refused(text):
        assert "position 3 " in refusal(text).problem
        assert "position 3 has a part that " in refusal(ChannelUserId("slack", text)).problem
        assert "position 3 has a part that " in refusal({"channel_id": text, "channel_user_id": "U1"}).problem

    is_refused()


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "]",
        '"ann@example.com",',
        "ann@example.com\ufeff",
        "\ufeffann@example.com",
        "ann\ud800",
        "ann\x00",
        "4.91701E+11",
        "4,91701E+11",
        "491701234567.0",
    ],
)
def test_what_was_once_sent_as_a_person_is_refused(text):
    refusal(text)


@pytest.mark.parametrize("value", [491701234567, 491701234567.0, float("nan"), True, 0])
def test_a_number_is_refused_with_what_to_do(value):
    error = refusal(value)
    assert f"is of type {type(value).__name__}" in error.problem
    assert "as text" in error.remedy
    assert "4917" not in str(error)


@pytest.mark.parametrize("text", ["4.91701E+11", "491701234567.0"])
def test_a_number_as_text_is_refused_with_what_to_do(text):
    error = refusal(text)
    assert "as text" in error.remedy
    assert text not in str(error)


@pytest.mark.parametrize("value", [("ann", 1), ["ann"], {"id": "ann"}, b"ann", object(), None])
def test_a_row_is_refused_with_what_to_do(value):
    assert 'row["email"]' in refusal(value).remedy


@contextmanager
def errors_shown():
    """Collect what an error would show."""
    shown = []
    try:
        yield shown
    except KoreInputError as error:
        shown.append(f"{error}{error!r}{error.remedy}")
        raise


@given(st.sampled_from(sorted(REFUSED)), st.data())
def test_no_refusal_shows_the_text(kind, data):
    text = data.draw(REFUSED[kind])
    for marked in (f"{MARK}{text}", f"{text}{MARK}", {"channel_id": f"{text}{MARK}", "channel_user_id": ""}):
        with suppress(KoreInputError), errors_shown() as shown:
            check_user_id(marked, 1)
        assert MARK not in "".join(shown)


def test_a_place_is_shown_as_it_is_called():
    assert "at line 7 is blank" in refusal("", "line 7").problem
