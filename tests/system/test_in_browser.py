"""What a person sees in Airflow, in a real browser."""

import shutil
import time

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_kore.get_provider_info import get_provider_info

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1800",
)
DAG_ID = "kore_erase_on_request"

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver: apt-get install chromium chromium-driver"
)


class Browser:
    """A browser in which somebody has signed in to Airflow."""

    def __init__(self, driver, airflow):
        self.driver = driver
        self.airflow = airflow
        self.open("/")
        self.type_into("input[name=username]", airflow.username)
        self.type_into("input[name=password]", airflow.password)
        self.click_button("Sign in")
        self.wait(lambda: "/auth/" not in driver.current_url)

    def open(self, path):
        self.driver.get(self.airflow.url + path)

    def wait(self, until, timeout=30):
        """Wait until something comes true, whatever the page rebuilds meanwhile."""
        return WebDriverWait(self.driver, timeout, ignored_exceptions=[WebDriverException]).until(lambda _: until())

    def find(self, selector) -> WebElement:
        return self.wait(lambda: self.driver.find_element(By.CSS_SELECTOR, selector))

    def click_button(self, label, within="body"):
        def click():
            buttons = self.driver.find_elements(By.CSS_SELECTOR, f"{within} button")
            button = next((button for button in buttons if label in button.text and button.is_enabled()), None)
            if button is not None:
                self.driver.execute_script("arguments[0].click()", button)
            return button

        self.wait(click)

    def type_into(self, selector, text):
        """Type a text, again if the page was still being built and lost a key."""

        def type_once():
            field = self.driver.find_element(By.CSS_SELECTOR, selector)
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(Keys.DELETE)
            for key in text:
                field.send_keys(key)
            time.sleep(0.5)
            return field.get_attribute("value") == text

        self.wait(type_once)

    def expand(self, label):
        """Open a part of the dialog that is folded."""

        def is_open():
            for button in self.driver.find_elements(By.CSS_SELECTOR, "[role=dialog] button"):
                if label in button.text:
                    if button.get_attribute("aria-expanded") != "true":
                        button.click()
                    return button.get_attribute("aria-expanded") == "true"
            return False

        self.wait(is_open)

    def wait_for_text(self, *texts):
        """Wait until the open dialog shows all of these texts."""

        def missing():
            dialogs = self.driver.find_elements(By.CSS_SELECTOR, "[role=dialog]")
            shown = " ".join(dialog.text for dialog in dialogs)
            return [text for text in texts if text not in shown]

        try:
            self.wait(lambda: not missing(), timeout=15)
        except TimeoutException:
            pytest.fail(f"The dialog does not show {missing()}")


@pytest.fixture
def browser(airflow, tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield Browser(driver, airflow)
    finally:
        driver.quit()


def test_a_person_fills_in_the_form_and_the_people_in_the_file_are_erased(browser, airflow, sandbox, tmp_path):
    file = tmp_path / "request-1234.txt"
    file.write_text("from-the-form@example.com\n")
    airflow.wait_for_dag(DAG_ID)
    browser.open(f"/dags/{DAG_ID}")
    browser.click_button("Trigger")
    browser.wait_for_text("Users from", "Bots", "All bots", "Dry run", "Airflow keeps what you type here")
    browser.type_into("input[name=element_users_from]", file.as_uri())
    browser.type_into("textarea[name=element_bot_ids]", "st-1")
    browser.click_button("Trigger", within="[role=dialog]")

    run_id = first_run(airflow)
    assert airflow.wait_for_run(DAG_ID, run_id) == "success", airflow.task_log(DAG_ID, run_id, "erase_users")
    assert "from-the-form@example.com" in {user["user_id"] for user in sandbox.state()["erased"]}


def first_run(airflow):
    """Find the run that was started by hand; the other tests start theirs by the API."""
    deadline = time.monotonic() + 30
    while True:
        runs = airflow.runs(DAG_ID)
        by_hand = [run["dag_run_id"] for run in runs if run["conf"].get("users_from", "").endswith("request-1234.txt")]
        if by_hand:
            return by_hand[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_connection_form_has_every_field_and_hides_what_is_secret(browser):
    (connection_type,) = get_provider_info()["connection-types"]
    browser.open("/connections")
    browser.click_button("Add")
    browser.find("[role=dialog] input[role=combobox]").send_keys("Kore.ai" + Keys.ENTER)
    browser.find("[role=dialog] input[name=host]")
    browser.wait_for_text(*connection_type["ui-field-behaviour"]["relabeling"].values())
    browser.expand("Extra Fields")
    fields = connection_type["conn-fields"]
    browser.wait_for_text(
        *(field["label"] for field in fields.values()),
        *(field["description"] for field in fields.values()),
    )
    secret = browser.driver.find_elements(By.CSS_SELECTOR, "[role=dialog] input[type=password]")
    assert {element.get_attribute("name") for element in secret} >= {"element_private_key", "element_digest_key"}
