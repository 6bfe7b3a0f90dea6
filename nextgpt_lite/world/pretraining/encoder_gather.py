"""The later vision blocks of the lite encoder: from what lies where to one vector that tells it.

The early blocks have learnt what lies under each patch (`encoder`). From here on they are fixed,
and so are the sounds' and the captions' trunks. Their states are made once for each scene and
kept, so that the later blocks see several times as many scenes in the same time.

Relations and numbers need more than a contrast of whole pictures: one bit of it is the relation.
So each patch of a thing is also asked, before the last block gathers them, what it is, whether it
is the first, second or third thing of the picture, how many of its kind there are, and how the
first stands to the second. Patches and vector are asked besides where each thing lies: a relation
is the sign of a difference then.

Knows: the blocks added, the pool of states, losses, the run.
Leaves to others: labels (`encoder_data`), the file of states (`pool`), the steps (`training.part`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.encoders import Encoder, ImageBind, ImageBindConfig
from nextgpt_lite.encoders.config import VisionConfig
from nextgpt_lite.training.part import PartTrainer
from nextgpt_lite.world.pretraining.encoder_data import (
    ATTRIBUTES,
    IGNORE,
    alter,
    attributes,
    centres,
    patch_labels,
    roughen,
    vision_inputs,
    wording,
)
from nextgpt_lite.world.pretraining.encoder_losses import (
    attribute_loss,
    contrast,
    place_loss,
    split_loss,
    unit,
)
from nextgpt_lite.world.pretraining.labels import SLOTS
from nextgpt_lite.world.pretraining.parts import HOW, How
from nextgpt_lite.world.pretraining.pool import ScenePool
from nextgpt_lite.world.scene import (
    KINDS,
    MAX_COUNT,
    Clip,
    Picture,
    Scene,
    sample_clip,
    sample_picture,
)

EARLY_BLOCKS = 3  # whose states tell what lies under each patch; fixed here
BLOCKS = 7  # of the vision trunk in the end
CLIPS = 0.25  # share of the scenes; the rest are pictures
GROUPS = (30, 40, 30)  # weights of pictures with one, two and three kinds
FIRST_POOL = 8192
FRESH = 48  # scenes added in each step, up to POOL
POOL = 196_608
BATCH = 192
# What a patch of a thing is asked.
PATCH_QUESTIONS = {
    "kind": len(KINDS),
    "slot": SLOTS,
    "count": MAX_COUNT,
    "relation": ATTRIBUTES["relation"],
}
CENTRES = 2 * SLOTS  # (x, y) of each thing


class Batch(NamedTuple):
    """Scenes with the states (B, 1 + P, D) of the early blocks, class token first."""

    states: Tensor
    tokens: Tensor  # (2B, context) a caption of each scene, then one with an attribute changed
    targets: Tensor  # (B, A) attributes
    patches: Tensor  # (B, questions, P) of PATCH_QUESTIONS
    centres: Tensor  # (B, CENTRES) in -1 to 1, NaN where there is none
    scenes: tuple[Scene, ...]


class GatherTraining(nn.Module):
    """The encoder with all but its later vision blocks and their head fixed, and two sets of heads
    it has only while it is trained."""

    def __init__(self, model: ImageBind) -> None:
        super().__init__()
        width = model.config.trunks["vision"].width
        self.model = model.requires_grad_(False)
        trunk: Any = model.modality_trunks["vision"]
        self.later: nn.ModuleList = trunk.blocks[EARLY_BLOCKS:].requires_grad_(True)
        self.head = model.modality_heads["vision"].requires_grad_(True)
        self.attributes = nn.Linear(model.config.out, sum(ATTRIBUTES.values()))
        self.patches = nn.Linear(width, sum(PATCH_QUESTIONS.values()))
        self.centres = nn.Linear(model.config.out, CENTRES)
        self.patch_centres = nn.Linear(width, CENTRES)

    def vectors(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors (B, E), and the patches' states (B, P, D) before the last block."""
        for block in self.later[:-1]:
            states = block(states)
        whole = self.head(self.later[-1](states))
        return F.normalize(whole, dim=-1), states[:, 1:]


def deepen(encoder: Encoder, blocks: int = BLOCKS) -> Encoder:
    """The same encoder with more vision blocks before the last, which change nothing yet."""
    config = encoder.model.config
    vision = config.trunks["vision"]
    last, blocks = vision.blocks - 1, max(blocks, vision.blocks)
    trunks = {**config.trunks, "vision": replace(vision, blocks=blocks)}
    model = ImageBind(ImageBindConfig(out=config.out, **trunks))
    before, after = (f"trunks.vision.blocks.{n}." for n in (last, blocks - 1))
    state = encoder.model.state_dict().items()
    model.load_state_dict({k.replace(before, after): v for k, v in state}, strict=False)
    trunk: Any = model.modality_trunks["vision"]
    for block in trunk.blocks[last:-1]:
        for layer in (block.attn.out_proj, block.mlp.fc2):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    return Encoder(model, encoder.preprocess, encoder.tokenizer)


def early_states(model: ImageBind, pixels: Tensor) -> Tensor:
    """States (B, 1 + P, D) of pictures and clips (B, 3, T, H, W) after the early blocks."""
    trunk: Any = model.modality_trunks["vision"]
    x = trunk.pre_transformer_layer(model.modality_preprocessors["vision"](pixels))
    for block in trunk.blocks[:EARLY_BLOCKS]:
        x = block(x)
    states: Tensor = x
    return states


def draw_scene(rng: Random) -> Scene:
    """A picture, mostly of one or two kinds, or a clip."""
    if rng.random() < CLIPS:
        return sample_clip(rng)
    return sample_picture(rng, groups=rng.choices((1, 2, 3), GROUPS)[0])


