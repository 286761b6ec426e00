"""What OpenLineage shows of an erasure."""

import json
import subprocess
import sys

import pytest
from making_outputs import ALL_BOTS, BOTS, COUNTS, HOST, OUTPUT, TARGET

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.reporting.lineage import openlineage_facets


def test_openlineage_is_told_the_bots_as_outputs_and_the_counts_as_a_facet():
    pytest.importorskip("airflow.providers.openlineage")
    from openlineage.client.serde import Serde

    facets = openlineage_facets(OUTPUT, HOST, BOTS)
    assert facets.inputs == []
    assert [(output.namespace, output.name) for output in facets.outputs] == [(HOST, "st-1"), (HOST, "st-2")]
    assert json.loads(Serde.to_json(facets.job_facets["kore_erasure"])).items() >= TARGET.items()
    assert json.loads(Serde.to_json(facets.run_facets["kore_erasure"])).items() >= COUNTS.items()
    assert [output.name for output in openlineage_facets({}, HOST, ALL_BOTS).outputs] == ["all bots"]


def test_openlineage_is_told_of_no_bot_where_the_task_does_not_know_the_bots():
    pytest.importorskip("airflow.providers.openlineage")
    facets = openlineage_facets(OUTPUT, HOST, ErasureScope((), all_bots=False))
    assert facets.outputs == []
    assert facets.job_facets["kore_erasure"].bot_ids == []
    assert facets.job_facets["kore_erasure"].all_bots is False


def test_what_openlineage_cannot_be_told_fails_nothing(caplog):
    pytest.importorskip("airflow.providers.openlineage")
    assert openlineage_facets(None, HOST, BOTS) is None
    assert "AttributeError" in caplog.text


@pytest.mark.parametrize("missing", ["openlineage", "airflow.providers.openlineage"])
def test_without_openlineage_nothing_is_told(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.reporting.lineage import openlineage_facets
print(openlineage_facets({{}}, {HOST!r}, ErasureScope((), True)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "None"
    assert "could not" not in done.stdout + done.stderr


def test_reading_the_module_brings_nothing_of_openlineage():
    program = "import sys, airflow_provider_kore.reporting.lineage; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "airflow_provider_kore.reporting.lineage" in done.stdout
    assert "openlineage" not in done.stdout
