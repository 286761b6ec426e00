"""Which failures are worth a retry."""

import inspect
import subprocess
import sys
from datetime import timedelta

import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.submit import submission_broke_off
from airflow_provider_kore.exceptions import Consequence, KoreError, KoreSourceError
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.retry_policy import PROSPECTS, kore_retry_policy

try:
    from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction
except ImportError:
    RetryAction = None

with_policies = pytest.mark.skipif(RetryAction is None, reason="retry policies came with Airflow 3.3")


def every_exception():
    return [
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, KoreError) and kind is not KoreError
    ]


def example(kind):
    return kind("It went wrong.", consequence=Consequence.NOT_SENT, remedy="Mend it.")


def test_every_exception_is_decided_once_and_before_those_that_it_derives_from():
    decided = [prospect.exception for prospect in PROSPECTS]
    assert sorted(decided, key=str) == sorted(every_exception(), key=str)
    for place, kind in enumerate(decided):
        assert not any(issubclass(kind, earlier) for earlier in decided[:place])


@with_policies
@pytest.mark.parametrize("delay", [None, timedelta(seconds=90)])
def test_each_exception_fails_at_once_or_is_left_to_the_retries_of_the_task(delay):
    policy = kore_retry_policy(delay=delay)
    policies = [policy, ExceptionRetryPolicy.deserialize(policy.serialize())]
    for exception, mendable, reason in PROSPECTS:
        for one in policies:
            decision = one.evaluate(example(exception), try_number=1, max_tries=3)
            again = RetryAction.DEFAULT if delay is None else RetryAction.RETRY
            assert decision.action is (again if mendable else RetryAction.FAIL)
            assert decision.retry_delay == (delay if mendable else None)
            assert decision.reason == reason


@with_policies
@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), example(KoreError)])
def test_what_is_not_known_is_left_to_the_task(error):
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


def test_an_airflow_without_retry_policies_is_told_what_to_do():
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


@pytest.mark.parametrize("kind", [KoreSourceError, exceptions.KoreInputError, exceptions.KoreResumeError])
def test_a_source_that_fails_in_the_midst_of_a_submission_is_still_worth_a_retry(kind):
    ledger = type("Ledger", (ErasureLedger,), {"__init__": lambda self: None, "anything_accepted": True})()
    broken = submission_broke_off(example(kind), ledger, 3)
    assert isinstance(broken, exceptions.KoreInputError)
    assert isinstance(broken, KoreSourceError) is (kind is KoreSourceError)
    assert broken.consequence is Consequence.PARTLY_DONE
