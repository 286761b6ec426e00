"""
Every kind of task in every mode, for ``airflow dags test``; nobody is named here.

With ``KORE_SPENT_BUDGET`` an account's hour lasts four seconds here, so that tasks leave their workers.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task

from airflow_provider_kore.erasure import run
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator
from airflow_provider_kore.sensors.erasure import KoreErasureSensor

FOLDER = Path(os.environ["KORE_FOLDER"])
SPENT_BUDGET = "KORE_SPENT_BUDGET" in os.environ
SINCE = timedelta(days=6)
BOTS = {"bot_ids": ["st-1"]}
WAITS = {"poll_interval": 1, "timeout": 120}
MODES = {"deferrable": {"deferrable": True}}
SENSOR_MODES = dict(MODES)

run.POLLED_FIRST = 0  # so that a sensor defers also if Kore.ai is done by now

if SPENT_BUDGET:
    from airflow_provider_kore import resumption
    from airflow_provider_kore.api import budget

    budget.MINUTE, budget.HOUR, resumption.MAX_WORKER_WAIT = 2.0, 4.0, 0.1
else:
    MODES["in_worker"] = {"deferrable": False}
    SENSOR_MODES |= {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}}


def file_of(task_id: str) -> str:
    return (FOLDER / f"{task_id}.txt").as_uri()


@dag(schedule=None)
def kore_every_task() -> None:
    for mode, arguments in MODES.items():
        name = f"erase_{mode}"
        people = {"user_ids": file_of(name), **BOTS, **arguments}
        export = KoreExportUserDataOperator(
            task_id=f"export_{mode}", destination=(FOLDER / f"export_{mode}").as_uri(), since=SINCE, **people
        )
        erase = KoreEraseUserDataOperator(
            task_id=name,
            batch_size=1,
            verify={"people": "all", "since": SINCE},
            receipt={"folder": (FOLDER / f"receipts_{mode}").as_uri()},
            **people,
            **WAITS,
        )
        verify = KoreVerifyErasureOperator(task_id=f"verify_{mode}", since=SINCE, **people)
        export >> erase >> verify

        @task.kore_erase(task_id=f"decorated_{mode}", **BOTS, **WAITS, **arguments)
        def decorated(uri: str) -> str:
            return uri

        decorated(file_of(f"decorated_{mode}"))

    submit = KoreEraseUserDataOperator(
        task_id="submit",
        user_ids=file_of("submit"),
        batch_size=1,
        wait_for_completion=False,
        deferrable=True,
        **BOTS,
    )
    for mode, arguments in SENSOR_MODES.items():
        KoreErasureSensor(
            task_id=f"wait_{mode}",
            request_id=submit.output,
            poke_interval=1,
            timeout=120,
            **arguments,
        )
    KoreEraseUserDataOperator.partial(task_id="mapped", deferrable=True, **BOTS, **WAITS).expand(
        user_ids=[file_of(f"mapped_{number}") for number in range(2)]
    )


kore_every_task()
