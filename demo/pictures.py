"""Take the pictures of the documentation, from runs of the example DAGs with made-up people on a real Airflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from playwright.sync_api import Page

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from airflow_provider_kore.user_ids.seal_keys import make_seal_key
from demo.browser import chromium, sign_in
from demo.local_airflow import LocalAirflow
from demo.local_sandbox import LocalSandbox
from demo.sealed_example import sealed_to

REPOSITORY = Path(__file__).parents[1]
PICTURES = REPOSITORY / "pictures"
ON_REQUEST, APPROVED, SEALED = "kore_erase_on_request", "kore_erase_with_approval", "kore_erase_sealed"
LIMITS = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000}
QUICK, FOR_LONG = 2, 86_400
"""How long an erasure takes, in seconds."""
TERMINAL = """<body style="margin: 0; background: #1e1e1e; color: #e6e6e6">
<pre style="margin: 24px; font: 13px/1.6 'DejaVu Sans Mono', monospace; white-space: pre-wrap">{text}</pre></body>"""


@dataclass
class Studio:
    """A running Airflow, and the people to erase there."""

    airflow: LocalAirflow
    sandbox: LocalSandbox
    folder: Path

    def people(self, name: str, count: int) -> str:
        """Make people up, and return the URI of their file."""
        file = self.folder / f"{name}.txt"
        file.write_text("".join(f"{name}-{number}@example.com\n" for number in range(count)))
        return file.as_uri()

    def erase(self, name: str, count: int, *, received_days_ago: int, regime: str = "gdpr") -> str:
        """Start an erasure by the DAG with a form."""
        conf = {"users_from": self.people(name, count), "bot_ids": ["st-shop"]}
        return self.airflow.trigger(ON_REQUEST, conf | {"received_at": _day(received_days_ago), "regime": regime})

    def erase_after_approval(self) -> str:
        """Export, erase, verify and prove, up to the receipt."""
        conf = {
            "users_from": self.people("request-1239", 3),
            "bot_ids": ["st-shop"],
            "received_at": _day(4),
            "regime": "gdpr",
            "folder": (self.folder / "request-1239").as_uri(),
        }
        self.airflow.wait_for_dag(APPROVED)
        self.airflow.unpause(APPROVED)
        body = {"logical_date": datetime.now(UTC).isoformat(), "conf": conf}
        run_id: str = self.airflow.call("POST", f"/dags/{APPROVED}/dagRuns", json=body)["dag_run_id"]
        self.airflow.wait_for_task_state(APPROVED, run_id, "approve", "awaiting_input", timeout=120)
        path = f"/dags/{APPROVED}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
        self.airflow.call("PATCH", path, json={"chosen_options": ["Approve"], "params_input": {}})
        self.airflow.wait_for_run(APPROVED, run_id, timeout=240)
        return run_id

    def run_all(self) -> tuple[str, str]:
        """Run an erasure of each kind, and return the run that was approved and the one that failed."""
        done = [
            self.erase("request-1234", 240, received_days_ago=3),
            self.erase("request-1235", 37, received_days_ago=9),
        ]
        for run_id in done:
            self.airflow.wait_for_run(ON_REQUEST, run_id)
        approved = self.erase_after_approval()
        self.sandbox.change_settings(refuse=["request-1236-7@example.com"])
        failed = self.erase("request-1236", 80, received_days_ago=12, regime="ccpa")
        self.airflow.wait_for_run(ON_REQUEST, failed)
        self.sandbox.change_settings(duration=FOR_LONG, refuse=[])
        for name, days in (("request-1237", 27), ("request-1238", 2)):
            run_id = self.erase(name, 110, received_days_ago=days)
            self.airflow.wait_for_trigger(ON_REQUEST, run_id, "erase_users")
        return approved, failed

    def shoot_graph(self, page: Page, run_id: str) -> None:
        """Show the graph of a run that previews, asks, exports and then erases."""
        page.goto(f"{self.airflow.url}/dags/{APPROVED}/runs/{run_id}")
        page.locator("button[aria-label*='raph'], button[title*='raph']").first.click()
        page.locator(".react-flow__node").first.wait_for(timeout=120_000)
        shoot(page, "graph")

    def shoot_trigger_form(self, page: Page) -> None:
        """Fill in the form by which a run is started, down to its last field."""
        page.goto(f"{self.airflow.url}/dags/{APPROVED}")
        page.get_by_role("button", name="Trigger").first.click()
        form = page.get_by_role("dialog")
        form.locator("input[name=element_users_from]").fill("s3://privacy/requests/1241/users.txt")
        form.locator("textarea[name=element_bot_ids]").fill("st-shop")
        form.locator("input[name=element_received_at]").fill(_day(2))
        form.locator("input[name=element_folder]").fill("s3://privacy/requests/1241")
        shoot(page, "trigger-form")

    def shoot_connection_form(self, page: Page) -> None:
        """Fill in the fields that each connection needs."""
        page.goto(f"{self.airflow.url}/connections")
        page.get_by_role("button", name="Add Connection").click()
        form = page.get_by_role("dialog")
        form.get_by_role("combobox").first.fill("Kore.ai")
        page.keyboard.press("Enter")
        fields = {"connection_id": "kore_default", "host": "https://platform.kore.ai", "login": "cs-1234"}
        for name, value in fields.items():
            form.locator(f"input[name={name}]").fill(value)
        form.locator("input[name=password]").fill("made up for the picture")
        page.set_viewport_size({"width": 1200, "height": 700})
        shoot(page, "connection-form")

    def shoot_failed_log(self, page: Page, run_id: str) -> None:
        """Show the end of the log of a task that failed: the error, without the lines of code that it came through."""
        page.set_viewport_size({"width": 1200, "height": 640})
        page.goto(f"{self.airflow.url}/dags/{ON_REQUEST}/runs/{run_id}/tasks/erase_users")
        page.get_by_text("KoreNotErasedError").first.wait_for(timeout=120_000)
        for key in ("w", "f"):  # wrap lines, and fill the window
            page.keyboard.press(key)
        page.get_by_role("dialog").get_by_text("KoreNotErasedError").first.click()
        shoot(page, "failed-log")

    def shoot_new_erasure(self, page: Page) -> None:
        """Fill in the form of new erasures, and take a picture of it and of its preview."""
        self.airflow.unpause(SEALED)
        page.goto(f"{self.airflow.url}/{PAGE_ROUTE}/new.html")
        page.locator("#form").wait_for()
        page.get_by_label("User ids", exact=True).fill("ann.mueller@example.com\nbo.li@example.com\nu-7d1f")
        page.get_by_label("Bots").fill("st-shop")
        page.get_by_label("Received on").fill(_day(3))
        shoot(page, "new-erasure")
        page.get_by_role("button", name="Preview").click()
        page.locator("#plan").wait_for(timeout=120_000)
        page.set_viewport_size({"width": 1200, "height": 340})
        shoot(page, "new-erasure-plan")

    def shoot_receipt(self, page: Page, key: Ed25519PrivateKey) -> None:
        """Verify a receipt as an auditor does, and show what the command prints."""
        (receipt,) = (self.folder / "request-1239" / "receipts").glob("eud-*.jws")
        public = self.folder / "receipts-public.pem"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        command = [sys.executable, "-m", "airflow_provider_kore.receipts", "verify", str(receipt), "--key", str(public)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        typed = f"$ python -m airflow_provider_kore.receipts verify receipts/{receipt.name} \\\n    --key {public.name}"
        page = page.context.new_page()  # Airflow's page takes no text of others
        page.set_viewport_size({"width": 1000, "height": 760})
        page.set_content(TERMINAL.format(text=escape(f"{typed}\n{printed}")))
        shoot(page, "receipt")


def shoot(page: Page, name: str) -> None:
    """Take a picture once nothing moves any more."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1_500)
    page.screenshot(path=PICTURES / f"{name}.png")


