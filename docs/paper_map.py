"""Writes docs/paper_map.md from docs/paper_map.yaml: python docs/paper_map.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
HEAD = """# From the paper to the code

Every section, formula, table, figure and appendix of *NExT-GPT: Any-to-Any Multimodal LLM* (Wu et
al., ICML 2024), and where it is here. Code is below `nextgpt_lite`, tests below `tests`. Made from
`paper_map.yaml` by `python docs/paper_map.py`; a test checks that all of it exists.
"""


def entries() -> list[dict[str, Any]]:
    """The groups of the data file."""
    return yaml.safe_load((DOCS / "paper_map.yaml").read_text(encoding="utf-8"))


def test_files(name: str) -> list[str]:
    """The files below tests that are called so, or that have a test function of that name."""
    paths = sorted((DOCS.parent / "tests").rglob("test_*.py"))
    found = [path for path in paths if path.name == name] or [
        path for path in paths if f"\ndef {name}(" in path.read_text(encoding="utf-8")
    ]
    return [path.relative_to(DOCS.parent / "tests").as_posix() for path in found]


def page(groups: list[dict[str, Any]]) -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for group in groups:
        parts.append(f"\n## {group['group']}\n")
        if "note" in group:
            parts.append(f"\n{group['note']}\n")
        parts.append("\n| paper | what | code | tests | notebook |\n|---|---|---|---|---|\n")
        parts += [row(entry) for entry in group["entries"]]
    return "".join(parts)


def row(entry: dict[str, Any]) -> str:
    """One line of a table; what differs stands behind what it is."""
    what = entry["what"] + (f" (*{entry['note']}*)" if "note" in entry else "")
    code = [f"`{name.replace(':', '.')}`" for name in entry.get("code", [])]
    tests = [
        f"[{name}](../tests/{file})" for name in entry.get("tests", []) for file in test_files(name)
    ]
    sections = [place.split("#", 1) for place in entry.get("notebook", [])]
    notebooks = [f"[{name[:2]}: {title}](../notebooks/{name}.ipynb)" for name, title in sections]
    cells = [entry["paper"], what, *(", ".join(each) or "-" for each in (code, tests, notebooks))]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    (DOCS / "paper_map.md").write_text(page(entries()), encoding="utf-8")
