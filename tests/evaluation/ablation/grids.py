"""Small grids on tiny random models, for the tests of an ablation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.ablation import cells
from nextgpt_lite.evaluation.ablation.grid import read_grid
from nextgpt_lite.model.config import NextGPTConfig
from tests.tiny import tiny_config, tiny_model

GRID = """
title: a small grid
seeds: [0]
fixed:
  schedule:
    1: {steps: 2, batch_size: 2, warmup: 1, seed: 0}
    2: {steps: 3, batch_size: 2, warmup: 1, checkpoint_every: 1}
  stages: [1, 2]
product:
  messenger: [signal, caption]
score: {groups: [image], prompts: 1, num_inference_steps: 1}
"""

AXES = """
seeds: [0]
fixed:
  schedule: &two
    1: {steps: 2, batch_size: 2, warmup: 1}
    2: {steps: 2, batch_size: 2, warmup: 1}
    3: {steps: 2, batch_size: 2, warmup: 1}
  stages: [2, 3]
cells:
  - {name: as the paper, beside: [own words, gold caption]}
  - {name: captions, messenger: caption}
  - {name: 1 token, signal_tokens: 1}
  - {name: 16 tokens, signal_tokens: 16}
  - {name: linear, projection: linear}
  - {name: mlp, projection: mlp}
  - {name: qformer, projection: qformer}
  - {name: cosine, distance: cosine}
  - {name: norm-matched, distance: norm-matched}
  - {name: denoising, denoising: 1.0}
  - {name: denoising alone, distance_weight: 0.0, denoising: 1.0}
  - {name: dropout, condition_dropout: 0.5}
  - {name: caption states, messenger: caption-states}
  - {name: resampler, projection: resampler}
  - {name: LLM frozen, learns: {3: [token_rows, output_projections]}}
  - {name: a layer earlier, hidden_layer: 1}
  - {name: rank 4, lora_rank: 4}
  - {name: another order, stages: [3, 2]}
  - {name: without stage 2, stages: [3]}
  - {name: without stage 3, stages: [2]}
  - {name: requests alone, mixture: {3: {t2m: 1.0}}}
  - {name: pictures alone, modalities: {2: [image], 3: [image]}}
score: {groups: [image], prompts: 1, num_inference_steps: 1}
"""


def from_config(
    config: NextGPTConfig, seed: int = 0, new: bool = True, device: str = "auto"
) -> NextGPT:
    """A tiny model with the settings that the grid varies; its frozen parts are always the same."""
    kind = {"hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0,
            "kind": config.output_projection.kind}  # fmt: skip
    if kind["kind"] == "encoder":
        config.signal_tokens = {m: length for m, (length, _) in tiny_config().conditions.items()}
    model = tiny_model(
        0,
        messenger=config.messenger,
        signal_tokens=config.signal_tokens,
        output_projection=kind,
        lora=asdict(config.lora),
        distance=config.distance,
        denoising=config.denoising,
        distance_weight=config.distance_weight,
        condition_dropout=config.condition_dropout,
        hidden_layer=config.hidden_layer,
    )
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.startswith(("input_projection", "output_projections")):
            torch.nn.init.normal_(parameter, std=0.02)
    return model


def grid_file(folder: Path, text: str = GRID) -> Path:
    path = folder / "grid.yaml"
    path.write_text(text)
    return path


def results(output: Path) -> list[dict[str, Any]]:
    """What the cells found, without what a clock says."""
    found = []
    for path in sorted((output / "cells").glob("*.json")):
        result = json.loads(path.read_text())
        losses = [(run["key"], run["loss"]) for run in result["stages"]]
        found.append({"key": result["key"], "losses": losses, "answers": result["answers"]})
    return found


def plans_of(path: Path, output: Path) -> list[cells.Plan]:
    return [cells.plan_of(cell, output) for cell in read_grid(path).cells]
