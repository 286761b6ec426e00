"""The page "Erasures": what it shows, to whom, and what it asks for."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from airflow_provider_kore import erasures_page
from airflow_provider_kore.deadlines import DAYS_TO_WARN
from airflow_provider_kore.erasures_page import PAGE_ROUTE
from demo.airflow_client import AirflowClient
from demo.browser import sign_in
from demo.fake_airflow import FakeAirflow, make_erasure, make_many, make_report

FOCUSED = "(({ id, dataset }) => id || dataset.part || dataset.group)(document.activeElement)"
TODAY = datetime.now(UTC)


def due(days):
    day = (TODAY + timedelta(days=days)).date()
    return {"regime": "gdpr", "received_on": str(TODAY.date()), "due_on": str(day), "ends_at": f"{day}T23:59:59Z"}


def told(run_id, state="success", **report):
    return make_erasure(make_report(**report), state=state, run_id=run_id)


MIXED = [
    told("done"),
    told("open", "deferred", stage="waiting", erased=10, open=90),
    told("near", "deferred", stage="waiting", erased=0, open=100, deadline=due(3)),
    told("failed", "failed", erased=99, not_erased=1),
    told("found", "failed", verification={"gone": 99, "found": 1, "not_checkable": 0, "not_checked": 0}),
    told("overdue", "deferred", stage="waiting", erased=0, open=100, deadline=due(-2)),
]


class Watched:
    """A window, and what went on in it: messages of the browser, hosts that were asked, and by which methods."""

    def __init__(self, page):
        self.page = page
        self.messages, self.hosts, self.methods = [], set(), set()
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("request", lambda request: self.methods.add(request.method))

    def rows(self):
        return self.page.locator("#rows tr[data-key]")

    def runs(self):
        return self.page.locator("#rows [data-part=run]").all_inner_texts()

    def close(self):
        self.page.context.close()


@pytest.fixture
def fake():
    with FakeAirflow(MIXED) as fake:
        yield fake


@pytest.fixture
def page(browser):
    """A window of 1400 x 900; the name lets a failure keep a picture of it."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    yield page
    page.context.close()


@pytest.fixture
def watched(page, fake):
    watched = Watched(page)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#list")).to_have_attribute("aria-busy", "false")
    yield watched
    # Whatever a test does: nothing is refused by the page's policy, no other host is asked, and nothing is changed.
    assert watched.hosts == {urlsplit(fake.url).netloc}
    assert watched.methods == {"GET"}
    assert not [text for text in watched.messages if "Content Security Policy" in text or "Trusted" in text]


def test_what_needs_a_person_comes_first(watched):
    expect(watched.rows()).to_have_count(6)
    expect(watched.page.locator("#rows .skeleton")).to_have_count(0)
    runs = watched.runs()
    assert set(runs[:2]) == {"failed", "found"}
    assert runs[2:] == ["overdue", "near", "open", "done"]
    assert not watched.messages


def test_states_counts_and_days_left_are_told_in_words(watched):
    text = watched.page.locator("#rows")
    for words in ("99 erased · 1 not erased", "1 still found", "2 days over", "3 days left", "10 erased · 90 open"):
        expect(text).to_contain_text(words)
    shown = watched.page.locator("#groups button .rows").all_inner_texts()
    assert shown == ["2", "2", "1", "0", "1"]
    expect(watched.page.locator("#chart")).to_contain_text("users in 30 days")


def test_the_list_is_filtered_by_state_dag_and_text(watched, fake):
    watched.page.get_by_role("button", name=re.compile("Not erased")).click()
    expect(watched.rows()).to_have_count(2)
    watched.page.get_by_role("button", name="Clear filters").click()
    expect(watched.rows()).to_have_count(6)
    watched.page.get_by_role("searchbox").fill("overdue")
    expect(watched.rows()).to_have_count(1)
    watched.page.get_by_role("searchbox").fill("")
    watched.page.locator("#dag").select_option("kore_erase_daily")
    expect(watched.rows()).to_have_count(6)


