"""The form "New erasure": what is sealed in the browser is erased, and is nowhere else."""

import json
import re
import secrets
from dataclasses import asdict
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import assume, given
from hypothesis import strategies as st
from playwright.sync_api import expect

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.column_names import COLUMN_NAMES, is_header
from airflow_provider_kore.user_ids.seal_keys import SealKeys
from airflow_provider_kore.user_ids.sealing import SealedText
from demo.airflow_client import AirflowClient
from demo.browser import sign_in
from demo.fake_airflow import FakeAirflow
from tests.unit.user_ids.jwe_by_cryptography import jwk_of, thumbprint, unseal

DAG_ID, OTHER_KEY = "kore_erase_sealed_here", "kore_erase_sealed_elsewhere"


class Watched:
    """A window, and all that left it or was said in it."""

    def __init__(self, page):
        self.page = page
        self.said, self.sent = [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.sent.append(f"{request.url} {request.post_data or ''}"))

    def kept(self):
        """All that the browser keeps of the page."""
        return self.page.evaluate(
            "async () => JSON.stringify([location.href, history.state, {...localStorage}, {...sessionStorage},"
            " document.cookie, await indexedDB.databases(), document.documentElement.outerHTML,"
            " [...document.querySelectorAll('input, textarea')].map(({ value }) => value)])"
        )


@pytest.fixture
def form(page, airflow, sandbox):
    for dag_id in (DAG_ID, OTHER_KEY):
        airflow.wait_for_dag(dag_id)
        airflow.unpause(dag_id)
    watched = Watched(page)
    page.goto(f"{airflow.url}/{PAGE_ROUTE}/")
    page.get_by_role("link", name="New erasure").click()
    expect(page.locator("#form")).to_be_visible(timeout=30_000)
    expect(page.locator("#dag option")).to_have_count(3)
    page.locator("#dag").select_option(DAG_ID)
    yield watched
    sandbox.reset()


def fill(form, users, bots="st-1", day="2026-11-20"):
    form.page.get_by_label("User ids", exact=True).fill("\n".join(users))
    form.page.get_by_label("Bots").fill(bots)
    form.page.get_by_label("Received on").fill(day)


def preview(form):
    form.page.get_by_role("button", name="Preview").click()
    expect(form.page.locator("#plan")).to_be_visible(timeout=60_000)


def erase(form, name):
    form.page.get_by_role("button", name=name).click()
    expect(form.page.locator("#rows")).to_contain_text("Erased", timeout=90_000)


def erased(sandbox):
    return [user["user_id"] for user in sandbox.state()["erased"]]


def runs(airflow):
    return airflow.runs(DAG_ID)


def test_an_id_is_previewed_erased_and_seen_in_the_table_and_is_nowhere_else(form, airflow, sandbox):
    mark = f"sealed{secrets.token_hex(8)}"
    page, before = form.page, len(runs(airflow))
    fill(form, [f"{mark}@example.com"])
    page.get_by_role("button", name="Preview").dblclick()
    expect(page.locator("#plan")).to_be_visible(timeout=60_000)
    expect(page.locator("#plan-facts")).to_contain_text("Due on")
    assert page.get_by_label("User ids", exact=True).input_value() == ""
    assert erased(sandbox) == []
    page.get_by_role("button", name="Erase 1 user").dblclick()
    expect(page.locator("#rows")).to_contain_text("Erased", timeout=90_000)
    expect(page.locator("#scope-text")).to_contain_text("Only run kore-erase-")
    assert erased(sandbox) == [f"{mark}@example.com"]
    assert len(runs(airflow)) == before + 2

    page.go_back()
    assert [place for place in [*form.said, *form.sent, form.kept()] if mark in place] == []
    assert {urlsplit(sent.split(" ")[0]).netloc for sent in form.sent} == {urlsplit(airflow.url).netloc}
    assert [f"{table}.{column}" for table, column, text in airflow.database_values() if mark in text] == []
    assert [name for name, text in airflow.file_texts() if mark in text] == []


