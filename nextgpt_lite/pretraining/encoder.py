"""Trains the lite encoder: contrast of media and captions, with attributes as a help.

Symmetric InfoNCE (Radford et al., 2021) between all items of a batch and their captions, each with
a second caption in which one attribute is off. Two helps make a small transformer learn this in
minutes rather than days, and are dropped at export: linear heads that read a scene's attributes
off the embedding, and others that read what lies under each patch off an early block.

Knows: losses, the run, the export. Leaves to others: batches (`encoder_data`), the loop
(`trainer`), scores (`encoder_scores`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.encoders import Encoder, ImageBind, ImageBindConfig, PreprocessConfig
from nextgpt_lite.pretraining.encoder_data import (
    ATTRIBUTES,
    IGNORE,
    PATCH_LABELS,
    Batch,
    EncoderData,
)
from nextgpt_lite.pretraining.encoder_scores import scores
from nextgpt_lite.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.pretraining.trainer import Pretrainer, Recipe

CONTEXT = 28
PATCH_BLOCKS = 3  # after so many, states are asked what lies under each patch; the rest gather
ATTRIBUTE_WEIGHT = 0.5  # a head; about ten apply to an item


class EncoderTraining(nn.Module):
    """The encoder and the heads it has only while it is trained."""

    def __init__(self, model: ImageBind) -> None:
        super().__init__()
        self.model = model
        self.attributes = nn.Linear(model.config.out, sum(ATTRIBUTES.values()))
        assert model.config.vision is not None
        self.patches = nn.Linear(model.config.vision.width, sum(PATCH_LABELS.values()))

    def vision(self, pixels: Tensor, items: int) -> tuple[Tensor, Tensor]:
        """Runs clips (B, 3, T, H, W): vectors (items, E) of the first, patch states of all."""
        trunk: Any = self.model.modality_trunks["vision"]
        x = trunk.pre_transformer_layer(self.model.modality_preprocessors["vision"](pixels))
        for block in trunk.blocks[:PATCH_BLOCKS]:
            x = block(x)
        states = x[:, 1:]  # (B, patches, width)
        x = x[:items]
        for block in trunk.blocks[PATCH_BLOCKS:]:
            x = block(x)
        vectors = self.model.modality_heads["vision"](x)
        return self.model.modality_postprocessors["vision"](vectors), states


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
        "item": ATTRIBUTE_WEIGHT * attribute_loss(training, items, batch.targets[:size]),
        "text": ATTRIBUTE_WEIGHT * attribute_loss(training, texts, batch.targets),
        "patch": split_loss(patches, batch.patches.unbind(dim=1), PATCH_LABELS),
    }


def contrast(items: Tensor, texts: Tensor, scenes: tuple[object, ...]) -> Tensor:
    """Symmetric InfoNCE; texts beyond the items' own are wrong ones. Equal scenes are no rivals."""
    logits = items @ texts.T  # (B, 2B)
    size = len(items)
    equal = torch.tensor([[a == b for b in scenes] for a in scenes], device=items.device)
    equal = equal.fill_diagonal_(False)
    logits = torch.cat([logits[:, :size].masked_fill(equal, -1e4), logits[:, size:]], dim=1)
    own = torch.arange(size, device=items.device)
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :size].T, own))


def attribute_loss(training: EncoderTraining, vectors: Tensor, targets: Tensor) -> Tensor:
    """Sum over attributes of the cross-entropy of linear readings of the unit vectors."""
    unit = F.normalize(vectors, dim=-1) * vectors.shape[1] ** 0.5
    return split_loss(training.attributes(unit).float(), targets.unbind(dim=1), ATTRIBUTES)


def split_loss(logits: Tensor, targets: tuple[Tensor, ...], classes: dict[str, int]) -> Tensor:
    """Sums the cross-entropies of the pieces of `logits` (B, sum of classes, ...)."""
    pieces = logits.split([*classes.values()], dim=1)
    losses = [
        F.cross_entropy(piece, target, ignore_index=IGNORE)
        for piece, target in zip(pieces, targets, strict=True)
        if bool((target != IGNORE).any())
    ]
    return torch.stack(losses).sum()


def build(seed: int = 0) -> Encoder:
    """The lite encoder with fresh weights."""
    torch.manual_seed(seed)
    tokenizer = caption_tokenizer(CONTEXT)
    config = ImageBindConfig.lite(len(tokenizer), tokenizer.eos_token_id)
    return Encoder(ImageBind(config), PreprocessConfig.lite(), tokenizer)


def train(
    output: str | Path,
    steps: int = 1400,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    export_to: str | Path | None = None,
    start: str | Path | None = None,
) -> dict[str, float]:
    """Trains the lite encoder in `output`, scores it, writes it to `export_to` (`output`/export).

    Args:
        start: an encoder folder to go on from instead of from random weights; the heads, which are
            not part of it, begin anew.

    Returns:
        the scores of `encoder_scores.scores`; none when it was stopped before its last step.
    """
    encoder = build(seed) if start is None else Encoder.from_pretrained(start)
    data = EncoderData(encoder.tokenize, encoder.preprocess)
    recipe = Recipe(
        steps=steps, learning_rate=1.2e-3, warmup=100, weight_decay=0.05, ema=0.995,
        seed=seed, device=device,
    )  # fmt: skip
    training = EncoderTraining(encoder.model.requires_grad_(True))
    trainer = Pretrainer(training, encoder_loss, data, output, recipe)
    trainer.run(resume=resume)
    if trainer.step < steps:
        return {}  # stopped by a signal; what is saved goes on with `resume`
    assert isinstance(trainer.average, EncoderTraining)
    trained = Encoder(trainer.average.model, encoder.preprocess, encoder.tokenizer)
    found = scores(trained)
    folder = Path(output) / "export" if export_to is None else Path(export_to)
    export(trained, folder, trainer.step, trainer.seconds, found, data)
    return found


def export(
    encoder: Encoder,
    folder: str | Path,
    steps: int,
    seconds: float,
    found: dict[str, float],
    data: EncoderData,
) -> None:
    """Writes float16 weights, tokenizer and card.md."""
    folder = Path(folder)
    encoder.save_pretrained(folder)
    number = sum(p.numel() for p in encoder.model.parameters())
    items = data.pictures + data.clips + data.sounds
    rows = "\n".join(f"| {name} | {value:.1%} |" for name, value in found.items())
    (folder / "card.md").write_text(
        f"""# Lite encoder

ImageBind's architecture at small width ({number / 1e6:.2f} M parameters; vision, audio and text
trunks), trained by `nextgpt-lite pretrain --part encoder` and then frozen. Apache-2.0.

- Data: scenes of the lite world rendered on the fly, {data.pictures} pictures, {data.clips} clips
  and {data.sounds} sounds a step, each with a caption or paraphrase and one caption with an
  attribute changed; {data.crowds} pictures of nine unlike things for the patch heads.
  Held-out (kind, colour) and (kind, count) pairs and wordings were never seen.
- Steps: {steps} of {items} items; {seconds:.0f} s of wall time on one thread of a CPU.
- Loss: symmetric InfoNCE, with linear attribute and patch heads that are not part of the export.

| score | |
|---|---|
{rows}

Retrieval: the right caption among the nearest five of 200, and the reverse. Probes: linear
regressions on frozen vectors of fresh scenes, scored on other fresh scenes. "held out" means
scenes with a (kind, colour) or (kind, count) pair that training never showed.
"""
    )
