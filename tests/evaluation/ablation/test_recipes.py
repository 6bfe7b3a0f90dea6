"""Each recipe that ships trains what its lines say: these parts, by these losses, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextgpt_lite.evaluation.ablation.grid import Cell, read_grid
from nextgpt_lite.model import nextgpt
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES, open_for, part_of
from tests.evaluation.ablation.grids import from_config
from tests.model.test_nextgpt import with_media
from tests.tiny import Made, TinyDecoder
from tests.training.runs import QUICK

CELLS = {cell.name: cell for cell in read_grid("configs/ablation/recipes.yaml").cells}
ALIGNED = {"token_rows", "output_projections"}
EVERYTHING = {"input_projection", "token_rows", "lora", "output_projections"}
LEARNS = {  # in stages 2 and 3
    "gill": (ALIGNED, ALIGNED),
    "nextgpt": (ALIGNED, EVERYTHING),
    "dreamllm": ({*ALIGNED, "lora"}, EVERYTHING),
    "metaqueries": (ALIGNED, ALIGNED),
}
BY_CAPTIONS = {"gill", "nextgpt"}  # by distance alone; the others by the denoiser alone


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("name", LEARNS)
def test_gradients_reach_what_a_recipe_says(
    name: str, stage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell: Cell = CELLS[name]
    model = from_config(cell.settings.config(cell.profile))
    for each, parameter in model.named_parameters():
        if "lora_B" in each:  # zeros there would let no gradient through to lora_A
            torch.nn.init.normal_(parameter, std=0.1)
    plan = cell.settings.stage(stage)
    schedule = Schedule.of(STAGES[stage], **QUICK)
    run = Trainer(model, plan, Made(with_media), Path("unused"), schedule)
    asked: set[str] = set()
    distance, errors = nextgpt.condition_distance, TinyDecoder.denoising_errors
    monkeypatch.setattr(
        nextgpt, "condition_distance", lambda *a, **k: (asked.add("captions"), distance(*a, **k))[1]
    )
    monkeypatch.setattr(
        TinyDecoder,
        "denoising_errors",
        lambda *a, **k: (asked.add("denoiser"), errors(*a, **k))[1],
    )
    losses = model.train().loss(run.batch(0)[0])
    losses.total.backward()
    reached = {
        part_of(each)
        for each, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    assert reached == LEARNS[name][stage - 2] == {*plan.learns}
    assert asked == {"captions" if name in BY_CAPTIONS else "denoiser"}
    assert open_for(model, plan)  # the ledger's parts are those of the model


def test_recipes_have_their_own_geometry() -> None:
    made = {name: cell.settings.config("lite") for name, cell in CELLS.items()}
    found = {
        name: (config.signal_tokens["image"], config.output_projection.kind)
        for name, config in made.items()
    }
    assert found == {
        "gill": (8, "transformer"),
        "nextgpt": (5, "transformer"),
        "dreamllm": (64, "linear"),
        "metaqueries": (24, "encoder"),
    }
    assert made["gill"].output_projection.layers == 4
    assert made["dreamllm"].denoising == 10
