"""Render the arguments of tasks as Airflow does before they run, without the rest of Airflow."""

from types import SimpleNamespace

from airflow.sdk import DAG, BaseOperator


class Returns(BaseOperator):
    """A task that other tasks take an XCom from."""


class FakeTaskInstance:
    """What references use of the running task instance; ``xcoms``: by task id, or by task id and key."""

    dag_id = "dag"

    def __init__(self, xcoms, map_index):
        self.map_index = map_index
        self.task = None
        self._xcoms = xcoms

    def xcom_pull(self, task_ids, key, default=None, **more):
        return self._xcoms.get((task_ids, key), self._xcoms.get(task_ids, default))


def make_dag(*, native=False, **arguments):
    return DAG("dag", schedule=None, render_template_as_native_obj=native, **arguments)


def render(operator, *, xcoms=None, map_index=-1, **values):
    """
    Render an operator, also a mapped one, and return the one that would be executed.

    ``values``: what templates find in the context.
    """
    instance = FakeTaskInstance(xcoms or {}, map_index)
    context = {"ti": instance, "dag": operator.dag, "dag_run": SimpleNamespace(conf=None), "params": {}} | values
    context["task"] = instance.task = operator.prepare_for_execution()
    instance.task.render_template_fields(context)
    return instance.task
