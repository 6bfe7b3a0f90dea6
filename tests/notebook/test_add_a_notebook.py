"""docs/add_a_notebook.md, followed by a stranger: its notebook is built and keeps every rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nextgpt_lite.notebook import build
from tests.notebook import test_notebooks as rules

PAGE = build.ROOT / "docs" / "add_a_notebook.md"
NAME = "20_loudness"


@pytest.mark.notebook
@pytest.mark.timeout(300)
def test_the_page_tells_how_to_add_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, contract = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.M)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / f"{NAME}.py").write_text(source)
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(rules, "CONTRACTS", {})
    exec(contract, {"CONTRACTS": rules.CONTRACTS})
    build.build(tmp_path / "src" / f"{NAME}.py", tmp_path / f"{NAME}.ipynb")
    rules.test_is_in_step_with_its_source(NAME)
    rules.test_begins_with_title_aims_and_cost(NAME)
    rules.test_has_one_parameters_cell_of_plain_values(NAME)
    rules.test_imports_only_what_is_declared(NAME)
    rules.test_outputs_are_whole_light_and_without_errors(NAME)
    rules.test_names_no_folder_of_the_machine_it_was_made_on(NAME)
    rules.test_the_committed_outputs_keep_the_promises(NAME)
    rules.test_shows_what_it_promises(NAME)
