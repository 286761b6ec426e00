"""Which failures are worth a retry."""

import inspect
import subprocess
import sys
from datetime import timedelta

import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import Consequence, KoreError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.retry_policy import kore_retry_policy

try:
    from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction
except ImportError:
    RetryAction = None

FINAL = {
    "KoreInputError",
    "KoreConfigurationError",
    "KoreAuthenticationError",
    "KorePermissionError",
    "KoreRequestError",
    "KoreUnexpectedUsersError",
    "KoreResumeError",
}

with_policies = pytest.mark.skipif(RetryAction is None, reason="retry policies came with Airflow 3.3")


def every_exception():
    return [
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, KoreError) and kind is not KoreError
    ]


def example(kind):
    return kind("It went wrong.", consequence=Consequence.NOT_SENT, remedy="Mend it.")


@with_policies
@pytest.mark.parametrize("delay", [None, timedelta(seconds=90)])
@pytest.mark.parametrize("kind", every_exception())
def test_each_exception_fails_at_once_or_is_left_to_the_retries_of_the_task(kind, delay):
    policy = kore_retry_policy(delay=delay)
    for each in (policy, ExceptionRetryPolicy.deserialize(policy.serialize())):
        decision = each.evaluate(example(kind), try_number=1, max_tries=3)
        retry = RetryAction.DEFAULT if delay is None else RetryAction.RETRY
        assert decision.action is (RetryAction.FAIL if kind.__name__ in FINAL else retry)
        assert decision.retry_delay == (None if kind.__name__ in FINAL else delay)
        assert decision.reason


@with_policies
@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
def test_an_exception_of_others_is_left_to_the_task(error):
    decision = kore_retry_policy(delay=timedelta(seconds=1)).evaluate(error, try_number=1, max_tries=3)
    assert decision.action is RetryAction.DEFAULT


@with_policies
def test_a_dag_with_the_policy_can_be_serialized():
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None, default_args={"retry_policy": kore_retry_policy()}) as dag:
        KoreEraseUserDataOperator(task_id="t", user_ids="file:///a", bot_ids=["st-1"])
        KoreEraseUserDataOperator.partial(task_id="m", bot_ids=["st-1"]).expand(user_ids=["file:///a", "file:///b"])
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert again.get_task("t").has_retry_policy
    assert again.get_task("m").has_retry_policy


def test_before_airflow_3_3_the_refusal_says_what_to_do():
    program = """
import sys, types
import airflow.sdk
class Older(types.ModuleType):
    def __getattr__(self, name):
        if name == "ExceptionRetryPolicy":
            raise AttributeError(name)
        return getattr(airflow.sdk, name)
older = Older("airflow.sdk")
older.__path__ = airflow.sdk.__path__
sys.modules["airflow.sdk"] = older
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.retry_policy import kore_retry_policy
try:
    kore_retry_policy()
except AirflowOptionalProviderFeatureException as refused:
    print(refused)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "needs Airflow 3.3 or newer" in done.stdout
    assert "Leave out retry_policy" in done.stdout