def test_an_id_with_markup_is_shown_as_text(page, fake):
    evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    fake.set(
        [make_erasure(make_report(host=evil, receipt=f"javascript:{evil}"), dag_id=evil, run_id=evil, task_id=evil)]
    )
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#rows [data-part=dag]")).to_have_text(evil)
    expect(page.locator("#rows [data-part=run]")).to_have_text(evil)
    expect(page.locator("#rows img, #rows script")).to_have_count(0)
    assert page.title() == "Erasures"
    links = page.locator("#rows a").evaluate_all("links => links.map(link => link.protocol)")
    assert set(links) == {"http:"}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "You may not see erasures"),
        (401, "Your session has ended"),
        (500, "Airflow cannot answer"),
        (404, "There is no such DAG or run"),
    ],
)
def test_a_viewer_who_is_refused_sees_a_message_and_no_data(page, fake, status, words):
    fake.refusals = {"list": status}
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.locator("#rows tr[data-key]")).to_have_count(0)


def test_an_airflow_without_erasures_says_how_to_begin(page, fake):
    fake.set([])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#rows tr[data-key]")).to_have_count(0)


@pytest.mark.parametrize(
    "value",
    [None, [], 7, "text", {}, {"stage": 7, "user_count": "many"}, {"version": 9, "stage": "ended", "erased": 1}],
)
def test_a_report_that_is_not_understood_breaks_nothing(page, fake, value):
    fake.set([make_erasure(value), *MIXED[1:2]])
    watched = Watched(page)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(watched.rows()).to_have_count(2)
    expect(page.locator("#rows .skeleton")).to_have_count(0)
    assert not watched.messages


GOOD = make_report()
NOT_READABLE = {
    "a path in place of the value": "s3://xcoms/kore_erase_daily/manual__1/erase_users/kore_erasure",
    "a path as JSON": '"file:///xcoms/1"',
    "cut JSON": json.dumps(GOOD)[:-1],
    "nothing": None,
    "an empty text": "",
    "a list": [GOOD],
    "a number": 100,
    "another version": GOOD | {"version": 2},
    "a version as text": GOOD | {"version": "1"},
    "no version": {key: value for key, value in GOOD.items() if key != "version"},
    "another stage": GOOD | {"stage": "finished"},
    "a stage of no text": GOOD | {"stage": ["ended"]},
    "no stage": {key: value for key, value in GOOD.items() if key != "stage"},
    "counts as text": GOOD | {"erased": "100"},
    "counts below zero": GOOD | {"not_erased": -1},
    "counts in parts": GOOD | {"user_count": 99.5},
    "no word of a dry run": {key: value for key, value in GOOD.items() if key != "dry_run"},
    "a dry run as text": GOOD | {"dry_run": "true"},
    "a verification of no counts": GOOD | {"verification": {"gone": 100}},
    "a verification of text": GOOD | {"verification": {"found": "1", "not_checkable": 0}},
    "a verification that is none": GOOD | {"verification": "all"},
}
NOT_PROVEN = {
    "no number of users": GOOD | {"user_count": None},
    "no users": GOOD | {"user_count": 0, "erased": 0},
    "no number of the erased": GOOD | {"erased": None},
    "fewer erased": GOOD | {"erased": 99},
    "more erased": GOOD | {"erased": 101},
    "no number of the open": {key: value for key, value in GOOD.items() if key != "open"},
    "somebody open besides": GOOD | {"open": 1},
}


@pytest.mark.parametrize(
    "state", ["success", "skipped", "removed", "running", "deferred", "up_for_retry", "failed", None]
)
def test_a_report_that_cannot_be_read_is_never_shown_as_done(page, fake, state):
    fake.set([make_erasure(value, state=state, run_id=name) for name, value in NOT_READABLE.items()])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_text("Report not readable")).to_have_count(len(NOT_READABLE))
    expect(page.locator("#rows .state.done")).to_have_count(0)
    expect(page.locator("#rows")).not_to_contain_text("Erased")
    expect(page.locator("#groups [data-group=done] .rows")).to_have_text("0")
    if state in ("success", "skipped", "removed", "failed"):
        expect(page.locator("#rows .state.not_erased")).to_have_count(len(NOT_READABLE))


def test_a_report_that_proves_nothing_is_never_shown_as_done(page, fake):
    fake.set([make_erasure(value, run_id=name) for name, value in NOT_PROVEN.items()])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#rows .number")).to_have_count(len(NOT_PROVEN))
    expect(page.locator("#rows .state.done")).to_have_count(0)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 401, 503])