@pytest.mark.parametrize(
    ("users", "fault"),
    [
        (["u-1", "", "u-2"], "Line 2 is blank"),
        (["ann@example.com, bob@example.com"], "Line 1 has a comma"),
        (["u-1", "Ann ann@example.com"], "Line 2 has a name beside an address"),
        (["u-1", "u-2\u200b"], "Line 2 has a character that cannot be seen"),
        (["'u-1'"], "Line 1 begins or ends with"),
        (["u-1", "u-2 "], "Line 2 begins or ends with"),
        (["jwe:abc"], "Line 1 is a sealed text"),
        (["E-Mail", "ann@example.com"], "Line 1 is the name of a column"),
        ([], "no user id"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_beside_the_field_and_nothing_is_sent(stub, users, fault):
    fill(stub, users)
    stub.page.get_by_role("button", name="Preview").click()
    expect(stub.page.locator("#ids-fault")).to_contain_text(fault)
    field = stub.page.get_by_label("User ids", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    assert stub.started == []
    assert [text for text in [*stub.said, *stub.sent] for user in users if user and user in text] == []


def test_a_thousand_addresses_of_a_file_are_erased(form, sandbox, tmp_path):
    file = tmp_path / "leavers.csv"
    users = [*(f"leaver-{number}@example.com" for number in range(998)), "zoë@exämple.com", "用户-1"]
    lines = [f'"Ann ""A"" {number}";{user};"two\nlines"' for number, user in enumerate(users)]
    file.write_text("\ufeff" + "\r\n".join(["name;e-mail;note", *lines, "", ""]), newline="")
    fill(form, [])
    form.page.get_by_label("Or a file").set_input_files(file)
    expect(form.page.get_by_label("Column with the user ids")).to_have_value("1")
    preview(form)
    erase(form, "Erase 1,000 users")
    assert sorted(erased(sandbox)) == sorted(users)


def test_a_hundred_users_of_channels_are_erased(form, sandbox, tmp_path):
    file = tmp_path / "leavers.csv"
    lines = [f"rtm,+49-170-{number}" for number in range(100)]
    file.write_text("\n".join(["channel_id,channel_user_id", *lines]))
    fill(form, [])
    form.page.get_by_label("Or a file").set_input_files(file)
    expect(form.page.get_by_label("Column with the user ids")).to_have_value("2")
    preview(form)
    erase(form, "Erase 100 users")
    assert len(erased(sandbox)) == 100


def test_why_a_preview_fails_is_said_in_words(form, airflow, sandbox):
    page = form.page
    fill(form, ["#u-1"])  # the form lets it pass, and the worker does not
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#message")).to_contain_text("The preview has failed, and nothing is erased", timeout=60_000)
    expect(page.locator("#message")).to_contain_text("item 1")
    expect(page.locator("#message a")).to_have_attribute("href", re.compile(f"dags/{DAG_ID}/runs/kore-preview-"))
    page.locator("#dag").select_option(OTHER_KEY)
    fill(form, ["u-1"])
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#message")).to_contain_text("a key that the connection does not have", timeout=60_000)
    expect(page.get_by_role("button", name="Preview")).to_be_enabled()
    assert erased(sandbox) == []


def test_who_may_not_run_a_dag_sees_no_form(browser, airflow):
    airflow.wait_for_dag(DAG_ID)
    password = json.loads((airflow.home / "passwords.json").read_text())["viewer"]
    page = sign_in(browser, AirflowClient(airflow.url, "viewer", password))
    page.goto(f"{airflow.url}/{PAGE_ROUTE}/new.html")
    expect(page.locator("#message")).to_contain_text("There is no DAG for this form", timeout=30_000)
    expect(page.locator("#form")).to_be_hidden()
    page.context.close()


def test_asking_for_the_right_to_run_leaves_nothing_in_airflow(form, airflow):
    def audit_log():
        return sum(table == "log" and column == "event" for table, column, _ in airflow.database_values())

    before = len(runs(airflow)), audit_log()
    form.page.reload()
    expect(form.page.locator("#dag option")).to_have_count(3, timeout=30_000)
    assert (len(runs(airflow)), audit_log()) == before
    assert httpx.get(f"{airflow.url}/{PAGE_ROUTE}/may/run/{DAG_ID}").status_code == 401


def test_within_airflows_ui_links_leave_the_frame(form, airflow):
    page = form.page
    page.goto(f"{airflow.url}/plugin/{PAGE_ROUTE}")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="New erasure").click()
    expect(frame.locator("#form")).to_be_visible(timeout=30_000)
    frame.locator("#dag").select_option(OTHER_KEY)
    frame.get_by_label("User ids", exact=True).fill("u-1")
    frame.get_by_label("Bots").fill("st-1")
    frame.get_by_label("Received on").fill("2026-11-20")
    frame.get_by_role("button", name="Preview").click()
    frame.get_by_role("link", name="Open the run").click(timeout=60_000)
    page.wait_for_url(re.compile(f"{airflow.url}/dags/{OTHER_KEY}/runs/kore-preview-"))


# --- the form before an Airflow that is made up ---------------------------------------------------------------------


class Stub(Watched):
    """The form before an Airflow that has one DAG, and whose answers a test changes."""

    NAMES = ("may/run", "xcomEntries", "logs", "taskInstances", "dagRuns/", "dagRuns", "details", "dags")

    def __init__(self, page, url, key):
        super().__init__(page)
        self.url = url
        self.started = []
        self.params = {name: {"value": None, "schema": {}} for name in ("received_at", "regime", "approved_plan")}
        self.params |= {"bot_ids": {"value": ["st-1", "st-2"], "schema": {}}}
        self.params |= {"user_ids": {"value": "", "schema": {"x-kore-seal": key}}}
        self.dag = {"dag_id": "a_dag", "dag_display_name": "A DAG", "is_paused": False, "params": self.params}
        self.status = {}
        page.route(re.compile(r"/api/v2/|/may/run/"), self.answer)

    def answer(self, route):
        path = urlsplit(route.request.url).path
        what = next(name for name in self.NAMES if name in path)
        if what == "dagRuns":
            self.started.append(json.loads(route.request.post_data))
        body = {
            "dags": {"dags": [self.dag], "total_entries": 1},
            "details": self.dag,
            "dagRuns/": {"state": "queued"},
            "xcomEntries": {"xcom_entries": [], "total_entries": 0},
        }
        route.fulfill(status=self.status.get(what, 200), json=body.get(what, {}))

    def open(self):
        self.page.goto(f"{self.url}/{PAGE_ROUTE}/new.html")
        return self


@pytest.fixture
def blank(browser):
    page = browser.new_context(viewport={"width": 1400, "height": 1400}).new_page()
    yield page
    page.context.close()


@pytest.fixture
def made_up(blank, public):
    with FakeAirflow() as fake:
        yield Stub(blank, fake.url, public)


@pytest.fixture
def stub(made_up):
    made_up.open()
    expect(made_up.page.locator("#form")).to_be_visible()
    return made_up


def test_a_paused_dag_is_said_to_be_paused_and_nobody_has_to_wait_for_it(made_up):
    made_up.dag["is_paused"] = True
    page = made_up.open().page
    expect(page.locator("#paused")).to_be_visible()
    fill(made_up, ["u-1"])
    page.get_by_role("button", name="Preview").dblclick()
    expect(page.locator("#status")).to_contain_text("waits, since the DAG is paused")
    page.get_by_role("button", name="Do not wait").click()
    expect(page.locator("#status")).to_contain_text("Nothing is erased")
    expect(page.get_by_role("button", name="Preview")).to_be_enabled()
    assert len(made_up.started) == 1


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("dagRuns", 401, "Your session has ended"),
        ("dagRuns/", 401, "Your session has ended"),
        ("dagRuns", 403, "You may not do this"),
        ("dagRuns", 400, "Airflow refuses the run"),
        ("dagRuns", 404, "gone"),
        ("dagRuns", 500, "Airflow cannot answer"),
    ],
)
def test_what_airflow_refuses_is_said_and_the_form_can_be_used_again(stub, what, status, words):
    stub.status[what] = status
    fill(stub, ["u-1"])
    stub.page.get_by_role("button", name="Preview").click()
    expect(stub.page.locator("#message")).to_contain_text(words)
    expect(stub.page.get_by_role("button", name="Preview")).to_be_enabled()
    assert stub.page.get_by_label("User ids", exact=True).input_value() == ""


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_who_is_refused_the_right_or_not_signed_in_sees_no_form(made_up, status):
    made_up.status["may/run"] = status
    made_up.open()
    expect(made_up.page.locator("#message")).to_be_visible()
    expect(made_up.page.locator("#form")).to_be_hidden()


def test_markup_in_names_and_params_is_shown_as_text(made_up):
    evil = "<img src=x onerror=\"document.title='broken'\">"
    made_up.dag |= {"dag_id": evil, "dag_display_name": evil}
    made_up.params["bot_ids"]["value"] = [evil]
    page = made_up.open().page
    expect(page.locator("#dag option")).to_have_text(evil)
    expect(page.locator("main img")).to_have_count(0)
    fill(made_up, ["u-1"])
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#status")).to_contain_text("The preview runs")
    assert page.title() == "New erasure"
    assert not [text for text in made_up.said if "Content Security Policy" in text]


def test_a_key_that_cannot_be_used_is_said_with_its_dag(made_up):
    made_up.params["user_ids"]["schema"]["x-kore-seal"] |= {"d": "AA"}
    page = made_up.open().page
    expect(page.locator("#message")).to_contain_text("The DAG A DAG cannot be used")
    expect(page.locator("#form")).to_be_hidden()


def test_what_was_typed_does_not_come_back(stub):
    page, field = stub.page, stub.page.get_by_label("User ids", exact=True)
    for leave in (page.reload, lambda: (page.get_by_role("link", name="All erasures").click(), page.go_back())):
        fill(stub, ["u-typed"])
        leave()
        expect(page.locator("#form")).to_be_visible()
        assert field.input_value() == ""
    page.go_forward()
    assert "u-typed" not in stub.kept()


def test_the_bots_of_a_dag_are_suggested_and_those_that_were_typed_stay(stub):
    bots = stub.page.get_by_label("Bots")
    expect(bots).to_have_value("st-1\nst-2")
    bots.fill("st-9")
    stub.page.locator("#dag").dispatch_event("change")
    expect(bots).to_have_value("st-9")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_form_is_usable_by_keyboard_and_screen_reader(stub, theme):
    page = stub.page
    page.evaluate("theme => { localStorage.setItem('theme', theme) }", theme)
    page.reload()
    expect(page.locator("#form")).to_be_visible()
    fill(stub, ["'"])
    page.get_by_label("User ids", exact=True).press("Tab")
    for name in ("file", "bots", "received"):
        assert page.evaluate("document.activeElement.id") == name
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Preview").press("Enter")
    expect(page.locator("#ids-fault")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    page.evaluate("document.getElementById('plan').hidden = document.getElementById('paused').hidden = false")
    assert Axe().run(page).response["violations"] == []


def test_on_an_origin_that_is_not_secure_the_form_is_off_and_says_why(made_up):
    made_up.page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    made_up.open()
    expect(made_up.page.locator("#message")).to_contain_text("open Airflow by https")
    expect(made_up.page.locator("#form")).to_be_hidden()


READ_TABLE = """async ([text, choice]) => {
  const { Table } = await import("./ids.js");
  try {
    const table = new Table(text);
    return [table.columns, table.read(choice)];
  } catch (error) {
    return error.message;
  }
}"""


@pytest.mark.parametrize(
    ("text", "choice", "expected"),
    [
        ("id\nu-1\n", 0, [["id"], ["u-1"]]),
        ("id", 0, [["id"], []]),
        ("\ufeffa,id\r\n1,u-1\r\n2,u-2", 1, [["a", "id"], ["u-1", "u-2"]]),
        ("id\ta\ru-1\t\r", 0, [["id", "a"], ["u-1"]]),
        ("sep=|\na|id\n;|u-1", 1, [["a", "id"], ["u-1"]]),
        ('"a;""b""";id\n"x\n;y";"u-1"\n', 1, [['a;"b"', "id"], ["u-1"]]),
        ('a;id\n"x\ny";u-1\nz', 1, "Line 4 has not as many fields as the header."),
        ('a;id\n"x\ny";\n', 1, "Line 2 is blank."),
        ('a;id\n"x"y;u-1', 1, "Line 2 has a quote where none can be."),
        ('a;id\nx;u"1', 1, "Line 2 has a quote where none can be."),
        ('a;id\n1;u-1\n"x;u-1', 1, "Line 3 has a quote where none can be."),
        ("channel_id,channel_user_id\nrtm,u-1", 2,
         [["channel_id", "channel_user_id"], [{"channel_id": "rtm", "channel_user_id": "u-1"}]]),
        ("", 0, "The file is empty."),
        ("ann@example.com,1\nbob@example.com,2", 0,
         "Line 1 has a user id where the names of the columns must be: add a header."),
    ],
)  # fmt: skip
def test_a_table_is_read_as_it_is_meant_or_refused(stub, text, choice, expected):
    assert stub.page.evaluate(READ_TABLE, [text, choice]) == expected


READ_FIRST_LINES = """async (lines) => {
  const { readLines } = await import("./ids.js");
  const isRefused = (line) => { try { readLines(line); } catch { return true; } };
  return lines.filter(isRefused);
}"""


def test_what_the_form_takes_for_the_name_of_a_column_the_worker_does_too(stub):
    shown = [text for name in COLUMN_NAMES for text in (name, name.title(), "-".join(name))]
    refused = stub.page.evaluate(READ_FIRST_LINES, [*shown, "name of Ann", "ann", "mailing"])
    assert {"email", "Email", "e-m-a-i-l", "Kundennummer"} <= set(refused)
    assert [text for text in refused if not is_header(text, None)] == []


# --- the script that seals, by itself ------------------------------------------------------------------------------

SEAL = """async ([users, key, dagId, expires]) => {
  const { readKey, seal } = await import("./seal.js");
  try {
    return await seal(users, await readKey(key), dagId, expires);
  } catch (error) {
    return `refused: ${error.message}`;
  }
}"""


@pytest.fixture(scope="module")
def seal(browser):
    with FakeAirflow() as fake:
        page = browser.new_context().new_page()
        page.goto(f"{fake.url}/{PAGE_ROUTE}/new.html")
        yield lambda *arguments: page.evaluate(SEAL, list(arguments))
        page.context.close()


@pytest.fixture(scope="module")
def private():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def public(private):
    return jwk_of(private.public_key()) | {"kid": thumbprint(private.public_key())}


def pem_of(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


LISTS = [
    ["u-1"],
    ["ann@example.com"] * 100,
    [f"user-{number}@example.com" for number in range(1000)],
    ["Zoë.Ünïcode@exämple.com", "用户-1", "u-" + "x" * 255, 'a"b\\c'],
    [{"channel_id": "rtm", "channel_user_id": "+49-170-1"}, "u-2"],
    *([f"u-{'y' * size}"] for size in range(248, 254)),  # around a multiple of the block
]


@pytest.mark.parametrize("users", LISTS, ids=lambda users: f"{len(users)} of {len(str(users[-1]))}")
def test_what_the_browser_seals_each_reader_opens_alike(seal, private, public, users):
    text = seal(users, public, "a_dag", 2_000_000_000)
    assert len(text) <= 48 * 1024
    header, content = unseal(text, private)
    assert (header["aud"], header["exp"], header["kid"]) == ("a_dag", 2_000_000_000, public["kid"])
    assert (json.loads(content), len(content) % 256) == (users, 0)
    opened = SealedText(text).open(SealKeys.read(pem_of(private)))
    assert [user if isinstance(user, str) else asdict(user) for user in opened] == users


def test_too_many_ids_and_keys_that_are_none_are_refused_in_words(seal, public):
    def refused(users=("u-1",), key=public):
        return seal(list(users), key, "a_dag", 2_000_000_000)

    assert "too many user ids" in refused(["u-" + "x" * 60] * 1000)
    assert "private" in refused(key=public | {"d": "AA"})
    assert "another one than its kid" in refused(key=public | {"kid": public["kid"][::-1]})
    for broken in (None, [], {}, public | {"crv": "P-384"}, public | {"use": "enc"}, public | {"x": 1}):
        assert refused(key=broken).startswith("refused: ")


def test_a_key_that_was_rotated_opens_what_was_sealed_to_it(seal, private, public):
    newer = ec.generate_private_key(ec.SECP256R1())
    keys = SealKeys.read(pem_of(newer) + pem_of(private))
    assert list(SealedText(seal(["u-1"], public, "a_dag", 2_000_000_000)).open(keys)) == ["u-1"]


@pytest.fixture(scope="module")
def sealed(seal, private):
    key = jwk_of(private.public_key()) | {"kid": thumbprint(private.public_key())}
    return seal(["ann@example.com", "bob@example.com"], key, "a_dag", 2_000_000_000)


CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=:+/ \nÄ"


@given(place=st.integers(0, 10_000), character=st.sampled_from(CHARACTERS))
def test_a_text_of_the_browser_with_any_other_character_is_refused(sealed, private, place, character):
    place %= len(sealed)
    changed = sealed[:place] + character + sealed[place + 1 :]
    assume(changed != sealed)
    with pytest.raises(KoreInputError) as caught:
        list(SealedText(changed).open(SealKeys.read(pem_of(private))))
    assert "example.com" not in str(caught.value)
