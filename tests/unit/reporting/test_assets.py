"""What the event of an asset carries."""

import logging
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, AssetAlias
from making_outputs import BOTS, COUNTS, HOST, OUTPUT, TARGET, USER

from airflow_provider_kore.reporting.assets import note_outcome


class Accessors:
    """What a context has as ``outlet_events``."""

    def __init__(self):
        self.extras = {}

    def __getitem__(self, asset):
        if asset.name == "broken":
            raise RuntimeError(USER)
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
    assert USER not in caplog.text
