"""Settings of Sphinx, which builds this documentation; `make docs` runs it."""

from __future__ import annotations

import os
from importlib.metadata import version as version_of

project = "airflow-provider-kore"
author = "The airflow-provider-kore maintainers"
copyright = author  # noqa: A001 # Sphinx's own name
release = version = version_of("airflow-provider-kore")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # the docstrings name shape, unit and default in words
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

# Other projects' pages are linked only where the network reaches them: a build without one must not fail.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "airflow": ("https://airflow.apache.org/docs/apache-airflow/stable", None),
    }
    if os.environ.get("DOCS_INTERSPHINX") or os.environ.get("READTHEDOCS")
    else {}
)
