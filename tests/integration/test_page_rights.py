"""The page's questions whether its viewer may run a DAG and set notes, to the API server of each Airflow."""

import json
import subprocess
import sys

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from demo.process_sessions import clean_environment
from tests.integration.one_process_airflow import TIMEOUT

ASK = f"""
import json
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.log import Log
from airflow.utils.session import create_session
from starlette.testclient import TestClient

app = create_app(apps="all")
answers = {{}}
for role in ("nobody", "viewer", "user"):
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role))
    client = TestClient(app, cookies={{}} if role == "nobody" else {{"_token": token}})
    answers[role] = [client.get(f"/{PAGE_ROUTE}/may/{{what}}/a_dag").status_code for what in ("run", "note")]
    assert client.get("/{PAGE_ROUTE}/new.html").status_code == 200
with create_session() as session:
    answers["audit log"] = session.query(Log).count()
print("ANSWERS", json.dumps(answers))
"""


def test_what_the_viewer_may_do_is_answered_by_airflows_own_check_and_is_in_no_audit_log(home):
    users = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "viewer:viewer,user:user"}
    environment = clean_environment() | {"AIRFLOW_HOME": str(home), **users}
    run = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert "ANSWERS " in run.stdout, run.stdout + run.stderr
    answers = json.loads(run.stdout.partition("ANSWERS ")[2].splitlines()[0])
    assert answers == {"nobody": [401, 401], "viewer": [403, 403], "user": [204, 204], "audit log": 0}
