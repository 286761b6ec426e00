"""The example DAGs, as far as that can be told without a running Airflow."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.exceptions import ParamValidationError
from airflow.providers.common.compat.sdk import AirflowSkipException

FILES = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))


def read_dag(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, file.stem)()


@pytest.mark.parametrize("moment", [(2026, 11, 25, 0, 0), (2026, 11, 25, 1, 30), (2026, 11, 25, 23, 59)])
def test_the_daily_erasure_reads_the_file_of_a_day_that_is_over(tmp_path, moment):
    (daily,) = (file for file in FILES if file.stem == "kore_erase_daily")
    find_requests = read_dag(daily).get_task("find_requests").python_callable
    run = SimpleNamespace(run_after=datetime(*moment, tzinfo=UTC))
    (tmp_path / "2026-11-25.txt").touch()
    with pytest.raises(AirflowSkipException, match="2026-11-24"):
        find_requests(tmp_path.as_uri(), run)
    (tmp_path / "2026-11-24.txt").touch()
    assert find_requests(tmp_path.as_uri(), run) == (tmp_path / "2026-11-24.txt").as_uri()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_form_explains_each_of_its_fields(file):
    params = read_dag(file).params
    for name in params:
        param = params.get_param(name)
        assert param.schema["title"], name
        assert param.description, name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_form_refuses_no_bots_unless_it_offers_all_bots(file):
    params = read_dag(file).params
    bot_ids = params.get_param("bot_ids")
    assert bot_ids.resolve(value=["st-1"]) == ["st-1"]
    if "all_bots" in params:
        assert bot_ids.resolve(value=[]) == []
    else:
        with pytest.raises(ParamValidationError):
            bot_ids.resolve(value=[])
