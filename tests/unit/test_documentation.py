"""The documentation says what the code does: no option, field or exception is left out, and no link leads nowhere."""

import inspect
import re
from email import message_from_string
from importlib import import_module
from pathlib import Path

import hatchling.build
import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.exceptions import DOCUMENTATION, Consequence, KoreError, guide_to
from airflow_provider_kore.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
INFO = get_provider_info()

ERRORS = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, KoreError)]
GUIDE = (DOCS / "howto/failed.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", GUIDE, re.M | re.S))

PUBLIC = [
    (module, name)
    for module, name in re.findall(
        r"auto(?:class|function):: (airflow_provider_kore[\w.]*)\.(\w+)", (DOCS / "reference/operators.md").read_text()
    )
]


@pytest.mark.parametrize("name", [*(kind.__name__ for kind in ERRORS if kind is not KoreError), "AirflowSensorTimeout"])
def test_each_exception_has_a_section_that_says_what_happened_what_it_means_and_what_to_do(name):
    for part in ("**What happened.**", "**What it means.**", "**Steps.**"):
        assert part in SECTIONS[name]


@pytest.mark.parametrize("kind", ERRORS)
def test_the_text_of_an_exception_ends_with_the_address_of_its_section(kind):
    error = kind("It happened.", consequence=Consequence.NOT_SENT, remedy="Do this.")
    assert str(error) == f"{error.text} See {guide_to(kind.__name__)}"
    assert guide_to(kind.__name__) == f"{DOCUMENTATION}/howto/failed.html#{kind.__name__.lower()}"


def test_the_address_of_the_documentation_is_the_same_everywhere(metadata):
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert urls["Documentation"].rstrip("/") == DOCUMENTATION
    assert INFO["integrations"][0]["external-doc-url"] == DOCUMENTATION


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metadata")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = hatchling.build.prepare_metadata_for_build_wheel(str(folder))
    return message_from_string((folder / name / "METADATA").read_text())


def test_the_readme_on_a_package_index_has_absolute_targets_only(metadata):
    text = metadata.get_payload()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "```mermaid" not in text
    assert len(text.splitlines()) <= 120


def test_each_page_that_the_readme_names_exists():
    pages = re.findall(re.escape(DOCUMENTATION) + r"/([\w/-]+)\.html", (ROOT / "README.md").read_text())
    assert pages
    assert [page for page in pages if not (DOCS / f"{page}.md").exists()] == []


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_the_reference_describes_each_argument(module, name):
    public = getattr(import_module(module), name)
    described = set(re.findall(r":param (\w+):", inspect.getdoc(public) or ""))
    if isinstance(public, type) and issubclass(public, dict):
        arguments = set(public.__annotations__)
    else:
        signature = inspect.signature(public.__init__ if isinstance(public, type) else public)
        arguments = {
            argument.name
            for argument in signature.parameters.values()
            if argument.kind not in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL) and argument.name != "self"
        }
    assert arguments - {"context"} <= described


def test_the_reference_has_each_module_that_airflow_is_told_of():
    modules = {
        module
        for kind in ("operators", "sensors", "triggers", "hooks")
        for entry in INFO[kind]
        for module in entry["python-modules"]
    }
    assert modules <= {module for module, _ in PUBLIC}


def test_the_reference_has_each_field_of_the_connection_and_each_key_of_its_profile():
    fields, keys = (DOCS / "reference/connection.md").read_text().split("## Keys of")
    assert set(INFO["connection-types"][0]["conn-fields"]) == _names(fields) - {"host", "login", "password"}
    assert set(ApiProfile.model_fields) == _names(keys)


def _names(text):
    """Find the names in the first column of a table."""
    return {name for row in re.findall(r"^\| (.*?) \|", text, re.M) for name in re.findall(r"`(\w+)`", row)}


PLACES = re.findall(r"`(\w+)` in `([\w./]+\.py)`", (DOCS / "limits.md").read_text())


@pytest.mark.parametrize(("name", "file"), PLACES)
def test_each_guess_is_where_the_table_says(name, file):
    assert re.search(rf"\b{name}\b", (ROOT / "airflow_provider_kore/api" / file).resolve().read_text())


BLOCKS = [
    (f"{text.relative_to(ROOT)}:{number}", block)
    for text in TEXTS
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text.read_text(), re.M | re.S))
]


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_each_python_block_is_a_dag_or_a_part_of_one(block):
    from airflow.sdk import DAG

    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

    with DAG("documentation", schedule=None):
        exec(compile(block, "<documentation>", "exec"), {"KoreEraseUserDataOperator": KoreEraseUserDataOperator})


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_each_command_exists(text):
    targets = set(re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.M))
    words = re.findall(r"(?:^    |\$ |`)make ((?:[A-Z_]+=\S+ )*)([a-z][\w.-]*)", text.read_text(), re.M)
    assert {target for _, target in words} <= targets
    for module in re.findall(r"python -m (airflow_provider_kore[\w.]*)", text.read_text()):
        import_module(f"{module}.__main__")