def test_a_report_that_cannot_be_fetched_is_never_shown_as_done(page, fake, status):
    fake.set([told("one"), told("other")])
    fake.refusals = {"value": status}
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_text("Report not readable").or_(page.locator("#message-title"))).not_to_have_count(0)
    page.wait_for_timeout(500)
    expect(page.locator("#rows .state.done")).to_have_count(0)
    expect(page.locator("#rows")).not_to_contain_text("Erased")
    if status not in (401,):
        expect(page.locator("#rows .state.not_erased", has_text="Unproven")).to_have_count(2)


@pytest.mark.parametrize("answer", ["", "{", "null", "[]", "7", '"s3://xcoms/1"', "{}", '{"value": null}'])
def test_an_answer_that_is_none_of_airflows_is_never_shown_as_done(page, fake, answer):
    fake.set([told("one"), told("other")])
    fake.garbled = {"value": answer}
    watched = Watched(page)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    page.wait_for_timeout(700)
    expect(page.locator("#rows tr[data-key]")).to_have_count(2)
    expect(page.locator("#rows .state.done")).to_have_count(0)
    assert not watched.messages


@pytest.mark.parametrize("call", ["list", "tasks"])
@pytest.mark.parametrize(
    "answer", ["", "null", "[]", "{}", '{"xcom_entries": {}, "task_instances": {}, "total_entries": 1}']
)
def test_a_list_that_is_none_of_airflows_is_told_and_nothing_is_done(page, fake, call, answer):
    fake.garbled = {call: answer}
    watched = Watched(page)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_role("alert")).to_contain_text("Airflow does not answer")
    expect(page.locator("#rows .state.done")).to_have_count(0)
    assert not watched.messages


def test_a_report_that_is_lost_on_the_way_is_never_shown_as_done(page, fake):
    fake.set([told("one"), told("other")])
    page.route("**/xcomEntries/kore_erasure*", lambda route: route.abort())
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_role("alert")).to_contain_text("Airflow does not answer")
    expect(page.locator("#rows .state.done")).to_have_count(0)


def test_among_more_failed_tasks_than_are_listed_none_is_shown_as_erased(page, fake):
    many = [told(f"failed {number:04}", "failed", started=at(number), updated=at(number)) for number in range(1_150)]
    for number, erasure in enumerate(many):
        erasure["entry"]["timestamp"] = at(number)
    fake.set([*many, told("done"), told("old", started=at(5_000))])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#range")).to_contain_text("1,152", timeout=30_000)
    expect(page.locator("#loaded")).to_have_attribute("aria-busy", "false", timeout=60_000)
    page.get_by_role("searchbox").fill("Erased")
    expect(page.locator("#rows tr[data-key]")).to_have_count(2)
    assert set(page.locator("#rows [data-part=run]").all_inner_texts()) == {"done", "old"}
    page.get_by_role("searchbox").fill("failed 114")
    expect(page.locator("#rows .state", has_text="Failed")).to_have_count(10)


def test_whoever_may_not_see_tasks_sees_what_was_last_reported(page, fake):
    fake.refusals = {"tasks": 403, "task": 403}
    fake.set([told("done"), make_erasure("s3://xcoms/1", run_id="unreadable"), told("failed", "failed", erased=99)])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#loaded")).to_contain_text("You may not see how the tasks stand")
    expect(page.locator("#rows .state.done")).to_have_count(1)
    expect(page.locator("#rows tr", has=page.locator(".state.done"))).to_contain_text("done")


def run_until_told(page, selector, words):
    """Let the page's clock run in small steps, since answers take their time by another clock."""
    for _ in range(50):
        page.clock.run_for(100)
        if words in (page.locator(selector).text_content() or ""):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{selector} does not say {words!r}")


def refresh_until(page, has_come):
    """Let the page refresh by its clock; an answer that is under way by another clock keeps it from the next one."""
    for _ in range(30):
        page.clock.run_for(11_000)
        page.wait_for_timeout(200)
        if has_come():
            return
    raise AssertionError("the page does not show what is new")


def test_it_refreshes_itself_while_something_is_open(page, fake):
    fake.set([told("open", "deferred", stage="waiting", erased=10, open=90)])
    page.clock.install()
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    run_until_told(page, "#freshness", "Refreshes every")
    expect(page.locator("#rows")).to_contain_text("90 open")
    fake.set([told("open")])
    page.clock.run_for(11_000)
    run_until_told(page, "#freshness", "Nothing is under way")
    expect(page.locator("#rows")).to_contain_text("100 erased")
    calls = fake.calls.total()
    page.clock.run_for(60_000)
    assert fake.calls.total() == calls  # nothing is open any more


