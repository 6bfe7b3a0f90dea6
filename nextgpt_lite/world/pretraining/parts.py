"""The lite parts as folders: begun in the shape of the shipped ones, exported, described.

Knows: where configurations lie, half precision, what a card says, what all runs are told. Leaves to
others: how a part is trained (`image`, `audio`, ...), what the system makes of it (`world.suite`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from nextgpt_lite.decoders.loading import in_dtype
from nextgpt_lite.model.config import SETTINGS_FILE, WEIGHTS
from nextgpt_lite.reading import read_json, read_yaml, write_sums
from nextgpt_lite.training.engine import Resume
from nextgpt_lite.training.part import PartRecipe, PartTrainer

CARDS = Path(__file__).with_name("cards.yaml")


class How(NamedTuple):
    """How a run of parts is told to go, whichever part it is.

    Attributes:
        resume: as of `PartTrainer.run`.
    """

    seed: int = 0
    device: str = "cpu"
    resume: Resume = False

    def trainer(
        self,
        module: nn.Module,
        loss: Any,
        data: Any,
        output: str | Path,
        muon: Any = (),
        **numbers: Any,
    ) -> PartTrainer:
        """As yet without a step; `numbers` are those of its recipe."""
        recipe = PartRecipe(seed=self.seed, device=self.device, **numbers)
        return PartTrainer(module, loss, data, output, recipe, muon)

    def learn(self, *parts: Any, **numbers: Any) -> PartTrainer:
        """What `trainer` makes, trained."""
        made = self.trainer(*parts, **numbers)
        made.run(self.resume)
        return made


HOW = How()


def begin(name: str, start: str | Path | None = None, **changes: Any) -> Any:
    """A part to train, in float32.

    Args:
        name: "image/unet": a folder of the shipped parts, which says what the part is.
        start: a folder to take it from with its weights (`start/unet`); else they are random.
        changes: to the configuration of a part with random weights.
    """
    family, _, module = name.partition("/")
    folder = WEIGHTS / "lite" / family / module
    named = "scheduler_config.json" if module == "scheduler" else "config.json"
    config = read_json(folder / named)
    of_diffusers = "_class_name" in config
    library = import_module("diffusers" if of_diffusers else "transformers")
    named = config["_class_name"] if of_diffusers else config["architectures"][0]
    made_by = getattr(library, named)
    if start is not None:
        option = in_dtype(torch.float32) if of_diffusers else {"dtype": torch.float32}
        made = made_by.from_pretrained(str(Path(start) / module), **option)
        if of_diffusers:  # which would write the folder's path into what is exported
            made.register_to_config(_name_or_path=name)
        return made
    if of_diffusers:
        config.pop("_name_or_path", None)
        return made_by.from_config({**config, **changes})
    return made_by(made_by.config_class.from_pretrained(str(folder), **changes))


def save_pipeline(pipeline: Any, folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes a diffusers pipeline in float16, and the settings that `decoders` reads beside it."""
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    (folder / SETTINGS_FILE).write_text(json.dumps(settings) + "\n", encoding="utf-8")


def write_card(
    folder: str | Path, part: str, runs: Mapping[str, PartTrainer], more: str = ""
) -> None:
    """Writes `card.md`, what the part is and learned from, and the sums of the finished folder."""
    told = read_yaml(CARDS)[part]
    rows = [
        f"| {name} | {sum(p.numel() for p in run.average.parameters()):,} | {run.step:,} | "
        f"{run.seconds:,.0f} |"
        for name, run in runs.items()
    ]
    lines = [
        f"# {told['title']}", "", told["what"],
        f"Trained by `nextgpt-lite pretrain --part {part}`, then frozen; licence Apache-2.0.", "",
        *(f"- {fact}" for fact in told["facts"]), "",
        "| run | parameters | steps | seconds |", "|---|---|---|---|", *rows, "",
        "How well it does within the system: `nextgpt-lite evaluate --suite lite`.", more,
    ]  # fmt: skip
    Path(folder, "card.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    write_sums(Path(folder))
