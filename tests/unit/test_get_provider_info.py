"""What Airflow is told about the provider."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest
from packaging.version import Version

from airflow_provider_kore.api.account import ALGORITHMS, LONGEST_TOKEN_LIFE, KoreAccount, read_account
from airflow_provider_kore.exceptions import KoreConfigurationError
from airflow_provider_kore.get_provider_info import get_provider_info

INFO = get_provider_info()
(CONNECTION_TYPE,) = INFO["connection-types"]
FIELDS = CONNECTION_TYPE["conn-fields"]


def read(**extra):
    return read_account(host="https://platform.kore.ai", login="cs-1", password="secret", extra=extra)


def test_the_description_is_what_airflow_takes():
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_airflow_finds_the_description():
    (found,) = [entry for entry in entry_points(group="apache_airflow_provider") if "kore" in entry.value]
    assert found.load() is get_provider_info


def test_the_form_has_a_field_for_each_extra_field_that_is_read_and_no_other():
    with pytest.raises(KoreConfigurationError) as caught:
        read(no_such_field=1)
    known = caught.value.remedy.split("the known ones are ")[1].rstrip(".").split(", ")
    assert sorted(known) == sorted(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_of_the_form_has_words_and_may_be_left_empty(name):
    field = FIELDS[name]
    assert field["label"]
    assert field["description"]
    assert "null" in field["schema"]["type"]
    jsonschema.Draft202012Validator.check_schema(field["schema"])


def test_secrets_are_hidden_in_the_form_and_nothing_else_is():
    hidden = {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"}
    shown = repr(KoreAccount("https://a", "cs-1", **dict.fromkeys(hidden, "Xq7ZwK9")))
    assert hidden == {"private_key", "digest_key", "receipt_key", "seal_key"}
    assert "Xq7ZwK9" not in shown


def test_what_the_form_gives_by_default_is_what_the_account_has_by_default():
    defaults = {name: field["schema"]["default"] for name, field in FIELDS.items() if "default" in field["schema"]}
    assert read(**defaults) == read()
    assert len(defaults) == 6


def test_no_field_that_airflow_takes_for_a_secret_has_a_default_which_it_would_save_masked():
    assert not [name for name, field in FIELDS.items() if "token" in name and "default" in field["schema"]]


def test_the_form_allows_what_the_account_allows():
    assert FIELDS["algorithm"]["schema"]["enum"] == list(ALGORITHMS)
    assert FIELDS["token_ttl"]["schema"]["maximum"] == LONGEST_TOKEN_LIFE
    for name, field in FIELDS.items():
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in field["schema"]:
                assert getattr(read(**{name: field["schema"][bound]}), name) == field["schema"][bound]
                if field["schema"]["type"][0] == "integer":
                    with pytest.raises(KoreConfigurationError):
                        read(**{name: field["schema"][bound] + step})


def test_the_named_modules_and_the_hook_exist():
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in INFO[kind]:
            for module in entry["python-modules"]:
                import_module(module)
    module, name = CONNECTION_TYPE["hook-class-name"].rsplit(".", 1)
    hook = getattr(import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (CONNECTION_TYPE["connection-type"], CONNECTION_TYPE["hook-name"])


def test_reading_the_description_imports_nothing_else_of_the_package_or_of_airflow():
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_kore.get_provider_info import get_provider_info\n"
        "get_provider_info()\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} - {"__future__"} == {
        "airflow_provider_kore",
        "airflow_provider_kore.get_provider_info",
    }


@pytest.mark.skipif(Version(airflow.__version__) < Version("3.2"), reason="Airflow 3.1 knows no such form")
def test_airflow_builds_the_form_without_importing_the_hook():
    script = """
import sys
from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
manager.initialize_providers_hooks()
widgets = manager._connection_form_widgets  # the public property imports every hook, as the UI does not
assert "extra__kore__digest_key" in widgets, sorted(widgets)
assert widgets["extra__kore__digest_key"].is_sensitive
assert "airflow_provider_kore.hooks.kore" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
