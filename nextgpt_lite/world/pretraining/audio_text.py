"""The caption encoder of the audio decoder: trained first, then frozen for good.

As CLAP in AudioLDM, it is finished before the denoiser trains on it, so that caption conditions
never change under the parts that learn to imitate them. All wordings of one sound must lie close
together, different sounds far apart, and each attribute must be there to be read.

Knows: the sounds there are, their wordings, and the text encoder. Leaves to others: sound itself
(`audio_parts`), the steps (`training.part`).
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.training.part import PartTrainer
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.pretraining.parts import HOW, How, begin
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.scene import KINDS, MAX_TIMES, PITCHES, Sound

WIDTH = 128  # C
WORDS = 24  # positions of a caption
WORDINGS = 64  # a scene: its canonical caption, then paraphrases of the training split
SOUNDS = tuple(Sound(k, n, p) for k in KINDS for n in range(1, MAX_TIMES + 1) for p in PITCHES)
EMPTY = len(SOUNDS)  # the empty caption's place behind the sounds
BATCH = 96


class CaptionReader(nn.Module):
    """The text encoder, and the heads that exist only while it is trained."""

    def __init__(self, start: str | Path | None = None) -> None:
        super().__init__()
        tokenizer = caption_tokenizer(WORDS)
        self.pad = tokenizer.pad_token_id
        self.text_encoder = begin("audio/text_encoder", start, vocab_size=len(tokenizer))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, n) for n in (len(KINDS), MAX_TIMES, 2))

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, S) -> unit conditions (B, C)."""
        mask = (ids != self.pad).long()
        return F.normalize(self.text_encoder(ids, attention_mask=mask).text_embeds.float(), dim=-1)


def wordings(seed: int) -> Tensor:
    """Token ids (scenes + 1, WORDINGS, WORDS); the last scene is the empty caption."""
    rng = Random(seed)
    texts: list[str] = []
    for sound in SOUNDS:
        texts.append(caption(sound))
        texts += [paraphrase(sound, rng) for _ in range(WORDINGS - 1)]
    texts += [""] * WORDINGS
    ids = caption_tokenizer(WORDS)(
        texts, padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return ids.reshape(EMPTY + 1, WORDINGS, WORDS)


def train_text(
    output: str | Path, steps: int, how: How = HOW, start: str | Path | None = None
) -> PartTrainer:
    """Trains the reader; its average holds the text encoder to freeze.

    Args:
        start: a decoder's folder, whose text encoder to begin with.
    """
    words, device = wordings(how.seed), how.device
    answers = torch.tensor(
        [(KINDS.index(s.kind), s.times - 1, PITCHES.index(s.pitch)) for s in SOUNDS]
    )

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        scene = torch.randint(EMPTY + 1, (BATCH,), generator=generator)
        wording = torch.randint(WORDINGS, (2, BATCH), generator=generator)
        wording[0, ::2] = 0  # the canonical caption
        return words[scene, wording].flatten(0, 1).to(device), scene.to(device)

    def loss(reader: Any, batch: tuple[Tensor, Tensor], _: torch.Generator) -> dict[str, Tensor]:
        ids, scene = batch  # (2 * B, S), (B,)
        condition = reader(ids)
        one, other = condition.chunk(2)  # two wordings of each scene, (B, C)
        distance = 2 - 2 * one @ other.mT  # (B, B), squared, between unit vectors
        different = scene[:, None] != scene[None]
        sounds = scene.repeat(2) != EMPTY
        asked = answers.to(device)[scene.repeat(2)[sounds]]  # (sounds, 3)
        told = [
            F.cross_entropy(head(condition[sounds]), asked[:, i])
            for i, head in enumerate(reader.heads)
        ]
        return {  # the last two: Wang & Isola 2020, eq. 1 and 2
            "told": torch.stack(told).mean(),
            "align": distance.diagonal().mean(),
            "spread": 0.2 * torch.exp(-2 * distance[different]).mean().log(),
        }

    torch.manual_seed(how.seed)
    numbers = {"steps": steps, "learning_rate": 1e-3, "warmup": 50, "ema": 0.98}
    return how.learn(CaptionReader(start), loss, data, output, **numbers)


@torch.no_grad()
def conditions(reader: Any, words: Tensor, device: str) -> Tensor:
    """Conditions (scenes + 1, WORDINGS, C) of all wordings, on the CPU."""
    return torch.stack([reader(ids.to(device)).cpu() for ids in words])
