"""Grid files: a mistake is one sentence, the shipped ones can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt_lite.cli import main
from nextgpt_lite.evaluation.ablation.grid import read_grid
from tests.evaluation.ablation.grids import GRID, grid_file


@pytest.mark.parametrize(
    ("line", "wrong", "said"),
    [
        ("seeds: [0]", "seeds: 0", "field 'seeds' is 0: it should be a valid list"),
        ("seeds: [0]", "seeds: [-1]", "field 'seeds.0' is -1: it should be greater"),
        ("seeds: [0]", "sceds: [0]", "unknown field 'sceds'"),
        ("signal, caption", "pigeon", "field 'messenger' is 'pigeon'"),
        ("messenger: [signal, caption]", "messanger: [signal]", "unknown field 'messanger'"),
        ("messenger: [signal, caption]", "hidden_layer: [99]", "'hidden_layer' is 99"),
        ("messenger: [signal, caption]", "signal_tokens: [0]", "'signal_tokens' is 0"),
        ("messenger: [signal, caption]", "projection: [rnn]", "'output_projection.kind' is 'rnn'"),
        ("stages: [1, 2]", "stages: [1, 4]", "field 'stages.1' is 4: it should be less"),
        ("{steps: 2,", "{stepz: 2,", "stepz"),
        (
            "{steps: 2,",
            "{steps: two,",
            "field 'schedule.1.steps' is 'two': it should be",
        ),
        ("{steps: 2,", "{steps: 2, learning_rate: 1e-3,", "YAML reads 1e-3 as a text"),
        (
            "stages: [1, 2]",
            "mixture: {2: {gossip: 1}}",
            "'mixture.2.gossip' is 'gossip'",
        ),
        (
            "stages: [1, 2]",
            "mixture: {2: {caption: 0}}",
            "'mixture.2.caption' is 0: it should",
        ),
        ("groups: [image]", "groups: [smell]", "'score': Group 'smell' is unknown"),
        ("stages: [1, 2]", "modalities: {2: [smell]}", "'modalities.2' has 'smell'"),
        ("prompts: 1", "prompts: none", "'score.prompts' is 'none'"),
        ("stages: [1, 2]", "learns: {2: [llm]}", "'learns.2.0' is 'llm'"),
        ("messenger: [signal, caption]", "projection: [encoder]", "'signal_tokens' has 5"),
        ("product:", "cells: [{beside: [echo]}]\nproduct:", "field 'beside' is ['echo']"),
        (
            "messenger: [signal, caption]",
            "distance_weight: [0.0]",
            "'distance_weight' and 'denoising' are both 0",
        ),
        ("product:", "product: [", "is no YAML"),
    ],
)
def test_a_mistake_in_the_grid_is_one_sentence(
    line: str, wrong: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = grid_file(tmp_path, GRID.replace(line, wrong))
    assert main(["ablate", str(path), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "stages").exists()


@pytest.mark.parametrize("path", sorted(Path("configs/ablation").glob("*.yaml")), ids=str)
def test_the_shipped_grids_can_be_read(path: Path) -> None:
    assert len(read_grid(path).cells) > 1
