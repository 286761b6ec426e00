"""
Run an operator as Airflow's task runner does, without the rest of Airflow.

A task resumes as in ``dag.test()``, which gives it the event of its trigger and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_kore.api import pacing
from airflow_provider_kore.compat import AirflowRescheduleException, AirflowSkipException
from airflow_provider_kore.resumption import STATE_KEY


class FakeStore:
    """Airflow's task state store: what is written goes through JSON, and survives a try."""

    def __init__(self):
        self.values = {}
        self.retentions = {}

    def get(self, key, default=None):
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key, value, *, retention=None):
        self.values[key] = json.dumps(value)
        self.retentions[key] = retention


@dataclass
class FakeTaskInstance:
    """What operators use of the running task instance."""

    try_number: int = 1
    max_tries: int = 0
    first_reschedule: datetime | None = None
    dag_id: str = "dag"
    run_id: str = "run"
    task_id: str = "task"
    map_index: int = -1
    xcoms: dict = field(default_factory=dict)

    def xcom_push(self, key, value):
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids, key, map_indexes):
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return json.loads(json.dumps(self.xcoms.get(key)))

    def get_first_reschedule_date(self, context):
        return self.first_reschedule


@dataclass
class FakeDagRun:
    """What operators use of the DAG run."""

    dag_id: str = "dag"
    run_id: str = "run"
    start_date: datetime | None = field(default_factory=lambda: datetime.now(UTC))
    run_after: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class TaskEnd:
    """How a try of a task ended, and what it left behind."""

    state: str
    output: object
    error: BaseException | None
    deferrals: list
    reschedules: int
    xcoms: dict

    @property
    def text(self):
        return str(self.error)


class TaskRunner:
    """Run the tries of one task; what Airflow keeps between tries is kept here."""

    def __init__(self, make_operator, *, store=None, retries=0):
        self._make_operator = make_operator
        self.store = store
        self.retries = retries
        self.dag_run = FakeDagRun()
        self.try_number = 0
        self.max_tries = retries

    def clear(self):
        """Let the task run again, as a person does in the UI."""
        self.max_tries = self.try_number + self.retries

    def run(self, *, trigger_error=None, meanwhile=lambda xcoms: None):
        """
        Run one try to its end, through every deferral and rescheduling.

        :param trigger_error: how each trigger ends instead of firing, in Airflow's words.
        :param meanwhile: changes the task's XComs while it is deferred.
        """
        return self._run(lambda operator, context: operator.execute(context), trigger_error, meanwhile)

    def run_failed_trigger(self, error):
        """Resume as Airflow does after a trigger failed or was too late, when all that the try kept is gone."""
        return self._run(partial(_resume_without_event, error=error))

    def _run(self, step, trigger_error=None, meanwhile=lambda xcoms: None):
        self.try_number += 1
        instance = FakeTaskInstance(self.try_number, self.max_tries)
        context = {"ti": instance, "dag_run": self.dag_run, "outlet_events": {}}
        if self.store is not None:
            context["task_state_store"] = self.store
        deferrals, reschedules = [], 0
        while True:
            operator = self._make_operator()  # each time in a new process, which has called nobody yet
            pacing._budgets.clear()
            operator.retries = self.retries
            context["task"] = operator
            try:
                output = step(operator, context)
            except TaskDeferred as deferred:
                class_path, trigger_kwargs = deferred.trigger.serialize()
                assert (deferred.method_name, deferred.kwargs) == ("resume", None)  # noqa: PT017 # else it is lost
                kept = {"trigger": trigger_kwargs, "state": instance.xcoms[STATE_KEY]}
                deferrals.append(json.loads(json.dumps(kept, default=datetime.isoformat)))
                meanwhile(instance.xcoms)
                if trigger_error is not None:
                    step = partial(_resume_without_event, error=trigger_error)
                    continue
                event = asyncio.run(_first_event(class_path, trigger_kwargs))
                step = partial(_resume, event=event)
            except AirflowRescheduleException as rescheduled:
                instance.first_reschedule = instance.first_reschedule or datetime.now(UTC)
                reschedules += 1
                time.sleep(max((rescheduled.reschedule_date - datetime.now(UTC)).total_seconds(), 0))
            except AirflowSkipException as skip:
                return TaskEnd(
                    "skipped", instance.xcoms.get("return_value"), skip, deferrals, reschedules, instance.xcoms
                )
            except Exception as error:
                return TaskEnd(
                    "failed", instance.xcoms.get("return_value"), error, deferrals, reschedules, instance.xcoms
                )
            else:
                instance.xcom_push("return_value", output)
                return self._end("success", instance, None, deferrals, reschedules)

    @staticmethod
    def _end(state, instance, error, deferrals, reschedules):
        output = instance.xcoms.get("return_value")
        return TaskEnd(state, output, error, deferrals, reschedules, instance.xcoms)


def _resume(operator, context, *, event):
    return operator.resume_execution("resume", {"event": event}, context)


def _resume_without_event(operator, context, *, error):
    return operator.resume_execution("__fail__", {"error": error, "traceback": []}, context)


async def _first_event(class_path, kwargs):
    module, _, name = class_path.rpartition(".")
    trigger = getattr(import_module(module), name)(**kwargs)
    async for event in trigger.run():
        return json.loads(json.dumps(event.payload, default=datetime.isoformat))
    raise AssertionError("a trigger fires before it ends")