def at(minutes):
    return (TODAY - timedelta(minutes=minutes)).isoformat()


def submitting(task_id="erase_users", **report):
    report = {"submits": True, "erased": 0, "open": 100, "started": at(60)} | report
    return make_erasure(make_report(**report), task_id=task_id)


def waiting(task_id="wait", state="success", **report):
    return make_erasure(make_report(**{"submits": False, "started": at(50)} | report), state=state, task_id=task_id)


UNDER_WAY = {"stage": "waiting", "erased": 0, "open": 100}


@pytest.mark.parametrize(
    ("erasures", "states", "users"),
    [
        ([submitting()], {"Submitted": "open"}, {"open": "100 users"}),
        ([submitting(), waiting()], {"Submitted": "done", "Erased": "done"}, {"done": "100 users"}),
        (
            [submitting(), waiting(state="deferred", **UNDER_WAY)],
            {"Submitted": "done", "Waiting": "open"},
            {"done": "0 users", "open": "100 users"},
        ),
        ([submitting("a"), submitting("b", started=at(50))], {"Submitted": "open"}, {"open": "200 users"}),
        (
            [submitting("a"), submitting("b", erased=100, open=0, started=at(50))],
            {"Submitted": "open", "Erased": "done"},
            {"open": "100 users", "done": "100 users"},
        ),
        (
            [submitting("a"), submitting("b"), waiting()],
            {"Submitted": "open", "Erased": "done"},
            {"open": "200 users", "done": "100 users"},
        ),
        ([submitting("a"), submitting("b"), waiting(user_count=200, erased=200)], {}, {"done": "200 users"}),
    ],
    ids=[
        "nobody waits",
        "a sensor has waited",
        "a sensor waits",
        "two submit, nobody waits",
        "another waits for its own",
        "a sensor waits for one of two",
        "a sensor waits for both",
    ],
)
def test_whoever_was_submitted_is_counted_once_and_open_until_a_sensor_waits(page, fake, erasures, states, users):
    fake.set(erasures)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#rows .number")).to_have_count(len(erasures))
    for label, group in states.items():
        for state in page.locator("#rows .state", has_text=label).all():
            expect(state).to_have_class(f"state {group}")
    for group, count in users.items():
        expect(page.locator(f"#groups [data-group={group}] .users")).to_have_text(count)


def test_a_failure_stays_told_until_a_refresh_succeeds(page, fake):
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#freshness")).to_contain_text("As of")
    fake.refusals = {"list": 500}
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("Airflow cannot answer")
    told = page.locator("#freshness").inner_text()
    page.get_by_role("searchbox").fill("overdue")
    page.wait_for_timeout(500)
    expect(page.get_by_role("alert")).to_contain_text("Airflow cannot answer")
    expect(page.locator("#freshness")).to_have_text(told)
    fake.refusals = {}
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#message")).to_be_hidden()


def test_an_answer_that_does_not_come_is_told(page, fake):
    page.add_init_script("AbortSignal.timeout = () => AbortSignal.abort()")  # as after long
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.get_by_role("alert")).to_contain_text("Airflow does not answer")


def test_what_is_deleted_in_airflow_goes_from_the_page(page, fake):
    many = make_many(250)
    fake.set(many)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#freshness")).to_contain_text("As of", timeout=30_000)
    expect(page.locator("#range")).to_contain_text("250")
    fake.set(many[:220])  # the first page of the list stays as it was
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#range")).to_contain_text("220")


def test_it_continues_to_refresh_while_a_task_that_starts_again_has_no_report(page, fake):
    report = make_report(stage="waiting", erased=10, open=90)
    rows = page.locator("#rows tr[data-key]")
    fake.set([make_erasure(report, state="up_for_retry")])
    page.clock.install()
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    refresh_until(page, lambda: "90 open" in page.locator("#rows").inner_text())
    fake.set([make_erasure(None, state="running", is_reported=False), *MIXED[:1]])
    refresh_until(page, lambda: rows.count() == 2)
    expect(page.locator("#rows .state.open")).to_have_count(1)
    fake.set([make_erasure(report | {"erased": 20, "open": 80}, state="deferred"), *MIXED[:1]])
    refresh_until(page, lambda: "80 open" in page.locator("#rows").inner_text())
    fake.set([make_erasure(None, state="running", is_reported=False), *MIXED[:1]])
    calls = fake.calls.total()
    refresh_until(page, lambda: fake.calls.total() > calls)
    expect(rows).to_have_count(2)
    fake.set(MIXED[:1])
    refresh_until(page, lambda: rows.count() == 1)