class StatePool(ScenePool):
    """States (1 + P, D) of the early blocks, and what lies under each patch of the pictures."""

    def __init__(self, encoder: Encoder, path: Path, seed: int) -> None:
        self.encoder = encoder
        vision = encoder.model.config.trunks["vision"]
        assert isinstance(vision, VisionConfig)
        self.patch = vision.kernel[1]
        side = vision.image_size // self.patch
        shape = (1 + side * side, vision.width)
        growth = (FIRST_POOL, FRESH)
        super().__init__(path, seed, POOL, shape, draw_scene, self._states, growth)

    @torch.no_grad()
    def _states(self, scenes: Sequence[Scene], rngs: Sequence[Random]) -> np.ndarray:
        model, config = self.encoder.model, self.encoder.preprocess
        seeds = [rng.getrandbits(31) for rng in rngs]
        rows = np.empty((len(scenes), *self.rows.shape[1:]), np.float16)
        for sort in (Picture, Clip):
            here = [i for i, scene in enumerate(scenes) if isinstance(scene, sort)]
            if not here:
                continue
            pixels = vision_inputs([scenes[i] for i in here], [seeds[i] for i in here], config)
            with torch.autocast("cpu", torch.bfloat16):
                states = early_states(model, roughen(pixels, rngs[here[0]]))
            rows[here] = states.float().numpy()
        return rows

    def batch(self, rng: Random, size: int) -> Batch:
        """Drawn scenes with captions, wrong captions and labels."""
        indices = [rng.randrange(len(self.scenes)) for _ in range(size)]
        scenes = tuple(self.scenes[i] for i in indices)
        texts = [wording(scene, rng) for scene in (*scenes, *(alter(s, rng) for s in scenes))]
        tokens = self.encoder.tokenize(texts)
        longest = int((tokens != 0).sum(dim=1).max())
        patches, middles = zip(*map(self._labels, indices), strict=True)
        return Batch(
            torch.from_numpy(self.rows[indices].astype(np.float32)),
            tokens[:, :longest],
            torch.tensor([attributes(scene) for scene in scenes]),
            torch.stack(patches),
            torch.stack(middles),
            scenes,
        )

    def _labels(self, index: int) -> tuple[Tensor, Tensor]:
        """(questions, P) labels of PATCH_QUESTIONS, IGNORE where no thing lies; (CENTRES,)."""
        scene = self.scenes[index]
        assert isinstance(scene, Picture | Clip)
        rng = self.source(index)
        self.draw(rng)  # the same scene again: what follows is the seed of its rendering
        seed = rng.getrandbits(31)
        kinds = patch_labels(scene, seed, self.encoder.preprocess.image_size, self.patch)[0]  # (P,)
        told = dict(zip(ATTRIBUTES, attributes(scene), strict=True))
        labels = torch.full((len(PATCH_QUESTIONS), len(kinds)), IGNORE)
        for slot in range(SLOTS):
            kind = told[f"kind {slot + 1}"]
            here = (kinds == kind) & (kinds != IGNORE)
            answers = (kind, slot, told[f"count {slot + 1}"], told["relation"])
            labels[:, here] = torch.tensor(answers)[:, None]
        if isinstance(scene, Picture):
            return labels, torch.tensor(centres(scene, seed))
        return labels, torch.full((CENTRES,), torch.nan)


def gather_loss(training: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Contrast of scenes and captions, attributes of the vectors, questions to the patches."""
    assert isinstance(training, GatherTraining)
    device = training.attributes.weight.device
    with torch.no_grad():
        texts = training.model("text", batch.tokens.to(device)).float()  # (2B, E), scaled
    vectors, states = training.vectors(batch.states.to(device))
    vectors = vectors.float()
    patches = training.patches(states).transpose(1, 2).float()  # (B, answers, P)
    targets = batch.centres.to(device)
    lying = (batch.patches[:, 0] != IGNORE).to(device)  # (B, P)
    guesses = training.patch_centres(states).float()[lying]  # (lying patches, CENTRES)
    return {
        "contrast": contrast(vectors, texts, batch.scenes),
        "item": attribute_loss(training.attributes, vectors, batch.targets.to(device)),
        "patch": split_loss(patches, batch.patches.to(device).unbind(dim=1), PATCH_QUESTIONS),
        "centre": place_loss(training.centres(unit(vectors)).float(), targets)
        + place_loss(guesses, targets[:, None].expand(*lying.shape, -1)[lying]),
    }


def train_later_blocks(
    encoder: Encoder, output: str | Path, steps: int, how: How = HOW
) -> tuple[Encoder, PartTrainer]:
    """Trains the later vision blocks in `output`; returns the encoder and how it was trained.

    Args:
        encoder: with early blocks that know what lies under each patch; it is deepened here.
    """
    output = Path(output)
    torch.manual_seed(how.seed)
    deep = deepen(encoder)
    pool = StatePool(encoder, output / "states.f16", how.seed)
    training = GatherTraining(deep.model.to(how.device))

    def data(generator: torch.Generator) -> Batch:
        pool.grow_to(trainer.step)
        return pool.batch(Random(int(torch.randint(2**62, (), generator=generator))), BATCH)

    matrices = [p for p in training.later.parameters() if p.ndim == 2]
    trainer = how.trainer(
        training, gather_loss, data, output, matrices,
        steps=steps, learning_rate=2e-3, warmup=50, weight_decay=0.05, ema=0.995,
    )  # fmt: skip
    trainer.run(how.resume)
    assert isinstance(trainer.average, GatherTraining)
    return Encoder(trainer.average.model, deep.preprocess, deep.tokenizer), trainer
