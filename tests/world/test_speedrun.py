"""An entry against the clock: what it may do, and the line that it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nextgpt_lite.errors import ConfigError, RunError
from nextgpt_lite.world import speedrun
from tests.tiny import tiny_model


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    model = tiny_model()
    monkeypatch.setattr(speedrun.NextGPT, "from_pretrained", lambda _: model)

    def answered(systems: Any, asked: Any, *_: Any, **__: Any) -> list[dict[str, Any]]:
        assert len(asked) == 4 and all(one.level == "simple" for one in asked)
        (_, system), *_ = systems
        learnt = all(not p.any() for p in system.model.output_projections["image"].parameters())
        return [{"rationality": 100 * learnt}] * 3 + [{"rationality": 50}]

    monkeypatch.setattr(speedrun, "run", answered)
    return tmp_path / "mine.py"


def test_an_entry_is_given_a_new_projection_and_gets_a_line(entry: Path, tmp_path: Path) -> None:
    entry.write_text(
        "def train(model, left):\n"
        "    assert 0 < left() <= 60\n"
        "    for p in model.output_projections['image'].parameters():\n"
        "        assert p.any() or p.ndim == 1\n"
        "        p.data.zero_()\n"
    )
    found = speedrun.speedrun(entry, tmp_path / "out", minutes=1, prompts=4)
    assert (found.score.right, found.score.total) == (3, 4) and 0 <= found.seconds < 60
    assert str(found).startswith("| mine | 0.0") and "| 75 [" in str(found)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("teach = None", ConfigError, "no function train"),
        ("def train(model, left):\n    while left() > -0.01: pass", RunError, "took 0 s of 0"),
        (
            "def train(model, left):\n    next(model.encoder.parameters()).data += 1",
            RunError, "which is frozen",
        ),
        (
            "def train(model, left):\n    next(model.decoders['image'].parameters()).data += 1",
            RunError, "which is frozen",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(
    entry: Path, tmp_path: Path, code: str, error: type[Exception], said: str
) -> None:
    entry.write_text(code)
    minutes = 1 if "frozen" in said else 1e-4
    with pytest.raises(error, match=said):
        speedrun.speedrun(entry, tmp_path / "out", minutes=minutes, prompts=4)
