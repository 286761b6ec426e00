"""The code blocks of the documentation, and why some of them are not run."""

import re
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "airflow_provider_kore/sandbox/README.md",
        ROOT / "benchmarks/README.md",
    ]
}

NOT_RUN = {
    r"pip install |python -m venv ": "needs a package index; .ci/run installs the wheel into an empty environment",
    r"python -m airflow_provider_kore\.sandbox --port 8765$": "stays until Ctrl-C; the demo starts the same module",
    r"make ": "takes minutes; .ci/run calls these targets, and a test compares them with the Makefile",
    r"\S*python -m benchmarks\b": "takes minutes; .ci/run calls the quick ones",
    r"airflow kore budget ": "needs Redis; tests/distributed/test_shared_budget.py calls it",
    r"airflow connections add ": "leads to Kore.ai; tests/unit/test_documentation.py reads the connection that it adds",
    r"airflow kore check --bot-id st-1$": "docs/howto/check.md has the same command, which is run",
    r".*--erase-test-user ": "asks at a terminal; tests/integration/provider/test_check_elsewhere.py answers there",
}
"""Commands that no test runs as they stand: the beginning of the line, and the reason."""


class Block(NamedTuple):
    """A code block with the language that its fence names, or "" for an indented one."""

    page: str
    language: str
    text: str


def blocks_of(page):
    """Find the code blocks of a page, but for those that are included from a file, which are run from there."""
    fences = re.compile(r"^( *)```(\S*)(?: [^\n]*)?\n(.*?)^\1```$", re.M | re.S)
    found = [Block(page, language, dedent(code)) for _, language, code in fences.findall(TEXTS[page])]
    indented = re.findall(r"(?:(?<=\n\n)|\A)((?: {4}.*\n)+)", fences.sub("", TEXTS[page]))
    return [
        *(block for block in found if not block.language.startswith("{")),
        *(Block(page, "", dedent(code)) for code in indented),
    ]


BLOCKS = [block for page in TEXTS for block in blocks_of(page)]


def commands_of(block):
    """List the commands of a block: each as it is typed, without the prompt and without what it prints."""
    if block.language == "sh":
        return [block.text]
    if block.language == "console":
        return re.findall(r"^\$ ((?:.*[\\|]\n)*.*\n)", block.text, re.M)
    if not block.language:
        return re.findall(r"^(?:\S*python|pip|make|airflow|curl|export) .*\n", block.text, re.M)
    return []


def commands_to_run(page):
    """List the commands of a page that are run as they stand."""
    return [command for block in blocks_of(page) for command in commands_of(block) if not reason_not_to_run(command)]


def reason_not_to_run(command):
    """Find why no test runs a command, if so."""
    return next((reason for start, reason in NOT_RUN.items() if re.match(start, command, re.S)), None)
