"""Take the pictures of the README, from runs of the example DAGs with made-up people on a real Airflow."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from airflow_provider_kore.user_ids.seal_keys import make_seal_key
from demo.browser import chromium, sign_in
from demo.local_airflow import LocalAirflow
from demo.local_sandbox import LocalSandbox
from demo.sealed_example import sealed_to

REPOSITORY = Path(__file__).parents[1]
PICTURES = REPOSITORY / "pictures"
ON_REQUEST, EXPORT, SEALED = "kore_erase_on_request", "kore_export_then_erase", "kore_erase_sealed"
LIMITS = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000}
QUICK, FOR_LONG = 2, 86_400
"""How long an erasure takes, in seconds."""


class Studio:
    """A running Airflow, and the people to erase there."""

    def __init__(self, airflow: LocalAirflow, sandbox: LocalSandbox, folder: Path) -> None:
        self.airflow = airflow
        self.sandbox = sandbox
        self.folder = folder

    def people(self, name: str, count: int) -> str:
        """Make people up, and return the URI of their file."""
        file = self.folder / f"{name}.txt"
        file.write_text("".join(f"{name}-{number}@example.com\n" for number in range(count)))
        return file.as_uri()

    def erase(self, name: str, count: int, *, received_days_ago: int, regime: str = "gdpr") -> str:
        """Start an erasure by the DAG with a form."""
        received = (datetime.now(UTC) - timedelta(days=received_days_ago)).date()
        conf = {"users_from": self.people(name, count), "bot_ids": ["st-shop"]}
        return self.airflow.trigger(ON_REQUEST, conf | {"received_at": str(received), "regime": regime})

    def run_all(self) -> str:
        """Run an erasure of each kind, and return the run of the export."""
        conf = {
            "users_from": self.people("request-1240", 12),
            "export_to": (self.folder / "export").as_uri(),
            "bot_ids": ["st-shop"],
        }
        export = self.airflow.trigger(EXPORT, conf)
        done = [
            self.erase("request-1234", 240, received_days_ago=3),
            self.erase("request-1235", 37, received_days_ago=9),
        ]
        for run_id in done:
            self.airflow.wait_for_run(ON_REQUEST, run_id)
        self.airflow.wait_for_run(EXPORT, export, timeout=240)
        self.sandbox.change_settings(refuse=["request-1236-7@example.com"])
        self.airflow.wait_for_run(ON_REQUEST, self.erase("request-1236", 80, received_days_ago=12, regime="ccpa"))
        self.sandbox.change_settings(duration=FOR_LONG, refuse=[])
        for name, days in (("request-1237", 27), ("request-1238", 2)):
            run_id = self.erase(name, 110, received_days_ago=days)
            self.airflow.wait_for_trigger(ON_REQUEST, run_id, "erase_users")
        return export

    def fill_form(self, page: Page) -> None:
        """Fill in the form of new erasures, and take a picture of it and of its preview."""
        self.airflow.unpause(SEALED)
        page.goto(f"{self.airflow.url}/{PAGE_ROUTE}/new.html")
        page.locator("#form").wait_for()
        page.get_by_label("User ids", exact=True).fill("ann.mueller@example.com\nbo.li@example.com\nu-7d1f")
        page.get_by_label("Bots").fill("st-shop")
        page.get_by_label("Received on").fill(str((datetime.now(UTC) - timedelta(days=3)).date()))
        self.shoot(page, "new-erasure")
        page.get_by_role("button", name="Preview").click()
        page.locator("#plan").wait_for(timeout=120_000)
        page.set_viewport_size({"width": 1200, "height": 340})
        self.shoot(page, "new-erasure-plan")

    def shoot(self, page: Page, name: str) -> None:
        """Take a picture once nothing moves any more."""
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1_500)
        page.screenshot(path=PICTURES / f"{name}.png")


def main() -> None:
    """Start all that is needed, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    unlimited = ("--duration", str(QUICK), "--requests-per-minute", "0", "--requests-per-hour", "0")
    with tempfile.TemporaryDirectory() as folder, LocalSandbox(*unlimited) as sandbox:
        dags, key = Path(folder) / "dags", make_seal_key()
        shutil.copytree(REPOSITORY / "dags", dags)
        example = dags / f"{SEALED}.py"
        example.write_text(sealed_to(key, example.read_text()))
        extra = LIMITS | {"digest_key": "made up for the pictures", "seal_key": key.as_pem(private=True).decode()}
        connection = json.dumps(sandbox.connection | {"extra": extra})
        with (
            LocalAirflow(dags, environment={"AIRFLOW_CONN_KORE_DEFAULT": connection}) as airflow,
            chromium() as browser,
        ):
            studio = Studio(airflow, sandbox, Path(folder))
            export = studio.run_all()
            page = sign_in(browser, airflow, width=1200, height=675)
            page.goto(f"{airflow.url}/dags/{EXPORT}/runs/{export}")
            page.locator("button[aria-label*='raph'], button[title*='raph']").first.click()
            studio.shoot(page, "graph")
            page.goto(f"{airflow.url}/dags/{ON_REQUEST}")
            page.get_by_role("button", name="Trigger").first.click()
            page.get_by_role("dialog").locator("input[name=element_users_from]").fill("s3://privacy/requests/1241.txt")
            studio.shoot(page, "trigger-form")
            page.goto(f"{airflow.url}/plugin/{PAGE_ROUTE}")
            studio.shoot(page, "erasures")
            page.set_viewport_size({"width": 1200, "height": 760})
            studio.fill_form(page)


if __name__ == "__main__":
    main()
