"""What other systems are told about an erasure."""

import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, AssetAlias
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.reporting.assets import note_outcome
from airflow_provider_kore.reporting.lineage import openlineage_facets
from airflow_provider_kore.reporting.summary import summarize

HOST = "https://kore.example.com"
BOTS = ErasureScope(("st-1", "st-2"), all_bots=False)
EVERY_BOT = ErasureScope((), all_bots=True)
PERSON = "Xq7ZwK9@example.com"
OUTPUT = {
    "requests": [{"request_id": "r-1", "user_count": 2}, {"request_id": "r-2", "user_count": 1}],
    "user_count": 3,
    "batch_count": 2,
    "erased": 2,
    "open": 0,
    "not_erased": 1,
    "not_erased_users": [{"batch": 2, "position": 1, "digest": "kd:1234"}],
}
COUNTS = {"request_count": 2, "user_count": 3, "batch_count": 2, "erased": 2, "open": 0, "not_erased": 1}
TARGET = {"host": HOST, "all_bots": False, "bot_ids": ["st-1", "st-2"]}


def test_numbers_host_and_bots_are_told():
    assert summarize(OUTPUT, HOST, BOTS) == TARGET | COUNTS
    assert summarize({}, HOST, EVERY_BOT) == {"host": HOST, "all_bots": True, "bot_ids": [], "request_count": 0}


@given(
    st.dictionaries(st.sampled_from([*OUTPUT, "else"]), st.sampled_from([PERSON, [PERSON], {"id": PERSON}, None, 3]))
)
def test_whatever_a_task_returns_no_person_is_told(output):
    assert PERSON not in json.dumps(summarize(output, HOST, BOTS))


# --- asset events ---------------------------------------------------------------------------------------------------


class Accessors:
    """What a context has as ``outlet_events``."""

    def __init__(self):
        self.extras = {}

    def __getitem__(self, asset):
        if asset.name == "broken":
            raise RuntimeError(PERSON)
        return SimpleNamespace(extra=self.extras.setdefault(asset.name, {}))


def noted(*outlets):
    events = Accessors()
    note_outcome({"task": SimpleNamespace(outlets=list(outlets)), "outlet_events": events}, OUTPUT, HOST, BOTS)
    return events.extras


def test_the_event_of_each_asset_carries_the_outcome():
    assert noted(Asset("one"), Asset.ref(name="two")) == {"one": TARGET | COUNTS, "two": TARGET | COUNTS}


@pytest.mark.parametrize("odd", [AssetAlias("alias"), "s3://bucket", None, Asset("broken")])
def test_an_odd_outlet_keeps_nothing_from_the_others(odd, caplog):
    caplog.set_level(logging.INFO)
    assert noted(odd, Asset("one")) == {"one": TARGET | COUNTS}
    assert len(caplog.records) == 1
    assert PERSON not in caplog.text


# --- lineage --------------------------------------------------------------------------------------------------------


def test_openlineage_is_told_the_bots_as_outputs_and_the_counts_as_a_facet():
    pytest.importorskip("airflow.providers.openlineage")
    from openlineage.client.serde import Serde

    told = openlineage_facets(OUTPUT, HOST, BOTS)
    assert told.inputs == []
    assert [(output.namespace, output.name) for output in told.outputs] == [(HOST, "st-1"), (HOST, "st-2")]
    assert json.loads(Serde.to_json(told.job_facets["kore_erasure"])).items() >= TARGET.items()
    assert json.loads(Serde.to_json(told.run_facets["kore_erasure"])).items() >= COUNTS.items()
    assert [output.name for output in openlineage_facets({}, HOST, EVERY_BOT).outputs] == ["all bots"]


def test_openlineage_is_told_of_no_bot_where_the_task_does_not_know_the_bots():
    pytest.importorskip("airflow.providers.openlineage")
    told = openlineage_facets(OUTPUT, HOST, ErasureScope((), all_bots=False))
    assert told.outputs == []
    assert told.job_facets["kore_erasure"].bot_ids == []
    assert told.job_facets["kore_erasure"].all_bots is False


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
