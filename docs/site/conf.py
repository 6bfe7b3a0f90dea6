"""The site: README, docs, results and executed notebooks as pages, the API from its docstrings.

`make site` builds it into out/site, from files of this repository alone; nothing that a page shows
comes from elsewhere. Pages are where their files are, so that links lead the same way as on GitHub.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = """

```{toctree}
:hidden:
:caption: Notebooks
:glob:
notebooks/*
```

```{toctree}
:hidden:
:caption: Guides
docs/course
docs/glossary
docs/errata
docs/paper_map
docs/scale
docs/add_a_notebook
docs/add_a_modality
docs/add_a_decoder
docs/add_an_llm
docs/add_a_metric
docs/add_a_data_source
docs/build_a_data_set
```

```{toctree}
:hidden:
:caption: Reference
docs/site/api
results/README
results/lite_suite/scores
results/speedrun
CHANGELOG
CONTRIBUTING
```
"""

project = "nextgpt_lite"
author = copyright = "The nextgpt_lite maintainers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = [
    "*.md", "docs/*.md", "docs/site/*.md", "notebooks/*.ipynb", "results/README.md",
    "results/lite_suite/scores.md", "results/speedrun.md",
]  # fmt: skip
exclude_patterns = [".*", "out", "runs", "build", "tests", "nextgpt_lite"]
# The notebooks' own kind of output is for tests.
suppress_warnings = ["mystnb.unknown_mime_type"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # outputs in Markdown have tables

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
autodoc_default_options = {"members": True}

html_theme = "furo"
html_title = "NExT-GPT lite"
html_math_renderer = "mathml"
html_additional_pages = {"index": "index.html"}
templates_path = ["."]
html_show_sourcelink = False
html_copy_source = False
html_baseurl = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "nextgpt_lite"
]["repository"]


def mathml(display: str) -> Any:
    """A visitor that leaves formulas to the browser, which needs no script for MathML."""

    def visit(self: Any, node: Any) -> None:
        self.body.append(convert(node.astext(), display=display))
        raise SkipNode

    return visit


def with_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Adds what pages on GitHub have from elsewhere: the table of contents, a title."""
    if page == root_doc:
        source[0] += CONTENTS
    elif page.endswith("/scores"):
        source[0] = "# Scores of the lite suite\n\n" + source[0]


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (mathml("inline"), None), (mathml("block"), None))
    app.connect("source-read", with_contents)
