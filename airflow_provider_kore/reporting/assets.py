"""The outcome in the asset events of a task, for the DAGs that it starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_kore.reporting.summary import summarize

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.scope import ErasureScope

log = logging.getLogger(__name__)


def note_outcome(context: Context, output: Mapping[str, object], base_url: str, scope: ErasureScope) -> None:
    """
    Put host, bots and counts into the event of each asset among the task's outlets.

    Airflow makes the events when the task succeeds. An alias is not an asset, and gets no outcome. No error here fails
    the task.

    :param context: of the running task, in the process in which it ends.
    :param output: what the task returns.
    :param base_url: where Kore.ai is.
    :param scope: the bots.
    """
    from airflow.sdk import Asset
    from airflow.sdk.definitions.asset import AssetRef

    summary = summarize(output, base_url, scope)
    for outlet in context["task"].outlets or ():
        if not isinstance(outlet, Asset | AssetRef):
            log.info("The outcome is not noted at an outlet of type %s, only at assets.", type(outlet).__name__)
            continue
        try:
            context["outlet_events"][outlet].extra.update(summary)
        except Exception as error:  # noqa: BLE001 # an erasure that succeeded must not seem failed for want of an event
            log.warning("The outcome could not be noted at an asset (%s).", type(error).__name__)