def _day(days_ago: int) -> str:
    return str((datetime.now(UTC) - timedelta(days=days_ago)).date())


def main() -> None:
    """Start all that is needed, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    unlimited = ("--duration", str(QUICK), "--requests-per-minute", "0", "--requests-per-hour", "0")
    with tempfile.TemporaryDirectory() as folder, LocalSandbox(*unlimited) as sandbox:
        dags, seal_key, receipt_key = Path(folder) / "dags", make_seal_key(), Ed25519PrivateKey.generate()
        shutil.copytree(REPOSITORY / "dags", dags)
        example = dags / f"{SEALED}.py"
        example.write_text(sealed_to(seal_key, example.read_text()))
        extra = LIMITS | {
            "digest_key": "made up for the pictures",
            "seal_key": seal_key.as_pem(private=True).decode(),
            "receipt_key": receipt_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        }
        connection = json.dumps(sandbox.connection | {"extra": extra})
        with (
            LocalAirflow(dags, environment={"AIRFLOW_CONN_KORE_DEFAULT": connection}) as airflow,
            chromium() as browser,
        ):
            studio = Studio(airflow, sandbox, Path(folder))
            approved, failed = studio.run_all()
            page = sign_in(browser, airflow, width=1200, height=675)
            studio.shoot_graph(page, approved)
            studio.shoot_trigger_form(page)
            studio.shoot_connection_form(page)
            studio.shoot_failed_log(page, failed)
            page.set_viewport_size({"width": 1200, "height": 675})
            page.goto(f"{airflow.url}/plugin/{PAGE_ROUTE}")
            shoot(page, "erasures")
            page.set_viewport_size({"width": 1200, "height": 760})
            studio.shoot_new_erasure(page)
            studio.shoot_receipt(page, receipt_key)


if __name__ == "__main__":
    main()
