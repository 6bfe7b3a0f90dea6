"""Scores of an encoder: retrieval among 200, and what a linear probe reads off its vectors.

Knows: how to score. Leaves to others: training (`encoder`), scenes (`world`).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.encoders import Encoder
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.pretraining.encoder_data import ATTRIBUTES, IGNORE, attributes
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Scene, Split, sample_scene

MODALITIES = ("image", "video", "audio")


def scores(encoder: Encoder, pool: int = 200, probe: int = 2000, seed: int = 1) -> dict[str, float]:
    """Every score by name, between 0 and 1.

    Args:
        encoder: with its text trunk.
        pool: number of items among which the right one is looked for; all are different scenes.
        probe: number of items a linear probe learns from; a third as many more test it.
        seed: of the scenes; training's own are drawn otherwise.
    """
    found: dict[str, float] = {}
    for modality in MODALITIES:
        size = 80 if modality == "audio" else pool  # there are 80 sounds
        for split in ("train", "held_out") if modality != "audio" else ("train",):
            name = f"{modality}, {'seen pairs' if split == 'train' else 'held out'}"
            scenes = different_scenes(modality, size, Random(seed), split)
            vectors = encode(encoder, modality, scenes, seed)
            texts = encoder.encode_text([caption(s) for s in scenes]).cpu()
            reworded = [paraphrase(s, Random(seed), "held_out") for s in scenes]
            loose = encoder.encode_text(reworded).cpu()
            similar = vectors @ texts.T
            found[f"{name}: caption in top 1 of {size}"] = top(similar, 1)
            found[f"{name}: caption in top 5 of {size}"] = top(similar, 5)
            found[f"{name}: item in top 5 of {size}"] = top(similar.T, 5)
            found[f"{name}: held-out wording in top 5"] = top(vectors @ loose.T, 5)
        found |= probes(encoder, modality, probe, seed)
    return found


def top(similar: Tensor, k: int) -> float:
    """How often the row's own column is among its k highest."""
    best = similar.topk(k, dim=1).indices
    return (best == torch.arange(len(similar))[:, None]).any(dim=1).float().mean().item()


def probes(encoder: Encoder, modality: str, number: int, seed: int) -> dict[str, float]:
    """Accuracy of a linear reading of each attribute, on scenes it was not fitted to."""
    rng = Random(seed + 1)
    scenes = [sample_scene(modality, rng, groups=None) for _ in range(number + number // 3)]
    inputs = unit_inputs(encode(encoder, modality, scenes, seed + 7))
    targets = torch.tensor([attributes(s) for s in scenes])
    found = {}
    for index, name in enumerate(ATTRIBUTES):
        column = targets[:, index]
        here = column != IGNORE
        if here[:number].sum() < 100 or name.endswith("3"):
            continue
        fitted = int(here[:number].sum())
        right = probe(inputs[here], column[here], ATTRIBUTES[name], fitted).float().mean().item()
        found[f"{modality}, probe of {name.removesuffix(' 1').replace(' 2', ' of 2nd')}"] = right
    return found


def unit_inputs(vectors: Tensor) -> Tensor:
    """Vectors (N, E) as a probe reads them: of equal length, elements near 1."""
    return F.normalize(vectors, dim=1) * vectors.shape[1] ** 0.5


def probe(inputs: Tensor, targets: Tensor, classes: int, fitted: int) -> Tensor:
    """Which classes of (N,) a linear reading of (N, E) tells right, the first `fitted` left out."""
    weights = _linear_probe(inputs[:fitted], targets[:fitted], classes)
    rest = inputs[fitted:]
    guessed = torch.cat([rest, torch.ones(len(rest), 1)], dim=1) @ weights
    return guessed.argmax(dim=1) == targets[fitted:]


def _linear_probe(inputs: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Multinomial logistic regression, lightly regularised: (E + 1, classes)."""
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    weights = torch.zeros(inputs.shape[1], classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(inputs @ weights, targets) + 1e-4 * weights.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weights.detach()


def encode(encoder: Encoder, modality: str, scenes: Sequence[Scene], seed: int) -> Tensor:
    """Vectors (N, E) of the rendered scenes, on the CPU; in portions to keep memory small."""
    rng, parts = Random(seed), []
    for start in range(0, len(scenes), 256):
        items: list[tuple[str, Any]] = [
            (modality, render(s, rng.randrange(2**31))) for s in scenes[start : start + 256]
        ]
        parts.append(encoder.encode(items, batch_size=64).cpu())
    return torch.cat(parts)


def different_scenes(modality: str, number: int, rng: Random, split: Split) -> list[Scene]:
    """Scenes of which no two look or sound the same."""
    found: dict[tuple[int, ...], Scene] = {}
    while len(found) < number:
        scene = sample_scene(modality, rng, split, None)
        found.setdefault(tuple(attributes(scene)), scene)
    return list(found.values())
