"""What the system tests run: tasks that erase, of which one dies at a moment that a test has chosen."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Param, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

DEATHS = 10


class MortalErasure(KoreEraseUserDataOperator):
    """
    Erase, and die once by SIGKILL, as a task dies that the kernel takes for lack of memory.

    :param dies: the moment, one of the branches of ``_set_trap``; ``"never"`` lets it live, and ``"at random"`` lets it
        die ten times, each at a moment and a batch that chance picks.
    :param grave: a file with a line for each death.
    :param defer: whether to wait in the triggerer.
    """

    template_fields = (*KoreEraseUserDataOperator.template_fields, "dies", "grave", "defer_wait")

    def __init__(self, *, dies, grave, defer_wait, **arguments):
        super().__init__(**arguments)
        self.dies = dies
        self.grave = grave
        self.defer_wait = defer_wait

    def execute(self, context):
        self.deferrable = self.defer_wait
        self._set_trap()
        return super().execute(context)

    def _set_trap(self):
        from airflow_provider_kore.api.client import KoreClient
        from airflow_provider_kore.erasure.ledger import ErasureLedger
        from airflow_provider_kore.hooks.kore import KoreHook

        match self.dies:
            case "at random":
                chance = random.Random(f"{self.grave} {self._deaths()}")
                name, before = chance.choice(["write_intent", "write_accepted"]), chance.random() < 0.5
                self._die_around(ErasureLedger, name, before=before, batches=chance.randrange(9), deaths=DEATHS)
            case "before the intent":
                self._die_around(ErasureLedger, "write_intent", before=True)
            case "before the DELETE":
                self._die_around(ErasureLedger, "write_intent", before=False)
            case "between answer and store":
                self._die_around(ErasureLedger, "write_accepted", before=True)
            case "after the store":
                self._die_around(ErasureLedger, "write_accepted", before=False)
            case "while waiting":
                KoreHook.get_conn = lambda hook: KoreClient(hook.account, sleep=self._die_or_sleep)

    def _die_around(self, owner, name, *, before, batches=0, deaths=1):
        """Die before or after a step, once it has been done for some batches."""
        original = getattr(owner, name)
        left = [batches]

        def deadly(*arguments, **keywords):
            number = getattr(arguments[1], "number", 0)  # of the batch that is recorded
            if before and not left[0]:
                self._die(f"before {name} {number}", deaths)
            result = original(*arguments, **keywords)
            if not before and not left[0]:
                self._die(f"after {name} {number}", deaths)
            left[0] -= 1
            return result

        setattr(owner, name, deadly)

    def _die_or_sleep(self, seconds):
        self._die("asleep")
        time.sleep(seconds)

    def _deaths(self):
        grave = Path(self.grave)
        return len(grave.read_text().splitlines()) if grave.exists() else 0

    def _die(self, moment, deaths=1):
        if self._deaths() < deaths:
            with Path(self.grave).open("a") as grave:
                grave.write(f"{moment}\n")
            os.kill(os.getpid(), signal.SIGKILL)


BY_URI = {
    "task_id": "erase_users",
    "user_ids": "{{ params.users_from }}",
    "bot_ids": ["st-system"],
    "poll_interval": 2,
}
ONE_MORE_TRY = {"retries": 1, "retry_delay": timedelta(seconds=1)}


@dag(
    schedule=None,
    render_template_as_native_obj=True,
    params={
        "users_from": Param("file:///", type="string"),
        "dies": Param("never", type="string"),
        "grave": Param("", type="string"),
        "defer": Param(True, type="boolean"),
    },
)
def kore_mortal():
    MortalErasure(
        **BY_URI,
        batch_size=100,
        dies="{{ params.dies }}",
        grave="{{ params.grave }}",
        defer_wait="{{ params.defer }}",
        **ONE_MORE_TRY,
    )


class ImpatientErasure(KoreEraseUserDataOperator):
    """Erase with a worker's budget of three calls in eight seconds, and hand over two requests at a time."""

    def execute(self, context):
        self._shrink()
        return super().execute(context)

    def resume_execution(self, *arguments, **keywords):
        self._shrink()
        return super().resume_execution(*arguments, **keywords)

    @staticmethod
    def _shrink():
        from airflow_provider_kore import resumption
        from airflow_provider_kore.api import budget, client
        from airflow_provider_kore.api.local_budget import LocalBudget
        from airflow_provider_kore.erasure import run

        budget.MINUTE = budget.HOUR = 8.0
        three_calls = LocalBudget(3, 3)
        client.shared_budget = lambda account: three_calls
        resumption.MAX_WORKER_WAIT = 1.0
        run.REQUESTS_AT_ONCE = 2
        run.POLLED_FIRST = 2


@dag(
    schedule=None,
    params={"users_from": Param("file:///", type="string"), "grave": Param("", type="string")},
)
def kore_often_killed():
    MortalErasure(
        **BY_URI,
        batch_size=100,
        dies="at random",
        grave="{{ params.grave }}",
        defer_wait=True,
        retries=DEATHS,
        retry_delay=timedelta(seconds=1),
    )


@dag(schedule=None, params={"users_from": Param("file:///", type="string")})
def kore_scarce():
    ImpatientErasure(
        **BY_URI,
        batch_size=1,
        deferrable=True,
    )


@dag(schedule=None)
def kore_by_value():
    @task
    def find_users():
        return ["u-by-value-1", "u-by-value-2", "u-by-value-3"]

    KoreEraseUserDataOperator(
        task_id="erase_users",
        user_ids=find_users(),
        bot_ids=["st-system"],
        deferrable=True,
        poll_interval=2,
    )


kore_mortal()
kore_often_killed()
kore_scarce()
kore_by_value()
