"""What a person does in Airflow's own forms, in a real browser."""

import time

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_kore.get_provider_info import get_provider_info

DAG_ID = "kore_erase_on_request"


@pytest.fixture(autouse=True)
def forget_all(sandbox):
    yield
    sandbox.reset()


def run_by_hand(airflow, dag_id, name):
    """Find the run that was started in the browser; the other tests start theirs by the API."""
    deadline = time.monotonic() + 30
    while True:
        runs = airflow.runs(dag_id)
        by_hand = [run["dag_run_id"] for run in runs if run["conf"].get("users_from", "").endswith(name)]
        if by_hand:
            return by_hand[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def open_trigger_form(page: Page, airflow, dag_id):
    airflow.wait_for_dag(dag_id)
    page.goto(f"{airflow.url}/dags/{dag_id}")
    page.get_by_role("button", name="Trigger").first.click()
    return page.get_by_role("dialog")


def test_a_person_fills_in_the_form_and_the_people_in_the_file_are_erased(page, airflow, sandbox, tmp_path):
    file = tmp_path / "request-1234.txt"
    file.write_text("from-the-form@example.com\n")
    form = open_trigger_form(page, airflow, DAG_ID)
    for text in ("Users from", "Bots", "All bots", "Received", "Law", "Dry run", "Airflow keeps what you type here"):
        expect(form).to_contain_text(text)
    form.locator("input[name=element_users_from]").fill(file.as_uri())
    form.locator("textarea[name=element_bot_ids]").fill("st-1")
    form.get_by_role("button", name="Trigger").click()

    run_id = run_by_hand(airflow, DAG_ID, file.name)
    assert airflow.wait_for_run(DAG_ID, run_id) == "success", airflow.task_log(DAG_ID, run_id, "erase_users")
    assert "from-the-form@example.com" in {user["user_id"] for user in sandbox.state()["erased"]}


@pytest.mark.parametrize("typed", ["", "ann@example.com", "/data/request.txt"])
def test_what_is_no_uri_is_refused_by_the_form(page, airflow, sandbox, typed):
    before = len(airflow.runs(DAG_ID))
    form = open_trigger_form(page, airflow, DAG_ID)
    form.locator("textarea[name=element_bot_ids]").fill("st-1")
    form.locator("input[name=element_users_from]").fill("file:///data/request.txt")
    form.locator("input[name=element_users_from]").fill(typed)
    trigger = form.get_by_role("button", name="Trigger")
    if trigger.is_enabled():
        trigger.click()
        page.wait_for_timeout(1000)
    expect(form).to_be_visible()
    assert len(airflow.runs(DAG_ID)) == before


def open_connection_form(page: Page, airflow):
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").first.fill("Kore.ai")
    page.keyboard.press("Enter")
    expect(form.locator("input[name=host]")).to_be_visible()
    return form


def test_the_connection_form_has_every_field_and_hides_what_is_secret(page, airflow):
    (connection_type,) = get_provider_info()["connection-types"]
    form = open_connection_form(page, airflow)
    for label in connection_type["ui-field-behaviour"]["relabeling"].values():
        expect(form).to_contain_text(label)
    form.get_by_role("button", name="Extra Fields").first.click()
    for field in connection_type["conn-fields"].values():
        expect(form).to_contain_text(field["label"])
        expect(form).to_contain_text(field["description"])
    secret = form.locator("input[type=password]").evaluate_all("fields => fields.map(field => field.name)")
    assert {"element_private_key", "element_digest_key", "element_receipt_key"} <= set(secret)


def test_a_connection_made_in_the_form_erases(page, airflow, sandbox, tmp_path):
    form = open_connection_form(page, airflow)
    form.locator("input[name=connection_id]").fill("kore_by_hand")
    form.locator("input[name=host]").fill(sandbox.connection["host"])
    form.locator("input[name=login]").fill(sandbox.connection["login"])
    form.locator("input[name=password]").fill(sandbox.connection["password"])
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()
    file = tmp_path / "people.txt"
    file.write_text("by-the-connection@example.com\n")
    conf = {"users_from": file.as_uri(), "conn_id": "kore_by_hand"}
    run_id = airflow.trigger("kore_by_connection", conf)
    ended = airflow.wait_for_run("kore_by_connection", run_id)
    assert ended == "success", airflow.task_log("kore_by_connection", run_id, "erase_users")
    assert "by-the-connection@example.com" in {user["user_id"] for user in sandbox.state()["erased"]}