def test_a_run_that_the_form_has_started_is_followed_until_it_reports(page, fake):
    fake.set([])
    page.clock.install()
    page.goto(f"{fake.url}/{PAGE_ROUTE}/?dag_id=kore_erase_daily&run_id=done&new=")
    expect(page.get_by_role("alert")).to_contain_text("The run has started")
    fake.set(MIXED)
    refresh_until(page, lambda: "Erased" in page.locator("#rows").inner_text())
    expect(page.get_by_role("alert")).to_be_hidden()
    assert page.url.endswith("?dag_id=kore_erase_daily&run_id=done")


def test_days_left_are_those_where_the_request_came_in(page, fake):
    page.clock.install(time=datetime(2026, 11, 23, 20, tzinfo=UTC))
    zones = {"tokyo": "2026-11-24T14:59:59Z", "los_angeles": "2026-11-25T07:59:59Z", "chicago": "2026-11-24T05:59:59Z"}
    fake.set(
        [
            told(name, "deferred", stage="waiting", erased=0, open=100, deadline=due(0) | {"ends_at": ends_at})
            for name, ends_at in zones.items()
        ]
    )
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    for name, words in {"tokyo": "due today", "los_angeles": "1 day left", "chicago": "due today"}.items():
        expect(page.locator("#rows tr", has_text=name)).to_contain_text(words)


@pytest.mark.parametrize(
    ("stage", "state", "label", "group"),
    [
        ("refused", "failed", "Refused", "not_erased"),
        ("refused", "up_for_retry", "Will retry", "open"),
        ("exporting", "failed", "Not exported", "not_erased"),
        ("deleting_recordings", "failed", "Recordings left", "not_erased"),
    ],
)
def test_who_was_never_sent_needs_a_person(page, fake, stage, state, label, group):
    report = {"stage": stage, "deadline": due(20) if stage == "refused" else None, "host": None, "bot_ids": []}
    report |= dict.fromkeys(("user_count", "erased", "open", "not_erased"))
    fake.set([told("unsent", state, **report)])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    row = page.locator("#rows tr[data-key]")
    expect(row.locator(".state")).to_have_text(label)
    expect(row.locator(".state")).to_have_class(f"state {group}")
    expect(row).to_contain_text("Number unknown")
    expect(row).to_contain_text("No erasure sent")
    if stage == "refused":
        expect(row).to_contain_text("20 days left")


@pytest.mark.parametrize(("days", "group"), [(6, "near"), (7, "open")])
def test_a_deadline_is_near_with_fewer_than_seven_days_left(page, fake, days, group):
    assert DAYS_TO_WARN == 7
    fake.set([told("run", "deferred", stage="waiting", erased=0, open=100, deadline=due(days))])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator(f"#rows .state.{group}")).to_have_count(1)


def test_counts_of_what_is_under_way_say_of_when_they_are(page, fake):
    page.clock.install(time=TODAY)
    old = (TODAY - timedelta(days=2)).isoformat()
    fake.set([told("old", "deferred", stage="waiting", erased=10, open=90, updated=old), told("done")])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    day = str((TODAY - timedelta(days=2)).date())
    expect(page.locator("#rows tr", has_text="old")).to_contain_text(f"10 erased · 90 open · as of {day}")
    expect(page.locator("#rows tr", has_text="done")).not_to_contain_text("as of")


def test_who_could_not_be_looked_for_is_told(page, fake):
    fake.set([told("run", verification={"gone": 60, "found": 0, "not_checkable": 40, "not_checked": 0})])
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#rows")).to_contain_text("100 erased · 40 not checkable")


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused_midway_sees_no_more_data_and_asks_no_more(page, fake, status):
    page.clock.install()
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    run_until_told(page, "#freshness", "Refreshes every")
    expect(page.locator("#rows tr[data-key]")).to_have_count(6)
    fake.refusals = {"list": status}
    page.clock.run_for(11_000)
    run_until_told(page, "#message-title", "You")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#rows tr[data-key]")).to_have_count(0)
    calls = fake.calls.total()
    page.clock.run_for(60_000)
    assert fake.calls.total() == calls


