"""How fast conversations go: the one budget of an account in this process, and how polls grow apart."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.budget import Budget
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile

if TYPE_CHECKING:
    from airflow_provider_kore.api.redis_budget import RedisBudget
    from airflow_provider_kore.api.redis_connection import RedisConnection

log = logging.getLogger(__name__)

_budgets: dict[tuple[str, str], LocalBudget | RedisBudget] = {}
_budgets_lock = threading.Lock()


def shared_budget(account: KoreAccount) -> Budget:
    """
    Give the one budget of this process for an account, by whatever connection it is reached.

    If one of these connections names a Redis, all of them share the budget there.
    """
    key = (account.base_url, account.client_id)
    with _budgets_lock:
        known = _budgets.get(key)
        if known is None or account.budget_redis not in (None, _redis_of(known)):
            budget = _budgets[key] = _make_budget(account)
            if known is not None:
                budget.import_usage(known.export_usage(), 0.0)
        else:
            budget = known
        if known is not None and account.budget_redis != _redis_of(known):
            log.warning(
                "Connections to one account name other budgets in Redis, or one of them names none. This process "
                "now counts its calls in the one that was named last; set budget_conn_id alike in all of them."
            )
    budget.narrow(account.requests_per_minute, account.requests_per_hour)
    return budget


def _redis_of(budget: LocalBudget | RedisBudget) -> RedisConnection | None:
    return None if isinstance(budget, LocalBudget) else budget.connection


def _make_budget(account: KoreAccount) -> LocalBudget | RedisBudget:
    if account.budget_redis is None:
        return LocalBudget(account.requests_per_minute, account.requests_per_hour)
    from airflow_provider_kore.api.redis_budget import RedisBudget  # redis-py is an extra

    return RedisBudget(account.budget_redis, account)


@dataclass(frozen=True, slots=True)
class Pacing:
    """
    Say how fast conversations may go.

    :param budget: the account's share of calls.
    :param clock: monotonic seconds, as the budget counts them.
    :param profile: how Kore.ai behaves where it does not document it.
    """

    budget: Budget
    clock: Callable[[], float] = time.monotonic
    profile: ApiProfile = DEFAULT_PROFILE

    def moment_of(self, time_since_epoch: float) -> float:
        """Give the moment of the clock for a time in seconds since the epoch, such as the deadline of a task."""
        return self.clock() + (time_since_epoch - time.time())


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """
    Let the polls of an erasure grow apart with its age.

    Quick at first, since an erasure can take half a second; then in proportion to the age, so that the lag stays a
    fraction of the wait; never longer than a cap. That is for a request that waits alone: where many do, the queue of
    :class:`~airflow_provider_kore.api.budget.Budget` makes the pauses longer.

    :param longest: the longest pause in seconds.
    :param shortest: the shortest pause in seconds.
    :param fraction: the pause as a fraction of the age.
    """

    longest: float = 30.0
    shortest: float = 1.25
    fraction: float = 0.09

    def pause(self, age: float) -> float:
        """Give the seconds until the next poll of a request of this age, with a tenth of jitter."""
        pause = min(self.longest, max(self.shortest, self.fraction * age))
        return pause * random.uniform(0.9, 1.0)  # noqa: S311
