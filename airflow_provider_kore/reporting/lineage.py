"""The lineage of an erasure, where the OpenLineage provider is installed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import JobFacet, RunFacet

    from airflow_provider_kore.api.scope import ErasureScope

    Lineage = OperatorLineage[OutputDataset, JobFacet | RunFacet]

log = logging.getLogger(__name__)

ALL_BOTS = "all bots"
"""The name of the dataset that stands for every bot of the organisation."""


class ReportsLineage:
    """Report to OpenLineage how the task ended."""

    ended: tuple[Mapping[str, object], str, ErasureScope] | None = None
    """What the task returned or pushed before it failed, the base URL and the bots."""

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:  # noqa: ARG002
        """Report host, bots and counts, and no user."""
        return None if self.ended is None else openlineage_facets(*self.ended)


def openlineage_facets(output: Mapping[str, object], base_url: str, scope: ErasureScope) -> Lineage | None:
    """
    Describe to OpenLineage which bots a task changed, and how many users it erased.

    Each bot is an output, in the namespace of its host; there is none where the task does not know the bots. There is
    no input: the file of the users stays private.
    Host and bots are a facet of the job, the counts a facet of the run, both named ``kore_erasure``.

    :param output: what the task returned, or what it pushed before it failed; empty if there is neither.
    :param base_url: where Kore.ai is.
    :param scope: the bots; neither bots nor all of them where the task does not know them.
    :return: ``None`` if OpenLineage is not installed, or fails; it never fails a task.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import JobFacet, RunFacet

        from airflow_provider_kore.reporting.summary import summarize

        names = (ALL_BOTS,) if scope.all_bots else scope.bot_ids
        summary = summarize(output, base_url, scope)
        target = {name: summary.pop(name) for name in ("host", "all_bots", "bot_ids")}
        return OperatorLineage(
            outputs=[OutputDataset(base_url, name) for name in names],
            job_facets={"kore_erasure": cast("JobFacet", JobFacet().with_additional_properties(**target))},
            run_facets={"kore_erasure": cast("RunFacet", RunFacet().with_additional_properties(**summary))},
        )
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 # an erasure that succeeded must not seem failed for want of lineage
        log.warning("The lineage of the erasure could not be written (%s).", type(error).__name__)
        return None