@pytest.mark.parametrize("part", ["dag", "run", "task"])
def test_a_link_leads_out_of_the_frame_of_airflow(page, fake, part):
    page.goto(f"{fake.url}/plugin/{PAGE_ROUTE}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#freshness")).to_contain_text("Refreshes every")  # all is there, and in its place
    link = frame.locator(f"#rows [data-part={part}]").first
    address = link.evaluate("link => link.href")
    link.click()
    page.wait_for_url(address)


def test_a_link_to_the_framed_page_narrows_it(page, fake):
    page.goto(f"{fake.url}/plugin/{PAGE_ROUTE}?{urlencode({'dag_id': 'kore_erase_daily', 'run_id': 'near'})}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#rows tr[data-key]")).to_have_count(1)
    expect(frame.locator("#scope")).to_contain_text("run near")
    frame.get_by_role("link", name="Show all erasures").click()
    expect(frame.locator("#rows tr[data-key]")).to_have_count(6)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_looks_as_airflow_was_told_to_look(page, fake, theme):
    page.emulate_media(color_scheme="light" if theme == "dark" else "dark")
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    page.reload()
    colour = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 19, 24)"}[theme]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, fake, color_scheme):
    context = browser.new_context(color_scheme=color_scheme, bypass_csp=True)  # axe comes in as a script of its own
    page = context.new_page()
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(page.locator("#rows tr[data-key]")).to_have_count(6)
    expect(page.locator("#rows .skeleton")).to_have_count(0)
    violations = Axe().run(page).response["violations"]
    assert not [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    context.close()


def test_all_can_be_done_with_the_keyboard(watched):
    page = watched.page
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert {"refresh", "not_erased", "near", "open", "done", "text", "dag", "run", "task"} <= reached
    page.locator("#groups button[data-group=open]").focus()
    page.keyboard.press("Enter")
    expect(watched.rows()).to_have_count(1)


def test_five_thousand_erasures_are_paged(page, fake):
    fake.set(make_many(5_000))
    watched = Watched(page)
    page.goto(f"{fake.url}/{PAGE_ROUTE}/")
    expect(watched.rows()).to_have_count(50)
    expect(page.locator("#range")).to_contain_text("5,000", timeout=30_000)
    page.get_by_role("button", name="Next").click()
    expect(watched.rows()).to_have_count(50)
    assert not watched.messages


def test_the_page_sends_strict_headers(page, fake):
    answer = page.request.get(f"{fake.url}/{PAGE_ROUTE}/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"  # an update is seen at once


def test_one_file_sends_requests_and_only_two_of_them_change_something():
    files = {path.name: path.read_text() for path in (Path(erasures_page.__file__).parent / "static").glob("*.js")}
    sends = re.compile(r"\b(fetch|XMLHttpRequest|sendBeacon|WebSocket|EventSource|RTCPeerConnection|WebTransport)\(")
    assert [name for name, text in files.items() if sends.search(text)] == ["api.js"]
    assert re.findall(r'"(?:POST|PUT|PATCH|DELETE)"', "".join(files.values())) == ['"POST"', '"PATCH"']


# --- in a real Airflow ------------------------------------------------------------------------------------------------


def test_erasures_of_a_real_airflow_are_shown_within_its_ui_and_nobody_is_named(browser, airflow, sandbox, tmp_path):
    ids = [f"page{uuid.uuid4().hex}@example.com" for _ in range(3)]
    file = tmp_path / "people.txt"
    file.write_text("\n".join(ids))
    conf = {"users_from": file.as_uri(), "bot_ids": ["st-page"], "received_at": str(TODAY.date())}
    run_id = airflow.trigger("kore_erase_on_request", conf)
    assert airflow.wait_for_run("kore_erase_on_request", run_id) == "success"
    page = sign_in(browser, airflow)
    answers = []
    page.on("response", lambda response: answers.append(response) if "/api/v2/" in response.url else None)
    page.goto(f"{airflow.url}/plugin/{PAGE_ROUTE}?{urlencode({'dag_id': 'kore_erase_on_request', 'run_id': run_id})}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#rows tr[data-key]")).to_have_count(1, timeout=20_000)
    row = frame.locator("#rows tr[data-key]")
    expect(row).to_contain_text("3 users")
    expect(row).to_contain_text("Erased")
    expect(row).to_contain_text("GDPR")
    texts = [response.text() for response in answers if response.ok]
    assert any("kore_erasure" in text for text in texts)
    assert not any(person in text for text in texts for person in ids)
    assert not any(person in frame.locator("body").inner_text() for person in ids)
    page.context.close()


def test_the_page_is_in_the_navigation(browser, airflow):
    page = sign_in(browser, airflow)
    page.goto(f"{airflow.url}/")
    page.get_by_role("link", name="Erasures", exact=True).or_(page.get_by_text("Erasures", exact=True)).first.click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Erasures")).to_be_visible()
    page.context.close()


def sign_in_as(browser, airflow, username):
    password = json.loads((airflow.home / "passwords.json").read_text())[username]
    return sign_in(browser, AirflowClient(airflow.url, username, password))


def test_whoever_has_no_role_sees_no_erasures(browser, airflow):
    page = sign_in_as(browser, airflow, "nobody")
    page.goto(f"{airflow.url}/{PAGE_ROUTE}/")
    expect(page.locator("main")).to_contain_text("You may not see erasures", use_inner_text=True)
    expect(page.locator("#rows tr[data-key]")).to_have_count(0)
    page.context.close()


def test_a_failure_is_put_aside_by_who_may_edit_and_airflow_keeps_and_audits_it(browser, airflow, tmp_path):
    dag_id, task = "kore_erase_on_request", "erase_users"
    run_id = airflow.trigger(dag_id, {"users_from": (tmp_path / "gone.txt").as_uri(), "bot_ids": ["st-page"]})
    assert airflow.wait_for_run(dag_id, run_id) == "failed"
    path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task}"
    airflow.call("PATCH", path, json={"note": "Somebody's own note"})
    address = f"{airflow.url}/{PAGE_ROUTE}/?{urlencode({'dag_id': dag_id, 'run_id': run_id})}"
    page, viewer = sign_in(browser, airflow), sign_in_as(browser, airflow, "viewer")
    for window in (page, viewer):
        window.goto(address)
        expect(window.locator("#rows .state.not_erased")).to_have_count(1)
    expect(viewer.locator("#freshness")).to_contain_text("Nothing is under way")
    expect(viewer.get_by_role("button", name="Put aside")).to_have_count(0)

    page.get_by_role("button", name="Put aside").click()
    page.get_by_label("Reason").fill("<b>Mended</b> by a later run")
    page.get_by_role("dialog").get_by_role("button", name="Put aside").dblclick()
    expect(page.locator("#rows .state.dealt_with")).to_have_count(1)
    for window in (page, viewer):
        window.reload()
        expect(window.locator("#rows .reason")).to_contain_text("<b>Mended</b> by a later run")
        expect(window.locator("#groups [data-group=not_erased] .rows")).to_have_text("0")
    expect(viewer.get_by_role("button", name="Take back")).to_have_count(0)
    instance = airflow.task_instance(dag_id, run_id, task)
    mark = f"Dealt with ({instance['id']}): <b>Mended</b> by a later run"
    assert instance["note"] == f"Somebody's own note\n\n{mark}"
    audit = airflow.call("GET", "/eventLogs", params={"run_id": run_id, "event": "patch_task_instance"})["event_logs"]
    assert [mark in json.dumps(json.loads(entry["extra"])["note"]) for entry in audit].count(True) == 1
    assert len(audit) == 2

    clear = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task], "only_failed": False}
    airflow.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=clear)
    assert airflow.wait_for_run(dag_id, run_id) == "failed"
    assert airflow.task_instance(dag_id, run_id, task)["note"] == instance["note"]
    page.reload()  # the note is still there, and the failure is another one
    expect(page.locator("#rows .state.not_erased")).to_have_count(1)
    expect(page.get_by_role("button", name="Put aside")).to_have_count(1)
    for window in (page, viewer):
        window.context.close()


def test_whoever_is_not_signed_in_gets_the_files_and_no_data(browser, airflow):
    page = browser.new_context().new_page()
    page.goto(f"{airflow.url}/{PAGE_ROUTE}/")
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    expect(page.locator("#rows tr[data-key]")).to_have_count(0)
    page.context.close()
