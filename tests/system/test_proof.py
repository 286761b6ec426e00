"""Export, approve, erase, verify, receipt: a whole request in a real Airflow, and what an auditor makes of it."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import uuid
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airflow_provider_kore.receipts.signing import ReceiptKey

DAG = "kore_erase_with_approval"
BUSY = 3
"""Seconds until Airflow has taken note that a task left its worker; it fails tasks that come back before."""


class Auditor:
    """Holds the issuer's public key, and verifies on the command line."""

    def __init__(self, folder, keys):
        self._digest_key = keys["digest_key"]
        self.public_key = ReceiptKey.from_pem(keys["receipt_key"]).public_key_pem
        other = Ed25519PrivateKey.generate().public_key()
        self.keys = {"issuer": folder / "issuer.pem", "other": folder / "other"}
        self.keys["issuer"].write_text(self.public_key)
        self.keys["other"].write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def claims(self, receipt):
        return jwt.decode(receipt.read_text(), self.public_key, algorithms=["EdDSA"])

    def verify(self, receipt, *, key="issuer", persons=None):
        command = [sys.executable, "-m", "airflow_provider_kore.receipts", "verify", receipt, "--key", self.keys[key]]
        return subprocess.run(
            [*command, *(["--persons"] if persons else [])],
            input="\n".join(persons or []),
            env=os.environ | {"KORE_DIGEST_KEY": self._digest_key},
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(scope="module")
def auditor(tmp_path_factory, keys):
    return Auditor(tmp_path_factory.mktemp("auditor"), keys)


@pytest.fixture(autouse=True)
def _unlimited(sandbox):
    sandbox.change_settings(requests_per_minute=0, requests_per_hour=0)


def begin(airflow, folder, **conf):
    """Start a run for three people of its own."""
    ids = [f"proof{uuid.uuid4().hex}@example.com" for _ in range(3)]
    file = folder / "people.txt"
    file.write_text("\n".join(ids) + "\n")
    airflow.wait_for_dag(DAG)
    airflow.unpause(DAG)
    conf = {
        "users_from": file.as_uri(),
        "bot_ids": ["st-proof"],
        "received_at": time.strftime("%Y-%m-%d"),
        "regime": "gdpr",
        "folder": folder.as_uri(),
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    run_id = airflow.call("POST", f"/dags/{DAG}/dagRuns", json={"logical_date": now, "conf": conf})["dag_run_id"]
    return SimpleNamespace(ids=ids, file=file, folder=folder, run_id=run_id)


def approve(airflow, run_id):
    """Answer as a person does in the UI, and return what was shown."""
    airflow.wait_for_task_state(DAG, run_id, "approve", "awaiting_input", timeout=90)
    time.sleep(BUSY)
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    shown = airflow.call("GET", path)
    airflow.call("PATCH", path, json={"chosen_options": ["Approve"], "params_input": {}})
    return shown


def give_up(airflow, run_id):
    """End a run whose task would be tried again for long."""
    airflow.call("PATCH", f"/dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})


@pytest.fixture(scope="module")
def request_done(airflow, sandbox, tmp_path_factory):
    """One request of three people from its form to its receipt."""
    sandbox.change_settings(requests_per_minute=0, requests_per_hour=0)
    run = begin(airflow, tmp_path_factory.mktemp("request"))
    run.shown = approve(airflow, run.run_id)
    run.state = airflow.wait_for_run(DAG, run.run_id, timeout=240)
    run.erased = {user["user_id"] for user in sandbox.state()["erased"]}
    run.outputs = {task: airflow.xcoms(DAG, run.run_id, task) for task in ("preview", "approve", "export", "erase")}
    if run.state == "success":
        run.receipt = run.folder / "receipts" / run.outputs["erase"]["return_value"]["receipt"]["uri"].split("/")[-1]
    yield run
    sandbox.reset()


def test_the_request_ends_with_everybody_exported_erased_verified_and_proven(airflow, request_done):
    assert request_done.state == "success", airflow.task_log(DAG, request_done.run_id, "erase")
    erased = request_done.outputs["erase"]["return_value"]
    assert (erased["erased"], erased["open"], erased["not_erased"]) == (3, 0, 0)
    assert erased["verification"].items() >= {"gone": 3, "found": 0, "not_checkable": 0, "not_checked": 0}.items()
    assert request_done.erased >= set(request_done.ids)


def test_the_gate_shows_counts_bots_deadline_and_fingerprint(request_done):
    preview = request_done.outputs["preview"]["return_value"]
    assert "Erase 3 people" in request_done.shown["subject"]
    for text in ("**3 people**", "`st-proof`", preview["plan_fingerprint"], preview["deadline"]["due_on"], "GDPR"):
        assert text in request_done.shown["body"]


def test_the_export_holds_what_kore_had_before_it_was_erased(request_done):
    exported = request_done.outputs["export"]["return_value"]
    assert (exported["user_count"], exported["sessions"], exported["messages"]) == (3, 6, 18)
    folder = request_done.folder / "export"
    manifest = json.loads((folder / "manifest.json").read_text())
    for listed in manifest["files"]:
        lines = (folder / listed["file"]).read_text().splitlines()
        assert len(lines) == 8
        assert any(person in "".join(lines) for person in request_done.ids)


def test_the_receipt_tells_the_whole_story_to_pyjwt_alone(auditor, request_done):
    claims = auditor.claims(request_done.receipt)
    assert claims["outcome"] == {"erased": 3, "open": 0, "not_erased": 0}
    assert [person["verification"] for person in claims["persons"]] == ["gone"] * 3
    assert claims["approved_by"] == "admin"
    assert claims["plan_fingerprint"] == request_done.outputs["preview"]["return_value"]["plan_fingerprint"]
    assert claims["export"]["manifest_sha256"] == request_done.outputs["export"]["return_value"]["manifest_sha256"]
    assert claims["run"]["run_id"] == request_done.run_id
    assert claims["deadline"]["regime"] == "gdpr"


def test_the_auditor_finds_the_people_and_nobody_else(auditor, request_done):
    told = auditor.verify(request_done.receipt, persons=request_done.ids)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("in the receipt, erased, gone") == 3
    assert not any(person in told.stdout for person in request_done.ids)
    told = auditor.verify(request_done.receipt, persons=[*request_done.ids, "somebody@example.com"])
    assert told.returncode == 1
    assert "Line 4: not in the receipt" in told.stdout


def changed(text, keys):
    place = len(text) // 2
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


def resigned(change):
    """Sign what was changed with the issuer's own key, as a careless issuer could."""
    return lambda text, keys: _resigned(text, keys, change)


def _resigned(text, keys, change):
    header, payload, _ = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    change(claims)
    headers = json.loads(base64.urlsafe_b64decode(header + "=="))
    return jwt.api_jws.encode(json.dumps(claims).encode(), keys["receipt_key"], algorithm="EdDSA", headers=headers)


def unsigned(text, keys):
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{header}.{text.split('.')[1]}."


def keyed_with_the_public_key(text, keys):
    """Use the public key, which everybody has, as the secret of an HMAC, which everybody could then make."""
    header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "==")) | {"alg": "HS256"}
    signed = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=") + "." + text.split(".")[1]
    public = ReceiptKey.from_pem(keys["receipt_key"]).public_key_pem.encode()
    mac = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


@pytest.mark.parametrize(
    ("forge", "key"),
    [
        (changed, "issuer"),
        (lambda text, keys: text, "other"),
        (resigned(lambda claims: claims["persons"].pop()), "issuer"),
        (resigned(lambda claims: claims["outcome"].update(erased=2, open=1)), "issuer"),
        (resigned(lambda claims: claims.update(user_count=4)), "issuer"),
        (unsigned, "issuer"),
        (keyed_with_the_public_key, "issuer"),
    ],
    ids=["a changed byte", "another key", "a missing person", "wrong sums", "a wrong count", "none", "HMAC"],
)
def test_what_is_no_evidence_is_refused(auditor, request_done, keys, tmp_path, forge, key):
    forged = tmp_path / request_done.receipt.name
    forged.write_text(forge(request_done.receipt.read_text(), keys))
    told = auditor.verify(forged, key=key)
    assert told.returncode == 1
    assert told.stdout.startswith("NOT VALID.")


def test_data_that_are_left_behind_fail_the_erasure_and_the_receipt_says_so(airflow, sandbox, auditor, tmp_path):
    run = begin(airflow, tmp_path)
    sandbox.change_settings(leave_behind=[run.ids[1]])
    approve(airflow, run.run_id)
    airflow.wait_for_task_state(DAG, run.run_id, "erase", ("up_for_retry", "failed"), timeout=240)
    give_up(airflow, run.run_id)
    output = airflow.xcom(DAG, run.run_id, "erase")
    assert output["erased"] == 3
    assert output["verification"]["found"] == 1
    assert "KoreFoundError" in airflow.task_log(DAG, run.run_id, "erase")
    receipt = tmp_path / "receipts" / output["receipt"]["uri"].split("/")[-1]
    claims = auditor.claims(receipt)
    assert claims["vendor_reported"]["erased"] == 3
    assert claims["outcome"] == {"erased": 2, "open": 0, "not_erased": 1}
    told = auditor.verify(receipt, persons=run.ids)
    assert "Line 2: in the receipt, not erased, found" in told.stdout
    sandbox.reset()


def test_people_who_were_not_approved_are_not_erased(airflow, sandbox, tmp_path):
    run = begin(airflow, tmp_path)
    airflow.wait_for_task_state(DAG, run.run_id, "approve", "awaiting_input", timeout=90)
    run.file.write_text("\n".join([*run.ids, "one-more@example.com"]) + "\n")
    approve(airflow, run.run_id)
    airflow.wait_for_task_state(DAG, run.run_id, "erase", ("up_for_retry", "failed"), timeout=240)
    give_up(airflow, run.run_id)
    assert "not what was approved" in airflow.task_log(DAG, run.run_id, "erase")
    assert not [entry for entry in sandbox.log() if entry["call"] == "erase"]
    sandbox.reset()


def test_an_export_that_is_not_whole_keeps_the_erasure_from_running(airflow, sandbox, tmp_path):
    run = begin(airflow, tmp_path)
    sandbox.change_settings(wrong_total=1)
    approve(airflow, run.run_id)
    airflow.wait_for_task_state(DAG, run.run_id, "export", ("up_for_retry", "failed"), timeout=240)
    give_up(airflow, run.run_id)
    assert "KoreExportError" in airflow.task_log(DAG, run.run_id, "export")
    assert not [entry for entry in sandbox.log() if entry["call"] == "erase"]
    sandbox.reset()
