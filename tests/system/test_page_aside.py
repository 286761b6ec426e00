"""The page "Erasures": a failure that is dealt with is put aside, by a line in the note of its task instance."""

import uuid
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from demo.fake_airflow import FakeAirflow, make_erasure, make_report

REASON = "<b>Mended</b> by run manual__2026-11-28T10:00:00+00:00, ticket 2026-11-0042"


def failed(run_id="failed", **more):
    return make_erasure(make_report(erased=99, not_erased=1), state="failed", run_id=run_id, **more)


@pytest.fixture
def fake():
    with FakeAirflow([failed()]) as fake:
        yield fake


class Aside:
    """The page, the dialog in it, and what it sent that is no GET."""

    def __init__(self, page, fake):
        self.page, self.fake = page, fake
        self.dialog = page.get_by_role("dialog")
        self.sent = []
        page.on("request", lambda request: request.method == "GET" or self.sent.append(request))

    def open(self, query=""):
        self.page.goto(f"{self.fake.url}/{PAGE_ROUTE}/{query}")
        expect(self.page.locator("#freshness")).to_contain_text("As of")
        return self

    def put_aside(self, reason):
        self.page.locator("#rows").get_by_role("button", name="Put aside").first.click()
        self.answer(reason)

    def answer(self, reason):
        self.dialog.get_by_label("Reason").fill(reason)
        self.dialog.get_by_role("button", name="Put aside").click()

    def counts(self):
        groups = ("not_erased", "dealt_with")
        return [self.page.locator(f"#groups [data-group={group}] .rows").inner_text() for group in groups]


@pytest.fixture
def aside(browser, fake):
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    yield Aside(page, fake)
    page.context.close()


def test_a_failure_is_put_aside_and_taken_back_with_the_keyboard(aside, fake):
    other, here = failed("other"), failed("here")
    fake.set([other, here])
    page = aside.open().page
    page.get_by_role("button", name="Put aside: erase_users of here").press("Enter")
    expect(aside.dialog.get_by_label("Reason")).to_be_focused()
    expect(aside.dialog).to_contain_text("Name no person")
    page.keyboard.insert_text(REASON)
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("erase_users of here is put aside.")
    expect(page.get_by_role("button", name="Take back: erase_users of here")).to_be_focused()
    assert here["instance"]["note"] == f"Dealt with ({here['instance']['id']}): {REASON}"
    assert other["instance"]["note"] is None

    page.reload()
    expect(page.locator("#rows .reason")).to_have_text(f"Not erased: {REASON}")
    expect(page.locator("#rows b")).to_have_count(0)
    assert aside.counts() == ["1", "1"]
    assert page.locator("#rows [data-part=run]").all_inner_texts() == ["other", "here"]
    page.locator("#groups [data-group=dealt_with]").press("Enter")
    expect(page.locator("#rows tr[data-key]")).to_have_count(1)
    page.get_by_role("button", name="Take back").press("Enter")
    expect(aside.dialog.get_by_role("button", name="Take back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(aside.dialog).to_be_hidden()
    expect(page.locator("#list, #message")).not_to_have_count(0)
    assert aside.counts() == ["2", "0"]
    assert here["instance"]["note"] is None
    assert [request.method for request in aside.sent] == ["PATCH", "PATCH"]


def test_a_double_click_sends_one_patch_to_the_one_instance(aside, fake):
    mapped = [failed(map_index=index) for index in range(3)]
    fake.set(mapped)
    aside.open().page.get_by_role("button", name="Put aside").nth(0).click()
    fake.delay = 0.3
    aside.dialog.get_by_label("Reason").fill(REASON)
    aside.dialog.get_by_role("button", name="Put aside").dblclick()
    expect(aside.page.locator("#rows .reason")).to_have_count(1)
    (request,) = aside.sent
    assert fake.calls["note"] == 1
    assert [each["instance"]["note"] is not None for each in mapped].count(True) == 1
    assert urlsplit(request.url).path.rpartition("/")[2] in {"0", "1", "2"}
    assert request.post_data_json.keys() == {"note"}


def test_a_task_that_succeeded_and_proves_nothing_can_be_put_aside(aside, fake):
    unproven = make_erasure("s3://xcoms/1")
    fake.set([unproven])
    aside.open().put_aside(REASON)
    expect(aside.page.locator("#rows .reason")).to_have_text(f"Unproven: {REASON}")
    aside.page.reload()
    expect(aside.page.locator("#rows .reason")).to_have_text(f"Unproven: {REASON}")
    assert urlsplit(aside.sent[0].url).path.endswith("/-1")
    unproven["instance"]["note"] = None  # another user takes it back
    aside.page.get_by_role("button", name="Refresh").click()
    expect(aside.page.locator("#rows .state.not_erased")).to_have_count(1)


@pytest.mark.parametrize("state", ["success", "deferred"])
def test_what_has_not_failed_cannot_be_put_aside(aside, fake, state):
    instance = failed()["instance"]
    erasure = make_erasure(make_report(), state=state, note=f"Dealt with ({instance['id']}): {REASON}")
    erasure["instance"]["id"] = instance["id"]
    fake.set([erasure])
    aside.open()
    expect(aside.page.locator("#rows .state.dealt_with")).to_have_count(0)
    expect(aside.page.get_by_role("button", name="Put aside")).to_have_count(0)


def test_a_note_that_somebody_wrote_or_that_is_of_an_earlier_attempt_puts_nothing_aside(aside, fake):
    notes = ["Dealt with: yes", "Dealt with (attempt 1): yes", f"Dealt with ({uuid.uuid4()}): an earlier failure"]
    fake.set([failed(f"run {index}", note=note) for index, note in enumerate(notes)])
    aside.open()
    expect(aside.page.get_by_role("button", name="Put aside")).to_have_count(3)
    assert aside.counts() == ["3", "0"]


def test_a_failure_of_another_attempt_than_the_viewer_has_seen_is_not_put_aside(aside, fake):
    erasure = failed()
    fake.set([erasure])
    aside.open().page.get_by_role("button", name="Put aside").click()
    erasure["instance"]["id"] = str(uuid.uuid4())  # cleared, and failed again
    aside.answer(REASON)
    expect(aside.dialog.get_by_role("alert")).to_contain_text("The task has run again")
    assert aside.sent == []


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("  ", "Enter a reason"),
        ("Asked ann@example.com", "Say what was done, and name no person"),
        ("u-8f2a11 is gone", "name no person"),
        ("called +49 170 123 45 67", "name no person"),
        ("msisdn 491701234567", "name no person"),
        ("x" * 500, "has no room"),
    ],
)
def test_what_seems_to_name_a_person_or_finds_no_room_is_refused_and_not_sent(aside, fake, reason, words):
    fake.set([failed(note="n" * 500)])
    aside.open().put_aside(reason)
    expect(aside.dialog.get_by_role("alert")).to_contain_text(words)
    expect(aside.dialog.get_by_label("Reason")).to_be_focused()
    aside.page.keyboard.press("Escape")
    expect(aside.page.get_by_role("button", name="Put aside")).to_be_focused()
    assert aside.sent == []


