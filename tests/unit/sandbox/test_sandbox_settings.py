"""What settings are allowed, and whether the documentation knows them all."""

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import get_args

import pytest

import airflow_provider_kore.sandbox
from airflow_provider_kore.sandbox.durations import draw_seconds
from airflow_provider_kore.sandbox.faults import FaultKind
from airflow_provider_kore.sandbox.models import explain
from airflow_provider_kore.sandbox.settings import Settings

PAGE = Path(airflow_provider_kore.sandbox.__file__).with_name("README.md")


@pytest.mark.parametrize(
    "values",
    [
        {"client_id": ""},
        {"client_secret": 5},
        {"algorithm": "none"},
        {"enforce_jti": 1},
        {"bots": "st-1"},
        {"refuse": (1,)},
        {"requests_per_minute": -1},
        {"requests_per_minute": True},
        {"requests_per_minute": 1.5},
        {"minute_seconds": 0},
        *({"duration": duration} for duration in (None, True, "", "soon", "-1", "nan", "inf")),
        *({"duration": f"uniform:{bounds}"} for bounds in ("1", "3:1", "a:b", "1:2:3")),
        *({"duration": duration} for duration in ("log-uniform:0:1", "normal:1:2")),
        {"throttle_status": 500},
        {"missing_scope_status": 200},
        {"sessions_per_user": -1},
        {"messages_per_session": 1.5},
        {"history_days": 0},
        {"history_days": float("nan")},
        {"history_days": 40_000},
        {"history_channels": ()},
        {"history_channels": (" ",)},
        {"leave_behind_kind": "all"},
    ],
)
def test_an_error_names_the_setting_but_not_its_value(values):
    (name,) = values
    with pytest.raises(ValueError, match=name) as raised:
        Settings(**values)
    assert explain(raised.value).startswith(name)
    assert "soon" not in str(raised.value)


def test_settings_change_from_json():
    settings = Settings().changed(json.loads('{"bots": ["st-1"], "duration": 1, "minute_seconds": 2}'))
    assert (settings.bots, settings.duration, settings.minute_seconds) == (("st-1",), 1, 2)


@pytest.mark.parametrize(
    ("duration", "low", "high"),
    [
        (2, 2, 2),
        ("0.5", 0.5, 0.5),
        ("uniform:1:3", 1, 3),
        ("log-uniform:0.1:1000", 0.1, 1000),
    ],
)
def test_durations_keep_within_their_bounds(duration, low, high):
    random = Random(0)
    drawn = [draw_seconds(duration, random) for _ in range(500)]
    assert all(low - 1e-9 <= seconds <= high + 1e-9 for seconds in drawn)
    if low != high:
        assert len(set(drawn)) == 500


def test_a_log_uniform_duration_is_as_often_short_as_long():
    random = Random(0)
    short = sum(draw_seconds("log-uniform:1:10000", random) < 100 for _ in range(1000))
    assert 400 < short < 600


def test_every_setting_is_documented_with_its_default_and_its_source():
    row = r"^\| `(\w+)` \| (.*?) \| (documented|guessed|sandbox) \| (.*) \|$"
    documented = re.findall(row, PAGE.read_text(), re.MULTILINE)
    assert documented == [
        (
            name,
            f"`{json.dumps(field.default)}`" if field.default != () else "none",
            Settings.source_of(name),
            " ".join(field.description.replace("|", "\\|").split()),
        )
        for name, field in Settings.model_fields.items()
    ]


def test_every_fault_is_documented():
    kinds = re.findall(r"^\| `([\w-]+)` \| (?:yes|no) \|", PAGE.read_text(), re.MULTILINE)
    assert kinds == list(get_args(FaultKind))


def test_the_sandbox_needs_neither_airflow_nor_the_rest_of_the_package():
    script = (
        "import sys, airflow_provider_kore.sandbox.__main__, airflow_provider_kore.sandbox.testing\n"
        "print([name for name in sys.modules if name.startswith('airflow') and '.sandbox' not in name])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['airflow_provider_kore']"
