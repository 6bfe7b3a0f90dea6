"""The caption encoder of the picture and clip decoders: trained first, then frozen for good.

As with Stable Diffusion's CLIP, the text encoder is finished before any denoiser is trained on it,
so that caption conditions never change under the parts that learn to imitate them. What it must
know is what a caption says, to the word: it reads captions and their paraphrases and tells every
attribute of the scene from the end mark's state, and the next word from every other state.

Knows: captions and scenes. Leaves to others: pixels, denoisers (`image`, `video`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel

from nextgpt_lite.world import scene as world
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.pretraining.labels import LOOKS, SLOTS, facts
from nextgpt_lite.world.pretraining.parts import HOW, How, begin
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer

LENGTH, WIDTH = 24, 128  # L, C of the pictures' and clips' caption condition
CANONICAL = 0.6  # share of captions in the canonical wording
CLIPS = 0.35  # share of captions of clips
WIDENING = 1.3  # how much further apart opposite relations are moved in the end

# What the end mark must tell: classes of each question, 0 standing for "not in this scene".
QUESTIONS: dict[str, Sequence[Any]] = {
    "place": world.PLACES,
    "relation": world.RELATIONS,
    "motion": world.MOTIONS,
    **{
        f"{name} {slot + 1}": world.KINDS if name == "kind" else values
        for name, values in LOOKS.items()
        for slot in range(SLOTS)
    },
}


class CaptionReader(nn.Module):
    """The text encoder, and the heads that exist only while it is trained."""

    def __init__(self, text: CLIPTextModel) -> None:
        super().__init__()
        self.text = text
        self.heads = nn.ModuleDict(
            {name: nn.Linear(WIDTH, 1 + len(classes)) for name, classes in QUESTIONS.items()}
        )
        self.next_word = nn.Linear(WIDTH, text.config.vocab_size)


def build() -> CLIPTextModel:
    """An untrained text encoder for the caption tokenizer, about a million parameters."""
    made: CLIPTextModel = begin("image/text_encoder", vocab_size=len(caption_tokenizer(LENGTH)))
    return made


def train(
    output: str | Path, how: How = HOW, *, steps: int = 1500, batch_size: int = 128
) -> CLIPTextModel:
    """Trains it and returns the averaged weights, frozen."""
    torch.manual_seed(how.seed)
    device, tokenizer = how.device, caption_tokenizer(LENGTH)

    def data(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        rng = Random(int(torch.randint(2**62, (1,), generator=generator)))
        scenes = [_sample(rng) for _ in range(batch_size)]
        texts = [caption(s) if rng.random() < CANONICAL else paraphrase(s, rng) for s in scenes]
        ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        answers = [_answers(s) for s in scenes]
        return ids["input_ids"].to(device), {
            name: torch.tensor([a[name] for a in answers], device=device) for name in QUESTIONS
        }

    def loss(
        reader: nn.Module, batch: tuple[Tensor, dict[str, Tensor]], _: torch.Generator
    ) -> dict[str, Tensor]:
        assert isinstance(reader, CaptionReader)
        ids, answers = batch  # (B, L)
        states = reader.text(input_ids=ids).last_hidden_state  # (B, L, C)
        ends = (ids == tokenizer.eos_token_id).int().argmax(-1)  # (B,)
        pooled = states[torch.arange(len(ids)), ends]  # (B, C)
        filled = ids[:, 1:] != tokenizer.pad_token_id  # (B, L-1)
        words = reader.next_word(states[:, :-1][filled])  # (words, V)
        told = [F.cross_entropy(head(pooled), answers[name]) for name, head in reader.heads.items()]
        # The rest of the row repeats the end mark's knowledge for the denoiser to attend to.
        rest = [
            F.cross_entropy(head(states[:, -1]), answers[name])
            for name, head in reader.heads.items()
        ]
        return {
            "told": torch.stack(told).mean(),
            "rest": 0.5 * torch.stack(rest).mean(),
            "words": 0.1 * F.cross_entropy(words, ids[:, 1:][filled]),
        }

    run = how.learn(
        CaptionReader(build()), loss, data, output,
        steps=steps, learning_rate=1.5e-3, warmup=100, ema=0.99,
    )  # fmt: skip
    text: CLIPTextModel = run.average.text
    return text


def widen(
    text: CLIPTextModel,
    output: str | Path,
    how: How = HOW,
    *,
    steps: int = 500,
    batch_size: int = 64,
) -> CLIPTextModel:
    """Moves captions of opposite relations further apart, all others nowhere; returns it, frozen.

    "left of" and "right of" end up nearest of all words, since the scene's other attributes fill
    most of a condition; what a denoiser can hardly tell apart it paints at random.
    """
    device, tokenizer = how.device, caption_tokenizer(LENGTH)
    before = copy.deepcopy(text).requires_grad_(False).eval().to(device)
    text.requires_grad_(True)

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rng = Random(int(torch.randint(2**62, (1,), generator=generator)))
        texts = [_opposed(_sample(rng), rng) for _ in range(batch_size)]
        both = [[own for own, _ in texts], [opposite for _, opposite in texts]]
        ids, opposite = (
            tokenizer(t, padding="max_length", truncation=True, return_tensors="pt").input_ids
            for t in both
        )
        return ids.to(device), opposite.to(device)

    def loss(
        text: nn.Module, batch: tuple[Tensor, Tensor], _: torch.Generator
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            own, opposite = (before(ids).last_hidden_state.float() for ids in batch)  # (B, L, C)
        wanted = own + (WIDENING - 1) / 2 * (own - opposite)
        return {"distance": F.mse_loss(text(batch[0]).last_hidden_state.float(), wanted)}

    numbers: dict[str, Any] = {"steps": steps, "learning_rate": 5e-4, "warmup": 50, "ema": 0.99}
    widened: Any = how.learn(text, loss, data, output, **numbers).average
    return widened


def _opposed(scene: world.Picture | world.Clip, rng: Random) -> tuple[str, str]:
    """A caption or paraphrase, and the same for the opposite relation; the same for all else."""
    opposite = scene
    if isinstance(scene, world.Picture) and scene.relation is not None:
        opposite = replace(scene, relation=world.OPPOSITE[scene.relation])
    if rng.random() < CANONICAL:
        return caption(scene), caption(opposite)
    words = rng.getrandbits(62)
    return paraphrase(scene, Random(words)), paraphrase(opposite, Random(words))


def _sample(rng: Random) -> world.Picture | world.Clip:
    return world.sample_clip(rng) if rng.random() < CLIPS else world.sample_picture(rng)


def _answers(scene: world.Picture | world.Clip) -> dict[str, int]:
    """Class of every question; held-out pairs never occur, but each of their halves does."""
    told = {"count 1": 1, **facts(scene)}  # a clip shows one thing
    return {
        name: 1 + values.index(told[name]) if told.get(name) in values else 0
        for name, values in QUESTIONS.items()
    }
