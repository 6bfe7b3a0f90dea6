"""Trains the lite encoder: contrast of media and captions, with attributes as a help.

Symmetric InfoNCE (Radford et al., 2021) between all items of a batch and their captions, each with
a second caption in which one attribute is off. Two helps make a small transformer learn this in
minutes rather than days, and are dropped at export: linear heads that read a scene's attributes
off the embedding, and others that read what lies under each patch off an early block.

Knows: the run of all trunks, the order of both runs, the export. Leaves to others: batches
(`encoder_data`), losses (`encoder_losses`), the later vision blocks, which then learn alone
(`encoder_gather`), the steps (`training.part`), scores (`encoder_scores`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt_lite.encoders import Encoder, ImageBind, ImageBindConfig, PreprocessConfig
from nextgpt_lite.world.pretraining.encoder_data import ATTRIBUTES, PATCH_LABELS, Batch, EncoderData
from nextgpt_lite.world.pretraining.encoder_gather import (
    EARLY_BLOCKS,
    early_states,
    train_later_blocks,
)
from nextgpt_lite.world.pretraining.encoder_losses import attribute_loss, contrast, split_loss
from nextgpt_lite.world.pretraining.encoder_scores import scores
from nextgpt_lite.world.pretraining.parts import HOW, How, write_card
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer

CONTEXT = 28
TRUNK_STEPS = 1400
ATTRIBUTE_WEIGHT = 0.5  # a head; about ten apply to an item
SCORED = """
Retrieval: the right caption among the nearest, and the reverse. Probes: linear regressions on
frozen vectors of new scenes, scored on others. "held out": pairs that training never showed.

| score | |
|---|---|
"""


class EncoderTraining(nn.Module):
    """The encoder and the heads it has only while it is trained."""

    def __init__(self, model: ImageBind) -> None:
        super().__init__()
        self.model = model
        self.attributes = nn.Linear(model.config.out, sum(ATTRIBUTES.values()))
        self.patches = nn.Linear(model.config.trunks["vision"].width, sum(PATCH_LABELS.values()))

    def vision(self, pixels: Tensor, items: int) -> tuple[Tensor, Tensor]:
        """Runs clips (B, 3, T, H, W): vectors (items, E) of the first, patch states of all."""
        trunk: Any = self.model.modality_trunks["vision"]
        early = early_states(self.model, pixels)  # (B, 1 + patches, width)
        x = early[:items]
        for block in trunk.blocks[EARLY_BLOCKS:]:
            x = block(x)
        vectors = self.model.modality_heads["vision"](x)
        return self.model.modality_postprocessors["vision"](vectors), early[:, 1:]


def encoder_loss(
    training: nn.Module, batch: Batch, generator: torch.Generator
) -> dict[str, Tensor]:
    """Contrast of items and captions, attributes of both, and patches."""
    assert isinstance(training, EncoderTraining)
    batch = batch.to(training.attributes.weight.device)
    number, moving = len(batch.pictures), len(batch.clips)
    still, crowds = (
        p[:, :, None].expand(-1, -1, 2, -1, -1) for p in (batch.pictures, batch.crowds)
    )
    vision, states = training.vision(torch.cat([still, batch.clips, crowds]), number + moving)
    items = torch.cat([vision, training.model("audio", batch.sounds)]).float()  # (B, E)
    texts = training.model("text", batch.tokens).float()  # (2B, E), scaled
    states = torch.cat([states[:number], states[number + moving :]])  # those of pictures, crowds
    patches = training.patches(states).transpose(1, 2).float()
    size = len(items)
    return {
        "contrast": contrast(items, texts, batch.scenes),
        "item": ATTRIBUTE_WEIGHT * attribute_loss(training.attributes, items, batch.targets[:size]),
        "text": ATTRIBUTE_WEIGHT * attribute_loss(training.attributes, texts, batch.targets),
        "patch": split_loss(patches, batch.patches.unbind(dim=1), PATCH_LABELS),
    }


def build(seed: int = 0) -> Encoder:
    """The lite encoder with fresh weights."""
    torch.manual_seed(seed)
    tokenizer = caption_tokenizer(CONTEXT)
    config = ImageBindConfig.lite(len(tokenizer), tokenizer.eos_token_id)
    return Encoder(ImageBind(config), PreprocessConfig.lite(), tokenizer)


def train(
    output: str | Path,
    how: How = HOW,
    *,
    steps: int = 2300,
    start: str | Path | None = None,
    trunk_steps: int = TRUNK_STEPS,
) -> Path:
    """Trains the lite encoder in `output` and writes it, scored, to `output/export`, returned.

    Args:
        steps: of the later vision blocks (`encoder_gather`), which come last.
        start: an encoder folder whose later vision blocks alone go on.
        trunk_steps: of all trunks together, before that; none with `start`.
    """
    output = Path(output)
    if start is not None:
        trunks = Encoder.from_pretrained(start)
    else:
        trunks = train_trunks(output / "trunks", trunk_steps, how)
    encoder, trainer = train_later_blocks(trunks, output, steps, how)
    folder = output / "export"
    encoder.save_pretrained(folder)  # in float16
    rows = "\n".join(f"| {name} | {value:.1%} |" for name, value in scores(encoder).items())
    write_card(folder, "encoder", {"later vision blocks": trainer}, SCORED + rows)
    return folder


def train_trunks(output: Path, steps: int, how: How = HOW) -> Encoder:
    """All trunks together, from random weights."""
    encoder = build(how.seed)
    data = EncoderData(encoder.tokenize, encoder.preprocess)
    training = EncoderTraining(encoder.model.requires_grad_(True))
    trained = how.learn(
        training, encoder_loss, data, output,
        steps=steps, learning_rate=1.2e-3, warmup=100, weight_decay=0.05, ema=0.995,
    ).average  # fmt: skip
    assert isinstance(trained, EncoderTraining)
    return Encoder(trained.model.cpu(), encoder.preprocess, encoder.tokenizer)
