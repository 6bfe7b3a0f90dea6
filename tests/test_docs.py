"""Documentation: every name in the paper map, and every link, leads somewhere."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from nextgpt_lite.checkpoints.parameters import count
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.modality import BUILT_IN, MODALITIES, unregister
from nextgpt_lite.world.pretraining.tokenizers import llm_tokenizer
from tests.tiny import SENTENCES

ROOT = Path(__file__).resolve().parents[1]
MAP = run_path(str(ROOT / "docs" / "paper_map.py"))
SCALE = run_path(str(ROOT / "docs" / "scale.py"))
CATALOGUE = ROOT / "nextgpt_lite" / "checkpoints" / "catalogue"
GROUPS: list[dict[str, Any]] = MAP["entries"]()
ENTRIES = [entry for group in GROUPS for entry in group["entries"]]
NEW = re.compile(r"`(nextgpt_lite[\w.]+)`")
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / folder / "README.md" for folder in ("results", "notebooks/src", "tests/reference")),
]


def unresolved(entry: dict[str, Any]) -> list[str]:
    """What an entry names that is not there, a sentence each."""
    missing = []
    for name in entry.get("code", []):
        module, _, attributes = name.partition(":")
        try:
            found: Any = importlib.import_module(f"nextgpt_lite.{module}")
            for attribute in filter(None, attributes.split(".")):
                found = getattr(found, attribute)
        except (ImportError, AttributeError) as error:
            missing.append(f"code {name}: {error}")
    for name in entry.get("tests", []):
        if len(MAP["test_files"](name)) != 1:
            missing.append(f"test {name} is in {MAP['test_files'](name) or 'no file'}")
    for place in entry.get("notebook", []):
        name, title = place.split("#", 1)
        source = ROOT / "notebooks" / "src" / f"{name}.py"
        if not source.is_file():
            missing.append(f"notebook {name} is not there")
        elif not re.search(rf"^# #+ {re.escape(title)}$", source.read_text(), re.MULTILINE):
            missing.append(f"notebook {name} has no section {title!r}")
    return missing


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["paper"])
def test_the_paper_map_names_what_is_there(entry):
    assert not unresolved(entry), f"docs/paper_map.yaml, {entry['paper']}"
    assert entry.keys() & {"code", "note"}, "say so where there is no counterpart"


def test_the_paper_map_is_whole():
    names = " ".join(entry["paper"] for entry in ENTRIES)
    numbers = {
        word: {
            int(number)
            for group in re.findall(rf"{word}s? ([\d, ]+)", names)
            for number in re.findall(r"\d+", group)
        }
        for word in ("Table", "Figure")
    }
    assert numbers["Table"] == set(range(1, 16))
    assert numbers["Figure"] == set(range(1, 14))
    assert set(re.findall(r"Appendix ([A-Z])", names)) == set("ABCDEFGHIJ")
    assert {f"Section {n}" for n in range(1, 8)} <= {entry["paper"][:9] for entry in ENTRIES}


def test_the_page_is_made_from_the_map():
    page = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    assert page == MAP["page"](GROUPS), "run `python docs/paper_map.py`"


@pytest.mark.parametrize(
    "entry",
    [
        {"code": ["model.nextgpt:NextGTP"]},
        {"code": ["model.nowhere"]},
        {"tests": ["test_of_nothing"]},
        {"tests": ["test_nothing.py"]},
        {"notebook": ["00_tour#No such section"]},
        {"notebook": ["99_none#Training"]},
    ],
)
def test_what_does_not_resolve_is_named(entry):
    (sentence,) = unresolved(entry)
    name = next(iter(entry.values()))[0]
    assert re.split(r"[:#]", name)[-1].strip(":") in sentence or name.split("#")[0] in sentence


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" not in link:
            assert (page.parent / path).exists(), f"{page.name} links to {link}"
        if anchor and not path:
            titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
            assert anchor in slugs, f"{page.name} has no section {anchor}"


def test_the_readme_lists_every_notebook_and_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "docs").glob("*.md")]:
        place = path.relative_to(ROOT).as_posix()
        assert f"]({place})" in readme, f"README.md has no link to {place}"


def test_tests_named_in_notebooks_and_pages_are_there():
    files = {path.name for path in (ROOT / "tests").rglob("*.py")}
    for page in [*PAGES, *(ROOT / "notebooks" / "src").glob("*.py")]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\btest_\w+\.py\b", text):
            assert name in files, f"{page.name} names {name}"
        for path in re.findall(r"\btests/[\w/]+\.py\b", text):
            assert (ROOT / path).exists(), f"{page.name} names {path}"


def my_llm(folder: Path) -> None:
    """A tiny random GPT-2 with a tokenizer, as a reader might bring it."""
    tokenizer = llm_tokenizer(SENTENCES)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=1024)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("name", ["add_an_llm", "add_a_data_source", "add_a_modality"])
def test_the_examples_of_a_page_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    my_llm(tmp_path / "my-llm")
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(compile(code, f"{name}.md", "exec"), {})
    for added in set(MODALITIES) - set(BUILT_IN):
        unregister(added)
    assert any((tmp_path / "runs").iterdir())


def suffixes() -> set[str]:
    """Every module, class, function, method and constant of the package, by each of its endings.

    A name that a package's stub or `__init__` offers counts there too.
    """
    found = set()
    for path in [*(ROOT / "nextgpt_lite").rglob("*.py"), *(ROOT / "nextgpt_lite").rglob("*.pyi")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        names = [module]
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            named = [getattr(node, "name", None), *(getattr(each, "id", None) for each in targets)]
            if path.stem == "__init__" and isinstance(node, ast.ImportFrom):
                named += [each.asname or each.name for each in node.names]
            inner = [getattr(each, "name", None) for each in getattr(node, "body", [])]
            for name in filter(None, named):
                names += [f"{module}.{name}", *(f"{module}.{name}.{i}" for i in inner if i)]
        for name in names:
            parts = name.split(".")
            found |= {".".join(parts[start:]) for start in range(len(parts))}
    return found


def test_code_named_in_the_tables_of_notebooks_is_there():
    known = suffixes()
    stale = []
    for source in sorted((ROOT / "notebooks" / "src").glob("*.py")):
        for line in re.findall(r"^# \| .*`test_\w+\.py`.*$", source.read_text(), re.MULTILINE):
            codes = re.findall(r"`([\w.]+)(?:[\[(][^`]*)?`", line.split(" | ")[2])
            stale += [f"{source.stem}: {code}" for code in codes if code not in known]
    assert not stale


def test_new_imports_of_the_changelog_are_there():
    table = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").rpartition("| old | new |")[2]
    modules = [
        name for line in table.splitlines() for name in NEW.findall(line.rpartition(" | ")[2])
    ]
    assert len(modules) > 30
    for name in modules:
        importlib.import_module(name)


def test_the_page_on_scale_is_made_from_its_figures():
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert page == SCALE["page"](SCALE["given"]()), "run `python docs/scale.py`"
    assert {each["kind"] for each in SCALE["given"]()["figures"].values()} == {
        "measured", "counted", "printed", "assumed"
    }  # fmt: skip


def test_what_the_page_on_scale_counts_is_what_the_catalogue_has():
    given = SCALE["values"](SCALE["given"]())
    config = json.loads((CATALOGUE / "lmsys--vicuna-7b-v1.5" / "config.json").read_text())
    width, inner = config["hidden_size"], config["intermediate_size"]
    layer = 4 * width**2 + 3 * width * inner
    assert given["llm_weights"] == pytest.approx(config["num_hidden_layers"] * layer, rel=1e-3)
    paper = NextGPTConfig.from_profile("paper")
    for modality, (length, wide) in paper.conditions.items():
        assert given[f"{modality}_condition"] == length * wide * 2
    learning = {row.part: row.parameters for row in count(paper) if row.stages}
    outputs = sum(n for part, n in learning.items() if part.startswith("output_projections"))
    assert given["projection_weights"] == pytest.approx(outputs, rel=1e-2)
    assert given["lora_weights"] == pytest.approx(learning["lora"], rel=1e-2)
    assert given["input_weights"] == pytest.approx(learning["input_projection"], rel=1e-2)


def test_twice_the_cards_take_half_the_time():
    given = SCALE["values"](SCALE["given"]())
    for stage in SCALE["stages"](given):
        one, two = (SCALE["hours"](stage, cards, given) for cards in (1, 2))
        assert one == pytest.approx(2 * two)
