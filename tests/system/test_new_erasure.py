"""The form "New erasure": what is sealed in the browser is erased, and is nowhere else."""

import json
import secrets
from dataclasses import asdict
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import expect

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from airflow_provider_kore.user_ids.seal_keys import SealKeys
from airflow_provider_kore.user_ids.sealing import SealedText
from demo.airflow_client import AirflowClient
from demo.browser import sign_in
from demo.fake_airflow import FakeAirflow
from tests.unit.user_ids.jwe_by_cryptography import jwk_of, thumbprint, unseal

DAG_ID = "kore_erase_sealed_here"


@pytest.fixture(autouse=True)
def forget_all(sandbox):
    yield
    sandbox.reset()


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
def form(page, airflow):
    airflow.wait_for_dag(DAG_ID)
    watched = Watched(page)
    page.goto(f"{airflow.url}/{PAGE_ROUTE}/")
    page.get_by_role("link", name="New erasure").click()
    expect(page.locator("#form")).to_be_visible(timeout=30_000)
    page.locator("#dag").select_option(DAG_ID)
    return watched


def fill(form, users, bots="st-1", day="2026-11-20"):
    form.page.get_by_label("User ids", exact=True).fill("\n".join(users))
    form.page.get_by_label("Bots").fill(bots)
    form.page.get_by_label("Received on").fill(day)


def runs(airflow):
    return airflow.runs(DAG_ID)


def test_an_id_is_previewed_erased_and_seen_in_the_table_and_is_nowhere_else(form, airflow, sandbox):
    mark = f"sealed{secrets.token_hex(8)}"
    page, before = form.page, len(runs(airflow))
    fill(form, [f"{mark}@example.com"])
    preview = page.get_by_role("button", name="Preview")
    preview.dblclick()
    expect(page.locator("#plan")).to_be_visible(timeout=60_000)
    expect(page.locator("#plan-facts")).to_contain_text("Due on")
    assert page.get_by_label("User ids", exact=True).input_value() == ""
    assert sandbox.state()["erased"] == []
    page.get_by_role("button", name="Erase 1 user").dblclick()
    expect(page.locator("#rows")).to_contain_text("Erased", timeout=90_000)
    assert [user["user_id"] for user in sandbox.state()["erased"]] == [f"{mark}@example.com"]
    assert len(runs(airflow)) == before + 2

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
        (["jwe:abc"], "Line 1 is a sealed text"),
        ([], "no user id"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_beside_the_field_and_nothing_is_sent(form, airflow, users, fault):
    before = len(runs(airflow))
    fill(form, users)
    form.page.get_by_role("button", name="Preview").click()
    expect(form.page.locator("#ids-fault")).to_contain_text(fault)
    assert form.page.get_by_label("User ids", exact=True).get_attribute("aria-invalid") == "true"
    assert len(runs(airflow)) == before
    assert [text for text in [*form.said, *form.sent] for user in users if user and user in text] == []


def test_a_csv_file_is_read_by_the_column_that_is_chosen(form, airflow, sandbox, tmp_path):
    page, file = form.page, tmp_path / "leavers.csv"
    file.write_text('\ufeffname;"e-mail";note\r\n"Ann ""A"" B";ann@example.com;x\r\nBo;bo@example.com;"two\nlines"\r\n')
    fill(form, [])
    page.get_by_label("Or a file").set_input_files(file)
    expect(page.get_by_label("Column with the user ids")).to_have_value("1")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#plan")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Erase 2 users").click()
    expect(page.locator("#rows")).to_contain_text("Erased", timeout=90_000)
    assert {user["user_id"] for user in sandbox.state()["erased"]} == {"ann@example.com", "bo@example.com"}


def test_who_may_not_run_a_dag_sees_no_form(browser, airflow):
    password = json.loads((airflow.home / "passwords.json").read_text())["viewer"]
    page = sign_in(browser, AirflowClient(airflow.url, "viewer", password))
    page.goto(f"{airflow.url}/{PAGE_ROUTE}/new.html")
    expect(page.locator("#message")).to_contain_text("There is no DAG for this form", timeout=30_000)
    expect(page.locator("#form")).to_be_hidden()
    page.context.close()


def test_asking_for_the_right_to_run_starts_nothing_and_is_in_no_audit_log(form, airflow):
    def audit_log():
        return [text for table, column, text in airflow.database_values() if (table, column) == ("log", "event")]

    before, events = len(runs(airflow)), audit_log().count("trigger_dag_run")
    form.page.reload()
    expect(form.page.locator("#form")).to_be_visible(timeout=30_000)
    assert (len(runs(airflow)), audit_log().count("trigger_dag_run")) == (before, events)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_form_is_usable_by_keyboard_and_screen_reader(form, theme):
    page = form.page
    page.evaluate("theme => { localStorage.setItem('theme', theme) }", theme)
    page.reload()
    expect(page.locator("#form")).to_be_visible(timeout=30_000)
    result = Axe().run(page)
    assert result.response["violations"] == []
    page.get_by_label("User ids", exact=True).focus()
    for name in ("file", "bots", "received"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == name


# --- the script that seals, by itself ------------------------------------------------------------------------------

SEAL = """async ([users, key, dagId, expires]) => {
  const { readKey, seal } = await import("./seal.js");
  try {
    return await seal(users, await readKey(key), dagId, expires);
  } catch (error) {
    return `refused: ${error.message}`;
  }
}"""


@pytest.fixture
def seal(page):
    with FakeAirflow() as fake:
        page.goto(f"{fake.url}/{PAGE_ROUTE}/")
        yield lambda *arguments: page.evaluate(SEAL, list(arguments))


@pytest.fixture
def private():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def public(private):
    return jwk_of(private.public_key()) | {"kid": thumbprint(private.public_key())}


LISTS = [
    ["u-1"],
    ["ann@example.com"] * 100,
    [f"user-{number}@example.com" for number in range(1000)],
    ["Zoë.Ünïcode@exämple.com", "用户-1", "u-" + "x" * 255, '"\\'],
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
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    opened = SealedText(text).open(SealKeys.read(pem))
    assert [user if isinstance(user, str) else asdict(user) for user in opened] == users


def test_too_many_ids_and_keys_that_are_none_are_refused_in_words(seal, public):
    def refused(users=("u-1",), key=public):
        return seal(list(users), key, "a_dag", 2_000_000_000)

    assert "too many user ids" in refused(["u-" + "x" * 60] * 1000)
    assert "private" in refused(key=public | {"d": "AA"})
    assert "another one than its kid" in refused(key=public | {"kid": public["kid"][::-1]})
    for broken in (None, [], {}, public | {"crv": "P-384"}, public | {"use": "enc"}, public | {"x": 1}):
        assert refused(key=broken).startswith("refused: ")


def test_on_an_origin_that_is_not_secure_the_form_is_off_and_says_why(page):
    with FakeAirflow() as fake:
        page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
        page.goto(f"{fake.url}/{PAGE_ROUTE}/new.html")
        expect(page.locator("#message")).to_contain_text("open Airflow by https")
        expect(page.locator("#form")).to_be_hidden()
