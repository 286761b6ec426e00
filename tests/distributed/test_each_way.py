"""On a distributed Airflow, users on S3 and in Postgres are erased in each way there is, and leave no trace."""

import json
import re
import time
from types import SimpleNamespace

import jwt
import pytest

from airflow_provider_kore.receipts.signing import ReceiptKey
from tests.distributed.conftest import DIRECTORY, MARK, RUN_TIMEOUT, People

DAG = "kore_each_way"
FILES = [f"mapped/{number}.txt" for number in range(6)]
SIZES = {**dict.fromkeys(FILES, 250), "submit.txt": 3, "prove.txt": 3}
IN_POSTGRES = 2_500
KEEPING_REQUEST_IDS = {
    "rendered_task_instance_fields.rendered_fields",
    "task_instance.next_kwargs",
    "task_state_store.value",
    "trigger.kwargs",
    "xcom.value",
}


@pytest.fixture(scope="module")
def done(airflow, bucket, postgres, sandbox):
    """Run each way at once, and search the tables for users and for request ids meanwhile."""
    sandbox.change_settings(duration=25)  # so that the sensor finds nothing done when it begins
    people = People(bucket, SIZES)
    in_postgres = people.make_up("directory", IN_POSTGRES)
    postgres.execute(DIRECTORY, "CREATE TABLE people (email text)")
    postgres.execute(DIRECTORY, "INSERT INTO people SELECT unnest(%s)", [([*in_postgres, "other@example.com"],)])
    postgres.execute(DIRECTORY, f"ALTER DATABASE {DIRECTORY} SET log_statement = 'all'")

    run_id = airflow.trigger(DAG, {"folder": people.folder})
    places, request_ids, deadline = set(), set(), time.monotonic() + RUN_TIMEOUT
    while (state := airflow.run_state(DAG, run_id)) not in ("success", "failed"):
        assert time.monotonic() < deadline, {
            (entry["task_id"], entry["map_index"]): entry["state"] for entry in airflow.task_instances(DAG, run_id)
        }
        for table, column, text in airflow.database_values():
            if MARK.search(text.encode(errors="replace")):
                places.add(f"{table}.{column}")
            if "eud-" in text:
                request_ids.add(f"{table}.{column}")
        time.sleep(1)
    states = {(entry["task_id"], entry["map_index"]): entry["state"] for entry in airflow.task_instances(DAG, run_id)}
    yield SimpleNamespace(
        people=people,
        in_postgres=in_postgres,
        run_id=run_id,
        state=state,
        states=states,
        places=places | airflow.places(MARK),
        request_ids=request_ids,
        requests=[entry["body"]["userIds"] for entry in sandbox.log() if entry["call"] == "erase"],
        erased={user["user_id"] for user in sandbox.state()["erased"]},
    )
    sandbox.reset()


def erasures(done, users):
    """List the erase calls about users, each a list of ids."""
    return sorted(request for request in done.requests if request[0] in users)


def counts(output):
    return (output["erased"], output["open"], output["not_erased"])


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_mapped_task_erases_the_users_of_its_file_on_s3(airflow, done, number):
    users = done.people.of[FILES[number]]
    assert done.states["mapped", number] == "success"
    assert erasures(done, set(users)) == [users[:100], users[100:200], users[200:]]
    assert done.erased >= set(users)
    assert counts(airflow.xcom(DAG, done.run_id, "mapped", map_index=number)) == (250, 0, 0)


def test_a_sensor_waits_in_a_triggerer_for_what_another_task_submitted(airflow, done):
    users = done.people.of["submit.txt"]
    assert done.states["wait", -1] == "success"
    assert erasures(done, set(users)) == [users]
    assert done.erased >= set(users)
    assert airflow.xcom(DAG, done.run_id, "wait")["erased"] == 3
    assert "Pausing task as DEFERRED" in airflow.task_log(DAG, done.run_id, "wait")


def test_users_are_read_from_postgres_by_a_cursor_at_the_server(airflow, done, postgres):
    assert done.states["from_postgres", -1] == "success"
    starts = range(0, IN_POSTGRES, 500)
    assert erasures(done, set(done.in_postgres)) == [done.in_postgres[start : start + 500] for start in starts]
    assert counts(airflow.xcom(DAG, done.run_id, "from_postgres")) == (IN_POSTGRES, 0, 0)
    statements = [line for line in postgres.log_file.read_text().splitlines() if line.startswith(DIRECTORY)]
    assert any(re.search(r"DECLARE .* CURSOR .*LIKE 'mark%'", line) for line in statements)
    assert any(re.search(r"FETCH FORWARD \d+ FROM", line) for line in statements)


def test_users_are_exported_to_s3_erased_and_proven_by_a_receipt_there(airflow, bucket, done, keys):
    users = done.people.of["prove.txt"]
    assert (done.states["export", -1], done.states["prove", -1]) == ("success", "success")
    assert erasures(done, set(users)) == [users]
    exported = airflow.xcom(DAG, done.run_id, "export")
    files = bucket.list(f"{done.people.folder}/export")
    data = [file for file in files if file.endswith(".jsonl")]
    assert exported["user_count"] == len(data) == 3
    assert all(json.loads(line)["kind"] in ("session", "message") for line in bucket.get(data[0]).splitlines())
    assert json.loads(bucket.get(f"{done.people.folder}/export/manifest.json"))

    output = airflow.xcom(DAG, done.run_id, "prove")
    assert output["verification"].items() >= {"gone": 3, "found": 0, "not_checkable": 0, "not_checked": 0}.items()
    receipts = [file for file in bucket.list(f"{done.people.folder}/receipts") if file.endswith(".jws")]
    public_key = ReceiptKey.from_pem(keys["receipt_key"]).public_key_pem
    assert receipts
    claims = [jwt.decode(bucket.get(receipt), public_key, algorithms=["EdDSA"]) for receipt in receipts]
    assert {claim["user_count"] for claim in claims} == {3}


def test_the_run_succeeds(done):
    assert done.state == "success", done.states


def test_no_user_is_in_any_table_key_message_or_log(done):
    assert done.places == set()


def test_what_tables_keep_of_requests_can_be_read(done):
    assert done.request_ids >= KEEPING_REQUEST_IDS


@pytest.mark.parametrize("kind", ["files of the database", "Celery message", r"logs/worker-\d\.log", r"logs/dag_id="])
def test_what_is_kept_elsewhere_can_be_read(airflow, done, kind):
    places = airflow.places(re.compile(re.escape(done.run_id).encode()))
    assert any(re.match(kind, place) for place in places)
