"""Links from a task to pages about its erasure."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_provider_kore.erasures_page import PAGE_ROUTE

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)


class _HarmlessLink(BaseOperatorLink):
    """
    Link that is left out where it cannot be made.

    The worker makes it whenever a task leaves it, so also when the task is deferred, is to be retried or has failed.
    """

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, or an empty text: a link never fails a task."""
        try:
            return self.address(operator, ti_key)
        except Exception as error:  # noqa: BLE001 # whatever it is, the erasure matters more
            log.debug("The link %s cannot be made: %s", self.name, type(error).__name__)
            return ""

    @abstractmethod
    def address(self, operator: BaseOperator, ti_key: TaskInstanceKey) -> str:
        """Return the address."""


class KoreErasuresLink(_HarmlessLink):
    """Link to the page "Erasures", narrowed to the task."""

    name = "Erasures"

    def address(self, operator: BaseOperator, ti_key: TaskInstanceKey) -> str:
        """Return the address within Airflow's own UI."""
        del operator
        task = {"dag_id": ti_key.dag_id, "run_id": ti_key.run_id, "task_id": ti_key.task_id}
        root = conf.get("api", "base_url", fallback="/").rstrip("/")
        return f"{root}/plugin/{PAGE_ROUTE}?{urlencode(task)}"


class KoreAdminConsoleLink(_HarmlessLink):
    """Link to the Admin Console of the Kore.ai that the task's connection names."""

    name = "Kore.ai Admin Console"

    def address(self, operator: BaseOperator, ti_key: TaskInstanceKey) -> str:
        """Return the address that Kore.ai documents."""
        from airflow_provider_kore.hooks.kore import KoreHook  # parsing a DAG needs no client

        del ti_key
        conn_id: str = operator.kore_conn_id  # type: ignore[attr-defined]
        return f"{KoreHook(conn_id).account.base_url}/Admin"


EXTRA_LINKS = (KoreErasuresLink(), KoreAdminConsoleLink())
"""What operator and sensor set as ``operator_extra_links``."""
