"""An Airflow of one process for tests: a home with a database, in which ``airflow dags test`` and ``pytest`` run."""

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demo.process_sessions import ProcessSessions, clean_environment

TIMEOUT = 300
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
USER, PASSWORD = "vera", "a password"


@dataclass
class Run:
    """What ``airflow dags test`` left behind: states and XComs by task, those of mapped tasks with their index."""

    code: int
    log: str
    states: dict
    xcoms: dict

    @property
    def errors(self):
        """The end of the log from its first error on, which is enough to see why."""
        return self.log[self.log.find("[error") :][:10_000]

    def returned(self, task, *names):
        value = self.xcoms[task, "return_value"]
        return tuple(value[name] for name in names)


def _read(value):
    return json.loads(value) if isinstance(value, str) else value  # SQLite makes a number of a number's text


class Airflow:
    """An Airflow without any component: a home with a database."""

    def __init__(self, home, dags, sandbox, **extra):
        self.home = home
        self.connection = connection = json.loads(json.dumps(sandbox.connection))
        connection["extra"] = {
            **(connection["extra"] or {}),
            "digest_key": "a key of digests",
            "receipt_key": PEM,
            "requests_per_minute": 100_000,
            "requests_per_hour": 1_000_000,
            **extra,
        }
        self.environment = clean_environment() | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_KORE_DEFAULT": json.dumps(connection),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "urllib.request.localhost",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=30",
            "KORE_FOLDER": str(home),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def run(self, *arguments, **environment):
        command = [sys.executable, "-m", "airflow", *arguments]
        with ProcessSessions() as sessions:
            log = self.home / "output.log"
            code = sessions.start(command, self.environment | environment, log).wait(TIMEOUT)
        return code, log.read_text()

    def dags_test(self, dag, *arguments, conf=None, **environment):
        conf = [] if conf is None else ["--conf", json.dumps(conf)]
        code, log = self.run("dags", "test", dag, *arguments, *conf, **environment)
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            names = dict(enumerate(["", *map(str, range(100))], start=-1))
            states = database.execute("SELECT task_id, map_index, state FROM task_instance").fetchall()
            xcoms = database.execute("SELECT task_id, map_index, key, value FROM xcom").fetchall()
        return Run(
            code,
            log,
            {task + names[index]: state for task, index, state in states},
            {(task + names[index], key): _read(value) for task, index, key, value in xcoms},
        )

    def write(self, name, users):
        path = self.home / name
        path.write_text("".join(f"{user}\n" for user in users))
        return path.as_uri()