def test_what_airflow_refuses_is_told_and_the_failure_stays(aside, fake):
    aside.open().page.get_by_role("button", name="Put aside").click()
    refusals = {401: "session has ended", 403: "may not edit", 404: "no longer in the DAG", 500: "status 500"}
    for status, words in refusals.items():
        fake.refusals = {"note": status}
        aside.answer(REASON)
        expect(aside.dialog.get_by_role("alert")).to_contain_text(words)
        assert aside.counts() == ["1", "0"]
    fake.refusals, fake.garbled = {}, {"note": '{"task_instances": [{"note": null}], "total_entries": 1}'}
    aside.answer(REASON)
    expect(aside.dialog.get_by_role("alert")).to_contain_text("is not known")
    fake.garbled = {}
    aside.answer(REASON)
    expect(aside.page.locator("#rows .reason")).to_have_count(1)


@pytest.mark.parametrize(("call", "status"), [("may", 403), ("may", 500), ("tasks", 403)])
def test_who_may_not_edit_gets_no_button(aside, fake, call, status):
    fake.refusals = {call: status, "task": 403}
    aside.open()
    expect(aside.page.locator("#rows .state.not_erased")).to_have_count(1)
    expect(aside.page.locator("#rows").get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_dialog_and_beside_it(browser, fake, color_scheme):
    context = browser.new_context(color_scheme=color_scheme, bypass_csp=True)  # axe comes in as a script of its own
    aside = Aside(context.new_page(), fake)
    fake.set([failed("other"), failed("here")])
    aside.open().put_aside("u-8f2a11")
    expect(aside.dialog.get_by_role("alert")).to_be_visible()
    assert Axe().run(aside.page).response["violations"] == []
    aside.answer(REASON)
    expect(aside.page.locator("#rows .reason")).to_have_count(1)
    assert Axe().run(aside.page).response["violations"] == []
    context.close()


NOTE = """async ([note, reason]) => {
  const { reasonIn, withReason, withoutReason } = await import("./note.js");
  const whole = withReason(note, "an-id", reason);
  return [reasonIn(note, "an-id") ?? null, whole, reasonIn(whole, "an-id"), withReason(whole, "an-id", "x"),
          withoutReason(whole, "an-id"), reasonIn(whole, "an-id-2") ?? null];
}"""


@pytest.fixture(scope="module")
def on_note(browser):
    with FakeAirflow() as fake:
        page = browser.new_context().new_page()
        page.goto(f"{fake.url}/{PAGE_ROUTE}/")
        yield lambda *arguments: page.evaluate(NOTE, list(arguments))
        page.context.close()


reasons = st.from_regex(r"\w[\w .<>&:()]{0,99}\w", fullmatch=True)
written = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(
    note=written | st.just("Dealt with (another-id): so\n\n"),
    reason=st.from_regex(r"\w[\w .<>&:()]{0,99}\w", fullmatch=True),
)
def test_all_else_that_is_in_a_note_stays_as_it_is(on_note, note, reason):
    before, whole, found, again, after, other = on_note(note, reason)
    assert (before, found, other, after) == (None, reason, None, note)
    assert whole.startswith(note)
    assert whole == again
