"""The one list of metrics, tables, systems and judges, and the page that tells how to add to it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.evaluation import registry
from nextgpt_lite.evaluation.comparison.rows import aspects_of, read_rows

PAGE = Path(__file__).parents[2] / "docs" / "add_a_metric.md"


@pytest.fixture(autouse=True)
def forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for kind in registry.OWN:
        registry.has(kind, "")  # the package's own are there already
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def test_the_packages_own_are_found_and_an_unknown_name_is_a_sentence() -> None:
    for kind, name in (("metric", "FID"), ("table", "13"), ("system", "tool pipeline")):
        assert callable(registry.find(kind, name))
    assert callable(registry.find("judge", "lite")), "a plugin's function"
    with pytest.raises(
        ConfigError, match="There is no judge 'jury': use one of lite, likeness, or register"
    ):
        registry.find("judge", "jury")


def test_a_plugin_has_functions_and_may_register_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> SimpleNamespace:
        registry.register("metric", "mine")(len)
        return SimpleNamespace(judge=str)

    monkeypatch.setattr(registry, "plugins", lambda: ["jury"])
    monkeypatch.setattr(registry, "plugin", load)
    assert registry.find("metric", "mine") is len
    assert registry.find("judge", "jury") is str
    assert not registry.has("items", "jury")
    registry.register("judge", "jury")(int)
    assert registry.find("judge", "jury") is int, "the latest counts"


def test_the_page_adds_a_metric_a_judge_and_a_table(
    lite: NextGPT,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(NextGPT, "from_pretrained", lambda *_, **__: lite)
    known: dict[str, object] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(compile(code, PAGE.name, "exec"), known)
    printed = capsys.readouterr().out
    assert "| ours | B@4 ↑ | METEOR ↑ | CIDEr ↑ | words |" in printed
    words = float(re.findall(r"\| NExT-GPT \|.* ([\d.]+) \|", printed)[0])
    assert 5 < words < 12, "as captions of the lite world are long"
    assert "Table lengths." in printed and "| ours | words | CIDEr |" in printed
    rows = read_rows(tmp_path / "out" / "rows.csv")
    assert aspects_of(rows) == ["medium", "nearness"]
    assert {(row["system"], row["id"], row["size"]) for row in rows} == {
        (system, f"mine/{number}", size)
        for system in ("end-to-end", "gold caption")
        for number, size in enumerate(("large", "small"))
    }
    assert {row["medium"] for row in rows} == {"100.0"}
    assert "image: medium" not in printed and "all: medium" in printed
