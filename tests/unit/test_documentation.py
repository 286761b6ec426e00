"""The documentation says what the code does: no option, field or exception is left out, and no link leads nowhere."""

import inspect
import json
import re
import subprocess
from email import message_from_string
from importlib import import_module

import hatchling.build
import pytest

from airflow_provider_kore import exceptions
from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile
from airflow_provider_kore.exceptions import DOCUMENTATION, Consequence, KoreError, guide_to
from airflow_provider_kore.get_provider_info import get_provider_info
from airflow_provider_kore.hooks.kore import KoreHook
from tests.documentation_blocks import BLOCKS, NOT_RUN, ROOT, TEXTS, commands_of, commands_to_run

DOCS = ROOT / "docs"
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


@pytest.mark.parametrize(
    "page", sorted({*map(ROOT.joinpath, TEXTS), *ROOT.glob("*.md")}), ids=lambda page: str(page.relative_to(ROOT))
)
def test_each_file_of_the_repository_that_a_page_links_to_exists(page):
    text = page.read_text()
    linked = [ROOT / path for path in re.findall(r"/airflow-provider-kore/(?:blob/|tree/)?main/([\w./-]+)", text)]
    if not page.is_relative_to(DOCS):  # Sphinx checks those
        linked += [page.parent / path for path in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)]
    assert [path for path in linked if not path.exists()] == []


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


PYTHON = [block for block in BLOCKS if block.language == "python"]
SANDBOX = "airflow_provider_kore/sandbox/README.md"


@pytest.mark.parametrize("block", [block for block in PYTHON if block.page != SANDBOX], ids=lambda block: block.page)
def test_each_python_block_is_a_dag_or_a_part_of_one(block):
    from airflow.sdk import DAG

    from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator

    with DAG("documentation", schedule=None):
        exec(compile(block.text, "<documentation>", "exec"), {"KoreEraseUserDataOperator": KoreEraseUserDataOperator})


def test_the_python_block_of_the_sandbox_loses_an_answer(monkeypatch):
    def erase(sandbox):
        monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(sandbox.connection))
        with pytest.raises(exceptions.KoreAmbiguousSubmitError):
            KoreHook().erase_user_data(["u-1"], ["st-1"])

    (block,) = (block for block in PYTHON if block.page == SANDBOX)
    exec(block.text.replace("...  #", "erase(sandbox)  #"), {"erase": erase})


def test_each_block_is_of_a_language_that_is_run_or_read():
    assert {block.language for block in BLOCKS} <= {"python", "console", "sh", "json", "text", ""}
    assert [block for block in BLOCKS if block.language in ("console", "sh") and not commands_of(block)] == []
    assert [block for block in BLOCKS if block.language == "text" and "\n$ " in f"\n{block.text}"] == []


@pytest.mark.parametrize("start", NOT_RUN)
def test_each_command_that_is_not_run_is_still_there(start):
    assert any(re.match(start, command, re.S) for block in BLOCKS for command in commands_of(block))


EXPORTS = [
    (page, command) for page in TEXTS for command in commands_to_run(page) if command.startswith("export AIRFLOW_CONN_")
]


@pytest.mark.parametrize("export", [command for _, command in EXPORTS], ids=[page for page, _ in EXPORTS])
def test_each_connection_that_is_shown_can_be_used(export, monkeypatch):
    (variable,) = re.findall(r"export (\w+)=", export)
    shell = subprocess.run(["bash", "-c", f"{export}printenv {variable}"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", _connection(budget_conn_id="kore_budget"))
    monkeypatch.setenv(variable, shell.stdout.rstrip("\n"))
    assert KoreHook().account.base_url == "https://platform.kore.ai"


@pytest.mark.parametrize("added", re.findall(r"--conn-json '(\{.*?\})'", "".join(TEXTS.values()), re.S))
def test_each_connection_that_is_added_can_be_used_and_has_guards(added, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", added)
    account = KoreHook().account
    assert account.base_url == "https://platform.kore.ai"
    assert account.allowed_bot_ids
    assert account.max_users < 10


JSON = [block for block in BLOCKS if block.language == "json"]


@pytest.mark.parametrize("block", JSON, ids=lambda block: block.page)
def test_each_json_block_is_an_extra_of_the_connection(block, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", _connection(**json.loads(block.text)))
    assert KoreHook().account.api_profile != DEFAULT_PROFILE


@pytest.mark.parametrize("shown", re.findall(r'`(\{"conn_type".*?\})`', "".join(TEXTS.values())))
def test_each_connection_to_an_object_store_is_json(shown):
    assert json.loads(shown)["conn_type"] in ("aws", "google_cloud_platform", "wasb")


def _connection(**extra):
    fields = {"conn_type": "kore", "host": "https://platform.kore.ai", "login": "cs-1", "password": "x" * 40}
    return json.dumps({**fields, "extra": extra})


@pytest.mark.parametrize("page", TEXTS)
def test_each_command_exists(page):
    targets = set(re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.M))
    words = re.findall(r"(?:^    |\$ |`)make ((?:[A-Z_]+=\S+ )*)([a-z][\w.-]*)", TEXTS[page], re.M)
    assert {target for _, target in words} <= targets
    for module in re.findall(r"python -m (airflow_provider_kore[\w.]*)", TEXTS[page]):
        import_module(f"{module}.__main__")


@pytest.mark.parametrize("picture", sorted((ROOT / "pictures").iterdir()), ids=lambda picture: picture.name)
def test_each_picture_is_small_and_is_shown_with_its_words(picture):
    shown = rf"```\{{image\}} \S*/pictures/{re.escape(picture.name)}\n:alt: \w.*\.\n```"
    assert any(re.search(shown, text) for text in TEXTS.values())
    assert picture.stat().st_size < 150_000
